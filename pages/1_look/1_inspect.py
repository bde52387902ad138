"""Inspect: what the network received, what it said, where it looked, what each layer did."""

import streamlit as st

from diagnostics.request import INSPECT, Options, Request
from diagnostics.ui import controls, frame, rows
from diagnostics.ui.ask import ask
from diagnostics.ui.show import row
from diagnostics.ui.state import session

spec, methods = frame.in_hand()

st.title("Inspect")
st.caption("Why is the network so sure? Read down a column: the answer first, then the reasons.")

if not session().shown:
    st.info("No image is shown. Choose one at the left, add one, or begin with the samples.")
    st.button("Show the samples", on_click=controls.show_samples, type="primary")
    st.stop()

progress = st.empty()
said = st.expander("What it says", expanded=True)
image = st.expander("The image", expanded=True)
received = st.expander("What the network receives", expanded=True)
looked = st.expander("Where it looked", expanded=True)
layers = st.expander("What each layer did", expanded=True)

with said:
    top = controls.top(spec)
with received, st.container(horizontal=True, vertical_alignment="center"):
    preprocessing = controls.preprocessing(spec)
    every_stage = st.toggle("Every stage", key="stages", bind="query-params")
with looked:
    looking = controls.looking(spec, methods)
with layers:
    drawn = controls.layers(spec)

options: Options = {"top": top, "layers": drawn.names, "attributions": (looking.attribution,)}
request = Request(
    INSPECT,
    session().model,
    session().shown_images(),
    preprocessing,
    looking.target,
    options=options,
)
answer = ask(request, progress)
images, arrays = answer.scores["images"], answer.arrays

with said:
    row(rows.said(images, independent=spec.output.independent), "row.said")
    if st.button("Numbers", icon=":material/table:", key="numbers"):
        rows.numbers(images)
with image:
    row(rows.originals(images, arrays), "row.image")
with received:
    st.caption("As pixels, then as the signed values that enter: blue below zero, red above.")
    row(rows.received(images, arrays), "row.received")
    for position, name in enumerate(rows.stage_names(images) if every_stage else []):
        st.markdown(f"**{position + 1}. {name}**")
        row(rows.stage(images, arrays, position), f"row.stage.{position}")
with looked:
    row(rows.looked(images, arrays, looking, spec.class_names), "row.looked")
with layers:
    for name in drawn.names:
        st.markdown(f"**{name}**")
        row(rows.layer(images, arrays, name, shared=drawn.shared), f"row.layer.{name}")
