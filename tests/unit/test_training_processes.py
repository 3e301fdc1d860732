"""Several training processes: each takes its own batches, all end with the same weights."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="training needs the training extra")

from torch import Tensor, nn  # noqa: E402

from training.loop import Workers, train  # noqa: E402
from training.recipe import LoopConfig  # noqa: E402


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


def run_rank(rank: int, port: int, folder: str, steps: int, seconds: float) -> None:
    os.environ |= {
        "RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    stage = Seen()
    config = LoopConfig(
        steps, seconds, rate=0.1, warmup=1, optimizer="adamw", workers=0, save_every=steps
    )
    train(stage, config, Path(folder), seed=0)
    torch.save((stage.asked, stage.model.weight.detach()), f"{folder}/rank{rank}.pt")
    Workers.join().leave()


def run_two(folder: Path, steps: int, seconds: float = 0.0) -> list[tuple[list[int], Tensor]]:
    """The batches that each of two processes asked for, and the weights it ended with."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = (port, str(folder), steps, seconds)
    torch.multiprocessing.spawn(run_rank, arguments, nprocs=2)
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)]


def test_processes_share_the_batches_and_agree_on_the_weights(tmp_path: Path) -> None:
    first, second = run_two(tmp_path, steps=3)
    assert first[0] == [0, 2, 4]
    assert second[0] == [1, 3, 5]
    assert torch.equal(first[1], second[1])
    assert float(first[1]) != 0.5
    assert (tmp_path / "state.pt").is_file()


def test_processes_end_by_the_clock_of_the_first(tmp_path: Path) -> None:
    first, second = run_two(tmp_path, steps=100_000, seconds=0.5)
    assert len(first[0]) == len(second[0]) < 100_000
    assert torch.equal(first[1], second[1])
