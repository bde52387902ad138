"""The controls of the sufficient pixels: what is searched, the player, and other models beside."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import streamlit as st

from diagnostics.data import samples
from diagnostics.report.sufficient_pixels import charts, tables
from diagnostics.report.sufficient_pixels.charts import Arrays
from diagnostics.schema.ensemble import why_apart
from diagnostics.schema.options import Methods
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.request import OPEN, ModelSource, Request, Result
from diagnostics.schema.results.sufficient_pixels import SufficientPixels, SufficientPixelsAnswer
from diagnostics.schema.spec import ModelSpec, Need, read
from diagnostics.schema.sufficient_pixels import (
    FILLS,
    Passes,
    batched_passes,
    default_step,
    exact_passes,
)
from diagnostics.text import counted, markdown, shortened
from diagnostics.ui.dialogs import open_in_inspect
from diagnostics.ui.dialogs.open_model import open_model
from diagnostics.ui.session.choices import choose, remember
from diagnostics.ui.session.query_params import set_query_param
from diagnostics.ui.session.state import current_session
from diagnostics.ui.widgets import forms
from diagnostics.ui.widgets.board import Board, picture_source
from diagnostics.ui.widgets.cost import cost_sentence
from diagnostics.ui.widgets.forms import Field
from diagnostics.ui.widgets.model_picker import pick_models, pick_target
from diagnostics.ui.widgets.run import try_request

FOLDER = Path(__file__).parent / "player"
BOX_PX, EXACT_PIXELS = 448, 1024
PREFIX = "sufficient"
SOUGHT = {
    "tau": Field(
        "Threshold",
        "The probability that the kept pixels must reach by themselves.",
        choices=(0.5, 0.9, 0.99, 0.999),
        title=lambda share: f"{100 * share:g} %",
        width=110,
    ),
    "fill": Field(help="What stands where a pixel is removed.", title=FILLS.__getitem__),
}
HOW_MANY = {
    "subsets": Field(
        "Disjoint subsets",
        "Further subsets are looked for in what the ones before left.",
        choices=(1, 2, 3, 5),
        width=130,
    )
}
CONTROLS = {
    "controls": Field(
        "Run the four controls",
        "The blank image, other fills, a widened subset, and wrong classes. Without them a small "
        "subset cannot be told from the mask's own doing.",
    )
}
GRADIENT, EXACT = "sufficient_pixels/batched_gradient", "sufficient_pixels/exact"
EXAMPLE = "Example: three pixels of an x"
RUN, EXAMPLE_WANTED = "sufficient.run", "sufficient.example"
MODELS_WANTED = "sufficient.models"
SOLVES = "ROAD takes longer than the passes: it solves a system of equations at every step."
OWN_CHOICES = ("tau", "fill", "depth", "subsets", "image", "controls", "boxed")


def about(spec: ModelSpec, methods: Methods) -> Request | None:
    """Draw what is searched and how; return the question, None where the model cannot be asked."""
    session, info = current_session(), methods[GRADIENT]
    files = session.shown_images()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        shown = {str(place): shortened(one.name, 28) for place, one in enumerate(files)}
        image = choose("Image", "sufficient.image", shown, "The one image that is searched.")
        target = pick_target(spec)
        options = forms.options(info, SOUGHT, PREFIX)
        depths = _depths(spec)
        if not depths:
            st.caption(markdown(_why_not(spec)))
            return None
        help_text = "How finely pixels are removed. Finer finds smaller subsets and takes longer."
        depth = choose("Search", "sufficient.depth", depths, help_text)
        options |= forms.options(info, HOW_MANY, PREFIX)
    with st.container(horizontal=True, vertical_alignment="center"):
        options |= forms.options(info, CONTROLS, PREFIX)
        options["box"] = _box()
    settings = session.preprocessing or spec.preprocessing
    if depth != "exact":
        options["step"] = default_step(spec.height * spec.width, full=depth == "full")
    method = EXACT if depth == "exact" else GRADIENT
    return Request(method, session.model, (files[int(image)],), settings, target, options=options)


def _depths(spec: ModelSpec) -> dict[str, str]:
    """Return the searches that this model can answer, by id."""
    pixels, found = spec.height * spec.width, {}
    if Need.GRADIENTS in spec.offers:
        quick, full = default_step(pixels), default_step(pixels, full=True)
        found = {"preview": f"preview: {quick} px at a time", "full": f"full: {full} px at a time"}
        if quick == full:
            found.pop("full")
    if pixels <= EXACT_PIXELS:
        found["exact"] = "exact: every pixel tried"
    return found


def _why_not(spec: ModelSpec) -> str:
    return (
        f"The search needs gradients, which this model does not offer: "
        f"{spec.why_not(Need.GRADIENTS)} The exact search needs none, but takes too many passes "
        f"for {spec.width} × {spec.height} pixels."
    )


def _box() -> str:
    """Draw where the object is; return the box as the method takes it, empty without one."""
    remember("sufficient.boxed", default=0, max_value=1)
    boxed = st.toggle(
        "Say where the object is",
        key="sufficient.boxed",
        help="Tests whether what lies outside your box drives the answer: once with the box "
        "hidden, once with all else hidden.",
    )
    if not boxed:
        return ""
    for name, usual in (("left", 20), ("right", 80), ("top", 20), ("bottom", 80)):
        key = f"sufficient.{name}"
        remember(key, default=usual, max_value=100)
        st.number_input(f"{name.capitalize()}, %", 0, 100, key=key, width=110)
    sides = ("left", "top", "right", "bottom")
    return ",".join(str(int(st.session_state[f"sufficient.{one}"])) for one in sides)


def wanted(asked: Request, spec: ModelSpec) -> bool:
    """Draw the cost, the button that begins, and the example; return whether it was pressed."""
    session = current_session()
    example = st.session_state.pop(EXAMPLE_WANTED, False)
    mark = asked.key[:12]
    if example or st.query_params.get(RUN) == mark:
        session.choices[RUN] = mark
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Search",
            key="sufficient.search",
            type="primary",
            on_click=session.choices.__setitem__,
            args=(RUN, mark),
        )
        st.button(EXAMPLE, key="sufficient.show", on_click=_example)
        st.caption(markdown(_cost(asked, spec)), width="content")
    pressed = session.choices.get(RUN) == mark or asked.key in session.results
    set_query_param(RUN, mark if pressed else "")
    return pressed


def _example() -> None:
    """Take the sample model and an x in hand, with the usual settings, and begin."""
    session = current_session()
    session.select_model(ModelSource(samples.model_files()[samples.FIRST_MODEL]))
    session.pinned = ""
    session.add_images([samples.image_files()[samples.FIRST_IMAGES[0]]])
    for name in (*(f"sufficient.{one}" for one in OWN_CHOICES), "class"):
        st.session_state.pop(name, None)
        session.choices.pop(name, None)
        session.positions.pop(name, None)
        set_query_param(name, "")
    st.session_state[EXAMPLE_WANTED] = True


def _cost(asked: Request, spec: ModelSpec) -> str:
    forward, back = _passes(asked, spec)
    with_controls = ", all four controls included" if asked.options["controls"] else ""
    said = cost_sentence(spec, forward=forward, backward=back)
    solved = f" {SOLVES}" if asked.options["fill"] == "road" else ""
    return f"{said.removesuffix('.')} at most{with_controls}.{solved}"


def _passes(asked: Request, spec: ModelSpec) -> Passes:
    pixels, classes = spec.height * spec.width, len(spec.class_names)
    subsets, controls = int(str(asked.options["subsets"])), bool(asked.options["controls"])
    if asked.method == EXACT:
        has_gradients = Need.GRADIENTS in spec.offers
        return exact_passes(
            pixels, subsets=subsets, controls=controls, classes=classes, has_gradients=has_gradients
        )
    step = int(str(asked.options["step"]))
    return batched_passes(pixels, step, subsets=subsets, controls=controls, classes=classes)


def live(asked: Request) -> Callable[[Result], None]:
    """Return what draws a search as far as it is."""
    drawn = itertools.count()

    def draw(result: Result) -> None:
        scores: SufficientPixelsAnswer = result.scores
        one, arrays = scores["images"][0], tables.image_arrays(result.arrays, 0)
        if "kept_counts/0" not in arrays or not len(arrays["kept_counts/0"]):
            return
        left = arrays["kept_counts/0"][-1]
        st.caption(f"{left} of {one['pixels']} pixels are left in the first search.")
        st.plotly_chart(
            charts.partial_curve(one, arrays),
            key=f"sufficient.live.{asked.key[:12]}.{next(drawn)}",
            config={"displayModeBar": False},
        )

    return draw


def play(one: SufficientPixels, arrays: Arrays, key: str) -> None:
    """Draw the player: a slider that removes pixels, and the curve of confidence beside it."""
    source = picture_source(charts.received_picture(arrays["pixels"], one["file"], one["file"]))
    data = charts.player_data(one, arrays)
    _component()(
        data={**data, "source": source, "box": BOX_PX, "key": key[:16]}, key="sufficient.player"
    )


def _component() -> Any:
    return st.components.v2.component(
        "oversure_player",
        css=(FOLDER / "player.css").read_text("utf-8"),
        js=(FOLDER / "player.js").read_text("utf-8"),
    )


def open_alone(one: SufficientPixels, arrays: Arrays, asked: Request) -> None:
    """Draw a button that opens what the network received of the kept pixels in Inspect."""
    if "kept_only/0" not in arrays or not one["size"]:
        return
    if asked.preprocessing and (said := open_in_inspect.reprocessing_note(asked.preprocessing)):
        st.caption(said)
    if st.button("Open the kept pixels in Inspect", key="sufficient.open"):
        name = f"{one['size']} pixels of {Path(one['file']).stem}"
        open_in_inspect.open_files(
            open_in_inspect.picture_files([(arrays["kept_only/0"], name)], asked.preprocessing)
        )


def beside(asked: Request, spec: ModelSpec) -> list[tuple[str, SufficientPixels]] | None:
    """Draw which other models are searched too; return what was found, None until it is wanted."""
    chosen = pick_models(open_model)
    if len(chosen) < 2:
        st.caption("Choose two models or more: each is searched alike, and their ensemble.")
        return None
    specs = {name: _spec(model) for name, model in chosen.items()}
    known = {name: one for name, one in specs.items() if one is not None}
    models = {name: chosen[name] for name in known}
    why = why_apart(list(known.values())) if len(known) > 1 else ""
    alone = [model for model in models.values() if not model.others]
    if why:
        st.caption(markdown(f"No ensemble: {why}"))
    elif len(alone) > 1:
        first, *rest = alone
        models["ensemble of these"] = replace(first, others=tuple(rest))
    questions = {
        name: _asked_of(model, asked, spec, known.get(name)) for name, model in models.items()
    }
    mark = hashlib.sha256(" ".join(one.key for one in questions.values()).encode()).hexdigest()
    st.button(
        "Search on these models",
        key="sufficient.beside",
        on_click=current_session().choices.__setitem__,
        args=(MODELS_WANTED, mark),
        help="Each model is asked with its own preprocessing; the ensemble is the mean of their "
        "logits.",
    )
    st.caption(
        f"{counted(len(questions), 'search', 'searches')} of the size of the one above; one "
        "trained with input dropout is told from the others only by its name."
    )
    if current_session().choices.get(MODELS_WANTED) != mark:
        return None
    return answers(questions)


def _spec(model: ModelSource) -> ModelSpec | None:
    answer = try_request(Request(OPEN, model), st.empty())
    return read(answer.scores["model"]) if answer else None


def _asked_of(
    model: ModelSource, asked: Request, spec: ModelSpec, own: ModelSpec | None
) -> Request:
    """Return the same question to another model; a class keeps its number where it has its name."""
    if model == asked.model:
        return asked
    same = own is None or own.class_names == spec.class_names
    options = dict(asked.options)
    if own is not None and "step" in options:
        options["step"] = (
            0 if options["step"] == default_step(spec.height * spec.width) else options["step"]
        )
    target = asked.target if same else None
    return replace(asked, model=model, preprocessing=None, target=target, options=options)


def answers(questions: Mapping[str, Request]) -> list[tuple[str, SufficientPixels]]:
    """Ask every model its question; return what was found for its image, by the models' names."""
    found: list[tuple[str, SufficientPixels]] = []
    for name, question in questions.items():
        answer = try_request(question, st.empty(), live(question))
        if answer is not None:
            scores: SufficientPixelsAnswer = answer.scores
            found += [(name, image) for image in scores["images"][:1]]
    return found


