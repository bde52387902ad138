"""What stands beside the smallest change: random changes, and one pixel at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import streamlit as st

from diagnostics.report.perturbation import charts, one_pixel
from diagnostics.report.perturbation import tables as rows
from diagnostics.schema.options import MethodInfo, Methods, Value
from diagnostics.schema.request import File, Request, Result
from diagnostics.schema.spec import ModelSpec
from diagnostics.text import markdown
from diagnostics.ui.session.choices import remembered
from diagnostics.ui.session.state import current_session
from diagnostics.ui.widgets import forms
from diagnostics.ui.widgets.board import Board
from diagnostics.ui.widgets.cost import cost
from diagnostics.ui.widgets.forms import Field
from diagnostics.ui.widgets.run import try_request

RANDOM, PIXELS = "Beside it: random changes", "One pixel at a time"
RANDOM_NOISE, ONE_PIXEL = "perturbation/random_noise", "perturbation/one_pixel"
DRAWS, LEVELS, SAMPLES = (128, 256, 512, 1024), (4, 8, 16), (200, 500, 2000)
EXACT, MOST_STEPS = 32 * 32, 4  # as the method has them
PER_RAY, SEARCHED = 2 * 20 + 12, 9 * 64  # passes at most, likewise


def beside(
    spec: ModelSpec,
    methods: Methods,
    board: Board,
    image: File,
    target: int | None,
    smallest: Mapping[str, Any] | None,
) -> None:
    """Draw the sections about random changes of one image and about its single pixels.

    Args:
        spec: The model in hand.
        methods: All methods.
        board: Of the page; gets both sections.
        image: The image.
        target: Index of the class that alone counts as changed; None counts every other one.
        smallest: The image's entry in the answer of `adversarial/smallest`; None without one.
    """
    found = (smallest or {}).get("l2") or {}
    length = found.get("distance") if found.get("found") else None
    with board.section(RANDOM):
        _random(spec, methods[RANDOM_NOISE], board, image, target, float(length or 0.0))
    with board.section(PIXELS):
        _pixels(spec, methods[ONE_PIXEL], board, image, target)


def _random(
    spec: ModelSpec,
    info: MethodInfo,
    board: Board,
    image: File,
    target: int | None,
    length: float,
) -> None:
    st.caption(
        "Does random noise find what the search found? Random directions have the smallest "
        "change's length, random rays are followed until the answer changes, and Gaussian noise is "
        "made larger until some of it changes the answer."
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        field = Field(
            help="How many directions, and how much noise; more make the intervals narrower.",
            choices=DRAWS,
            width=120,
        )
        draws: int = forms.options(info, {"draws": field}, "random")["draws"]
        wanted = _wanted("random.rays", "Try random changes")
    rays: Any = info.option("rays").default
    passes = rays * PER_RAY + draws * (2 if length else 1) + SEARCHED
    if not wanted:
        st.caption(f"{cost(spec, forward=passes)} At most; it often ends sooner.")
        return
    options = {"length": length, "rays": rays, "draws": draws}
    answer = _answer(spec, info.id, image, target, options)
    entry = _entry(answer)
    if answer is None or entry is None:
        return
    said = [rows.in_a_direction(entry)]
    said += [rows.along_rays(entry), rows.ratio(entry)] if entry["rays"] else []
    said += [rows.from_noise(entry)] if entry["gaussian"] else []
    for place, sentence in enumerate(one for one in said if one):
        text = markdown(sentence)
        st.markdown(f"**{text}**" if not place else text)
    if entry["rays"]:
        board.chart(RANDOM, charts.distances(entry), rows.numbers(entry), "random.distances")
    _notes(answer, entry)
    board.facts[RANDOM] = f"{image.name}: {rays} rays, {draws} draws, seed 0"


def _pixels(
    spec: ModelSpec, info: MethodInfo, board: Board, image: File, target: int | None
) -> None:
    st.caption(
        "Which single pixels can change the answer, whatever value they take? And do many pixels "
        "together do only what each does alone?"
    )
    whole = spec.height * spec.width
    with st.container(horizontal=True, vertical_alignment="bottom"):
        field = Field(
            help="To how many values from black to white each pixel is set.",
            choices=LEVELS,
            width=120,
        )
        options = forms.options(info, {"levels": field}, "pixels")
        if whole > EXACT:
            field = Field(
                "Pixels tried",
                f"How many of the {whole:,} pixels are tried, drawn at random.",
                choices=[count for count in SAMPLES if count < whole],
                title="{:,}".format,
                key="pixels.tried",
            )
            options |= forms.options(info, {"sample": field})
        tried, levels = options.get("sample", whole), options["levels"]
        wanted = _wanted("random.pixels", "Try single pixels")
    steps = math.ceil(math.log(whole, MOST_STEPS)) + 1
    if not wanted:
        draws: Any = info.option("draws").default
        st.caption(cost(spec, forward=tried * levels + steps * draws))
        return
    answer = _answer(spec, info.id, image, target, options)
    entry = _entry(answer)
    if answer is None or entry is None or entry.get("mean") is None:
        return
    st.markdown(f"**{markdown(one_pixel.single(entry))}**")
    maps = [answer.arrays[f"0/{name}"] for name in ("map", "taken", "image")]
    board.row(PIXELS, [one_pixel.map_cell(entry, *maps)], "random.map")
    if entry["redrawn"]:
        st.markdown(markdown(one_pixel.claim(entry)))
        board.chart(PIXELS, charts.together(entry), one_pixel.predictions(entry), "random.together")
    _notes(answer, entry)
    many = "all" if entry["exact"] else f"{entry['tried']:,}"
    board.facts[PIXELS] = f"{image.name}: {many} pixels at {levels} levels, seed 0"


def _wanted(key: str, label: str) -> bool:
    remembered(key, usual=0, most=1)
    return st.toggle(label, key=key, help="Starts the work, whose cost is stated below.")


def _answer(
    spec: ModelSpec,
    method: str,
    image: File,
    target: int | None,
    options: Mapping[str, Value],
) -> Result | None:
    session = current_session()
    settings = session.preprocessing or spec.preprocessing
    asked = Request(method, session.model, (image,), settings, target=target, options=dict(options))

    def live(result: Result) -> None:
        (found,) = result.scores["images"]
        text = charts.so_far(found) if method == RANDOM_NOISE else _map_so_far(found)
        st.caption(markdown(text))

    return try_request(asked, st.empty(), live)


def _map_so_far(found: Mapping[str, Any]) -> str:
    if found.get("mean") is None:
        return "Nothing is known yet."
    return f"{found['effective']} of {found['tried']} pixels tried change the answer alone."


def _entry(answer: Result | None) -> Mapping[str, Any] | None:
    """Return the image's entry; None, and why, where nothing could be asked."""
    if answer is None or not answer.scores["images"]:
        return None
    entry: Mapping[str, Any] = answer.scores["images"][0]
    if entry["error"]:
        st.info(markdown(entry["error"]), icon=":material/info:")
        return None
    return entry


def _notes(answer: Result, entry: Mapping[str, Any]) -> None:
    said = [rows.screened(entry), *answer.scores["notes"]]
    if not answer.scores["complete"]:
        said.insert(0, "This is what was there when the work ended; it is not complete.")
    asked = f"{entry['asked']:,} images were asked about." if "asked" in entry else ""
    st.caption(markdown(" ".join(one for one in (*said, asked) if one)))
