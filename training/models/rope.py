"""Rotary positions over three axes (t, h, w), shared by planner, eyes and visualizer.

A head of dimension D has D/2 pairs, (x[i], x[i + D/2]). Pairs are dealt to the axes in
`sections`; within an axis of n pairs, pair i turns by position * theta^(-i/n) (Su et al. 2021;
several axes as in Qwen2-VL). Rotations compose, so shifting a cached key is one more rotation.

| tensor | shape | dtype |
| --- | --- | --- |
| positions | [..., tokens, 3] | float32 |
| cos, sin | [..., tokens, D/2] | float32 |
| x | [batch, heads, tokens, D] | any float |
"""

from __future__ import annotations

import torch
from torch import Tensor


def frequencies(sections: tuple[int, int, int], theta: float) -> Tensor:
    """float32 [3, D/2]: how fast each pair turns along each axis (0 off its own axis)."""
    table = torch.zeros(3, sum(sections))
    start = 0
    for axis, count in enumerate(sections):
        exponent = torch.arange(count, dtype=torch.float64) / count
        table[axis, start : start + count] = (theta**-exponent).float()
        start += count
    return table


def rope_tables(positions: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
    """cos and sin [..., tokens, D/2] at `positions` [..., tokens, 3].

    No matrix product: in mixed precision that would round the angles to bfloat16, in which 301 and
    302 are one position.
    """
    angle = (positions[..., None] * table).sum(-2)
    return angle.cos(), angle.sin()


def rotate(x: Tensor, rope: tuple[Tensor, Tensor]) -> Tensor:
    """`x` [batch, heads, tokens, D] turned by tables [tokens, D/2] or [batch, tokens, D/2]."""
    cos, sin = rope
    if cos.dim() == 3:
        cos, sin = cos[:, None], sin[:, None]
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)
