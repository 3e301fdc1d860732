"""Pictures of a batch, grouped by size, and where their features belong.

It takes pixels, and of the models it knows the eyes alone.

| field | shape | dtype |
| --- | --- | --- |
| `PictureGroup.pixels` | [n, H, W, 4], straight RGBA | uint8 |
| `PictureGroup.rows`, `starts` | [n]: the sequence, the picture's first `<|image|>` | int64 |
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.models.vision import Vision, premultiply


@dataclass(frozen=True)
class PictureGroup:
    pixels: Tensor
    rows: Tensor
    starts: Tensor


def group_pictures(
    pictures: Iterable[tuple[NDArray[np.uint8], int, int]],
) -> list[PictureGroup]:
    """Groups (pixels, row, start) by size; tensors are ready for `place_features`."""
    groups: dict[Any, list[tuple[NDArray[np.uint8], int, int]]] = defaultdict(list)
    for pixels, row, start in pictures:
        groups[pixels.shape].append((pixels, row, start))
    return [
        PictureGroup(
            torch.from_numpy(np.stack([p for p, _, _ in members])),
            torch.tensor([row for _, row, _ in members]),
            torch.tensor([start for _, _, start in members]),
        )
        for members in groups.values()
    ]


def place_features(
    vision: Vision, groups: Iterable[PictureGroup], batch: int, tokens: int, width: int
) -> Tensor:
    """[batch, tokens, width]: vision features where pictures stand, zeros elsewhere."""
    device = next(vision.parameters()).device
    features = torch.zeros(batch, tokens, width, device=device)
    for group in groups:
        seen = vision(premultiply(group.pixels)).float()
        columns = group.starts[:, None] + torch.arange(seen.shape[1], device=device)
        features = features.index_put((group.rows[:, None].expand_as(columns), columns), seen)
    return features
