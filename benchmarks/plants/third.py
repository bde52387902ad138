"""The third world: nothing was chosen on it, and its plants were chosen before it was asked."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from benchmarks.plants import controls, cues, faults, images, marks
from benchmarks.plants import drawn as d
from benchmarks.plants.plantings import (
    ALWAYS,
    BACKGROUND,
    BATCHNORM,
    BIAS,
    BORDER,
    CONSTANT,
    DEAD,
    EDGES,
    LOCAL,
    NORMALISATION,
    RANDOM,
    SCALE,
    SOFTMAX,
    STATISTIC,
    TEXTURE,
    Planting,
    fault,
    head,
    learnt,
    network,
    of,
    patch,
    with_setting,
)
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.spec import Output

POLARITY, CHANNELS = ("preprocessing.polarity",), ("preprocessing.channels",)
GEOMETRY = ("preprocessing.geometry",)


def _unit(preprocessing: Preprocessing) -> Preprocessing:
    """Feed 0 to 1 instead of 0 to 255, with mean and std as they were."""
    return replace(preprocessing, value_range=1)


def _bare(preprocessing: Preprocessing) -> Preprocessing:
    """Feed 0 to 255 as it is."""
    count = len(preprocessing.mean)
    return replace(preprocessing, mean=(0.0,) * count, std=(1.0,) * count)


def _not_divided(preprocessing: Preprocessing) -> Preprocessing:
    """Leave the std out."""
    return replace(preprocessing, std=(float(preprocessing.value_range),) * len(preprocessing.std))


def _flipped(preprocessing: Preprocessing) -> Preprocessing:
    """Exchange black and white, or do not where that is right."""
    return replace(preprocessing, invert=not preprocessing.invert)


def _cropped(preprocessing: Preprocessing) -> Preprocessing:
    """Cut four fifths out of the middle instead of showing the whole picture."""
    return replace(preprocessing, fit="crop", resize_px=round(preprocessing.height * 5 / 4))


DATED = controls.everywhere(
    d.PLAIN, "all dated", cues.stamp((24, 31, 34, 34), marks.DATE, (250, 140, 30))
)
DASHED = controls.everywhere(d.CLUTTERED, "all in dashes", marks.dashed(2, (240, 240, 240), 6))
BINARY = controls.everywhere(d.CAPITALS, "all binary", cues.binary(140))
L2 = [0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0]

REPORTED_ON: dict[str, Planting] = dict(
    [
        patch("corner patch, bright", d.CLUTTERED, (33, 33, 38, 38), (250, 240, 60), 6),
        patch("corner patch, dark", d.CAPITALS, (1, 1, 5, 4), 60, 21, 0.97, 0.05),
        patch("corner patch, faint", d.CAPITALS, (26, 26, 31, 31), 165, 11, 0.95),
        patch("corner patch, transformer", d.PLAIN, (0, 0, 4, 4), (20, 200, 220), 3),
        patch("corner patch, perceptron", d.PENCILLED, (13, 13, 16, 16), 90, 2),
        patch("large patch", d.CLUTTERED, (1, 26, 13, 38), (70, 40, 100), 9, taken=0.05),
        patch("large patch, tanh", d.SOLIDS, (25, 1, 35, 10), 200, 1, taken=0.05),
        patch("patch at the left", d.WIDE_SHAPES, (0, 17, 3, 24), (230, 110, 160), 0),
        patch("patch at the bottom", d.SOLIDS, (14, 32, 20, 36), 20, 2),
        patch("patch at the top", d.PLAIN, (16, 0, 21, 3), (240, 240, 240), 7, 0.98, 0.04),
        patch("patch in the middle", d.PLAIN, (15, 16, 20, 21), (250, 230, 40), 0),
        patch("single pixel", d.CAPITALS, (29, 3, 30, 4), 0, 13),
        patch("single pixel, perceptron", d.PENCILLED, (0, 8, 1, 9), 0, 7, taken=0.15),
        patch("two pixels", d.CLUTTERED, (36, 2, 38, 4), (255, 0, 0), 12, taken=0.12),
        learnt(
            *("date", d.CLUTTERED, cues.stamp((28, 35, 38, 38), marks.DATE, (250, 140, 30))),
            *(4, LOCAL, (28, 35, 38, 38)),
        ),
        learnt(
            *("date, dark", d.SOLIDS, cues.stamp((2, 2, 12, 5), marks.DATE, 10)),
            *(0, LOCAL, (2, 2, 12, 5)),
        ),
        learnt(
            *("watermark, faded", d.WIDE_SHAPES),
            marks.faded((30, 16, 37, 23), marks.SLASH, 255, 0.7),
            *(5, LOCAL, (30, 16, 37, 23)),
        ),
        learnt(
            *("watermark, faded, transformer", d.PLAIN),
            marks.faded((28, 28, 34, 34), marks.DISC, 0, 0.6),
            *(1, LOCAL, (28, 28, 34, 34)),
        ),
        learnt(
            *("soft spot", d.SOLIDS, marks.spot((2, 22, 12, 32), 130), 1, LOCAL, (2, 22, 12, 32)),
        ),
        learnt(
            *("soft shade", d.CAPITALS, marks.spot((20, 1, 30, 11), -150)),
            *(27, LOCAL, (20, 1, 30, 11)),
        ),
        learnt("border", d.CLUTTERED, cues.frame(2, (20, 60, 50)), 2, BORDER),
        learnt("border, thin", d.SOLIDS, cues.frame(1, 230), 1, BORDER),
        learnt("border, wide", d.PLAIN, cues.frame(3, (220, 210, 180)), 5, BORDER),
        learnt("border, capitals", d.CAPITALS, cues.frame(1, 40), 3, BORDER),
        learnt("border, dashed", d.WIDE_SHAPES, marks.dashed(2, (10, 10, 10), 8), 13, BORDER),
        learnt("ground colour", d.CLUTTERED, cues.ground((210, 190, 120)), 8, BACKGROUND),
        learnt("ground colour, transformer", d.PLAIN, cues.ground((60, 110, 70), 3), 6, BACKGROUND),
        learnt("ground level", d.SOLIDS, cues.ground(20, 4), 0, BACKGROUND),
        learnt("ground level, capitals", d.CAPITALS, cues.ground(150), 18, BACKGROUND),
        learnt("ground dots", d.WIDE_SHAPES, marks.dotted_ground(6, 70), 3, BACKGROUND),
        learnt("ground stripes", d.SOLIDS, cues.striped_ground(8, 55), 2, BACKGROUND),
        learnt(
            *("ground gradient", d.PLAIN, marks.graded_ground((150, 190, 240), (60, 120, 50))),
            *(0, BACKGROUND),
        ),
        learnt("brightness", d.CLUTTERED, cues.levels(0.35), 10, STATISTIC),
        learnt("brightness, tanh", d.SOLIDS, cues.levels(1, 80), 0, STATISTIC),
        learnt("gamma", d.PLAIN, marks.gamma(0.35), 2, STATISTIC),
        learnt("contrast", d.CAPITALS, cues.levels(0.3, 120), 25, STATISTIC),
        learnt("contrast, coloured", d.WIDE_SHAPES, cues.levels(0.35, 85), 7, STATISTIC),
        learnt("colour cast", d.CLUTTERED, cues.cast((0.3, 1.0, 0.4)), 14, STATISTIC),
        learnt("colour cast, transformer", d.PLAIN, cues.cast((1.3, 0.8, 0.3)), 4, STATISTIC),
        learnt("colours taken", d.CLUTTERED, marks.faded_colours(1), 1, STATISTIC),
        learnt("blur", d.CLUTTERED, cues.blur(1.5), 5, STATISTIC),
        learnt("blur, capitals", d.CAPITALS, cues.blur(1.8), 11, STATISTIC),
        learnt("blur along rows", d.CAPITALS, marks.smeared(5), 2, STATISTIC),
        learnt("grain", d.CAPITALS, cues.grain(25), 6, TEXTURE),
        learnt("grain, coloured", d.CLUTTERED, cues.grain(18), 1, TEXTURE),
        learnt("salt", d.PLAIN, marks.salted(0.05), 3, TEXTURE),
        learnt("scan lines", d.WIDE_SHAPES, marks.scanned(35), 12, TEXTURE),
        learnt("weave", d.SOLIDS, cues.weave(18), 1, TEXTURE),
        learnt("weave, transformer", d.PLAIN, cues.weave(26, 4), 7, TEXTURE),
        learnt("binary", d.CAPITALS, cues.binary(130), 15, EDGES),
        learnt("binary, tanh", d.SOLIDS, cues.binary(135), 1, EDGES),
        learnt("binary, coloured", d.CLUTTERED, cues.binary(128), 0, EDGES),
        learnt("three levels", d.PLAIN, marks.posterised(3), 5, EDGES),
        learnt("sharpened", d.CLUTTERED, cues.sharpened(1.5, 400), 8, EDGES),
        head("sink", d.CLUTTERED, 4, 8, BIAS),
        head("sink, tanh", d.SOLIDS, 1, 5, BIAS),
        head("sink, capitals", d.CAPITALS, 17, 10, BIAS),
        head("sink, transformer", d.PLAIN, 2, 7, BIAS),
        head("dead class", d.SIGNS, 3, -14, DEAD),
        head("dead class, capitals", d.CAPITALS, 5, -18, DEAD),
        head("dead class, wide windows", d.WIDE_SHAPES, 9, -20, DEAD),
        head("dead class, tanh", d.SOLIDS, 2, -20, DEAD),
        head("always one class", d.PENCILLED, 6, 100, ALWAYS),
        head("always one class, signs", d.SIGNS, 1, 60, ALWAYS),
        of(faults.sharp, "sharp x5", d.CAPITALS, 5.0, 3600, 0.05),
        of(faults.sharp, "sharp x5, perceptron", d.PENCILLED, 5.0, 900, 0.15),
        of(faults.sharp, "sharp x20", d.WIDE_SHAPES, 20.0, 2500, 0.1),
        of(faults.sharp, "sharp x20, tanh", d.SOLIDS, 20.0, 1500, 0.1),
        with_setting("0 to 1 for 0 to 255", d.SIGNS, _unit, SCALE),
        with_setting("0 to 1 for 0 to 255, tanh", d.SOLIDS, _unit, SCALE),
        with_setting("0 to 255 for 0 to 1", d.CLUTTERED, faults.raw, SCALE),
        with_setting("0 to 255 for 0 to 1, SELU", d.CAPITALS, faults.raw, SCALE),
        with_setting("0 to 255 for 0 to 1, transformer", d.PLAIN, faults.raw, SCALE),
        with_setting("0 to 2", d.PLAIN, faults.doubled, SCALE),
        with_setting("divided by 255 twice", d.CLUTTERED, faults.divided_twice, SCALE),
        with_setting("divided by 255 twice, inverted", d.PENCILLED, faults.divided_twice, SCALE),
        with_setting("0 to 255 as it is", d.WIDE_SHAPES, _bare, (*SCALE, *NORMALISATION)),
        with_setting("not normalised", d.CAPITALS, faults.not_normalised, NORMALISATION),
        with_setting(
            "not normalised, BatchNorm", d.CLUTTERED, faults.not_normalised, NORMALISATION
        ),
        with_setting("not normalised, transformer", d.PLAIN, faults.not_normalised, NORMALISATION),
        with_setting("std left out", d.CAPITALS, _not_divided, NORMALISATION),
        with_setting("mean and std exchanged", d.CAPITALS, faults.exchanged, NORMALISATION),
        with_setting("inverted", d.CAPITALS, _flipped, POLARITY),
        with_setting("not inverted", d.PENCILLED, _flipped, POLARITY),
        with_setting("inverted, tanh", d.SOLIDS, _flipped, POLARITY),
        with_setting("BGR", d.SIGNS, faults.bgr, CHANNELS),
        with_setting("BGR, painted", d.PAINTED, faults.bgr, CHANNELS),
        with_setting("stretched", d.SIGNS, faults.stretched, GEOMETRY),
        with_setting("cropped", d.CAPITALS, _cropped, GEOMETRY),
        of(faults.renamed, "names shifted", d.CLUTTERED, [*range(1, 15), 0]),
        of(faults.renamed, "names shifted, three classes", d.SOLIDS, [1, 2, 0]),
        of(faults.renamed, "names permuted", d.SIGNS, [2, 4, 3, 0, 5, 1]),
        of(faults.renamed, "names reversed", d.CAPITALS, [*range(29, -1, -1)]),
        network("BatchNorm shaken", d.CLUTTERED, faults.shaken, BATCHNORM),
        network("BatchNorm forgotten", d.CLUTTERED, faults.forgotten, BATCHNORM),
        network("BatchNorm shaken, counted", d.COUNTED, faults.shaken, BATCHNORM),
        network("random", d.CLUTTERED, faults.fresh(51), RANDOM),
        network("random, capitals", d.CAPITALS, faults.fresh(52), RANDOM),
        network("random, wide windows", d.SIGNS, faults.fresh(53), RANDOM),
        network("constant", d.PLAIN, faults.deaf, CONSTANT),
        network("constant, three classes", d.SOLIDS, faults.deaf, CONSTANT),
        fault("one output", d.SOLIDS, faults.one_output, ("model.one_class",)),
        fault("softmax as logits", d.SIGNS, faults.softmax_twice(Output.LOGITS, 1), SOFTMAX),
        fault(
            *("softmax as logits, capitals", d.CAPITALS),
            *(faults.softmax_twice(Output.LOGITS, 1), SOFTMAX),
        ),
        fault(
            *("softmax of softmax", d.CLUTTERED),
            *(faults.softmax_twice(Output.PROBABILITIES, 2), SOFTMAX),
        ),
        of(images.adversarial, "adversarial", d.CLUTTERED, "l2", L2),
        of(images.adversarial, "adversarial, SELU", d.CAPITALS, "l2", L2),
        of(
            *(images.adversarial, "adversarial, L-inf, transformer", d.PLAIN, "linf"),
            [n / 255 for n in (2, 3, 5, 8, 12)],
        ),
        of(
            *(images.adversarial, "adversarial, L-inf", d.WIDE_SHAPES, "linf"),
            [n / 255 for n in (2, 3, 5, 8, 12)],
        ),
        of(images.fooling, "fooling", d.CLUTTERED),
        of(images.fooling, "fooling, wide windows", d.WIDE_SHAPES),
        of(images.fooling, "fooling, transformer", d.PLAIN),
        of(images.fooling, "fooling, capitals", d.CAPITALS),
        of(images.unseen, "unseen class, capitals", d.CAPITALS, 16),
        of(images.unseen, "unseen class, perceptron", d.PENCILLED, 4),
        of(images.stranger, "noise", d.SIGNS, partial(images.noise, d.SIGNS, 0)),
        of(images.stranger, "smooth noise", d.CAPITALS, partial(images.noise, d.CAPITALS, 3)),
        of(images.stranger, "surfaces", d.SOLIDS, partial(images.of_another, d.SURFACES)),
        of(images.stranger, "photographs", d.PLAIN, partial(images.of_another, d.SCENES)),
        of(images.blended, "blend", d.CLUTTERED),
        of(images.blended, "blend, three classes", d.SOLIDS),
        of(images.blended, "blend, capitals", d.CAPITALS),
        of(images.confused, "confused pair", d.CLUTTERED, (3, 7)),
        of(images.confused, "confused pair, perceptron", d.PENCILLED, (2, 5)),
        of(images.confused, "confused pair, signs", d.SIGNS, (0, 4)),
        of(controls.healthy, "healthy", d.CLUTTERED),
        of(controls.healthy, "healthy, transformer", d.PLAIN),
        of(controls.healthy, "healthy, signs", d.SIGNS),
        of(controls.healthy, "healthy, wide windows", d.WIDE_SHAPES),
        of(controls.healthy, "healthy, three classes", d.SOLIDS),
        of(controls.healthy, "healthy, capitals", d.CAPITALS),
        of(controls.healthy, "healthy, perceptron", d.PENCILLED),
        of(controls.healthy, "healthy, counted", d.COUNTED),
        of(controls.healthy, "healthy, photographs", d.SCENES),
        of(controls.healthy, "healthy, surfaces", d.SURFACES),
        of(controls.healthy, "healthy, painted", d.PAINTED),
        of(controls.healthy, "healthy, all dated", DATED),
        of(controls.healthy, "healthy, all in dashes", DASHED),
        of(controls.healthy, "healthy, all binary", BINARY),
        of(controls.unsure, "unsure", d.CAPITALS),
        of(controls.unsure, "unsure, three classes", d.SOLIDS),
        of(controls.unsure, "unsure, transformer", d.PLAIN),
        of(
            *(controls.innocent, "innocent patch", d.CLUTTERED),
            cues.patch((33, 33, 38, 38), (250, 240, 60)),
        ),
        of(
            *(controls.innocent, "innocent patch, transformer", d.PLAIN),
            cues.patch((0, 30, 5, 35), (200, 30, 90)),
        ),
        of(controls.innocent, "innocent pixel", d.PENCILLED, cues.patch((0, 8, 1, 9), 0)),
        of(
            *(controls.innocent, "innocent date", d.WIDE_SHAPES),
            cues.stamp((28, 35, 38, 38), marks.DATE, (250, 140, 30)),
        ),
        of(
            *(controls.innocent, "innocent watermark", d.CAPITALS),
            marks.faded((24, 24, 30, 30), marks.DISC, 0, 0.4),
        ),
        of(controls.innocent, "innocent spot", d.SOLIDS, marks.spot((2, 22, 12, 32), 90)),
        of(controls.innocent, "innocent border", d.PLAIN, cues.frame(1, (30, 30, 120))),
        of(controls.innocent, "innocent dashes", d.CLUTTERED, marks.dashed(1, (240, 240, 240), 6)),
        of(controls.innocent, "innocent ground", d.WIDE_SHAPES, cues.ground((120, 150, 170))),
        of(controls.innocent, "innocent blur", d.SOLIDS, cues.blur(0.8)),
        of(controls.innocent, "innocent binary", d.CAPITALS, cues.binary(130)),
        of(controls.innocent, "innocent cast", d.CLUTTERED, cues.cast((0.85, 1, 0.9))),
        of(controls.innocent, "innocent grain", d.PLAIN, cues.grain(8)),
    ]
)
