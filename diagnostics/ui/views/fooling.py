"""Fooling images: the algorithm, the target classes, and what can be done with an image.

Images stand in the order of how sure the model is of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

import streamlit as st

from diagnostics.report.fooling import charts, detection, tables
from diagnostics.report.table import Cell
from diagnostics.schema.options import Methods
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.request import INSPECT, OPEN, File, Options, Request, Result
from diagnostics.schema.results.fooling import FoolingAnswer, FoolingClass
from diagnostics.schema.results.inspection import InspectAnswer
from diagnostics.schema.results.ood import DetectionAnswer
from diagnostics.schema.spec import ModelSpec, Need, read
from diagnostics.text import markdown, shortened
from diagnostics.ui.dialogs import open_in_inspect
from diagnostics.ui.session.choices import choose, choose_many, remember, toggle
from diagnostics.ui.session.state import current_session
from diagnostics.ui.widgets import forms
from diagnostics.ui.widgets.board import Board, transient_chart, transient_picture
from diagnostics.ui.widgets.cost import cost_sentence
from diagnostics.ui.widgets.forms import Field
from diagnostics.ui.widgets.model_picker import named_models
from diagnostics.ui.widgets.run import try_request

GRADIENT, EVOLUTION = "fooling/gradient_ascent", "fooling/map_elites"
ALGORITHMS = {
    "gradient": "Gradient ascent",
    "direct": "Evolution of pixels",
    "cppn": "Evolution of patterns",
}
SUMMARIES = {
    "gradient": "It begins with the mean colour and a grain of one grey level. Each step changes "
    "all pixels a little, so that the class gains most for the change.",
    "direct": "It begins with noise. The surest picture of each class has children, whose pixels "
    "are mixed and changed by chance; a child replaces the picture of every class that the model "
    "is surer of with it. No gradient is used.",
    "cppn": "As the evolution of pixels, but each picture is painted by a small network, which is "
    "what is mixed and changed. The pictures have shapes, edges and repetitions.",
}
STEPS = (100, 300, 1000, 2000)
GENERATIONS = (20, 50, 200, 1000, 5000)
SECONDS = {30: "30 s", 120: "2 min", 600: "10 min", 3600: "1 h", 0: "no limit"}
MAX_SEED = 9999
ALL_CLASSES, FEW = 40, 4  # up to so many classes all are made at first, of more so many
SHOWN = (8, 32, 96)
ROW_LENGTH, MAX_OPENED, LIVE_PX = 8, 4, 240
REQUESTED, PINNED = "fooling.wanted", "fooling.pinned"
CHART_PX = 520
ALPHA = 0.05  # share of in-distribution images that may be flagged


def fooling_request(spec: ModelSpec, methods: Methods) -> Request | None:
    """Draw how images are made, what that costs, and the button; return what was requested."""
    session = current_session()
    algorithms = dict(ALGORITHMS)
    if Need.GRADIENTS not in spec.offers:
        algorithms.pop("gradient")
        st.caption(f"No gradient ascent here: {markdown(spec.why_not(Need.GRADIENTS))}")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        algorithm = choose(
            "Way", "fooling.way", algorithms, "How the pictures are made.", width=210
        )
        options = _limits(algorithm, methods)
        remember("fooling.seed", default=0, max_value=MAX_SEED)
        seed = int(
            st.number_input(
                "Seed",
                min_value=0,
                max_value=MAX_SEED,
                key="fooling.seed",
                help="Decides everything random: the same seed gives the same pictures.",
                width=120,
            )
        )
    targets = _choose_targets(spec)
    st.caption(SUMMARIES[algorithm])
    request = Request(
        GRADIENT if algorithm == "gradient" else EVOLUTION,
        session.model,
        (),
        session.preprocessing or spec.preprocessing,
        options={**options, "targets": ",".join(map(str, targets))},
        seed=seed,
    )
    known = (session.results, session.partial_results, session.failures)
    if session.choices.get(REQUESTED) == request.key or any(request.key in one for one in known):
        return request
    n = len(targets) or len(spec.class_names)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Make the pictures",
            on_click=session.choices.__setitem__,
            args=(REQUESTED, request.key),
            type="primary",
        )
        if algorithm == "gradient":
            passes = n * (options["steps"] + 1)
            st.caption(f"{cost_sentence(spec, backward=passes)} Most classes need fewer.")
        else:
            passes = options["children"] * (options["generations"] + 1)
            seconds = options["seconds"]
            until = f" It ends after {SECONDS[seconds]} at the latest." if seconds else ""
            st.caption(f"{cost_sentence(spec, forward=passes)}{until}")
    return None


def _limits(algorithm: str, methods: Methods) -> dict[str, Any]:
    """Draw how long an algorithm may work, and return its options."""
    if algorithm == "gradient":
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
    return {"encoding": algorithm, "children": children, **options}


def _choose_targets(spec: ModelSpec) -> list[int]:
    """Draw which classes are targets; return their indices, none for all."""
    names = {str(index): name for index, name in enumerate(spec.class_names)}
    step = max(1, len(names) // FEW)
    default = [] if len(names) <= ALL_CLASSES else list(names)[::step][:FEW]
    label = f"Classes (none chosen: all {len(names)})"
    return [int(index) for index in choose_many(label, "fooling.classes", names, default)]


def run(request: Request) -> Result | None:
    """Make the images, and draw them as they come."""
    number = count()

    def draw(partial: Result) -> None:
        scores: FoolingAnswer = partial.scores
        if sheet := tables.contact_sheet(scores, partial.arrays, LIVE_PX):
            transient_picture(sheet)
        figure = charts.confidence_chart(scores, partial.arrays)
        title = f"Confidence (n = {len(scores['classes'])})"
        figure.update_layout(title=title, showlegend=False, height=LIVE_PX)
        transient_chart(figure, f"fooling.live.{next(number)}")

    return try_request(request, st.empty(), draw)


def draw_confidence(answer: Result, board: Board, heading: str) -> None:
    """Draw how sure the model got, and how soon."""
    pair = st.container(horizontal=True)  # under each other where there is no room
    scores: FoolingAnswer = answer.scores
    with pair.container(width=CHART_PX):
        figure = charts.confidence_chart(scores, answer.arrays)
        table = tables.trace_table(scores, answer.arrays)
        board.chart(heading, figure, table, "fooling.trace")
    with pair.container(width=CHART_PX):
        table = tables.class_table(scores)
        board.chart(heading, charts.milestones_chart(scores), table, "fooling.milestones")


def draw_gallery(
    answer: Result, settings: Preprocessing, board: Board, heading: str
) -> list[FoolingClass]:
    """Draw the surest images, and what can be done with one; return the classes shown.

    Args:
        answer: The images.
        settings: What images go through.
        board: Of the page.
        heading: Of the section.
    """
    scores: FoolingAnswer = answer.scores
    images = tables.images_by_class(scores, answer.arrays)
    counts = {str(n): str(n) for n in SHOWN if n < len(images)} | {
        "all": f"all {len(images)}" if len(images) > 1 else "1"
    }
    with st.container(horizontal=True, vertical_alignment="bottom"):
        most = choose(
            "Pictures shown",
            "fooling.shown",
            counts,
            "The surest first. The sections below are about those that are shown.",
            width=130,
        )
        classes = tables.classes_with_image(scores, len(images) if most == "all" else int(most))
        stretch = toggle(
            "Stretch the levels",
            "fooling.stretched",
            "Draws the darkest value of each picture black and the brightest white, so that "
            "what hardly differs can be seen. The pictures themselves stay as they are.",
        )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        _actions(answer, classes, settings)
    cells = tables.gallery_cells(scores, images, classes, stretch=stretch)
    if len(cells) > ROW_LENGTH:  # the last row's pictures are as large as the others'
        cells += [Cell()] * (-len(cells) % ROW_LENGTH)
    for first in range(0, len(cells), ROW_LENGTH):
        board.row(heading, cells[first : first + ROW_LENGTH], f"fooling.gallery.{first}")
    return classes


def _actions(answer: Result, classes: Sequence[FoolingClass], settings: Preprocessing) -> None:
    """Draw what can be done with an image: look at it, pin it, save it."""
    session, scores = current_session(), answer.scores
    titles = {
        str(one["index"]): f"{shortened(one['name'], 20)}, {tables.probability_text(one)}"
        for one in classes
    }
    index = choose("Picture", "fooling.picture", titles, "Which one the buttons are about.")
    (chosen,) = (one for one in classes if str(one["index"]) == index)
    if st.button("Open in Inspect", icon=":material/visibility:"):
        open_in_inspect.open_files(image_files(answer, [chosen], settings))
    if st.button(
        "Pin",
        icon=":material/keep:",
        help="Takes it in hand as the image that the others are compared with.",
    ):
        for file in image_files(answer, [chosen], settings):
            session.add_images([file])
            session.pinned = file.sha256
            session.choices[PINNED] = file.sha256
            st.rerun()
    st.download_button(
        "Save",
        open_in_inspect.png(tables.images_by_class(scores, answer.arrays)[int(index)]),
        f"{tables.image_name(scores, chosen)}.png",
        "image/png",
        on_click="ignore",
        icon=":material/download:",
        help="The very picture that was measured, as lossless PNG.",
    )
    if len(classes) > 1 and st.button(f"Open the {min(MAX_OPENED, len(classes))} surest"):
        open_in_inspect.open_files(image_files(answer, classes[:MAX_OPENED], settings))
    if session.pinned and session.choices.get(PINNED) == session.pinned:
        st.caption("Pinned: Inspect and Layers compare the other images with it.")


def image_files(
    answer: Result, classes: Sequence[FoolingClass], settings: Preprocessing | None = None
) -> list[File]:
    """Return the images of some classes as files.

    Args:
        answer: Holds the images.
        classes: Whose images.
        settings: What the images will go through, so that the network gets them as they are; None
            keeps them as they are.
    """
    scores: FoolingAnswer = answer.scores
    images = tables.images_by_class(scores, answer.arrays)
    named = [(images[one["index"]], tables.image_name(scores, one)) for one in classes]
    return open_in_inspect.picture_files(named, settings)


def detection_request(spec: ModelSpec, files: Sequence[File], reference: File | None) -> Request:
    """Return the request how far out of distribution the images are."""
    session = current_session()
    options: Options = {"examined": False}
    return Request(
        "ood/detect",
        session.model,
        tuple(files),
        session.preprocessing or spec.preprocessing,
        options=options,
        reference=reference,
    )


def draw_detection(answer: DetectionAnswer, board: Board, heading: str) -> None:
    """Draw which OOD score would have caught the images."""
    st.markdown(f"**{markdown(detection.detection_headline(answer, ALPHA))}**")
    table = detection.detection_table(answer, ALPHA)
    if answer["false_alarms"]["n"]:
        figure = charts.detection_chart(answer, ALPHA)
        board.chart(heading, figure, table, "fooling.caught")
    else:
        st.caption("Add a folder of known-good images above to learn which scores catch these.")
        board.table(heading, table, folded=True)


def draw_transfer(
    answer: Result, classes: Sequence[FoolingClass], board: Board, heading: str
) -> None:
    """Draw which other model is asked, and what it makes of the images.

    Args:
        answer: Holds the images.
        classes: Those whose images are shown.
        board: Of the page.
        heading: Of the section.
    """
    session = current_session()
    others = {
        model.sha256: (name, model)
        for name, model in named_models(session.models).items()
        if model != session.model
    }
    chosen = choose(
        "Other model",
        "fooling.other",
        {"": "none", **{digest: name for digest, (name, _) in others.items()}},
        "Models that were opened in this session, and the samples.",
        width=290,
    )
    if not chosen:
        st.caption(
            "Choose a model that is open in this session, or open one first: some pictures fool "
            "several models, others the one that they were made for."
        )
        return
    name, model = others[chosen]
    if try_request(Request(OPEN, model), st.empty()) is None:
        return
    options: Options = {"top": 3, "layers": (), "attributions": ()}
    files = tuple(image_files(answer, classes))
    inspected = try_request(Request(INSPECT, model, files, options=options), st.empty())
    if inspected is None:
        return
    scores: InspectAnswer = inspected.scores
    transfers = detection.transfers(classes, scores, inspected.arrays)
    st.markdown(f"**{markdown(detection.transfer_headline(transfers, name))}**")
    st.caption(markdown(detection.size_note(read(answer.scores["model"]), read(scores["model"]))))
    board.table(heading, detection.transfer_table(transfers))
