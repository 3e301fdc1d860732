"""Every stage stays on the device it was moved to: shown on the meta device, without a GPU."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="training needs the training extra")

from torch.fx.experimental import _config  # noqa: E402

from training.device import choose_device, moved  # noqa: E402
from training.errors import TrainingError  # noqa: E402
from training.loop import Stage  # noqa: E402
from training.models import named_config  # noqa: E402
from training.reading import PlannerOptions  # noqa: E402
from training.stages.distill import DistillOptions, DistillStage  # noqa: E402
from training.stages.match import MatchOptions, MatchStage  # noqa: E402
from training.stages.planner import PlannerStage  # noqa: E402
from training.stages.vae import VAEOptions, VAEStage  # noqa: E402
from training.stages.visualizer import VisualizerOptions, VisualizerStage  # noqa: E402

TINY = named_config("tiny")


def test_an_unknown_device_is_named() -> None:
    with pytest.raises(TrainingError, match=r"'tpu', expected auto, cpu or cuda"):
        choose_device("tpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_without_a_gpu_says_so() -> None:
    with pytest.raises(TrainingError, match="sees no GPU"):
        choose_device("cuda")
    assert choose_device("auto").type == "cpu"


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> torch.device:
    """A device that is not the CPU and keeps no values: what is read from it is 0."""
    monkeypatch.setattr(torch.Tensor, "item", lambda self: 0)
    monkeypatch.setattr(torch.Tensor, "__int__", lambda self: 0)
    monkeypatch.setattr(torch.Tensor, "__float__", lambda self: 0.0)
    monkeypatch.setattr(_config, "meta_nonzero_assume_all_nonzero", True, raising=False)
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    return torch.device("meta")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from export.tiny import build_tiny_checkpoint

    return build_tiny_checkpoint(tmp_path_factory.mktemp("tiny") / "checkpoint")


@pytest.fixture(scope="module")
def stages(checkpoint: Path) -> dict[str, Stage]:
    drawing = {"pictures": 2, "tasks": ("t2i", "edit"), "weights": (1.0, 1.0)}
    every = {"planner": checkpoint, "vae": checkpoint, "start": checkpoint}
    return {
        "vae": VAEStage(TINY, VAEOptions(batch=2, crop=64), 0),
        "planner": PlannerStage(TINY, PlannerOptions(documents=2), 0, start=checkpoint),
        "visualizer": VisualizerStage(TINY, VisualizerOptions(drawing), 0, **every),
        "distill": DistillStage(
            TINY, DistillOptions(drawing, times=(1.0, 0.5, 0.0)), 0, teacher=checkpoint
        ),
        "match": MatchStage(TINY, MatchOptions(drawing), 0, teacher=checkpoint, start=checkpoint),
    }


@pytest.fixture(scope="module")
def batches(stages: dict[str, Stage]) -> dict[str, Any]:
    return {name: stage.batches(1) for name, stage in stages.items()}


@pytest.mark.parametrize("name", ["vae", "planner", "visualizer", "distill", "match"])
def test_a_step_stays_on_its_device(
    name: str, stages: dict[str, Stage], batches: dict[str, Any], elsewhere: torch.device
) -> None:
    stage = stages[name]
    stage.to(elsewhere)
    count = 0
    for loss, _ in stage.losses(moved(batches[name], elsewhere), 0):
        assert loss.device.type == "meta"
        loss.backward()
        count += 1
    assert count
    assert {p.grad.device.type for p in stage.model.parameters() if p.grad is not None} == {"meta"}
