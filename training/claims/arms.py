"""The arms that are compared, as recipes, and the claims that compare them.

All arms of a claim see batches of the same size in the same number, at 128 x 128 pixels. A planner
that only understands, `understanding`, and a visualizer that draws from its words alone, `base`,
stand for the pretrained models of the papers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from training.storyworld.documents import TASKS, UNDERSTANDING
from training.window import shifted_times

MODEL = "sketch"
EDGE = 128
SEED = 61
# How many steps the visualizer takes that all others start from; planners and visualizers, equally
# many so that both may learn jointly; students.
BASE, STEPS, STUDENT = 900, 240, 120


@dataclass(frozen=True)
class Arm:
    """A run of `stage`: `needs` names earlier arms by role, VAE where it is the autoencoder's
    checkpoint that all arms share."""

    stage: str
    steps: int
    needs: dict[str, str] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)


VAE = "vae"


def mixture(generation: float, understanding: float) -> dict[str, float]:
    """The usual tasks of documents, `generation` to `understanding`."""
    tasks: dict[str, float] = {}
    drawn = [task for task in TASKS if task not in UNDERSTANDING]
    for share, part in ((generation, drawn), (understanding, UNDERSTANDING)):
        if share:
            whole = sum(TASKS[task] for task in part)
            tasks |= {task: share * TASKS[task] / whole for task in part}
    return tasks


def reading(generation: float, understanding: float) -> dict[str, Any]:
    """Options of the planner's stage."""
    return {
        "documents": 12,
        "tasks": mixture(generation, understanding),
        "looks": 12,
        "probe_weight": 0.5,
    }


def drawing(*tasks: str, **changes: Any) -> dict[str, Any]:
    """Options of the visualizer's stage for pictures of `tasks`."""
    return {
        "time_mean": 1.9,
        "time_deviation": 1.9,
        "draws": 2,
        "pixel_share": 0.9,
        "focus_share": 0.0,
        "sample_shift": 4.0,
        "drawing": {
            "pictures": 16,
            "base": [EDGE, EDGE],
            "other_sizes": 0.0,
            "hide": 0.5,
            "tasks": list(tasks),
            "weights": [1 / len(tasks)] * len(tasks),
            "most_characters": 2,
            **changes,
        },
    }


def student(**more: Any) -> dict[str, Any]:
    """Options of the stages that distil."""
    shown = drawing(*ALL)
    return {
        "times": shifted_times(4, shown["sample_shift"]),
        "pixel_share": shown["pixel_share"],
        "drawing": {**shown["drawing"], "hide": 0.0},
        **more,
    }


ALL = ("t2i", "edit", "story", "compose")
GOES_ON = {"planner": "ratio-5-1", "start": "base", "vae": VAE}
ARMS: dict[str, Arm] = {
    "understanding": Arm("planner", STEPS, {}, reading(0, 1)),
    "ratio-0-1": Arm("planner", STEPS, {"start": "understanding"}, reading(0, 1)),
    "ratio-1-1": Arm("planner", STEPS, {"start": "understanding"}, reading(1, 1)),
    "ratio-5-1": Arm("planner", STEPS, {"start": "understanding"}, reading(5, 1)),
    "base": Arm(
        "visualizer",
        BASE,
        {"planner": "understanding", "vae": VAE},
        {**drawing("t2i", pictures=24, hide=0.0), "visits": 3},
    ),
    "decoupled": Arm("visualizer", STEPS, GOES_ON, drawing(*ALL)),
    "joint": Arm(
        "joint",
        STEPS,
        {"start": "base", "vae": VAE},
        {"planner": reading(5, 1), "visualizer": drawing(*ALL)},
    ),
    "t2i-only": Arm("visualizer", STEPS, GOES_ON, drawing("t2i")),
    "single": Arm("visualizer", STEPS, GOES_ON, drawing("t2i", "edit")),
    "no-window": Arm("visualizer", STEPS, GOES_ON, drawing(*ALL, window="document")),
    "regression": Arm("distill", STUDENT, {"teacher": "decoupled"}, student(teacher_steps=3)),
    "regression-longer": Arm(
        "distill",
        STUDENT,
        {"teacher": "decoupled", "start": "regression"},
        student(teacher_steps=3),
    ),
    "matching": Arm("match", STUDENT, {"teacher": "decoupled", "start": "regression"}, student()),
}


# The numbers of steps whose accuracy and time are compared, where a checkpoint offers them.
COUNTS = (1, 2, 4, 8, 50)


def counted(steps: int) -> str:
    """The measure of a picture drawn in so many steps."""
    return f"{steps} step" + "s" * (steps > 1)


@dataclass(frozen=True)
class Claim:
    """`arms` in the order in which the claim names them, compared by `measures`."""

    words: str
    arms: tuple[str, ...]
    measures: tuple[str, ...]


CLAIMS = (
    Claim(
        "decoupled training draws better than joint training and keeps understanding",
        ("decoupled", "joint"),
        ("visual loss", "slots right", "understanding"),
    ),
    Claim(
        "of generation to understanding, 5 : 1 starts pictures and keeps understanding",
        ("ratio-0-1", "ratio-1-1", "ratio-5-1"),
        ("image start", "understanding"),
    ),
    Claim(
        "one and several references add identity to text to image",
        ("t2i-only", "single", "decoupled"),
        ("named identity", "markings", "markings' loss"),
    ),
    Claim(
        "the window keeps other pictures' words out",
        ("decoupled", "no-window"),
        ("contradictions", "repetition"),
    ),
    Claim(
        "distribution matching after trajectory regression",
        ("regression-longer", "matching"),
        ("slots right", "diversity"),
    ),
    Claim(
        "a student needs few steps, its teacher many: slots right and time a picture",
        ("decoupled", "regression-longer", "matching"),
        tuple(counted(steps) for steps in COUNTS),
    ),
)
