"""The autoencoder: RGBA pixels to a 16x smaller latent of 48 channels, and back.

Patchify 2, then three convolutional halvings. Noise is added to the latent in training and not
learned, so encoding is one deterministic pass. Colours are premultiplied by alpha inside, so what
is invisible costs nothing. Latents outside have about zero mean and unit variance per channel:
`shift` and `scale` are measured once after training.

| tensor | shape | dtype |
| --- | --- | --- |
| pixels | [B, 4, H, W], premultiplied, 0 to 1 | float32 |
| latent | [B, 48, H/16, W/16] | float32 |
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.models.config import VAEConfig


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a residual; starts as the identity, so it needs no norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.silu(self.first(F.silu(x))))


class VAE(nn.Module):
    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        self.config = config
        widths, blocks = config.widths, config.blocks
        encoder: list[nn.Module] = [nn.PixelUnshuffle(2), nn.Conv2d(16, widths[0], 3, padding=1)]
        for level, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            encoder += [ResidualBlock(width) for _ in range(count)]
            if level + 1 < len(widths):
                encoder.append(nn.Conv2d(width, widths[level + 1], 4, stride=2, padding=1))
        encoder += [nn.SiLU(), nn.Conv2d(widths[-1], config.latent_channels, 1)]
        decoder: list[nn.Module] = [nn.Conv2d(config.latent_channels, widths[-1], 3, padding=1)]
        for level in reversed(range(len(widths))):
            width = widths[level]
            decoder += [ResidualBlock(width) for _ in range(blocks[level])]
            if level:
                decoder += [nn.Conv2d(width, 4 * widths[level - 1], 1), nn.PixelShuffle(2)]
        decoder += [ResidualBlock(widths[0]), nn.SiLU()]
        decoder += [nn.Conv2d(widths[0], 16, 3, padding=1), nn.PixelShuffle(2)]
        self.encoder, self.decoder = nn.Sequential(*encoder), nn.Sequential(*decoder)
        self._init()
        self.register_buffer("shift", torch.zeros(config.latent_channels, 1, 1))
        self.register_buffer("scale", torch.ones(config.latent_channels, 1, 1))

    def _init(self) -> None:
        """Plain convolutions keep the signal's size; residual branches start at 0."""
        for name, module in self.named_modules():
            if isinstance(module, nn.Conv2d) and not name.endswith("second"):
                nn.init.normal_(module.weight, 0.0, module.weight[0].numel() ** -0.5)
                nn.init.zeros_(module.bias)
        last = self.encoder[-1]
        assert isinstance(last, nn.Conv2d)
        last.weight.data.mul_(4.0)

    def encode(self, pixels: Tensor) -> Tensor:
        """The normalised latent of `pixels`."""
        return (self.encoder(pixels * 2 - 1) - self.shift) / self.scale

    def decode(self, latent: Tensor) -> Tensor:
        """Premultiplied RGBA, about 0 to 1 (not clamped)."""
        return self.decoder(latent * self.scale + self.shift) * 0.5 + 0.5


def straight(pixels: Tensor) -> Tensor:
    """Premultiplied RGBA float [B, 4, H, W] → uint8 straight RGBA [B, H, W, 4]."""
    pixels = pixels.clamp(0, 1)
    alpha = pixels[:, 3:]
    # Alpha within four levels of full or none is snapped, so opaque pictures stay opaque.
    alpha = torch.where(alpha > 1 - 4 / 255, torch.ones_like(alpha), alpha)
    alpha = torch.where(alpha < 4 / 255, torch.zeros_like(alpha), alpha)
    color = torch.where(
        alpha > 0, pixels[:, :3] / alpha.clamp(min=4 / 255), torch.zeros_like(alpha)
    )
    out = torch.cat([color.clamp(0, 1), alpha], dim=1)
    return (out * 255 + 0.5).floor().to(torch.uint8).permute(0, 2, 3, 1)


def tokens_of(latent: Tensor) -> Tensor:
    """[B, C, h, w] → [B, h * w, C]."""
    return latent.flatten(2).transpose(1, 2)


def grid_of(tokens: Tensor, height: int, width: int) -> Tensor:
    """[B, h * w, C] → [B, C, h, w]."""
    return tokens.transpose(1, 2).unflatten(2, (height, width))


@torch.no_grad()
def pixel_metric(vae: VAE, latent: Tensor, step: float = 0.3, apart: int = 4) -> Tensor:
    """What errors of a latent token cost in pixels: M [C, C] of mean diagonal 1, so that a token's
    error e [C] changes the picture's squared error by about e M e (the decoder's J J^T, from
    differences of `step` on every `apart`-th token of `latent` [B, C, h, w])."""
    base = vae.decode(latent).clamp(0, 1)
    places = torch.zeros_like(latent[:1, 0])
    places[:, apart // 2 :: apart, apart // 2 :: apart] = step
    changes = []
    for channel in range(latent.shape[1]):
        moved = latent.clone()
        moved[:, channel] += places
        changes.append((vae.decode(moved).clamp(0, 1) - base).flatten())
    rows = torch.stack(changes)
    metric = rows @ rows.T
    return metric / metric.diagonal().mean()
