"""Ears and tails: functions from a figure's colours to shapes, in the order they are painted.

Ears live in the frame of the head (origin at its centre, `rx`, `ry` its radii) and are painted
before it; tails live in a frame at the rump and point to the left.
"""

from __future__ import annotations

from collections.abc import Callable

import skia

from training.storyworld.canvas import ellipse
from training.storyworld.characters.palette import Tint
from training.storyworld.characters.shapes import burst, leaf, spikes, tube

Parts = list[tuple[skia.Path, str]]
Ears = Callable[[Tint, float, float], Parts]
Tail = Callable[[Tint], Parts]


def round_ears(radius: float, spread: float, height: float) -> Ears:
    """Two discs; `spread` and `height` place them in units of the head's radii."""

    def ears(tint: Tint, rx: float, ry: float) -> Parts:
        parts: Parts = []
        for x in (-spread * rx - 0.02, spread * rx - 0.02):
            parts.append((ellipse(x, -height * ry, radius, radius), tint.base))
            parts.append((ellipse(x, -height * ry, 0.6 * radius, 0.6 * radius), tint.mark))
        return parts

    return ears


def pointed_ears(height: float, width: float, splay: float, dark_tip: bool = False) -> Ears:
    """Two triangles with soft sides."""

    def ears(tint: Tint, rx: float, ry: float) -> Parts:
        parts: Parts = []
        for side in (-1, 1):
            x, y = side * 0.54 * rx - 0.01, -0.55 * ry
            tip = x + side * splay, -ry - height
            inner = x + side * splay * 0.72, -ry - 0.62 * height
            outer = tint.deep if dark_tip else tint.base
            parts.append((leaf(x, y, *tip, width, 0.04), outer))
            parts.append((leaf(x, y, *inner, 0.58 * width, 0.05), tint.mark))
        return parts

    return ears


def long_ears(length: float) -> Ears:
    """A rabbit's: tall, the left one leaning back."""

    def ears(tint: Tint, rx: float, ry: float) -> Parts:
        parts: Parts = []
        for x, dx in ((-0.44 * rx, -0.09), (0.36 * rx, 0.06)):
            tip = x + dx, -ry - length
            parts.append((tube([(x, -0.6 * ry), tip], 0.068), tint.base))
            inner = tube([(x, -0.8 * ry), (x + 0.9 * dx, -ry - 0.88 * length)], 0.032)
            parts.append((inner, tint.mark))
        return parts

    return ears


def floppy_ears(tint: Tint, rx: float, ry: float) -> Parts:
    """A dog's; they hang, and are painted over the head by its face."""
    return []


def tufts(tint: Tint, rx: float, ry: float) -> Parts:
    """An owl's feather horns."""
    parts: Parts = []
    for side in (-1, 1):
        x = side * 0.66 * rx
        tip = x + side * 0.15, -ry - 0.06
        parts.append((leaf(x * 0.7, -0.7 * ry, *tip, 0.17, 0.03), tint.base))
        parts.append((leaf(x * 0.95, -0.82 * ry, *tip, 0.1, 0.03), tint.mark))
    return parts


def eye_bumps(tint: Tint, rx: float, ry: float) -> Parts:
    """A frog's: the eyes sit on top of the head."""
    return [(ellipse(x, -0.82 * ry, 0.105, 0.105), tint.base) for x in (-0.12, 0.17)]


def elephant_ears(tint: Tint, rx: float, ry: float) -> Parts:
    parts: Parts = []
    for side, wide in ((-1, 0.155), (1, 0.115)):
        x = side * (rx + 0.035)
        parts.append((ellipse(x, -0.06, wide, 0.2, side * 12), tint.shade))
        parts.append((ellipse(x + side * 0.012, -0.05, 0.66 * wide, 0.14, side * 12), tint.mark))
    return parts


