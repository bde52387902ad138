"""The controls of smallest changes: what is looked for, how, and how far along it is looked at."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NoReturn

import numpy as np
import streamlit as st

from diagnostics.report import pictures
from diagnostics.report.adversarial import charts, tables
from diagnostics.report.adversarial.tables import NORMS
from diagnostics.report.inspection.answers import heatmaps, titles
from diagnostics.report.table import Cell
from diagnostics.schema.layouts import last_maps
from diagnostics.schema.options import Methods, Value
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.request import File, Request, Result
from diagnostics.schema.spec import ModelSpec, Need
from diagnostics.text import markdown, shortened
from diagnostics.ui.dialogs import open_in_inspect
from diagnostics.ui.session.choices import choose, remember
from diagnostics.ui.session.query_params import set_query_param
from diagnostics.ui.session.state import current_session
from diagnostics.ui.widgets import forms
from diagnostics.ui.widgets.board import Board
from diagnostics.ui.widgets.cost import cost_sentence
from diagnostics.ui.widgets.forms import Field
from diagnostics.ui.widgets.run import try_request

WANTED, KEY_LENGTH = "attack.wanted", 12
METHODS = {
    "smallest": "Best of DeepFool and a walk",
    "deepfool": "DeepFool alone",
    "ddn": "DDN alone",
    "lbfgs": "L-BFGS in the box (2014)",
}
ONLY_EUCLIDEAN = ("ddn", "lbfgs")
WALKS, STEPS = ("smallest", "ddn"), (50, 100, 300, 1000)
RIVALS, USUAL_STEPS = 9, 5  # of DeepFool: classes it considers, and steps it usually takes
SEARCHES, LINE = 30, 65  # passes forward of one refinement, and along the change
LBFGS_FORWARD, LBFGS_BACK = 900, 300
OPACITY = 0.6  # of a map over its picture
FARTHEST, STOP = 150, 5  # percent of the change; the stops of the slider lie so far apart
HOW = (
    "DeepFool steps to the nearest boundary of the linearised model; the walk (DDN for the "
    "Euclidean length) creeps along the boundary on a sphere that shrinks. The closer result is "
    "moved back along its line until it hardly changes the answer. Pixels stay between black and "
    "white, and the model is asked afresh about what was found."
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


def about(spec: ModelSpec, methods: Methods) -> tuple[Request | None, str]:
    """Draw what is looked for; return the question once it is wanted, and the norm."""
    session = current_session()
    names = {str(index): f"{index} {name}" for index, name in enumerate(spec.class_names)}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        norm = choose(
            "Made small",
            "attack.norm",
            NORMS,
            "The Euclidean length spreads the change over many pixels; the largest change lets "
            "every value move by the same little.",
            width=290,
        )
        fitting = {
            one: title
            for one, title in METHODS.items()
            if norm == "l2" or one not in ONLY_EUCLIDEAN
        }
        method = choose("Search", "attack.method", fitting, HOW, width=280)
        target = choose(
            "To be said",
            "attack.target",
            {"": "any other class", **names},
            "Another class is usually nearer than one that you choose.",
        )
        options: dict[str, Value] = {}
        if method in WALKS:
            steps = Field(
                "Steps of the walk",
                "More steps find slightly smaller changes; each is one pass forward and back.",
                choices=STEPS,
                width=150,
            )
            info = methods[f"adversarial/{method}"]
            options = forms.options(info, {"steps": steps}, "attack")
    if method == "deepfool" and norm == "linf":
        options["norm"] = norm
    images, settings = session.shown_images(), session.preprocessing or spec.preprocessing
    chosen = int(target) if target else None
    asked = Request(
        f"adversarial/{method}", session.model, images, settings, target=chosen, options=options
    )
    return (asked if _wanted(asked, spec) else None), norm


def _wanted(asked: Request, spec: ModelSpec) -> bool:
    """Say what it costs and draw the button, until it was pressed for this very question."""
    session, short = current_session(), asked.key[:KEY_LENGTH]
    before = session.choices.get(WANTED) or st.query_params.get(WANTED, "")
    known = any(
        asked.key in one for one in (session.results, session.failures, session.partial_results)
    )
    if short == before or known:
        session.choices[WANTED] = short
        set_query_param(WANTED, short)
        return True
    set_query_param(WANTED, "")
    forward, backward = passes(asked, len(spec.class_names))
    said = cost_sentence(spec, forward=forward, backward=backward)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Look for the smallest changes",
            type="primary",
            on_click=session.choices.__setitem__,
            args=(WANTED, short),
        )
        st.caption(f"{said} {HOW}")
    return False


def passes(asked: Request, classes: int) -> tuple[int, int]:
    """Return how often one image goes forward alone, and forward and back, for a question."""
    count, steps = len(asked.images), int(str(asked.options.get("steps", 0)))
    fool = USUAL_STEPS * min(RIVALS, classes - 1)
    norms = 2 if asked.method == "adversarial/smallest" else 1
    back = {"smallest": 2 * (steps + fool), "deepfool": fool, "ddn": steps, "lbfgs": LBFGS_BACK}
    name = asked.method.partition("/")[2]
    ways = 2 if name == "smallest" else 1
    forward = norms * (ways * SEARCHES + LINE) + (LBFGS_FORWARD if name == "lbfgs" else 0)
    return count * forward, count * back[name]


def so_far(norm: str) -> Any:
    """Return what draws the distances that are there while the others are looked for."""

    def draw(result: Result) -> None:
        table = tables.numbers(result.scores, norm)
        st.dataframe([dict(row) for row in table.rows], hide_index=True)

    return draw


def which(answer: Mapping[str, Any], norm: str) -> int:
    """Draw which image is looked at, the most fragile first; return its place."""
    images = answer["images"]
    usual = charts.pick(images, norm)
    if len(images) == 1:
        return 0
    shown = {
        str(place): shortened(one["file"], 40) + ("" if one[norm]["found"] else ", not found")
        for place, one in enumerate(images)
    }
    return int(
        choose(
            "Image",
            "attack.image",
            shown,
            "Which image is shown below.",
            default=str(usual),
            width=320,
        )
    )


def epsilon(norm: str) -> int:
    """Draw how far along the change the image is; return the place among the multiples."""
    remember("attack.epsilon", default=100, max_value=FARTHEST)
    st.session_state["attack.epsilon"] -= st.session_state["attack.epsilon"] % STOP
    what = "root mean square" if norm == "l2" else "largest change"
    percent = st.slider(
        "Size of the change, in percent of the smallest that was found",
        0,
        FARTHEST,
        step=STOP,
        format="%d %%",
        key="attack.epsilon",
        help=f"0 is the image itself, 100 the smallest change ({what}); the direction is the same.",
    )
    return int(percent) // STOP


def take_away(answer: Result, place: int, norm: str, multiple: float, spec: ModelSpec) -> None:
    """Draw the buttons that open the changed image in Inspect, or download it."""
    image, settings = (
        answer.scores["images"][place],
        current_session().preprocessing or spec.preprocessing,
    )
    before, changed = answer.arrays[f"{place}/pixels"], answer.arrays[f"{place}/{norm}/changed"]
    picture = tables.rounded(tables.moved(before, changed, multiple))
    name = f"{pictures.stem(image['file'])}-{norm}-{multiple:g}x"
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
        st.download_button(
            "Exact numbers (.npz)",
            lambda: _numbers(answer, place, norm),
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


def _numbers(answer: Result, place: int, norm: str) -> bytes:
    stream = io.BytesIO()
    names = {"pixels": f"{place}/pixels"}
    names |= {one: f"{place}/{norm}/{one}" for one in ("changed", "difference", "line")}
    arrays = {one: answer.arrays[name] for one, name in names.items() if name in answer.arrays}
    np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()


def saliency(answer: Result, place: int, norm: str, multiple: float, spec: ModelSpec) -> list[Cell]:
    """Draw the switch for it; return where the model looked before and after, once wanted."""
    remember("attack.looked", default=0, max_value=1)
    wanted = st.toggle(
        "Where did it look, before and after?",
        key="attack.looked",
        help="Two maps, of the image and of the changed image at the slider's size, each for its "
        "own first class; both pictures are rounded to 8 bit.",
    )
    if not wanted:
        return []
    session = current_session()
    before, changed = answer.arrays[f"{place}/pixels"], answer.arrays[f"{place}/{norm}/changed"]
    stem = pictures.stem(answer.scores["images"][place]["file"])
    made = [
        (tables.rounded(tables.moved(before, changed, one)), f"{stem} at {one:g} ×")
        for one in dict.fromkeys((0.0, multiple))
    ]
    files: Sequence[File] = open_in_inspect.picture_files(made)
    settings = as_it_is(session.preprocessing or spec.preprocessing)
    method = "attribution/grad_cam" if last_maps(spec) else "attribution/gradient"
    asked = Request(method, session.model, tuple(files), settings)
    found = try_request(asked, st.empty()) if files else None
    if found is None:
        return []
    maps = heatmaps(found, OPACITY, shared=False)
    said = titles(found)
    return [
        replace(one, title=name.title, hover=name.hover, answer=name.answer, sure=name.sure)
        for one, name in zip(maps, said, strict=True)
    ]


def as_it_is(settings: Preprocessing) -> Preprocessing:
    """Return settings that hand a picture of what the network received to it unchanged."""
    return replace(
        settings, fit="none", invert=False, grey=False, contrast=0.0, blur=0.0, threshold=None
    )
