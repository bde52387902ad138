"""The controls of fooling images: how they are made, of which classes, and what is done with them.

Pictures stand in the order of how sure the model is of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from diagnostics.data.image import encode_png
from diagnostics.report.fooling import charts, detection, tables
from diagnostics.report.table import Cell
from diagnostics.schema.options import Methods
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.request import INSPECT, OPEN, File, Options, Request, Result
from diagnostics.schema.spec import ModelSpec, Need
from diagnostics.text import markdown, shortened
from diagnostics.ui.dialogs import open_in_inspect
from diagnostics.ui.session.choices import choose, choose_many, remember
from diagnostics.ui.session.state import current_session
from diagnostics.ui.widgets import forms
from diagnostics.ui.widgets.board import Board, transient_picture
from diagnostics.ui.widgets.cost import cost_sentence
from diagnostics.ui.widgets.forms import Field
from diagnostics.ui.widgets.model_picker import named_models
from diagnostics.ui.widgets.run import try_request

Entry = Mapping[str, Any]

GRADIENT, EVOLUTION = "fooling/gradient_ascent", "fooling/map_elites"
WAYS = {
    "gradient": "Gradient ascent",
    "direct": "Evolution of pixels",
    "cppn": "Evolution of patterns",
}
ABOUT = {
    "gradient": "It begins with the mean colour and a grain of one grey level. Each step changes "
    "all pixels a little, so that the class gains most for the change.",
    "direct": "It begins with noise. The surest picture of each class has children, whose pixels "
    "are mixed and changed by chance; a child replaces the picture of every class that the model "
    "is surer of with it. No gradient is used.",
    "cppn": "As the evolution of pixels, but each picture is painted by a small network, which is "
    "what is mixed and changed. The pictures have shapes, edges and repetitions.",
}
STEPS = (100, 300, 1000, 2000)
GENERATIONS, QUICK_GENERATIONS = (20, 50, 200, 1000, 5000), 50
SECONDS = {30: "30 s", 120: "2 min", 600: "10 min", 3600: "1 h", 0: "no limit"}
MOST_SEED = 9999
ALL_CLASSES, FEW = 40, 4  # up to so many classes all are made at first, of more so many
SHOWN = (8, 32, 96)
IN_A_ROW, AT_ONCE, LIVE_PX = 8, 4, 240
WANTED, CHART_PX = "fooling.wanted", 520
ALPHA = 0.05  # share of known-good images that may be called strange


def asked(spec: ModelSpec, methods: Methods) -> Request | None:
    """Draw how pictures are made, what that costs, and the button; return the wanted question."""
    session = current_session()
    ways = dict(WAYS)
    if Need.GRADIENTS not in spec.offers:
        ways.pop("gradient")
        st.caption(f"No gradient ascent here: {markdown(spec.why_not(Need.GRADIENTS))}")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        way = choose("Way", "fooling.way", ways, "How the pictures are made.", width=210)
        options = _budget(way, methods)
        remember("fooling.seed", default=0, max_value=MOST_SEED)
        seed = int(
            st.number_input(
                "Seed",
                min_value=0,
                max_value=MOST_SEED,
                key="fooling.seed",
                help="Decides everything random: the same seed gives the same pictures.",
                width=120,
            )
        )
    classes = _classes(spec)
    st.caption(ABOUT[way])
    request = Request(
        GRADIENT if way == "gradient" else EVOLUTION,
        session.model,
        (),
        session.preprocessing or spec.preprocessing,
        options={**options, "targets": ",".join(map(str, classes))},
        seed=seed,
    )
    known = (session.results, session.partial_results, session.failures)
    if session.choices.get(WANTED) == request.key or any(request.key in one for one in known):
        return request
    n = len(classes) or len(spec.class_names)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Make the pictures",
            on_click=session.choices.__setitem__,
            args=(WANTED, request.key),
            type="primary",
        )
        if way == "gradient":
            passes = n * (options["steps"] + 1)
            st.caption(f"{cost_sentence(spec, backward=passes)} Most classes need fewer.")
        else:
            passes = options["children"] * (options["generations"] + 1)
            seconds = options["seconds"]
            until = f" It ends after {SECONDS[seconds]} at the latest." if seconds else ""
            st.caption(f"{cost_sentence(spec, forward=passes)}{until}")
    return None


def _budget(way: str, methods: Methods) -> dict[str, Any]:
    """Draw how long a way may work, and return its options."""
    if way == "gradient":
        steps = Field(
            help="How many at most; a class ends when the model is 99.99 % sure.",
            choices=STEPS,
            width=110,
        )
        return forms.options(methods[GRADIENT], {"steps": steps}, "fooling")
    info = methods[EVOLUTION]
    children = info.option("children").default
    fields = {
        "generations": Field(
            help=f"How many at most, of {children} pictures each.",
            choices=GENERATIONS,
            default=QUICK_GENERATIONS,
            width=130,
        ),
        "seconds": Field(
            "Time",
            "No generation begins later. It decides how far the work gets, never what comes out "
            "up to there.",
            choices=tuple(SECONDS),
            title=SECONDS.__getitem__,
            width=120,
        ),
    }
    options = forms.options(info, fields, "fooling")
    return {"encoding": way, "children": children, **options}


def _classes(spec: ModelSpec) -> list[int]:
    """Draw which classes are meant; return their indices, none for all."""
    shown = {str(place): name for place, name in enumerate(spec.class_names)}
    step = max(1, len(shown) // FEW)
    usual = [] if len(shown) <= ALL_CLASSES else list(shown)[::step][:FEW]
    label = f"Classes (none chosen: all {len(shown)})"
    return [int(one) for one in choose_many(label, "fooling.classes", shown, usual)]


def live(kept: Result, key: str) -> None:
    """Draw what is there so far.

    Args:
        kept: The answer so far.
        key: Another each time.
    """
    answer = kept.scores
    if picture := tables.so_far(answer, kept.arrays, LIVE_PX):
        transient_picture(picture)
    figure = charts.trace(answer, kept.arrays)
    title = f"Confidence (n = {len(answer['classes'])})"
    figure.update_layout(title=title, showlegend=False, height=LIVE_PX)
    st.plotly_chart(figure, key=key, config={"displayModeBar": False})


def made(request: Request) -> Result | None:
    """Ask for the pictures, and draw them as they come."""
    number = count()
    return try_request(request, st.empty(), lambda kept: live(kept, f"fooling.live.{next(number)}"))


def how_sure(answer: Result, board: Board, heading: str) -> None:
    """Draw how sure the model got, and how soon."""
    pair = st.container(horizontal=True)  # under each other where there is no room
    said, arrays = answer.scores, answer.arrays
    with pair.container(width=CHART_PX):
        figure = charts.trace(said, arrays)
        board.chart(heading, figure, tables.traced(said, arrays), "fooling.trace")
    with pair.container(width=CHART_PX):
        table = tables.numbers(said)
        board.chart(heading, charts.milestones(said), table, "fooling.milestones")


def gallery(answer: Result, settings: Preprocessing, board: Board, heading: str) -> list[Entry]:
    """Draw the surest pictures, and what can be done with one; return the classes shown.

    Args:
        answer: The pictures.
        settings: What images go through.
        board: Of the page.
        heading: Of the section.
    """
    said = answer.scores
    there = len(said["pictures"])
    counts = {str(one): str(one) for one in SHOWN if one < there} | {
        "all": f"all {there}" if there > 1 else "1"
    }
    with st.container(horizontal=True, vertical_alignment="bottom"):
        most = choose(
            "Pictures shown",
            "fooling.shown",
            counts,
            "The surest first. The sections below are about those that are shown.",
            width=130,
        )
        entries = tables.shown(said, there if most == "all" else int(most))
        remember("fooling.stretched", default=0, max_value=1)
        stretch = st.toggle(
            "Stretch the levels",
            key="fooling.stretched",
            help="Draws the darkest value of each picture black and the brightest white, so that "
            "what hardly differs can be seen. The pictures themselves stay as they are.",
        )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        _use(answer, entries, settings)
    cells = tables.gallery(said, answer.arrays, entries, stretch=stretch)
    if len(cells) > IN_A_ROW:  # the last row's pictures are as large as the others'
        cells += [Cell()] * (-len(cells) % IN_A_ROW)
    for first in range(0, len(cells), IN_A_ROW):
        board.row(heading, cells[first : first + IN_A_ROW], f"fooling.gallery.{first}")
    return entries


def _use(answer: Result, entries: Sequence[Entry], settings: Preprocessing) -> None:
    """Draw what can be done with a picture: look at it, pin it, save it."""
    session, shown = current_session(), {}
    for one in entries:
        name = shortened(one["class"], 20)
        shown[str(one["index"])] = f"{name}, {tables.sure(one)}"
    index = choose("Picture", "fooling.picture", shown, "Which one the buttons are about.")
    chosen = [one for one in entries if str(one["index"]) == index]
    if st.button("Open in Inspect", icon=":material/visibility:"):
        open_in_inspect.open_files(files(answer, chosen, settings))
    if st.button(
        "Pin",
        icon=":material/keep:",
        help="Takes it in hand as the image that the others are compared with.",
    ):
        for file in files(answer, chosen, settings):
            session.add_images([file])
            session.pinned = file.sha256
            session.choices["fooling.pinned"] = file.sha256
            st.rerun()
    st.download_button(
        "Save",
        encode_png(_flat(_pictures(answer)[int(index)])),
        f"{tables.file_name(answer.scores, chosen[0])}.png",
        "image/png",
        on_click="ignore",
        icon=":material/download:",
        help="The very picture that was measured, as lossless PNG.",
    )
    if len(entries) > 1 and st.button(f"Open the {min(AT_ONCE, len(entries))} surest"):
        open_in_inspect.open_files(files(answer, entries[:AT_ONCE], settings))
    if session.pinned and session.choices.get("fooling.pinned") == session.pinned:
        st.caption("Pinned: Inspect and Layers compare the other images with it.")


def files(
    answer: Result, entries: Sequence[Entry], settings: Preprocessing | None = None
) -> list[File]:
    """Return the pictures of some classes as files.

    Args:
        answer: Holds the pictures.
        entries: The classes.
        settings: What the pictures will go through, so that the network gets them as they are;
            None keeps them as they are.
    """
    pictures, named = _pictures(answer), tables.file_name
    made = [(pictures[one["index"]], named(answer.scores, one)) for one in entries]
    return open_in_inspect.picture_files(made, settings)


def _pictures(answer: Result) -> dict[int, NDArray[np.uint8]]:
    return dict(zip(answer.scores["pictures"], answer.arrays["pictures"], strict=True))


def _flat(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return pixels[..., 0] if pixels.shape[-1] == 1 else pixels


def strangeness(spec: ModelSpec, pictures: Sequence[File], reference: File | None) -> Request:
    """Return the question how strange the pictures are."""
    session = current_session()
    settings = session.preprocessing or spec.preprocessing
    options: Options = {"examined": False}
    return Request(
        "ood/detect",
        session.model,
        tuple(pictures),
        settings,
        options=options,
        reference=reference,
    )


def caught(judged: Entry, board: Board, heading: str) -> None:
    """Draw which score would have caught the pictures."""
    st.markdown(f"**{markdown(detection.caught_headline(judged, ALPHA))}**")
    table = detection.caught_numbers(judged, ALPHA)
    if judged["false_alarms"]["n"]:
        figure = charts.caught_by(judged, ALPHA)
        board.chart(heading, figure, table, "fooling.caught")
    else:
        st.caption("Add a folder of known-good images above to learn which scores catch these.")
        board.table(heading, table, folded=True)


def another_model(pictures: Sequence[File]) -> tuple[str, Result] | None:
    """Draw which other model is asked; return its name and what it says of the pictures."""
    session = current_session()
    named = named_models(session.models)
    others = {one.sha256: (name, one) for name, one in named.items() if one != session.model}
    names = {digest: name for digest, (name, _) in others.items()}
    chosen = choose(
        "Other model",
        "fooling.other",
        {"": "none", **names},
        "Models that were opened in this session, and the samples.",
        width=290,
    )
    if not chosen:
        st.caption(
            "Choose a model that is open in this session, or open one first: some pictures fool "
            "several models, others the one that they were made for."
        )
        return None
    name, model = others[chosen]
    if try_request(Request(OPEN, model), st.empty()) is None:
        return None
    options: Options = {"top": 3, "layers": (), "attributions": ()}
    answer = try_request(Request(INSPECT, model, tuple(pictures), options=options), st.empty())
    return None if answer is None else (name, answer)
