"""The checkpoint folder: what a training stage leaves behind, and the next one or export reads.

| file | content |
| --- | --- |
| `config.json` | `ModelConfig` as a dict |
| `planner.safetensors` | float32 weights of the planner and its vision |
| `visualizer.safetensors`, `vae.safetensors` | float32 weights of these |
| `tokenizer.json` | the tokenizer, where there is one |
| `training.json` | stage, step, schedule, default_steps |

A checkpoint holds the models its stage has, not always all three. Writing goes to a folder beside
and ends with a rename, so a reader sees the old checkpoint or the new one. Reading is strict.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn
from torch.overrides import TorchFunctionMode

from training.errors import TrainingError
from training.models import VAE, ModelConfig, Planner, Visualizer, config_from_dict

TOKENIZER = "tokenizer.json"
_SHOWN = 5


@dataclass(frozen=True)
class Checkpoint:
    """What was in a folder; a model that is not there is None. Models are in eval mode."""

    folder: Path
    config: ModelConfig
    planner: Planner | None = None
    visualizer: Visualizer | None = None
    vae: VAE | None = None
    tokenizer_path: Path | None = None
    training: dict[str, Any] = field(default_factory=dict)


def save_checkpoint(
    folder: Path | str,
    config: ModelConfig,
    planner: Planner | None = None,
    visualizer: Visualizer | None = None,
    vae: VAE | None = None,
    tokenizer_path: Path | str | None = None,
    training: dict[str, Any] | None = None,
) -> Path:
    """Writes exactly what is given to `folder`, replacing what was there; the same content gives
    the same bytes."""
    folder = Path(folder)
    with replacing(folder) as beside:
        _write_json(beside / "config.json", config.to_dict())
        for name, model in (("planner", planner), ("visualizer", visualizer), ("vae", vae)):
            if model is not None:
                _write_weights(beside / f"{name}.safetensors", model)
        if tokenizer_path is not None:
            shutil.copyfile(tokenizer_path, beside / TOKENIZER)
        _write_json(beside / "training.json", training or {})
    return folder


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """A folder beside `folder` that takes its place when the block ends without an error.

    After an error `folder` is as it was, and nothing is left beside it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        yield beside
        beside.chmod(0o755)
        _replace(beside, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def load_checkpoint(folder: Path | str) -> Checkpoint:
    """Reads and checks a checkpoint; raises `TrainingError`."""
    folder = Path(folder)
    if not folder.is_dir():
        raise TrainingError(f"{folder}: expected a checkpoint folder, found none; check the path")
    config = config_from_dict(_read_json(folder / "config.json"))
    tokenizer = folder / TOKENIZER
    return Checkpoint(
        folder,
        config,
        _read_model(folder / "planner.safetensors", lambda: Planner(config)),
        _read_model(folder / "visualizer.safetensors", lambda: Visualizer(config)),
        _read_model(folder / "vae.safetensors", lambda: VAE(config.vae)),
        tokenizer if tokenizer.is_file() else None,
        _read_json(folder / "training.json"),
    )


def _write_json(path: Path, data: dict[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def _write_weights(path: Path, model: nn.Module) -> None:
    state = {
        name: value.detach().to("cpu", torch.float32).contiguous().clone()
        for name, value in model.state_dict().items()
    }
    path.write_bytes(save(state))


def _replace(beside: Path, folder: Path) -> None:
    """Puts the complete `beside` in the place of `folder`."""
    if not folder.exists():
        os.rename(beside, folder)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
    os.rename(folder, old)
    try:
        os.rename(beside, folder)
    except OSError:
        os.rename(old, folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise TrainingError(f"{path}: expected the file of a checkpoint, found none")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise TrainingError(f"{path}: expected JSON, found a syntax error: {error}") from error
    if not isinstance(data, dict):
        raise TrainingError(f"{path}: expected a JSON object, found {type(data).__name__}")
    return data


def _read_model(path: Path, make: Any) -> Any:
    if not path.is_file():
        return None
    try:
        state = load_file(path)
    except SafetensorError as error:
        raise TrainingError(f"{path}: expected safetensors, found {error}") from error
    with _Unfilled(), torch.random.fork_rng(devices=[]):
        model: nn.Module = make()
    _check_state(path, model, state)
    # The file's pages become the parameters: no second copy, however large the model.
    model.load_state_dict({name: value.float() for name, value in state.items()}, assign=True)
    return model.eval()


class _Unfilled(TorchFunctionMode):
    """Leaves new parameters unfilled: pages that nobody writes take no memory."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        fills = name in ("normal_", "uniform_", "zero_", "fill_") or hasattr(nn.init, name)
        if fills and name.endswith("_"):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def _check_state(path: Path, model: nn.Module, state: dict[str, torch.Tensor]) -> None:
    expected = model.state_dict()
    missing = sorted(expected.keys() - state.keys())
    unexpected = sorted(state.keys() - expected.keys())
    if missing or unexpected:
        raise TrainingError(
            f"{path}: not the architecture of config.json: missing {_few(missing)}, "
            f"unexpected {_few(unexpected)}"
        )
    for name, value in state.items():
        if value.shape != expected[name].shape:
            raise TrainingError(
                f"{path}: {name}: config.json says {list(expected[name].shape)}, found "
                f"{list(value.shape)}; the weights belong to another configuration"
            )
        if not bool(torch.isfinite(value).all()):
            raise TrainingError(
                f"{path}: {name} holds NaN or infinite values; use an earlier checkpoint"
            )


def _few(names: list[str]) -> str:
    shown = ", ".join(names[:_SHOWN]) or "nothing"
    return shown + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
