"""The runtime and the training code build the same sequences: ids, positions, windows' inputs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.bundle import TOKEN_TEXT
from runtime.grid import Grid, all_grids
from runtime.interfaces import ImageGeometry
from runtime.positions import latent_positions, picture_extent, vision_positions

sequence = pytest.importorskip("training.sequence")
IMAGE = ImageGeometry(16, 4, 512, (256, 256), 8.0, 48)


@given(st.sampled_from(all_grids(IMAGE)), st.integers(0, 5000))
def test_positions_agree(grid: Grid, start: int) -> None:
    h, w = grid.rows, grid.columns
    assert np.array_equal(latent_positions(grid), sequence.grid_positions(h, w))
    assert np.array_equal(
        vision_positions(grid, start, IMAGE), sequence.vision_positions(h, w, start)
    )
    assert picture_extent(grid) == sequence.picture_extent(h, w)
    assert grid.vision(IMAGE) == sequence.vision_grid(h, w)


def test_control_tokens_agree() -> None:
    assert tuple(TOKEN_TEXT.values()) == sequence.SPECIAL_TOKENS