def sufficing(
    spec: ModelSpec,
    board: Board,
    heading: str,
    chosen: Mapping[str, ModelSource],
    compared: Mapping[str, Result],
) -> None:
    """Draw which few pixels of one image suffice for each model, once that is wanted.

    Args:
        spec: The model in hand, by which the cost is told.
        board: Of the page.
        heading: Of the section.
        chosen: The models by their names.
        compared: The answers of those that answered.
    """
    session = current_session()

    def own(model: ModelSource) -> Preprocessing | None:
        return session.preprocessing if model == session.model else None

    files = session.shown_images()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        shown = {str(place): shortened(one.name, 28) for place, one in enumerate(files)}
        image = choose("Image", "compare.image", shown, "The one image that is searched.")
        remember("compare.sufficient", default=0, max_value=1)
        wanted = st.toggle(
            "Search each model",
            key="compare.sufficient",
            help="Pixels are removed in the usual way, with the four controls; the page of "
            "sufficient pixels has every setting.",
        )
    if not wanted:
        size = spec.height * spec.width
        forward, back = batched_passes(size, default_step(size), classes=len(spec.class_names))
        st.caption(f"For the model in hand: {cost_sentence(spec, forward=forward, backward=back)}")
        return
    questions = {
        name: Request(GRADIENT, model, (files[int(image)],), own(model))
        for name, model in chosen.items()
        if name in compared
    }
    found = answers(questions)
    if not found:
        return
    st.markdown(f"**{markdown(tables.comparison_text(found))}**")
    for name, one in found:
        answer = session.results.get(questions[name].key)
        if answer is not None and not one["error"]:
            cells = tables.picture_cells(one, tables.image_arrays(answer.arrays, 0))
            board.row(heading, cells, f"compare.sufficient.{name}", title=name)
    board.table(heading, tables.comparison_table(found))
