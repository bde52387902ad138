"""The controls of the sufficient pixels: what is searched, the player, and other models beside."""

from __future__ import annotations

import base64
import hashlib
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

from diagnostics.data import samples
from diagnostics.report.sufficient_pixels import charts, tables
from diagnostics.report.sufficient_pixels.tables import Arrays, Entry
from diagnostics.schema.options import Methods
from diagnostics.schema.request import ModelSource, Request, Result
from diagnostics.schema.spec import ModelSpec, Need
from diagnostics.schema.sufficient_pixels import FILLS, exact_passes, passes, usual_step
from diagnostics.text import markdown, shortened
from diagnostics.ui.dialogs import open_in_inspect
from diagnostics.ui.session.choices import choose, remembered
from diagnostics.ui.session.query_params import address
from diagnostics.ui.session.state import current_session
from diagnostics.ui.views.attribution import explained
from diagnostics.ui.widgets import forms
from diagnostics.ui.widgets.cost import cost
from diagnostics.ui.widgets.forms import Field

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
SOLVES = "ROAD takes longer than the passes: it solves a system of equations at every step."
OWN_CHOICES = ("tau", "fill", "depth", "subsets", "image", "controls", "boxed")


def about(spec: ModelSpec, methods: Methods) -> Request | None:
    """Draw what is searched and how; return the question, None where the model cannot be asked."""
    session, info = current_session(), methods[GRADIENT]
    files = session.shown_images()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        shown = {str(place): shortened(one.name, 28) for place, one in enumerate(files)}
        image = choose("Image", "sufficient.image", shown, "The one image that is searched.")
        target = explained(spec)
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
        options["step"] = usual_step(spec.height * spec.width, full=depth == "full")
    method = EXACT if depth == "exact" else GRADIENT
    return Request(method, session.model, (files[int(image)],), settings, target, options=options)


def _depths(spec: ModelSpec) -> dict[str, str]:
    """Return the searches that this model can answer, by id."""
    pixels, found = spec.height * spec.width, {}
    if Need.GRADIENTS in spec.offers:
        quick, full = usual_step(pixels), usual_step(pixels, full=True)
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
    remembered("sufficient.boxed", usual=0, most=1)
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
        remembered(key, usual=usual, most=100)
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
        st.button("Search", key="sufficient.search", type="primary", on_click=_run, args=(mark,))
        st.button(EXAMPLE, key="sufficient.show", on_click=_example)
        st.caption(markdown(_cost(asked, spec)), width="content")
    pressed = session.choices.get(RUN) == mark or asked.key in session.results
    address(RUN, mark if pressed else "")
    return pressed


def _run(mark: str) -> None:
    current_session().choices[RUN] = mark


def _example() -> None:
    """Take the sample model and an x in hand, with the usual settings, and begin."""
    session = current_session()
    session.select_model(ModelSource(samples.model_files()[samples.FIRST_MODEL]))
    session.pinned = ""
    session.add_images([samples.image_files()[samples.FIRST_IMAGES[0]]])
    for name in (*(f"sufficient.{one}" for one in OWN_CHOICES), "class"):
        st.session_state.pop(name, None)
        session.choices.pop(name, None)
        session.settings.pop(name, None)
        address(name, "")
    st.session_state[EXAMPLE_WANTED] = True


def _cost(asked: Request, spec: ModelSpec) -> str:
    forward, back = _passes(asked, spec)
    with_controls = ", all four controls included" if asked.options["controls"] else ""
    said = cost(spec, forward=forward, backward=back)
    solved = f" {SOLVES}" if asked.options["fill"] == "road" else ""
    return f"{said.removesuffix('.')} at most{with_controls}.{solved}"


def _passes(asked: Request, spec: ModelSpec) -> tuple[int, int]:
    pixels, classes = spec.height * spec.width, len(spec.class_names)
    subsets, controls = int(str(asked.options["subsets"])), bool(asked.options["controls"])
    if asked.method == EXACT:
        back = Need.GRADIENTS in spec.offers
        return exact_passes(pixels, subsets=subsets, controls=controls, classes=classes, back=back)
    step = int(str(asked.options["step"]))
    return passes(pixels, step, subsets=subsets, controls=controls, classes=classes)


def live(asked: Request) -> Callable[[Result], None]:
    """Return what draws a search as far as it is."""
    drawn = itertools.count()

    def draw(result: Result) -> None:
        one, arrays = result.scores["images"][0], tables.of_image(result.arrays, 0)
        if "kept/0" not in arrays or not len(arrays["kept/0"]):
            return
        kept, margins = arrays["kept/0"], arrays["margins/0"]
        st.caption(f"{kept[-1]} of {one['pixels']} pixels are left in the first search.")
        st.plotly_chart(
            charts.curve(one, kept, margins),
            key=f"sufficient.live.{asked.key[:12]}.{next(drawn)}",
            config={"displayModeBar": False},
        )

    return draw


def play(one: Entry, arrays: Arrays, key: str) -> None:
    """Draw the player: a slider that removes pixels, and the curve of confidence beside it."""
    drawn = charts.received(arrays["pixels"], one["file"], one["file"])
    digest = f"{drawn.pixels.shape} {hashlib.sha256(drawn.pixels.tobytes()).hexdigest()}"
    source = current_session().encoded(
        digest, lambda: "data:image/png;base64," + base64.b64encode(drawn.png).decode()
    )
    data = charts.player(one, arrays)
    _component()(
        data={**data, "source": source, "box": BOX_PX, "key": key[:16]}, key="sufficient.player"
    )


def _component() -> Any:
    return st.components.v2.component(
        "oversure_player",
        css=(FOLDER / "player.css").read_text("utf-8"),
        js=(FOLDER / "player.js").read_text("utf-8"),
    )


def open_alone(one: Entry, arrays: Arrays, asked: Request) -> None:
    """Draw a button that opens what the network received of the kept pixels in Inspect."""
    if "alone/0" not in arrays or not one["size"]:
        return
    if asked.preprocessing and (said := open_in_inspect.again(asked.preprocessing)):
        st.caption(said)
    if st.button("Open the kept pixels in Inspect", key="sufficient.open"):
        name = f"{one['size']} pixels of {Path(one['file']).stem}"
        open_in_inspect.inspect(
            open_in_inspect.pictures([(arrays["alone/0"], name)], asked.preprocessing)
        )
