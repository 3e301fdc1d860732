"""Windows hold what rule 2 names and nothing else, at positions relative to the picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.grid import Grid, all_grids, allowed, fit, grid_of_size
from runtime.history import PlacedPicture
from runtime.interfaces import ImageGeometry
from runtime.positions import latent_positions, picture_extent, text_positions, vision_positions
from runtime.window import choose_references, plan_window
from tests.fake_bundle import DIM, FakeWindow, rotate

IMAGE = ImageGeometry(16, 4, 512, (256, 256), 8.0, 48)
GRIDS = all_grids(IMAGE)


def placed(grid: Grid, slot: int, position: int) -> PlacedPicture:
    slots = range(slot, slot + grid.vision_tokens(IMAGE))
    latent = np.zeros((1, grid.tokens, 48), np.float32)
    return PlacedPicture(grid, slots, position, latent=latent)


@st.composite
def documents(draw: st.DrawFn) -> tuple[list[PlacedPicture], range, int]:
    """Pictures of a document in order, and the dense prompt of the next one."""
    pictures = []
    slot = position = draw(st.integers(1, 50))
    for _ in range(draw(st.integers(0, 9))):
        picture = placed(draw(st.sampled_from(GRIDS)), slot, position)
        pictures.append(picture)
        gap = draw(st.integers(1, 60))
        slot = picture.slots.stop + gap
        position += picture_extent(picture.grid) + gap
    length = draw(st.integers(1, 40))
    return pictures, range(slot, slot + length), position + length - 1


@settings(deadline=None)
@given(documents(), st.integers(0, 8))
def test_a_window_takes_the_dense_prompt_and_references_only(
    document: tuple[list[PlacedPicture], range, int], limit: int
) -> None:
    pictures, dense, end = document
    references = choose_references(pictures, limit)
    plan = plan_window(dense, end, references)
    expected = list(dense) + [s for r in references for s in r.picture.slots]
    assert plan.index.tolist() == expected
    assert len(plan.reference_shift) == sum(r.picture.grid.tokens for r in references)
    assert plan.shift.shape == (len(expected), 3)
    assert plan.tokens == len(expected) + len(plan.reference_shift)
    # The dense prompt ends one step before the picture, references at minus their distance.
    assert np.all(plan.shift[: len(dense)] + end == -1)
    row = len(dense)
    for reference in references:
        count = len(reference.picture.slots)
        start = reference.picture.position
        cells = vision_positions(reference.picture.grid, start, IMAGE)
        relative = cells + plan.shift[row : row + count]
        assert np.all(relative[:, 0] == -reference.distance)
        fresh = vision_positions(reference.picture.grid, 0, IMAGE)[:, 1:]
        assert np.allclose(relative[:, 1:], fresh, atol=2e-3)
        row += count


@settings(deadline=None)
@given(st.lists(st.booleans(), max_size=12), st.integers(0, 6))
def test_references_are_the_given_ones_and_two_drawn(given_ones: list[bool], limit: int) -> None:
    pixels = np.zeros((16, 16, 4), np.uint8)
    pictures = [
        replace(placed(Grid(1, 1), i, i), pixels=pixels if mark else None)
        for i, mark in enumerate(given_ones)
    ]
    count, drawn = len(pictures), [i for i, mark in enumerate(given_ones) if not mark]
    chosen = choose_references(pictures, limit)
    indexes = [count - r.distance for r in chosen]
    wanted = len(pictures) - max(0, len(drawn) - 2)
    assert len(chosen) == min(wanted, limit)
    assert indexes == sorted(indexes)
    assert all(pictures[i] is r.picture for i, r in zip(indexes, chosen, strict=True))
    assert not set(indexes) & set(drawn[1:-1])
    if chosen:
        assert indexes[-1] == count - 1
    if limit > 1 and chosen:
        assert indexes[0] == 0


@settings(deadline=None)
@given(st.integers(0, 400), st.integers(-300, 300))
def test_a_shift_is_a_rotation(start: int, shift: int) -> None:
    keys = np.random.default_rng(0).standard_normal((1, 1, 5, DIM)).astype(np.float32)
    positions = text_positions(start, 5)
    moved = rotate(rotate(keys, positions), np.full((5, 3), shift, np.float32))
    assert np.allclose(moved, rotate(keys, positions + shift), atol=1e-5)
    assert FakeWindow is not None


@settings(deadline=None)
@given(st.sampled_from(GRIDS), st.integers(0, 1000))
def test_latent_tokens_are_one_apart_at_any_size(grid: Grid, start: int) -> None:
    cells = latent_positions(grid)
    assert cells.shape == (grid.tokens, 3)
    assert np.all(cells[:, 0] == 0)
    assert cells[0].tolist() == [0, 0.5, 0.5]
    assert cells[-1].tolist() == [0, grid.rows - 0.5, grid.columns - 0.5]
    vision = vision_positions(grid, start, IMAGE)
    assert len(vision) == grid.vision_tokens(IMAGE)
    assert np.all(vision[:, 0] == start)
    assert cells[:, 1:].max() < picture_extent(grid)


def test_a_picture_takes_as_many_positions_as_its_longer_side_has_tokens() -> None:
    assert picture_extent(Grid(16, 16)) == 16
    assert picture_extent(Grid(8, 8)) == 8
    assert picture_extent(Grid(8, 64)) == 64


@settings(deadline=None)
@given(st.integers(1, 6000), st.integers(1, 6000), st.booleans())
def test_any_picture_fits_the_grid(width: int, height: int, grow: bool) -> None:
    grid = fit(width, height, IMAGE, grow)
    assert allowed(grid, IMAGE)
    assert grid_of_size(grid.pixels(IMAGE), IMAGE) == grid


@settings(deadline=None)
@given(st.sampled_from(GRIDS))
def test_a_picture_on_the_grid_keeps_its_size(grid: Grid) -> None:
    if grid.tokens >= 64:
        assert fit(*grid.pixels(IMAGE), IMAGE) == grid
