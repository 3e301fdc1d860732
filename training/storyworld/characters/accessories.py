"""What a figure can wear; each piece is bold, and leaves coat, markings and face free.

Pieces behind the body (`behind`), on the torso (`on_torso`) and at the neck (`at_neck`) work in the
torso's frame, pieces on the head (`on_head`) in the head's.
"""

from __future__ import annotations

import skia

from training.storyworld.canvas import Pen, darker, ellipse, lighter, polygon
from training.storyworld.characters.shapes import block, curve, leaf, tube


def _piece(pen: Pen, path: skia.Path, color: str) -> None:
    """A piece with an edge of its own, so that it stands out from a coat of the same colour."""
    block(pen, [(path, color)], darker(color, 0.2))


def behind(
    pen: Pen, kind: str, color: str, torso: float, neck: float, hem: float, spread: float
) -> None:
    """A cape behind the back, and the scarf's flying end."""
    if kind == "scarf":
        end = tube([(-0.12, neck + 0.02), (-0.24, neck + 0.03), (-0.31, neck + 0.16)], 0.06)
        _piece(pen, end, darker(color, 0.1))
    if kind != "cape":
        return
    left, right = -torso - 0.2, torso + spread
    cape = skia.Path()
    cape.moveTo(-0.12, neck - 0.01)
    cape.cubicTo(-0.3, neck + 0.06, left, -0.1, left, hem)
    cape.quadTo(0.75 * left, hem + 0.05, 0.5 * left, hem)
    cape.quadTo(0.0, hem + 0.06, 0.5 * right, hem)
    cape.quadTo(0.75 * right, hem + 0.05, right, hem)
    cape.cubicTo(right, -0.1, 0.2 + 0.6 * spread, neck + 0.06, 0.12, neck - 0.01)
    cape.close()
    _piece(pen, cape, color)


def on_torso(pen: Pen, kind: str, color: str, torso: float, neck: float, lean: float) -> None:
    """The satchel with its strap."""
    if kind != "satchel":
        return
    hip = -torso + (0.07 if lean > 45 else -0.03)
    strap = curve([(0.14, neck + 0.06), (0.02, neck + 0.17), (hip + 0.05, -0.04)])
    pen.stroke(strap, darker(color, 0.38), 0.042)
    pen.stroke(strap, color, 0.022)
    with pen.at(hip, 0.0, turn=-lean):
        bag = polygon([(-0.11, -0.09), (0.11, -0.09), (0.12, 0.09), (-0.12, 0.09)], 0.05)
        _piece(pen, bag, color)
        flap = polygon([(-0.11, -0.09), (0.11, -0.09), (0.09, 0.015), (-0.09, 0.015)], 0.045)
        pen.fill(flap, darker(color, 0.22), outline=False)
        pen.fill(ellipse(0.0, 0.015, 0.026, 0.026), lighter(color, 0.7), outline=False)


def at_neck(pen: Pen, kind: str, color: str, neck: float) -> None:
    """The scarf's loop and the cape's collar, over the head's lower edge."""
    if kind == "scarf":
        loop = tube([(-0.16, neck + 0.025), (0.0, neck + 0.1), (0.17, neck + 0.025)], 0.054)
        _piece(pen, loop, color)
        for x in (-0.075, 0.085):
            bar = curve([(x, neck + 0.025), (x, neck + 0.05), (x, neck + 0.095)])
            pen.stroke(bar, lighter(color, 0.55), 0.026)
    elif kind == "cape":
        collar = tube([(-0.14, neck + 0.025), (0.0, neck + 0.085), (0.14, neck + 0.025)], 0.03)
        _piece(pen, collar, color)
        _piece(pen, ellipse(0.0, neck + 0.06, 0.036, 0.036), lighter(color, 0.6))


def on_head(
    pen: Pen, kind: str, color: str, rx: float, ry: float, hat: tuple[float, float]
) -> None:
    """Hat, crown or bow; `hat` is the height it sits at, in head radii, and its scale."""
    height, scale = hat
    if kind == "hat":
        with pen.at(0.0, -height * ry, scale, turn=-6):
            _hat(pen, color)
    elif kind == "crown":
        with pen.at(0.0, -height * ry, scale, turn=-5):
            _crown(pen, color)
    elif kind == "bow":
        with pen.at(-0.52 * rx, -height * ry - 0.02, turn=-20):
            _bow(pen, color)


def _hat(pen: Pen, color: str) -> None:
    dome = skia.Path()
    dome.moveTo(-0.15, 0.0)
    dome.cubicTo(-0.15, -0.2, -0.1, -0.21, 0.0, -0.21)
    dome.cubicTo(0.1, -0.21, 0.15, -0.2, 0.15, 0.0)
    dome.close()
    _piece(pen, dome, color)
    band = polygon([(-0.152, -0.085), (0.152, -0.085), (0.154, -0.02), (-0.154, -0.02)])
    pen.fill(band, darker(color, 0.38), outline=False)
    _piece(pen, ellipse(0, 0.005, 0.25, 0.05), color)


def _crown(pen: Pen, color: str) -> None:
    points = [
        (-0.16, 0.02), (-0.205, -0.17), (-0.095, -0.08), (0.0, -0.21),
        (0.095, -0.08), (0.205, -0.17), (0.16, 0.02),
    ]  # fmt: skip
    _piece(pen, polygon(points, 0.015), color)
    rim = polygon([(-0.168, -0.035), (0.168, -0.035), (0.158, 0.015), (-0.158, 0.015)])
    pen.fill(rim, darker(color, 0.25), outline=False)
    for x, y in ((-0.195, -0.17), (0.0, -0.205), (0.195, -0.17)):
        _piece(pen, ellipse(x, y, 0.032, 0.032), lighter(color, 0.55))


def _bow(pen: Pen, color: str) -> None:
    for side in (-1, 1):
        tail = leaf(side * 0.02, 0.02, side * 0.11, 0.16, 0.06, 0.4)
        _piece(pen, tail, darker(color, 0.15))
    for side in (-1, 1):
        _piece(pen, leaf(side * 0.17, -0.02, 0.0, 0.0, 0.19, 0.1), color)
        pen.fill(ellipse(side * 0.1, -0.012, 0.035, 0.03), darker(color, 0.2), outline=False)
    _piece(pen, ellipse(0, 0, 0.046, 0.052), lighter(color, 0.2))
