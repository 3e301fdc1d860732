"""Stage `visualizer`, of three recipes: flow matching with the planner and the autoencoder frozen.

x_t = (1 - t) x0 + t noise, the target is noise - x0, t is logit-normal. Each picture is noised
`draws` times, so its context is computed once for all of them. The window is the runtime's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from training.coupling import coupled_noise, decided_weight
from training.device import mixed_precision
from training.drawing import Drawing
from training.frozen import load_model, open_studio
from training.labels import CLASSES, NOTHING
from training.models import ModelConfig, Visualizer
from training.models.probe import Probe
from training.revisits import Revisits, Visit
from training.window import (
    Context,
    Prepared,
    commit_references,
    focus,
    focused_references,
    integrate,
    settled_tokens,
    shares,
    shifted_times,
    take_tokens,
    token_labels,
    token_weight,
)

# What an exported bundle offers before a student is distilled.
STEPS, DEFAULT_STEPS = (1, 2, 4, 8, 16, 50), 4


@dataclass(frozen=True)
class VisualizerOptions:
    """`scale_down` 2 trains on pictures of half the edge; `time_mean` moves t towards noise. In
    the share `focus_share` of the batches only the share `focus` of the tokens is there, rather
    those under figures than others. In the share `on_policy` the model goes on from where its own
    steps led, towards the truth where words and references settle it, and so learns to mend what it
    began badly. With `coupled` the noise that truths are noised with, or that its own steps start
    from, settles what nothing else does. `probe_weight` weighs the probe's loss. `pixel_share` of
    the velocity's error is weighed as the decoder shows it in pixels. Blocks of `block` batches are
    gone through `visits` times. `sample_shift` moves the steps of drawing towards noise, in samples
    and in what is exported."""

    drawing: dict[str, Any] = field(default_factory=dict)
    scale_down: int = 1
    draws: int = 2
    time_mean: float = 0.0
    time_deviation: float = 1.0
    on_policy: float = 0.0
    coupled: bool = False
    condition_dropout: float = 0.05
    focus: float = 0.45
    focus_share: float = 0.8
    probe_weight: float = 0.3
    pixel_share: float = 0.0
    block: int = 64
    visits: int = 1
    sample_steps: int = 20
    sample_shift: float = 1.0


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
        drawing = {**options.drawing, "settle": options.coupled or options.on_policy > 0}
        self.studio = open_studio(config, drawing, seed, planner, vae)
        self.batches: Revisits[list[Prepared]] = Revisits(
            self.studio.batches, options.block, options.visits
        )
        if start is None:
            self.visualizer = Visualizer(config)
            self.visualizer.start_from(self.studio.planner)
        else:
            self.visualizer = load_model(start, "visualizer", config)
        probe = Probe(config.twin.width, CLASSES, NOTHING)
        self.probe = probe
        self.model = nn.ModuleDict({"visualizer": self.visualizer, "probe": probe})
        self.metric = self.studio.metric(options.pixel_share)

    def to(self, device: torch.device) -> None:
        self.studio.to(device)
        self.model.to(device)
        self.metric = self.metric.to(device)

    def _prepare(self, batch: list[Drawing]) -> list[Prepared]:
        return self.studio.prepare(batch, self.options.scale_down)

    def _context(self, prepared: Prepared, focused: bool) -> Context:
        """The window of a drawing; `focused`, of its references only part is there too."""
        share, chosen = self.options.focus, None
        if focused:
            chosen = focused_references(prepared, share, self.options.scale_down)
        return commit_references(self.visualizer, prepared, chosen)

    def losses(self, batch: Visit, step: int) -> Iterator[tuple[Tensor, dict[str, float]]]:
        draws = self.options.draws
        for prepared, part in shares(self.batches.prepared(batch, self._prepare)):
            drawing = prepared.drawing
            focused = float(torch.rand(())) < self.options.focus_share
            with mixed_precision(self.studio.device):
                context = self._context(prepared, focused)
            kind = "with_reference" if len(drawing.references) else "without_reference"
            # One backward pass through what the draws share, a commit pass or a planner that
            # learns; else draw by draw, which takes less memory.
            learned = any(k.requires_grad for k, _ in context.window)
            for count in [draws] if learned else [1] * draws:
                with mixed_precision(self.studio.device):
                    error, reading = self._errors(context.repeat(count), drawing, focused)
                metrics = {f"loss_{kind}": error.item(), f"probe_{kind}": reading.item()}
                share = part * count / draws
                yield (error + self.options.probe_weight * reading) * share, metrics

    def _errors(self, many: Context, drawing: Drawing, focused: bool) -> tuple[Tensor, Tensor]:
        """The weighted squared error of the velocity and the probe's error, with one noise each for
        the samples of `many`: those of `drawing`, once or several times over."""
        options = self.options
        count = len(many.clean) // len(drawing.target)
        dropped = torch.rand(len(many.clean), device=many.clean.device) < options.condition_dropout
        many.mask[..., : drawing.index.shape[1]] &= ~dropped[:, None, None, None]
        weight = token_weight(drawing, options.scale_down).repeat(count, 1)
        labels = token_labels(drawing, options.scale_down).repeat(count, 1, 1)
        on_policy = float(torch.rand(())) < options.on_policy
        settled = settled_tokens(drawing, options.scale_down).repeat(count, 1)
        counted = weight
        if options.coupled:
            counted = decided_weight(weight, settled)
        elif on_policy:
            # Its own steps have chosen what nothing settles; the truth would teach it to waver.
            counted = weight * settled
        if focused:
            chosen = focus(weight, options.focus)
            many, labels = many.focused(chosen), take_tokens(labels, chosen)
            counted = counted.gather(1, chosen)
        clean, free = many.clean, drawing.markings
        noise = coupled_noise(clean, free) if options.coupled else torch.randn_like(clean)
        x, t = self._own_way(many, noise) if on_policy else self._noised(many, noise)
        v = (x - clean) / t[:, None, None]
        drawn, hidden = self.visualizer.observed(
            x, many.positions, t, many.window, many.mask, many.grid
        )
        missed = (drawn.float() - v) @ self.metric
        error = (missed.square().mean(-1) * counted).mean()
        return error, self.probe(hidden, labels)

    def _noised(self, many: Context, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Noised truths x [B, T, C] and their times [B]."""
        options = self.options
        t = torch.randn(len(noise), device=noise.device)
        t = (t * options.time_deviation + options.time_mean).sigmoid()
        return (1 - t[:, None, None]) * many.clean + t[:, None, None] * noise, t

    def _own_way(self, many: Context, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Where the model itself came to from noise after one or more steps of its schedule."""
        times = shifted_times(DEFAULT_STEPS, self.options.sample_shift)
        step = 1 + int(torch.randint(DEFAULT_STEPS - 1, ()))
        x = integrate(self.visualizer, many, noise, times[: step + 1])
        return x, torch.full((len(x),), times[step], device=x.device)

    def save(self, folder: Path, step: int) -> None:
        shift = self.options.sample_shift
        training = {
            "stage": "visualizer",
            "step": step,
            "schedule": {str(n): shifted_times(n, shift) for n in STEPS},
            "default_steps": DEFAULT_STEPS,
        }
        self.studio.save(folder, self.visualizer, training)

    def sample(self, folder: Path, step: int) -> None:
        times = shifted_times(self.options.sample_steps, self.options.sample_shift)
        self.studio.sample(folder, step, self.visualizer, self.options.scale_down, times)
