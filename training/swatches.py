"""What a palette says, and where: the targets by which the planner learns to read colours.

A swatch is written as `#RRGGBB NN%`, a dozen tokens. The token that ends it has seen them all, so
it is taught to tell the colour and the share in the values that the visualizer reads from it.

| result | shape | dtype |
| --- | --- | --- |
| targets | [S, 5]: red, green, blue, the shares before it, its own share; NaN elsewhere | float32 |
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

FIELDS = 5
# Colours and shares are spread over 0 to 1: what to take off and divide by for a deviation of one.
_MEAN, _DEVIATION = 0.5, 0.29
_SWATCH = re.compile(r"#([0-9A-F]{6}) (\d{1,3})%")
# As much of the text as tells whether a swatch goes on with a palette.
_LOOK_BACK = len("0%, #RRGGBB 100%,")


def swatch_targets(tokens: NDArray[np.int64], spelled: Sequence[str]) -> NDArray[np.float32]:
    """The targets of `tokens` [S], where the token i is spelled `spelled[i]`."""
    targets = np.full((len(tokens), FIELDS), np.nan, np.float32)
    text, before = "", 0.0
    for i, token in enumerate(tokens.tolist()):
        text = (text + spelled[token])[-_LOOK_BACK:]
        found = _SWATCH.search(text) if "%" in spelled[token] else None
        if found is None:
            continue
        if not text[: found.start()].endswith("%, "):
            before = 0.0
        share = int(found[2]) / 100
        channels = [int(found[1][k : k + 2], 16) / 255 for k in (0, 2, 4)]
        targets[i] = (*channels, before, share)
        before += share
    return targets


class SwatchProbe(nn.Module):
    """Reads swatches off a layer's values; used in training only."""

    def __init__(self, kv_heads: int, head_dim: int) -> None:
        super().__init__()
        self.read = nn.Linear(kv_heads * head_dim, FIELDS)

    def forward(self, values: Tensor, targets: Tensor) -> Tensor:
        """The mean squared error, in deviations: values [B, KV, S, D], targets [B, S, FIELDS]."""
        said = ~targets[..., 0].isnan()
        found = self.read(values.transpose(1, 2).flatten(2)[said]).float()
        return F.mse_loss(found, (targets[said] - _MEAN) / _DEVIATION)
