"""The ways in which images are plausibly prepared for a network, right ones and usual mistakes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.presets import PRESETS

CURRENT = "as it is set now"
PUBLISHED = "the model's own settings"
MISTAKES = ("normalised twice", "divided by 255 twice")
MARGIN = 8 / 7  # of the shortest side before a crop: 256 px for 224


@dataclass(frozen=True)
class Candidate:
    """One way of preparing images.

    Args:
        names: What it is called; several where different words mean the same values.
        preprocessing: The settings.
        mistake: Whether it is a usual mistake, never one to switch to.
    """

    names: tuple[str, ...]
    preprocessing: Preprocessing
    mistake: bool = False


def scalings(current: Preprocessing, published: Preprocessing) -> list[Candidate]:
    """Return the current settings first, then every plausible way, the smallest changes first."""
    found = [Candidate((CURRENT,), current), Candidate((PUBLISHED,), published)]
    found += _undone(current)
    for whose, base in ((CURRENT, current), (PUBLISHED, published)):
        if all(value > 0 for value in base.mean):
            exchanged = replace(base, mean=base.std, std=base.mean)
            found.append(Candidate((f"{whose}, mean and std exchanged",), exchanged))
    for name, preset in PRESETS.items():
        if not preset.suits(current):
            continue
        scaled = preset.applied_to(current)
        numbers = f"mean {_short(scaled.mean)}, std {_short(scaled.std)}"
        words = {"unit": "values in 0..1", "raw": "raw 0..255"}
        named = words.get(name, f"{name}: {numbers}")
        found.append(Candidate((named,), scaled))
    for base in (current, published):
        mean, std = base.mean, base.std
        pairs = list(zip(mean, std, strict=True))
        if any(m != 0 or s != 1 for m, s in pairs):
            twice = tuple(m * (1 + s) for m, s in pairs), tuple(s * s for s in std)
            found.append(_mistake(MISTAKES[0], base, *twice))
        shrunk = tuple(255 * m for m in mean), tuple(255 * s for s in std)
        if base.value_range == 1:
            found.append(_mistake(MISTAKES[1], base, *shrunk))
    return merged(found)


def measured(
    base: Preprocessing, mean: tuple[float, ...], std: tuple[float, ...]
) -> list[Candidate]:
    """Return the way that takes the images' own mean and std, measured in the pixels.

    Args:
        base: Gives everything else.
        mean: Of each channel of the pixels, in 0..1, red first.
        std: The same.
    """
    if min(std) <= 0:
        return []
    order = slice(None, None, -1 if base.bgr else 1)
    top = base.value_range
    made = replace(
        base,
        mean=tuple(round(top * value, 4) for value in mean[order]),
        std=tuple(round(top * value, 4) for value in std[order]),
    )
    numbers = f"mean {_short(made.mean)}, std {_short(made.std)}"
    return [Candidate((f"these images' own {numbers}",), made)]


def _undone(current: Preprocessing) -> list[Candidate]:
    """Return the current settings with one thing fewer done, and with colours kept or turned."""
    ways = {
        "not blurred": replace(current, blur=0.0),
        "contrast left alone": replace(current, contrast=0.0),
        "no threshold": replace(current, threshold=None),
    }
    if current.colour:
        words = "colours kept" if current.grey else "colours turned to grey"
        ways[words] = replace(current, grey=not current.grey)
    return [
        Candidate((f"{CURRENT}, {name}",), made) for name, made in ways.items() if made != current
    ]


def turned(base: Candidate) -> list[Candidate]:
    """Return a candidate's other channel order, inversion, and both."""
    settings, names = base.preprocessing, base.names
    found = []
    for bgr in (False, True) if settings.colour else (settings.bgr,):
        for invert in (False, True):
            made = replace(settings, bgr=bgr, invert=invert)
            if settings.colour and bgr != settings.bgr:
                made = replace(made, mean=settings.mean[::-1], std=settings.std[::-1])
            if made == settings:
                continue
            said = [word for word, on in (("BGR", bgr), ("inverted", invert)) if on] or ["RGB"]
            found.append(Candidate((f"{names[0]}, {' and '.join(said)}",), made, base.mistake))
    return found


def fitted(base: Candidate) -> list[Candidate]:
    """Return a candidate's other ways of making an image the network's size."""
    settings = base.preprocessing
    side = min(settings.height, settings.width)
    ways = {
        "stretched": replace(settings, fit="stretch"),
        "centre crop": replace(settings, fit="crop", resize_px=min(round(side * MARGIN), 4096)),
        "shortest side cropped": replace(settings, fit="crop", resize_px=side),
        "letterboxed": replace(settings, fit="letterbox"),
        "bilinear": replace(settings, interpolation="bilinear"),
        "bicubic": replace(settings, interpolation="bicubic"),
        "nearest": replace(settings, interpolation="nearest"),
        "not antialiased": replace(settings, antialias=False),
    }
    return [
        Candidate((f"{base.names[0]}, {name}",), made, base.mistake)
        for name, made in ways.items()
        if made != settings
    ]


def merged(candidates: list[Candidate]) -> list[Candidate]:
    """Join candidates whose settings are the same; the first one's place and kind count."""
    found: dict[Preprocessing, Candidate] = {}
    for one in candidates:
        before = found.get(one.preprocessing)
        if before is None:
            found[one.preprocessing] = one
        else:
            names = tuple(dict.fromkeys((*before.names, *one.names)))
            found[one.preprocessing] = replace(before, names=names)
    return list(found.values())


def _mistake(
    name: str, base: Preprocessing, mean: tuple[float, ...], std: tuple[float, ...]
) -> Candidate:
    return Candidate((name,), replace(base, mean=mean, std=std), mistake=True)


def _short(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:.3g}" for value in dict.fromkeys(values))
