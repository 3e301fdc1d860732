"""What a stage of the visualizer builds on and does not train: planner, autoencoder, drawings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from training.commissions import DrawingOptions
from training.device import mixed_precision, moved
from training.drawing import Drawing, DrawingBatches
from training.errors import TrainingError
from training.models import VAE, ModelConfig, Planner, Visualizer
from training.models.vae import pixel_metric
from training.models.vision import premultiply
from training.sheets import write_sheet
from training.strict import build
from training.window import Prepared, prepare

# The parts of a configuration that a model is made by.
_MADE_BY = {
    "planner": ("twin", "planner"),
    "visualizer": ("twin", "visualizer"),
    "vae": ("vae",),
}


def load_model(folder: Path, name: str, config: ModelConfig) -> Any:
    """The model `name` of the checkpoint in `folder`, which has to be `config`'s."""
    return model_of(load_checkpoint(folder), name, config)


def model_of(checkpoint: Checkpoint, name: str, config: ModelConfig) -> Any:
    """The model `name` of `checkpoint`, which has to be `config`'s."""
    model = getattr(checkpoint, name)
    if model is None:
        raise TrainingError(f"{checkpoint.folder} holds no {name}; train that stage first")
    for part in _MADE_BY[name]:
        found, wanted = getattr(checkpoint.config, part), getattr(config, part)
        if found != wanted:
            raise TrainingError(
                f"{checkpoint.folder}: its {name} is of another configuration: expected {wanted}, "
                f"found {found}; train that stage again, or take the code that it was trained with"
            )
    return model


def load_frozen(folder: Path, name: str, config: ModelConfig) -> Any:
    """As `load_model`, in evaluation and without gradients."""
    return load_model(folder, name, config).eval().requires_grad_(False)


@dataclass(frozen=True)
class Studio:
    """Everything around a visualizer in training; `shown` are held-out drawings to look at."""

    config: ModelConfig
    planner: Planner
    vae: VAE
    tokenizer: Path
    batches: DrawingBatches
    shown: DrawingBatches

    @property
    def device(self) -> torch.device:
        """Where the models are."""
        return self.vae.shift.device

    def to(self, device: torch.device) -> None:
        """Moves the models."""
        self.planner.to(device)
        self.vae.to(device)

    def prepare(self, batch: list[Drawing], scale_down: int) -> list[Prepared]:
        """What the frozen models make of a batch."""
        with mixed_precision(self.device):
            return [
                prepare(self.planner, self.vae, drawing, scale_down)
                for drawing in moved(batch, self.device)
            ]

    def metric(self, share: float) -> Tensor:
        """The factor L [C, C] by which a velocity's errors are weighed, `share` of them as the
        decoder shows them in pixels: a token's error e costs |e L|^2 / C."""
        same = torch.eye(self.config.vae.latent_channels)
        if not share:
            return same
        targets = self.shown(0)[0].target[:4]
        with torch.no_grad():
            latent = self.vae.encode(premultiply(targets))
        return torch.linalg.cholesky((1 - share) * same + share * pixel_metric(self.vae, latent))

    def save(self, folder: Path, visualizer: Visualizer, training: dict[str, Any]) -> None:
        """The whole model as one checkpoint."""
        save_checkpoint(
            folder / "checkpoint",
            self.config,
            planner=self.planner,
            visualizer=visualizer,
            vae=self.vae,
            tokenizer_path=self.tokenizer,
            training=training,
        )

    def sample(
        self, folder: Path, step: int, visualizer: Visualizer, scale_down: int, times: list[float]
    ) -> None:
        """A sheet of the held-out drawings along `times`."""
        path = folder / "samples" / f"{step:07d}.png"
        models = (self.planner, visualizer, self.vae)
        write_sheet(path, models, self.shown(0), scale_down, times)


def open_studio(
    config: ModelConfig, drawing: dict[str, Any], seed: int, planner: Path, vae: Path
) -> Studio:
    """The frozen models of the folders `planner` and `vae`, and drawings by the options."""
    options = build(DrawingOptions, drawing, "options: drawing")
    tokenizer = planner / "tokenizer.json"
    few = replace(options, pictures=12, other_sizes=0.0)
    return Studio(
        config,
        load_frozen(planner, "planner", config),
        # The memory layout that convolutions like.
        load_frozen(vae, "vae", config).to(memory_format=torch.channels_last),
        tokenizer,
        DrawingBatches(options, seed, tokenizer),
        DrawingBatches(few, 77, tokenizer, held_out=True),
    )
