"""The training loop that every stage runs in: steps, schedule, averages, logs, exact resume.

A stage brings a model, a batch for every step number and a loss. Batches depend on (seed, step)
only, so a run that was killed continues as if it had not been; one that ends by the clock may take
other steps. Under torchrun every process takes its own batches and the gradients are averaged. The
loop knows nothing of what is learned.
"""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from tensorboardX import SummaryWriter
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from training.device import CPU, moved
from training.errors import TrainingError
from training.optimizer import Average, build_optimizers, rate_factor
from training.recipe import LoopConfig
from training.workers import Workers

logger = logging.getLogger(__name__)


class Batches(Protocol):
    """Makes the batch of a step, in a worker process: a pure function of the step number."""

    def __call__(self, step: int) -> Any: ...


class Stage(Protocol):
    """What a stage brings to the loop."""

    model: nn.Module
    batches: Batches

    def to(self, device: torch.device) -> None:
        """Moves every model of the stage."""

    def losses(self, batch: Any, step: int) -> Iterator[tuple[Tensor, dict[str, float]]]:
        """The step's micro-batches: each loss is back-propagated as it comes, and they add up."""

    def sample(self, folder: Path, step: int) -> None:
        """Writes something to look at; the model holds the averaged weights meanwhile."""

    def save(self, folder: Path, step: int) -> None:
        """Writes the checkpoint; the model holds the averaged weights meanwhile."""


class _Steps(Dataset[Any]):
    def __init__(self, batches: Batches, steps: int, workers: Workers) -> None:
        self.batches, self.steps, self.workers = batches, steps, workers

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> Any:
        """The batch, or why there is none: what a worker process raises comes with its traceback in
        the message."""
        try:
            return self.batches(step * self.workers.count + self.workers.rank)
        except TrainingError as error:
            return error


def _quiet_worker(_: int) -> None:
    torch.set_num_threads(1)


def train(
    stage: Stage,
    config: LoopConfig,
    folder: Path,
    seed: int,
    device: torch.device = CPU,
    made_of: dict[str, Any] | None = None,
) -> None:
    """Runs `stage` to `config.steps` on `device`, from `folder`'s state where there is one.

    `made_of` is what the result depends on beside `config`, as plain data; a state that is made of
    anything else is refused. Every process returns once the first has written everything.
    """
    folder.mkdir(parents=True, exist_ok=True)
    workers = Workers.join()
    torch.manual_seed(seed)
    stage.to(device)
    optimizers = build_optimizers(stage.model, config)
    average = Average(stage.model, config.ema)
    start, spent = _resume(folder, stage.model, optimizers, average, made_of)
    if config.seconds and spent >= config.seconds:
        logger.info("%s: its %g seconds are spent", folder, config.seconds)
        workers.wait()
        return
    loader = DataLoader(
        _Steps(stage.batches, config.steps, workers),
        batch_size=None,
        sampler=range(start, config.steps),
        num_workers=config.workers,
        prefetch_factor=config.prefetch if config.workers else None,
        worker_init_fn=_quiet_worker,
    )
    log = Metrics(folder, config.log_every, start, quiet=workers.rank > 0)
    parameters = [p for p in stage.model.parameters() if p.requires_grad]
    began = time.monotonic() - spent
    for step, batch in enumerate(loader, start=start):
        if isinstance(batch, TrainingError):
            raise batch
        progress = step / config.steps
        if config.seconds:
            progress = max(progress, workers.agree(time.monotonic() - began) / config.seconds)
        torch.manual_seed((seed * 1_000_003 + step) * workers.count + workers.rank)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["base_rate"] * rate_factor(step, progress, config)
        for loss, metrics in stage.losses(moved(batch, device), step):
            loss.backward()
            log.add(metrics)
        workers.average_gradients(parameters)
        norm = nn.utils.clip_grad_norm_(parameters, config.clip)
        if not torch.isfinite(norm):
            raise TrainingError(f"step {step}: the gradient is not finite; lower the rate")
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        average.update(stage.model, step)
        last = step + 1 == config.steps or progress >= 1
        log.step(step, float(norm))
        if not workers.rank:
            if last or (step + 1) % config.sample_every == 0:
                average.swap(stage.model)
                stage.model.eval()
                stage.save(folder, step + 1)
                stage.sample(folder, step + 1)
                stage.model.train()
                average.swap(stage.model)
                log.show(step, folder / "samples" / f"{step + 1:07d}.png")
            # Last, so that a run whose state says that it is finished has its checkpoint.
            if last or (step + 1) % config.save_every == 0:
                spent = time.monotonic() - began
                _save_state(folder, stage.model, optimizers, average, made_of, step + 1, spent)
        if last:
            break
    log.close()
    workers.wait()


