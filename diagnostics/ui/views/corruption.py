"""The controls of the page of sweeps: which axis, how far, which images, and what opens."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import streamlit as st

from diagnostics.corruptions.registry import AXES, Name
from diagnostics.data import samples
from diagnostics.report import pictures
from diagnostics.report.corruption import charts, heatmaps, quantiles, tables
from diagnostics.report.corruption.tables import Said, at
from diagnostics.schema.options import MethodInfo, Value
from diagnostics.schema.request import File, Request, Result
from diagnostics.schema.spec import ModelSpec
from diagnostics.text import markdown, shortened
from diagnostics.ui.dialogs import open_in_inspect
from diagnostics.ui.session.choices import choose, remembered
from diagnostics.ui.session.query_params import address
from diagnostics.ui.session.state import current_session
from diagnostics.ui.widgets import forms
from diagnostics.ui.widgets.board import Board
from diagnostics.ui.widgets.cost import cost
from diagnostics.ui.widgets.forms import Field
from diagnostics.ui.widgets.run import try_request

AXIS, IMAGE = "sweep.axis", "sweep.image"
EXAMPLE = "letter-x-blurred"  # of the samples, one that is worth looking at
STEPS = (11, 21)
MOST, QUICK_MOST = (32, 64, 128, 256, 512), 128
PROBED = 17  # questions about each image that tell transitions from range


def axis(spec: ModelSpec, info: MethodInfo) -> dict[str, Value]:
    """Draw which axis is swept and how far; return the options of the question."""
    first_run = AXIS not in current_session().choices
    with st.container(horizontal=True, vertical_alignment="bottom"):
        steps = Field(
            help="How many numbers between the two ends; the one that leaves images alone is "
            "added.",
            choices=STEPS,
            width=90,
        )
        fields = {"axis": _axes("What changes", spec, info.option("axis").choices), "steps": steps}
        options = forms.options(info, fields, "sweep")
        name: Name = options["axis"]
        chosen = AXES[name]
        low = _end("From", "sweep.from", name, chosen.usual[0], first_run=first_run)
        high = _end("To", "sweep.to", name, chosen.usual[1], first_run=first_run)
    st.caption(markdown(f"{chosen.title}: {chosen.about}"))
    return {**options, "start": f"{low:.9g}", "stop": f"{high:.9g}"}


def _axes(label: str, spec: ModelSpec, names: Sequence[Any]) -> Field:
    return Field(
        label,
        "It is done to what the network receives: values from 0 to 1, after all preprocessing.",
        choices=[name for name in names if spec.channels == 3 or not AXES[name].colour],
        title=lambda name: AXES[name].title,
        width=230,
    )


def _end(label: str, key: str, name: Name, usual: float, *, first_run: bool) -> float:
    """Draw one end of an axis, which is remembered with its axis."""
    kept, own = current_session().choices, f"{key}.{name}"
    low, high = map(float, AXES[name].limits)
    asked = st.query_params.get(key, "") if first_run else ""
    try:
        before = min(max(float(kept.get(own) or asked or usual), low), high)
    except ValueError:
        before = float(usual)
    if own not in st.session_state:
        st.session_state[own] = before
    value = float(
        st.number_input(
            label,
            low,
            high,
            key=own,
            format="%.4g",
            step=1.0 if AXES[name].whole else abs(AXES[name].usual[1] - AXES[name].usual[0]) / 20,
            width=150,
            help=f"In {AXES[name].unit}, from {low:g} to {high:g}.",
        )
    )
    kept[own] = repr(value)
    address(key, "" if value == usual else f"{value:.9g}")
    return value


def about_images(spec: ModelSpec, options: Mapping[str, Value]) -> Request:
    """Return the question about the images shown."""
    session = current_session()
    settings = session.preprocessing or spec.preprocessing
    return Request(
        "corruption/sweep", session.model, session.shown_images(), settings, options=dict(options)
    )


def one_image(answer: Said, asked: Request) -> int:
    """Draw which image is looked at; usually the first that changes its answer. Return its row."""
    images = answer["images"]
    usual = next((row for row, one in enumerate(images) if one.get("turns")), 0)
    ids = [image_id(one) for one in files_of(answer, asked)]
    shown = {own: shortened(one["file"], 32) for own, one in zip(ids, images, strict=True)}
    told = "The image whose confidence is drawn step by step."
    return ids.index(choose("Image", IMAGE, shown, told, first=ids[usual], width=260))


def files_of(answer: Said, asked: Request) -> list[File]:
    """Return the files that an answer's images were read from; unreadable ones have none."""
    left, found = list(asked.images), []
    for image in answer["images"]:
        found.append(next(one for one in left if one.name == image["file"]))
        left.remove(found[-1])
    return found


def image_id(file: File) -> str:
    """Return how an image is called in the address."""
    return file.sha256[:12]


def open_clicked(points: Sequence[Mapping[str, Any]], answer: Said, asked: Request) -> None:
    """Open the step whose mark was clicked, if one was."""
    if points and points[0].get("customdata"):
        row, place = points[0]["customdata"]
        _open(int(row), [int(place)], answer, asked)


