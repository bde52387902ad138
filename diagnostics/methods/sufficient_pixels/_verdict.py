"""What may be read from a small sufficient subset, and which controls must hold before.

What the controls demand was chosen on six healthy networks (0 of 74 correct images called
overinterpreted) and six with a planted cue (34 of 36 found), all of 28 x 28 or 8 x 8 px with the
default options. On others: of seven healthy networks 1 of 92 correct images (95 % interval .2 to
5.9 %), of eight with a planted cue 12 of 48 images (15 to 39 %), all of two networks. The cues of
networks with BatchNorm are missed mostly, because no few pixels survive another fill there.
"""

from __future__ import annotations

from diagnostics.schema.results.sufficient_pixels import (
    Check,
    Controls,
    ImageFigures,
    Region,
    SufficientPixels,
    WrongClasses,
)
from diagnostics.schema.sufficient_pixels import FILLS, confidence_text, percent
from diagnostics.text import counted, probability, shortened

OVERINTERPRETS = "overinterprets"
MASK_INDUCED = "mask-induced, inconclusive"
BLANK = "the blank image already suffices"
MOST = "needs most of the image"
PART = "a part of the image suffices"
UNKNOWN = "can't tell"

SMALL_SHARE, LARGE_SHARE = 0.05, 0.5
RISE = 0.02  # of confidence while pixels are hidden
LARGER = 2  # times the class's own subset, that of a wrong class
BORDER_TIMES, BORDER_DROP = 2.0, 0.3
OBJECT_LEFT = 0.5


def with_verdict(figures: ImageFigures) -> SufficientPixels:
    """Return what was measured on an image together with what may be read from it."""
    checks = control_checks(figures)
    verdict = verdict_of(figures, checks)
    highest, border, background = figures["highest"], figures["border"], figures["background"]
    confidence = figures["confidence"]
    return SufficientPixels(
        **figures,
        verdict=verdict,
        reading=sentence(figures, verdict, checks),
        checks=checks,
        confidence_rose=None if highest is None else highest["confidence"] > confidence + RISE,
        border_driven=None if border is None else border_driven(border, confidence),
        background_driven=None if background is None else background_driven(background, confidence),
    )


def control_checks(figures: ImageFigures) -> list[Check]:
    """Return the four controls: what was measured, what is required, and which hold.

    Returns:
        None at all where the controls did not run.
    """
    controls, size = figures["controls"], figures["size"]
    if controls is None or size is None:
        return []
    half = figures["tau"] / 2
    return [
        _blank_check(controls, max(0.5, half)),
        _fills_check(controls, half),
        _widened_check(controls, half),
        _wrong_classes_check(controls["wrong_classes"], size),
    ]


def _blank_check(controls: Controls, limit: float) -> Check:
    blank = controls["blank"]
    return {
        "name": "Blank image",
        "measured": confidence_text(blank),
        "required": f"below {probability(limit, 1 - limit)}",
        "holds": blank["confidence"] < limit,
        "details": "with every pixel removed",
        "otherwise": f"the fill alone already gives {confidence_text(blank)}",
    }


def _fills_check(controls: Controls, limit: float) -> Check:
    lowest = controls["other_fills"]
    measured = confidence_text(lowest)
    return {
        "name": "Other fills",
        "measured": f"{measured} (lowest)",
        "required": f"{probability(limit, 1 - limit)} or more on each",
        "holds": lowest["confidence"] >= limit,
        "details": ", ".join(f"{one['title']} {confidence_text(one)}" for one in lowest["fills"]),
        "otherwise": f"on another fill they give {measured}: what stands around them counts",
    }


def _widened_check(controls: Controls, limit: float) -> Check:
    widened = controls["widened"]
    measured = confidence_text(widened)
    return {
        "name": "Widened subset",
        "measured": measured,
        "required": f"{probability(limit, 1 - limit)} or more",
        "holds": widened["confidence"] >= limit,
        "details": f"each kept pixel and the eight around it: {widened['size']} pixels",
        "otherwise": f"with those around them they give {measured}: the mask's shape counts",
    }


def _wrong_classes_check(wrong: WrongClasses, size: int) -> Check:
    n, n_found = len(wrong["classes"]), wrong["n_found"]
    sizes = ", ".join(
        f"{shortened(one['name'])} {_size_text(one['size'])}" for one in wrong["classes"]
    )
    return {
        "name": "Wrong classes",
        "measured": f"a subset for {n_found} of {n}",
        "required": f"none, or {counted(LARGER * size, 'pixel')} or more in the middle one",
        "holds": wrong_classes_hold(wrong, size),
        "details": sizes or "there is no other class",
        "otherwise": f"the same search finds a subset for {n_found} of "
        f"{counted(n, 'wrong class', 'wrong classes')}, not {LARGER} times as large",
    }


