"""The page of sweeps: which corruption, how far, which images, and opening a step in Inspect."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import streamlit as st

from diagnostics.corruptions.conditions import CONDITIONS
from diagnostics.corruptions.registry import Corruption, find
from diagnostics.data import samples
from diagnostics.report import pictures
from diagnostics.report.corruption import charts, heatmaps, quantiles, tables
from diagnostics.report.corruption.tables import at
from diagnostics.schema.options import MethodInfo, Value
from diagnostics.schema.request import File, Request, Result
from diagnostics.schema.results.corruption import (
    AxisEntry,
    LabelChange,
    SweepAnswer,
    TransitionsAnswer,
)
from diagnostics.schema.spec import ModelSpec
from diagnostics.text import markdown, shortened
from diagnostics.ui.dialogs import open_in_inspect
from diagnostics.ui.session.choices import choose, toggle
from diagnostics.ui.session.query_params import set_query_param
from diagnostics.ui.session.state import current_session
from diagnostics.ui.widgets import forms
from diagnostics.ui.widgets.board import Board, transient_chart
from diagnostics.ui.widgets.cost import cost_sentence
from diagnostics.ui.widgets.forms import Field
from diagnostics.ui.widgets.run import try_request

AXIS, IMAGE = "sweep.axis", "sweep.image"
STEPS = (11, 21)
MAX_IMAGES = (32, 64, 128, 256, 512)
EXAMPLE = "letter-x-blurred"


def axis_options(spec: ModelSpec, info: MethodInfo) -> dict[str, Value]:
    """Draw which corruption is swept and how far; return the options of the request."""
    first_run = AXIS not in current_session().choices
    with st.container(horizontal=True, vertical_alignment="bottom"):
        steps = Field(
            help="How many numbers between the two ends; the one that leaves images alone is "
            "added.",
            choices=STEPS,
            width=90,
        )
        fields = {"axis": _axis("What changes", spec, info.option("axis").choices), "steps": steps}
        options = forms.options(info, fields, "sweep")
        corruption = find(options["axis"])
        start, stop = corruption.default_range
        low = _end("From", "sweep.from", corruption, start, first_run=first_run)
        high = _end("To", "sweep.to", corruption, stop, first_run=first_run)
    st.caption(markdown(f"{corruption.title}: {corruption.summary}"))
    return {**options, "start": f"{low:.9g}", "stop": f"{high:.9g}"}


def _axis(label: str, spec: ModelSpec, names: Sequence[str]) -> Field:
    return Field(
        label,
        "It is done to what the network receives: values from 0 to 1, after all preprocessing.",
        choices=[name for name in names if spec.channels == 3 or not find(name).colour_only],
        title=lambda name: find(name).title,
        width=230,
    )


def _end(label: str, key: str, corruption: Corruption, default: float, *, first_run: bool) -> float:
    """Draw one end of an axis, which is remembered with its corruption."""
    choices, own_key = current_session().choices, f"{key}.{corruption.name}"
    low, high = map(float, corruption.limits)
    linked = st.query_params.get(key, "") if first_run else ""
    try:
        before = min(max(float(choices.get(own_key) or linked or default), low), high)
    except ValueError:
        before = float(default)
    if own_key not in st.session_state:
        st.session_state[own_key] = before
    start, stop = corruption.default_range
    value = float(
        st.number_input(
            label,
            low,
            high,
            key=own_key,
            format="%.4g",
            step=1.0 if corruption.integer else abs(stop - start) / 20,
            width=150,
            help=f"In {corruption.unit}, from {low:g} to {high:g}.",
        )
    )
    choices[own_key] = repr(value)
    set_query_param(key, "" if value == default else f"{value:.9g}")
    return value


def sweep_request(spec: ModelSpec, options: Mapping[str, Value]) -> Request:
    """Return the request about the images shown."""
    session = current_session()
    settings = session.preprocessing or spec.preprocessing
    return Request(
        "corruption/sweep", session.model, session.shown_images(), settings, options=dict(options)
    )


def choose_image(answer: SweepAnswer, request: Request) -> int:
    """Draw which image is looked at, at first one whose prediction changes; return its row."""
    images = answer["images"]
    first = next((row for row, image in enumerate(images) if image.get("label_changes")), 0)
    ids = [_image_id(file) for file in files_of(answer, request)]
    names = {key: shortened(image["file"], 32) for key, image in zip(ids, images, strict=True)}
    help_text = "The image whose confidence is drawn step by step."
    return ids.index(choose("Image", IMAGE, names, help_text, default=ids[first], width=260))


def files_of(answer: SweepAnswer, request: Request) -> list[File]:
    """Return the files that an answer's images were read from; unreadable ones have none."""
    left, files = list(request.images), []
    for image in answer["images"]:
        files.append(next(file for file in left if file.name == image["file"]))
        left.remove(files[-1])
    return files


