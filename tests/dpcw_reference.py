"""The judge of `weft::DPCWAttention`: its meaning in numpy, in float64, and random calls of it.

It knows nothing of kernels. Everything behind a valid length is NaN in the calls that `random_call`
makes, so a result that reads there shows.

| tensor | shape | type |
| --- | --- | --- |
| q, y | [B, H, T, D] | float32, float16 or bfloat16 |
| k_window, v_window | [B, KV, N, D] | the same, or float8_e4m3fn with k_scale, v_scale |
| k_self, v_self | [B, KV, T, D] | as q |
| window_length, self_length | [B] | int32 |
| q_norm, k_norm | [D] | float32 |
| cos, sin | [1 or B, T, D/2] | float32 |
| k_scale, v_scale | [KV] | float32 |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass
class Call:
    """One call's tensors; a field that is None is an optional input left out."""

    q: Array
    k_window: Array
    v_window: Array
    k_self: Array
    v_self: Array
    window_length: Array | None = None
    self_length: Array | None = None
    q_norm: Array | None = None
    k_norm: Array | None = None
    cos: Array | None = None
    sin: Array | None = None
    k_scale: Array | None = None
    v_scale: Array | None = None
    epsilon: float = 1e-6
    series: int = 1


def norm(x: Array, weight: Array | None, epsilon: float) -> Array:
    """x / rms(x) * weight over the last axis."""
    if weight is None:
        return x
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + epsilon) * weight.astype(np.float64)


def rotate(x: Array, cos: Array | None, sin: Array | None) -> Array:
    """x [..., rows, D] with element i and i + D/2 turned by tables [rows, D/2]."""
    if cos is None or sin is None:
        return x
    a, b = np.split(x, 2, axis=-1)
    c, s = cos.astype(np.float64), sin.astype(np.float64)
    return np.concatenate([a * c - b * s, b * c + a * s], axis=-1)


def softmax_attention(q: Array, k: Array, v: Array) -> Array:
    """q [T, D] over k, v [S, D]."""
    score = q @ k.T / np.sqrt(q.shape[-1])
    weight = np.exp(score - score.max(axis=1, keepdims=True))
    return weight / weight.sum(axis=1, keepdims=True) @ v


def _valid(lengths: Array | None, batch: int, capacity: int) -> Array:
    return np.full(batch, capacity) if lengths is None else np.clip(lengths, 0, capacity)


def reference(c: Call) -> Array:
    """y in float64; rows at or past `self_length` are zero."""
    batch, heads, tokens, _ = c.q.shape
    kv_heads, window = c.k_window.shape[1], c.k_window.shape[2]
    own = _valid(c.self_length, batch, tokens)
    seen = _valid(c.window_length, batch, window)

    def prepared(x: Array, item: int, head: int, weight: Array | None) -> Array:
        rows = norm(x[item, head, : own[item]].astype(np.float64), weight, c.epsilon)
        if c.cos is None or c.sin is None:
            return rows
        table = item if c.cos.shape[0] > 1 else 0
        return rotate(rows, c.cos[table, : own[item]], c.sin[table, : own[item]])

    def cached(x: Array, item: int, head: int, scale: Array | None) -> Array:
        rows = x[item, head, : seen[item]].astype(np.float64)
        return rows if scale is None else rows * float(scale[head])

    y = np.zeros(c.q.shape)
    for b in range(batch):
        pictures = range(b // c.series * c.series, b // c.series * c.series + c.series)
        for g in range(kv_heads if own[b] else 0):
            k = [cached(c.k_window, b, g, c.k_scale)]
            v = [cached(c.v_window, b, g, c.v_scale)]
            k += [prepared(c.k_self, p, g, c.k_norm) for p in pictures]
            v += [c.v_self[p, g, : own[p]].astype(np.float64) for p in pictures]
            keys, values = np.concatenate(k), np.concatenate(v)
            for h in range(g * heads // kv_heads, (g + 1) * heads // kv_heads):
                query = prepared(c.q, b, h, c.q_norm)
                y[b, h, : own[b]] = softmax_attention(query, keys, values)
    return y


def random_call(
    *,
    batch: int = 1,
    heads: int = 2,
    kv_heads: int = 1,
    tokens: int = 16,
    window: int = 0,
    dim: int = 64,
    dtype: Any = np.float32,
    window_dtype: Any = None,
    window_length: tuple[int, ...] | None = None,
    self_length: tuple[int, ...] | None = None,
    norms: bool = False,
    tables: int = 0,
    series: int = 1,
) -> Call:
    """`tables`: rows of cos and sin along the batch, 0 for none."""
    rng = np.random.default_rng((batch, heads, kv_heads, tokens, window, dim))

    def draw(count: int, rows: int, lengths: tuple[int, ...] | None, kind: Any) -> Array:
        x = rng.standard_normal((batch, count, rows, dim), dtype=np.float32)
        for b, length in enumerate(lengths or ()):
            x[b, :, max(length, 0) :] = np.nan
        return x.astype(kind)

    fp8 = window_dtype is not None
    kind = window_dtype if fp8 else dtype
    call = Call(
        q=draw(heads, tokens, self_length, dtype),
        k_window=draw(kv_heads, window, window_length, kind),
        v_window=draw(kv_heads, window, window_length, kind),
        k_self=draw(kv_heads, tokens, self_length, dtype),
        v_self=draw(kv_heads, tokens, self_length, dtype),
        window_length=None if window_length is None else np.array(window_length, np.int32),
        self_length=None if self_length is None else np.array(self_length, np.int32),
        series=series,
    )
    if norms:
        call.q_norm, call.k_norm = rng.uniform(0.5, 1.5, (2, dim)).astype(np.float32)
    if tables:
        angle = rng.uniform(-20.0, 20.0, (tables, tokens, dim // 2))
        call.cos, call.sin = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
    if fp8:
        call.k_scale, call.v_scale = rng.uniform(0.25, 2.0, (2, kv_heads)).astype(np.float32)
    return call


def relative_error(y: Array, expected: Array) -> float:
    """In the Frobenius norm; infinite when an element is not finite."""
    found = y.astype(np.float64)
    if not np.isfinite(found).all():
        return float("inf")
    size = float(np.linalg.norm(expected))
    difference = float(np.linalg.norm(found - expected))
    return difference / size if size else (0.0 if difference == 0.0 else float("inf"))
