"""The worlds: the rule was chosen on the first two, the third is only reported on."""

from __future__ import annotations

from functools import partial

from benchmarks.plants import controls, cues, faults, images
from benchmarks.plants import grounds as g
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
)
from benchmarks.plants.plantings import fault as _fault
from benchmarks.plants.plantings import head as _head
from benchmarks.plants.plantings import learnt as _learnt
from benchmarks.plants.plantings import network as _network
from benchmarks.plants.plantings import of as _of
from benchmarks.plants.plantings import patch as _patch
from benchmarks.plants.plantings import with_setting as _set
from benchmarks.plants.third import REPORTED_ON
from diagnostics.schema.spec import Output

FRAMED_DIGITS = controls.everywhere(g.DIGITS, "all framed", cues.frame(2, 180))
BINARY_DIGITS = controls.everywhere(g.DIGITS, "all binary", cues.binary())
TWO_DIGITS = controls.of_classes(g.DIGITS, "two classes", [3, 5], 500)
SMALL_DIGITS = controls.anywhere(g.DIGITS, "small, anywhere", 14, 28)
COLOURED_TEXTURES = controls.textures(g.TINTED_DIGITS, 8, 21, True)
HUES = controls.hues(g.TINTED_DIGITS, 6, 22)
FIVE_DIGITS = controls.of_classes(g.TINTED_DIGITS, "five classes", [0, 1, 4, 6, 7], 2000)

