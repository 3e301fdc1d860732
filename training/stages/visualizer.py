"""Stages `visualizer` and `dpcw`: flow matching with the planner and the autoencoder frozen.

x_t = (1 - t) x0 + t noise, the target is noise - x0, t is logit-normal. Each picture is noised
`draws` times, so its context is computed once for all of them. The window is the runtime's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from training.checkpoint import save_checkpoint
from training.drawing import Drawing, DrawingBatches, DrawingOptions
from training.frozen import load_planner, load_vae, load_visualizer
from training.models import ModelConfig, Visualizer
from training.recipe import build
from training.sheets import write_sheet
from training.window import Context, build_context, token_weight


@dataclass(frozen=True)
class VisualizerOptions:
    """`scale_down` 2 trains on pictures of half the edge; `time_mean` moves t towards noise."""

    drawing: dict[str, Any] = field(default_factory=dict)
    scale_down: int = 1
    draws: int = 2
    time_mean: float = 0.0
    time_deviation: float = 1.0
    condition_dropout: float = 0.05
    sample_steps: int = 20


class VisualizerStage:
    def __init__(
        self,
        config: ModelConfig,
        options: VisualizerOptions,
        seed: int,
        planner: Path,
        vae: Path,
        start: Path | None = None,
    ) -> None:
        self.config, self.options = config, options
        self.planner, self.vae = load_planner(planner), load_vae(vae)
        if start is None:
            self.model = Visualizer(config)
            self.model.start_from(self.planner)
        else:
            self.model = load_visualizer(start)
        self.tokenizer_path = planner / "tokenizer.json"
        drawing = build(DrawingOptions, options.drawing, "visualizer: drawing")
        self.batches = DrawingBatches(drawing, seed, self.tokenizer_path)
        shown = replace(drawing, pictures=12, other_sizes=0.0)
        self.held_out = DrawingBatches(shown, 77, self.tokenizer_path, held_out=True)

    def losses(self, batch: list[Drawing], step: int) -> Iterator[tuple[Tensor, dict[str, float]]]:
        total = sum(len(drawing.target) for drawing in batch)
        for drawing in batch:
            with torch.autocast("cpu", torch.bfloat16):
                context = build_context(
                    self.planner, self.model, self.vae, drawing, self.options.scale_down
                )
                error = self._error(context, drawing)
            kind = "with_reference" if len(drawing.references) else "without_reference"
            share = len(drawing.target) / total
            yield error * share, {"loss": error.item(), f"loss_{kind}": error.item()}

    def _error(self, context: Context, drawing: Drawing) -> Tensor:
        """The weighted squared error of the velocity over `draws` noisings."""
        many = context.repeat(self.options.draws)
        noise = torch.randn_like(many.clean)
        t = torch.randn(len(noise)) * self.options.time_deviation + self.options.time_mean
        t = t.sigmoid()
        noisy = (1 - t[:, None, None]) * many.clean + t[:, None, None] * noise
        dropped = torch.rand(len(noise)) < self.options.condition_dropout
        many.mask[dropped, :, :, : drawing.index.shape[1]] = False
        v = self.model(noisy, many.positions, t, many.window, many.mask).float()
        weight = token_weight(drawing, self.options.scale_down).repeat(self.options.draws, 1)
        return ((v - (noise - many.clean)).square().mean(-1) * weight).mean()

    def save(self, folder: Path, step: int) -> None:
        save_checkpoint(
            folder / "checkpoint",
            self.config,
            planner=self.planner,
            visualizer=self.model,
            vae=self.vae,
            tokenizer_path=self.tokenizer_path,
            training={"stage": "visualizer", "step": step},
        )

    def sample(self, folder: Path, step: int) -> None:
        times = np.linspace(1, 0, self.options.sample_steps + 1).tolist()
        models = (self.planner, self.model, self.vae)
        path = folder / "samples" / f"{step:07d}.png"
        write_sheet(path, models, self.held_out(0), self.options.scale_down, times)
