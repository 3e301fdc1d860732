"""One figure in full resolution: what a shape, coat and place explain, colours fitted.

`score` is the fast form, over the figure's own pixels only, and drives the search; `Fit` is the
full model of the window, for judging the winner. Markings' and accessory's colours are medians of
what they must explain; the accessory's is then rounded to a named colour.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from training.storyworld.reader.figures import CAP, Guess, M, Window
from training.storyworld.reader.templates import (
    COLOR_NAMES,
    COLOR_VALUES,
    COLUMNS,
    Floats,
    Shape,
    maps,
)
from training.storyworld.scene import ACCESSORIES

STRIDE = COLUMNS + 2 * M
SOFT, SMEARED = 1, 3


@dataclass(frozen=True)
class Sparse:
    """The pixels of one figure; `index` points into a flat window for displacement (0, 0)."""

    index: NDArray[np.intp]
    body: Floats
    clear: Floats
    mark: Floats
    worn: Floats
    marked: NDArray[np.intp]
    dressed: NDArray[np.intp]
    cap: Floats


@lru_cache(maxsize=1500)
def sparse(shape: Shape, coat: str, style: str, sticker: bool) -> Sparse:
    m = maps(shape, style, sticker, coat == "white")
    rows, columns = np.nonzero(m.alpha > 0.02)
    value = COLOR_VALUES[COLOR_NAMES.index(coat)]
    mark, worn = m.mark[rows, columns], m.worn[rows, columns]
    body = m.fixed[rows, columns] + m.coat[rows, columns][:, None] * value
    marked = np.nonzero(mark > 0.6)[0]
    unsure = m.torso[rows, columns]
    if len(marked) < 4:
        unsure = unsure + mark
        body = body + mark[:, None] * 128.0
    cap = CAP * (1 - 0.7 * np.minimum(unsure, 1))
    return Sparse(
        (rows + M) * STRIDE + columns + M, body, (1 - m.alpha[rows, columns])[:, None],
        mark[:, None], worn[:, None], marked, np.nonzero(worn > 0.6)[0],
        np.repeat(cap[:, None], 3, 1),
    )  # fmt: skip


def _middle_color(rest: Floats, weight: Floats, seen: Floats) -> Floats | None:
    """The colour that explains `rest` at these `weight`s; None where too little is seen."""
    where = seen > 0.5
    if where.sum() < 4:
        return None
    values = np.sort(rest[where] / weight[where], axis=0)
    return np.clip(values[len(values) // 2], 0, 255)


def score(window: Window, shape: Shape, coat: str, dx: int, dy: int) -> Guess:
    """The guess with its gain, choosing the accessory's colour."""
    figure = sparse(shape, coat, window.style, window.sticker)
    image, behind, seen, empty = window.flat
    index = figure.index + (dy * STRIDE + dx)
    visible = seen[index]
    rest = figure.body + figure.clear * behind[index] - image[index]
    weights = np.repeat(visible / 3, 3)
    without = float(empty[index].sum())
    if len(figure.marked) >= 4:
        at = figure.marked
        color = _middle_color(-rest[at], figure.mark[at], visible[at])
        if color is not None:
            rest += figure.mark * color

    def gain(difference: Floats) -> float:
        np.abs(difference, out=difference)
        np.minimum(difference, figure.cap, out=difference)
        return without - float(difference.reshape(-1) @ weights)

    if not shape.worn:
        return Guess(shape, coat, dx, dy, gain(rest))
    at = figure.dressed
    color = _middle_color(-rest[at], figure.worn[at], visible[at])
    if color is None:
        return Guess(shape, coat, dx, dy, -1e9)
    nearest = np.argsort(((COLOR_VALUES - color) ** 2).sum(-1))[:2]
    tried = [(gain(rest + figure.worn * COLOR_VALUES[i]), int(i)) for i in nearest]
    best, name = max(tried)
    return Guess(shape, coat, dx, dy, best, COLOR_NAMES[name])


def fine(window: Window, guesses: list[Guess], keep: int = 3) -> list[Guess]:
    """Full resolution: place first, then accessories for the best, then place again."""
    tried = [score(window, g.shape, g.coat, g.dx, g.dy) for g in guesses]
    tried.sort(key=lambda g: -g.gain)
    if not tried:
        return []
    good = [g for g in tried[:keep] if g.gain > 0.7 * tried[0].gain] or tried[:1]
    placed = sorted((_settle(window, g) for g in good), key=lambda g: -g.gain)
    found: list[Guess] = []
    for guess in placed:
        found.append(guess)
        for worn in ACCESSORIES:
            shape = replace(guess.shape, worn=worn)
            found.append(score(window, shape, guess.coat, guess.dx, guess.dy))
    found.sort(key=lambda g: -g.gain)
    head = [_settle(window, guess) for guess in found[:2]]
    return sorted([*head, *tried[len(good) :], *found[2:]], key=lambda g: -g.gain)


def _settle(window: Window, guess: Guess) -> Guess:
    """Climbs to the best displacement."""
    best = guess
    known = {(guess.dx, guess.dy)}
    for _ in range(4):
        start = best
        for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1)):
            x, y = start.dx + dx, start.dy + dy
            if max(abs(x), abs(y)) > M or (x, y) in known:
                continue
            known.add((x, y))
            tried = score(window, guess.shape, guess.coat, x, y)
            best = max(best, tried, key=lambda g: g.gain)
        if best is start:
            break
    return best


def smooth(plane: Floats, reach: int) -> Floats:
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
        self.maps = m = maps(shape, window.style, window.sticker, coat == "white")
        self.coat_value = COLOR_VALUES[COLOR_NAMES.index(coat)]
        below = (1 - m.alpha)[..., None] * self.behind
        self.base = m.fixed + m.coat[..., None] * self.coat_value + below
        mark = self._color(m.mark, self.image - self.base)
        self.model = self.base + m.mark[..., None] * (128.0 if mark is None else mark)
        self._worn = ""

    def _color(self, weight: Floats, rest: Floats) -> Floats | None:
        """The colour that explains `rest` where `weight` is high; None where that is nowhere."""
        where = weight > 0.6
        return _middle_color(rest[where], weight[where][:, None], self.seen[where])

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
        """Over the figure's own pixels: the cost of this model (as drawn or a little soft, as the
        picture may be), of nothing standing there, of a smeared model, and the number of pixels.
        Where markings may show, nothing is counted."""
        weight = self.seen * (self.maps.alpha > 0.5) * (self.maps.torso < 0.1)
        color, alpha = self.premultiplied(), self.maps.alpha

        def cost(model: Floats) -> float:
            return float((np.minimum(np.abs(model - self.image), CAP).mean(-1) * weight).sum())

        def at(reach: int) -> float:
            figure = smooth(color, reach) if reach else color
            clear = 1 - (smooth(alpha, reach) if reach else alpha)
            return cost(figure + clear[..., None] * self.behind)

        own = min(at(0), at(SOFT))
        return own, cost(self.behind), at(SMEARED), float(weight.sum())

    def features(self) -> float:
        """How much better this model explains what is not coat, markings or accessory (eyes, nose,
        outlines) than one with the coat's colour there: 1 explains all of it, below 0 is worse."""
        m = self.maps
        share = np.clip(m.alpha - m.coat - m.mark - m.worn, 0, 1)
        weight = self.seen * (share > 0.5)
        plain = self.model - m.fixed + share[..., None] * self.coat_value
        own, without = (
            float((np.minimum(np.abs(model - self.image), CAP).mean(-1) * weight).sum())
            for model in (self.model, plain)
        )
        return 1 - own / max(without, 1.0)