def _resume(
    folder: Path,
    model: nn.Module,
    optimizers: list[torch.optim.Optimizer],
    average: Average,
    made_of: dict[str, Any] | None,
) -> tuple[int, float]:
    """The next step, and the seconds that the run has taken so far."""
    path = folder / "state.pt"
    if not path.is_file():
        return 0, 0.0
    state = torch.load(path, map_location="cpu", weights_only=True)
    _check_same(folder, state.get("made_of"), made_of)
    model.load_state_dict(state["model"])
    for name, value in state["average"].items():
        average.values[name].copy_(value)
    for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
        # Rates are the recipe's, so that a run can go on at another one.
        rates = [group["base_rate"] for group in optimizer.param_groups]
        optimizer.load_state_dict(saved)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["base_rate"] = rate
    logger.info("resumed %s at step %d", folder, state["step"])
    return int(state["step"]), float(state.get("seconds", 0.0))


def _check_same(folder: Path, found: dict[str, Any] | None, wanted: dict[str, Any] | None) -> None:
    """Raises `TrainingError` where the run in `folder` is of another recipe; an old state does not
    say of which."""
    if found is None or wanted is None:
        return
    was, now = _by_path(found), _by_path(wanted)
    differing = [
        f"{name}: expected {now.get(name)!r}, found {was.get(name)!r}"
        for name in sorted(was | now)
        if was.get(name) != now.get(name)
    ]
    if differing:
        raise TrainingError(
            f"{folder} holds a run of another recipe: {'; '.join(differing)}; choose another "
            "--runs, or remove that folder to begin anew"
        )


def _by_path(values: dict[str, Any], path: str = "") -> dict[str, Any]:
    """Every single value by its path: {"options.drawing.pictures": 22}."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        deeper = isinstance(value, dict)
        found |= _by_path(value, f"{path}{name}.") if deeper else {path + name: value}
    return found


def _save_state(
    folder: Path,
    model: nn.Module,
    optimizers: list[torch.optim.Optimizer],
    average: Average,
    made_of: dict[str, Any] | None,
    step: int,
    seconds: float,
) -> None:
    """Written beside and renamed, so a kill in the middle leaves the last good state."""
    state = {
        "model": model.state_dict(),
        "average": average.values,
        "optimizers": [o.state_dict() for o in optimizers],
        "made_of": made_of,
        "step": step,
        "seconds": seconds,
    }
    beside = folder / "state.pt.part"
    torch.save(state, beside)
    os.replace(beside, folder / "state.pt")


class Metrics:
    """Means of the metrics between log lines: as JSON lines, for TensorBoard and for the logger;
    `quiet` says nothing. A run that goes on after `start` steps takes back what was said of later
    ones."""

    def __init__(self, folder: Path, every: int, start: int = 0, quiet: bool = False) -> None:
        self.path, self.every = folder / "metrics.jsonl", every
        self.board: SummaryWriter | None = None
        if not quiet:
            self.board = SummaryWriter(str(folder), purge_step=start + 1, flush_secs=10)
            self._take_back(start)
        self.sums: dict[str, float] = {}
        self.counts: dict[str, int] = {}
        self.since = time.monotonic()

    def _take_back(self, start: int) -> None:
        if self.path.is_file():
            lines = self.path.read_text().splitlines(keepends=True)
            self.path.write_text("".join(line for line in lines if _logged(line) <= start))

    def add(self, metrics: dict[str, float]) -> None:
        for name, value in metrics.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.counts[name] = self.counts.get(name, 0) + 1

    def step(self, step: int, norm: float) -> None:
        self.add({"gradient_norm": norm})
        if self.board is None or (step + 1) % self.every:
            return
        means = {name: self.sums[name] / self.counts[name] for name in self.sums}
        now = time.monotonic()
        means["steps_per_second"] = self.every / (now - self.since)
        self.since, self.sums, self.counts = now, {}, {}
        with self.path.open("a") as file:
            file.write(json.dumps({"step": step + 1, **means}) + "\n")
        for name, value in means.items():
            self.board.add_scalar(name, value, step + 1)
        shown = " ".join(f"{name} {value:.4g}" for name, value in means.items())
        logger.info("step %d %s", step + 1, shown)

    def show(self, step: int, sheet: Path) -> None:
        """A sheet of samples, where the stage draws some."""
        if self.board is not None and sheet.is_file():
            pixels = np.asarray(Image.open(sheet).convert("RGB"))
            self.board.add_image("samples", pixels, step + 1, dataformats="HWC")

    def close(self) -> None:
        if self.board is not None:
            self.board.close()


def _logged(line: str) -> float:
    """The step of a line of the metrics; past all where a kill cut the line off."""
    try:
        return int(json.loads(line)["step"])
    except ValueError:
        return math.inf
