"""All figures of a picture: how many, where, and what each of them is.

Every number of figures fixes heights and slots (`scene.layout`), so numbers are hypotheses that
are compared by how much of the picture they explain. Figures hide one another: a second pass
takes the neighbours found in the first into account. It knows no backdrops and no props, only the
picture without figures (`behind`) and where props hide figures (`seen`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from training.storyworld.reader.coats import Pattern, measured_coat, read_pattern
from training.storyworld.reader.figures import COARSE, Guess, M, Window, coarse, cut, middle
from training.storyworld.reader.fit import Fit, fine, score
from training.storyworld.reader.ground import STAND_IN
from training.storyworld.reader.templates import (
    COLUMNS,
    HEIGHT,
    ROWS,
    Floats,
    bank,
    pool,
)
from training.storyworld.scene import MAX_CHARACTERS, Layout, Placed, Scene, layout, slots

Bytes = NDArray[np.uint8]
SLOTS = ("kind", "color", "action", "facing")


@dataclass(frozen=True)
class View:
    """What the search for figures sees, all in pixels of the picture."""

    image: Bytes
    behind: Bytes
    seen: Bytes
    style: str
    sticker: bool

    @property
    def size(self) -> tuple[int, int]:
        return self.image.shape[1], self.image.shape[0]

    def window(self, placed: Placed) -> Window:
        seen = cut(np.repeat(self.seen[..., None], 3, -1), placed)[..., 0]
        return Window(
            cut(self.image, placed), cut(self.behind, placed),
            (seen > 127).astype(np.float32), self.style, self.sticker,
        )  # fmt: skip


@dataclass
class Found:
    """A figure being read: its slot, window, ranked guesses and, once fitted, its numbers."""

    placed: Placed
    window: Window
    guesses: list[Guess]
    pattern: Pattern | None = None
    coat: Floats = field(default_factory=lambda: np.zeros(3, np.float32))
    margins: dict[str, float] = field(default_factory=dict)
    residual: float = 0.0
    explained: float = 0.0
    sharpness: float = 0.0
    features: float = 0.0
    worn_margin: float = 0.0

    @property
    def best(self) -> Guess:
        return self.guesses[0]

    @property
    def x(self) -> float:
        """The figure's centre in pixels."""
        return self.placed.x + self.best.dx * self.placed.height / HEIGHT


def places(size: tuple[int, int], sticker: bool, count: int) -> Layout:
    """The slots of `count` figures."""
    figures = tuple(replace(STAND_IN, x=x) for x in slots(count))
    return layout(Scene(figures, size=size, sticker=sticker))


def _silhouette_gain(window: Window) -> float:
    """The gain of the best silhouette, regardless of colours, in canonical pixels."""
    difference = np.minimum(np.abs(window.image - window.behind).mean(-1), 30) / 30
    votes = pool((2 * difference - 1) * window.seen, COARSE)
    alpha = bank(window.style, window.sticker, COARSE).alpha[..., 0]
    rows, columns, margin = ROWS // COARSE, COLUMNS // COARSE, M // COARSE
    shifts = [votes[margin : margin + rows, margin + dx : margin + dx + columns].reshape(-1)
              for dx in (-1, 0, 1)]  # fmt: skip
    return float((alpha @ np.stack(shifts, -1)).max()) * COARSE**2


def count_figures(view: View) -> tuple[int, list[Found]]:
    """The layout's number of slots, and the slots that are not empty with coarse guesses."""
    options: dict[int, list[tuple[Placed, Window]]] = {}
    outlines: dict[int, float] = {}
    for count in range(1, MAX_CHARACTERS + 1):
        stands = places(view.size, view.sticker, count).characters
        options[count] = [(p, view.window(p)) for p in stands]
        area = (stands[0].height / HEIGHT) ** 2
        outlines[count] = area * sum(max(_silhouette_gain(w), 0) for _, w in options[count])
    limit = 0.72 * max(outlines.values())
    best: tuple[float, int, list[Found]] = (0.0, 1, [])
    for count, total in outlines.items():
        if total <= max(limit, 0):
            continue
        found = [Found(p, w, coarse(w)) for p, w in options[count]]
        found = [f for f in found if f.guesses and f.best.gain > 0]
        area = (options[count][0][0].height / HEIGHT) ** 2
        gain = area * sum(f.best.gain for f in found)
        if gain > best[0]:
            best = (gain, count, found)
    return best[1], best[2]


