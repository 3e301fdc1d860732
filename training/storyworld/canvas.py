"""Drawing with Skia in three illustration styles, and nothing about what is drawn.

A `Pen` draws closed shapes into the current frame of coordinates. The style is applied here, so a
character or a place is described once and comes out flat, inked or as cut paper. y points down.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import skia
from numpy.typing import NDArray

INK = "#2B2733"


def rgb(hex_color: str) -> tuple[int, int, int]:
    """The three channels, 0 to 255, of "#RRGGBB"."""
    value = int(hex_color.lstrip("#"), 16)
    return value >> 16, value >> 8 & 255, value & 255


def mix(a: str, b: str, share: float) -> str:
    """The colour `share` of the way from `a` to `b`."""
    return "#" + "".join(
        f"{round(x + (y - x) * share):02X}" for x, y in zip(rgb(a), rgb(b), strict=True)
    )


def lighter(color: str, share: float = 0.25) -> str:
    return mix(color, "#FFFFFF", share)


def darker(color: str, share: float = 0.25) -> str:
    return mix(color, "#1B1626", share)


def ellipse(x: float, y: float, rx: float, ry: float, turn: float = 0.0) -> skia.Path:
    """An ellipse around (x, y), turned by `turn` degrees."""
    path = skia.Path()
    path.addOval(skia.Rect.MakeLTRB(x - rx, y - ry, x + rx, y + ry))
    if turn:
        path.transform(skia.Matrix().setRotate(turn, x, y))
    return path


def polygon(points: Sequence[tuple[float, float]], rounding: float = 0.0) -> skia.Path:
    """A closed polygon; `rounding` is the corner radius in local units."""
    path = skia.Path()
    path.addPoly([skia.Point(x, y) for x, y in points], True)
    if rounding:
        paint = skia.Paint(PathEffect=skia.CornerPathEffect.Make(rounding))
        rounded = skia.Path()
        paint.getFillPath(path, rounded)
        return rounded
    return path


def capsule(x0: float, y0: float, x1: float, y1: float, radius: float) -> skia.Path:
    """A limb: a thick line with round ends."""
    line = skia.Path()
    line.moveTo(x0, y0)
    line.lineTo(x1, y1)
    paint = skia.Paint(
        Style=skia.Paint.kStroke_Style, StrokeWidth=2 * radius, StrokeCap=skia.Paint.kRound_Cap
    )
    out = skia.Path()
    paint.getFillPath(line, out)
    return out


class Pen:
    """Draws on one surface in one style.

    `ink` is the outline's width in the local units of the current frame; `at` sets both.
    """

    def __init__(self, canvas: skia.Canvas, style: str) -> None:
        self.canvas = canvas
        self.style = style
        self.ink = 1.0

    @contextmanager
    def at(
        self,
        x: float = 0.0,
        y: float = 0.0,
        scale: float = 1.0,
        *,
        mirror: bool = False,
        turn: float = 0.0,
        ink: float | None = None,
    ) -> Iterator[Pen]:
        """A frame with its origin at (x, y), scaled, turned (degrees), perhaps mirrored."""
        before = self.ink
        self.canvas.save()
        self.canvas.translate(x, y)
        self.canvas.rotate(turn)
        self.canvas.scale(-scale if mirror else scale, scale)
        self.ink = before / scale if ink is None else ink
        try:
            yield self
        finally:
            self.ink = before
            self.canvas.restore()

    @contextmanager
    def clip(self, path: skia.Path) -> Iterator[Pen]:
        """Everything drawn inside lands only within `path`."""
        self.canvas.save()
        self.canvas.clipPath(path, skia.ClipOp.kIntersect, True)
        try:
            yield self
        finally:
            self.canvas.restore()

    def fill(
        self, path: skia.Path, color: str, *, alpha: float = 1.0, outline: bool = True
    ) -> None:
        """A filled shape with the style's edge; `outline=False` for marks inside a shape."""
        paint = skia.Paint(AntiAlias=True, Color=skia.Color(*rgb(color), round(255 * alpha)))
        if outline and self.style == "paper":
            d = 1.1 * self.ink
            shadow = skia.Paint(
                AntiAlias=True,
                Color=skia.Color(38, 28, 48, round(95 * alpha)),
                MaskFilter=skia.MaskFilter.MakeBlur(
                    skia.kNormal_BlurStyle, max(0.9 * self.ink, 1e-6)
                ),
            )
            self.canvas.save()
            self.canvas.translate(d, 1.3 * d)
            self.canvas.drawPath(path, shadow)
            self.canvas.restore()
        self.canvas.drawPath(path, paint)
        if outline and self.style == "ink":
            self.stroke(path, INK, self.ink)

    def stroke(self, path: skia.Path, color: str, width: float, *, alpha: float = 1.0) -> None:
        """A line along `path`, `width` in local units, with round caps and joins."""
        paint = skia.Paint(
            AntiAlias=True,
            Style=skia.Paint.kStroke_Style,
            StrokeWidth=width,
            StrokeCap=skia.Paint.kRound_Cap,
            StrokeJoin=skia.Paint.kRound_Join,
            Color=skia.Color(*rgb(color), round(255 * alpha)),
        )
        self.canvas.drawPath(path, paint)


@contextmanager
def surface(width: int, height: int) -> Iterator[tuple[skia.Canvas, NDArray[np.uint8]]]:
    """A transparent canvas and its pixels: uint8 [height, width, 4], straight (not premultiplied)
    RGBA, filled in when the block ends."""
    pixels = np.zeros((height, width, 4), np.uint8)
    target = skia.Surface.MakeRasterN32Premul(width, height)
    with target as canvas:
        canvas.clear(skia.Color(0, 0, 0, 0))
        yield canvas, pixels
    info = skia.ImageInfo.Make(
        width, height, skia.ColorType.kRGBA_8888_ColorType, skia.AlphaType.kUnpremul_AlphaType
    )
    target.readPixels(info, pixels, pixels.strides[0])
