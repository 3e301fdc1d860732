"""Stage `vae`: reconstruction of storyworld renders or of one's own pictures, with alpha.

The latent gets Gaussian noise in training, of another size for every crop, so that an exact latent
decodes exactly and a slightly wrong one still to a clean picture.

| batch | shape | dtype |
| --- | --- | --- |
| pictures | [B, H, W, 4], straight RGBA | uint8 |
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from training.checkpoint import save_checkpoint
from training.device import mixed_precision
from training.errors import TrainingError
from training.frozen import load_model
from training.models import VAE, ModelConfig
from training.models.vae import straight
from training.models.vision import premultiply
from training.samples import Size, open_source
from training.storyworld.documents.dice import Dice
from training.storyworld.documents.pictures import sample_palette
from training.storyworld.render import render
from training.storyworld.sampling import sample_scene

logger = logging.getLogger(__name__)

SIZES = ((128, 128), (192, 192), (256, 256), (256, 256))
# The edge of the pictures of a sheet.
SHOWN = 256
# How many of one's own documents are looked at for one with pictures.
_TRIES = 1000


@dataclass(frozen=True)
class VAEOptions:
    """`batch` crops of `crop` pixels a side, from the storyworld or, with `data`, from the pictures
    of a folder of shards. The noise of a crop's latent has a deviation of anything from 0 to twice
    `noise`. With `decoder_only` the encoder stays, and so do the latents that a visualizer has
    learned to make. With `anchor` it may move, at a cost of `anchor` times the squared distance, in
    deviations, to the latents of the encoder that was started from."""

    batch: int = 32
    crop: int = 128
    data: str = ""
    noise: float = 0.05
    squared_weight: float = 2.0
    edge_weight: float = 0.5
    latent_weight: float = 1e-3
    decoder_only: bool = False
    anchor: float = 0.0


class VAEBatches:
    """Crops of renders of several sizes, about a tenth of them stickers and another tenth posters
    of a palette, or of one's own pictures."""

    def __init__(self, options: VAEOptions, seed: int) -> None:
        self.options, self.seed = options, seed
        self.source = open_source(options.data)

    def __call__(self, step: int) -> Any:
        rng = np.random.default_rng((self.seed, step))
        crops: list[Any] = []
        while len(crops) < self.options.batch:
            crops += self._crops(rng)
        return torch.from_numpy(np.stack(crops[: self.options.batch]))

    def _crops(self, rng: np.random.Generator) -> list[Any]:
        """As many crops of one picture as fit its area."""
        edge = self.options.crop
        picture = self.own(rng) if self.options.data else _rendered(rng)
        crops = []
        for _ in range(max(1, picture.shape[0] * picture.shape[1] // edge**2)):
            y = rng.integers(picture.shape[0] - edge + 1)
            x = rng.integers(picture.shape[1] - edge + 1)
            crops.append(picture[y : y + edge, x : x + edge])
        return crops

    def own(self, rng: np.random.Generator, size: Size | None = None) -> Any:
        """One of one's own pictures, at `size` or, where no crop fits it, enlarged."""
        for _ in range(_TRIES):
            sample = self.source.sample(rng)
            sizes = [picture.size for picture in sample.document.pictures()]
            if sizes:
                break
        else:
            raise TrainingError(
                f"{self.options.data}: expected documents with pictures, found none among {_TRIES}"
            )
        index = int(rng.integers(len(sizes)))
        width, height = (max(edge, self.options.crop) for edge in sizes[index])
        return sample.resized(size or (width, height)).pixels(index)


def _rendered(rng: np.random.Generator) -> Any:
    scene = sample_scene(rng, size=SIZES[rng.integers(len(SIZES))])
    kind = rng.random()
    if kind < 0.12:
        scene = scene.with_(sticker=True)
    elif kind < 0.24:
        scene = scene.with_(palette=sample_palette(Dice(rng)))
    return render(scene)


class VAEStage:
    """Starts from the checkpoint `start`, or from nothing."""

    def __init__(
        self, config: ModelConfig, options: VAEOptions, seed: int, start: Path | None = None
    ) -> None:
        stays = options.decoder_only or options.anchor > 0
        if stays and start is None:
            name = "decoder_only" if options.decoder_only else "anchor"
            raise TrainingError(f"{name} needs a checkpoint to start from: its latents stay")
        self.config, self.options = config, options
        model = VAE(config.vae) if start is None else load_model(start, "vae", config)
        self.model = model.to(memory_format=torch.channels_last)
        self.model.encoder.requires_grad_(not options.decoder_only)
        self.anchor = (
            deepcopy(self.model.encoder).requires_grad_(False) if options.anchor > 0 else None
        )
        self.normal = (self.model.shift.clone(), self.model.scale.clone()) if stays else None
        self._normalise(0.0, 1.0)
        self.batches = VAEBatches(options, seed)

    def to(self, device: torch.device) -> None:
        self.model.to(device)
        if self.anchor is not None:
            self.anchor.to(device)

    def losses(self, batch: Tensor, step: int) -> Iterator[tuple[Tensor, dict[str, float]]]:
        pixels = premultiply(batch).contiguous(memory_format=torch.channels_last)
        with mixed_precision(batch.device):
            latent = self.model.encode(pixels)
            deviation = 2 * self.options.noise * torch.rand_like(latent[:, :1, :1, :1])
            noisy = latent + deviation * torch.randn_like(latent)
            decoded = self.model.decode(noisy).float()
        error = decoded - pixels
        loss = error.abs().mean() + self.options.squared_weight * error.square().mean()
        edges = error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
        loss = loss + self.options.edge_weight * edges
        loss = loss + self.options.latent_weight * latent.float().square().mean()
        mse = error.detach().clamp(-1, 1).square().mean()
        metrics = {
            "loss": loss.item(),
            "psnr": float(-10 * mse.log10()),
            "latent_rms": float(latent.detach().float().square().mean().sqrt()),
        }
        if self.anchor is not None:
            moved = self._moved(pixels, latent)
            metrics["moved"] = moved.item() ** 0.5
            loss = loss + self.options.anchor * moved
            metrics["loss"] = loss.item()
        yield loss, metrics

    def _moved(self, pixels: Tensor, latent: Tensor) -> Tensor:
        """The mean squared distance of `latent` from where the anchor has it, in deviations."""
        assert self.anchor is not None and self.normal is not None
        with torch.no_grad(), mixed_precision(pixels.device):
            before = self.anchor(pixels * 2 - 1)
        scale = self.normal[1].to(pixels.device)
        return ((latent.float() - before.float()) / scale).square().mean()

    @torch.no_grad()
    def save(self, folder: Path, step: int) -> None:
        """Writes the checkpoint, with the latent's mean and deviation per channel."""
        self._normalise(*(self.normal or self._measured()))
        training = {"stage": "vae", "step": step}
        save_checkpoint(folder / "checkpoint", self.config, vae=self.model, training=training)
        self._normalise(0.0, 1.0)

    def _measured(self) -> tuple[Tensor, Tensor]:
        """The mean and the deviation of the latent's channels, [C, 1, 1] each."""
        batches = VAEBatches(self.options, seed=9_000_001)
        device = self.model.shift.device
        latent = torch.cat(
            [self.model.encode(premultiply(batches(i).to(device))) for i in range(8)]
        )
        per_channel = latent.transpose(0, 1).flatten(1)
        return per_channel.mean(1).view(-1, 1, 1), per_channel.std(1).view(-1, 1, 1)

    def _normalise(self, shift: Tensor | float, scale: Tensor | float) -> None:
        """What latents are moved and divided by: nothing while training."""
        self.model.shift.copy_(torch.as_tensor(shift))
        self.model.scale.copy_(torch.as_tensor(scale))

    @torch.no_grad()
    def sample(self, folder: Path, step: int) -> None:
        """Pictures above their reconstructions: held-out renders, or one's own."""
        pictures = self._shown()
        pixels = premultiply(torch.from_numpy(pictures))
        latent = self.model.encode(pixels.to(self.model.shift.device))
        decoded = straight(self.model.decode(latent)).cpu().numpy()
        sheet = np.concatenate([np.concatenate(list(x), axis=1) for x in (pictures, decoded)])
        (folder / "samples").mkdir(exist_ok=True)
        Image.fromarray(sheet).save(folder / "samples" / f"{step:07d}.png")
        mse = F.mse_loss(premultiply(torch.from_numpy(decoded))[:, :3], pixels[:, :3])
        logger.info("psnr of the sheet %.2f dB", float(-10 * mse.log10()))

    def _shown(self) -> Any:
        """Six pictures, the same every time."""
        rng = np.random.default_rng(123)
        if self.options.data:
            size = (SHOWN, SHOWN)
            return np.stack([self.batches.own(rng, size) for _ in range(6)])
        scenes = [sample_scene(rng, held_out=True) for _ in range(6)]
        scenes[4] = scenes[4].with_(palette=sample_palette(Dice(rng)))
        scenes[5] = scenes[5].with_(sticker=True)
        return np.stack([render(scene) for scene in scenes])
