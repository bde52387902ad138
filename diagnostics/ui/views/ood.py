"""The controls of strangeness: which score decides, how many false alarms, which preprocessing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from diagnostics.report.inspection.answers import Arrays
from diagnostics.report.ood import roc as strangers_charts
from diagnostics.report.ood import tables
from diagnostics.report.ood.tables import Judged
from diagnostics.report.preprocessing.tables import evidence, figure, offers, ways
from diagnostics.schema.options import MethodInfo
from diagnostics.schema.request import File, Request, Result
from diagnostics.schema.spec import ModelSpec, preprocessing_from
from diagnostics.text import markdown
from diagnostics.ui.session.choices import choose
from diagnostics.ui.session.state import current_session
from diagnostics.ui.widgets import forms
from diagnostics.ui.widgets.board import Board
from diagnostics.ui.widgets.forms import Field

ALPHAS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2)
TRIED_PERCENT = 50.0
CHART_PX = 520


def examination(spec: ModelSpec) -> Request:
    """Return the question about the preprocessing: of the folder, or of the images in hand."""
    session = current_session()
    images = () if session.in_distribution else session.shown_images()
    settings = session.preprocessing or spec.preprocessing
    return Request(
        "preprocessing/preprocessing",
        session.model,
        images,
        settings,
        folder=session.in_distribution,
    )


def prepared(found: Mapping[str, Any], board: Board, heading: str, spec: ModelSpec) -> None:
    """Draw whether the preprocessing is right, and the way to a better one."""
    session = current_session()
    said = markdown(found["sentence"])
    if found["verdict"] == "wrong":
        st.warning(said, icon=":material/warning:")
    else:
        icon = "check_circle" if found["verdict"] == "fine" else "help"
        st.markdown(f":material/{icon}: **{found['verdict'].capitalize()}.** {said}")
    st.caption(evidence(found, in_hand=session.in_distribution is None))
    with st.container(horizontal=True, vertical_alignment="center"):
        for place, (name, settings) in enumerate(offers(found)):
            st.button(
                f"Switch to {markdown(name)}",
                key=f"novelty.switch.{place}",
                on_click=session.select_model,
                args=(session.model, preprocessing_from(settings)),
                type="secondary" if place else "primary",
            )
        changed = session.preprocessing not in (None, spec.preprocessing)
        if changed and found["verdict"] != "wrong":
            st.button(
                "Back to the model's own", on_click=session.select_model, args=(session.model,)
            )
    table = ways(found)
    if found["verdict"] == "can't tell":
        board.table(heading, table, folded=True)
    else:
        board.chart(heading, figure(found), table, "novelty.ways")


def beside(found: Mapping[str, Any] | None) -> None:
    """Say whether the images in hand reach the network as the known-good ones did."""
    if found:
        said = markdown(found["sentence"])
        if found["verdict"] == "alike":
            st.markdown(f":material/check_circle: {said}")
        else:
            st.warning(said, icon=":material/warning:")


def score(answer: Mapping[str, Any]) -> str:
    """Draw which score decides; return its id."""
    return choose(
        "Score that decides",
        "novelty.score" if answer["false_alarms"]["n"] else "novelty.alone",
        tables.titles(answer),
        "Each score sees other things and is blind to others; the last section says to which.",
        first=answer["default"],
        width=290,
    )


def alpha(info: MethodInfo) -> float:
    """Draw which share of known-good images may be flagged."""
    field = Field(
        "False alarms",
        "The share of images like the known-good ones that may be called strange. Fewer false "
        "alarms let more strangers pass.",
        choices=ALPHAS,
        title=lambda share: f"at most {100 * share:g} %",
        width=160,
    )
    return float(forms.options(info, {"alpha": field}, "novelty")["alpha"])


def judge(answer: Mapping[str, Any], board: Board, info: MethodInfo) -> Judged:
    """Draw what decides; return the answer read in that way, or end the page without a score."""
    if not answer["given"]:
        st.markdown(tables.missing(answer))
        about(answer, board)
        board.offer_report()
        st.stop()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        names = tuple(file.name for file in current_session().shown_images())
        placed = bool(answer["false_alarms"]["n"])
        decides = score(answer)
        share: Any = alpha(info) if placed else info.option("alpha").default
        judged = Judged(answer, names, decides, share)
    st.caption(markdown(f"{judged.title} cannot see: {judged.given[0]['blind']}"))
    board.facts["Score that decides"] = judged.title
    return judged


def told_apart(found: Result, arrays: Arrays, judged: Judged, board: Board, heading: str) -> None:
    """Draw both errors at a threshold to try, and how well every score tells strangers.

    Args:
        found: The answer about the strangers.
        arrays: Scores of both sides, "good/NAME" and "strangers/NAME".
        judged: The answer about the images in hand.
        board: Of the page.
        heading: Of the section.
    """
    good, strangers = strangers_charts.sides(arrays, judged.score)
    share = st.slider(
        "Try a threshold: share of known-good images that may be flagged",
        0.0,
        TRIED_PERCENT,
        100 * judged.alpha,
        0.1,
        format="%.1f %%",
        key=f"novelty.tried.{judged.alpha}",
        width=560,
    )
    at = strangers_charts.errors(good, strangers, share / 100)
    st.markdown(f"By {markdown(judged.title)}: **{markdown(at.sentence)}**")
    names, counted = tables.titles(found.scores), found.scores["scores"]
    pair = st.container(horizontal=True)  # under each other where there is no room
    with pair.container(width=CHART_PX):
        roc = strangers_charts.curves(arrays, names, judged.score, at)
        board.chart(heading, roc, strangers_charts.curve_numbers(good, strangers), "novelty.roc")
    with pair.container(width=CHART_PX):
        bands = strangers_charts.bands(counted, names, judged.score)
        board.chart(heading, bands, strangers_charts.aurocs(counted, names), "novelty.auroc")


def about(answer: Mapping[str, Any], board: Board) -> None:
    """Draw what each score is, what it cannot see, and why others are left out."""
    columns = st.columns(2)
    for place, one in enumerate(answer["given"]):
        columns[place % 2].markdown(
            f"**{markdown(one['title'])}**  \n{markdown(one['summary'])}  \n"
            f"Cannot see: {markdown(one['blind'])}  \n"
            f":small[:gray[{markdown(one['source'])}]]"
        )
        board.facts[one["title"]] = f"{one['summary']} Cannot see: {one['blind']} {one['source']}"
    for reason, titles in tables.left_out(answer).items():
        st.markdown(f"**Left out:** {markdown(', '.join(titles))}. {markdown(reason)}")
        board.facts[f"Left out: {', '.join(titles)}"] = reason


def about_images(spec: ModelSpec, reference: File | None) -> Request:
    """Return the question how strange the images in hand are."""
    session = current_session()
    settings = session.preprocessing or spec.preprocessing
    options = {"examined": False}  # asked for by itself
    images = session.shown_images()
    return Request(
        "ood/detect", session.model, images, settings, options=options, reference=reference
    )


def about_strangers(spec: ModelSpec, reference: File | None) -> Request | None:
    """Return the question how many strangers are told; None where there are none to ask about."""
    session = current_session()
    if reference is None or session.out_of_distribution is None:
        return None
    settings, strangers = session.preprocessing or spec.preprocessing, session.out_of_distribution
    return Request(
        "ood/evaluate", session.model, (), settings, ood_folder=strangers, reference=reference
    )
