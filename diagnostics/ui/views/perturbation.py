"""What stands beside the smallest change: random changes, and one pixel at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import streamlit as st

from diagnostics.report.perturbation import charts, one_pixel, tables
from diagnostics.schema.options import MethodInfo, Methods, Value
from diagnostics.schema.request import File, Request, Result
from diagnostics.schema.results.perturbation import (
    OnePixelAnswer,
    OnePixelImage,
    RandomNoiseAnswer,
    RandomNoiseImage,
)
from diagnostics.schema.spec import ModelSpec
from diagnostics.text import markdown
from diagnostics.ui.session.choices import toggle
from diagnostics.ui.session.state import current_session
from diagnostics.ui.widgets import forms
from diagnostics.ui.widgets.board import Board
from diagnostics.ui.widgets.cost import cost_sentence
from diagnostics.ui.widgets.forms import Field
from diagnostics.ui.widgets.run import try_request

RANDOM, PIXELS = "Beside it: random changes", "One pixel at a time"
RANDOM_NOISE, ONE_PIXEL = "perturbation/random_noise", "perturbation/one_pixel"
DRAWS, LEVELS, SAMPLES = (128, 256, 512, 1024), (4, 8, 16), (200, 500, 2000)
EXACT_PIXELS, GROWTH = 32 * 32, 4  # as the method has them
PASSES_PER_RAY, PROBE_PASSES = 2 * 20 + 12, 9 * 64  # at most, likewise


def draw(
    spec: ModelSpec,
    methods: Methods,
    board: Board,
    image: File,
    target: int | None,
    length: float,
) -> None:
    """Draw the sections about random changes of one image and about its single pixels.

    Args:
        spec: The selected model.
        methods: All methods.
        board: Of the page; gets both sections.
        image: The image.
        target: Index of the class that alone counts as changed; None counts every other one.
        length: L2 length of the image's minimal perturbation; 0 where none is known.
    """
    with board.section(RANDOM):
        _draw_random_noise(spec, methods[RANDOM_NOISE], board, image, target, length)
    with board.section(PIXELS):
        _draw_one_pixel(spec, methods[ONE_PIXEL], board, image, target)


def _draw_random_noise(
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
    passes = rays * PASSES_PER_RAY + draws * (2 if length else 1) + PROBE_PASSES
    if not wanted:
        st.caption(f"{cost_sentence(spec, forward=passes)} At most; it often ends sooner.")
        return
    options = {"length": length, "rays": rays, "draws": draws}
    request = _request(spec, info.id, image, target, options)
    result = try_request(request, st.empty(), _draw_noise_progress)
    if result is None:
        return
    answer: RandomNoiseAnswer = result.scores
    (entry,) = answer["images"]
    if _draw_error(entry):
        return
    sentences = [tables.directions_sentence(entry)]
    if entry["rays"]:
        sentences += [tables.rays_sentence(entry["rays"]), tables.ratio_sentence(entry)]
    if entry["gaussian"]:
        sentences.append(tables.noise_sentence(entry["gaussian"], entry["directions"]))
    first, *others = (markdown(sentence) for sentence in sentences if sentence)
    st.markdown(f"**{first}**")
    for sentence in others:
        st.markdown(sentence)
    if entry["rays"]:
        chart = charts.distances(entry, entry["rays"])
        table = tables.distances(entry, entry["rays"])
        board.chart(RANDOM, chart, table, "random.distances")
    _draw_notes(answer, entry)
    board.facts[RANDOM] = f"{image.name}: {rays} rays, {draws} draws, seed 0"


def _draw_one_pixel(
    spec: ModelSpec, info: MethodInfo, board: Board, image: File, target: int | None
) -> None:
    st.caption(
        "Which single pixels can change the answer, whatever value they take? And do many pixels "
        "together do only what each does alone?"
    )
    pixels = (current_session().preprocessing or spec.preprocessing).pixels
    with st.container(horizontal=True, vertical_alignment="bottom"):
        field = Field(
            help="To how many values from black to white each pixel is set.",
            choices=LEVELS,
            width=120,
        )
        options = forms.options(info, {"levels": field}, "pixels")
        if pixels > EXACT_PIXELS:
            field = Field(
                "Pixels tried",
                f"How many of the {pixels:,} pixels are tried, drawn at random.",
                choices=[count for count in SAMPLES if count < pixels],
                title="{:,}".format,
                key="pixels.tried",
            )
            options |= forms.options(info, {"sample": field})
        sample, levels = options.get("sample", pixels), options["levels"]
        wanted = _wanted("random.pixels", "Try single pixels")
    steps = math.ceil(math.log(pixels, GROWTH)) + 1
    if not wanted:
        draws: Any = info.option("draws").default
        st.caption(cost_sentence(spec, forward=sample * levels + steps * draws))
        return
    request = _request(spec, info.id, image, target, options)
    result = try_request(request, st.empty(), _draw_pixels_progress)
    if result is None:
        return
    answer: OnePixelAnswer = result.scores
    (entry,) = answer["images"]
    if _draw_error(entry) or entry["single"] is None:
        return
    single, redraws = entry["single"], entry["redraws"]
    st.markdown(f"**{markdown(one_pixel.single_sentence(single))}**")
    maps = [result.arrays[f"0/{name}"] for name in ("change_share", "margin_loss", "pixels")]
    board.row(PIXELS, [one_pixel.maps(entry["file"], single, *maps)], "random.map")
    if redraws:
        st.markdown(markdown(one_pixel.independence_sentence(redraws[-1])))
        table = one_pixel.redraws_table(redraws, exact=single["exact"])
        board.chart(PIXELS, charts.answer_kept(redraws), table, "random.together")
    _draw_notes(answer, entry)
    many = "all" if single["exact"] else f"{single['n']:,}"
    board.facts[PIXELS] = f"{image.name}: {many} pixels at {levels} levels, seed 0"


def _wanted(key: str, label: str) -> bool:
    return toggle(label, key, "Starts the work, whose cost is stated below.")


def _request(
    spec: ModelSpec,
    method: str,
    image: File,
    target: int | None,
    options: Mapping[str, Value],
) -> Request:
    session = current_session()
    settings = session.preprocessing or spec.preprocessing
    return Request(method, session.model, (image,), settings, target=target, options=dict(options))


def _draw_noise_progress(result: Result) -> None:
    answer: RandomNoiseAnswer = result.scores
    (entry,) = answer["images"]
    st.caption(markdown(tables.progress_sentence(entry["rays"])))


def _draw_pixels_progress(result: Result) -> None:
    answer: OnePixelAnswer = result.scores
    (entry,) = answer["images"]
    st.caption(markdown(one_pixel.progress_sentence(entry["single"])))


def _draw_error(entry: RandomNoiseImage | OnePixelImage) -> bool:
    """Say why nothing could be asked; return whether that is so."""
    if entry["error"]:
        st.info(markdown(entry["error"]), icon=":material/info:")
    return bool(entry["error"])


def _draw_notes(
    answer: RandomNoiseAnswer | OnePixelAnswer, entry: RandomNoiseImage | OnePixelImage
) -> None:
    notes = list(answer["notes"])
    if not answer["complete"]:
        notes.insert(0, "This is what was there when the work ended; it is not complete.")
    if entry["forward_passes"]:
        notes.append(f"{entry['forward_passes']:,} images were asked about.")
    st.caption(markdown(" ".join(notes)))
