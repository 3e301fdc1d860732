"""The planner: a causal transformer that writes text and dense prompts, and sees pictures.

It knows nothing of diffusion. Its keys and values, rotated at their positions, are what the
visualizer reads.

| tensor | shape | dtype |
| --- | --- | --- |
| tokens | [B, S] | int64 |
| positions | [B, S, 3] | float32 |
| features | [B, S, W], vision features where the token is `<|image|>` | float |
| logits | [B, S, V] | float |
| keys, values (per layer) | [B, KV, S, D] | float |
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.models.config import ModelConfig, TwinConfig
from training.models.dpcw import grouped_attention
from training.models.layers import Attention, GatedFFN, RMSNorm
from training.models.rope import frequencies, rope_tables
from training.models.vision import Vision


class PlannerBlock(nn.Module):
    """Pre-norm attention and FFN with residuals."""

    def __init__(self, twin: TwinConfig, ffn: int, qk_norm: bool, eps: float) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(twin.width, eps)
        self.attention = Attention(twin, qk_norm, eps)
        self.ffn_norm = RMSNorm(twin.width, eps)
        self.ffn = GatedFFN(twin.width, ffn)

    def qkv(self, x: Tensor, rope: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        return self.attention.qkv(self.attention_norm(x), rope)

    def finish(self, x: Tensor, y: Tensor) -> Tensor:
        """The rest of the block after attention: x [B, S, W], y [B, H, S, D] → [B, S, W]."""
        x = x + self.attention.merge(y)
        return x + self.ffn(self.ffn_norm(x))


class Planner(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        twin, planner = config.twin, config.planner
        self.config = config
        self.embedding = nn.Embedding(planner.vocab, twin.width)
        self.vision = Vision(planner.vision, twin.width)
        self.blocks = nn.ModuleList(
            PlannerBlock(twin, planner.ffn, planner.qk_norm, planner.norm_eps)
            for _ in range(twin.layers)
        )
        self.norm = RMSNorm(twin.width, planner.norm_eps)
        self.register_buffer(
            "rope_table", frequencies(twin.rope_sections, twin.rope_theta), persistent=False
        )
        _init(self, twin.layers)

    def embed(self, tokens: Tensor, features: Tensor) -> Tensor:
        """Token embeddings, with vision features where pictures stand: [B, S, W]."""
        is_image = (tokens == self.config.planner.image_token).unsqueeze(-1)
        return torch.where(
            is_image, features.to(self.embedding.weight.dtype), self.embedding(tokens)
        )

    def logits(self, x: Tensor) -> Tensor:
        """Tied output projection: [B, S, W] → [B, S, V]."""
        return nn.functional.linear(self.norm(x), self.embedding.weight)

    def forward(
        self, tokens: Tensor, positions: Tensor, features: Tensor
    ) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """One full causal pass: hidden states before the last norm, and each layer's K and V."""
        x = self.embed(tokens, features)
        rope = rope_tables(positions, self.rope_table)
        cache = []
        for block in self.blocks:
            q, k, v = block.qkv(x, rope)
            cache.append((k, v))
            x = block.finish(x, grouped_attention(q, k, v, causal=True))
        return x, cache


def _init(model: nn.Module, layers: int) -> None:
    """Normal(0, 0.02), the projections back into the residual stream divided by sqrt(2 layers)."""
    for name, parameter in model.named_parameters():
        if parameter.dim() >= 2:
            std = 0.02
            if name.endswith(("out.weight", "down.weight")):
                std /= (2 * layers) ** 0.5
            nn.init.normal_(parameter, 0.0, std)
