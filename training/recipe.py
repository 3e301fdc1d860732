"""A recipe: everything a stage's result depends on, read from one YAML file.

| part | what it sets |
| --- | --- |
| `stage`, `model`, `seed` | which stage, which named configuration, the root of all randomness |
| `loop` | steps, schedule, optimizer, averaging, when to log and save |
| `data`, `options` | the stage's own settings, checked by the stage's dataclass |
| `needs` | folders of earlier stages that this one starts from, by role |
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import yaml

from training.errors import TrainingError

T = TypeVar("T")
RECIPES = Path(__file__).parent / "recipes"


@dataclass(frozen=True)
class LoopConfig:
    """The rate rises over `warmup` steps, stays, and falls over the last share `decay`."""

    steps: int
    rate: float = 1e-3
    warmup: int = 100
    decay: float = 0.25
    optimizer: str = "muon"
    matrix_rate: float = 0.01
    weight_decay: float = 0.01
    clip: float = 1.0
    ema: float = 0.999
    log_every: int = 20
    save_every: int = 500
    sample_every: int = 1000
    workers: int = 1


@dataclass(frozen=True)
class Recipe:
    stage: str
    model: str
    loop: LoopConfig
    seed: int = 0
    options: dict[str, Any] = field(default_factory=dict)
    needs: dict[str, str] = field(default_factory=dict)


def build(kind: type[T], data: dict[str, Any], where: str) -> T:
    """The dataclass `kind` from `data`; unknown or missing keys are errors that name `where`."""
    known = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    if unknown := set(data) - known:
        raise TrainingError(f"{where}: unknown keys {sorted(unknown)}; known are {sorted(known)}")
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
    try:
        return kind(**values)
    except TypeError as error:
        raise TrainingError(f"{where}: {error}") from error


def read_recipe(name: str | Path, overrides: dict[str, Any] | None = None) -> Recipe:
    """The recipe in the file `name`, or the shipped one of that name; `overrides` are loop keys."""
    path = Path(name)
    if not path.suffix:
        path = RECIPES / f"{name}.yaml"
    if not path.is_file():
        shipped = ", ".join(sorted(p.stem for p in RECIPES.glob("*.yaml")))
        raise TrainingError(f"no recipe {str(name)!r}; give a .yaml file or one of: {shipped}")
    data = yaml.safe_load(path.read_text())
    data["loop"] = build(LoopConfig, {**data.get("loop", {}), **(overrides or {})}, f"{path}: loop")
    return build(Recipe, data, str(path))
