"""Picture sizes on the latent grid.

A grid is (rows, columns) of latent tokens; a latent token covers `patch` x `patch` pixels and a ViT
token `vision_cell` x `vision_cell` latent tokens. Knows nothing of pixels' values.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from runtime.errors import OptionError
from runtime.interfaces import ImageGeometry


@dataclass(frozen=True, order=True)
class Grid:
    """Rows and columns of latent tokens."""

    rows: int
    columns: int

    @property
    def tokens(self) -> int:
        """How many latent tokens there are."""
        return self.rows * self.columns

    def pixels(self, image: ImageGeometry) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.columns * image.patch, self.rows * image.patch

    def vision(self, image: ImageGeometry) -> tuple[int, int]:
        """(rows, columns) of ViT tokens."""
        return -(-self.rows // image.vision_cell), -(-self.columns // image.vision_cell)

    def vision_tokens(self, image: ImageGeometry) -> int:
        """How many ViT tokens the planner sees of a picture of this grid."""
        rows, columns = self.vision(image)
        return rows * columns


def allowed(grid: Grid, image: ImageGeometry) -> bool:
    """Whether pictures of this grid may be drawn or given."""
    short, long = sorted((grid.rows, grid.columns))
    return short >= 1 and grid.tokens <= image.max_tokens and long <= short * image.max_aspect


def all_grids(image: ImageGeometry) -> tuple[Grid, ...]:
    """Every allowed grid."""
    return tuple(
        Grid(rows, columns)
        for rows in range(1, image.max_tokens + 1)
        for columns in range(1, image.max_tokens // rows + 1)
        if allowed(Grid(rows, columns), image)
    )


def grid_of_size(size: tuple[int, int], image: ImageGeometry) -> Grid:
    """The grid of an asked (width, height); raises `OptionError` naming the nearest that is."""
    width, height = size
    patch = image.patch
    nearest = fit(width, height, image, grow=False)
    advice = "nearest that works is {}x{}".format(*nearest.pixels(image))
    if width % patch or height % patch:
        raise OptionError(
            f"size: expected multiples of {patch} pixels, found {width}x{height}; {advice}"
        )
    grid = Grid(height // patch, width // patch)
    if not allowed(grid, image):
        raise OptionError(
            f"size: expected at most {image.max_tokens} tokens of {patch}x{patch} pixels and an "
            f"aspect ratio up to {image.max_aspect:g}:1, found {width}x{height} "
            f"({grid.tokens} tokens); {advice}"
        )
    return grid


def fit(width: int, height: int, image: ImageGeometry, grow: bool = True) -> Grid:
    """The allowed grid nearest to a picture's shape.

    Its area is the picture's own, within the limits; with `grow`, at least a quarter of the default
    size's, so that a small picture is still seen.
    """
    ratio = min(max(width / height, 1 / image.max_aspect), image.max_aspect)
    area = width * height / image.patch**2
    default = image.default_size[0] * image.default_size[1] / image.patch**2
    area = min(max(area, default / 4 if grow else 1.0), float(image.max_tokens))
    columns = max(1, round(math.sqrt(area * ratio)))
    rows = max(1, round(math.sqrt(area / ratio)))
    while not allowed(Grid(rows, columns), image):
        if columns >= rows:
            columns -= 1
        else:
            rows -= 1
    return Grid(rows, columns)
