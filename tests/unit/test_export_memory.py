"""Memory of an export: at most twice the checkpoint and one gigabyte, whatever its size."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")

from torch import nn

from export.tiny import build_tiny_checkpoint
from training.checkpoint import _Unfilled
from training.models import VAE, ModelConfig, Planner, Visualizer, named_config

GIGABYTE = 10**9
BLOCK = 1 << 22
REPOSITORY = Path(__file__).resolve().parents[2]
EXPORT = """
import resource, sys
from export.cli import main
code = main(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
raise SystemExit(code)
"""


def billion() -> ModelConfig:
    """About a billion parameters, half of them the planner's."""
    tiny = named_config("tiny")
    twin = replace(
        tiny.twin, layers=9, width=2048, heads=16, kv_heads=4, head_dim=128,
        rope_sections=(16, 24, 24),
    )  # fmt: skip
    planner = replace(tiny.planner, ffn=5632)
    return replace(
        tiny, name="billion", twin=twin, planner=planner,
        visualizer=replace(tiny.visualizer, ffn=7680),
    )  # fmt: skip


def write_random(path: Path, model: nn.Module) -> int:
    """A safetensors file of random float32 weights, tensor by tensor; the number of parameters."""
    header, end = {}, 0
    state = model.state_dict()
    for name, value in state.items():
        size = value.numel() * 4
        header[name] = {
            "dtype": "F32",
            "shape": list(value.shape),
            "data_offsets": [end, end + size],
        }
        end += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    block = np.random.default_rng(0).standard_normal(BLOCK).astype(np.float32) * np.float32(0.02)
    with path.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for index, value in enumerate(state.values()):
            # A different piece of the block for every tensor: none is stored as another's copy.
            left, start = value.numel(), index * 997 % (BLOCK // 2)
            while left:
                piece = block[start : start + left]
                stream.write(piece.data)
                left, start = left - piece.size, 0
    return end // 4


@pytest.mark.slow
def test_a_billion_parameters(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    memory = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if free < 8 * GIGABYTE or memory < 6 * GIGABYTE:
        pytest.skip(f"needs 8 GB of disk and 6 GB of memory, found {free} and {memory} bytes")
    checkpoint = build_tiny_checkpoint(tmp_path / "checkpoint")
    config = billion()
    (checkpoint / "config.json").write_text(json.dumps(config.to_dict()))
    with _Unfilled():
        models = Planner(config), Visualizer(config), VAE(config.vae)
    names = ("planner", "visualizer", "vae")
    count = sum(
        write_random(checkpoint / f"{name}.safetensors", model)
        for name, model in zip(names, models, strict=True)
    )
    assert count > 0.9e9
    size = sum(path.stat().st_size for path in checkpoint.iterdir())
    arguments = [
        str(checkpoint),
        "-o",
        str(tmp_path / "bundle"),
        "--precision",
        "w8",
        "--no-verify",
    ]
    ran = subprocess.run(
        [sys.executable, "-c", EXPORT, *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    peak = int(ran.stdout.splitlines()[-1])
    assert peak <= 2 * size + GIGABYTE, f"{peak / 1e9:.2f} GB for {size / 1e9:.2f} GB"
