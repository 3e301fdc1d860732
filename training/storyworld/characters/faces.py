"""Faces: eyes, cheeks, mouths, snouts, beaks and a trunk, in the frame of the head.

The face looks a little to the right; `Mood` carries what the action does to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from training.storyworld.canvas import Pen, ellipse, polygon
from training.storyworld.characters.palette import BEAK, BLUSH, IVORY, MOUTH, NOSE, TONGUE, Tint
from training.storyworld.characters.shapes import block, curve, leaf, pear, tube


@dataclass(frozen=True)
class Mood:
    asleep: bool = False
    open_mouth: bool = False


Face = Callable[[Pen, Tint, Mood, float, float], None]


def eyes(pen: Pen, mood: Mood, x: float, y: float, gap: float, size: float = 0.05) -> None:
    """Two eyes around (x, y), `gap` apart; the far one is a little narrower."""
    size *= 1.12
    for side, wide in ((-1, 0.84), (1, 0.76)):
        cx = x + side * gap / 2
        if mood.asleep:
            lash = curve([(cx - size, y), (cx, y + 1.1 * size), (cx + size, y)])
            pen.stroke(lash, NOSE, 0.022)
            continue
        pen.fill(ellipse(cx, y, wide * size, 1.12 * size), NOSE, outline=False)
        shine = ellipse(cx + 0.28 * size, y - 0.42 * size, 0.34 * size, 0.38 * size)
        pen.fill(shine, "#FFFFFF", outline=False)
        glint = ellipse(cx - 0.25 * size, y + 0.45 * size, 0.16 * size, 0.16 * size)
        pen.fill(glint, "#FFFFFF", alpha=0.7, outline=False)


def cheeks(pen: Pen, x: float, y: float, gap: float) -> None:
    for edge, wide in ((-gap / 2, 0.052), (gap / 2 - 0.035, 0.038)):
        blush = ellipse(x + edge, y, wide, 0.034)
        pen.fill(blush, BLUSH, alpha=0.6, outline=False)


def mouth(pen: Pen, mood: Mood, x: float, y: float, width: float = 0.06) -> None:
    """A smile, or an open mouth with a tongue."""
    if mood.open_mouth:
        path = pear(width, y, y + 1.7 * width, y + 0.35 * width, 0.9)
        with pen.at(x, 0):
            pen.fill(path, MOUTH, outline=False)
            with pen.clip(path):
                tongue = ellipse(0, y + 1.6 * width, 0.75 * width, 0.7 * width)
                pen.fill(tongue, TONGUE, outline=False)
        return
    pen.stroke(curve([(x - width, y), (x - 0.5 * width, y + 0.75 * width), (x, y)]), NOSE, 0.017)
    pen.stroke(curve([(x, y), (x + 0.5 * width, y + 0.75 * width), (x + width, y)]), NOSE, 0.017)


def whiskers(pen: Pen, x: float, y: float, reach: float) -> None:
    for side in (-1, 1):
        for dy in (-0.022, 0.022):
            start, end = (x + side * 0.12, y + dy * 0.6), (x + side * reach, y + 1.9 * dy)
            pen.stroke(curve([start, start, end]), NOSE, 0.01, alpha=0.75)


def fox(pen: Pen, tint: Tint, mood: Mood, rx: float, ry: float) -> None:
    with pen.clip(pear(rx, -ry, ry, 0.09, 0.62)):
        for x, wide in ((-0.13, 0.185), (0.23, 0.15)):
            pen.fill(ellipse(x, 0.17, wide, 0.135), tint.pale, outline=False)
        pen.fill(ellipse(0.075, 0.16, 0.11, 0.1), tint.pale, outline=False)
    eyes(pen, mood, 0.055, -0.03, 0.22)
    cheeks(pen, 0.06, 0.075, 0.36)
    mouth(pen, mood, 0.08, 0.155, 0.045)
    pen.fill(ellipse(0.085, 0.105, 0.042, 0.033), NOSE, outline=False)


def bear(pen: Pen, tint: Tint, mood: Mood, rx: float, ry: float) -> None:
    pen.fill(ellipse(0.07, 0.1, 0.125, 0.098), tint.pale, outline=False)
    eyes(pen, mood, 0.06, -0.035, 0.22, 0.045)
    cheeks(pen, 0.06, 0.07, 0.38)
    mouth(pen, mood, 0.075, 0.115, 0.045)
    pen.fill(ellipse(0.08, 0.065, 0.052, 0.036), NOSE, outline=False)


def rabbit(pen: Pen, tint: Tint, mood: Mood, rx: float, ry: float) -> None:
    pen.fill(ellipse(0.06, 0.09, 0.09, 0.066), tint.pale, outline=False)
    eyes(pen, mood, 0.05, -0.02, 0.2)
    cheeks(pen, 0.05, 0.07, 0.33)
    mouth(pen, mood, 0.065, 0.085, 0.042)
    if not mood.open_mouth:
        pen.fill(
            polygon([(0.04, 0.1), (0.09, 0.1), (0.086, 0.15), (0.044, 0.15)], 0.012),
            IVORY,
            outline=False,
        )
    pen.fill(ellipse(0.066, 0.06, 0.03, 0.022), BLUSH, outline=False)


def cat(pen: Pen, tint: Tint, mood: Mood, rx: float, ry: float) -> None:
    pen.fill(ellipse(0.03, 0.1, 0.06, 0.046), tint.pale, outline=False)
    pen.fill(ellipse(0.11, 0.1, 0.055, 0.046), tint.pale, outline=False)
    eyes(pen, mood, 0.055, -0.025, 0.25, 0.055)
    cheeks(pen, 0.06, 0.075, 0.4)
    whiskers(pen, 0.07, 0.1, 0.27)
    mouth(pen, mood, 0.07, 0.09, 0.042)
    pen.fill(polygon([(0.04, 0.05), (0.1, 0.05), (0.07, 0.09)], 0.015), BLUSH, outline=False)


def dog(pen: Pen, tint: Tint, mood: Mood, rx: float, ry: float) -> None:
    pen.fill(ellipse(0.09, 0.1, 0.14, 0.095), tint.pale, outline=False)
    eyes(pen, mood, 0.05, -0.045, 0.19, 0.046)
    cheeks(pen, 0.06, 0.06, 0.36)
    if not mood.open_mouth and not mood.asleep:
        with pen.at(0.1):
            pen.fill(pear(0.036, 0.13, 0.215, 0.17, 0.9), TONGUE, outline=False)
    mouth(pen, mood, 0.1, 0.115, 0.055)
    pen.fill(ellipse(0.11, 0.055, 0.055, 0.04), NOSE, outline=False)
    for side in (-1, 1):
        x = side * 0.93 * rx
        ear = tube([(x * 0.9, -0.74 * ry), (x * 1.3, -0.5 * ry), (x * 1.16, 0.3 * ry)], 0.068)
        block(pen, [(ear, tint.deep)])
        with pen.clip(ear):
            dip = ellipse(x * 1.17, 0.5 * ry, 0.12, 0.13)
            pen.fill(dip, tint.mark, outline=False)


def mouse(pen: Pen, tint: Tint, mood: Mood, rx: float, ry: float) -> None:
    pen.fill(ellipse(0.085, 0.105, 0.1, 0.068, -8), tint.pale, outline=False)
    eyes(pen, mood, 0.04, -0.02, 0.2, 0.048)
    cheeks(pen, 0.03, 0.075, 0.32)
    whiskers(pen, 0.09, 0.1, 0.22)
    mouth(pen, mood, 0.09, 0.125, 0.034)
    pen.fill(ellipse(0.175, 0.085, 0.036, 0.032), BLUSH, outline=False)


def owl(pen: Pen, tint: Tint, mood: Mood, rx: float, ry: float) -> None:
    for x, wide in ((-0.08, 0.145), (0.152, 0.116)):
        pen.fill(ellipse(x, -0.01, wide, 0.148), tint.pale, outline=False)
    eyes(pen, mood, 0.045, -0.01, 0.22, 0.066)
    cheeks(pen, 0.04, 0.12, 0.34)
    beak = polygon([(0.0, 0.045), (0.1, 0.045), (0.055, 0.14)], 0.02)
    if mood.open_mouth:
        pen.fill(ellipse(0.05, 0.125, 0.04, 0.05), MOUTH, outline=False)
    pen.fill(beak, BEAK, outline=False)


def penguin(pen: Pen, tint: Tint, mood: Mood, rx: float, ry: float) -> None:
    for x, wide in ((-0.04, 0.13), (0.14, 0.11)):
        pen.fill(ellipse(x, 0.0, wide, 0.13), tint.pale, outline=False)
    pen.fill(ellipse(0.055, 0.1, 0.17, 0.11), tint.pale, outline=False)
    eyes(pen, mood, 0.055, -0.01, 0.19, 0.047)
    cheeks(pen, 0.06, 0.09, 0.29)
    if mood.open_mouth:
        pen.fill(ellipse(0.085, 0.125, 0.05, 0.05), MOUTH, outline=False)
    beak = polygon([(0.01, 0.045), (0.11, 0.03), (0.25, 0.09), (0.11, 0.145), (0.01, 0.115)], 0.03)
    pen.fill(beak, BEAK, outline=False)


def frog(pen: Pen, tint: Tint, mood: Mood, rx: float, ry: float) -> None:
    for x in (-0.12, 0.17):
        if not mood.asleep:
            pen.fill(ellipse(x + 0.005, -0.83 * ry, 0.076, 0.076), "#FFFFFF", outline=False)
    eyes(pen, mood, 0.035, -0.83 * ry, 0.29, 0.052)
    cheeks(pen, 0.04, 0.05, 0.4)
    if mood.open_mouth:
        mouth(pen, mood, 0.04, 0.05, 0.1)
    else:
        smile = curve([(-0.13, 0.045), (-0.05, 0.14), (0.15, 0.14), (0.21, 0.045)])
        pen.stroke(smile, NOSE, 0.02)
    for x in (0.03, 0.08):
        pen.fill(ellipse(x, -0.02, 0.01, 0.008), NOSE, outline=False)


def lion(pen: Pen, tint: Tint, mood: Mood, rx: float, ry: float) -> None:
    pen.fill(ellipse(0.02, 0.1, 0.075, 0.062), tint.pale, outline=False)
    pen.fill(ellipse(0.11, 0.1, 0.07, 0.062), tint.pale, outline=False)
    eyes(pen, mood, 0.055, -0.035, 0.2, 0.044)
    cheeks(pen, 0.05, 0.06, 0.33)
    mouth(pen, mood, 0.068, 0.095, 0.045)
    pen.fill(polygon([(0.02, 0.035), (0.115, 0.035), (0.068, 0.095)], 0.02), NOSE, outline=False)


def elephant(pen: Pen, tint: Tint, mood: Mood, rx: float, ry: float) -> None:
    eyes(pen, mood, 0.07, -0.06, 0.24, 0.045)
    cheeks(pen, 0.07, 0.045, 0.38)
    if mood.open_mouth:
        mouth(pen, mood, 0.06, 0.13, 0.05)
    block(pen, [(tube([(0.0, 0.11), (-0.02, 0.2), (-0.085, 0.19)], 0.024), IVORY)])
    droop = 0.05 if mood.asleep else 0.0
    end = (0.25, 0.1) if mood.open_mouth else (0.235, 0.14)
    trunk = tube([(0.085, 0.03), (0.05, 0.32 - droop), (0.23, 0.3 - droop), end], 0.06)
    block(pen, [(trunk, tint.base)])
    if pen.style != "ink":
        pen.stroke(trunk, tint.deep, 0.012, alpha=0.8)
    pen.fill(ellipse(0.088, 0.0, 0.085, 0.075), tint.base, outline=False)
    for y in (0.09, 0.135, 0.18):
        pen.stroke(curve([(0.04, y), (0.07, y + 0.02), (0.105, y)]), tint.deep, 0.012, alpha=0.8)


def hedgehog(pen: Pen, tint: Tint, mood: Mood, rx: float, ry: float) -> None:
    pen.fill(ellipse(0.08, 0.05, rx * 0.72, ry * 0.72), tint.pale, outline=False)
    snout = leaf(0.1, 0.08, 0.3, 0.07, 0.16, 0.3)
    pen.fill(snout, tint.pale, outline=False)
    eyes(pen, mood, 0.085, 0.0, 0.19, 0.046)
    cheeks(pen, 0.07, 0.095, 0.3)
    mouth(pen, mood, 0.12, 0.125, 0.036)
    pen.fill(ellipse(0.285, 0.065, 0.038, 0.034), NOSE, outline=False)
