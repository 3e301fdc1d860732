"""One checkpoint from several: means by shares, whole models from different runs, refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch

from training.blend import main
from training.checkpoint import load_checkpoint, save_checkpoint
from training.models import VAE, Planner, Visualizer, named_config

CONFIG = named_config("tiny")
MODELS = ("planner", "visualizer", "vae")


def checkpoint(folder: Path, seed: int, tokenizer: str = "{}", **training: Any) -> Path:
    torch.manual_seed(seed)
    words = folder.with_suffix(".json")
    words.write_text(tokenizer)
    models = {"planner": Planner(CONFIG), "visualizer": Visualizer(CONFIG), "vae": VAE(CONFIG.vae)}
    return save_checkpoint(folder, CONFIG, **models, tokenizer_path=words, training=training)  # type: ignore[arg-type]


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    schedule = {"4": [1.0, 0.5, 0.0]}
    return (
        checkpoint(tmp_path / "a", 1, schedule=schedule, step=10),
        checkpoint(tmp_path / "b", 2, schedule=schedule, step=20),
    )


def test_means_by_shares_and_whole_models(two: tuple[Path, Path], tmp_path: Path) -> None:
    a, b = two
    output = tmp_path / "out"
    chosen = ["--planner", f"{a}=0.25", f"{b}=0.75", "--visualizer", str(b), "--vae", f"{a}=1"]
    assert main([*chosen, "-o", str(output)]) == 0
    found, first, second = load_checkpoint(output), load_checkpoint(a), load_checkpoint(b)
    assert found.training == second.training and found.config == CONFIG
    assert found.tokenizer_path is not None and found.tokenizer_path.read_text() == "{}"
    for name, weights in ((n, m.state_dict()) for n, m in vars(found).items() if n in MODELS):
        one, other = getattr(first, name).state_dict(), getattr(second, name).state_dict()
        share = {"planner": 0.25, "visualizer": 0.0, "vae": 1.0}[name]
        for key, value in weights.items():
            expected = share * one[key] + (1 - share) * other[key]
            torch.testing.assert_close(value, expected, msg=f"{name} {key}")


def test_one_model_alone(two: tuple[Path, Path], tmp_path: Path) -> None:
    assert main(["--vae", f"{two[0]}=0.5", f"{two[1]}=0.5", "-o", str(tmp_path / "out")]) == 0
    found = load_checkpoint(tmp_path / "out")
    assert found.vae is not None and found.planner is None and found.tokenizer_path is None


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ([], "expected --visualizer, --planner, --vae"),
        (["--vae", "a=0.5", "b=0.4"], "add up to 1, found 0.9"),
        (["--vae", "a=much"], "FOLDER or FOLDER=SHARE"),
        (["--vae", "a=nan"], "add up to 1, found nan"),
        (["--vae", "elsewhere"], "elsewhere: expected a checkpoint folder"),
        (["--planner", "a=0.5", "other-words=0.5"], "expected the tokenizer of"),
        (["--visualizer", "a=0.5", "other-steps=0.5"], "expected the schedule of"),
    ],
)
def test_what_does_not_fit_is_refused(
    two: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    chosen: list[str],
    said: str,
) -> None:
    checkpoint(tmp_path / "other-words", 3, tokenizer="[]")
    checkpoint(tmp_path / "other-steps", 4, schedule={"2": [1.0, 0.0]})
    monkeypatch.chdir(tmp_path)
    assert main([*chosen, "-o", "out"]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
