"""The stages run, resume exactly after a kill, and read their recipes strictly."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="training needs the training extra")

from PIL import Image  # noqa: E402
from tensorboardX.proto.event_pb2 import Event  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from training import pipeline  # noqa: E402
from training.cli import main  # noqa: E402
from training.errors import TrainingError  # noqa: E402
from training.loop import train  # noqa: E402
from training.optimizer import orthogonalize, rate_factor  # noqa: E402
from training.recipe import RECIPES, LoopConfig, read_recipe  # noqa: E402


class Line:
    """A stage that fits a line; batches are a function of the step."""

    def __init__(self) -> None:
        torch.manual_seed(3)
        self.model = nn.Sequential(nn.Linear(4, 8), nn.SiLU(), nn.Linear(8, 1))
        self.saved: list[int] = []

    def batches(self, step: int) -> Tensor:
        generator = torch.Generator().manual_seed(step)
        return torch.randn(16, 4, generator=generator)

    def to(self, device: torch.device) -> None:
        self.model.to(device)

    def losses(self, batch: Tensor, step: int) -> Iterator[tuple[Tensor, dict[str, float]]]:
        noisy = batch + 0.1 * torch.randn_like(batch)
        loss = (self.model(noisy) - batch.sum(-1, keepdim=True)).square().mean()
        yield loss, {"loss": loss.item()}

    def save(self, folder: Path, step: int) -> None:
        self.saved.append(step)

    def sample(self, folder: Path, step: int) -> None:
        pass


def loop(**changes: Any) -> LoopConfig:
    defaults: dict[str, Any] = {
        "steps": 12, "warmup": 2, "log_every": 2, "save_every": 3, "sample_every": 6, "workers": 0,
    }  # fmt: skip
    return LoopConfig(**{**defaults, **changes})


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_a_killed_run_continues_as_if_it_had_not_been(tmp_path: Path, optimizer: str) -> None:
    whole = Line()
    train(whole, loop(optimizer=optimizer), tmp_path / "whole", seed=1)

    class Killed(Line):
        def losses(self, batch: Tensor, step: int) -> Iterator[tuple[Tensor, dict[str, float]]]:
            if step == 8:
                raise KeyboardInterrupt
            yield from super().losses(batch, step)

    with pytest.raises(KeyboardInterrupt):
        train(Killed(), loop(optimizer=optimizer), tmp_path / "parts", seed=1)
    resumed = Line()
    train(resumed, loop(optimizer=optimizer), tmp_path / "parts", seed=1)
    for mine, theirs in zip(resumed.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_a_run_whose_checkpoint_could_not_be_written_is_not_finished(tmp_path: Path) -> None:
    class Full(Line):
        def save(self, folder: Path, step: int) -> None:
            if step == 12:
                raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        train(Full(), loop(), tmp_path, seed=1)
    again = Line()
    train(again, loop(), tmp_path, seed=1)
    assert again.saved == [12]


@pytest.mark.parametrize("steps", [12, 20], ids=["finished", "to go on"])
def test_a_run_goes_on_only_with_what_it_was_made_of(
    tmp_path: Path, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages: list[Line] = []

    def make(*_: object) -> Line:
        stages.append(Line())
        return stages[-1]

    monkeypatch.setattr("training.pipeline.make_stage", make)
    short = {"loop.steps": 12, "loop.workers": 0}
    pipeline.run("planner", tmp_path, short)
    message = r"planner holds .*options\.data: expected 'shards', found None; choose another --runs"
    with pytest.raises(TrainingError, match=message):
        pipeline.run("planner", tmp_path, {**short, "loop.steps": steps}, data=Path("shards"))
    with pytest.raises(TrainingError, match=r"needs\.start: expected 'shipped'.* seed: expected 5"):
        pipeline.run("planner", tmp_path, {**short, "seed": 5, "needs.start": "shipped"})
    pipeline.run("planner", tmp_path, {**short, "loop.steps": steps, "loop.rate": 0.1})
    assert stages[-1].saved == ([steps] if steps > 12 else [])


def test_a_state_that_does_not_say_what_it_is_made_of_is_resumed(tmp_path: Path) -> None:
    train(Line(), loop(), tmp_path, seed=1)
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    del state["made_of"]
    torch.save(state, tmp_path / "state.pt")
    stage = Line()
    train(stage, loop(steps=14), tmp_path, seed=1, made_of={"stage": "line"})
    assert stage.saved == [14]


def test_a_broken_sample_is_named_without_a_traceback(tmp_path: Path) -> None:
    class Torn(Line):
        def batches(self, step: int) -> Tensor:
            if step == 2:
                raise TrainingError("sample 7: expected a picture, found none")
            return super().batches(step)

    with pytest.raises(TrainingError) as caught:
        train(Torn(), loop(workers=1), tmp_path, seed=1)
    assert str(caught.value) == "sample 7: expected a picture, found none"


def test_it_learns_logs_and_saves(tmp_path: Path) -> None:
    stage = Line()
    train(stage, loop(steps=120, optimizer="adamw", rate=0.02), tmp_path, seed=1)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["loss"] < 0.5 * lines[0]["loss"]
    assert stage.saved[-1] == 120
    told = board_values(tmp_path, "loss")
    assert told == {line["step"]: pytest.approx(line["loss"]) for line in lines}


def test_a_resumed_run_logs_every_step_once(tmp_path: Path) -> None:
    train(Line(), loop(steps=4), tmp_path, seed=1)
    state = (tmp_path / "state.pt").read_bytes()
    train(Line(), loop(steps=8), tmp_path, seed=1)
    (tmp_path / "state.pt").write_bytes(state)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 10, "lo')
    train(Line(), loop(steps=12), tmp_path, seed=1)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 6, 8, 10, 12]


def board_values(folder: Path, name: str) -> dict[int, float]:
    """What TensorBoard was told of `name`, by step."""
    values = {}
    for path in folder.glob("events.out.tfevents.*"):
        data, place = path.read_bytes(), 0
        while place < len(data):
            # A record: its length, 8 bytes, with a checksum of 4; the event; its checksum.
            (size,) = struct.unpack_from("<Q", data, place)
            event = Event.FromString(data[place + 12 : place + 12 + size])
            place += size + 16
            for value in event.summary.value:
                if value.tag == name:
                    values[event.step] = value.simple_value
    return values


def test_a_sheet_of_samples_is_shown(tmp_path: Path) -> None:
    class Painter(Line):
        def sample(self, folder: Path, step: int) -> None:
            (folder / "samples").mkdir(exist_ok=True)
            Image.new("RGBA", (32, 16), "red").save(folder / "samples" / f"{step:07d}.png")

    train(Painter(), loop(), tmp_path, seed=1)
    (events,) = tmp_path.glob("events.out.tfevents.*")
    assert b"samples" in events.read_bytes() and b"PNG" in events.read_bytes()


def test_a_gradient_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    class Broken(Line):
        def losses(self, batch: Tensor, step: int) -> Iterator[tuple[Tensor, dict[str, float]]]:
            yield self.model(batch).mean() * float("nan"), {}

    with pytest.raises(TrainingError, match="not finite"):
        train(Broken(), loop(), tmp_path, seed=1)


def test_the_rate_rises_stays_and_falls_to_zero() -> None:
    config = loop(steps=100, warmup=10, decay=0.2)
    factors = [rate_factor(step, step / 100, config) for step in range(101)]
    assert factors[0] == pytest.approx(0.1)
    assert set(factors[10:80]) == {1.0}
    assert factors[90] == pytest.approx(0.5)
    assert not factors[100]


def test_a_run_ends_by_the_clock_where_that_is_sooner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every look at the clock takes a second; a step looks once, a save once more."""
    clock = iter(range(10_000))
    monkeypatch.setattr("training.loop.time.monotonic", lambda: float(next(clock)))
    progress: list[float] = []

    def factor(step: int, done: float, config: LoopConfig) -> float:
        progress.append(done)
        return rate_factor(step, done, config)

    monkeypatch.setattr("training.loop.rate_factor", factor)
    config = loop(
        steps=10_000, seconds=20, optimizer="adamw", log_every=10_000, save_every=8,
        sample_every=10_000,
    )  # fmt: skip
    stage = Line()
    train(stage, config, tmp_path, seed=1)
    assert stage.saved == [len(progress)]
    assert 10 < len(progress) <= 20
    assert progress == sorted(progress) and progress[-2] < 1 <= progress[-1]
    finished = (tmp_path / "state.pt").read_bytes()
    again = Line()
    train(again, config, tmp_path, seed=1)
    assert not again.saved, "a finished run went on"
    assert (tmp_path / "state.pt").read_bytes() == finished
    longer = Line()
    train(longer, loop(**{**vars(config), "seconds": 30}), tmp_path, seed=1)
    assert longer.saved[0] > stage.saved[0]