def mane(tint: Tint, rx: float, ry: float) -> Parts:
    """A lion's; the ears sit on it."""
    parts: Parts = [(burst(-0.03, 0.0, rx * 1.24, ry * 1.22, 12, 0.33), tint.deep)]
    for x in (-0.66 * rx, 0.62 * rx):
        parts.append((ellipse(x, -0.84 * ry, 0.07, 0.07), tint.base))
        parts.append((ellipse(x, -0.84 * ry, 0.038, 0.038), tint.mark))
    return parts


def head_spines(tint: Tint, rx: float, ry: float) -> Parts:
    """A hedgehog's, a fan around the back of the head."""
    fan = spikes(-0.03, 0.0, rx * 1.03, ry * 1.03, 100, 322, 8, 0.36)
    inner = spikes(-0.03, 0.0, rx * 0.98, ry * 0.98, 108, 316, 7, 0.2)
    ear = ellipse(-0.02, -0.8 * ry, 0.065, 0.065)
    return [(fan, tint.deep), (inner, tint.mark), (ear, tint.base)]


def crest(tint: Tint, rx: float, ry: float) -> Parts:
    """A penguin's tuft of three feathers."""
    return [
        (leaf(-0.02, -0.85 * ry, -0.1, -ry - 0.05, 0.06, 0.1), tint.mark),
        (leaf(0.0, -0.85 * ry, 0.0, -ry - 0.08, 0.06, 0.1), tint.mark),
        (leaf(0.02, -0.85 * ry, 0.085, -ry - 0.05, 0.06, 0.1), tint.mark),
    ]


def bushy_tail(tint: Tint) -> Parts:
    return [
        (leaf(-0.08, 0.02, -0.25, -0.27, 0.2, 0.3), tint.base),
        (tube([(0.02, 0.02), (-0.10, 0.05), (-0.17, -0.06)], 0.07), tint.base),
        (leaf(-0.195, -0.14, -0.25, -0.27, 0.13, 0.3), tint.mark),
    ]


def stub_tail(tint: Tint) -> Parts:
    return [(ellipse(-0.055, -0.02, 0.06, 0.055), tint.mark)]


def puff_tail(tint: Tint) -> Parts:
    return [(burst(-0.07, -0.02, 0.065, 0.065, 7, 0.5), tint.mark)]


def cat_tail(tint: Tint) -> Parts:
    points = [(0.04, 0.02), (-0.24, 0.10), (-0.04, -0.2), (-0.19, -0.25)]
    tip = [(-0.135, -0.235), (-0.16, -0.245), (-0.19, -0.25)]
    return [(tube(points, 0.042), tint.base), (tube(tip, 0.043), tint.mark)]


def dog_tail(tint: Tint) -> Parts:
    points = [(0.04, 0.02), (-0.15, 0.02), (-0.17, -0.15)]
    tip = [(-0.158, -0.1), (-0.166, -0.12), (-0.17, -0.15)]
    return [(tube(points, 0.042), tint.base), (tube(tip, 0.043), tint.mark)]


def mouse_tail(tint: Tint) -> Parts:
    points = [(0.04, 0.04), (-0.26, 0.12), (-0.08, -0.12), (-0.25, -0.16)]
    return [(tube(points, 0.02), tint.deep)]


def lion_tail(tint: Tint) -> Parts:
    points = [(0.04, 0.03), (-0.22, 0.1), (-0.1, -0.1), (-0.22, -0.17)]
    return [(tube(points, 0.026), tint.base), (ellipse(-0.225, -0.19, 0.06, 0.075, -20), tint.mark)]


def elephant_tail(tint: Tint) -> Parts:
    rope = tube([(0.04, 0.0), (-0.09, 0.0), (-0.12, 0.09)], 0.018)
    return [(rope, tint.shade), (ellipse(-0.122, 0.1, 0.028, 0.035), tint.mark)]


def bird_tail(tint: Tint) -> Parts:
    return [(leaf(0.02, 0.0, -0.15, 0.07, 0.13, 0.25), tint.deep)]


def no_tail(tint: Tint) -> Parts:
    return []
