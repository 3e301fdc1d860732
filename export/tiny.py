"""A tiny bundle of random weights, for tests: real graphs and a real manifest in seconds."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from torch import nn

from export.manifest import Limits
from export.pipeline import Options, export_bundle
from training.checkpoint import save_checkpoint
from training.models import VAE, Planner, Visualizer, named_config
from training.tokenizer import train_tokenizer

LIMITS = Limits(capacity=1024, max_references=3, default_size=(64, 64))
DOCUMENTS = 20
TIMES = (1.0, 0.75, 0.5, 0.25, 0.0)


def build_tiny_checkpoint(folder: Path | str, seed: int = 0) -> Path:
    """A complete checkpoint of the `tiny` configuration; every weight is random, none is zero."""
    config = named_config("tiny")
    with torch.random.fork_rng(devices=[]), tempfile.TemporaryDirectory() as scratch:
        torch.manual_seed(seed)
        models = Planner(config), Visualizer(config), VAE(config.vae)
        for model in models:
            _stir(model)
        tokenizer = Path(scratch) / "tokenizer.json"
        train_tokenizer(tokenizer, documents=DOCUMENTS, seed=0)
        training = {"stage": "random", "step": 0, "schedule": {"4": list(TIMES)}}
        return save_checkpoint(folder, config, *models, tokenizer, training)


def build_tiny_bundle(
    folder: Path | str, seed: int = 0, precisions: tuple[str, ...] = ("fp32",), verify: bool = False
) -> Path:
    """A bundle of the tiny checkpoint in `folder`, which must not exist or be a bundle."""
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint = build_tiny_checkpoint(Path(scratch) / "checkpoint", seed)
        options = Options(precisions=precisions, verify=verify, limits=LIMITS)
        export_bundle(checkpoint, folder, options)
    return Path(folder)


def _stir(model: nn.Module) -> None:
    """Replaces what starts as zeros or ones, so that nothing is left out of a comparison."""
    for parameter in model.parameters():
        flat = parameter.data.flatten()
        if bool((flat == flat[0]).all()):
            parameter.data.add_(torch.randn_like(parameter) * 0.05)