def _image_id(file: File) -> str:
    """Return how an image is called in the address."""
    return file.sha256[:12]


def offer_example() -> None:
    """Offer the sample that is worth looking at."""
    session, file = current_session(), samples.image_files().get(EXAMPLE)
    if file and session.model.file in samples.model_files().values() and file not in session.images:
        st.button(
            "Show a letter that breaks",
            on_click=_take_example,
            args=(file,),
            help="Takes a blurred x in hand and puts it through hard thresholds.",
        )


def _take_example(file: File) -> None:
    current_session().add_images([file])
    for key, value in ((AXIS, "threshold"), (IMAGE, _image_id(file))):
        st.session_state[key] = current_session().choices[key] = value


def open_clicked(
    points: Sequence[Mapping[str, Any]], answer: SweepAnswer, request: Request
) -> None:
    """Open the step whose mark was clicked, if one was."""
    if points and points[0].get("customdata"):
        row, step = points[0]["customdata"]
        _open(int(row), [int(step)], answer, request)


def open_step(row: int, answer: SweepAnswer, request: Request, key: str) -> None:
    """Draw which step of an image to open in Inspect.

    Args:
        row: Of the image.
        answer: Of a sweep along one axis or two.
        request: Whose answer it is.
        key: Begins the widgets' keys.
    """
    axes, image = answer["axes"], answer["images"][row]
    if any(axis["out_of_range"] for axis in axes):
        st.caption(
            "A picture file holds no values beyond 0 to 1, so these steps cannot be opened in "
            "Inspect; its preprocessing, mean and std, changes the range there."
        )
        return
    change = next(iter(image.get("label_changes", ())), None)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        steps = [_choose_step(axis, change, f"{key}.{axis['name']}.{row}") for axis in axes]
        if st.button("Open this step in Inspect", key=f"{key}.open"):
            _open(row, steps, answer, request)
    if request.preprocessing and (note := open_in_inspect.reprocessing_note(request.preprocessing)):
        st.caption(note)


def _choose_step(axis: AxisEntry, change: LabelChange | None, key: str) -> int:
    """Draw the steps of an axis, at first that of a change or the last."""
    count = len(axis["values"])
    return st.selectbox(
        axis["title"],
        range(count),
        index=change["step"] if change else count - 1,
        format_func=lambda step: at(axis, step),
        key=f"{key}.{count}",
        width=230,
    )


def _open(row: int, steps: Sequence[int], answer: SweepAnswer, request: Request) -> None:
    axes, image = answer["axes"], answer["images"][row]
    if any(axis["out_of_range"] for axis in axes):
        st.toast("These values go beyond 0 to 1, which a picture file cannot hold.")
        return
    pairs = list(zip(axes, steps, strict=True))
    corruptions = [[axis["name"], axis["values"][step]] for axis, step in pairs]
    options: dict[str, Value] = {"corruptions": json.dumps([corruptions])}
    file = files_of(answer, request)[row]
    request = replace(request, method="corruption/sweep_images", images=(file,), options=options)
    result = try_request(request, st.empty())
    if result:
        words = ", ".join(at(axis, step) for axis, step in pairs)
        named = [(result.arrays["step/0"], f"{pictures.stem(image['file'])} at {words}")]
        open_in_inspect.open_files(open_in_inspect.picture_files(named, request.preprocessing))


