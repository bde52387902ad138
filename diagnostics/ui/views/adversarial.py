"""Controls of smallest changes: what is looked for, how, and at which multiple it is shown."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from typing import NoReturn

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from diagnostics.report import pictures
from diagnostics.report.adversarial import tables
from diagnostics.report.adversarial.tables import NORMS
from diagnostics.report.inspection.answers import heatmaps, titles
from diagnostics.report.table import Cell
from diagnostics.schema.adversarial import (
    ALONG_PASSES,
    CANDIDATES,
    DEEPFOOL_STEPS,
    LBFGS_PASSES,
    PICTURE_PASSES,
    REFINEMENT_PASSES,
    walk_passes,
)
from diagnostics.schema.layouts import last_maps
from diagnostics.schema.options import Methods, Value
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.request import Request, Result
from diagnostics.schema.results.adversarial import AdversarialAnswer, Norm
from diagnostics.schema.spec import ModelSpec, Need
from diagnostics.text import markdown, shortened
from diagnostics.ui.dialogs import open_in_inspect
from diagnostics.ui.session.choices import choose, remember, toggle
from diagnostics.ui.session.query_params import set_query_param
from diagnostics.ui.session.state import current_session
from diagnostics.ui.widgets import forms
from diagnostics.ui.widgets.board import Board
from diagnostics.ui.widgets.cost import cost_sentence
from diagnostics.ui.widgets.forms import Field
from diagnostics.ui.widgets.model_picker import class_titles
from diagnostics.ui.widgets.run import try_request

WANTED, KEY_LENGTH = "attack.wanted", 12
METHODS = {
    "smallest": "Best of DeepFool and walks",
    "deepfool": "DeepFool alone",
    "ddn": "DDN alone",
    "lbfgs": "L-BFGS in the box (2014)",
}
ONLY_EUCLIDEAN = ("ddn", "lbfgs")
WALKS, STEPS = ("smallest", "ddn"), (50, 100, 300, 1000)
OPACITY = 0.6  # of a map over its picture
MAX_PERCENT, STEP_PERCENT = 150, 5  # of the change; the stops of the slider lie so far apart
HOW = (
    "DeepFool steps to the nearest boundary of the linearised model; the walks (DDN for the "
    "Euclidean length) creep along the boundary on a sphere that shrinks, one towards each of the "
    "strongest other classes. The closest result is moved back along its line until it hardly "
    "changes the answer. Pixels stay between black and white, and the model is asked afresh about "
    "what was found, also about pictures of it in 8 bit."
)


def why_not(spec: ModelSpec) -> str:
    """Say why nothing can be looked for with this model; empty where it can."""
    if len(spec.class_names) < 2:
        return "This model has one class, so no change of an image can make it say another."
    if Need.GRADIENTS not in spec.offers:
        return f"The searches follow gradients. {spec.why_not(Need.GRADIENTS)}"
    return ""


def stop(board: Board, why: str) -> NoReturn:
    """Say why there is nothing to show, and end the page."""
    if why:
        st.info(markdown(why))
    board.offer_report()
    st.stop()


def choose_search(spec: ModelSpec, methods: Methods) -> tuple[Request | None, Norm]:
    """Draw what is looked for; return the request once it is wanted, and the norm."""
    session = current_session()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        norm = _choose_norm()
        fitting = {
            name: title
            for name, title in METHODS.items()
            if norm == "l2" or name not in ONLY_EUCLIDEAN
        }
        method = choose("Search", "attack.method", fitting, HOW, width=280)
        target = choose(
            "To be said",
            "attack.target",
            {"": "any other class", **class_titles(spec)},
            "Another class is usually nearer than one that you choose.",
        )
        options: dict[str, Value] = {}
        if method in WALKS:
            steps = Field(
                "Steps of the walk",
                "More steps find slightly smaller changes; each is one pass forward and back for "
                "every class that it still walks towards.",
                choices=STEPS,
                width=150,
            )
            info = methods[f"adversarial/{method}"]
            options = forms.options(info, {"steps": steps}, "attack")
    if method == "deepfool" and norm == "linf":
        options["norm"] = norm
    request = Request(
        f"adversarial/{method}",
        session.model,
        session.shown_images(),
        session.preprocessing or spec.preprocessing,
        target=int(target) if target else None,
        options=options,
    )
    return (request if _wanted(request, spec) else None), norm


def _choose_norm() -> Norm:
    norm = choose(
        "Made small",
        "attack.norm",
        {str(norm): title for norm, title in NORMS.items()},
        "The Euclidean length spreads the change over many pixels; the largest change lets "
        "every value move by the same little.",
        width=290,
    )
    return "linf" if norm == "linf" else "l2"


def _wanted(request: Request, spec: ModelSpec) -> bool:
    """Say what it costs and draw the button, until it was pressed for this very request."""
    session, short = current_session(), request.key[:KEY_LENGTH]
    before = session.choices.get(WANTED) or st.query_params.get(WANTED, "")
    known = any(
        request.key in results
        for results in (session.results, session.failures, session.partial_results)
    )
    if short == before or known:
        session.choices[WANTED] = short
        set_query_param(WANTED, short)
        return True
    set_query_param(WANTED, "")
    forward, backward = pass_counts(request, len(spec.class_names))
    price = cost_sentence(spec, forward=forward, backward=backward)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Look for the smallest changes",
            type="primary",
            on_click=session.choices.__setitem__,
            args=(WANTED, short),
        )
        st.caption(f"{price} {HOW}")
    return False


def pass_counts(request: Request, classes: int) -> tuple[int, int]:
    """Return how often images go forward alone, and forward and back, for a request."""
    name = request.method.partition("/")[2]
    steps = int(str(request.options.get("steps", 0)))
    rivals = min(CANDIDATES, classes) - 1 if request.target is None else 1
    deepfool = DEEPFOOL_STEPS * rivals
    backward = {
        "smallest": 2 * (walk_passes(steps, rivals) + deepfool),
        "deepfool": deepfool,
        "ddn": steps,
        "lbfgs": LBFGS_PASSES,
    }
    norms, attacks = (2, 2) if name == "smallest" else (1, 1)
    forward = norms * (attacks * (REFINEMENT_PASSES + PICTURE_PASSES) + ALONG_PASSES)
    return len(request.images) * forward, len(request.images) * backward[name]


def progress_table(norm: Norm) -> Callable[[Result], None]:
    """Return what draws the distances that are there while the others are looked for."""

    def draw(result: Result) -> None:
        answer: AdversarialAnswer = result.scores
        table = tables.numbers(answer, norm)
        st.dataframe([dict(row) for row in table.rows], hide_index=True)

    return draw


def choose_image(answer: AdversarialAnswer, norm: Norm) -> int:
    """Draw which image is looked at, the most fragile first; return its index."""
    images = answer["images"]
    if len(images) == 1:
        return 0
    names = {
        str(index): shortened(image["file"], 40)
        + ("" if image[norm]["is_adversarial"] else ", not found")
        for index, image in enumerate(images)
    }
    first = str(tables.first_shown(images, norm))
    help_text = "Which image is shown below."
    return int(choose("Image", "attack.image", names, help_text, default=first, width=320))


def choose_multiple(norm: Norm) -> int:
    """Draw how far along the change the image is; return the position among the multiples."""
    remember("attack.epsilon", default=100, max_value=MAX_PERCENT)
    st.session_state["attack.epsilon"] -= st.session_state["attack.epsilon"] % STEP_PERCENT
    what = "root mean square" if norm == "l2" else "largest change"
    percent = st.slider(
        "Size of the change, in percent of the smallest that was found",
        0,
        MAX_PERCENT,
        step=STEP_PERCENT,
        format="%d %%",
        key="attack.epsilon",
        help=f"0 is the image itself, 100 the smallest change ({what}); the direction is the same.",
    )
    return int(percent) // STEP_PERCENT


def offer_downloads(
    result: Result, index: int, norm: Norm, multiple: float, spec: ModelSpec
) -> None:
    """Draw the buttons that open the changed image in Inspect, or download it."""
    answer: AdversarialAnswer = result.scores
    settings = current_session().preprocessing or spec.preprocessing
    picture = _picture(result, index, norm, multiple)
    stem = pictures.stem(answer["images"][index]["file"])
    name, in_8_bit = f"{stem}-{norm}-{multiple:g}x", result.arrays.get(f"{index}/{norm}/in_8_bit")
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Open in Inspect", key="attack.open"):
            open_in_inspect.open_files(open_in_inspect.picture_files([(picture, name)], settings))
        st.download_button(
            "Changed image (PNG)",
            lambda: open_in_inspect.png(picture),
            f"{name}.png",
            "image/png",
            key="attack.png",
            on_click="ignore",
        )
        if in_8_bit is not None:
            st.download_button(
                "Smallest that survives 8 bit (PNG)",
                lambda: open_in_inspect.png(in_8_bit),
                f"{stem}-{norm}-8-bit.png",
                "image/png",
                key="attack.in_8_bit",
                on_click="ignore",
            )
        st.download_button(
            "Exact numbers (.npz)",
            lambda: _npz(result, index, norm),
            f"{name}.npz",
            "application/octet-stream",
            key="attack.npz",
            on_click="ignore",
            help="pixels, changed and difference as float32, and the logits along the change; "
            "numpy.load reads them.",
        )
    st.caption(
        "Inspect and the PNG get the picture rounded to 8 bit at the slider's size. "
        + open_in_inspect.reprocessing_note(settings)
    )


def _picture(result: Result, index: int, norm: Norm, multiple: float) -> NDArray[np.uint8]:
    pixels, changed = result.arrays[f"{index}/pixels"], result.arrays[f"{index}/{norm}/changed"]
    return tables.to_8bit(tables.interpolate(pixels, changed, multiple))


def _npz(result: Result, index: int, norm: Norm) -> bytes:
    stream = io.BytesIO()
    names = {"pixels": f"{index}/pixels"}
    names |= {name: f"{index}/{norm}/{name}" for name in ("changed", "difference", "logits")}
    arrays = {key: result.arrays[name] for key, name in names.items() if name in result.arrays}
    np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()


def heatmap_cells(
    result: Result, index: int, norm: Norm, multiple: float, spec: ModelSpec
) -> list[Cell]:
    """Draw the switch for it; return where the model looked before and after, once wanted."""
    wanted = toggle(
        "Where did it look, before and after?",
        "attack.looked",
        "Two maps, of the image and of the changed image at the slider's size, each for its "
        "own first class; both pictures are rounded to 8 bit.",
    )
    if not wanted:
        return []
    session = current_session()
    answer: AdversarialAnswer = result.scores
    stem = pictures.stem(answer["images"][index]["file"])
    named = [
        (_picture(result, index, norm, share), f"{stem} at {share:g} ×")
        for share in dict.fromkeys((0.0, multiple))
    ]
    files = open_in_inspect.picture_files(named)
    settings = unprocessed(session.preprocessing or spec.preprocessing)
    method = "attribution/grad_cam" if last_maps(spec) else "attribution/gradient"
    request = Request(method, session.model, tuple(files), settings)
    attribution = try_request(request, st.empty()) if files else None
    if attribution is None:
        return []
    maps = heatmaps(attribution, OPACITY, shared=False)
    return [
        replace(
            cell, title=name.title, hover=name.hover, answer=name.answer, confidence=name.confidence
        )
        for cell, name in zip(maps, titles(attribution), strict=True)
    ]


def unprocessed(settings: Preprocessing) -> Preprocessing:
    """Return settings that hand a picture of what the network received to it unchanged."""
    return replace(
        settings, fit="none", invert=False, grey=False, contrast=0.0, blur=0.0, threshold=None
    )
