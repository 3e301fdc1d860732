"""The operator `weft::DPCWAttention`: its one declaration, and how PyTorch computes it.

Queries of the picture's own tokens look at keys and values from two places, the window (written
once per picture) and the picture itself, under one softmax. No masking, scale 1/sqrt(D). Query
head i reads key/value head i // (H / KV). The ONNX function, the C header and the plugin are
generated from `OPERATOR` or tested against it.

| tensor | shape |
| --- | --- |
| q, y | [B, H, T, D] |
| k_window, v_window | [B, KV, N, D], N may be 0 |
| k_self, v_self | [B, KV, T, D] |
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Operator:
    """An operator's name and the names of what goes in and out, in order."""

    domain: str
    name: str
    version: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


OPERATOR = Operator(
    domain="weft",
    name="DPCWAttention",
    version=1,
    inputs=("q", "k_window", "v_window", "k_self", "v_self"),
    outputs=("y",),
)


def dpcw_attention(
    q: Tensor,
    k_window: Tensor,
    v_window: Tensor,
    k_self: Tensor,
    v_self: Tensor,
    mask: Tensor | None = None,
) -> Tensor:
    """y [B, H, T, D]. `mask` (bool [B, 1, 1 or T, N + T], True where seen) is for padded training
    batches only; at export the call becomes one `weft::DPCWAttention` node and takes none."""
    if torch.onnx.is_in_onnx_export():
        return torch.onnx.ops.symbolic(
            f"{OPERATOR.domain}::{OPERATOR.name}",
            (q, k_window, v_window, k_self, v_self),
            dtype=q.dtype,
            shape=q.shape,
            version=OPERATOR.version,
        )
    k = torch.cat([k_window, k_self], dim=2)
    v = torch.cat([v_window, v_self], dim=2)
    return grouped_attention(q, k, v, mask)


def grouped_attention(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, causal: bool = False
) -> Tensor:
    """Attention of q [B, H, T, D] over k, v [B, KV, S, D] with H a multiple of KV."""
    groups = q.shape[1] // k.shape[1]
    if groups > 1:
        k, v = k.repeat_interleave(groups, dim=1), v.repeat_interleave(groups, dim=1)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)
