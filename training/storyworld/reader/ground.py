"""Which backdrop a picture has: all known ones are drawn small and compared.

Every pixel's difference is capped, so figures in front cost all backdrops about the same. It knows
places, times, weathers and styles, not posters (see `poster`) and not what stands in front.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.storyworld.backdrops import draw_backdrop
from training.storyworld.canvas import surface
from training.storyworld.reader.templates import Floats, pool
from training.storyworld.scene import (
    PLACES,
    STYLES,
    TIMES,
    WEATHERS,
    Accessory,
    Character,
    Markings,
    Scene,
)

EDGE = 64
CAP = 45
CLOSE = 14.0
STAND_IN = Character("fox", "red", Markings("bib", 0.0, 0.0, 0.0), Accessory("hat", "blue"))
SETTINGS = tuple(product(PLACES, TIMES, WEATHERS, STYLES))
SLOTS = ("place", "time", "weather", "style")


@dataclass(frozen=True)
class Ground:
    """The best backdrop: a value and a margin per slot, and how much of the picture it explains.

    A margin is by how much (relative to the cost) the best backdrop with another value is worse.
    """

    values: dict[str, str]
    margins: dict[str, float]
    explained: float


def small_backdrop(scene: Scene, edge: int = EDGE) -> NDArray[np.uint8]:
    """The backdrop with its shorter side about `edge` pixels long, [h, w, 3]."""
    width, height = scene.size
    scale = edge / min(width, height)
    with surface(max(round(width * scale), 1), max(round(height * scale), 1)) as (canvas, pixels):
        canvas.scale(pixels.shape[1] / width, pixels.shape[0] / height)
        draw_backdrop(canvas, scene)
    return pixels[..., :3]


@lru_cache(maxsize=6)
def _bank(size: tuple[int, int]) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """All backdrops at `EDGE`, and at half of it, [480, h, w, 3]."""
    pictures = []
    for place, time, weather, style in SETTINGS:
        scene = Scene((STAND_IN,), place, time, weather, style, size=size)
        pictures.append(small_backdrop(scene))
    fine = np.stack(pictures)
    even = fine[:, : fine.shape[1] // 2 * 2, : fine.shape[2] // 2 * 2]
    height, width = even.shape[1] // 2, even.shape[2] // 2
    coarse = even.reshape(-1, height, 2, width, 2, 3).mean((2, 4), dtype=np.float32)
    return fine.astype(np.int16), coarse.astype(np.int16)


def _costs(bank: NDArray[np.int16], image: NDArray[np.int16]) -> Floats:
    difference = np.abs(bank - image)
    np.minimum(difference, CAP, out=difference)
    return difference.mean((1, 2, 3), dtype=np.float32)


def shrink(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Area-averaged to [height, width, 3]."""
    small = Image.fromarray(image[..., :3]).resize((width, height), Image.Resampling.BOX)
    return np.asarray(small)


def find_ground(image: NDArray[np.uint8]) -> Ground:
    """The backdrop of a picture [H, W, 4]."""
    size = (image.shape[1], image.shape[0])
    fine, coarse = _bank(size)
    small = shrink(image, *fine.shape[1:3])
    even = small[: coarse.shape[1] * 2, : coarse.shape[2] * 2]
    costs = _costs(coarse, pool(even.astype(np.float32), 2).astype(np.int16))
    order = np.argsort(costs)
    shortlist = {int(i) for i in order[:24]}
    for slot in range(4):
        best = SETTINGS[int(order[0])][slot]
        rivals = [int(i) for i in order if SETTINGS[int(i)][slot] != best]
        shortlist.update(rivals[:2])
    chosen = sorted(shortlist)
    exact = _costs(fine[chosen], small.astype(np.int16))
    winner = int(np.argmin(exact))
    setting = SETTINGS[chosen[winner]]
    margins = {}
    for k, slot in enumerate(SLOTS):
        rival = min(
            float(c) for c, i in zip(exact, chosen, strict=True) if SETTINGS[i][k] != setting[k]
        )
        margins[slot] = rival / max(float(exact[winner]), 1e-6) - 1
    difference = np.abs(fine[chosen[winner]] - small.astype(np.int16)).mean(-1)
    explained = float((difference < CLOSE).mean())
    return Ground(dict(zip(SLOTS, setting, strict=True)), margins, explained)
