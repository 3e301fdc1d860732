"""The visualizer's loop: noise to latent in a few Euler steps, looking at the window.

Several pictures may be drawn in one pass (a series): their noise tokens stand one after another on
the t axis and see one another. The noise of a picture depends on the seed and the picture's index
alone, in a session the number of pictures before it, given ones counted.

| name | shape | dtype |
| --- | --- | --- |
| noise, latent of a picture | [1, T, Z] | float32 |
| times | [K + 1] | float, from 1 down to 0 |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from runtime.engines.base import Array, Engine
from runtime.grid import Grid
from runtime.noise import STREAM_IMAGE, normal
from runtime.positions import latent_positions

Latent = NDArray[np.float32]


def picture_noise(seed: int, index: int, grid: Grid, channels: int) -> Latent:
    """Standard normal noise of the session's picture `index`."""
    values = normal(seed, STREAM_IMAGE, index, grid.tokens * channels)
    return values.reshape(1, grid.tokens, channels)


def draw(
    engine: Engine,
    grids: Sequence[Grid],
    noise: Sequence[Latent],
    times: Sequence[float],
    window: Callable[[], Mapping[str, Array]],
    before_step: Callable[[], None] = lambda: None,
) -> list[Latent]:
    """Latents of one picture, or of a series drawn in one pass.

    `window` is asked for the window's K/V before every step, or once where the engine runs all
    steps as a chain; `before_step` may raise to stop.
    """
    positions = np.concatenate([latent_positions(grid, t) for t, grid in enumerate(grids)])
    latent: Array = np.concatenate(noise, axis=1)
    steps = [
        {"t": np.array([t], np.float32), "t_next": np.array([t_next], np.float32)}
        for t, t_next in pairwise(times)
    ]
    if engine.chains:
        inputs = {"latent": latent, "positions": positions, **window()}
        latent = engine.chain(inputs, ("latent", "next"), steps, before_step)
    else:
        for step in steps:
            before_step()
            inputs = {"latent": latent, "positions": positions, **step, **window()}
            latent = engine.run(inputs)["next"]
    ends = np.cumsum([grid.tokens for grid in grids])[:-1]
    return [np.ascontiguousarray(part) for part in np.split(latent, ends, axis=1)]
