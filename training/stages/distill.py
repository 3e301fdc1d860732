"""Stage `distill`, part (A): trajectory regression to a student of K steps.

The time axis is cut into K segments. From a noisy x at the start t_k of a segment the frozen
teacher integrates its ODE to the segment's end, y = ODE(x; t_k -> t_{k-1}), in `teacher_steps`
Euler steps; the student learns the straight line between them:
| (v(x, t_k) - (x - y) / (t_k - t_{k-1})) L |^2 with L as in `Studio.metric` (Wan-Weaver; TDM, Luo
et al. 2025, part A). Where words and references settle what a token shows, and x is a noised truth,
part of y may be the truth instead: the teacher is not always right, and what it leaves open it must
still decide. Where the noise is made to settle that (`training.coupling`), so it may everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from training.coupling import coupled_noise, decided_weight
from training.device import mixed_precision
from training.drawing import Drawing
from training.errors import TrainingError
from training.frozen import load_frozen, load_model, open_studio
from training.models import ModelConfig, Visualizer
from training.revisits import Revisits, Visit
from training.window import (
    Context,
    Prepared,
    commit_references,
    focus,
    focused_references,
    integrate,
    planner_window,
    settled_tokens,
    shares,
    token_weight,
    velocity,
)


@dataclass(frozen=True)
class Lesson:
    """A drawing as the teacher and as the student see it: their planners may differ."""

    teacher: Prepared
    student: Prepared


@dataclass(frozen=True)
class StudentOptions:
    """`times` is the student's schedule from 1 to 0. `focus`, `focus_share`, `pixel_share`, `block`
    and `visits` are those of the visualizer's stage."""

    drawing: dict[str, Any] = field(default_factory=dict)
    scale_down: int = 1
    times: tuple[float, ...] = (1.0, 0.9, 0.72, 0.42, 0.0)
    focus: float = 0.45
    focus_share: float = 0.0
    pixel_share: float = 0.0
    block: int = 64
    visits: int = 1


@dataclass(frozen=True)
class DistillOptions(StudentOptions):
    """Each picture is noised `draws` times over, so its context is computed once for all of them.
    `on_policy` is the share of starts that the student itself reached from noise, so it learns to
    continue from its own mistakes. `truth` says for each segment, the noisiest first, how much of
    the target is the truth on settled tokens; none in the segments that it does not name, nor where
    the student got to by itself. With `coupled` the noise that it started from settles what nothing
    else does: there the truth alone is the target, and counts where the student got to. A token's
    error counts by its square up to about `huber`, beyond by its size, so that where the student is
    in doubt it decides and does not blur (Song & Dhariwal 2023); 0 squares all."""

    teacher_steps: int = 4
    draws: int = 1
    on_policy: float = 0.3
    truth: tuple[float, ...] = ()
    coupled: bool = False
    huber: float = 0.0


