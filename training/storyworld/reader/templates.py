"""Figures taken apart: how strongly each colour of a character shows in each pixel.

A figure's pixels are linear in its coat, marking and accessory colours, so a few renders give maps
from which a figure in any colours follows without drawing it again. All live in one canonical
frame: the figure is `HEIGHT` pixels tall, its ground in row `ORIGIN_Y`, its centre in column
`ORIGIN_X`. It knows no pictures to be read.

| map | shape, dtype | meaning |
| --- | --- | --- |
| `fixed` | [ROWS, COLUMNS, 3] float32 | premultiplied colours that never change |
| `alpha` | [ROWS, COLUMNS] float32 | coverage |
| `coat`, `mark`, `torso`, `worn` | [ROWS, COLUMNS] float32 | weights of the colours |

`torso` is where coat or marking shows, depending on the pattern; it is part of `coat`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from training.storyworld.canvas import Pen, rgb, surface
from training.storyworld.characters import draw, marking_color
from training.storyworld.render import CHARACTER_INK, CHARACTER_SHADOW, draw_contact
from training.storyworld.scene import (
    ACTIONS,
    COLORS,
    KINDS,
    Accessory,
    Character,
    Markings,
    Placed,
)

Floats = NDArray[np.float32]

HEIGHT = 48
ORIGIN_X, ORIGIN_Y = 36, 60
ROWS, COLUMNS = 68, 72
_NO_MARKINGS = Markings("halves", 0.1, 100.0, 0.5)
_ALL_MARKINGS = Markings("halves", 0.1, -100.0, 0.5)
COLOR_NAMES = tuple(COLORS)
COLOR_VALUES: Floats = np.array([rgb(v) for v in COLORS.values()], np.float32)


@dataclass(frozen=True)
class Shape:
    """What a figure's outline depends on."""

    kind: str
    action: str
    facing: str = "right"
    worn: str = ""


@dataclass(frozen=True)
class Maps:
    fixed: Floats
    alpha: Floats
    coat: Floats
    mark: Floats
    torso: Floats
    worn: Floats


Packed = NDArray[np.uint8]


def _packed(maps: Maps) -> Packed:
    """The maps as bytes, [ROWS, COLUMNS, 8]; rounding costs less than half a colour step."""
    weights = (maps.alpha, maps.coat, maps.mark, maps.torso, maps.worn)
    planes = np.concatenate([maps.fixed, 255 * np.stack(weights, -1)], -1)
    return (np.clip(planes, 0, 255) + 0.5).astype(np.uint8)


def _unpacked(packed: Packed) -> Maps:
    fixed = packed[..., :3].astype(np.float32)
    weights = [np.ascontiguousarray(packed[..., k], np.float32) / 255 for k in range(3, 8)]
    return Maps(fixed, *weights)


def _drawn(character: Character, style: str, sticker: bool) -> Floats:
    """The figure alone, [ROWS, COLUMNS, 4], premultiplied, colours 0 to 255, alpha 0 to 1."""
    with surface(COLUMNS, ROWS) as (canvas, pixels):
        if not sticker:
            draw_contact(canvas, Placed(ORIGIN_X, ORIGIN_Y, HEIGHT), CHARACTER_SHADOW)
        pen = Pen(canvas, style)
        with pen.at(ORIGIN_X, ORIGIN_Y, HEIGHT, ink=CHARACTER_INK):
            draw(pen, character)
    out = pixels.astype(np.float32)
    out[..., 3] /= 255
    out[..., :3] *= out[..., 3:]
    return out


def _weight(difference: Floats, direction: Floats) -> Floats:
    """How much of `direction` each pixel of `difference` holds, in [0, 1]."""
    return np.clip(difference @ direction / (direction @ direction), 0, 1)


def _mark(coat: str, hue: float) -> Floats:
    return np.array(rgb(marking_color(coat, hue)), np.float32)


