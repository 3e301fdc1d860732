"""Reads off a hidden state what each token shows or will show; used in training only.

Its cross-entropy, added to the flow loss, teaches the middle of the visualizer to bind the words of
the window to places in the picture long before the pixels show it (representation alignment, Yu et
al. 2025, with the scene graph in place of a vision encoder). Added to the next-token loss, it
teaches the planner's eyes to see.

| tensor | shape |
| --- | --- |
| hidden | [B, T, W] |
| labels | [B, T, G], int64, -1 where nothing is asked |
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class Probe(nn.Module):
    """`nothing` is per group the class of what shows nothing, -1 where it has none: that is most of
    a picture, so that it counts half and what shows something the other half."""

    def __init__(
        self, width: int, classes: tuple[int, ...], nothing: tuple[int, ...] | None = None
    ) -> None:
        super().__init__()
        self.classes = classes
        self.nothing = nothing or (-1,) * len(classes)
        self.norm = nn.LayerNorm(width)
        self.read = nn.Linear(width, sum(classes))

    def forward(self, hidden: Tensor, labels: Tensor) -> Tensor:
        """The mean over the groups of their mean cross-entropy."""
        logits = self.read(self.norm(hidden)).float().flatten(0, 1)
        total = logits.new_zeros(())
        for i, part in enumerate(logits.split(self.classes, dim=-1)):
            asked = labels[..., i].flatten()
            errors = F.cross_entropy(part, asked, ignore_index=-1, reduction="none")
            shown = (asked >= 0) & (asked != self.nothing[i])
            error = _mean(errors, shown)
            if self.nothing[i] >= 0:
                error = (error + _mean(errors, asked == self.nothing[i])) / 2
            total = total + error
        return total / len(self.classes)


def _mean(errors: Tensor, chosen: Tensor) -> Tensor:
    return (errors * chosen).sum() / chosen.sum().clamp(min=1)
