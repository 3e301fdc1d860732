"""Which figure stands in a window: coarse-to-fine search over all shapes, coats and places.

It sees a window of the picture in the templates' canonical frame and what lies behind the figure
there. It knows nothing of other figures except where they hide this one (`seen`).

| array | shape, dtype | meaning |
| --- | --- | --- |
| `Window.image`, `.behind` | [ROWS+2M, COLUMNS+2M, 3] float32 | colours 0 to 255 |
| `Window.seen` | [ROWS+2M, COLUMNS+2M] float32 | 1 where the figure could show |
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.storyworld.reader.templates import (
    COLOR_NAMES,
    COLOR_VALUES,
    COLUMNS,
    HEIGHT,
    ORIGIN_X,
    ORIGIN_Y,
    ROWS,
    SHAPES,
    Floats,
    Shape,
    bank,
    pool,
)
from training.storyworld.scene import Placed

M = 12
CAP = 60.0
COARSE, MIDDLE = 4, 2


@dataclass(frozen=True)
class Window:
    image: Floats
    behind: Floats
    seen: Floats
    style: str
    sticker: bool

    @cached_property
    def flat(self) -> tuple[Floats, Floats, Floats, Floats]:
        """Image, background, visibility and the cost of "nothing stands here", per pixel."""
        image, behind = self.image.reshape(-1, 3), self.behind.reshape(-1, 3)
        seen = self.seen.reshape(-1)
        empty = np.minimum(np.abs(image - behind), CAP).mean(-1) * seen
        return image, behind, seen, empty

    def at(self, dx: int, dy: int) -> tuple[Floats, Floats, Floats]:
        """Image, background and visibility as a template displaced by (dx, dy) sees them."""
        rows, columns = slice(M + dy, M + dy + ROWS), slice(M + dx, M + dx + COLUMNS)
        return self.image[rows, columns], self.behind[rows, columns], self.seen[rows, columns]


@dataclass(frozen=True)
class Guess:
    """One explanation of a window; `gain` is how much cost it takes away, in capped units."""

    shape: Shape
    coat: str
    dx: int
    dy: int
    gain: float
    worn_color: str = ""


def cut(image: NDArray[np.uint8], placed: Placed) -> Floats:
    """The window of an [H, W, C] picture around a place, in the canonical frame with margin."""
    scale = placed.height / HEIGHT
    left = placed.x - (ORIGIN_X + M) * scale
    top = placed.y - (ORIGIN_Y + M) * scale
    width, height = (COLUMNS + 2 * M) * scale, (ROWS + 2 * M) * scale
    pad = int(np.ceil(max(-left, -top, left + width - image.shape[1],
                          top + height - image.shape[0], 0))) + 1  # fmt: skip
    x0, x1 = int(left) + pad - 1, int(left + width) + pad + 2
    y0, y1 = int(top) + pad - 1, int(top + height) + pad + 2
    padded = np.pad(image, ((pad, pad), (pad, pad), (0, 0)), mode="edge")[y0:y1, x0:x1]
    box = (left + pad - x0, top + pad - y0, left + pad - x0 + width, top + pad - y0 + height)
    how = Image.Resampling.BOX if scale >= 1 else Image.Resampling.BILINEAR
    out = [
        np.asarray(
            Image.fromarray(np.ascontiguousarray(padded[..., k : k + 3]).squeeze()).resize(
                (COLUMNS + 2 * M, ROWS + 2 * M), how, box=box
            ),
            np.float32,
        )
        for k in range(0, image.shape[2], 3)
    ]
    return out[0]


def _coats(window: Window) -> list[str]:
    """The coats whose colour covers most of what differs from the background."""
    image, behind, seen = window.at(0, 0)
    other = (np.abs(image - behind).max(-1) > 18) & (seen > 0.5)
    pixels = image[other]
    if len(pixels) < 20:
        return []
    shade = COLOR_VALUES + 0.13 * (np.array((27, 22, 38), np.float32) - COLOR_VALUES)
    counts = []
    for value, dark in zip(COLOR_VALUES, shade, strict=True):
        near = np.abs(pixels - value).max(-1) < 26
        low = np.abs(pixels - dark).max(-1) < 22
        counts.append(int((near | low).sum()))
    order = np.argsort(counts)[::-1]
    floor = 0.12 * counts[int(order[0])]
    return [COLOR_NAMES[int(i)] for i in order[:4] if counts[int(i)] > floor]


def _level(window: Window, factor: int) -> tuple[Floats, Floats, Floats]:
    return pool(window.image, factor), pool(window.behind, factor), pool(window.seen, factor)


def _search(
    window: Window, factor: int, candidates: Iterable[tuple[int, NDArray[np.intp]]],
    steps: Iterable[tuple[int, int]],
) -> list[Guess]:  # fmt: skip
    """Scores (coat index, shape indices) at displacements given in pixels of this level."""
    banked = bank(window.style, window.sticker, factor)
    image, behind, seen = _level(window, factor)
    rows, columns = ROWS // factor, COLUMNS // factor
    margin = M // factor
    found: list[Guess] = []
    cap = CAP * banked.trust
    for dx, dy in steps:
        area = (slice(margin + dy, margin + dy + rows), slice(margin + dx, margin + dx + columns))
        part, back = image[area].reshape(-1, 3), behind[area].reshape(-1, 3)
        weight = seen[area].reshape(-1)
        without = float(np.minimum(np.abs(part - back), CAP).mean(-1) @ weight)
        weights = np.repeat(weight / 3, 3)
        rest: dict[int, Floats] = {}
        for coat, indices in candidates:
            if id(indices) not in rest:
                rest[id(indices)] = banked.alpha[indices] * back - (back - part)
            difference = banked.color[coat][indices] - rest[id(indices)]
            np.abs(difference, out=difference)
            np.minimum(difference, cap[indices], out=difference)
            costs = difference.reshape(len(indices), -1) @ weights
            gains = (without - costs) * factor**2
            for k in np.argsort(-gains)[:60]:
                shape = SHAPES[int(indices[k])]
                found.append(
                    Guess(shape, COLOR_NAMES[coat], dx * factor, dy * factor, float(gains[k]))
                )
    found.sort(key=lambda g: -g.gain)
    return found


def _distinct(guesses: list[Guess], count: int) -> list[Guess]:
    """The best guess of each shape and coat."""
    best: dict[tuple[Shape, str], Guess] = {}
    for guess in guesses:
        best.setdefault((guess.shape, guess.coat), guess)
        if len(best) == count:
            break
    return list(best.values())


_INDEX = {shape: i for i, shape in enumerate(SHAPES)}


def coarse(window: Window, count: int = 40) -> list[Guess]:
    """The most promising shapes without accessory, at the coarsest level."""
    every = np.arange(len(SHAPES))
    coats = [(COLOR_NAMES.index(c), every) for c in _coats(window)]
    steps = [(dx, 0) for dx in (-2, -1, 0, 1, 2)]
    return _distinct(_search(window, COARSE, coats, steps), count)


def middle(window: Window, guesses: list[Guess], count: int = 10) -> list[Guess]:
    """The same at the middle level, around what `coarse` found."""
    found: list[Guess] = []
    groups: dict[tuple[str, int], list[int]] = {}
    for guess in guesses:
        groups.setdefault((guess.coat, guess.dx), []).append(_INDEX[guess.shape])
    for (coat, dx), indices in groups.items():
        chosen = [(COLOR_NAMES.index(coat), np.array(indices))]
        base = dx // MIDDLE
        steps = [(base + k, 0) for k in (-1, 0, 1) if abs(base + k) <= M // MIDDLE]
        found += _search(window, MIDDLE, chosen, steps)
    found.sort(key=lambda g: -g.gain)
    return _distinct(found, count)
