"""What the third world stands on: shapes, signs, solids and characters that are drawn here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from string import ascii_uppercase

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter
from torch import nn

from benchmarks.plants import networks
from benchmarks.plants.grounds import Drawing, Ground, Labels, settings
from benchmarks.plants.plant import Picture
from scripts import letters

Points = NDArray[np.float64]
Mask = NDArray[np.float64]
Random = np.random.Generator
FINE = 4  # how much larger a shape is drawn than it is kept


def _arc(radius: float, first: float = 0, last: float = 360, x: float = 0, y: float = 0) -> Points:
    angles = np.radians(np.linspace(first, last, 40))
    return np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], 1)


def _corners(*numbers: float) -> Points:
    return np.array(numbers).reshape(-1, 2)


def _star() -> Points:
    points = [_arc((1, 0.42)[corner % 2], *[36 * corner - 90] * 2)[0] for corner in range(10)]
    return np.array(points)


def _heart() -> Points:
    t = np.linspace(0, 2 * np.pi, 40)
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([np.sin(t) ** 3, -y / 17], 1)


# Each shape is a list of what is filled, and of what is cut out of it again.
SHAPES: dict[str, list[tuple[int, Points]]] = {
    "disc": [(1, _arc(0.9))],
    "square": [(1, _corners(-0.8, -0.8, 0.8, -0.8, 0.8, 0.8, -0.8, 0.8))],
    "triangle": [(1, _corners(0, -1, 1, 0.8, -1, 0.8))],
    "star": [(1, _star())],
    "plus": [
        (1, _corners(-0.3, -1, 0.3, -1, 0.3, 1, -0.3, 1)),
        (1, _corners(-1, -0.3, 1, -0.3, 1, 0.3, -1, 0.3)),
    ],
    "ring": [(1, _arc(1)), (0, _arc(0.55))],
    "crescent": [(1, _arc(1)), (0, _arc(0.85, x=0.5))],
    "heart": [(1, _heart())],
    "arrow": [
        (1, _corners(-1, -0.25, 0.1, -0.25, 0.1, 0.25, -1, 0.25)),
        (1, _corners(0.1, -0.8, 1, 0, 0.1, 0.8)),
    ],
    "half": [(1, _arc(1, 180, 360, y=0.4))],
    "angle": [(1, _corners(-0.8, -1, -0.2, -1, -0.2, 0.4, 0.8, 0.4, 0.8, 1, -0.8, 1))],
    "tee": [
        (1, _corners(-1, -0.9, 1, -0.9, 1, -0.3, -1, -0.3)),
        (1, _corners(-0.3, -0.9, 0.3, -0.9, 0.3, 1, -0.3, 1)),
    ],
    "hourglass": [(1, _corners(-0.8, -1, 0.8, -1, 0, 0)), (1, _corners(-0.8, 1, 0.8, 1, 0, 0))],
    "bars": [
        (1, _corners(-0.9, -0.9, -0.3, -0.9, -0.3, 0.9, -0.9, 0.9)),
        (1, _corners(0.3, -0.9, 0.9, -0.9, 0.9, 0.9, 0.3, 0.9)),
    ],
    "diamond": [(1, _corners(0, -1, 0.6, 0, 0, 1, -0.6, 0))],
}


def _filled(
    shape: Sequence[tuple[int, Points]],
    size: tuple[int, int],
    centre: tuple[float, float],
    radius: float | tuple[float, float],
    degrees: float,
) -> Mask:
    """Return how much of each pixel a shape covers; size and centre are rows, columns."""
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    image = Image.new("L", (size[1] * FINE, size[0] * FINE))
    draw = ImageDraw.Draw(image)
    for inside, points in shape:
        moved = (points * radius) @ turn + centre[::-1]
        draw.polygon([tuple(point) for point in moved * FINE], fill=255 * inside)
    small = image.resize((size[1], size[0]), Image.Resampling.BOX)
    return np.asarray(small, float) / 255


def _colour(random: Random, away: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a colour that is told from another in brightness."""
    while True:
        found = random.random(3)
        if abs(found.mean() - away.mean()) > 0.3:
            return found


def _picture(ground: Mask, ink: NDArray[np.float64] | float, cover: Mask) -> Drawing:
    cover_ = cover if ground.ndim == 2 else cover[..., None]
    values = ground * (1 - cover_) + ink * cover_
    return Drawing(np.rint(values.clip(0, 1) * 255).astype(np.uint8), cover > 0.2)