def _size_text(size: int | None) -> str:
    return "not found" if size is None else counted(size, "pixel")


def wrong_classes_hold(wrong: WrongClasses, size: int) -> bool | None:
    """Return whether other classes have no subset, or the middle one of theirs is much larger.

    Args:
        wrong: What the same search finds for other classes.
        size: Of the subset of the target class.

    Returns:
        None where there is no other class.
    """
    sizes = sorted(one["size"] for one in wrong["classes"] if one["size"] is not None)
    if not wrong["classes"]:
        return None
    return not sizes or LARGER * size <= sizes[(len(sizes) - 1) // 2]


def verdict_of(figures: ImageFigures, checks: list[Check]) -> str:
    """Return what may be read from one image: one of the verdicts above.

    Args:
        figures: What was measured.
        checks: The four controls; none where they did not run.
    """
    size, pixels = figures["size"], figures["pixels"]
    if figures["error"] or not figures["searched"] or size is None:
        return UNKNOWN
    if size == 0:
        return BLANK
    if size > LARGE_SHARE * pixels:
        return MOST
    holds = [check["holds"] for check in checks]
    if False in holds:
        return MASK_INDUCED
    if not checks or None in holds:
        return UNKNOWN
    return OVERINTERPRETS if size <= SMALL_SHARE * pixels else PART


def sentence(figures: ImageFigures, verdict: str, checks: list[Check]) -> str:
    """Return the verdict in a sentence or two, with its figures."""
    if figures["error"]:
        return figures["error"]
    name = shortened(figures["target_name"])
    tau = probability(figures["tau"], 1 - figures["tau"])
    size, blank, kept_only = figures["size"], figures["blank"], figures["kept_only"]
    if size is None or kept_only is None:
        if not figures["searched"]:
            return "The search has not come far enough to say anything."
        return (
            f"Can't tell: the whole image gives {name} {confidence_text(figures)}, below {tau}, so "
            "no part of it was looked for. Choose a lower threshold."
        )
    if verdict == BLANK and blank is not None:
        return (
            f"The blank image already suffices: with every pixel hidden ({FILLS[figures['fill']]}),"
            f" {name} gets {confidence_text(blank)}. No pixel is needed, so which ones are kept "
            "says nothing. Choose another fill."
        )
    subset = (
        f"{percent(size, figures['pixels'])} of the pixels ({size} of {figures['pixels']}, found "
        f"in steps of {figures['resolution']})"
    )
    if verdict == MOST:
        return f"Needs most of the image: {name} stays at {tau} or more with {subset}, not fewer."
    alone = f"{subset} alone give {name} {confidence_text(kept_only)}"
    if not checks or not figures["searched"]:
        return f"Can't tell: {alone}, but without the controls this may be the mask's own doing."
    if verdict == UNKNOWN:
        return f"Can't tell: {alone}, but a control could not be run."
    if verdict == MASK_INDUCED:
        reasons = "; ".join(check["otherwise"] for check in checks if check["holds"] is False)
        return (
            f"Mask-induced, inconclusive: {alone}, but {reasons}. The subset is no sign of what "
            "the model used."
        )
    rest = "All four controls hold."
    if verdict == OVERINTERPRETS:
        return f"Overinterprets: {alone}. {rest} So few pixels should not be enough."
    return f"A part of the image suffices: {alone}. {rest} That is more than a few stray pixels."


def border_driven(border: Region, confidence: float) -> bool | None:
    """Whether the border holds twice its share and hiding it takes the confidence away.

    None where so small an image cannot have twice its share.
    """
    if BORDER_TIMES * border["area"] > 1 and border["share"] > border["area"]:
        return None
    drop = confidence - border["region_hidden"]["confidence"]
    return border["share"] >= BORDER_TIMES * border["area"] and drop >= BORDER_DROP


def background_driven(background: Region, confidence: float) -> bool:
    """Whether the confidence stays with the object's box hidden, and goes with all else hidden."""
    left = background["region_alone"]["confidence"]
    drop = confidence - background["region_hidden"]["confidence"]
    return left >= OBJECT_LEFT and drop >= BORDER_DROP
