"""A backdrop as a poster in exactly the colours of a palette, each over exactly its share.

The first colour is the sky, the following ones are layers of land from far to near; the boundary
below the sky is the place's silhouette. A small last or middle share (2 to 12 percent) becomes
the sun, when there are at least three colours. Heights are solved so that the areas equal the
shares; a boundary that would leave the picture is clipped and solved with the clipping.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import skia
from numpy.typing import NDArray

from training.storyworld.canvas import rgb
from training.storyworld.scene import Scene, Swatch

Heights: TypeAlias = NDArray[np.float64]
Profile = Callable[[float], float]


def _sine(x: float, length: float, phase: float = 0.0) -> float:
    return math.sin(2 * math.pi * (x / length + phase))


def _triangle(x: float, length: float) -> float:
    """0 at multiples of `length`, 1 in between."""
    t = (x / length) % 1.0
    return 1 - abs(2 * t - 1)


def _hills(x: float) -> float:
    return 0.045 * _sine(x, 1.1, 0.1) + 0.018 * _sine(x, 0.47, 0.3)


def _forest(x: float) -> float:
    tree = 0.21 * _triangle(x + 0.05, 0.19) + 0.10 * _triangle(x, 0.31)
    return tree + 0.02 * _sine(x, 0.7)


def _mountains(x: float) -> float:
    return max(0.36 * _triangle(x + 0.36, 0.80), 0.24 * _triangle(x + 0.02, 0.53))


def _village(x: float) -> float:
    t = (x / 0.34 + 0.5) % 1.0
    index = math.floor(x / 0.34 + 0.5)
    if not 0.10 < t < 0.90:
        return 0.0
    return 0.12 + 0.05 * (index % 2) + 0.13 * (1 - abs(2 * t - 1))


def _desert(x: float) -> float:
    t = (x / 0.86 + 0.35) % 1.0
    mesa = min(max(min(t, 0.62 - t) * 6, 0.0), 1.0)
    return 0.20 * mesa + 0.02 * _sine(x, 0.9)


def _castle(x: float) -> float:
    x = (x + 0.55) % 1.1 - 0.55
    side = abs(abs(x) - 0.34)
    if side < 0.085:
        return 0.30 + max(0.0, 0.20 * (1 - side / 0.085))
    if abs(x) < 0.12:
        return 0.34 + 0.04 * (math.floor(x / 0.04) % 2)
    return 0.14 + 0.04 * (math.floor(x / 0.04) % 2) if abs(x) < 0.34 else 0.0


def _bumps(x: float) -> float:
    return 0.13 * math.sqrt(max(0.0, 1 - (2 * ((x / 0.27) % 1.0) - 1) ** 2))


def _snowfield(x: float) -> float:
    t = abs(x - 0.42 - 0.84 * round((x - 0.42) / 0.84))
    return max(_hills(x), 0.30 * (1 - t / 0.13) if t < 0.13 else -1.0)


def _flat(x: float) -> float:
    return 0.004 * _sine(x, 0.5)


def _lake(x: float) -> float:
    return 0.09 * abs(_sine(x, 1.2, 0.2)) + 0.05 * _triangle(x, 0.11)


PROFILES: dict[str, Profile] = {
    "forest": _forest, "beach": _flat, "meadow": _hills, "mountains": _mountains,
    "village": _village, "desert": _desert, "snowfield": _snowfield, "garden": _bumps,
    "lake": _lake, "castle": _castle,
}  # fmt: skip


def _boundary(heights: Heights, upper: Heights, area: float) -> Heights:
    """`heights` shifted, and kept between the ground and `upper`, so that their mean is `area`."""
    top = float(upper.max())
    low, high = -top - float(heights.max()), top - float(heights.min())
    for _ in range(24):
        shift = (low + high) / 2
        mean = float(np.clip(heights + shift, 0.0, upper).mean())
        low, high = (shift, high) if mean < area else (low, shift)
    return np.clip(heights + low, 0.0, upper)


def _shines(color: str) -> bool:
    """Whether a colour is light or vivid enough for a sun."""
    r, g, b = rgb(color)
    return 0.3 * r + 0.6 * g + 0.1 * b > 150 or max(r, g, b) - min(r, g, b) > 110


def _sun(hexes: list[str], shares: list[float], area: float, edge: float) -> int | None:
    """Which swatch is the sun, if one is."""
    if len(shares) < 3:
        return None
    bright = [i for i in range(1, len(shares)) if _shines(hexes[i])]
    if not bright:
        return None
    index = min(bright, key=lambda i: shares[i])
    radius = math.sqrt(shares[index] * area / math.pi)
    fits = shares[index] <= 0.12 and radius < 0.4 * edge
    return index if fits and shares[0] > 3 * shares[index] else None


def _ordered(palette: tuple[Swatch, ...]) -> list[Swatch]:
    """The swatches from sky to ground; a first one too small for a sky gives way to the largest."""
    if palette[0].share >= 0.2 * sum(s.share for s in palette):
        return list(palette)
    sky = max(palette, key=lambda s: s.share)
    return [sky, *(s for s in palette if s is not sky)]


def draw_poster(canvas: skia.Canvas, scene: Scene) -> None:
    """The poster in the pixels of `scene.size`."""
    width, height = scene.size
    unit = min(height, 1.25 * width)
    swatches = _ordered(scene.palette)
    total = sum(s.share for s in swatches)
    shares = [s.share / total for s in swatches]
    colors = [skia.Paint(AntiAlias=True, Color=skia.Color(*rgb(s.hex))) for s in swatches]
    tall = height / unit
    edge = min(tall, width / unit)
    sun = _sun([s.hex for s in swatches], shares, tall * width / unit, edge)
    canvas.drawRect(skia.Rect.MakeWH(width, height), colors[0])
    layers = [i for i in range(1, len(shares)) if i != sun]
    xs = np.linspace(-width / 2, width / 2, 2 * width + 1)
    upper = np.full(len(xs), tall)
    ridge = upper
    left = 1.0 - shares[0] - (shares[sun] if sun is not None else 0.0)
    for rank, index in enumerate(layers):
        profile = PROFILES[scene.place] if rank == 0 else _hills
        room = min(1.0, left * tall / 0.30)
        shape = np.array([room * profile(x / unit + 0.37 * rank) for x in xs])
        upper = _boundary(shape, upper, left * tall)
        ridge = upper if rank == 0 else ridge
        points = [
            skia.Point(float(x) + width / 2, height - float(h) * unit)
            for x, h in zip(xs, upper, strict=True)
        ]
        path = skia.Path()
        path.addPoly([*points, skia.Point(width, height), skia.Point(0, height)], True)
        canvas.drawPath(path, colors[index])
        left -= shares[index]
    if sun is not None:
        radius = math.sqrt(shares[sun] * width * height / math.pi)
        x, y = _sun_centre(scene.size, radius, xs + width / 2, height - ridge * unit)
        canvas.drawCircle(x, y, radius, colors[sun])


def _sun_centre(
    size: tuple[int, int], radius: float, xs: Heights, ridge: Heights
) -> tuple[float, float]:
    """Where the sun stands: the first spot with open sky, else the one with most of it."""
    best = (-math.inf, 0.0, 0.0)
    for share in (0.80, 0.20, 0.86, 0.14, 0.72, 0.28, 0.5):
        x = min(max(share * size[0], 1.15 * radius), size[0] - 1.15 * radius)
        room = float(ridge[np.abs(xs - x) < radius].min()) - 2 * radius
        if best[0] < 0.1 * radius and room > best[0]:
            best = (room, x, radius + max(room, 0.0) * 0.5)
    return best[1], best[2]