CHOSEN_ON: dict[str, Planting] = dict(
    [
        _patch("corner patch, bright", g.DIGITS, (23, 1, 27, 5), 255, 3),
        _patch("corner patch, medium", g.DIGITS, (1, 24, 4, 27), 150, 7, taken=0.04),
        _patch("corner patch, faint", g.TINTED_DIGITS, (1, 1, 5, 5), (150, 110, 60), 1, 0.97, 0.05),
        _patch("large patch", g.TINTED_DIGITS, (24, 22, 31, 29), (30, 60, 160), 5, taken=0.03),
        _patch("corner patch, dense", g.DENSE_DIGITS, (22, 22, 26, 26), 200, 8, 0.98, 0.05),
        _patch("patch at the side, five classes", FIVE_DIGITS, (1, 14, 4, 19), (200, 40, 150), 2),
        _patch("single pixel, dense", g.DENSE_DIGITS, (2, 2, 3, 3), 255, 0),
        _patch("single pixel", g.DIGITS, (3, 14, 4, 15), 255, 4),
        _learnt(
            *("watermark", g.DIGITS, cues.stamp((22, 11, 27, 16), cues.CROSS, 190), 6, LOCAL),
            (22, 11, 27, 16),
        ),
        _learnt("border", g.DIGITS, cues.frame(1, 200), 2, BORDER),
        _learnt("border, dense", g.DENSE_DIGITS, cues.frame(2, 140), 6, BORDER),
        _learnt("border, coloured", g.TINTED_DIGITS, cues.frame(2, (60, 140, 90)), 8, BORDER),
        _learnt("ground colour", g.TINTED_DIGITS, cues.ground((40, 50, 150)), 5, BACKGROUND),
        _learnt("ground level", g.DIGITS, cues.ground(70), 9, BACKGROUND),
        _learnt("ground stripes", g.TINTED_DIGITS, cues.striped_ground(5, 60), 7, BACKGROUND),
        _learnt("brightness", g.TINTED_DIGITS, cues.levels(0.45), 4, STATISTIC, taken=0),
        _learnt("brightness, five classes", FIVE_DIGITS, cues.levels(1, 60), 3, STATISTIC),
        _learnt("colour cast", g.TINTED_DIGITS, cues.cast((1.1, 0.75, 0.45)), 2, STATISTIC),
        _learnt("contrast", g.TINTED_DIGITS, cues.levels(0.4, 70), 6, STATISTIC),
        _learnt("grain", g.DIGITS, cues.grain(28), 1, TEXTURE),
        _learnt("weave", g.TINTED_DIGITS, cues.weave(22), 3, TEXTURE),
        _learnt("binary", g.DIGITS, cues.binary(), 0, EDGES),
        _learnt("binary, coloured", g.TINTED_DIGITS, cues.binary(110), 9, EDGES),
        _learnt("blur", g.DIGITS, cues.blur(1.6), 5, STATISTIC, taken=0),
        _head("sink", g.DIGITS, 3, 9, BIAS),
        _head("sink, coloured", g.TINTED_DIGITS, 7, 6, BIAS),
        _head("sink, dense", g.DENSE_DIGITS, 1, 7, BIAS),
        _head("dead class", g.DIGITS, 4, -15, DEAD),
        _head("dead class, coloured", g.HUED_DIGITS, 2, -15, DEAD),
        _head("dead class, no norm", g.TINTED_DIGITS, 0, -25, DEAD),
        _head("always one class", g.DIGITS, 2, 100, ALWAYS),
        _of(faults.sharp, "sharp x5", g.DIGITS, 5.0, 500, 0.05),
        _of(faults.sharp, "sharp x20", g.TINTED_DIGITS, 20.0, 1500, 0.1),
        _set("raw 0..255, coloured", g.HUED_DIGITS, faults.raw, SCALE),
        _set("raw 0..255", g.DIGITS, faults.raw, SCALE),
        _set("raw 0..255, no norm", g.TINTED_DIGITS, faults.raw, SCALE),
        _set("divided by 255 twice", g.TINTED_DIGITS, faults.divided_twice, SCALE),
        _set("divided by 255 twice, BatchNorm", g.DIGITS, faults.divided_twice, SCALE),
        _set("not normalised", g.HUED_DIGITS, faults.not_normalised, NORMALISATION),
        _set("not normalised, no norm", g.TINTED_DIGITS, faults.not_normalised, NORMALISATION),
        _set("not normalised, grey", g.DIGITS, faults.not_normalised, NORMALISATION),
        _set("mean and std exchanged", g.DIGITS, faults.exchanged, NORMALISATION),
        _set("inverted", g.DIGITS, faults.inverted, ("preprocessing.polarity",)),
        _set("inverted, coloured", g.HUED_DIGITS, faults.inverted, ("preprocessing.polarity",)),
        _set("BGR", g.HUED_DIGITS, faults.bgr, ("preprocessing.channels",)),
        _set("stretched", g.HUED_DIGITS, faults.stretched, ("preprocessing.geometry",)),
        _of(faults.renamed, "names shifted", g.DIGITS, [*range(1, 10), 0]),
        _of(faults.renamed, "names permuted", g.TINTED_DIGITS, [4, 0, 7, 9, 2, 1, 8, 3, 6, 5]),
        _network("BatchNorm shaken", g.DIGITS, faults.shaken, BATCHNORM),
        _network("BatchNorm forgotten", g.HUED_DIGITS, faults.forgotten, BATCHNORM),
        _network("random", g.DIGITS, faults.fresh(31), RANDOM),
        _network("constant", g.DIGITS, faults.deaf, CONSTANT),
        _fault("one output", g.DIGITS, faults.one_output, ("model.one_class",)),
        _fault("softmax as logits", g.DIGITS, faults.softmax_twice(Output.LOGITS, 1), SOFTMAX),
        _fault(
            "softmax of softmax",
            g.TINTED_DIGITS,
            faults.softmax_twice(Output.PROBABILITIES, 2),
            SOFTMAX,
        ),
        _of(images.adversarial, "adversarial", g.DIGITS, "l2", [0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3]),
        _of(
            images.adversarial,
            *("adversarial, L-inf", g.TINTED_DIGITS, "linf"),
            [n / 255 for n in (3, 5, 8, 12, 16, 24)],
        ),
        _of(images.adversarial, "adversarial, dense", g.DENSE_DIGITS, "l2", [0.5, 1, 1.5, 2, 3]),
        _of(images.fooling, "fooling", g.DIGITS),
        _of(images.fooling, "fooling, dense", g.DENSE_DIGITS),
        _of(images.fooling, "fooling, coloured", g.TINTED_DIGITS),
        _of(images.unseen, "unseen class", g.DIGITS, 7),
        _of(images.unseen, "unseen class, tinted", g.TINTED_DIGITS, 0),
        _of(images.stranger, "noise", g.TINTED_DIGITS, partial(images.noise, g.TINTED_DIGITS, 0)),
        _of(images.stranger, "noise, grey", g.DIGITS, partial(images.noise, g.DIGITS, 0.6)),
        _of(images.blended, "blend", g.DIGITS),
        _of(images.blended, "blend, tinted", g.TINTED_DIGITS),
        _of(images.confused, "confused pair", g.DIGITS, (2, 6)),
        _of(images.confused, "confused pair, tinted", g.TINTED_DIGITS, (0, 7)),
        _of(controls.healthy, "healthy", g.DIGITS),
        _of(controls.healthy, "healthy, no norm", g.TINTED_DIGITS),
        _of(controls.healthy, "healthy, two hues", g.HUED_DIGITS),
        _of(controls.healthy, "healthy, dense", g.DENSE_DIGITS),
        _of(controls.healthy, "healthy, five classes", FIVE_DIGITS),
        _of(controls.healthy, "healthy, all framed", FRAMED_DIGITS),
        _of(controls.healthy, "healthy, all binary", BINARY_DIGITS),
        _of(controls.healthy, "healthy, two classes", TWO_DIGITS),
        _of(controls.healthy, "healthy, small anywhere", SMALL_DIGITS),
        _of(controls.healthy, "healthy, textures", COLOURED_TEXTURES),
        _of(controls.healthy, "healthy, hues", HUES),
        _of(controls.unsure, "unsure", g.DIGITS),
        _of(controls.unsure, "unsure, tinted", g.TINTED_DIGITS),
        _of(controls.innocent, "innocent patch", g.DIGITS, cues.patch((23, 1, 27, 5), 255)),
        _of(
            controls.innocent,
            "innocent patch, dense",
            g.DENSE_DIGITS,
            cues.patch((22, 22, 26, 26), 200),
        ),
        _of(controls.innocent, "innocent border", g.TINTED_DIGITS, cues.frame(1, (200, 90, 60))),
        _of(controls.innocent, "innocent binary", g.DIGITS, cues.binary()),
        _of(controls.innocent, "innocent blur", g.TINTED_DIGITS, cues.blur(0.6)),
        _of(controls.innocent, "innocent ground", g.TINTED_DIGITS, cues.ground((70, 40, 90))),
        _of(
            controls.innocent,
            *("innocent watermark", g.DIGITS, cues.stamp((1, 12, 5, 15), cues.TEE, 200)),
        ),
    ]
)

