"""Reading a poster: its few flat colours, how much of the backdrop each covers, and the place.

Colours come from the picture, shares from drawing the poster again and correcting them until
drawn and seen areas agree where no figure stands. It knows no figures; what matches no colour of
the poster is taken to be one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.storyworld.backdrops.poster import _shines
from training.storyworld.reader.ground import CLOSE, EDGE, STAND_IN, shrink, small_backdrop
from training.storyworld.reader.templates import Floats
from training.storyworld.scene import PLACES, Scene, Swatch

SAME = 20.0
MOST = 5
SMALLEST = 0.015


@dataclass(frozen=True)
class Poster:
    """`explained` is the share of the picture that the poster's drawing matches."""

    place: str
    palette: tuple[Swatch, ...]
    explained: float
    margin: float


def _hex(color: Floats) -> str:
    return "#" + "".join(f"{min(max(round(float(c)), 0), 255):02X}" for c in color)


def flat_colors(small: NDArray[np.uint8]) -> list[Floats]:
    """The most frequent colours, largest first."""
    pixels = small.reshape(-1, 3).astype(np.float32)
    left = np.ones(len(pixels), bool)
    found: list[Floats] = []
    for _ in range(3 * MOST):
        if left.mean() < SMALLEST:
            break
        bins = (pixels[left] // 16).astype(int)
        keys = bins[:, 0] * 256 + bins[:, 1] * 16 + bins[:, 2]
        values, counts = np.unique(keys, return_counts=True)
        top = pixels[left][keys == values[np.argmax(counts)]].mean(0)
        near = left & (np.abs(pixels - top).max(-1) < SAME)
        if near.mean() < SMALLEST:
            break
        found.append(np.median(pixels[near], axis=0).astype(np.float32))
        left &= ~near
    return found


def _labels(small: NDArray[np.uint8], colors: Floats) -> NDArray[np.intp]:
    """The index of each pixel's colour, -1 where none is near."""
    distance = np.abs(small.reshape(-1, 1, 3).astype(np.float32) - colors).max(-1)
    return np.where(distance.min(-1) < SAME, distance.argmin(-1), -1).reshape(small.shape[:2])


def _scene(place: str, colors: list[Floats], shares: Floats, size: tuple[int, int]) -> Scene:
    swatches = tuple(
        Swatch(_hex(c), max(float(s), 1e-3)) for c, s in zip(colors, shares, strict=True)
    )
    return Scene((STAND_IN,), place, palette=swatches, size=size)


def _match(small: NDArray[np.uint8], drawn: NDArray[np.uint8]) -> float:
    """The share of pixels that a drawing gets right."""
    difference = np.abs(small.astype(np.int16) - drawn).mean(-1)
    return float((difference < CLOSE).mean())


def _filled(seen: NDArray[np.intp]) -> NDArray[np.intp]:
    """Labels with the unknown pixels of each row taken from the nearest known one."""
    columns = np.arange(seen.shape[1])
    out = seen.copy()
    for row, labels in enumerate(seen):
        known = columns[labels >= 0]
        if len(known):
            nearest = np.abs(columns[:, None] - known).argmin(1)
            out[row] = labels[known[nearest]]
    return out


def _sun(seen: NDArray[np.intp], layers: list[int], count: int) -> int | None:
    """Which colour is a disc with nothing but layers around it, if one is."""
    for k in range(count):
        rows, columns = np.nonzero(seen == k)
        if k in layers or len(rows) < 12:
            continue
        rows, columns = _inner(rows), _inner(columns)
        tall, wide = np.ptp(rows) + 1, np.ptp(columns) + 1
        round_ = max(tall, wide) < 1.5 * min(tall, wide)
        if not round_ or not 0.5 < (seen == k).sum() / (tall * wide) < 1.05:
            continue
        top, left = max(rows.min() - 2, 0), max(columns.min() - 2, 0)
        around = seen[top : rows.max() + 3, left : columns.max() + 3]
        if np.isin(around[around != k], layers).mean() > 0.6:
            return k
    return None


def _inner(values: NDArray[np.intp]) -> NDArray[np.intp]:
    """Without the outermost four percent at either end: stray pixels of other things."""
    low, high = np.percentile(values, (4, 96))
    return values[(values >= low) & (values <= high)]


def _bounded(shares: Floats, colors: list[Floats], sun: int | None) -> Floats:
    """Shares that make the art draw `sun`, and only it, as a sun."""
    out = shares / shares.sum()
    if sun is not None:
        out[sun] = min(out[sun], 0.12)
    elif len(colors) > 2:
        for k in range(1, len(colors)):
            if _shines(_hex(colors[k])):
                out[k] = max(out[k], 0.126)
    return out


def _improved(
    small: NDArray[np.uint8], seen: NDArray[np.intp], place: str, colors: list[Floats],
    shares: Floats, size: tuple[int, int], rounds: int, sun: int | None,
) -> tuple[float, Floats]:  # fmt: skip
    """The best match, and the shares that give it."""
    stack = np.stack(colors)
    there = seen >= 0
    want = np.bincount(seen[there], minlength=len(colors)).astype(np.float32)
    best = (-1.0, shares)
    for _ in range(rounds + 1):
        shares = _bounded(shares, colors, sun)
        drawn = small_backdrop(_scene(place, colors, shares, size))
        best = max(best, (_match(small, drawn), shares), key=lambda b: b[0])
        labels = _labels(drawn, stack)[there]
        have = np.bincount(labels[labels >= 0], minlength=len(colors)).astype(np.float32)
        shares = shares * np.clip((want + 1) / (have + 1), 0.7, 1.4)
    return best


def find_poster(image: NDArray[np.uint8]) -> Poster | None:
    """The poster behind a picture [H, W, 3], or None where no two flat colours fill it."""
    size = (image.shape[1], image.shape[0])
    scale = EDGE / min(size)
    small = shrink(image, max(round(size[1] * scale), 1), max(round(size[0] * scale), 1))
    colors = flat_colors(small)
    if len(colors) < 2:
        return None
    top = _labels(small[:2], np.stack(colors)).reshape(-1)
    sky = int(np.bincount(top[top >= 0], minlength=len(colors)).argmax())
    seen = _labels(small, np.stack(colors))
    sides = [np.bincount(e[e >= 0], minlength=len(colors)) for e in (seen[:, :2], seen[:, -2:])]
    layers = [k for k in range(len(colors)) if k == sky or min(s[k] for s in sides) >= 2]
    rows = np.arange(small.shape[0])[:, None]
    height = {k: float((rows * (seen == k)).sum() / max((seen == k).sum(), 1)) for k in layers}
    order = [sky, *sorted((k for k in layers if k != sky), key=lambda k: height[k])][:MOST]
    sun = _sun(seen, order, len(colors))
    if len(order) + (sun is not None) < 2:
        return None
    disc = None if sun is None else colors[sun]
    best = _best(small, [colors[k] for k in order], disc, size, 3)
    for drop in range(1, len(order)):
        if len(order) < 3:
            break
        fewer = [colors[k] for i, k in enumerate(order) if i != drop]
        tried = _best(small, fewer, disc, size, 2)
        if tried[0] > best[0] + 0.01:
            best = tried
    explained, place, chosen, shares, margin = best
    swatches = _scene(place, chosen, shares, size).palette
    return Poster(place, swatches, explained, margin)


def _best(
    small: NDArray[np.uint8], colors: list[Floats], disc: Floats | None, size: tuple[int, int],
    rounds: int,
) -> tuple[float, str, list[Floats], Floats, float]:  # fmt: skip
    """Match, place, colours, shares, and the margin to the next best place."""
    sun = None
    if disc is not None:
        colors, sun = [*colors, disc], len(colors)
    seen = _labels(small, np.stack(colors))
    filled = _filled(seen)
    counts = np.bincount(filled[filled >= 0], minlength=len(colors)).astype(np.float32) + 1
    start = counts / counts.sum()
    tried = [
        (*_improved(small, seen, place, colors, start, size, rounds, sun), place)
        for place in PLACES
    ]
    tried.sort(key=lambda t: -t[0])
    margin = tried[0][0] - tried[1][0] if len(tried) > 1 else 0.0
    return tried[0][0], tried[0][2], colors, tried[0][1], margin
