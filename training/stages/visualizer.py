"""Stages `visualizer` and `dpcw`: flow matching with the planner and the autoencoder frozen.

x_t = (1 - t) x0 + t noise, the target is noise - x0, t is logit-normal. Each picture is noised
`draws` times, so its context is computed once for all of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from training.checkpoint import load_checkpoint, save_checkpoint
from training.drawing import Drawing, DrawingBatches, DrawingOptions
from training.models import ModelConfig, Visualizer
from training.models.vae import grid_of, straight
from training.recipe import build
from training.window import Context, build_context, integrate


@dataclass(frozen=True)
class VisualizerOptions:
    """`scale_down` 2 trains on pictures of half the edge; `time_mean` moves t towards noise."""

    drawing: dict[str, Any] = dataclasses.field(default_factory=dict)
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
        planned, coded = load_checkpoint(planner), load_checkpoint(vae)
        assert planned.planner is not None and coded.vae is not None
        self.planner = planned.planner.eval().requires_grad_(False)
        self.vae = coded.vae.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        self.model = Visualizer(config)
        if start is None:
            self.model.start_from(self.planner)
        else:
            loaded = load_checkpoint(start).visualizer
            assert loaded is not None
            self.model.load_state_dict(loaded.state_dict())
        self.tokenizer_path = planner / "tokenizer.json"
        drawing = build(DrawingOptions, options.drawing, "visualizer: drawing")
        self.batches = DrawingBatches(drawing, seed, self.tokenizer_path)
        held = dataclasses.replace(drawing, pictures=12, other_sizes=0.0)
        self.held_out = DrawingBatches(held, 77, self.tokenizer_path, held_out=True)

    def losses(self, batch: list[Drawing], step: int) -> Iterator[tuple[Tensor, dict[str, float]]]:
        total = sum(len(drawing.target) for drawing in batch)
        for drawing in batch:
            with torch.autocast("cpu", torch.bfloat16):
                context = build_context(
                    self.planner, self.model, self.vae, drawing, self.options.scale_down
                )
                error = self._errors(context, drawing)
            share = len(drawing.target) / total
            kind = ("none", "one", "more")[
                min(2, int(drawing.reference_slots.max()) + 1 if len(drawing.references) else 0)
            ]
            yield error * share, {"loss": error.item(), f"loss_{kind}": error.item()}

    def _errors(self, context: Context, drawing: Drawing) -> Tensor:
        """The weighted squared error of the velocity over `draws` noisings."""
        draws = self.options.draws
        clean = context.clean.repeat(draws, 1, 1)
        noise = torch.randn_like(clean)
        t = torch.randn(len(clean)) * self.options.time_deviation + self.options.time_mean
        t = t.sigmoid()
        noisy = (1 - t[:, None, None]) * clean + t[:, None, None] * noise
        window = [(k.repeat(draws, 1, 1, 1), v.repeat(draws, 1, 1, 1)) for k, v in context.window]
        mask = context.mask.repeat(draws, 1, 1, 1)
        dropped = torch.rand(len(clean)) < self.options.condition_dropout
        rows = drawing.index.shape[1]
        mask[dropped, :, :, :rows] = False
        v = self.model(noisy, context.positions, t, window, mask).float()
        weight = shrink_weight(drawing.weight, drawing.target, self.options.scale_down)
        square = (v - (noise - clean)).square().mean(-1)
        return (square * weight.repeat(draws, 1)).mean()

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

    @torch.no_grad()
    def sample(self, folder: Path, step: int) -> None:
        """Held-out pictures: the truth above, what the model draws below."""
        times = np.linspace(1, 0, self.options.sample_steps + 1).tolist()
        write_sheet(self, folder / "samples" / f"{step:07d}.png", times)


def shrink_weight(weight: Tensor, target: Tensor, scale_down: int) -> Tensor:
    """Token weights at full size [B, h * w] averaged to the grid that is trained."""
    if scale_down == 1:
        return weight
    rows, columns = target.shape[1] // 16, target.shape[2] // 16
    grid = weight.view(-1, 1, rows, columns)
    return torch.nn.functional.avg_pool2d(grid, scale_down, ceil_mode=True).flatten(1)


@torch.no_grad()
def write_sheet(stage: Any, path: Path, times: list[float]) -> None:
    """A sheet of held-out pictures, drawn along `times`, below their truths."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = []
    generator = torch.Generator().manual_seed(0)
    for drawing in stage.held_out(0):
        with torch.autocast("cpu", torch.bfloat16):
            context = build_context(
                stage.planner, stage.model, stage.vae, drawing, stage.options.scale_down
            )
            noise = torch.randn(context.clean.shape, generator=generator)
            drawn = integrate(stage.model, context, noise, times)
        for latent in (context.clean, drawn):
            pictures = straight(stage.vae.decode(grid_of(latent, *context.grid))).numpy()
            columns.append(np.concatenate(list(pictures), axis=1))
    widest = max(row.shape[1] for row in columns)
    padded = [np.pad(row, ((0, 0), (0, widest - row.shape[1]), (0, 0))) for row in columns]
    Image.fromarray(np.concatenate(padded)).save(path)
