"""Stages `visualizer` and `dpcw`: flow matching with the planner and the autoencoder frozen.

x_t = (1 - t) x0 + t noise, the target is noise - x0, t is logit-normal. Each picture is noised
`draws` times, so its context is computed once for all of them. The window is the runtime's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from training.drawing import Drawing
from training.frozen import load_visualizer, open_studio
from training.models import ModelConfig, Visualizer
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
        self.options = options
        self.studio = open_studio(config, options.drawing, seed, planner, vae)
        self.batches = self.studio.batches
        if start is None:
            self.model = Visualizer(config)
            self.model.start_from(self.studio.planner)
        else:
            self.model = load_visualizer(start)

    def losses(self, batch: list[Drawing], step: int) -> Iterator[tuple[Tensor, dict[str, float]]]:
        total = sum(len(drawing.target) for drawing in batch)
        for drawing in batch:
            with torch.autocast("cpu", torch.bfloat16):
                context = build_context(
                    self.studio.planner,
                    self.model,
                    self.studio.vae,
                    drawing,
                    self.options.scale_down,
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
        self.studio.save(folder, self.model, {"stage": "visualizer", "step": step})

    def sample(self, folder: Path, step: int) -> None:
        times = np.linspace(1, 0, self.options.sample_steps + 1).tolist()
        self.studio.sample(folder, step, self.model, self.options.scale_down, times)
