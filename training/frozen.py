"""What a stage of the visualizer builds on and does not train: planner, autoencoder, drawings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from training.checkpoint import load_checkpoint, save_checkpoint
from training.drawing import DrawingBatches, DrawingOptions
from training.errors import TrainingError
from training.models import VAE, ModelConfig, Planner, Visualizer
from training.sheets import write_sheet
from training.strict import build

M = TypeVar("M", bound=nn.Module)


def _part(model: M | None, name: str, folder: Path) -> M:
    if model is None:
        raise TrainingError(f"{folder} holds no {name}; train that stage first")
    return model


def _frozen(model: M) -> M:
    model.eval().requires_grad_(False)
    return model


def load_planner(folder: Path) -> Planner:
    """The trained planner, frozen."""
    return _frozen(_part(load_checkpoint(folder).planner, "planner", folder))


def load_vae(folder: Path) -> VAE:
    """The trained autoencoder, frozen, in the memory layout that convolutions like."""
    vae = _frozen(_part(load_checkpoint(folder).vae, "VAE", folder))
    return vae.to(memory_format=torch.channels_last)


def load_visualizer(folder: Path) -> Visualizer:
    """The trained visualizer, free to train on."""
    return _part(load_checkpoint(folder).visualizer, "visualizer", folder)


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
        load_planner(planner),
        load_vae(vae),
        tokenizer,
        DrawingBatches(options, seed, tokenizer),
        DrawingBatches(few, 77, tokenizer, held_out=True),
    )
