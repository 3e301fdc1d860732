"""The operator `weft::DPCWAttention`: its one declaration, and how PyTorch computes it.

Queries of the picture's own tokens look at keys and values from two places, the window (written
once per picture) and the picture itself, under one softmax. No masking, scale 1/sqrt(D). Query
head i reads key/value head i // (H / KV). The ONNX function, the C header and the plugin are
generated from `OPERATOR` or tested against it.

| tensor | shape | |
| --- | --- | --- |
| q, y | [B, H, T, D] | |
| k_window, v_window | [B, KV, N, D], N may be 0 | q's type, or float8_e4m3fn with scales |
| k_self, v_self | [B, KV, T, D] | |
| window_length, self_length | int32 [B] | valid rows; the rest is never read, y is 0 there |
| q_norm, k_norm | float32 [D] | weights of an RMS norm of q and k_self |
| cos, sin | float32 [1 or B, T, D/2] | rotation of q and k_self, after the norm |
| k_scale, v_scale | float32 [KV] | of an FP8 window: value = stored * scale |

The first five inputs are required and are the form that export writes; the others fuse norm,
rotation and padding into one pass. With `series` = S, items s*S .. s*S + S-1 of the batch are the
pictures of series s: each has a window of its own and sees the own tokens of all S.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Operator:
    """An operator's name and the names of what goes in and out, in order.

    `inputs` are required, `optional` follow them; `attributes` have defaults, an int or a float.
    """

    domain: str
    name: str
    version: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    optional: tuple[str, ...] = ()
    attributes: tuple[tuple[str, int | float], ...] = ()


OPERATOR = Operator(
    domain="weft",
    name="DPCWAttention",
    version=1,
    inputs=("q", "k_window", "v_window", "k_self", "v_self"),
    outputs=("y",),
    optional=(
        "window_length", "self_length", "q_norm", "k_norm", "cos", "sin", "k_scale", "v_scale",
    ),
    attributes=(("epsilon", 1e-6), ("series", 1)),
)  # fmt: skip


def dpcw_attention(
    q: Tensor,
    k_window: Tensor,
    v_window: Tensor,
    k_self: Tensor,
    v_self: Tensor,
    mask: Tensor | None = None,
) -> Tensor:
    """y [B, H, T, D]. `mask` (bool [B, 1, 1 or T, N + T], True where seen) is for padded training
    batches only."""
    k = torch.cat([k_window, k_self], dim=2)
    v = torch.cat([v_window, v_self], dim=2)
    return grouped_attention(q, k, v, mask)


def grouped_attention(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, causal: bool = False
) -> Tensor:
    """Attention of q [B, H, T, D] over k, v [B, KV, S, D] with H a multiple of KV."""
    if q.device.type == "cpu":
        return _cpu_attention(q, k, v, mask, causal)
    groups = q.shape[1] // k.shape[1]
    if groups > 1:
        k, v = k.repeat_interleave(groups, dim=1), v.repeat_interleave(groups, dim=1)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)


def _cpu_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
    """Plain matrix products: on a CPU twice as fast, backward included, as the fused operator."""
    batch, heads, tokens, width = q.shape
    groups = heads // k.shape[1]
    folded = (q * width**-0.5).reshape(batch, k.shape[1], groups * tokens, width)
    scores = folded @ k.transpose(-1, -2)
    if causal:
        mask = torch.ones(tokens, k.shape[2], dtype=torch.bool).tril().repeat(groups, 1)
    elif mask is not None and mask.shape[-2] > 1:
        mask = mask.repeat(1, 1, groups, 1)
    if mask is not None:
        # Half the range: with a score added it must not overflow.
        hidden = torch.finfo(scores.dtype).min / 2
        scores = scores + scores.new_zeros(mask.shape).masked_fill(~mask, hidden)
    return (scores.softmax(-1) @ v).reshape(batch, heads, tokens, width)


def attend(
    q: Tensor,
    k_window: Tensor,
    v_window: Tensor,
    k_self: Tensor,
    v_self: Tensor,
    window_length: Tensor | None = None,
    self_length: Tensor | None = None,
    q_norm: Tensor | None = None,
    k_norm: Tensor | None = None,
    cos: Tensor | None = None,
    sin: Tensor | None = None,
    k_scale: Tensor | None = None,
    v_scale: Tensor | None = None,
    epsilon: float = 1e-6,
    series: int = 1,
) -> Tensor:
    """The whole operator in PyTorch, differentiable: `torch.ops.weft.dpcw_attention`.

    Raises `ValueError` for options that do not stand together.
    """
    batch, tokens, window = q.shape[0], q.shape[2], k_window.shape[2]
    _check_options(batch, k_window, v_window, cos, sin, k_scale, v_scale, series)
    seen = _valid(window_length, batch, window, q.device)
    own = _valid(self_length, batch, tokens, q.device)
    # What lies behind a valid length may be NaN. It goes before anything is computed with it: 0 *
    # NaN would spread, backward too.
    hidden, padding = ~seen[:, None, :, None], ~own[:, None, :, None]
    k_window = _cached(k_window, hidden, k_scale, q.dtype)
    v_window = _cached(v_window, hidden, v_scale, q.dtype)
    q = _prepared(q, padding, q_norm, cos, sin, epsilon)
    k_self = _prepared(k_self, padding, k_norm, cos, sin, epsilon)
    v_self = v_self.masked_fill(padding, 0.0)
    k = torch.cat([k_window, _series(k_self, series)], dim=2)
    v = torch.cat([v_window, _series(v_self, series)], dim=2)
    others = own.view(batch // series, -1).repeat_interleave(series, dim=0)
    mask = torch.cat([seen, others], dim=1)[:, None, None]
    y = grouped_attention(q, k, v, mask)
    return y.masked_fill(padding, 0.0)


def _check_options(
    batch: int,
    k_window: Tensor,
    v_window: Tensor,
    cos: Tensor | None,
    sin: Tensor | None,
    k_scale: Tensor | None,
    v_scale: Tensor | None,
    series: int,
) -> None:
    """Looks at what is given, types and sizes, so that the operator can be traced."""
    if (cos is None) != (sin is None):
        alone = "cos" if sin is None else "sin"
        raise ValueError(f"expected both cos and sin or neither, found {alone} alone")
    scales = (k_scale is not None, v_scale is not None)
    stored = (k_window.dtype, v_window.dtype)
    if len({*scales, *(kind == torch.float8_e4m3fn for kind in stored)}) > 1:
        raise ValueError(
            "expected k_scale and v_scale with k_window and v_window of float8_e4m3fn, or neither; "
            f"found k_scale {scales[0]}, v_scale {scales[1]}, windows of {stored[0]}, {stored[1]}"
        )
    if series < 1 or batch % series != 0:
        raise ValueError(f"series: expected one that divides the batch of {batch}, found {series}")


def _prepared(
    x: Tensor,
    padding: Tensor,
    weight: Tensor | None,
    cos: Tensor | None,
    sin: Tensor | None,
    epsilon: float,
) -> Tensor:
    """x [B, H, T, D] normed, then rotated; computed in float32, without its padding."""
    # Ones: the norm of zeros is NaN where epsilon is 0.
    y = x.float().masked_fill(padding, 1.0)
    if weight is not None:
        y = y * torch.rsqrt(y.square().mean(-1, keepdim=True) + epsilon) * weight
    if cos is not None and sin is not None:
        a, b = y.chunk(2, dim=-1)
        c, s = (table[:, None].masked_fill(padding, 0.0) for table in (cos, sin))
        y = torch.cat([a * c - b * s, b * c + a * s], dim=-1)
    return y.to(x.dtype)


def _cached(x: Tensor, hidden: Tensor, scale: Tensor | None, dtype: torch.dtype) -> Tensor:
    """Rows of the window that are seen, zeros for the others."""
    if scale is None:
        return x.masked_fill(hidden, 0.0)
    return (x.float().masked_fill(hidden, 0.0) * scale[:, None, None]).to(dtype)


def _valid(length: Tensor | None, batch: int, rows: int, device: torch.device) -> Tensor:
    """bool [B, rows]."""
    places = torch.arange(rows, device=device).expand(batch, rows)
    return places < (rows if length is None else length[:, None])


def _series(x: Tensor, series: int) -> Tensor:
    """[B, KV, T, D] to [B, KV, series * T, D]: each item with the rows of its whole series."""
    if series == 1:
        return x
    batch, heads, _, width = x.shape
    rows = x.view(batch // series, series, heads, -1, width).transpose(1, 2)
    return rows.reshape(batch // series, heads, -1, width).repeat_interleave(series, dim=0)


def torch_schema(operator: Operator) -> str:
    """The operator as PyTorch writes it."""
    required = [f"Tensor {name}" for name in operator.inputs]
    optional = [f"Tensor? {name}=None" for name in operator.optional]
    attributes = [
        f"{'int' if isinstance(value, int) else 'float'} {name}={value}"
        for name, value in operator.attributes
    ]
    name = re.sub(r"(?<=[A-Z])(?=[A-Z][a-z])", "_", operator.name).lower()
    return f"{name}({', '.join(required + optional + attributes)}) -> Tensor"


_LIBRARY = torch.library.Library(OPERATOR.domain, "FRAGMENT")
_LIBRARY.define(torch_schema(OPERATOR))
_LIBRARY.impl("dpcw_attention", attend, "CompositeImplicitAutograd")
