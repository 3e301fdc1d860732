"""The papers' claims: their arms are recipes, their measures those of any checkpoint."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install -e '.[training]'")

from training.claims.__main__ import main, measure, recipe, wanted  # noqa: E402
from training.claims.arms import ARMS, CLAIMS, VAE, counted, mixture  # noqa: E402
from training.claims.measures import everything, schedules  # noqa: E402
from training.claims.table import table  # noqa: E402
from training.commissions import DrawingOptions  # noqa: E402
from training.drawing import DrawingBatches  # noqa: E402
from training.errors import TrainingError  # noqa: E402
from training.loop import train  # noqa: E402
from training.models import named_config  # noqa: E402
from training.pipeline import make_stage  # noqa: E402
from training.recipe import LoopConfig, Recipe  # noqa: E402
from training.stages.joint import JointOptions, JointStage  # noqa: E402

TINY = named_config("tiny")
MEASURED = ("slots right", "named identity", "contradictions", "repetition", "visual loss")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from export.tiny import build_tiny_checkpoint

    return build_tiny_checkpoint(tmp_path_factory.mktemp("tiny") / "checkpoint")


@pytest.mark.parametrize("name", list(ARMS))
def test_every_arm_is_a_recipe_that_can_be_run(name: str, checkpoint: Path, tmp_path: Path) -> None:
    made = recipe(ARMS[name], "tiny", 0.01)
    for need in made["needs"].values():
        (tmp_path / need).mkdir()
        (tmp_path / need / "checkpoint").symlink_to(checkpoint)
    if not made["needs"]:
        (tmp_path / "tokenizer.json").symlink_to(checkpoint / "tokenizer.json")
    loop = LoopConfig(**made.pop("loop"))
    assert loop.steps == round(ARMS[name].steps / 100)
    assert make_stage(Recipe(loop=loop, **made), tmp_path).model is not None


def test_arms_of_a_claim_take_equally_many_steps_from_the_same_start() -> None:
    for claim in CLAIMS:
        for role in ("steps", "stage"):
            found = {getattr(ARMS[arm], role) for arm in claim.arms if arm != "joint"}
            assert len(found) == 1 or "matching" in claim.arms
        assert len({ARMS[arm].needs.get("start") for arm in claim.arms if arm != "decoupled"}) == 1
    planner, joint = ARMS[ARMS["decoupled"].needs["planner"]], ARMS["joint"]
    assert planner.steps == ARMS["decoupled"].steps == joint.steps
    assert planner.needs["start"] == ARMS[joint.needs["start"]].needs["planner"]
    assert ARMS["matching"].steps == ARMS["regression-longer"].steps


def test_an_arm_comes_after_what_it_needs() -> None:
    names = list(wanted(["matching", "joint"]))
    assert names == [
        "understanding", "ratio-5-1", "base", "decoupled", "regression", "matching", "joint",
    ]  # fmt: skip
    assert VAE not in names
    with pytest.raises(TrainingError, match="no arm 'jiont'; there are understanding"):
        list(wanted(["jiont"]))


def test_a_mixture_keeps_its_ratio() -> None:
    tasks = mixture(5, 1)
    understanding = tasks["caption"] + tasks["question"]
    assert math.isclose(sum(tasks.values()) - understanding, 5 * understanding)
    assert set(mixture(0, 1)) == {"caption", "question"}


def test_joint_training_moves_the_planner_by_the_flow_loss(
    checkpoint: Path, tmp_path: Path
) -> None:
    drawing = {"pictures": 2, "base": [64, 64], "other_sizes": 0.0, "tasks": ["t2i"],
               "weights": [1.0]}  # fmt: skip
    options = JointOptions(
        {"documents": 1, "tasks": {"t2i": 1.0}}, {"draws": 2, "drawing": drawing}
    )
    stage = JointStage(TINY, options, 0, start=checkpoint, vae=checkpoint)
    _, visit = stage.batches(0)
    for loss, _ in stage.drawing.losses(visit, 0):
        loss.backward()
    gradients = (p.grad for p in stage.reading.planner.parameters())
    assert any(g is not None and g.abs().sum() > 0 for g in gradients)
    train(stage, LoopConfig(steps=1, workers=0), tmp_path, 0)
    assert {p.name for p in (tmp_path / "checkpoint").iterdir()} >= {
        "planner.safetensors", "visualizer.safetensors", "vae.safetensors",
    }  # fmt: skip
    with pytest.raises(TrainingError, match="joint: options: visualizer: visits is 2, expected 1"):
        JointStage(TINY, JointOptions({}, {"visits": 2}), 0, checkpoint, checkpoint)


def test_without_a_window_everything_before_a_picture_is_seen(checkpoint: Path) -> None:
    options = DrawingOptions(
        pictures=2, base=(64, 64), other_sizes=0.0, tasks=("story",), weights=(1.0,)
    )
    rows = {}
    for window in ("dpcw", "document"):
        batches = DrawingBatches(
            replace(options, window=window), 0, checkpoint / "tokenizer.json", held_out=True
        )
        rows[window] = [r for drawing in batches(0) for r in drawing.index_mask.sum(1).tolist()]
    assert all(b > a for a, b in zip(rows["dpcw"], rows["document"], strict=True))
    with pytest.raises(TrainingError, match="window is 'all', expected 'dpcw' or 'document'"):
        DrawingOptions(window="all")


def test_measures_of_a_checkpoint(checkpoint: Path) -> None:
    options = DrawingOptions(
        base=(64, 64), other_sizes=0.0, hide=0.0, tasks=("t2i", "edit"), weights=(0.5, 0.5)
    )
    found = everything(checkpoint, TINY, checkpoint, options, 4)
    assert set(MEASURED) <= set(found) and found["visual loss"] > 0
    assert all(0 <= found[name] <= 1 for name in ("understanding", "image start", "slots right"))
    assert all(times[0] == 1.0 and times[-1] == 0.0 for times in schedules(checkpoint).values())
    steps = counted(max(schedules(checkpoint)))
    assert found[steps] == found["slots right"] and found[f"{steps}, time"] > 0


def test_the_command_trains_measures_and_prints(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arms = [
        "--vae", str(checkpoint), "--runs", str(tmp_path), "--model", "tiny",
        "--scale", "0.002", "--count", "4", "--arms", "understanding",
    ]  # fmt: skip
    assert main(arms) == 0
    found = json.loads((tmp_path / "claims.json").read_text())
    assert set(found) == {"understanding"} and measure("understanding", tmp_path, "tiny", 4)
    assert main([*arms[:-1], "none"]) == 2
    assert "no arm 'none'" in capsys.readouterr().err


def test_the_table_has_the_claims_whose_arms_are_measured() -> None:
    one = {"steps": 500.0, "image start": 0.5, "understanding": math.nan}
    text = table({arm: one for arm in ("ratio-0-1", "ratio-1-1", "ratio-5-1")})
    assert "| ratio-5-1 | 500 | 50.0 % | – |" in text and "joint" not in text


def test_accuracy_stands_beside_the_time_it_takes() -> None:
    measured = {"steps": 100.0, "4 steps": 0.75, "4 steps, time": 0.0213}
    text = table({arm: measured for arm in ("decoupled", "regression-longer", "matching")})
    assert "| matching | 100 | – | – | 75.0 %, 21 ms | – | – |" in text