def two_axes_request(
    spec: ModelSpec, info: MethodInfo, options: Mapping[str, Any], file: File
) -> Request | None:
    """Draw which second corruption is swept with the first; return the request once wanted."""
    names = [name for name in info.option("axis").choices if name != options["axis"]]
    first = "blur" if options["axis"] != "blur" else "contrast"
    names.sort(key=lambda name: name != first)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        fields = {"second": _axis("What changes besides", spec, names)}
        both = {**options, **forms.options(info, fields, "sweep")}
        enabled = toggle("Both axes together", "sweep.two")
    steps: Any = info.option("second_steps").default
    points = _points(options) * len(find(both["second"]).values(steps, None, None))
    if not enabled:
        st.caption(f"{cost_sentence(spec, forward=points)} About the one image chosen above.")
        return None
    return replace(sweep_request(spec, both), images=(file,))


def _points(options: Mapping[str, Any]) -> int:
    """Return how many steps a request has."""
    ends = (float(options["start"]), float(options["stop"]))
    return len(find(options["axis"]).values(options["steps"], *ends))


def folder_request(spec: ModelSpec, info: MethodInfo, options: Mapping[str, Any]) -> Request | None:
    """Draw how many of the folder's images are swept; return the request once it is wanted."""
    max_images = _max_images(info, "sweep.most")
    passes = max_images * (_points(options) + 1)
    if not _enabled("Sweep the folder's images", "sweep.many", spec, passes):
        return None
    request = sweep_request(spec, {**options, "images": "folder", "max_images": max_images})
    return replace(request, images=(), folder=current_session().in_distribution)


def transitions_request(spec: ModelSpec, info: MethodInfo) -> Request | None:
    """Draw whether it is asked what the model relies on; return the request once it is."""
    session = current_session()
    of_folder = session.in_distribution is not None
    max_images = _max_images(info, "sweep.probed") if of_folder else len(session.shown)
    label = "Alter transitions and range, each alone"
    if not _enabled(label, "sweep.reading", spec, max_images * len(CONDITIONS)):
        return None
    options: dict[str, Value] = {"images": "folder", "max_images": max_images}
    request = sweep_request(spec, options if of_folder else {"images": "in hand"})
    return replace(
        request,
        method=info.id,
        images=() if of_folder else request.images,
        folder=session.in_distribution,
    )


def _max_images(info: MethodInfo, key: str) -> int:
    field = Field(
        "Images at most",
        "How many of the folder's images, drawn at random; more make the intervals narrower.",
        choices=MAX_IMAGES,
        key=key,
        width=150,
    )
    return int(forms.options(info, {"max_images": field})["max_images"])


def _enabled(label: str, key: str, spec: ModelSpec, passes: int) -> bool:
    enabled = toggle(label, key)
    if not enabled:
        st.caption(cost_sentence(spec, forward=passes))
    return enabled


def partial_chart() -> Callable[[Result], None]:
    """Return what draws the answers so far, of one axis or two."""
    numbers = itertools.count()

    def draw(result: Result) -> None:
        answer: SweepAnswer = result.scores
        if not answer["images"]:
            figure = quantiles.bands(answer, stretch=False)
        elif len(answer["axes"]) == 2:
            figure = heatmaps.maps(0, answer, answer)
        else:
            figure = charts.strips(answer)
        transient_chart(figure, f"sweep.live.{next(numbers)}")

    return draw


def notes(answer: SweepAnswer | TransitionsAnswer) -> None:
    """Say what should be known of the images, and whether an answer is not complete."""
    part = [] if answer["complete"] else ["Cancelled before the end; this is what was found."]
    if remarks := [*part, *answer["notes"]]:
        st.caption(markdown(" ".join(remarks)))


def verdict(answer: TransitionsAnswer, board: Board, heading: str) -> None:
    """Draw whether the model relies on grey transitions, and the numbers it rests on."""
    st.markdown(f"**{markdown(tables.verdict_sentence(answer))}**")
    notes(answer)
    table = tables.condition_table(answer)
    st.caption(table.caption)
    board.table(heading, table)
