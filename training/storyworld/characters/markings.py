"""Coat patterns: the colour and the shapes of a continuous family that no text names.

They are drawn large, because they must survive strong compression and a figure of 45 pixels.
"""

from __future__ import annotations

from math import cos, pi, radians, sin

import skia

from training.storyworld.canvas import Pen, ellipse, rgb
from training.storyworld.scene import COLORS, Markings

_DARK_COAT = 59.0
_LIGHTER, _DARKER = 29.0, 31.0
_CHROMA = 56.0
_DOT_RADII = {3: 0.08, 4: 0.068, 5: 0.056, 6: 0.05}
_WHITE = (0.95047, 1.0, 1.08883)


def _lightness(color: str) -> float:
    linear = [((v / 255 + 0.055) / 1.055) ** 2.4 if v > 10 else v / 3294.6 for v in rgb(color)]
    y = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return float(116 * y ** (1 / 3) - 16) if y > 0.008856 else 903.3 * y


def _linear_rgb(lightness: float, a: float, b: float) -> tuple[float, float, float]:
    fy = (lightness + 16) / 116
    x, y, z = (
        white * (f**3 if f > 6 / 29 else 3 * (6 / 29) ** 2 * (f - 4 / 29))
        for white, f in zip(_WHITE, (fy + a / 500, fy, fy - b / 200), strict=True)
    )
    return (
        3.2406 * x - 1.5372 * y - 0.4986 * z,
        -0.9689 * x + 1.8758 * y + 0.0415 * z,
        0.0557 * x - 0.2040 * y + 1.0570 * z,
    )


def _hex(channels: tuple[float, float, float]) -> str:
    clipped = [min(max(c, 0.0), 1.0) for c in channels]
    return "#" + "".join(
        f"{round(255 * (12.92 * c if c < 0.0031308 else 1.055 * c ** (1 / 2.4) - 0.055)):02X}"
        for c in clipped
    )


def marking_color(coat: str, hue: float) -> str:
    """The hex colour of the markings on a coat named `coat`: round the CIELAB hue circle with
    `hue` in [0, 1), at a lightness at least 28 away from the coat's, as vivid as sRGB allows."""
    base = _lightness(COLORS[coat])
    lightness = base + _LIGHTER if base < _DARK_COAT else base - _DARKER
    direction = 2 * pi * hue
    low, high = 0.0, _CHROMA
    for _ in range(7):
        chroma = (low + high) / 2
        channels = _linear_rgb(lightness, chroma * cos(direction), chroma * sin(direction))
        if all(-0.002 <= c <= 1.002 for c in channels):
            low = chroma
        else:
            high = chroma
    return _hex(_linear_rgb(lightness, low * cos(direction), low * sin(direction)))


def draw_markings(pen: Pen, torso: skia.Path, markings: Markings, color: str) -> None:
    """The pattern on a torso, clipped to it; works in the frame of the torso."""
    box = torso.getBounds()
    x, y = box.centerX(), box.centerY() + 0.035
    w, h = box.width(), box.height()
    with pen.clip(torso), pen.at(x, y):
        for path in _FORMS[markings.form](w, h, markings.scale, markings.angle):
            pen.fill(path, color, outline=False)


def _band(low: float, high: float, turn: float) -> skia.Path:
    path = skia.Path()
    path.addRect(skia.Rect.MakeLTRB(-1, low, 1, high))
    path.transform(skia.Matrix().setRotate(turn))
    return path


def _stripes(w: float, h: float, scale: float, angle: float) -> list[skia.Path]:
    period = 0.13 + 0.06 * scale
    thick = 0.52 * period
    turn = -45 + 90 * angle
    return [_band(i * period - thick / 2, i * period + thick / 2, turn) for i in range(-3, 4)]


def _dots(w: float, h: float, scale: float, angle: float) -> list[skia.Path]:
    count = 6 - int(3.999 * scale)
    radius = _DOT_RADII[count]
    ring = count - 1 if count > 4 else count
    paths = [ellipse(0, 0, radius, radius)] if count > 4 else []
    for i in range(ring):
        a = 2 * pi * (angle / ring + i / ring) - pi / 2
        paths.append(ellipse(0.31 * w * cos(a), 0.34 * h * sin(a), radius, radius))
    return paths


def _halves(w: float, h: float, scale: float, angle: float) -> list[skia.Path]:
    return [_band(-0.085 + 0.10 * scale, 1.0, 70 - 140 * angle)]


def _bib(w: float, h: float, scale: float, angle: float) -> list[skia.Path]:
    size = 0.33 + 0.09 * scale
    slide = radians(360 * angle)
    return [ellipse(0.08 * w * cos(slide), 0.08 * h * sin(slide), size * w, size * 1.08 * h)]


_FORMS = {"stripes": _stripes, "dots": _dots, "halves": _halves, "bib": _bib}
