"""The parts of a checkpoint that a stage builds on and does not train."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from training.checkpoint import load_checkpoint
from training.errors import TrainingError
from training.models import VAE, Planner, Visualizer

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
