"""Which props lie in the gaps: each is compared where it would be drawn.

Props have fixed colours and stand in front, so only their own pixels matter. It knows no figures.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.storyworld.canvas import Pen, surface
from training.storyworld.props import draw_prop
from training.storyworld.reader.fit import SMEARED, SOFT, smooth
from training.storyworld.reader.templates import Floats, pool
from training.storyworld.render import PROP_INK
from training.storyworld.scene import PROPS, Character, Layout, Placed, Prop, Scene, layout

HEIGHT = 32
ORIGIN_X, ORIGIN_Y = 20, 36
ROWS, COLUMNS = 40, 40
M = 4
CAP = 60.0
FAR = 27.0


@dataclass(frozen=True)
class Thing:
    """A prop: its gap, where it was found, its mean capped difference and that of the runner-up,
    and that of its own blurred picture (a blob fits that one better)."""

    kind: str
    gap: int
    dx: float
    dy: float
    cost: float
    runner_up: float
    blurred: float


@lru_cache(maxsize=3)
def _bank(style: str) -> tuple[Floats, Floats]:
    """Colours [16, ROWS, COLUMNS, 3] and weights [16, ROWS, COLUMNS] of all props."""
    colors, weights = [], []
    for kind in PROPS:
        with surface(COLUMNS, ROWS) as (canvas, pixels):
            pen = Pen(canvas, style)
            with pen.at(ORIGIN_X, ORIGIN_Y, HEIGHT, ink=PROP_INK):
                draw_prop(pen, kind)
        solid = pixels[..., 3].astype(np.float32) / 255
        weights.append(np.where(solid > 0.97, 1.0, 0.0).astype(np.float32))
        colors.append(pixels[..., :3].astype(np.float32))
    return np.stack(colors), np.stack(weights)


def cut_prop(image: NDArray[np.uint8], placed: Placed) -> Floats:
    """The window around a prop's place, [ROWS+2M, COLUMNS+2M, 3]."""
    scale = placed.height / HEIGHT
    left, top = placed.x - (ORIGIN_X + M) * scale, placed.y - (ORIGIN_Y + M) * scale
    width, height = (COLUMNS + 2 * M) * scale, (ROWS + 2 * M) * scale
    pad = int(np.ceil(max(width, height)))
    padded = np.pad(image[..., :3], ((pad, pad), (pad, pad), (0, 0)), mode="edge")
    x, y = int(left) + pad - 1, int(top) + pad - 1
    part = padded[y : y + int(height) + 4, x : x + int(width) + 4]
    box = (left + pad - x, top + pad - y, left + pad - x + width, top + pad - y + height)
    how = Image.Resampling.BOX if scale >= 1 else Image.Resampling.BILINEAR
    small = Image.fromarray(np.ascontiguousarray(part)).resize(
        (COLUMNS + 2 * M, ROWS + 2 * M), how, box=box
    )
    return np.asarray(small, np.float32)


def _costs(
    window: Floats, colors: Floats, weights: Floats, steps: list[tuple[int, int]], margin: int
) -> Floats:
    """Mean capped difference over each prop's pixels, [steps, props]."""
    rows, columns = weights.shape[1:]
    area = np.maximum(weights.sum((1, 2)), 1.0)
    out = []
    for dx, dy in steps:
        part = window[margin + dy : margin + dy + rows, margin + dx : margin + dx + columns]
        difference = np.minimum(np.abs(colors - part), CAP).mean(-1)
        out.append((difference * weights).sum((1, 2)) / area)
    return np.stack(out)


def find_prop(
    image: NDArray[np.uint8], behind: NDArray[np.uint8], placed: Placed, style: str, gap: int
) -> Thing | None:
    """The prop at a place, or None where the backdrop explains nearly as much."""
    window, empty = cut_prop(image, placed), cut_prop(behind, placed)
    colors, weights = _bank(style)
    factor = 2
    coarse_weights = pool(weights.transpose(1, 2, 0), factor).transpose(2, 0, 1)
    solid = (coarse_weights > 0.9).astype(np.float32)
    coarse_colors = np.stack([pool(c, factor) for c in colors])
    steps = [(dx, dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1)]
    coarse = _costs(pool(window, factor), coarse_colors, solid, steps, M // factor)
    order = np.argsort(coarse.min(0))
    if coarse.min() > 1.3 * FAR:
        return None
    found: list[tuple[float, int, int, int]] = []
    for index in order[:2]:
        k = int(index)
        dx, dy = steps[int(np.argmin(coarse[:, k]))]
        near = [(2 * dx + a, 2 * dy + b) for a in (-1, 0, 1) for b in (-1, 0, 1)]
        costs = _costs(window, colors[k : k + 1], weights[k : k + 1], near, M)[:, 0]
        best = int(np.argmin(costs))
        found.append((float(costs[best]), k, *near[best]))
    found.sort()
    cost, k, dx, dy = found[0]

    def blurred(reach: int) -> float:
        color = _blurred(colors[k], weights[k], reach)
        return float(_costs(window, color[None], weights[k : k + 1], [(dx, dy)], M)[0, 0])

    cost = min(cost, blurred(SOFT))
    bare = np.minimum(np.abs(window - empty), CAP).mean(-1)
    bare = bare[M + dy : M + dy + ROWS, M + dx : M + dx + COLUMNS]
    nothing = float((bare * weights[k]).sum() / max(float(weights[k].sum()), 1.0))
    if cost > FAR or cost > 0.6 * nothing:
        return None
    return Thing(PROPS[k], gap, dx / HEIGHT, dy / HEIGHT, cost, found[1][0], blurred(SMEARED))


def _blurred(color: Floats, weight: Floats, reach: int) -> Floats:
    """A prop smeared by two boxes of 2 `reach` + 1 pixels."""
    mass = smooth(weight, reach)
    return smooth(color * weight[..., None], reach) / np.maximum(mass, 1e-3)[..., None]


def prop_places(size: tuple[int, int], sticker: bool, stand_in: Character, count: int) -> Layout:
    """Where the props of all gaps would stand for `count` figures."""
    kinds = [Prop(PROPS[0], gap) for gap in range(count + 1)]
    scene = Scene((stand_in,) * count, size=size, sticker=sticker, props=tuple(kinds))
    return layout(scene)
