"""A recipe: everything a stage's result depends on, read from one YAML file.

| part | what it sets |
| --- | --- |
| `stage`, `model`, `seed` | which stage, which named configuration, the root of all randomness |
| `loop` | steps, schedule, optimizer, averaging, when to log and save |
| `options` | the stage's own settings, checked by the stage's dataclass |
| `needs` | folders of earlier stages that this one starts from, by role |
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from training.errors import TrainingError
from training.strict import build

RECIPES = Path(__file__).parent / "recipes"


@dataclass(frozen=True)
class LoopConfig:
    """The rate rises over `warmup` steps, stays, and falls over the last share `decay`. With
    `seconds` above 0 the run ends, and the rate falls, by the clock where that is sooner: for a
    machine that is rented by the hour. They are those of the whole run, resumed parts included,
    from its first batch on; only a run by steps is the same on every machine. Each of the
    `workers` makes `prefetch` batches ahead."""

    steps: int
    seconds: float = 0.0
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
    prefetch: int = 4

    def __post_init__(self) -> None:
        least = {
            "steps": 1,
            "seconds": 0,
            "log_every": 1,
            "save_every": 1,
            "sample_every": 1,
            "workers": 0,
            "prefetch": 1,
        }
        for name, low in least.items():
            if getattr(self, name) < low:
                raise TrainingError(
                    f"loop: {name}: expected {low} or more, found {getattr(self, name)}"
                )


@dataclass(frozen=True)
class Recipe:
    stage: str
    model: str
    loop: LoopConfig
    seed: int = 0
    options: dict[str, Any] = field(default_factory=dict)
    needs: dict[str, str] = field(default_factory=dict)


def read_recipe(name: str | Path, overrides: dict[str, Any] | None = None) -> Recipe:
    """The recipe in the file `name`, or the shipped one of that name.

    `overrides` replace single values, named by their path: {"loop.steps": 100}.
    """
    path = Path(name)
    if not path.suffix:
        path = RECIPES / f"{name}.yaml"
    if not path.is_file():
        shipped = ", ".join(sorted(p.stem for p in RECIPES.glob("*.yaml")))
        raise TrainingError(f"no recipe {str(name)!r}; give a .yaml file or one of: {shipped}")
    data = yaml.safe_load(path.read_text())
    for key, value in (overrides or {}).items():
        _override(data, key, value)
    data["loop"] = build(LoopConfig, data.get("loop", {}), f"{path}: loop")
    return build(Recipe, data, str(path))


def _override(data: dict[str, Any], key: str, value: Any) -> None:
    """Sets the value at the dotted path `key`, making the groups on the way."""
    *groups, last = key.split(".")
    for name in groups:
        data = data.setdefault(name, {})
        if not isinstance(data, dict):
            raise TrainingError(f"{key}: {name!r} holds one value, expected a group of them")
    data[last] = value