def open_step(row: int, answer: Said, asked: Request, key: str) -> None:
    """Draw which step of an image to open in Inspect.

    Args:
        row: Of the image.
        answer: Of a sweep along one axis or two.
        asked: The question.
        key: Begins the widgets' keys.
    """
    axes, image = answer["axes"], answer["images"][row]
    if any(one["beyond"] for one in axes):
        st.caption(
            "A picture file holds no values beyond 0 to 1, so these steps cannot be opened in "
            "Inspect; its preprocessing, mean and std, changes the range there."
        )
        return
    turn = next(iter(image.get("turns", ())), None)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        places = [
            st.selectbox(
                one["title"],
                range(len(one["values"])),
                index=turn["place"] if turn else len(one["values"]) - 1,
                format_func=lambda place, one=one: at(one, place),
                key=f"{key}.{one['name']}.{row}.{len(one['values'])}",
                width=230,
            )
            for one in axes
        ]
        if st.button("Open this step in Inspect", key=f"{key}.open"):
            _open(row, places, answer, asked)
    if said := open_in_inspect.again(asked.preprocessing) if asked.preprocessing else "":
        st.caption(said)


def _open(row: int, places: Sequence[int], answer: Said, asked: Request) -> None:
    axes, image = answer["axes"], answer["images"][row]
    if any(one["beyond"] for one in axes):
        st.toast("These values go beyond 0 to 1, which a picture file cannot hold.")
        return
    pairs = list(zip(axes, places, strict=True))
    along = [[one["name"], one["values"][place]] for one, place in pairs]
    file = files_of(answer, asked)[row]
    only: dict[str, Value] = {"along": json.dumps([along])}
    request = replace(asked, method="corruption/sweep_images", images=(file,), options=only)
    found = try_request(request, st.empty())
    if found:
        step = ", ".join(at(one, place) for one, place in pairs)
        made = [(found.arrays["step/0"], f"{pictures.stem(image['file'])} at {step}")]
        open_in_inspect.inspect(open_in_inspect.pictures(made, asked.preprocessing))


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
    for key, value in ((AXIS, "threshold"), (IMAGE, image_id(file))):
        st.session_state[key] = current_session().choices[key] = value


def about_two(
    spec: ModelSpec, info: MethodInfo, options: Mapping[str, Any], file: File
) -> Request | None:
    """Draw which second axis is swept with the first; return the question once it is wanted."""
    names = [name for name in info.option("axis").choices if name != options["axis"]]
    first = "blur" if options["axis"] != "blur" else "contrast"
    names.sort(key=lambda name: name != first)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        fields = {"second": _axes("What changes besides", spec, names)}
        both = {**options, **forms.options(info, fields, "sweep")}
        remembered("sweep.two", usual=0, most=1)
        wanted = st.toggle("Both axes together", key="sweep.two")
    steps: Any = info.option("second_steps").default
    points = _points(options) * len(AXES[both["second"]].values(steps, None, None))
    if not wanted:
        st.caption(f"{cost(spec, forward=points)} About the one image chosen above.")
        return None
    return replace(about_images(spec, both), images=(file,))


def _points(options: Mapping[str, Any]) -> int:
    """Return how many steps a question asks for."""
    ends = (float(options["start"]), float(options["stop"]))
    return len(AXES[options["axis"]].values(options["steps"], *ends))


def about_many(spec: ModelSpec, info: MethodInfo, options: Mapping[str, Any]) -> Request | None:
    """Draw how many of the folder's images are swept; return the question once it is wanted."""
    most = _most(info, "sweep.most")
    passes = most * (_points(options) + 1)
    if not _wanted("Sweep the folder's images", "sweep.many", spec, passes):
        return None
    asked = about_images(spec, {**options, "images": "folder", "most": most})
    return replace(asked, images=(), folder=current_session().in_distribution)


def about_transitions(spec: ModelSpec, info: MethodInfo) -> Request | None:
    """Draw whether it is asked what the model relies on; return the question once it is."""
    session = current_session()
    of_folder = session.in_distribution is not None
    most = _most(info, "sweep.probed") if of_folder else len(session.shown)
    label = "Alter transitions and range, each alone"
    if not _wanted(label, "sweep.reading", spec, most * PROBED):
        return None
    options: dict[str, Value] = {"images": "folder", "most": most}
    asked = about_images(spec, options if of_folder else {"images": "in hand"})
    return replace(
        asked,
        method=info.id,
        images=() if of_folder else asked.images,
        folder=session.in_distribution,
    )


def _most(info: MethodInfo, key: str) -> int:
    field = Field(
        "Images at most",
        "How many of the folder's images, drawn at random; more make the intervals narrower.",
        choices=MOST,
        default=QUICK_MOST,
        key=key,
        width=150,
    )
    return int(forms.options(info, {"most": field})["most"])


def _wanted(label: str, key: str, spec: ModelSpec, passes: int) -> bool:
    remembered(key, usual=0, most=1)
    wanted = st.toggle(label, key=key)
    if not wanted:
        st.caption(f"{cost(spec, forward=passes)}")
    return wanted


def live() -> Callable[[Result], None]:
    """Return what draws the answers so far, of one axis or two."""
    drawn = itertools.count()

    def draw(so_far: Result) -> None:
        found, key = so_far.scores, f"sweep.live.{next(drawn)}"
        if found["images"]:
            two = len(found["axes"]) == 2
            figure = heatmaps.maps(0, found, found) if two else charts.strips(found)
        else:
            figure = quantiles.bands(found, stretch=False)
        st.plotly_chart(figure, key=key, config={"displayModeBar": False})

    return draw


def notes(answer: Said) -> None:
    """Say what should be known of the images, and whether an answer is not whole."""
    part = [] if answer["complete"] else ["Cancelled before the end; this is what was found."]
    if said := [*part, *answer["notes"]]:
        st.caption(markdown(" ".join(said)))


def reading(found: Said, board: Board, heading: str) -> None:
    """Draw whether the model relies on grey transitions, and the numbers it rests on."""
    st.markdown(f"**{markdown(tables.reading_sentence(found))}**")
    notes(found)
    table = tables.reading_numbers(found)
    st.caption(table.said)
    board.table(heading, table)