def _shifted(plane: Floats, dx: int, dy: int, shape: tuple[int, ...]) -> Floats:
    """A template's plane laid into a window at a displacement (columns may fall outside)."""
    out = np.zeros((*shape[:2], *plane.shape[2:]), np.float32)
    top, left = M + dy, M + dx
    x0, x1 = max(left, 0), min(left + plane.shape[1], shape[1])
    y0, y1 = max(top, 0), min(top + plane.shape[0], shape[0])
    if x1 > x0 and y1 > y0:
        out[y0:y1, x0:x1] = plane[y0 - top : y1 - top, x0 - left : x1 - left]
    return out


def fit_of(found: Found, guess: Guess | None = None) -> Fit:
    guess = guess or found.best
    fit = Fit(found.window, guess.shape, guess.coat, guess.dx, guess.dy)
    fit.wear(guess.worn_color)
    return fit


def _with_neighbours(found: Found, others: list[Found]) -> Found:
    """The same figure in a window that shows those behind it and is blind for those before it."""
    window = found.window
    behind, seen = window.behind, window.seen
    changed = False
    for other in others:
        if other is found:
            continue
        offset = (other.placed.x - found.placed.x) / found.placed.height * HEIGHT
        dx, dy = round(offset) + other.best.dx, other.best.dy
        if abs(dx - found.best.dx) > COLUMNS:
            continue
        fit = fit_of(other)
        alpha = _shifted(fit.maps.alpha, dx, dy, seen.shape)
        if not alpha.any():
            continue
        changed = True
        if other.placed.x > found.placed.x:
            seen = seen * (alpha < 0.3)
        else:
            color = _shifted(fit.premultiplied(), dx, dy, seen.shape)
            behind = color + (1 - alpha)[..., None] * behind
    if not changed:
        return found
    return replace(found, window=replace(window, behind=behind, seen=seen))


def fit_figures(view: View, counted: list[Found]) -> list[Found]:
    """Every counted figure, left to right, fitted in `view` and judged."""
    found = [replace(f, window=view.window(f.placed)) for f in counted]
    for figure in found:
        figure.guesses = fine(figure.window, middle(figure.window, figure.guesses))
    if len(found) > 1:
        found = [_with_neighbours(f, found) for f in found]
        for figure in found:
            figure.guesses = fine(figure.window, _unworn(figure.guesses), keep=2)
    for figure in found:
        judge(figure)
    return sorted(found, key=lambda f: f.x)


def _unworn(guesses: list[Guess], count: int = 6) -> list[Guess]:
    """The best distinct guesses, accessories taken off."""
    seen: dict[tuple[str, str, str, str], Guess] = {}
    for g in guesses:
        key = (g.shape.kind, g.shape.action, g.shape.facing, g.coat)
        seen.setdefault(key, replace(g, shape=replace(g.shape, worn=""), worn_color=""))
        if len(seen) == count:
            break
    return list(seen.values())


def judge(found: Found) -> None:
    """Fills in the markings, the residual and how far every slot is from its best rival."""
    best = found.best
    fit = fit_of(found)
    found.pattern = read_pattern(fit)
    found.coat = measured_coat(fit)
    cost, plain, blurred, area = fit.costs()
    found.residual = cost / max(area, 1.0)
    found.explained = 1 - cost / max(plain, 1e-6)
    found.sharpness = blurred / max(cost, 1e-6) - 1
    found.features = fit.features()
    scale = max(plain, 1e-6)
    same = best.gain
    rivals: dict[str, float] = {}
    for guess in found.guesses:
        values = (guess.shape.kind, guess.coat, guess.shape.action, guess.shape.facing)
        own = (best.shape.kind, best.coat, best.shape.action, best.shape.facing)
        if values == own:
            continue
        shape = replace(guess.shape, worn=best.shape.worn)
        dressed = score(found.window, shape, guess.coat, guess.dx, guess.dy)
        gain = max(dressed.gain, guess.gain)
        for slot, value, mine in zip(SLOTS, values, own, strict=True):
            if value != mine:
                rivals[slot] = max(rivals.get(slot, -np.inf), gain)
    found.margins = {s: (same - rivals[s]) / scale if s in rivals else 1.0 for s in SLOTS}
    bare = [
        g.gain for g in found.guesses
        if replace(g.shape, worn="") == replace(best.shape, worn="") and g.coat == best.coat
        and g.shape.worn != best.shape.worn
    ]  # fmt: skip
    found.worn_margin = (best.gain - max(bare)) / scale if bare else 0.0
