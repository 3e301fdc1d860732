"""The parts both experts are built from: norms, grouped-query attention and the gated FFN.

The projections are separate from the attention itself, so that training, cached decoding and
export can each put their own attention between `qkv` and `merge`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.models.config import TwinConfig
from training.models.rope import rotate


class RMSNorm(nn.Module):
    """x / rms(x) * weight over the last axis (Zhang & Sennrich 2019), computed in float32."""

    def __init__(self, width: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        y = x.float()
        y = y * torch.rsqrt(y.square().mean(-1, keepdim=True) + self.eps)
        return (y * self.weight).to(x.dtype)


class Attention(nn.Module):
    """The projections of grouped-query attention with QK-norm and rotary positions."""

    def __init__(self, twin: TwinConfig, qk_norm: bool = True, eps: float = 1e-6) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = twin.heads, twin.kv_heads, twin.head_dim
        self.q = nn.Linear(twin.width, twin.heads * twin.head_dim, bias=False)
        self.k = nn.Linear(twin.width, twin.kv_heads * twin.head_dim, bias=False)
        self.v = nn.Linear(twin.width, twin.kv_heads * twin.head_dim, bias=False)
        self.out = nn.Linear(twin.heads * twin.head_dim, twin.width, bias=False)
        self.q_norm = RMSNorm(twin.head_dim, eps) if qk_norm else nn.Identity()
        self.k_norm = RMSNorm(twin.head_dim, eps) if qk_norm else nn.Identity()

    def qkv(self, x: Tensor, rope: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """x [B, S, W] → q [B, H, S, D], k and v [B, KV, S, D]; q and k normed and rotated."""
        batch, tokens, _ = x.shape
        q = self.q(x).view(batch, tokens, self.heads, self.head_dim).transpose(1, 2)
        k = self.k(x).view(batch, tokens, self.kv_heads, self.head_dim).transpose(1, 2)
        v = self.v(x).view(batch, tokens, self.kv_heads, self.head_dim).transpose(1, 2)
        return rotate(self.q_norm(q), rope), rotate(self.k_norm(k), rope), v

    def merge(self, y: Tensor) -> Tensor:
        """y [B, H, S, D] → [B, S, W]."""
        batch, _, tokens, _ = y.shape
        return self.out(y.transpose(1, 2).reshape(batch, tokens, self.heads * self.head_dim))


class GatedFFN(nn.Module):
    """SwiGLU (Shazeer 2020): down(silu(gate(x)) * up(x))."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gate = nn.Linear(width, hidden, bias=False)
        self.up = nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.silu(self.gate(x)) * self.up(x))
