"""Reading a poster: its few flat colours, how much of the backdrop each covers, and the place.

Colours come from the picture, shares from drawing the poster again and correcting them until
drawn and seen areas agree where no figure stands. It knows no figures; what matches no colour of
the poster is taken to be one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.storyworld.reader.ground import CLOSE, EDGE, STAND_IN, shrink, small_backdrop
from training.storyworld.reader.templates import Floats
from training.storyworld.scene import PLACES, Scene, Swatch

SAME = 20.0
MOST = 5
SMALLEST = 0.025


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
    for _ in range(2 * MOST):
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


def _improved(
    small: NDArray[np.uint8], seen: NDArray[np.intp], place: str, colors: list[Floats],
    shares: Floats, size: tuple[int, int], rounds: int,
) -> tuple[float, Floats]:  # fmt: skip
    """The best match, and the shares that give it."""
    stack = np.stack(colors)
    best = (-1.0, shares)
    for _ in range(rounds + 1):
        drawn = small_backdrop(_scene(place, colors, shares, size))
        best = max(best, (_match(small, drawn), shares), key=lambda b: b[0])
        there = seen >= 0
        want = np.bincount(seen[there], minlength=len(colors)).astype(np.float32)
        labels = _labels(drawn, stack)[there]
        have = np.bincount(labels[labels >= 0], minlength=len(colors)).astype(np.float32)
        shares = shares * np.clip((want + 1) / (have + 1), 0.5, 2.0)
        shares = shares / shares.sum()
    return best


def find_poster(image: NDArray[np.uint8]) -> Poster | None:
    """The poster behind a picture [H, W, 3], or None where no two flat colours fill it."""
    size = (image.shape[1], image.shape[0])
    scale = EDGE / min(size)
    small = shrink(image, max(round(size[1] * scale), 1), max(round(size[0] * scale), 1))
    colors = flat_colors(small)
    if len(colors) < 2:
        return None
    rim = max(small.shape[1] // 8, 1)
    top = _labels(small[:2], np.stack(colors)).reshape(-1)
    sky = int(np.bincount(top[top >= 0], minlength=len(colors)).argmax())
    sides = _labels(np.concatenate([small[:, :rim], small[:, -rim:]], 1), np.stack(colors))
    ground = _labels(small, np.stack(colors))
    kept = [k for k in range(len(colors)) if k == sky or (sides == k).mean() > 0.02
            or (ground == k).mean() > 0.10]  # fmt: skip
    rows = np.arange(small.shape[0])[:, None]
    height = {k: float((rows * (ground == k)).sum() / max((ground == k).sum(), 1)) for k in kept}
    order = [sky, *sorted((k for k in kept if k != sky), key=lambda k: height[k])][: MOST + 1]
    best = _best(small, [colors[k] for k in order], size, PLACES, 2)
    improving = True
    while improving and len(best[2]) > 2:
        improving = False
        for drop in range(1, len(best[2])):
            fewer = [c for k, c in enumerate(best[2]) if k != drop]
            tried = _best(small, fewer, size, (best[1],), 3)
            if tried[0] >= best[0] - 0.004:
                best, improving = (*tried[:4], best[4]), True
                break
    explained, place, chosen, shares, margin = best
    final = _best(small, chosen, size, PLACES, 5)
    if final[0] >= explained:
        explained, place, chosen, shares, margin = final
    swatches = _scene(place, chosen, shares, size).palette
    return Poster(place, swatches, explained, margin)


def _best(
    small: NDArray[np.uint8], colors: list[Floats], size: tuple[int, int],
    places: tuple[str, ...], rounds: int,
) -> tuple[float, str, list[Floats], Floats, float]:  # fmt: skip
    """Match, place, colours, shares, and the margin to the next best place."""
    seen = _labels(small, np.stack(colors))
    counts = np.bincount(seen[seen >= 0], minlength=len(colors)).astype(np.float32) + 1
    start = counts / counts.sum()
    tried = [
        (*_improved(small, seen, place, colors, start, size, rounds), place) for place in places
    ]
    tried.sort(key=lambda t: -t[0])
    margin = tried[0][0] - tried[1][0] if len(tried) > 1 else 0.0
    return tried[0][0], tried[0][2], colors, tried[0][1], margin