@lru_cache(maxsize=3000)
def _right(kind: str, action: str, worn: str, style: str, sticker: bool, white: bool) -> Packed:
    def figure(coat: str, color: str, markings: Markings = _NO_MARKINGS) -> Floats:
        accessory = Accessory(worn, color) if worn else None
        return _drawn(Character(kind, coat, markings, accessory, action), style, sticker)

    first, second = "blue", "orange"
    plain = figure(first, "red")
    hued = figure(first, "red", replace(_NO_MARKINGS, hue=0.6))
    full = figure(first, "red", _ALL_MARKINGS)
    other = figure(second, "red")
    red, green = (np.array(rgb(COLORS[c]), np.float32) for c in ("red", "green"))
    blue, orange = (np.array(rgb(COLORS[c]), np.float32) for c in (first, second))
    near, far = _mark(first, 0.1), _mark(first, 0.6)
    mark = _weight((hued - plain)[..., :3], far - near)
    shift = (other - plain)[..., :3] - mark[..., None] * (_mark(second, 0.1) - near)
    coat = _weight(shift, orange - blue)
    torso = _weight((full - plain)[..., :3], near - blue)
    dress = np.zeros_like(coat)
    if worn:
        dress = _weight((figure(first, "green") - plain)[..., :3], green - red)
    fixed = plain[..., :3] - coat[..., None] * blue - mark[..., None] * near
    if white:
        value = np.array(rgb(COLORS["white"]), np.float32)
        fixed = figure("white", "red")[..., :3] - coat[..., None] * value
        fixed = fixed - mark[..., None] * _mark("white", 0.1)
    fixed = fixed - dress[..., None] * red
    return _packed(Maps(fixed, plain[..., 3], coat, mark, torso, dress))


@lru_cache(maxsize=256)
def maps(shape: Shape, style: str, sticker: bool = False, white: bool = False) -> Maps:
    """The maps of one figure; a white coat's pale parts differ, so it has its own."""
    right = _right(shape.kind, shape.action, shape.worn, style, sticker, white)
    return _unpacked(right if shape.facing == "right" else right[:, ::-1])


def pool(image: Floats, factor: int) -> Floats:
    """Means over blocks of `factor` by `factor`; [..., H, W, C] or [H, W]."""
    height, width = image.shape[0] // factor, image.shape[1] // factor
    blocks = image.reshape(height, factor, width, factor, *image.shape[2:])
    return blocks.mean((1, 3), dtype=np.float32)


SHAPES = tuple(Shape(k, a, f) for k in KINDS for a in ACTIONS for f in ("right", "left"))


@dataclass(frozen=True)
class Bank:
    """All shapes without accessory at one coarse level, flattened.

    | field | shape |
    | --- | --- |
    | `color` | [10 coats, shapes, pixels, 3], premultiplied |
    | `alpha` | [shapes, pixels, 1] |
    | `trust` | [shapes, pixels, 1], low where markings may show |
    """

    color: Floats
    alpha: Floats
    trust: Floats


@lru_cache(maxsize=12)
def bank(style: str, sticker: bool, factor: int) -> Bank:
    color, alpha, trust = [], [], []
    for shape in SHAPES:
        m = maps(shape, style, sticker)
        pale = maps(shape, style, sticker, True)
        coats = []
        for name, value in zip(COLOR_NAMES, COLOR_VALUES, strict=True):
            fixed = pale.fixed if name == "white" else m.fixed
            body = fixed + m.coat[..., None] * value + m.mark[..., None] * 128.0
            coats.append(pool(body, factor).reshape(-1, 3))
        color.append(np.stack(coats))
        alpha.append(pool(m.alpha, factor).reshape(-1, 1))
        trust.append(1 - 0.7 * np.minimum(pool(m.mark + m.torso, factor), 1).reshape(-1, 1))
    return Bank(np.stack(color, 1), np.stack(alpha), np.stack(trust))
