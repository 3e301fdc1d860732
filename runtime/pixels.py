"""Between latents and pixels: the VAE's two engines.

| name | shape | dtype | meaning |
| --- | --- | --- | --- |
| latent (tokens) | [1, T, Z] | float32 | row-major tokens, as the visualizer has them |
| latent (grid) | [1, Z, h, w] | float32 | as the VAE has them |
| pixels | [16h, 16w, 4] | uint8 | straight RGBA |
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runtime.engines.base import Engine
from runtime.grid import Grid


def decode(engine: Engine, latent: NDArray[np.float32], grid: Grid) -> NDArray[np.uint8]:
    """Pixels of latent tokens [1, T, Z]."""
    planes = latent.transpose(0, 2, 1).reshape(1, latent.shape[2], grid.rows, grid.columns)
    image: NDArray[np.uint8] = engine.run({"latent": np.ascontiguousarray(planes)})["image"]
    return image


def encode(engine: Engine, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Latent tokens [1, T, Z] of pixels."""
    planes = engine.run({"image": pixels})["latent"]
    tokens = planes.reshape(1, planes.shape[1], -1).transpose(0, 2, 1)
    return np.ascontiguousarray(tokens, np.float32)