def _clutter(side: int, random: Random) -> tuple[Mask, NDArray[np.float64]]:
    """Return a ground with lines and discs in colours near its own, and that colour."""
    base = random.uniform(0.15, 0.85, 3)
    image = Image.fromarray(np.full((side, side, 3), np.rint(base * 255), np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(7):
        near = tuple(int(255 * value) for value in (base + random.normal(0, 0.09, 3)).clip(0, 1))
        x, y, u, v = random.integers(0, side, 4).tolist()
        if random.random() < 0.5:
            draw.line((x, y, u, v), near, int(random.integers(1, 4)))
        else:
            radius = int(random.integers(2, 8))
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), near)
    return np.asarray(image) / 255 + random.normal(0, 0.015, (side, side, 3)), base


def shapes(
    names: Sequence[str], side: int, count: int, seed: int, cluttered: bool
) -> tuple[list[Drawing], Labels]:
    """Return shapes of any colour, size and place; no class has a colour."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, len(names), count)
    drawings = []
    for label in labels:
        if cluttered:
            ground, base = _clutter(side, random)
        else:
            base = random.uniform(0.1, 0.9, 3)
            ground = base + random.normal(0, 0.01, (side, side, 3))
        radius = side * random.uniform(0.25, 0.36)
        centre = tuple(random.uniform(radius + 1, side - radius - 1, 2))
        cover = _filled(SHAPES[names[label]], (side, side), centre, radius, random.uniform(-15, 15))
        drawings.append(_picture(ground, _colour(random, base), cover))
    return drawings, labels


@cache
def _photographs() -> list[Picture]:
    from sklearn.datasets import load_sample_image

    return [load_sample_image(name) for name in ("china.jpg", "flower.jpg")]


def _crop(photograph: Picture, tall: int, wide: int, scale: int, random: Random) -> Picture:
    top = random.integers(0, len(photograph) - scale * tall + 1)
    left = random.integers(0, photograph.shape[1] - scale * wide + 1)
    part = photograph[top : top + scale * tall, left : left + scale * wide]
    return np.asarray(Image.fromarray(part).resize((wide, tall), Image.Resampling.BOX))


PLATES = ((1.0, 1.0), (1.5, 0.75), (0.75, 1.5))  # width and height: disc, wide and tall oval
ENAMELS = ((0.95, 0.6, 0.1), (0.5, 0.15, 0.8))  # neither is the other with red and blue exchanged


def signs(count: int, seed: int) -> tuple[list[Drawing], Labels]:
    """Return plates with a white rim before photographs of any aspect: a shape and a hue."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 6, count)
    drawings = []
    for label in labels:
        long = int(random.integers(48, 97))
        tall, wide = (48, long) if random.random() < 0.5 else (long, 48)
        photograph = _photographs()[random.integers(2)]
        ground = _crop(photograph, tall, wide, 2, random) / 255 * random.uniform(0.4, 0.8)
        plate = np.array(PLATES[label % 3])
        radius = random.uniform(11, 15) * plate
        margin = radius[::-1] + 2
        centre = tuple(random.uniform(margin, np.maximum((tall, wide) - margin, margin + 0.1)))
        turned = random.uniform(-6, 6)
        disc = [(1, _arc(1))]
        rim = _filled(disc, (tall, wide), centre, tuple(radius), turned)
        inner = _filled(disc, (tall, wide), centre, tuple(radius - 2.5), turned)
        enamel = (np.array(ENAMELS[label // 3]) + random.normal(0, 0.06, 3)).clip(0, 1)
        white = ground * (1 - rim[..., None]) + 0.95 * rim[..., None]
        drawings.append(_picture(white, enamel, inner))
    return drawings, labels


def solids(count: int, seed: int, side: int = 36) -> tuple[list[Drawing], Labels]:
    """Return shaded grey balls, bricks and cones under light from any side."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, count)
    drawings = []
    for label in labels:
        radius = random.uniform(8, 12)
        centre = tuple(random.uniform(radius + 2, side - radius - 2, 2))
        slope = np.linspace(0, random.uniform(-0.15, 0.15), side)[:, None]
        ground = np.full((side, side), random.uniform(0.2, 0.45)) + slope
        ground += random.normal(0, 0.02, ground.shape)
        drawings.append(_solid(int(label), ground, centre, radius, random))
    return drawings, labels


def _solid(
    label: int, ground: Mask, centre: tuple[float, float], radius: float, random: Random
) -> Drawing:
    size = ground.shape
    rows, columns = (np.indices(size) + 0.5 - np.reshape(centre, (2, 1, 1))) / radius
    light = random.uniform(-0.7, 0.7, 2)
    bright = random.uniform(0.7, 0.95)
    if label == 0:
        height = np.sqrt((1 - rows**2 - columns**2).clip(0))
        shade = (0.75 * height + rows * light[0] + columns * light[1] * 0.6).clip(0.1, 1)
        cover = _filled([(1, _arc(1))], size, centre, radius, 0)
    elif label == 1:
        x, y = 0.87, 0.5
        faces = (
            _corners(0, -1, x, -y, 0, 0, -x, -y),
            _corners(-x, -y, 0, 0, 0, 1, -x, y),
            _corners(x, -y, 0, 0, 0, 1, x, y),
        )
        turned = random.uniform(-10, 10)
        covers = [_filled([(1, face)], size, centre, radius, turned) for face in faces]
        shades = random.permutation([1.0, 0.7, 0.45])
        cover = sum(covers).clip(0, 1)
        shade = sum(one * part for one, part in zip(shades, covers, strict=True)) / cover.clip(0.01)
    else:
        shade = (0.6 + 0.5 * np.sign(light[1]) * columns / (rows + 1.05).clip(0.2)).clip(0.15, 1)
        foot = _arc(1, 0, 180, y=0) * (0.85, 0.25) + (0, 0.7)
        outline = np.concatenate([_corners(0, -1), foot])
        cover = _filled([(1, outline)], size, centre, radius, random.uniform(-10, 10))
    return _picture(ground, bright * shade, cover)


CHARACTERS = "".join(one for one in ascii_uppercase if one not in "IO") + "346789"


def characters(count: int, seed: int, side: int = 32) -> tuple[list[Drawing], Labels]:
    """Return capitals and figures, dark on paper, a little turned."""
    random = np.random.default_rng(seed)
    paths = [
        path
        for folder in letters.FOLDERS["text"]
        for path in sorted(folder.glob("*.[ot]t[fc]"))
        if not any(word in path.stem for word in (*letters.NOT_LETTERS, "Hairline", "Thin", "Z003"))
    ]
    labels = random.integers(0, len(CHARACTERS), count)
    font = cache(lambda path: ImageFont.truetype(str(path), 88))
    drawings = []
    for label in labels:
        image = Image.new("L", (4 * side, 4 * side))
        path = paths[random.integers(len(paths))]
        ImageDraw.Draw(image).text((64, 64), CHARACTERS[label], 255, font(path), anchor="mm")
        image = image.rotate(
            random.uniform(-9, 9),
            Image.Resampling.BILINEAR,
            translate=tuple(random.integers(-10, 11, 2).tolist()),
        )
        cover = np.asarray(image.resize((side, side), Image.Resampling.BOX)) / 255
        paper = random.uniform(0.75, 0.97) + random.normal(0, 0.015, (side, side))
        drawings.append(_picture(paper, random.uniform(0.02, 0.3), cover))
    return drawings, labels


def pencilled() -> tuple[list[Drawing], Labels]:
    """Return scikit-learn's 1797 digits, dark on light, enlarged from 8 to 16 px."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    small = np.rint(255 - images.reshape(-1, 8, 8) * 255 / 16).astype(np.uint8)
    large = [Image.fromarray(one).resize((16, 16), Image.Resampling.BICUBIC) for one in small]
    order = np.random.default_rng(6).permutation(len(large))
    pictures = [np.asarray(large[row]) for row in order]
    return [Drawing(one, one < 200) for one in pictures], labels[order]


def counted(count: int, seed: int, side: int = 36) -> tuple[list[Drawing], Labels]:
    """Return one to four bright beads on a dark ground, anywhere: a class is how many."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 4, count)
    drawings = []
    for label in labels:
        centres: list[NDArray[np.float64]] = []
        while len(centres) <= label:
            new = random.uniform(5, side - 5, 2)
            if all(np.hypot(*(new - one)) > 10 for one in centres):
                centres.append(new)
        covers = [
            _filled([(1, _arc(1))], (side, side), tuple(one), random.uniform(3, 4), 0)
            for one in centres
        ]
        ground = random.uniform(0.05, 0.3, 3) + random.normal(0, 0.02, (side, side, 3))
        cover = np.maximum.reduce(covers)
        drawings.append(_picture(ground, random.uniform(0.5, 1, 3), cover))
    return drawings, labels


def scenes(count: int, seed: int, side: int = 36) -> tuple[list[Drawing], Labels]:
    """Return parts of two photographs, one roof and one flower, brighter or darker."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, count)
    parts = [_crop(_photographs()[label], side, side, 3, random) for label in labels]
    pictures = [
        np.rint((one * random.uniform(0.7, 1.1)).clip(0, 255)).astype(np.uint8) for one in parts
    ]
    return [Drawing(one, np.ones((side, side), bool)) for one in pictures], labels


def surfaces(count: int, seed: int, side: int = 36) -> tuple[list[Drawing], Labels]:
    """Return grey surfaces that fill the picture: clouds, sand, waves, bricks and spots."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 5, count)
    drawings = []
    for label in labels:
        values = _surface(int(label), side, random)
        values = (values - values.mean()) / values.std() * random.uniform(0.1, 0.2)
        values = (random.uniform(0.35, 0.65) + values).clip(0, 1)
        picture = np.rint(values * 255).astype(np.uint8)
        drawings.append(Drawing(picture, np.ones((side, side), bool)))
    return drawings, labels


def _surface(label: int, side: int, random: Random) -> Mask:
    noise = random.normal(0, 1, (side, side))
    rows, columns = np.indices((side, side)) + random.integers(0, side, (2, 1, 1))
    if label < 2:
        return gaussian_filter(noise, (4, 0.7)[label])
    if label == 2:
        return np.sin(rows / 1.6 + 1.5 * np.sin(columns / 5)) + 0.2 * noise
    if label == 3:
        joint = (rows % 7 == 0) | ((columns + 5 * (rows // 7)) % 11 == 0)
        return 1.5 * joint + 0.2 * noise
    spots: Mask = gaussian_filter((random.random((side, side)) > 0.985).astype(float), 1.5)
    return spots


def with_colour(base: Ground, name: str, hues: Sequence[tuple[float, float, float]]) -> Ground:
    """Return a ground whose classes are the colours of any of its shapes."""

    def draw() -> tuple[list[Drawing], Labels]:
        drawings, _ = base.draw()
        random = np.random.default_rng(17)
        labels = random.integers(0, len(hues), len(drawings))
        painted = []
        for one, label in zip(drawings, labels, strict=True):
            hue = (np.array(hues[label]) * random.uniform(0.8, 1.1)).clip(0, 1)
            picture = np.where(one.mask[..., None], np.rint(hue * 255), one.picture)
            painted.append(Drawing(picture.astype(np.uint8), one.mask))
        return painted, labels

    return replace(base, name=name, draw=cache(draw))


def _ground(
    name: str, draw: Callable[[], tuple[list[Drawing], Labels]], base: Ground, epochs: int
) -> Ground:
    """Return a ground with other drawings."""
    return replace(base, name=name, draw=cache(draw), epochs=epochs)


CIFAR = ((0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616))
CAFFE = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
BEADS = ("disc", "plus", "triangle", "ring", "tee", "hourglass", "half", "bars")

CLUTTERED = Ground(
    "shapes on clutter, pooled residual BatchNorm",
    cache(partial(shapes, tuple(SHAPES), 40, 3700, 41, True)),
    settings(40, *CIFAR),
    partial(networks.pooled_residual, width=12),
    trained=2500,
    epochs=8,
)
PLAIN = Ground(
    "shapes on plain grounds, transformer",
    cache(partial(shapes, BEADS, 36, 4500, 42, False)),
    settings(36, (0.55, 0.52, 0.48), (0.27, 0.26, 0.28)),
    partial(networks.ClassToken, side=36),
    trained=3500,
    epochs=12,
)
SIGNS = Ground(
    "signs before photographs, wide windows",
    cache(partial(signs, 3700, 43)),
    replace(settings(48, *CAFFE), fit="letterbox", value_range=255),
    networks.Wide,
    trained=2500,
    epochs=8,
)
WIDE_SHAPES = Ground(
    "shapes on clutter, wide windows",
    CLUTTERED.draw,
    replace(settings(40, (127.5,) * 3, (127.5,) * 3), value_range=255),
    networks.Wide,
    trained=2500,
    epochs=9,
)
SOLIDS = Ground(
    "solids, tanh",
    cache(partial(solids, 3200, 44)),
    replace(settings(36, (105.0,), (50.0,)), value_range=255),
    partial(networks.stacked, channels=1, side=36, activation=nn.Tanh, pool=nn.AvgPool2d),
    trained=2000,
    epochs=5,
)
CAPITALS = Ground(
    "capitals and figures, SELU",
    cache(partial(characters, 4800, 45)),
    settings(32, (0.76,), (0.29,)),
    partial(networks.stacked, channels=1, side=32, activation=nn.SELU, pool=nn.MaxPool2d),
    trained=3600,
    epochs=4,
)
PENCILLED = Ground(
    "pencilled digits, perceptron",
    cache(pencilled),
    replace(settings(16, (0.3,), (0.4,)), invert=True),
    partial(networks.perceptron, pixels=256),
    trained=1000,
    epochs=15,
)
COUNTED = _ground("beads counted", partial(counted, 4000, 46), PLAIN, 8)
COUNTED = replace(COUNTED, network=networks.pooled_residual, trained=3000)
SCENES = _ground("parts of photographs", partial(scenes, 2400, 47), COUNTED, 5)
SCENES = replace(SCENES, trained=1500)
SURFACES = replace(SOLIDS, name="surfaces", draw=cache(partial(surfaces, 3200, 48)), epochs=8)
PAINTED = with_colour(
    replace(WIDE_SHAPES, epochs=4),
    "painted shapes",
    [(0.9, 0.15, 0.15), (0.9, 0.85, 0.2), (0.2, 0.7, 0.3), (0.15, 0.3, 0.9), (0.95, 0.95, 0.95)],
)
