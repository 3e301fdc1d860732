"""The checkpoint folder: round trip, strictness, and no half-written state."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch

from training import checkpoint as module
from training.checkpoint import load_checkpoint, save_checkpoint
from training.errors import TrainingError
from training.models import VAE, Planner, named_config

CONFIG = named_config("tiny")


def test_round_trip(tmp_path: Path) -> None:
    vae = VAE(CONFIG.vae).to(memory_format=torch.channels_last)
    torch.nn.init.normal_(vae.shift)
    (tmp_path / "t.json").write_text("{}")
    save_checkpoint(
        tmp_path / "c", CONFIG, vae=vae, tokenizer_path=tmp_path / "t.json", training={"step": 7}
    )
    loaded = load_checkpoint(tmp_path / "c")
    assert loaded.config == CONFIG and loaded.training == {"step": 7}
    assert loaded.planner is None and loaded.visualizer is None
    assert loaded.tokenizer_path == tmp_path / "c" / "tokenizer.json"
    assert loaded.vae is not None and not loaded.vae.training
    for name, value in vae.state_dict().items():
        assert torch.equal(loaded.vae.state_dict()[name], value), name


def test_replacing_removes_what_is_no_longer_there(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c", CONFIG, planner=Planner(CONFIG))
    save_checkpoint(tmp_path / "c", CONFIG, vae=VAE(CONFIG.vae))
    assert load_checkpoint(tmp_path / "c").planner is None
    assert [p.name for p in tmp_path.iterdir()] == ["c"]


def test_a_failure_keeps_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(tmp_path / "c", CONFIG, training={"step": 1})

    def fail(*_: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr(module, "_write_weights", fail)
    with pytest.raises(OSError, match="no space"):
        save_checkpoint(tmp_path / "c", CONFIG, vae=VAE(CONFIG.vae), training={"step": 2})
    assert load_checkpoint(tmp_path / "c").training == {"step": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["c"]


def test_loading_leaves_the_random_state_alone(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c", CONFIG, vae=VAE(CONFIG.vae))
    before = torch.get_rng_state()
    load_checkpoint(tmp_path / "c")
    assert torch.equal(before, torch.get_rng_state())


def test_not_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="expected a checkpoint folder"):
        load_checkpoint(tmp_path / "none")
    with pytest.raises(TrainingError, match=r"config\.json"):
        load_checkpoint(tmp_path)
