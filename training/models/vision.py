"""The planner's eyes: a small ViT from RGBA pixels to features in the planner's width.

One feature covers 64x64 pixels: the picture is halved and cut into 16-pixel patches, to each of
which convolutions over the whole picture add what they see, where the configuration has a stem;
then seen by a bidirectional transformer, and merged two by two.

| tensor | shape | dtype |
| --- | --- | --- |
| pixels | [B, 4, H, W], premultiplied, 0 to 1 | float32 |
| features | [B, ceil(H/64) * ceil(W/64), width] | float |
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.models.config import TwinConfig, VisionConfig
from training.models.dpcw import grouped_attention
from training.models.layers import Attention, GatedFFN, RMSNorm
from training.models.rope import frequencies, rope_tables


def premultiply(image: Tensor) -> Tensor:
    """uint8 straight RGBA [B, H, W, 4] → float32 [B, 4, H, W], premultiplied, 0 to 1."""
    x = image.permute(0, 3, 1, 2).float() / 255.0
    alpha = x[:, 3:]
    return torch.cat([x[:, :3] * alpha, alpha], dim=1)


class VisionBlock(nn.Module):
    def __init__(self, twin: TwinConfig, ffn: int) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(twin.width)
        self.attention = Attention(twin)
        self.ffn_norm = RMSNorm(twin.width)
        self.ffn = GatedFFN(twin.width, ffn)

    def forward(self, x: Tensor, rope: tuple[Tensor, Tensor]) -> Tensor:
        q, k, v = self.attention.qkv(self.attention_norm(x), rope)
        x = x + self.attention.merge(grouped_attention(q, k, v))
        return x + self.ffn(self.ffn_norm(x))


def _stem(config: VisionConfig) -> nn.Sequential:
    """Convolutions that halve the picture to one place a patch (Xiao et al. 2021); the last one
    starts at 0, beside the patches' own projection."""
    layers: list[nn.Module] = []
    channels = 4
    for width in (*config.stem, config.width):
        conv = nn.Conv2d(channels, width, 3, stride=2, padding=1)
        nn.init.normal_(conv.weight, 0.0, (2.0 / conv.weight[0].numel()) ** 0.5)
        nn.init.zeros_(conv.bias)
        layers += [conv, nn.SiLU()]
        channels = width
    last = layers[-2]
    assert isinstance(last, nn.Conv2d)
    nn.init.zeros_(last.weight)
    return nn.Sequential(*layers[:-1])


class Vision(nn.Module):
    def __init__(self, config: VisionConfig, out_width: int) -> None:
        super().__init__()
        self.config = config
        head_dim = config.width // config.heads
        pairs = head_dim // 2
        sections = (0, pairs // 2, pairs - pairs // 2)
        twin = TwinConfig(
            config.layers, config.width, config.heads, config.heads, head_dim, sections
        )
        self.cell = 2 * config.patch * config.merge
        self.patch = nn.Linear(4 * config.patch**2, config.width)
        self.stem = _stem(config) if config.stem else None
        self.blocks = nn.ModuleList(VisionBlock(twin, config.ffn) for _ in range(config.layers))
        self.norm = RMSNorm(config.width)
        self.merge = nn.Sequential(
            nn.Linear(config.width * config.merge**2, out_width),
            nn.GELU(),
            nn.Linear(out_width, out_width),
        )
        self.register_buffer("rope_table", frequencies(sections, 100.0), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        batch, _, height, width = pixels.shape
        rows, columns = -(-height // self.cell), -(-width // self.cell)
        pixels = F.pad(pixels, (0, columns * self.cell - width, 0, rows * self.cell - height))
        x = self.patch(self._cells(F.avg_pool2d(pixels, 2), self.config.patch) * 2 - 1)
        if self.stem is not None:
            x = x + self._cells(self.stem(pixels * 2 - 1), 1)
        rope = rope_tables(self.positions(rows, columns, x.device), self.rope_table)
        for block in self.blocks:
            x = block(x, rope)
        x = self.norm(x).reshape(batch, rows * columns, -1)
        return self.merge(x)

    def _cells(self, x: Tensor, patch: int) -> Tensor:
        """[B, C, h, w] → [B, patches, C * patch^2], in the order (row, column, row in cell, column
        in cell), so that a cell is contiguous."""
        batch, channels, height, width = x.shape
        merge = self.config.merge
        rows, columns = height // (merge * patch), width // (merge * patch)
        x = x.reshape(batch, channels, rows, merge, patch, columns, merge, patch)
        x = x.permute(0, 2, 5, 3, 6, 1, 4, 7)
        return x.reshape(batch, rows * columns * merge**2, channels * patch**2)

    def positions(self, rows: int, columns: int, device: torch.device) -> Tensor:
        """(0, row, column) of every patch in the order of `forward`: float32 [patches, 3]."""
        merge = self.config.merge
        row = torch.arange(rows * merge, device=device).view(rows, 1, merge, 1)
        column = torch.arange(columns * merge, device=device).view(1, columns, 1, merge)
        shape = (rows, columns, merge, merge)
        h, w = row.expand(shape).flatten().float(), column.expand(shape).flatten().float()
        return torch.stack([torch.zeros_like(h), h, w], dim=-1)
