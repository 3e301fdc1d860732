"""Positions (t, h, w) of tokens and the shifts that bring cached keys into a window.

| function | shape | dtype | meaning |
| --- | --- | --- | --- |
| `text_positions(start, n)` | [n, 3] | float32 | t = h = w = start, start + 1, … |
| `vision_positions(grid, start)` | [v, 3] | float32 | a picture's ViT tokens in the planner |
| `latent_positions(grid, t)` | [T, 3] | float32 | a picture's latent tokens in the visualizer |

Latent tokens are one apart in every grid, so what a model learns of neighbours holds for all
shapes. Keys are stored rotated by their position; adding a shift to the position is a further
rotation (`runtime.window`), done by the window graph.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runtime.grid import Grid
from runtime.interfaces import ImageGeometry


def picture_extent(grid: Grid) -> int:
    """How far a picture moves the text position on."""
    return max(grid.rows, grid.columns)


def text_positions(start: int, count: int) -> NDArray[np.float32]:
    """Text tokens from position `start` on: (t, h, w) alike, float32 [count, 3]."""
    line = np.arange(start, start + count, dtype=np.float32)
    return np.repeat(line[:, None], 3, axis=1)


def vision_positions(grid: Grid, start: int, image: ImageGeometry) -> NDArray[np.float32]:
    """ViT tokens of a picture that begins at `start`, row by row: float32 [n, 3]."""
    rows, columns = grid.vision(image)
    return (_cells(rows, columns, image.vision_cell) + start).astype(np.float32)


def latent_positions(grid: Grid, t: int = 0) -> NDArray[np.float32]:
    """Latent tokens of a picture at `t`, one apart, row by row: float32 [T, 3]."""
    cells = _cells(grid.rows, grid.columns)
    cells[:, 0] = t
    return cells.astype(np.float32)


def _cells(rows: int, columns: int, step: float = 1) -> NDArray[np.float64]:
    y, x = np.meshgrid(np.arange(rows) + 0.5, np.arange(columns) + 0.5, indexing="ij")
    return np.stack([np.zeros(rows * columns), y.ravel() * step, x.ravel() * step], axis=1)
