"""Several training processes: each takes its own batches, all end with the same weights."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="training needs the training extra")

from torch import Tensor, nn  # noqa: E402

from training.loop import train  # noqa: E402
from training.recipe import LoopConfig  # noqa: E402
from training.workers import Workers  # noqa: E402


class Seen:
    """A linear stage whose batch is the number that the loop asked for."""

    def __init__(self) -> None:
        self.model = nn.Linear(1, 1, bias=False)
        nn.init.constant_(self.model.weight, 0.5)
        self.asked: list[int] = []

    def batches(self, step: int) -> Tensor:
        self.asked.append(step)
        return torch.tensor([[1.0 + step]])

    def to(self, device: torch.device) -> None:
        self.model.to(device)

    def losses(self, batch: Tensor, step: int) -> Iterator[tuple[Tensor, dict[str, float]]]:
        loss = (self.model(batch) - 3 * batch).square().mean()
        yield loss, {"loss": loss.item()}

    def save(self, folder: Path, step: int) -> None:
        pass

    def sample(self, folder: Path, step: int) -> None:
        pass


class Slow(Seen):
    """Takes its time to write the checkpoint."""

    def save(self, folder: Path, step: int) -> None:
        time.sleep(0.2)
        torch.save(self.model.state_dict(), folder / "checkpoint.pt")


class Once(Seen):
    """Has a matrix that only the first step looks at, and keeps what it is before every step."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Sequential(*(nn.Linear(2, 2, bias=False) for _ in range(2)))
        self.found: list[Tensor] = []

    def losses(self, batch: Tensor, step: int) -> Iterator[tuple[Tensor, dict[str, float]]]:
        self.found.append(self.model[1].weight.detach().clone())
        hidden = self.model[0](batch.expand(1, 2))
        yield (self.model[1](hidden) if step == 0 else hidden).square().mean(), {}


def run_rank(rank: int, port: int, folder: str, work: Callable[[Path], Any]) -> None:
    os.environ |= {
        "RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    torch.save(work(Path(folder)), f"{folder}/rank{rank}.pt")
    Workers.join().leave()


def run_two(folder: Path, work: Callable[[Path], Any]) -> list[Any]:
    """What `work` returns in each of two processes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    torch.multiprocessing.spawn(run_rank, (port, str(folder), work), nprocs=2)
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)]


def config(steps: int, seconds: float = 0.0, optimizer: str = "adamw") -> LoopConfig:
    return LoopConfig(
        steps, seconds, rate=0.1, warmup=1, optimizer=optimizer, workers=0, save_every=steps
    )


def fit(folder: Path, steps: int, seconds: float = 0.0) -> tuple[list[int], Tensor]:
    """The batches that this process asked for, and the weights it ended with."""
    stage = Seen()
    train(stage, config(steps, seconds), folder, seed=0)
    return stage.asked, stage.model.weight.detach()


def fit_twice(folder: Path) -> Tensor:
    """The weights after a second stage, which starts from the checkpoint of the first."""
    first, second = Slow(), Slow()
    train(first, config(2), folder / "first", seed=0)
    second.model.load_state_dict(torch.load(folder / "first/checkpoint.pt", weights_only=True))
    train(second, config(2), folder / "second", seed=0)
    return second.model.weight.detach()


def look_once(folder: Path) -> list[Tensor]:
    stage = Once()
    train(stage, config(3, optimizer="muon"), folder, seed=0)
    return stage.found


def trains_the_tokenizer(folder: Path) -> bool:
    """Whether it is this process that does so, where a planner begins from nothing."""
    from training.models import named_config
    from training.reading import PlannerOptions
    from training.stages import planner

    trained: list[Path] = []
    really = planner.train_tokenizer

    def noted(out: Path, *rest: Any) -> None:
        trained.append(out)
        really(out, *rest)

    planner.train_tokenizer = noted
    options = PlannerOptions(tokenizer_documents=20)
    planner.PlannerStage(named_config("tiny"), options, 0, tokenizer=folder / "tokenizer.json")
    return bool(trained)


def test_a_stage_finds_what_the_one_before_has_written(tmp_path: Path) -> None:
    first, second = run_two(tmp_path, fit_twice)
    assert torch.equal(first, second)


def test_the_first_process_trains_the_tokenizer(tmp_path: Path) -> None:
    assert run_two(tmp_path, trains_the_tokenizer) == [True, False]


def test_a_matrix_without_a_gradient_stays_as_it_is(tmp_path: Path) -> None:
    for found in run_two(tmp_path, look_once):
        assert not torch.equal(found[0], found[1])
        assert torch.equal(found[1], found[2])


def test_processes_share_the_batches_and_agree_on_the_weights(tmp_path: Path) -> None:
    first, second = run_two(tmp_path, partial(fit, steps=3))
    assert first[0] == [0, 2, 4]
    assert second[0] == [1, 3, 5]
    assert torch.equal(first[1], second[1])
    assert float(first[1]) != 0.5
    assert (tmp_path / "state.pt").is_file()


def test_processes_end_by_the_clock_of_the_first(tmp_path: Path) -> None:
    first, second = run_two(tmp_path, partial(fit, steps=100_000, seconds=0.5))
    assert len(first[0]) == len(second[0]) < 100_000
    assert torch.equal(first[1], second[1])