def fewer_steps(times: Sequence[float]) -> dict[str, list[float]]:
    """By the number of steps: the schedule, and those that go several of its segments at once."""
    steps = len(times) - 1
    return {str(n): list(times[:: steps // n]) for n in range(1, steps + 1) if steps % n == 0}


class StudentStage:
    """What both parts share: a student of few steps beside its frozen teacher. Where the student
    is to work with another planner, `planner`, the teacher still sees its own."""

    name: str

    def __init__(
        self,
        config: ModelConfig,
        options: StudentOptions,
        seed: int,
        teacher: Path,
        start: Path,
        planner: Path | None = None,
    ) -> None:
        self.options = options
        self.studio = open_studio(config, options.drawing, seed, planner or teacher, teacher)
        self.teachers_planner = self.studio.planner
        if planner is not None:
            self.teachers_planner = load_frozen(teacher, "planner", config)
        self.batches: Revisits[list[Lesson]] = Revisits(
            self.studio.batches, options.block, options.visits
        )
        self.teacher = load_frozen(teacher, "visualizer", config)
        self.student = load_model(start, "visualizer", config)
        self.model: nn.Module = self.student
        self.metric = self.studio.metric(options.pixel_share)

    def to(self, device: torch.device) -> None:
        self.studio.to(device)
        self.teachers_planner.to(device)
        self.teacher.to(device)
        self.model.to(device)
        self.metric = self.metric.to(device)

    def shares(self, batch: Visit) -> Iterator[tuple[Lesson, float]]:
        """The batch's parts, and each one's share of its pictures."""
        lessons = self.batches.prepared(batch, self._prepare)
        parts = shares([lesson.student for lesson in lessons])
        for lesson, (_, share) in zip(lessons, parts, strict=True):
            yield lesson, share

    def _prepare(self, batch: list[Drawing]) -> list[Lesson]:
        seen = self.studio.prepare(batch, self.options.scale_down)
        if self.teachers_planner is self.studio.planner:
            return [Lesson(prepared, prepared) for prepared in seen]
        with mixed_precision(self.studio.device):
            windows = [planner_window(self.teachers_planner, prepared.drawing) for prepared in seen]
        return [
            Lesson(replace(prepared, window=window), prepared)
            for prepared, window in zip(seen, windows, strict=True)
        ]

    def contexts(
        self, lesson: Lesson, *visualizers: Visualizer
    ) -> tuple[Tensor, Tensor, list[Context]]:
        """The weight of the tokens [B, K] that are there, how settled they are, and what each of
        `visualizers` sees: the teacher what its planner made, the others what the student's did."""
        scale_down, share = self.options.scale_down, self.options.focus
        drawing = lesson.student.drawing
        weight, settled = token_weight(drawing, scale_down), settled_tokens(drawing, scale_down)
        focused = float(torch.rand(())) < self.options.focus_share
        references = focused_references(lesson.student, share, scale_down) if focused else None
        contexts = [
            commit_references(
                v, lesson.teacher if v is self.teacher else lesson.student, references
            )
            for v in visualizers
        ]
        if focused:
            chosen = focus(weight, share)
            contexts = [context.focused(chosen) for context in contexts]
            weight, settled = weight.gather(1, chosen), settled.gather(1, chosen)
        return weight, settled, contexts

    def segment(self) -> tuple[int, float, float]:
        """A segment of the schedule, its start and its end. One for a group of drawings, so that
        the models go through it together."""
        times = self.options.times
        k = int(torch.randint(len(times) - 1, ()))
        return k, times[k], times[k + 1]

    def reached(self, context: Context, noise: Tensor, segment: int) -> Tensor:
        """Where the student's own steps lead from `noise`: x at the segment's start."""
        times = list(self.options.times[: segment + 1])
        return integrate(self.student, context, noise, times)

    def save(self, folder: Path, step: int) -> None:
        schedule = fewer_steps(self.options.times)
        training = {"stage": self.name, "step": step, "schedule": schedule}
        self.studio.save(folder, self.student, training)

    def sample(self, folder: Path, step: int) -> None:
        """The student beside the truth, along its own schedule."""
        times = list(self.options.times)
        self.studio.sample(folder, step, self.student, self.options.scale_down, times)


class DistillStage(StudentStage):
    name = "distill"

    def __init__(
        self,
        config: ModelConfig,
        options: DistillOptions,
        seed: int,
        teacher: Path,
        planner: Path | None = None,
        start: Path | None = None,
    ) -> None:
        settle = options.coupled or any(options.truth)
        options = replace(options, drawing={**options.drawing, "settle": settle})
        super().__init__(config, options, seed, teacher, start or teacher, planner)
        self.teacher_steps, self.on_policy = options.teacher_steps, options.on_policy
        self.draws, self.huber = options.draws, options.huber
        segments = len(options.times) - 1
        if len(options.truth) > segments:
            raise TrainingError(
                f"truth: expected a share for each of {segments} segments at most, found "
                f"{len(options.truth)}"
            )
        self.truth = (*options.truth, *[0.0] * (segments - len(options.truth)))
        self.coupled = options.coupled

    def losses(self, batch: Visit, step: int) -> Iterator[tuple[Tensor, dict[str, float]]]:
        for lesson, share in self.shares(batch):
            with mixed_precision(self.studio.device):
                error = self._error(lesson)
            yield error * share, {"loss": error.item()}

    def _error(self, lesson: Lesson) -> Tensor:
        k, start, end = self.segment()
        # What the truth alone is the target for needs no teacher.
        follow = not self.coupled or self.truth[k] < 1
        visualizers = (self.student, self.teacher) if follow else (self.student,)
        weight, settled, contexts = self.contexts(lesson, *visualizers)
        own, *teachers = [context.repeat(self.draws) for context in contexts]
        weight, settled = weight.repeat(self.draws, 1), settled.repeat(self.draws, 1)
        with torch.no_grad():
            markings = lesson.student.drawing.markings
            clean = own.clean
            noise = coupled_noise(clean, markings) if self.coupled else torch.randn_like(clean)
            on_policy = k > 0 and float(torch.rand(())) < self.on_policy
            x = self.reached(own, noise, k) if on_policy else clean.lerp(noise, start)
            share = torch.zeros_like(settled)
            if self.coupled:
                share, weight = 1 - (1 - self.truth[k]) * settled, decided_weight(weight, settled)
            elif not on_policy:
                share = self.truth[k] * settled
            target = (x - clean) / start
            if follow:
                led = (x - self._follow(teachers[0], x, start, end)) / (start - end)
                target = led.lerp(target, share[..., None])
        missed = (velocity(self.student, own, x, start) - target) @ self.metric
        return (self._size(missed.square().mean(-1)) * weight).mean()

    def _size(self, error: Tensor) -> Tensor:
        """Mean squared errors of tokens as a pseudo-Huber loss, which is the same where they are
        small."""
        if not self.huber:
            return error
        return 2 * self.huber * ((error + self.huber**2).sqrt() - self.huber)

    def _follow(self, context: Context, x: Tensor, start: float, end: float) -> Tensor:
        """The teacher's ODE from `start` to `end`."""
        points = torch.linspace(start, end, self.teacher_steps + 1).tolist()
        return integrate(self.teacher, context, x, points)
