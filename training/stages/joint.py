"""Stage `joint`: planner and visualizer learn together, the flow loss through the window into the
planner. What the decoupled stages are compared with (Wan-Weaver's ablation), not part of the chain.

A step takes a batch of each of the two stages; their losses are added.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from training.checkpoint import load_checkpoint
from training.errors import TrainingError
from training.models import ModelConfig
from training.reading import PlannerBatch, PlannerOptions
from training.revisits import Visit
from training.stages.planner import PlannerStage
from training.stages.visualizer import VisualizerOptions, VisualizerStage
from training.strict import build


@dataclass(frozen=True)
class JointOptions:
    """The options of the stages `planner` and `visualizer`; of the latter `visits` is 1, for the
    planner's part of a window changes with every step."""

    planner: dict[str, Any] = field(default_factory=dict)
    visualizer: dict[str, Any] = field(default_factory=dict)


class _Pairs:
    """The batches of both stages."""

    def __init__(self, reading: PlannerStage, drawing: VisualizerStage) -> None:
        self.reading, self.drawing = reading.batches, drawing.batches

    def __call__(self, step: int) -> tuple[PlannerBatch, Visit]:
        return self.reading(step), self.drawing(step)


class JointStage:
    """Starts from the planner of the checkpoint `start`, and from its visualizer where there is
    one."""

    def __init__(
        self, config: ModelConfig, options: JointOptions, seed: int, start: Path, vae: Path
    ) -> None:
        reads = build(PlannerOptions, options.planner, "joint: options: planner")
        draws = build(VisualizerOptions, options.visualizer, "joint: options: visualizer")
        if draws.visits != 1:
            raise TrainingError(f"joint: options: visualizer: visits is {draws.visits}, expected 1")
        self.reading = PlannerStage(config, reads, seed, start=start)
        drawn = start if load_checkpoint(start).visualizer is not None else None
        self.drawing = VisualizerStage(config, draws, seed, planner=start, vae=vae, start=drawn)
        # One planner for both, which is not frozen: so the window carries gradients into it.
        self.drawing.studio = replace(self.drawing.studio, planner=self.reading.planner)
        self.model = nn.ModuleDict({"reading": self.reading.model, "drawing": self.drawing.model})
        self.batches = _Pairs(self.reading, self.drawing)

    def to(self, device: torch.device) -> None:
        self.reading.to(device)
        self.drawing.to(device)

    def losses(
        self, batch: tuple[PlannerBatch, Visit], step: int
    ) -> Iterator[tuple[Tensor, dict[str, float]]]:
        documents, drawings = batch
        yield from self.reading.losses(documents, step)
        yield from self.drawing.losses(drawings, step)

    def save(self, folder: Path, step: int) -> None:
        self.drawing.save(folder, step)

    def sample(self, folder: Path, step: int) -> None:
        self.drawing.sample(folder, step)
