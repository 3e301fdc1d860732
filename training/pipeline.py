"""Composes the stages: which class runs which recipe, and the whole chain in order.

`run` is one stage in one folder; `run_all` makes the shipped model from nothing.
"""

from __future__ import annotations

import importlib
import logging
from pathlib import Path
from typing import Any

import torch

from training.device import CPU
from training.errors import TrainingError
from training.loop import Stage, train
from training.models import named_config
from training.recipe import Recipe, read_recipe
from training.strict import build

logger = logging.getLogger(__name__)

# stage name → (module, stage class, options class)
STAGES = {
    "vae": ("training.stages.vae", "VAEStage", "VAEOptions"),
    "planner": ("training.stages.planner", "PlannerStage", "PlannerOptions"),
    "visualizer": ("training.stages.visualizer", "VisualizerStage", "VisualizerOptions"),
    "distill": ("training.stages.distill", "DistillStage", "DistillOptions"),
    "joint": ("training.stages.joint", "JointStage", "JointOptions"),
    "match": ("training.stages.match", "MatchStage", "MatchOptions"),
}
# Where a stage's options name one's own data, but for the visualizer's stages.
DATA = {
    "vae": ("options.data",),
    "planner": ("options.data",),
    "joint": ("options.planner.data", "options.visualizer.drawing.data"),
}
DRAWING_DATA = ("options.drawing.data",)
CHAIN = ("vae", "planner", "visualizer", "visualizer-references", "dpcw", "distill")


def make_stage(recipe: Recipe, runs: Path) -> Stage:
    """The stage of `recipe`, its inputs read from the folders of earlier runs under `runs`."""
    if recipe.stage not in STAGES:
        raise TrainingError(f"no stage {recipe.stage!r}; there are {', '.join(STAGES)}")
    module_name, stage_name, options_name = STAGES[recipe.stage]
    module = importlib.import_module(module_name)
    options = build(getattr(module, options_name), recipe.options, f"{recipe.stage}: options")
    needs: dict[str, Any] = {}
    if recipe.stage == "planner" and "start" not in recipe.needs:
        needs["tokenizer"] = runs / "tokenizer.json"
    for role, name in recipe.needs.items():
        needs[role] = runs / name / "checkpoint"
        if not needs[role].is_dir():
            raise TrainingError(
                f"stage {recipe.stage!r} starts from {needs[role]}, which is not there; "
                f"run `weft train {name}` first"
            )
    stage: Stage = getattr(module, stage_name)(
        named_config(recipe.model), options, recipe.seed, **needs
    )
    return stage


def run(
    name: str,
    runs: Path,
    overrides: dict[str, Any] | None = None,
    device: torch.device = CPU,
    data: Path | None = None,
) -> Path:
    """Trains one recipe in `runs`/its name, resuming where it stopped; returns its checkpoint.

    All but the recipe's loop has to be as it was when the run was begun.
    `overrides` are values of the recipe by path (`recipe.read_recipe`); `data` is a folder of
    shards to learn from in place of the storyworld.
    """
    recipe = read_recipe(name, overrides)
    if data is not None:
        keys = DATA.get(recipe.stage, DRAWING_DATA)
        recipe = read_recipe(name, {**(overrides or {}), **dict.fromkeys(keys, str(data))})
    folder = runs / Path(name).stem
    logger.info("stage %s in %s", recipe.stage, folder)
    torch.manual_seed(recipe.seed)
    made_of = {name: value for name, value in vars(recipe).items() if name != "loop"}
    train(make_stage(recipe, runs), recipe.loop, folder, recipe.seed, device, made_of)
    return folder / "checkpoint"


def run_all(
    runs: Path,
    overrides: dict[str, Any] | None = None,
    device: torch.device = CPU,
    data: Path | None = None,
) -> Path:
    """Every stage in order; stages already finished resume at their end and pass at once."""
    checkpoint = runs
    for name in CHAIN:
        checkpoint = run(name, runs, overrides, device, data)
    return checkpoint
