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
from dataclasses import dataclass, replace

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
    Maps,
    Shape,
    bank,
    maps,
    pool,
)
from training.storyworld.scene import ACCESSORIES, Placed

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


def shape_maps(window: Window, shape: Shape, coat: str) -> Maps:
    return maps(shape, window.style, window.sticker, coat == "white")


def smooth(plane: Floats, reach: int = 2) -> Floats:
    """Two box blurs along both axes."""
    for axis in (0, 1):
        for _ in range(2):
            parts = [np.roll(plane, k, axis) for k in range(-reach, reach + 1)]
            plane = np.mean(parts, axis=0, dtype=np.float32)
    return plane


class Fit:
    """One shape, coat and place in full resolution: its model of the window, colours fitted."""

    def __init__(self, window: Window, shape: Shape, coat: str, dx: int, dy: int) -> None:
        self.window, self.shape, self.coat, self.dx, self.dy = window, shape, coat, dx, dy
        self.image, self.behind, self.seen = window.at(dx, dy)
        self.maps = m = shape_maps(window, shape, coat)
        self.coat_value = COLOR_VALUES[COLOR_NAMES.index(coat)]
        self.base = m.fixed + m.coat[..., None] * self.coat_value + (1 - m.alpha)[..., None] * self.behind
        self.mark = self._color(m.mark, self.image - self.base)
        self.model = self.base + m.mark[..., None] * (128.0 if self.mark is None else self.mark)
        self._worn = ""
        self.cap = CAP * (1 - 0.7 * np.minimum(m.torso + (0 if self.mark is not None else m.mark), 1))

    def _color(self, weight: Floats, rest: Floats) -> Floats | None:
        """The colour that explains `rest` where `weight` is high; None where that is nowhere."""
        where = (weight > 0.6) & (self.seen > 0.5)
        if where.sum() < 4:
            return None
        values = rest[where] / weight[where][:, None]
        return np.clip(np.median(values, axis=0), 0, 255).astype(np.float32)

    def gain_with(self, worn: Floats | None) -> float:
        model = self.model
        if worn is not None:
            model = model + self.maps.worn[..., None] * worn
        cost = np.minimum(np.abs(model - self.image), self.cap[..., None]).mean(-1)
        without = np.minimum(np.abs(self.behind - self.image), CAP).mean(-1)
        return float(((without - cost) * self.seen).sum())

    @property
    def worn_value(self) -> Floats | None:
        return COLOR_VALUES[COLOR_NAMES.index(self._worn)] if self._worn else None

    def wear(self, color: str) -> None:
        """Settles the accessory's colour, "" where the shape wears nothing."""
        self._worn = color if self.shape.worn else ""

    def premultiplied(self) -> Floats:
        """The figure alone, without its markings."""
        out = self.model - (1 - self.maps.alpha)[..., None] * self.behind
        worn = self.worn_value
        return out if worn is None else out + self.maps.worn[..., None] * worn

    def costs(self) -> tuple[float, float, float, float]:
        """Over the figure's own pixels: the cost of this model, of nothing standing there, of a
        blurred model, and the number of pixels. Where markings may show, nothing is counted."""
        weight = self.seen * (self.maps.alpha > 0.5) * (self.maps.torso < 0.1)
        color = self.premultiplied()
        blurred = smooth(color) + (1 - smooth(self.maps.alpha))[..., None] * self.behind
        sharp = color + (1 - self.maps.alpha)[..., None] * self.behind

        def cost(model: Floats) -> float:
            return float((np.minimum(np.abs(model - self.image), CAP).mean(-1) * weight).sum())

        return cost(sharp), cost(self.behind), cost(blurred), float(weight.sum())

    def guess(self) -> Guess:
        """The best guess for this shape, choosing the accessory's colour."""
        made = Guess(self.shape, self.coat, self.dx, self.dy, 0.0)
        if not self.shape.worn:
            return replace(made, gain=self.gain_with(None))
        color = self._color(self.maps.worn, self.image - self.model)
        if color is None:
            return replace(made, gain=-1e9)
        order = np.argsort(((COLOR_VALUES - color) ** 2).sum(-1))[:2]
        scored = [(self.gain_with(COLOR_VALUES[i]), COLOR_NAMES[int(i)]) for i in order]
        gain, name = max(scored)
        return replace(made, gain=gain, worn_color=name)


def fine(window: Window, guesses: list[Guess], keep: int = 3) -> list[Guess]:
    """Full resolution: place first, then accessories for the best, then place again."""
    tried = [Fit(window, g.shape, g.coat, g.dx, g.dy).guess() for g in guesses]
    tried.sort(key=lambda g: -g.gain)
    placed = sorted((_settle(window, g) for g in tried[:keep]), key=lambda g: -g.gain)
    found: list[Guess] = []
    for guess in placed:
        found.append(guess)
        for worn in ACCESSORIES:
            shape = replace(guess.shape, worn=worn)
            found.append(Fit(window, shape, guess.coat, guess.dx, guess.dy).guess())
    found.sort(key=lambda g: -g.gain)
    head = [_settle(window, guess) for guess in found[:2]]
    return sorted([*head, *tried[keep:], *found[2:]], key=lambda g: -g.gain)


def _settle(window: Window, guess: Guess) -> Guess:
    """Climbs to the best displacement."""
    best = Fit(window, guess.shape, guess.coat, guess.dx, guess.dy).guess()
    for _ in range(3):
        start = best
        for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1)):
            x, y = start.dx + dx, start.dy + dy
            if max(abs(x), abs(y)) > M:
                continue
            tried = Fit(window, guess.shape, guess.coat, x, y).guess()
            best = max(best, tried, key=lambda g: g.gain)
        if best is start:
            break
    return best
