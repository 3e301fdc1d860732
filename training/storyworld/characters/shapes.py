"""Shapes the figures are made of, beyond those of the canvas; they know no animal."""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, pi, sin

import skia

from training.storyworld.canvas import INK, Pen, darker, ellipse

Point = tuple[float, float]

_NO_SHADOW = 0.12


def pear(rx: float, top: float, bottom: float, widest: float, narrow: float = 0.6) -> skia.Path:
    """A smooth closed shape from y=`top` to y=`bottom`, widest (2 rx) at y=`widest`."""
    k = 0.56
    up, down = widest - top, bottom - widest
    path = skia.Path()
    path.moveTo(0, top)
    path.cubicTo(narrow * rx, top, rx, widest - k * up, rx, widest)
    path.cubicTo(rx, widest + k * down, k * rx, bottom, 0, bottom)
    path.cubicTo(-k * rx, bottom, -rx, widest + k * down, -rx, widest)
    path.cubicTo(-rx, widest - k * up, -narrow * rx, top, 0, top)
    path.close()
    return path


def leaf(x0: float, y0: float, x1: float, y1: float, width: float, tip: float = 0.25) -> skia.Path:
    """An ear or a flame: round at (x0, y0), narrowing to (x1, y1); `tip` 0 is sharp."""
    dx, dy = x1 - x0, y1 - y0
    nx, ny = -dy, dx
    norm = max((nx * nx + ny * ny) ** 0.5, 1e-9)
    nx, ny = nx / norm * width / 2, ny / norm * width / 2
    path = skia.Path()
    path.moveTo(x0 + nx, y0 + ny)
    path.cubicTo(
        x0 + nx * 1.3 + dx * 0.5, y0 + ny * 1.3 + dy * 0.5,
        x1 + nx * tip * 2, y1 + ny * tip * 2, x1, y1,
    )  # fmt: skip
    path.cubicTo(
        x1 - nx * tip * 2, y1 - ny * tip * 2,
        x0 - nx * 1.3 + dx * 0.5, y0 - ny * 1.3 + dy * 0.5, x0 - nx, y0 - ny,
    )  # fmt: skip
    path.quadTo(x0 - dx * 0.12, y0 - dy * 0.12, x0 + nx, y0 + ny)
    path.close()
    return path


def curve(points: Sequence[Point]) -> skia.Path:
    """A smooth open line: a quadratic for 3 points, a cubic for 4."""
    path = skia.Path()
    path.moveTo(*points[0])
    if len(points) == 3:
        path.quadTo(*points[1], *points[2])
    elif len(points) == 4:
        path.cubicTo(*points[1], *points[2], *points[3])
    else:
        for point in points[1:]:
            path.lineTo(*point)
    return path


def tube(points: Sequence[Point], radius: float) -> skia.Path:
    """A limb: a thick smooth line with round ends."""
    paint = skia.Paint(
        Style=skia.Paint.kStroke_Style,
        StrokeWidth=2 * radius,
        StrokeCap=skia.Paint.kRound_Cap,
        StrokeJoin=skia.Paint.kRound_Join,
    )
    out = skia.Path()
    paint.getFillPath(curve(points), out)
    return out


def burst(x: float, y: float, rx: float, ry: float, count: int, depth: float) -> skia.Path:
    """A ring of round petals (depth < 0.5) around an ellipse: a mane or a puff."""
    path = ellipse(x, y, rx, ry)
    path.setFillType(skia.PathFillType.kWinding)
    radius = depth * (rx + ry) / 2
    for i in range(count):
        a = 2 * pi * (i + 0.5) / count
        path.addOval(
            skia.Rect.MakeXYWH(
                x + rx * cos(a) - radius, y + ry * sin(a) - radius, 2 * radius, 2 * radius
            )
        )
    return path


def spikes(
    x: float, y: float, rx: float, ry: float, start: float, stop: float, count: int, length: float
) -> skia.Path:
    """A fan of spikes around an ellipse from `start` to `stop` degrees (0 right, 90 down)."""
    path = skia.Path()
    step = (stop - start) / count
    for i in range(2 * count + 1):
        a = (start + i * step / 2) * pi / 180
        grow = 1 + length if i % 2 else 1.0
        point = x + rx * grow * cos(a), y + ry * grow * sin(a)
        if i == 0:
            path.moveTo(*point)
        else:
            path.lineTo(*point)
    path.close()
    return path


def block(pen: Pen, parts: Sequence[tuple[skia.Path, str]], edge: str = "") -> None:
    """Shapes that belong together: one contour or one shadow around all of them.

    In the flat style the contour is a dark tone of `edge`, or of the first part's colour.
    """
    if not parts:
        return
    whole = skia.Path()
    for path, _ in parts:
        whole.addPath(path)
    whole.setFillType(skia.PathFillType.kWinding)
    if pen.style == "ink":
        pen.stroke(whole, INK, 2 * pen.ink)
    elif pen.style == "paper" and whole.getBounds().width() > _NO_SHADOW:
        pen.fill(whole, parts[0][1])
    elif pen.style == "flat":
        pen.stroke(whole, darker(edge or parts[0][1], 0.32), 0.016)
    for path, color in parts:
        pen.fill(path, color, outline=False)
