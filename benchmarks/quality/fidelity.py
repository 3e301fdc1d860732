"""How alike two pictures are, pixel by pixel."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_DB = 100.0


def psnr(first: NDArray[Any], second: NDArray[Any]) -> float:
    """In dB, over all channels of two pictures of one size, values 0 to 255; at most `MOST_DB`."""
    error = float(np.mean((first.astype(np.float64) - second) ** 2))
    most = 255.0**2
    return min(MOST_DB, 10 * float(np.log10(most / error))) if error else MOST_DB


def premultiplied(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """RGB as it weighs in the picture: [H, W, 3] of straight RGBA, values 0 to 255."""
    return pixels[..., :3] * (pixels[..., 3:] / 255.0)
