"""What a session has seen: pictures in order, where each stands in the planner, turns.

| name | shape | dtype | meaning |
| --- | --- | --- | --- |
| `PlacedPicture.pixels` | [H, W, 4] | uint8 | of a given picture; None for a drawn one |
| `PlacedPicture.latent` | [1, T, Z] | float32 | of a drawn picture; None for a given one |
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from runtime.grid import Grid


@dataclass(frozen=True, eq=False)
class PlacedPicture:
    """A picture of the session: drawn (has its latent) or given (has its pixels).

    Its ViT tokens fill the planner's slots `slots` and start at text position `position`.
    """

    grid: Grid
    slots: range
    position: int
    pixels: NDArray[np.uint8] | None = None
    latent: NDArray[np.float32] | None = None

    @property
    def given(self) -> bool:
        """Whether the user gave it."""
        return self.pixels is not None


@dataclass(frozen=True)
class Mark:
    """A place in the session to go back to: tokens, next text position, pictures, and whether the
    last answer lacked its end-of-sequence token."""

    length: int
    position: int
    pictures: int
    open: bool = False


@dataclass
class History:
    """`position` is the next text position; `turns` marks where each turn began; `open` is set
    when the last answer was cut short and lacks its end-of-sequence token."""

    position: int = 0
    pictures: list[PlacedPicture] = field(default_factory=list)
    turns: list[Mark] = field(default_factory=list)
    open: bool = False
