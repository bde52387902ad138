"""The lesson of the page of sweeps: the letter experiment."""

from __future__ import annotations

import streamlit as st

from diagnostics.data import samples
from diagnostics.report.corruption import lesson
from diagnostics.report.inspection import layers as layer_rows
from diagnostics.schema.layouts import representative
from diagnostics.schema.request import INSPECT, ModelSource, Options, Request, Result
from diagnostics.schema.results.inspection import InspectAnswer
from diagnostics.schema.spec import ModelSpec
from diagnostics.text import markdown
from diagnostics.ui.session.choices import choose, choose_many, toggle
from diagnostics.ui.session.state import current_session
from diagnostics.ui.widgets.board import Board
from diagnostics.ui.widgets.run import try_request

ENABLED, LETTERS = "sweep.lesson", ("letter-x-fuzzy", "letter-p-fuzzy")
SLOPES, DEFAULT_SLOPE = (5, 10, 25, 50, 100), "25"
MAX_IMAGES, TOP, MAX_LAYERS = 2, 3, 8
ABOUT = (
    "A well-known experiment put a letter through a steep contrast curve, saw the network's "
    "answer fall apart, and concluded that the network had learned the fuzzy edges. But its curve "
    "also took the values from 0…255 to 0…1. Here the two are altered apart."
)


def show(spec: ModelSpec, board: Board, heading: str) -> None:
    """Draw the experiment on the first two images shown, once it is wanted."""
    st.markdown(ABOUT)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.button(
            "Show it with the drawn x and p",
            on_click=_take_letters,
            key="sweep.letters",
            help="Takes the sample model and two drawn letters in hand.",
        )
        enabled = toggle("Show it with the images in hand", ENABLED)
        if not enabled or not current_session().shown:
            return
        slope = choose(
            "Slope of the curve",
            "sweep.lesson.slope",
            {str(slope): str(slope) for slope in SLOPES},
            "Of the logistic curve at 0.5; the experiment had 25.",
            default=DEFAULT_SLOPE,
            width=170,
        )
        layers = _layers(spec)
    answers = _answers(spec, float(slope), layers)
    if len(answers) < len(lesson.DESCRIPTIONS):
        return
    scores: InspectAnswer = answers[lesson.AS_IT_IS].scores
    for index, image in enumerate(scores["images"]):
        _show_image(image["file"], index, answers, layers, board, heading)


def _layers(spec: ModelSpec) -> tuple[str, ...]:
    names = {layer.name: layer.name for layer in spec.layers}
    if not names:
        return ()
    first = list(representative(spec.layers, (spec.height, spec.width)))[:MAX_LAYERS]
    chosen = choose_many("Layers", "layers", names, first, max_selections=12)
    return tuple(name for name in names if name in chosen)


def _answers(spec: ModelSpec, slope: float, layers: tuple[str, ...]) -> dict[str, Result]:
    """Ask about every variant; those that fail say why."""
    session = current_session()
    settings, answers = session.preprocessing or spec.preprocessing, {}
    options: Options = {"top": TOP, "layers": layers, "attributions": ()}
    images = session.shown_images()[:MAX_IMAGES]
    for name, variant in lesson.variants(settings, slope).items():
        request = Request(INSPECT, session.model, images, variant, options=options)
        answer = try_request(request, st.empty())
        if answer is not None:
            answers[name] = answer
    return answers


def _show_image(
    file: str,
    index: int,
    answers: dict[str, Result],
    layers: tuple[str, ...],
    board: Board,
    heading: str,
) -> None:
    images, arrays = lesson.side_by_side(answers, index)
    first = answers[lesson.AS_IT_IS]
    st.markdown(f"**{markdown(lesson.sentence(file, images))}**")
    key = f"sweep.lesson.{index}"
    board.row(
        heading, lesson.predictions(images, arrays, first), f"{key}.said", title="What it says"
    )
    if any(image["error"] for image in images):
        return
    cells = lesson.network_inputs(images, arrays)
    board.row(heading, cells, f"{key}.received", title="What the network receives")
    for name in layers:
        cells = lesson.layer(images, arrays, name, first)
        title = layer_rows.heading(images, name, pinned=False)
        board.row(heading, cells, f"{key}.{name}", title=title)


def _take_letters() -> None:
    session, images = current_session(), samples.image_files()
    model = ModelSource(samples.model_files()[samples.FIRST_MODEL])
    if session.model != model:
        session.select_model(model)
    session.add_images([images[name] for name in LETTERS])
    st.session_state[ENABLED] = True