@pytest.mark.parametrize("shape", [(16, 16), (8, 40), (40, 8)])
def test_orthogonalize_levels_the_singular_values(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalize(torch.randn(shape)).float())
    assert float(values.min()) > 0.5
    assert float(values.max()) < 1.3


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda p: p.stem)
def test_shipped_recipes_are_valid(path: Path) -> None:
    from importlib import import_module

    from training.pipeline import CHAIN, STAGES
    from training.strict import build

    recipe = read_recipe(path)
    module, _, options = STAGES[recipe.stage]
    build(getattr(import_module(module), options), recipe.options, path.name)
    assert set(recipe.needs.values()) <= set(CHAIN)


def test_lists_in_lists_become_tuples() -> None:
    from training.drawing import DrawingOptions
    from training.strict import build

    options = build(DrawingOptions, {"sizes": [[384, 256], [256, 384]]}, "drawing")
    assert options.sizes == ((384, 256), (256, 384))


def test_recipe_errors_name_the_file_and_the_key(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="planner"):
        read_recipe("nothing")
    bad = tmp_path / "bad.yaml"
    bad.write_text("stage: vae\nmodel: tiny\nloop: {steps: 3, speed: 9}\n")
    with pytest.raises(TrainingError, match=r"bad\.yaml.*speed"):
        read_recipe(bad)


def test_single_values_of_a_recipe_can_be_replaced() -> None:
    recipe = read_recipe("dpcw", {"loop.steps": 7, "options.drawing.pictures": 3})
    assert recipe.loop.steps == 7 and recipe.options["drawing"]["pictures"] == 3
    assert read_recipe("dpcw").loop.steps != 7
    with pytest.raises(TrainingError, match="unknown keys \\['stepz'\\]"):
        read_recipe("dpcw", {"loop.stepz": 7})
    with pytest.raises(TrainingError, match="loop: rate: expected float, found 'fast'"):
        read_recipe("dpcw", {"loop.rate": "fast"})
    with pytest.raises(TrainingError, match="steps: expected 1 or more, found -1"):
        read_recipe("dpcw", {"loop.steps": -1})
    assert read_recipe("dpcw", {"loop.rate": 1}).loop.rate == 1.0
    with pytest.raises(TrainingError, match="'seed' holds one value"):
        read_recipe("dpcw", {"seed.x": 7})


@pytest.mark.parametrize("text", ["loop.steps", "=3", "loop.steps=[1"])
def test_a_malformed_replacement_is_refused(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["dpcw", "--runs", str(tmp_path), "--set", text]) == 2
    assert "--set" in capsys.readouterr().err