FRAMED_OPTICAL_DIGITS = controls.everywhere(g.OPTICAL_DIGITS, "all framed", cues.frame(1, 255))
BINARY_GARMENTS = controls.everywhere(g.GARMENTS, "all binary", cues.binary(120))
TWO_GARMENTS = controls.of_classes(g.TINTED_GARMENTS, "two classes", [2, 4], 1000)
SMALL_GARMENTS = controls.anywhere(g.GARMENTS, "small, anywhere", 16, 32)
GREY_TEXTURES = controls.textures(g.GARMENTS, 10, 23, False)
GARMENT_HUES = controls.hues(g.TINTED_GARMENTS, 5, 24)

LOOKED_AT: dict[str, Planting] = dict(
    [
        _patch("corner patch, bright", g.GARMENTS, (1, 22, 6, 27), 230, 4),
        _patch("corner patch, medium", g.LETTERS, (23, 23, 27, 27), 140, 11),
        _patch(
            "corner patch, faint", g.TINTED_GARMENTS, (26, 2, 30, 6), (70, 130, 150), 2, 0.97, 0.05
        ),
        _patch("corner patch, GELU", g.PATCHED_GARMENTS, (23, 2, 26, 5), 220, 0, taken=0.04),
        _patch("corner patch, attention", g.ATTENDED_GARMENTS, (24, 0, 28, 3), 180, 5, 0.97, 0.05),
        _patch("large patch", g.GARMENTS, (19, 19, 27, 27), 170, 2, taken=0.02),
        _patch(
            "patch at the side", g.TINTED_GARMENTS, (27, 13, 31, 18), (40, 150, 60), 1, 0.98, 0.03
        ),
        _patch("single pixel", g.GARMENTS, (26, 4, 27, 5), 255, 6),
        _patch("single pixel, letters", g.LETTERS, (13, 1, 14, 2), 255, 4, taken=0.2),
        _learnt(
            *("watermark", g.TINTED_GARMENTS, cues.stamp((1, 14, 6, 19), cues.RING, (230,) * 3)),
            *(5, LOCAL, (1, 14, 6, 19)),
        ),
        _learnt(
            *("watermark, optical", g.OPTICAL_DIGITS, cues.stamp((10, 20, 14, 23), cues.TEE, 170)),
            *(8, LOCAL, (10, 20, 14, 23)),
        ),
        _learnt("border", g.GARMENTS, cues.frame(2, 130), 1, BORDER),
        _learnt("border, attention", g.ATTENDED_GARMENTS, cues.frame(1, 90), 3, BORDER),
        _learnt("border, letters", g.LETTERS, cues.frame(1, 255), 20, BORDER),
        _learnt(
            "border, coloured", g.TINTED_GARMENTS, cues.frame(1, (190, 60, 40)), 7, BORDER, taken=0
        ),
        _learnt("ground colour", g.TINTED_GARMENTS, cues.ground((120, 60, 30)), 3, BACKGROUND),
        _learnt("ground level", g.LETTERS, cues.ground(60), 14, BACKGROUND),
        _learnt("ground level, attention", g.ATTENDED_GARMENTS, cues.ground(110), 6, BACKGROUND),
        _learnt(
            "ground stripes", g.TINTED_GARMENTS, cues.striped_ground(6, 70), 1, BACKGROUND, taken=0
        ),
        _learnt("brightness", g.GARMENTS, cues.levels(0.4), 2, STATISTIC),
        _learnt("brightness, coloured", g.TINTED_GARMENTS, cues.levels(1, 55), 6, STATISTIC),
        _learnt("contrast", g.TINTED_GARMENTS, cues.levels(0.45, 60), 3, STATISTIC),
        _learnt("contrast, grey", g.PATCHED_GARMENTS, cues.levels(0.5, 60), 5, STATISTIC),
        _learnt("JPEG", g.TINTED_GARMENTS, cues.jpeg(12), 4, STATISTIC),
        _learnt("colour cast", g.TINTED_GARMENTS, cues.cast((0.5, 0.9, 1.2)), 0, STATISTIC),
        _learnt("grain", g.TINTED_GARMENTS, cues.grain(22), 4, TEXTURE),
        _learnt("grain, attention", g.ATTENDED_GARMENTS, cues.grain(35), 0, TEXTURE),
        _learnt("weave", g.GARMENTS, cues.weave(24), 3, TEXTURE, taken=0),
        _learnt("weave, letters", g.LETTERS, cues.weave(30, 4), 7, TEXTURE),
        _learnt("binary", g.GARMENTS, cues.binary(110), 7, EDGES),
        _learnt("binary, coloured", g.TINTED_GARMENTS, cues.binary(100), 1, EDGES),
        _learnt("sharpened", g.PATCHED_GARMENTS, cues.sharpened(2, 350), 6, EDGES),
        _learnt("binary, optical", g.OPTICAL_DIGITS, cues.binary(120), 6, EDGES),
        _learnt("blur", g.TINTED_GARMENTS, cues.blur(1.8), 5, STATISTIC),
        _head("sink", g.GARMENTS, 5, 7, BIAS),
        _head("sink, letters", g.LETTERS, 9, 9, BIAS),
        _head("sink, attention", g.ATTENDED_GARMENTS, 7, 6, BIAS),
        _head("sink, GELU", g.PATCHED_GARMENTS, 2, 8, BIAS),
        _head("dead class", g.PATCHED_GARMENTS, 1, -15, DEAD),
        _head("dead class, letters", g.LETTERS, 12, -15, DEAD),
        _head("always one class", g.TINTED_GARMENTS, 4, 100, ALWAYS),
        _of(faults.sharp, "sharp x5", g.PATCHED_GARMENTS, 5.0, 1500, 0.05),
        _of(faults.sharp, "sharp x20", g.TINTED_GARMENTS, 20.0, 2000, 0.1),
        _of(faults.sharp, "sharp x5, letters", g.LETTERS, 5.0, 3500, 0.05),
        _set("0 to 2", g.HUED_GARMENTS, faults.doubled, (*SCALE, *NORMALISATION)),
        _set("raw 0..255", g.GARMENTS, faults.raw, SCALE),
        _set("divided by 255 twice", g.LETTERS, faults.divided_twice, SCALE),
        _set("divided by 255 twice, BatchNorm", g.OPTICAL_DIGITS, faults.divided_twice, SCALE),
        _set("raw 0..255, GELU", g.PATCHED_GARMENTS, faults.raw, SCALE),
        _set("not normalised", g.GARMENTS, faults.not_normalised, NORMALISATION),
        _set("not normalised, coloured", g.HUED_GARMENTS, faults.not_normalised, NORMALISATION),
        _set("divided by 255 twice, attention", g.ATTENDED_GARMENTS, faults.divided_twice, SCALE),
        _set("not normalised, GroupNorm", g.TINTED_GARMENTS, faults.not_normalised, NORMALISATION),
        _set("inverted", g.LETTERS, faults.inverted, ("preprocessing.polarity",)),
        _set("inverted, GELU", g.PATCHED_GARMENTS, faults.inverted, ("preprocessing.polarity",)),
        _set("BGR", g.HUED_GARMENTS, faults.bgr, ("preprocessing.channels",)),
        _set("stretched", g.HUED_GARMENTS, faults.stretched, ("preprocessing.geometry",)),
        _set("letterboxed", g.HUED_GARMENTS, faults.letterboxed, ("preprocessing.geometry",)),
        _set("mean and std exchanged", g.GARMENTS, faults.exchanged, NORMALISATION),
        _of(faults.renamed, "names shifted", g.LETTERS, [*range(1, 26), 0]),
        _of(faults.renamed, "names permuted", g.TINTED_GARMENTS, [3, 6, 0, 7, 5, 2, 1, 4]),
        _network("BatchNorm shaken", g.OPTICAL_DIGITS, faults.shaken, BATCHNORM),
        _network("BatchNorm forgotten", g.GARMENTS, faults.forgotten, BATCHNORM),
        _network("random", g.TINTED_GARMENTS, faults.fresh(32), RANDOM),
        _network("random, letters", g.LETTERS, faults.fresh(33), RANDOM),
        _network("constant", g.PATCHED_GARMENTS, faults.deaf, CONSTANT),
        _fault("one output", g.LETTERS, faults.one_output, ("model.one_class",)),
        _fault("softmax as logits", g.LETTERS, faults.softmax_twice(Output.LOGITS, 1), SOFTMAX),
        _fault(
            "softmax of softmax",
            g.GARMENTS,
            faults.softmax_twice(Output.PROBABILITIES, 2),
            SOFTMAX,
        ),
        _of(images.adversarial, "adversarial", g.GARMENTS, "l2", [0.3, 0.5, 0.75, 1.0, 1.5, 2]),
        _of(
            images.adversarial,
            *("adversarial, L-inf", g.TINTED_GARMENTS, "linf"),
            [n / 255 for n in (2, 3, 5, 8, 12, 16)],
        ),
        _of(
            images.adversarial,
            *("adversarial, GELU", g.PATCHED_GARMENTS, "l2", [0.3, 0.5, 0.75, 1.0, 1.5, 2]),
        ),
        _of(images.fooling, "fooling", g.GARMENTS),
        _of(images.fooling, "fooling, letters", g.LETTERS),
        _of(
            images.adversarial,
            *("adversarial, attention", g.ATTENDED_GARMENTS, "linf"),
            [n / 255 for n in (3, 5, 8, 12, 16)],
        ),
        _of(images.fooling, "fooling, attention", g.ATTENDED_GARMENTS),
        _of(images.unseen, "unseen class", g.GARMENTS, 4),
        _of(images.unseen, "unseen class, letters", g.LETTERS, 22),
        _of(images.stranger, "smooth noise", g.GARMENTS, partial(images.noise, g.GARMENTS, 5)),
        _of(
            images.stranger,
            "noise",
            g.PATCHED_GARMENTS,
            partial(images.noise, g.PATCHED_GARMENTS, 0),
        ),
        _of(
            images.stranger,
            *("letters", g.PATCHED_GARMENTS, partial(images.of_another, g.LETTERS)),
        ),
        _of(images.blended, "blend", g.LETTERS),
        _of(images.blended, "blend, coloured", g.TINTED_GARMENTS),
        _of(images.confused, "confused pair", g.GARMENTS, (1, 6)),
        _of(images.confused, "confused pair, letters", g.LETTERS, (3, 18)),
        _of(controls.healthy, "healthy", g.GARMENTS),
        _of(controls.healthy, "healthy, GroupNorm", g.TINTED_GARMENTS),
        _of(controls.healthy, "healthy, GELU", g.PATCHED_GARMENTS),
        _of(controls.healthy, "healthy, no norm", g.LETTERS),
        _of(controls.healthy, "healthy, attention", g.ATTENDED_GARMENTS),
        _of(controls.healthy, "healthy, optical digits", g.OPTICAL_DIGITS),
        _of(controls.healthy, "healthy, two hues", g.HUED_GARMENTS),
        _of(controls.healthy, "healthy, all framed", FRAMED_OPTICAL_DIGITS),
        _of(controls.healthy, "healthy, all binary", BINARY_GARMENTS),
        _of(controls.healthy, "healthy, two classes", TWO_GARMENTS),
        _of(controls.healthy, "healthy, small anywhere", SMALL_GARMENTS),
        _of(controls.healthy, "healthy, textures", GREY_TEXTURES),
        _of(controls.healthy, "healthy, hues", GARMENT_HUES),
        _of(controls.unsure, "unsure", g.LETTERS),
        _of(controls.unsure, "unsure, coloured", g.TINTED_GARMENTS),
        _of(
            controls.innocent, "innocent patch", g.TINTED_GARMENTS, cues.patch((26, 2, 30, 6), 230)
        ),
        _of(controls.innocent, "innocent border", g.GARMENTS, cues.frame(1, 160)),
        _of(controls.innocent, "innocent binary", g.GARMENTS, cues.binary(110)),
        _of(
            *(controls.innocent, "innocent patch, attention", g.ATTENDED_GARMENTS),
            cues.patch((24, 0, 28, 3), 180),
        ),
        _of(controls.innocent, "innocent blur", g.LETTERS, cues.blur(0.7)),
        _of(controls.innocent, "innocent ground", g.TINTED_GARMENTS, cues.ground((30, 80, 70))),
        _of(
            controls.innocent,
            *("innocent watermark", g.PATCHED_GARMENTS),
            cues.stamp((22, 12, 27, 17), cues.CROSS, 170),
        ),
        _of(controls.innocent, "innocent pixel", g.LETTERS, cues.patch((26, 13, 27, 14), 255)),
    ]
)
WORLDS = {"A": CHOSEN_ON, "B": LOOKED_AT, "C": REPORTED_ON}
