"""Sufficient pixels: what is searched, the player, and other models beside."""

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
from diagnostics.schema.request import OPEN, File, ModelSource, Request, Result
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
from diagnostics.ui.session.choices import choose, remember, toggle
from diagnostics.ui.session.query_params import set_query_param
from diagnostics.ui.session.state import current_session
from diagnostics.ui.widgets import forms
from diagnostics.ui.widgets.board import Board, picture_source, transient_chart
from diagnostics.ui.widgets.cost import cost_sentence
from diagnostics.ui.widgets.forms import Field
from diagnostics.ui.widgets.model_picker import pick_models, pick_target
from diagnostics.ui.widgets.run import try_request

PLAYER = Path(__file__).parent / "player"
PLAYER_PX, MAX_EXACT_PIXELS = 448, 1024
PREFIX = "sufficient"
CRITERION = {
    "tau": Field(
        "Threshold",
        "The probability that the kept pixels must reach by themselves.",
        choices=(0.5, 0.9, 0.99, 0.999),
        title=lambda share: f"{100 * share:g} %",
        width=110,
    ),
    "fill": Field(help="What stands where a pixel is removed.", title=FILLS.__getitem__),
}
SUBSETS = {
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
RUN, RUN_EXAMPLE = "sufficient.run", "sufficient.example"
RUN_MODELS = "sufficient.models"
ROAD_NOTE = "ROAD takes longer than the passes: it solves a system of equations at every step."
CHOICES = ("tau", "fill", "depth", "subsets", "image", "controls", "boxed")


def search_request(spec: ModelSpec, methods: Methods) -> Request | None:
    """Draw what is searched and how; return the request, None where the model does not offer it."""
    session, info = current_session(), methods[GRADIENT]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        image = _choose_image("sufficient.image")
        target = pick_target(spec)
        options = forms.options(info, CRITERION, PREFIX)
        depths = _depths(spec)
        if not depths:
            st.caption(markdown(_why_not(spec)))
            return None
        help_text = "How finely pixels are removed. Finer finds smaller subsets and takes longer."
        depth = choose("Search", "sufficient.depth", depths, help_text)
        options |= forms.options(info, SUBSETS, PREFIX)
    with st.container(horizontal=True, vertical_alignment="center"):
        options |= forms.options(info, CONTROLS, PREFIX)
        options["box"] = _box()
    settings = _recipe(spec)
    if depth != "exact":
        options["step"] = default_step(settings.pixels, full=depth == "full")
    method = EXACT if depth == "exact" else GRADIENT
    return Request(method, session.model, (image,), settings, target, options=options)


def _choose_image(key: str) -> File:
    """Draw which of the images is searched."""
    files = current_session().shown_images()
    names = {str(index): shortened(file.name, 28) for index, file in enumerate(files)}
    return files[int(choose("Image", key, names, "The one image that is searched."))]


def _depths(spec: ModelSpec) -> dict[str, str]:
    """Return the searches that this model offers, by id."""
    pixels, depths = _recipe(spec).pixels, {}
    if Need.GRADIENTS in spec.offers:
        preview, full = default_step(pixels), default_step(pixels, full=True)
        depths["preview"] = f"preview: {preview} px at a time"
        if full != preview:
            depths["full"] = f"full: {full} px at a time"
    if pixels <= MAX_EXACT_PIXELS:
        depths["exact"] = "exact: every pixel tried"
    return depths


def _why_not(spec: ModelSpec) -> str:
    return (
        f"The search needs gradients, which this model does not offer: "
        f"{spec.why_not(Need.GRADIENTS)} The exact search needs none, but takes too many passes "
        f"for {_recipe(spec).width} × {_recipe(spec).height} pixels."
    )


def _recipe(spec: ModelSpec) -> Preprocessing:
    """Return the preprocessing in force, which says how many pixels the network receives."""
    return current_session().preprocessing or spec.preprocessing


def _box() -> str:
    """Draw where the object is; return the box as the method takes it, empty without one."""
    boxed = toggle(
        "Say where the object is",
        "sufficient.boxed",
        "Tests whether what lies outside your box drives the answer: once with the box "
        "hidden, once with all else hidden.",
    )
    if not boxed:
        return ""
    for side, default in (("left", 20), ("right", 80), ("top", 20), ("bottom", 80)):
        key = f"sufficient.{side}"
        remember(key, default=default, max_value=100)
        st.number_input(f"{side.capitalize()}, %", 0, 100, key=key, width=110)
    sides = ("left", "top", "right", "bottom")
    return ",".join(str(int(st.session_state[f"sufficient.{side}"])) for side in sides)


def start(request: Request, spec: ModelSpec) -> bool:
    """Draw the cost, the button that begins, and the example; return whether to search."""
    session = current_session()
    example = st.session_state.pop(RUN_EXAMPLE, False)
    mark = request.key[:12]
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
        st.button(EXAMPLE, key="sufficient.show", on_click=_run_example)
        st.caption(markdown(_cost(request, spec)), width="content")
    started = session.choices.get(RUN) == mark or request.key in session.results
    set_query_param(RUN, mark if started else "")
    return started


def _run_example() -> None:
    """Select the sample model and an x, with the default settings, and begin."""
    session = current_session()
    session.select_model(ModelSource(samples.model_files()[samples.FIRST_MODEL]))
    session.pinned = ""
    session.add_images([samples.image_files()[samples.FIRST_IMAGES[0]]])
    for key in (*(f"sufficient.{name}" for name in CHOICES), "class"):
        st.session_state.pop(key, None)
        session.choices.pop(key, None)
        session.positions.pop(key, None)
        set_query_param(key, "")
    st.session_state[RUN_EXAMPLE] = True


def _cost(request: Request, spec: ModelSpec) -> str:
    passes = _passes(request, spec)
    sentence = cost_sentence(spec, forward=passes.forward, backward=passes.both)
    controls = ", all four controls included" if request.options["controls"] else ""
    road = f" {ROAD_NOTE}" if request.options["fill"] == "road" else ""
    return f"{sentence.removesuffix('.')} at most{controls}.{road}"


def _passes(request: Request, spec: ModelSpec) -> Passes:
    pixels, classes = _recipe(spec).pixels, len(spec.class_names)
    subsets, controls = int(str(request.options["subsets"])), bool(request.options["controls"])
    if request.method == EXACT:
        return exact_passes(
            pixels,
            subsets=subsets,
            controls=controls,
            classes=classes,
            has_gradients=Need.GRADIENTS in spec.offers,
        )
    step = int(str(request.options["step"]))
    return batched_passes(pixels, step, subsets=subsets, controls=controls, classes=classes)


def partial_chart(request: Request) -> Callable[[Result], None]:
    """Return what draws a search as far as it is."""
    numbers = itertools.count()

    def draw(partial: Result) -> None:
        scores: SufficientPixelsAnswer = partial.scores
        image, arrays = scores["images"][0], tables.image_arrays(partial.arrays, 0)
        if "kept_counts/0" not in arrays or not len(arrays["kept_counts/0"]):
            return
        left = arrays["kept_counts/0"][-1]
        st.caption(f"{left} of {image['pixels']} pixels are left in the first search.")
        key = f"sufficient.live.{request.key[:12]}.{next(numbers)}"
        transient_chart(charts.partial_curve(image, arrays), key)

    return draw


def draw_player(image: SufficientPixels, arrays: Arrays, key: str) -> None:
    """Draw the player: a slider that removes pixels, and the curve of confidence beside it.

    Args:
        image: The image's part of the answer.
        arrays: The image's arrays.
        key: Of the request; the player begins anew with another.
    """
    name = image["file"]
    source = picture_source(charts.received_picture(arrays["pixels"], name, name))
    data = charts.player_data(image, arrays)
    _component()(
        data={**data, "source": source, "box": PLAYER_PX, "key": key[:16]}, key="sufficient.player"
    )


def _component() -> Any:
    return st.components.v2.component(
        "oversure_player",
        css=(PLAYER / "player.css").read_text("utf-8"),
        js=(PLAYER / "player.js").read_text("utf-8"),
    )


def offer_kept_pixels(image: SufficientPixels, arrays: Arrays, request: Request) -> None:
    """Draw a button that opens what the network received of the kept pixels in Inspect."""
    if "kept_only/0" not in arrays or not image["size"]:
        return
    settings = request.preprocessing
    if settings and (note := open_in_inspect.reprocessing_note(settings)):
        st.caption(note)
    if st.button("Open the kept pixels in Inspect", key="sufficient.open"):
        name = f"{image['size']} pixels of {Path(image['file']).stem}"
        picture = (arrays["kept_only/0"], name)
        open_in_inspect.open_files(open_in_inspect.picture_files([picture], settings))


def search_models(request: Request, spec: ModelSpec) -> list[tuple[str, SufficientPixels]] | None:
    """Draw which other models are searched too; return their answers, None until it is started.

    Args:
        request: The search on the model of the page.
        spec: That model.

    Returns:
        Name of each model, and the image's part of its answer.
    """
    chosen = pick_models(open_model)
    if len(chosen) < 2:
        st.caption("Choose two models or more: each is searched alike, and their ensemble.")
        return None
    opened = {name: _spec(model) for name, model in chosen.items()}
    specs = {name: its for name, its in opened.items() if its is not None}
    models = {name: chosen[name] for name in specs}
    why = why_apart(list(specs.values())) if len(specs) > 1 else ""
    single = [model for model in models.values() if not model.others]
    if why:
        st.caption(markdown(f"No ensemble: {why}"))
    elif len(single) > 1:
        first, *rest = single
        models["ensemble of these"] = replace(first, others=tuple(rest))
    requests = {
        name: _request_to(model, request, spec, specs.get(name)) for name, model in models.items()
    }
    mark = hashlib.sha256(" ".join(its.key for its in requests.values()).encode()).hexdigest()
    st.button(
        "Search on these models",
        key="sufficient.beside",
        on_click=current_session().choices.__setitem__,
        args=(RUN_MODELS, mark),
        help="Each model is asked with its own preprocessing; the ensemble is the mean of their "
        "logits.",
    )
    st.caption(
        f"{counted(len(requests), 'search', 'searches')} of the size of the one above; one "
        "trained with input dropout is told from the others only by its name."
    )
    if current_session().choices.get(RUN_MODELS) != mark:
        return None
    return _run_all(requests)


def _spec(model: ModelSource) -> ModelSpec | None:
    answer = try_request(Request(OPEN, model), st.empty())
    return read(answer.scores["model"]) if answer else None


def _request_to(
    model: ModelSource, request: Request, spec: ModelSpec, other: ModelSpec | None
) -> Request:
    """Return the same search on another model; a class keeps its index where it has its name.

    Args:
        model: The other model.
        request: The search on the model of the page.
        spec: Of the model of the page.
        other: Of the other model; None for an ensemble.
    """
    if model == request.model:
        return request
    options = dict(request.options)
    if other is not None and options.get("step") == default_step(_recipe(spec).pixels):
        options["step"] = 0
    same_classes = other is None or other.class_names == spec.class_names
    target = request.target if same_classes else None
    return replace(request, model=model, preprocessing=None, target=target, options=options)


def _run_all(requests: Mapping[str, Request]) -> list[tuple[str, SufficientPixels]]:
    """Search every model; return the image's part of each answer, by the models' names."""
    images: list[tuple[str, SufficientPixels]] = []
    for name, request in requests.items():
        answer = try_request(request, st.empty(), partial_chart(request))
        if answer is not None:
            scores: SufficientPixelsAnswer = answer.scores
            images += [(name, image) for image in scores["images"][:1]]
    return images


def draw_comparison(
    spec: ModelSpec, models: Mapping[str, ModelSource], board: Board, heading: str
) -> None:
    """Draw which few pixels of one image suffice for each model, once that is chosen.

    Args:
        spec: The model of the page, by which the cost is told.
        models: Those that are compared, by their names.
        board: Of the page.
        heading: Of the section.
    """
    session = current_session()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        image_file = _choose_image("compare.image")
        chosen = toggle(
            "Search each model",
            "compare.sufficient",
            "Pixels are removed in the usual way, with the four controls; the page of "
            "sufficient pixels has every setting.",
        )
    if not chosen:
        size = _recipe(spec).pixels
        passes = batched_passes(size, default_step(size), classes=len(spec.class_names))
        cost = cost_sentence(spec, forward=passes.forward, backward=passes.both)
        st.caption(f"For the model in hand: {cost}")
        return
    requests = {}
    for name, model in models.items():
        settings = session.preprocessing if model == session.model else None
        requests[name] = Request(GRADIENT, model, (image_file,), settings)
    images = _run_all(requests)
    if not images:
        return
    st.markdown(f"**{markdown(tables.comparison_text(images))}**")
    for name, image in images:
        answer = session.results.get(requests[name].key)
        if answer is not None and not image["error"]:
            cells = tables.picture_cells(image, tables.image_arrays(answer.arrays, 0))
            board.row(heading, cells, f"compare.sufficient.{name}", title=name)
    board.table(heading, tables.comparison_table(images))
