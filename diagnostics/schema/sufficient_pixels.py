"""What may be read from a small sufficient subset, and which controls must hold before.

Thresholds are starting values, chosen on small networks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from diagnostics.text import counted, probability, shortened

Entry = Mapping[str, Any]

FILLS = {
    "dataset_mean": "mean colour of the training images",
    "black": "black",
    "image_mean": "mean colour of the image",
    "blur": "the image, blurred",
    "noise": "uniform noise",
    "road": "what the pixels around it suggest (ROAD)",
}
PREVIEW, FEW_PIXELS, FULL_STEP = 100, 4096, 100
FINER = 40  # steps of a finer search of the last pixels

OVERINTERPRETS = "overinterprets"
MASK_INDUCED = "mask-induced, inconclusive"
BLANK = "the blank image already suffices"
MOST = "needs most of the image"
PART = "a part of the image suffices"
UNKNOWN = "can't tell"

SMALL_SHARE, LARGE_SHARE = 0.05, 0.5
RAISED = 0.02  # of confidence while pixels are removed
WRONG_RATE, MUCH_SMALLER = 0.2, 4
BORDER_TIMES, BORDER_DROP = 2.0, 0.3
OBJECT_LEFT = 0.5
WRONG_CLASSES, RANDOM_SUBSETS, NOISES = 3, 8, 4
AT_MOST_FILLS = 5


def usual_step(pixels: int, *, full: bool = False) -> int:
    """Return how many pixels are hidden at a time.

    Args:
        pixels: Of the image.
        full: One pixel at a time where there are few, 100 otherwise; else about 100 steps.
    """
    if full:
        return 1 if pixels <= FEW_PIXELS else FULL_STEP
    return max(1, pixels // PREVIEW)


def passes(
    pixels: int, step: int, *, subsets: int = 1, controls: bool = True, classes: int = 2
) -> tuple[int, int]:
    """Return how many passes of one image a search takes at most: forward alone, and both ways.

    Args:
        pixels: Of the image.
        step: Pixels hidden at a time.
        subsets: Disjoint subsets looked for.
        controls: Whether the controls run with it.
        classes: Of the model.
    """
    steps = math.ceil(pixels / step)
    wrong = min(WRONG_CLASSES, classes - 1) if controls else 0
    exactly, finer = refining(step, steps)
    forward = 4 + wrong + subsets * (2 + exactly)
    forward += RANDOM_SUBSETS + NOISES + AT_MOST_FILLS if controls else 0
    return forward, steps * (subsets + wrong) + subsets * finer


def exact_passes(
    pixels: int, *, subsets: int = 1, controls: bool = True, classes: int = 2, back: bool = True
) -> tuple[int, int]:
    """Return the same for the exact search.

    Args:
        pixels: Of the image.
        subsets: Disjoint subsets looked for.
        controls: Whether the controls run with it.
        classes: Of the model.
        back: Whether the model offers gradients, by which wrong classes are searched for then.
    """
    each = pixels * (pixels + 1) // 2 + 1
    usual = usual_step(pixels)
    forward, both = passes(pixels, usual, subsets=0, controls=controls, classes=classes)
    wrong = min(WRONG_CLASSES, classes - 1) if controls and not back else 0
    return forward + (subsets + wrong) * each, both if back else 0


def refining(step: int, steps: int) -> tuple[int, int]:
    """Return how many passes the finer search of the last pixels takes at most, likewise."""
    forward = both = 0
    while step > 1:
        last = 2 * step
        if last <= exact_pixels(step, steps):
            return forward + last * (last + 1) // 2 + 1, both
        step = finer_step(last)
        forward, both = forward + 1, both + math.ceil(last / step)
    return forward, both


def finer_step(last: int) -> int:
    """Return in which steps so many last pixels are searched again: about 40."""
    return max(1, last // FINER)


def exact_pixels(step: int, steps: int) -> int:
    """Return how many of the last pixels are ordered exactly: 4 passes for a step at most."""
    return min(2 * step, int((math.sqrt(32 * steps + 1) - 1) / 2))


def checks(one: Entry) -> list[dict[str, Any]]:
    """Return the four controls of one image: what was found, what is demanded, and which hold.

    Args:
        one: The image's part of an answer, its controls among it.
    """
    tau, made = one["tau"], one["controls"]
    blank, swap, wide, wrong = (made[name] for name in ("blank", "swap", "dilated", "wrong"))
    half = probability(tau / 2, 1 - tau / 2)
    most_of_blank = max(0.5, tau / 2)
    others = ", ".join(f"{one['title']} {sure(one)}" for one in swap["fills"])
    less = counted(one["coarse"], "pixel")
    return [
        {
            "name": "Blank image",
            "found": sure(blank),
            "demand": f"below {probability(most_of_blank, 1 - most_of_blank)}",
            "holds": blank["confidence"] < most_of_blank,
            "details": "with every pixel removed",
            "otherwise": f"the fill alone already gives {sure(blank)}",
        },
        {
            "name": "Other fills",
            "found": f"{sure(swap)} (median)",
            "demand": f"{half} or more",
            "holds": swap["confidence"] >= tau / 2,
            "details": others,
            "otherwise": f"on other fills they give {sure(swap)}: the mask's colour counts",
        },
        {
            "name": "Widened subset",
            "found": sure(wide),
            "demand": f"{half} or more",
            "holds": wide["confidence"] >= tau / 2,
            "details": f"each kept pixel and the eight around it: {wide['size']} pixels",
            "otherwise": f"with those around them they give {sure(wide)}: the mask's shape counts",
        },
        {
            "name": "Wrong classes",
            "found": f"a subset for {wrong['found']} of {len(wrong['classes'])}",
            "demand": f"fewer than {100 * WRONG_RATE:.0f} % of them",
            "holds": _wrong_holds(one["coarse"], wrong),
            "details": f"{_wrong(wrong)}; {MUCH_SMALLER} times the {less} that the class itself "
            "needs in this search, not refined, would do as well",
            "otherwise": f"the same search finds a subset for {wrong['found']} of "
            f"{counted(len(wrong['classes']), 'wrong class', 'wrong classes')}",
        },
    ]


def _wrong(wrong: Entry) -> str:
    if not wrong["classes"]:
        return "there is no other class"
    return ", ".join(f"{shortened(one['name'])} {_size(one['size'])}" for one in wrong["classes"])


def _size(size: int | None) -> str:
    return "not found" if size is None else counted(size, "pixel")


def _wrong_holds(size: int, wrong: Entry) -> bool | None:
    sizes = sorted(one["size"] for one in wrong["classes"] if one["size"] is not None)
    if not wrong["classes"]:
        return None
    if len(sizes) < WRONG_RATE * len(wrong["classes"]):
        return True
    return bool(MUCH_SMALLER * size <= sizes[(len(sizes) - 1) // 2])


def verdict(one: Entry) -> str:
    """Return what may be said of one image: one of the readings above.

    Args:
        one: The image's part of an answer; "controls" None where they did not run.
    """
    size, pixels = one["size"], one["pixels"]
    if one["error"] or not one["searched"] or size is None:
        return UNKNOWN
    if size == 0:
        return BLANK
    if size > LARGE_SHARE * pixels:
        return MOST
    if one["controls"] is None:
        return UNKNOWN
    held = [check["holds"] for check in checks(one)]
    if False in held:
        return MASK_INDUCED
    if None in held:
        return UNKNOWN
    return OVERINTERPRETS if size <= SMALL_SHARE * pixels else PART


def sentence(one: Entry) -> str:
    """Say in one sentence or two what was found for one image, with its figures."""
    if one["error"]:
        return str(one["error"])
    name, tau = shortened(one["name"]), probability(one["tau"], 1 - one["tau"])
    fill, reading = FILLS[one["fill"]], verdict(one)
    if one["size"] is None:
        if not one["searched"]:
            return "The search has not come far enough to say anything."
        return (
            f"Can't tell: the whole image gives {name} {sure(one)}, below {tau}, so no part of it "
            "was looked for. Choose a lower threshold."
        )
    if reading == BLANK:
        return (
            f"The blank image already suffices: with every pixel hidden ({fill}), {name} gets "
            f"{sure(one['blank'])}. No pixel is needed, so which ones are kept says nothing. "
            "Choose another fill."
        )
    least = f"{share(one)} of the pixels ({one['size']} of {one['pixels']}"
    found = f"{least}, found in steps of {one['resolution']})"
    if reading == MOST:
        return f"Needs most of the image: {name} stays at {tau} or more with {found}, not fewer."
    alone = f"{found} alone give {name} {sure(one['kept'])}"
    if one["controls"] is None or not one["searched"]:
        return f"Can't tell: {alone}, but without the controls this may be the mask's own doing."
    if reading == UNKNOWN:
        return f"Can't tell: {alone}, but a control could not be run."
    if reading == MASK_INDUCED:
        reasons = "; ".join(check["otherwise"] for check in failed(one))
        return (
            f"Mask-induced, inconclusive: {alone}, but {reasons}. The subset is no sign of what "
            "the model used."
        )
    rest = "All four controls hold."
    if reading == OVERINTERPRETS:
        return f"Overinterprets: {alone}. {rest} So few pixels should not be enough."
    return f"A part of the image suffices: {alone}. {rest} That is more than a few stray pixels."


def failed(one: Entry) -> list[dict[str, Any]]:
    """Return the controls that do not hold."""
    return [check for check in checks(one) if check["holds"] is False]


def share(one: Entry) -> str:
    """Return which share of the pixels the subset is, such as "3.1 %"."""
    part = one["size"] / one["pixels"]
    return f"{100 * part:.2g} %" if part < 0.1 else f"{100 * part:.0f} %"


def raised(one: Entry) -> bool:
    """Whether the confidence rose while pixels were removed."""
    return bool(one["highest"]["confidence"] > one["confidence"] + RAISED)


def border_driven(one: Entry) -> bool | None:
    """Whether the border holds twice its share and hiding it takes the confidence away.

    None where so small an image cannot have twice its share.
    """
    found = one["border"]
    if BORDER_TIMES * found["area"] > 1 and found["share"] > found["area"]:
        return None
    drop = one["confidence"] - found["rest"]["confidence"]
    return bool(found["share"] >= BORDER_TIMES * found["area"] and drop >= BORDER_DROP)


def background_driven(one: Entry) -> bool:
    """Whether the answer stays with the person's box hidden, and goes with all else hidden."""
    found = one["background"]
    left, drop = found["itself"]["confidence"], one["confidence"] - found["rest"]["confidence"]
    return bool(left >= OBJECT_LEFT and drop >= BORDER_DROP)


def sure(one: Entry) -> str:
    """Return a confidence as people read it."""
    return probability(one["confidence"], one["one_minus_p"])
