"""The frame in which places are composed: lengths in stages, x = 0 in the middle, y = 0 at the
picture's bottom edge and negative above it. Whatever repeats does so around the middle, so a
wider picture shows the same centre and more of the land.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import skia

from training.storyworld.backdrops.light import Light
from training.storyworld.canvas import INK, Pen, ellipse, polygon

Ridge = Callable[[float], float]
MARGIN = 0.12


def vary(index: int, channel: int = 0) -> float:
    """A fixed, evenly spread number in [0, 1) for the index-th repeat."""
    return (index * 0.6180339887 + channel * 0.3819660113 + 0.27) % 1.0


def waves(base: float, *terms: tuple[float, float, float]) -> Ridge:
    """`base` plus sines given as (height, wavelength, phase in turns)."""
    return lambda x: (
        base
        + sum(
            height * math.sin(2 * math.pi * (x / length + phase)) for height, length, phase in terms
        )
    )


def join(*paths: skia.Path) -> skia.Path:
    """One path of several shapes; where they overlap it stays filled."""
    out = skia.Path()
    out.setFillType(skia.PathFillType.kWinding)
    for path in paths:
        out.addPath(path)
    return out


def rectangle(x: float, y: float, width: float, height: float, rounding: float = 0.0) -> skia.Path:
    """A box standing with its bottom middle at (x, y)."""
    path = skia.Path()
    box = skia.Rect.MakeLTRB(x - width / 2, y - height, x + width / 2, y)
    path.addRoundRect(box, rounding, rounding)
    return path


def fir(x: float, y: float, height: float) -> skia.Path:
    """A conifer of three tiers."""
    tiers = []
    for k in range(3):
        top, bottom = y - height * (1 - 0.26 * k), y - height * (0.50 - 0.20 * k)
        half = height * (0.17 + 0.055 * k)
        tiers.append(polygon([(x, top), (x + half, bottom), (x - half, bottom)]))
    return join(*tiers)


def fir_snow(x: float, y: float, height: float) -> skia.Path:
    """The snow lying on `fir`."""
    tiers = []
    for k in range(3):
        top, bottom = y - height * (1 - 0.26 * k), y - height * (0.74 - 0.22 * k)
        half = height * (0.088 + 0.040 * k)
        low = bottom - height * 0.05
        tiers.append(
            polygon([(x, top), (x + half, bottom), (x + half / 3, low), (x, bottom),
                     (x - half / 3, low), (x - half, bottom)])
        )  # fmt: skip
    return join(*tiers)


def crown(x: float, y: float, r: float) -> skia.Path:
    """The round head of a leafy tree."""
    return join(
        ellipse(x, y - 0.25 * r, r * 0.80, r * 0.78),
        ellipse(x - 0.62 * r, y + 0.14 * r, r * 0.56, r * 0.52),
        ellipse(x + 0.62 * r, y + 0.12 * r, r * 0.58, r * 0.54),
        ellipse(x, y + 0.28 * r, r * 0.62, r * 0.48),
    )


class Stage:
    """One picture being composed: its pen, its light, its place and its edges."""

    def __init__(self, pen: Pen, light: Light, place: str, size: tuple[float, float]) -> None:
        self.pen = pen
        self.light = light
        self.place = place
        self.width, self.height = width, height = size
        self.left = -width / 2 - MARGIN
        self.right = width / 2 + MARGIN
        self.top = -height

    def repeat(
        self, spacing: float, offset: float = 0.0, reach: float = 0.4
    ) -> Iterator[tuple[int, float]]:
        """Index and x of everything repeated each `spacing`, one of them at `offset`."""
        first = math.ceil((self.left - reach - offset) / spacing)
        last = math.floor((self.right + reach - offset) / spacing)
        for index in range(first, last + 1):
            yield index, offset + index * spacing

    def paint(
        self,
        path: skia.Path,
        color: str,
        *,
        depth: float = 0.0,
        snow: float = 0.0,
        edge: bool = True,
        alpha: float = 1.0,
        lit: bool = False,
    ) -> None:
        """A shape of the land; `edge=False` for marks, `lit` for what shines by itself."""
        color = self.light.styled(color) if lit else self.light.on(color, depth, snow)
        self.shape(path, color, edge=edge, alpha=alpha)

    def shape(self, path: skia.Path, color: str, *, edge: bool = True, alpha: float = 1.0) -> None:
        """A shape of overlapping parts in a final colour, with one edge around all of them."""
        if edge and self.pen.style == "ink":
            self.pen.stroke(path, INK, 1.7 * self.pen.ink)
            self.pen.fill(path, color, outline=False, alpha=alpha)
        else:
            self.pen.fill(path, color, outline=edge, alpha=alpha)

    def ridge_path(self, ridge: Ridge, step: float = 0.03) -> skia.Path:
        """Everything below `ridge`."""
        count = math.ceil((self.right - self.left) / step)
        xs = [self.left + i * (self.right - self.left) / count for i in range(count + 1)]
        points = [(x, ridge(x)) for x in xs]
        return polygon([*points, (self.right, MARGIN), (self.left, MARGIN)])

    def land(
        self, ridge: Ridge, color: str, *, depth: float = 0.0, snow: float = 0.0, edge: bool = True
    ) -> None:
        """A layer of land from `ridge` down."""
        self.paint(self.ridge_path(ridge), color, depth=depth, snow=snow, edge=edge)
