"""The sixteen props, each in its own fixed colours: bold enough to read at 28 pixels.

A prop is drawn in a local frame: its ground at (0, 0), 1.0 tall, y pointing down.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import skia

from training.storyworld.canvas import Pen, capsule, ellipse, polygon


def _box(left: float, top: float, right: float, bottom: float, radius: float = 0.0) -> skia.Path:
    path = skia.Path()
    path.addRoundRect(skia.Rect.MakeLTRB(left, top, right, bottom), radius, radius)
    return path


def _curve(*points: tuple[float, float]) -> skia.Path:
    """A start point, then control and end points of quadratic curves."""
    path = skia.Path()
    path.moveTo(*points[0])
    for control, end in zip(points[1::2], points[2::2], strict=True):
        path.quadTo(*control, *end)
    return path


def _closed(*points: tuple[float, float]) -> skia.Path:
    path = _curve(*points)
    path.close()
    return path


def _lantern(pen: Pen) -> None:
    pen.stroke(_curve((-0.16, -0.80), (0.0, -1.08), (0.16, -0.80)), "#4A3B52", 0.06)
    pen.fill(_box(-0.24, -0.74, 0.24, -0.10, 0.06), "#FFD34F")
    pen.fill(ellipse(0.0, -0.40, 0.11, 0.19), "#FFF6C2", outline=False)
    for x in (-0.215, 0.215):
        pen.fill(_box(x - 0.035, -0.74, x + 0.035, -0.10), "#4A3B52", outline=False)
    pen.fill(
        polygon([(-0.32, -0.70), (-0.15, -0.86), (0.15, -0.86), (0.32, -0.70)], 0.03), "#5B4866"
    )
    pen.fill(_box(-0.32, -0.14, 0.32, 0.0, 0.04), "#5B4866")


def _book(pen: Pen) -> None:
    with pen.at(0.0, -0.02, turn=-8):
        pen.fill(_box(-0.30, -0.92, 0.36, 0.0, 0.05), "#FFF4DC")
        pen.fill(_box(-0.36, -0.96, 0.30, -0.04, 0.06), "#3C6FC4")
        pen.fill(_box(-0.36, -0.96, -0.22, -0.04, 0.05), "#28519B", outline=False)
        pen.fill(_box(-0.12, -0.78, 0.20, -0.56, 0.03), "#FFD766", outline=False)


def _balloon(pen: Pen) -> None:
    pen.stroke(_curve((0.0, -0.36), (0.10, -0.20), (0.0, -0.10), (-0.05, -0.05), (0.0, 0.0)),
               "#6B5A6B", 0.035)  # fmt: skip
    pen.fill(polygon([(-0.08, -0.31), (0.08, -0.31), (0.0, -0.42)], 0.02), "#C92F47")
    skin = _closed((0.0, -0.36), (-0.34, -0.52), (-0.33, -0.72), (-0.30, -1.0), (0.0, -1.0),
                   (0.30, -1.0), (0.33, -0.72), (0.34, -0.52), (0.0, -0.36))  # fmt: skip
    pen.fill(skin, "#EC4560")
    pen.fill(ellipse(-0.13, -0.80, 0.07, 0.11, 20), "#FF9DAA", outline=False)


def _kite(pen: Pen) -> None:
    pen.stroke(_curve((0.02, -0.34), (0.30, -0.22), (0.08, -0.12), (-0.14, -0.02), (-0.30, -0.04)),
               "#6B5A6B", 0.035)  # fmt: skip
    for x, y, color in ((0.12, -0.16, "#F4585E"), (-0.16, -0.035, "#FFC93C")):
        pen.fill(polygon([(x - 0.10, y - 0.06), (x + 0.10, y + 0.06), (x + 0.10, y - 0.06),
                          (x - 0.10, y + 0.06)]), color, outline=False)  # fmt: skip
    top, right, low, left = (0.06, -1.0), (0.40, -0.68), (0.02, -0.32), (-0.32, -0.72)
    mid = (0.04, -0.70)
    pen.fill(polygon([top, right, low, left], 0.02), "#2FB5A5")
    pen.fill(polygon([top, mid, left]), "#FFC93C", outline=False)
    pen.fill(polygon([right, mid, low]), "#F4585E", outline=False)


def _apple(pen: Pen) -> None:
    pen.stroke(_curve((0.0, -0.72), (0.0, -0.88), (0.07, -0.96)), "#6B4630", 0.07)
    pen.fill(_closed((0.04, -0.80), (0.12, -1.02), (0.36, -0.98), (0.30, -0.76), (0.04, -0.80)),
             "#63B04A")  # fmt: skip
    pen.fill(_closed((0.0, -0.72), (-0.20, -0.84), (-0.36, -0.70), (-0.50, -0.50), (-0.34, -0.18),
                     (-0.20, 0.06), (0.0, -0.02), (0.20, 0.06), (0.34, -0.18), (0.50, -0.50),
                     (0.36, -0.70), (0.20, -0.84), (0.0, -0.72)), "#DC3A3A")  # fmt: skip
    pen.fill(ellipse(-0.21, -0.52, 0.06, 0.12, 18), "#FF8F84", outline=False)


def _ball(pen: Pen) -> None:
    whole = ellipse(0.0, -0.42, 0.42, 0.42)
    pen.fill(whole, "#FFFDF4")
    with pen.clip(whole):
        for k, color in enumerate(("#F25757", "#3B8DDB", "#FFCB3D")):
            a = 2 * math.pi * (k / 3 + 0.08)
            b = a + math.pi / 3
            rim = [(r * math.cos(t), -0.46 + r * math.sin(t))
                   for r, t in ((1.0, a), (1.2, (a + b) / 2), (1.0, b))]  # fmt: skip
            pen.fill(polygon([(0.03, -0.46), *rim]), color, outline=False)
    pen.fill(ellipse(0.03, -0.46, 0.075, 0.075), "#FFFDF4", outline=False)
    if pen.style == "ink":
        pen.stroke(whole, "#2B2733", pen.ink)


def _drum(pen: Pen) -> None:
    body = polygon([(-0.40, -0.66), (0.40, -0.66), (0.40, -0.10), (0.20, -0.02), (-0.20, -0.02),
                    (-0.40, -0.10)], 0.06)  # fmt: skip
    pen.stroke(capsule(-0.28, -0.96, 0.10, -0.76, 0.01), "#8A5A36", 0.07)
    pen.stroke(capsule(0.28, -0.98, 0.02, -0.76, 0.01), "#8A5A36", 0.07)
    pen.fill(body, "#D8433F")
    zigzag = skia.Path()
    zigzag.moveTo(-0.38, -0.52)
    for k in range(1, 7):
        zigzag.lineTo(-0.38 + 0.127 * k, -0.16 if k % 2 else -0.52)
    pen.stroke(zigzag, "#FFE9A8", 0.055)
    pen.fill(_box(-0.43, -0.18, 0.43, -0.06, 0.05), "#F4B73E", outline=False)
    pen.fill(ellipse(0.0, -0.66, 0.43, 0.13), "#F4B73E")
    pen.fill(ellipse(0.0, -0.67, 0.35, 0.085), "#FFF7E2", outline=False)


def _basket(pen: Pen) -> None:
    pen.stroke(_curve((-0.34, -0.50), (-0.34, -0.97), (0.0, -0.97), (0.34, -0.97), (0.34, -0.50)),
               "#8A5A2E", 0.085)  # fmt: skip
    for x, color in ((-0.20, "#E2483F"), (0.02, "#F2C230"), (0.22, "#E2483F")):
        pen.fill(ellipse(x, -0.54, 0.15, 0.15), color)
    pen.fill(polygon([(-0.42, -0.50), (0.42, -0.50), (0.32, 0.0), (-0.32, 0.0)], 0.06), "#C98B4B")
    for y in (-0.33, -0.16):
        pen.stroke(capsule(-0.33, y, 0.33, y, 0.005), "#8F5C2C", 0.045)
    for x in (-0.17, 0.0, 0.17):
        pen.stroke(capsule(1.1 * x, -0.42, 0.9 * x, -0.06, 0.005), "#8F5C2C", 0.035)
    pen.fill(_box(-0.46, -0.55, 0.46, -0.42, 0.06), "#DDA765")


def _key(pen: Pen) -> None:
    shape = skia.Path()
    shape.addPath(ellipse(0.0, -0.73, 0.27, 0.27))
    shape.addPath(_box(-0.075, -0.55, 0.075, 0.0, 0.03))
    shape.addPath(_box(0.0, -0.12, 0.26, 0.0, 0.02))
    shape.addPath(_box(0.0, -0.31, 0.21, -0.20, 0.02))
    whole = skia.Simplify(shape) or shape
    ring = skia.Op(whole, ellipse(0.0, -0.73, 0.125, 0.125), skia.PathOp.kDifference_PathOp)
    pen.fill(ring or whole, "#F2B52B")
    pen.stroke(_curve((-0.19, -0.74), (-0.19, -0.92), (-0.03, -0.93)), "#FFE38C", 0.05)


def _umbrella(pen: Pen) -> None:
    pen.stroke(_curve((0.0, -0.55), (0.0, -0.30), (0.0, -0.14), (0.0, 0.0), (0.11, -0.02),
                      (0.20, -0.03), (0.20, -0.13)), "#7A4A36", 0.065)  # fmt: skip
    pen.stroke(capsule(0.0, -0.92, 0.0, -0.98, 0.01), "#7A4A36", 0.05)
    dome = _closed((-0.50, -0.45), (-0.46, -0.93), (0.0, -0.94), (0.46, -0.93), (0.50, -0.45),
                   (0.42, -0.54), (0.335, -0.45), (0.25, -0.55), (0.167, -0.45), (0.08, -0.55),
                   (0.0, -0.45), (-0.08, -0.55), (-0.167, -0.45), (-0.25, -0.55), (-0.335, -0.45),
                   (-0.42, -0.54), (-0.50, -0.45))  # fmt: skip
    pen.fill(dome, "#8B55C7")
    with pen.clip(dome):
        panel = _closed((0.0, -0.94), (-0.20, -0.75), (-0.167, -0.40), (0.0, -0.40),
                        (0.167, -0.40), (0.20, -0.75), (0.0, -0.94))  # fmt: skip
        pen.fill(panel, "#F9C9E4", outline=False)


def _teapot(pen: Pen) -> None:
    handle = ((-0.28, -0.58), (-0.56, -0.58), (-0.50, -0.34), (-0.46, -0.18), (-0.26, -0.18))
    pen.stroke(_curve(*handle), "#2E9AA8", 0.09)
    pen.fill(polygon([(0.20, -0.24), (0.20, -0.48), (0.36, -0.56), (0.42, -0.76), (0.56, -0.74),
                      (0.46, -0.42)], 0.03), "#39B3BF")  # fmt: skip
    pen.fill(ellipse(0.0, -0.38, 0.36, 0.35), "#39B3BF")
    pen.fill(_box(-0.22, -0.09, 0.22, 0.0, 0.04), "#2E9AA8")
    pen.fill(ellipse(0.0, -0.72, 0.22, 0.075), "#2E9AA8")
    pen.fill(ellipse(0.0, -0.86, 0.085, 0.085), "#FFD15C")
    for x, y in ((-0.15, -0.36), (0.04, -0.28), (0.16, -0.46), (-0.02, -0.50)):
        pen.fill(ellipse(x, y, 0.065, 0.065), "#FFFFFF", outline=False)


def _cake(pen: Pen) -> None:
    pen.fill(_box(-0.045, -0.88, 0.045, -0.62, 0.02), "#5BB5E8")
    flame = _closed((0.0, -1.0), (0.10, -0.90), (0.0, -0.85), (-0.10, -0.90), (0.0, -1.0))
    pen.fill(flame, "#FF9B30", outline=False)
    pen.fill(_box(-0.42, -0.38, 0.42, -0.03, 0.06), "#C98353")
    pen.fill(_box(-0.29, -0.66, 0.29, -0.34, 0.05), "#C98353")
    for half, y in ((0.29, -0.66), (0.42, -0.38)):
        drip = [(-half, y + 0.02)]
        n = 5 if half < 0.4 else 7
        step = 2 * half / n
        for k in range(n):
            x = -half + k * step
            drip += [(x + step / 2, y + (0.28 if k % 2 == 0 else 0.16)), (x + step, y + 0.09)]
        icing = _curve((-half, y + 0.09), *drip[1:])
        icing.lineTo(half, y)
        icing.lineTo(-half, y)
        icing.close()
        pen.fill(icing, "#FFB6CF", outline=False)
    for x in (-0.30, 0.0, 0.30):
        pen.fill(ellipse(x, -0.41, 0.055, 0.055), "#E03A4E", outline=False)
    pen.fill(_box(-0.48, -0.06, 0.48, 0.0, 0.03), "#F4F0FA")


def _star(pen: Pen) -> None:
    points = []
    for k in range(10):
        r = 0.53 if k % 2 == 0 else 0.25
        a = math.pi * (k / 5 - 0.5)
        points.append((r * math.cos(a), -0.46 + r * math.sin(a)))
    pen.fill(polygon(points, 0.06), "#FFD02E")
    pen.fill(ellipse(-0.09, -0.52, 0.09, 0.07, -25), "#FFF1A8", outline=False)


def _shell(pen: Pen) -> None:
    pen.fill(_box(-0.17, -0.16, 0.17, 0.0, 0.05), "#E9826F")
    fan = _closed(
        (0.0, -0.06), (-0.32, -0.12), (-0.47, -0.48), (-0.46, -0.68), (-0.30, -0.70),
        (-0.26, -0.88), (-0.11, -0.84), (0.0, -0.95), (0.11, -0.84), (0.26, -0.88),
        (0.30, -0.70), (0.46, -0.68), (0.47, -0.48), (0.32, -0.12), (0.0, -0.06),
    )  # fmt: skip
    pen.fill(fan, "#FFA58F")
    for x, y in ((-0.30, -0.52), (-0.155, -0.70), (0.0, -0.76), (0.155, -0.70), (0.30, -0.52)):
        pen.stroke(capsule(0.25 * x, -0.16, x, y, 0.005), "#FFE1D3", 0.055)


def _mushroom(pen: Pen) -> None:
    stem = _closed((-0.16, -0.50), (-0.13, -0.25), (-0.22, -0.04), (0.0, 0.05), (0.22, -0.04),
                   (0.13, -0.25), (0.16, -0.50), (0.0, -0.50), (-0.16, -0.50))  # fmt: skip
    pen.fill(stem, "#FBEBD3")
    cap = _closed((-0.48, -0.46), (-0.46, -0.98), (0.0, -0.98), (0.46, -0.98), (0.48, -0.46),
                  (0.0, -0.34), (-0.48, -0.46))  # fmt: skip
    pen.fill(cap, "#E0403A")
    with pen.clip(cap):
        for x, y, r in ((-0.24, -0.62, 0.10), (0.05, -0.82, 0.10), (0.27, -0.58, 0.085),
                        (0.0, -0.52, 0.07)):  # fmt: skip
            pen.fill(ellipse(x, y, r, 0.85 * r), "#FFFFFF", outline=False)


def _boat(pen: Pen) -> None:
    pen.fill(_box(-0.035, -0.98, 0.035, -0.26), "#7A4A30", outline=False)
    pen.fill(polygon([(0.07, -0.94), (0.45, -0.36), (0.07, -0.36)], 0.02), "#FFFAEC")
    pen.fill(polygon([(-0.07, -0.84), (-0.07, -0.36), (-0.36, -0.36)], 0.02), "#F5A623")
    hull = polygon([(-0.52, -0.29), (0.52, -0.29), (0.34, 0.0), (-0.34, 0.0)], 0.05)
    pen.fill(hull, "#B5452F")
    with pen.clip(hull):
        pen.fill(_box(-0.52, -0.20, 0.52, -0.12), "#FFE9C8", outline=False)


_DRAW: dict[str, Callable[[Pen], None]] = {
    "lantern": _lantern, "book": _book, "balloon": _balloon, "kite": _kite, "apple": _apple,
    "ball": _ball, "drum": _drum, "basket": _basket, "key": _key, "umbrella": _umbrella,
    "teapot": _teapot, "cake": _cake, "star": _star, "shell": _shell, "mushroom": _mushroom,
    "boat": _boat,
}  # fmt: skip


def draw_prop(pen: Pen, kind: str) -> None:
    """Draws a prop of `scene.PROPS` into the current frame."""
    _DRAW[kind](pen)
