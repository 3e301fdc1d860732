"""Stage `match`, part (B) of distillation: the student's distribution is moved onto the teacher's
along the student's own trajectory (trajectory distribution matching, Luo et al. 2025).

The student goes from noise to the start s of a segment, and with one step of its own to the end e:
x_e. That point is noised on to a time t between, as the flow's forward process would,
| x_t = a x_e + sigma noise,  a = (1 - t) / (1 - e),  sigma^2 = t^2 - a^2 e^2,
where the teacher says how real pictures look and the fake-score network, which learns from such
x_t alone, how the student's do. The student's point moves by the difference of the two. Segments
do not overlap, so one network tells them apart by t.

A fake-score network that lags behind misleads: the student learns in one step of `every`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from training.device import mixed_precision
from training.frozen import load_model
from training.models import ModelConfig
from training.revisits import Visit
from training.stages.distill import Lesson, StudentOptions, StudentStage
from training.window import Context, velocity

# Of a segment, from its end: nearer to it the noise that is added vanishes.
NEAREST = 0.1


@dataclass(frozen=True)
class MatchOptions(StudentOptions):
    """`every`: in one step of so many the student learns too."""

    every: int = 2


@dataclass(frozen=True)
class Noised:
    """x_t [B, T, C] of points x_e at time `end`, at the times t [B]."""

    x: Tensor
    t: Tensor
    end: float
    sigma: Tensor
    a: Tensor


def noised(point: Tensor, start: float, end: float) -> Noised:
    """Points [B, T, C] at time `end`, noised on to times between `end` and `start`."""
    between = NEAREST + (1 - NEAREST) * torch.rand(len(point), device=point.device)
    t = end + (start - end) * between
    a = ((1 - t) / (1 - end))[:, None, None]
    sigma = (t[:, None, None].square() - (a * end).square()).sqrt()
    return Noised(a * point + sigma * torch.randn_like(point), t, end, sigma, a)


def point_velocity(at: Noised, point: Tensor) -> Tensor:
    """The velocity whose score is that of x_t given the point: its mean over points is what the
    fake-score network learns. With the point at time 0 it is noise - point."""
    t = at.t[:, None, None]
    seen = at.x * ((1 - at.end) + at.a * at.end**2 / t) - point
    return seen * t / (at.sigma.square() * (1 - at.end))


class MatchStage(StudentStage):
    name = "match"

    def __init__(
        self,
        config: ModelConfig,
        options: MatchOptions,
        seed: int,
        teacher: Path,
        start: Path,
        planner: Path | None = None,
    ) -> None:
        super().__init__(config, options, seed, teacher, start, planner)
        self.every = options.every
        self.fake = load_model(teacher, "visualizer", config)
        self.model = nn.ModuleDict({"student": self.student, "fake": self.fake})

    def losses(self, batch: Visit, step: int) -> Iterator[tuple[Tensor, dict[str, float]]]:
        for lesson, share in self.shares(batch):
            with mixed_precision(self.studio.device):
                fake, student = self._pair(lesson, learns=step % self.every == 0)
            yield fake * share, {"fake": fake.item()}
            if student is not None:
                yield student * share, {"student": student.item()}

    def _pair(self, lesson: Lesson, learns: bool) -> tuple[Tensor, Tensor | None]:
        """The errors of the fake-score network and, where it `learns`, of the student."""
        weight, _, (context, own, other) = self.contexts(
            lesson, self.teacher, self.student, self.fake
        )
        k, start, end = self.segment()
        with torch.set_grad_enabled(learns):
            point = self._point(own, k)
        at = noised(point.detach(), start, end)
        v = velocity(self.fake, other, at.x, at.t)
        missed = v - point_velocity(at, point.detach())
        fake = (missed.square().mean(-1) * weight).mean()
        if not learns:
            return fake, None
        with torch.no_grad():
            real = velocity(self.teacher, context, at.x, at.t)
            t = at.t[:, None, None]
            # In pictures: the teacher's expectation is x_t - t v. Normalised as in Yin et al. 2024.
            apart = t * (v.detach() - real)
            size = (point - (at.x - t * real)).abs().mean((1, 2), keepdim=True)
            target = point + apart / size.clamp(min=1e-3)
        missed = (point - target) @ self.metric
        return fake, (missed.square().mean(-1) * weight).mean() / 2

    def _point(self, own: Context, k: int) -> Tensor:
        """Where the student's step through segment `k` ends, from its own way there."""
        x, times = self.reached(own, torch.randn_like(own.clean), k), self.options.times
        return x + (times[k + 1] - times[k]) * velocity(self.student, own, x, times[k])
