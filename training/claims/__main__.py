"""`python -m training.claims`: trains the arms, measures them, prints the table.

What is done is kept in the folder of the runs: an arm that was trained is not trained again, one
that was measured not measured again.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from training.claims.arms import ARMS, MODEL, SEED, VAE, Arm
from training.claims.measures import Measures, everything
from training.claims.table import table
from training.commissions import DrawingOptions
from training.errors import TrainingError
from training.models import named_config
from training.strict import build

logger = logging.getLogger(__name__)
FOUND = "claims.json"
# Stages of few-step students, which start from what they should stay near to.
STUDENTS = ("distill", "match")


def recipe(arm: Arm, model: str, scale: float) -> dict[str, Any]:
    """The recipe of an arm, `scale` times as long; what goes on from another learns more slowly."""
    steps = max(1, round(scale * arm.steps))
    rate, matrix_rate = (0.0015, 0.006) if "start" not in arm.needs else (0.001, 0.003)
    if arm.stage in STUDENTS:
        rate, matrix_rate = 0.0004, 0.001
    loop = {
        "steps": steps,
        "rate": rate,
        "matrix_rate": matrix_rate,
        "warmup": max(1, steps // 20),
        "decay": 0.4,
        "ema": 0.98,
        "save_every": 50,
        "sample_every": steps,
        "log_every": 10,
    }
    return {
        "stage": arm.stage,
        "model": model,
        "seed": SEED,
        "needs": dict(arm.needs),
        "loop": loop,
        "options": arm.options,
    }


def wanted(names: Sequence[str]) -> Iterator[str]:
    """The arms `names` and those they start from, each once and after what it needs."""
    done: set[str] = set()

    def visit(name: str) -> Iterator[str]:
        if name in done or name == VAE:
            return
        if name not in ARMS:
            raise TrainingError(f"no arm {name!r}; there are {', '.join(ARMS)}")
        done.add(name)
        for need in ARMS[name].needs.values():
            yield from visit(need)
        yield name

    for name in names:
        yield from visit(name)


def train(name: str, runs: Path, model: str, scale: float, processes: int) -> None:
    """Trains an arm in `runs`/`name` unless it is finished, in processes of one thread."""
    if (runs / name / "checkpoint").is_dir():
        return
    path = runs / f"{name}.yaml"
    path.write_text(yaml.safe_dump(recipe(ARMS[name], model, scale), sort_keys=False))
    command = [sys.executable, "-m"]
    if processes > 1:
        command += [
            "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m",
        ]  # fmt: skip
    command += ["training.cli", str(path), "--runs", str(runs), "--threads", "1"]
    with (runs / f"{name}.log").open("a") as log:
        done = subprocess.run(
            command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=log, stderr=log, check=False
        )
    if done.returncode:
        raise TrainingError(f"{name}: training ended with {done.returncode}; see {log.name}")


def measure(name: str, runs: Path, model: str, count: int) -> Measures:
    """The measures of an arm; of a planner those of words alone."""
    arm = ARMS[name]
    options = None
    if arm.stage != "planner":
        draws = arm.options.get("visualizer", arm.options)["drawing"]
        shown = {**ARMS["decoupled"].options["drawing"], "hide": 0.0}
        options = build(
            DrawingOptions, {**shown, "window": draws.get("window", "dpcw")}, f"{name}: drawing"
        )
    vae = runs / VAE / "checkpoint"
    return everything(runs / name / "checkpoint", named_config(model), vae, options, count)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m training.claims", description=__doc__)
    add = parser.add_argument
    add("--vae", type=Path, metavar="CHECKPOINT", required=True,
        help="checkpoint whose autoencoder and tokenizer all arms share")  # fmt: skip
    add("--runs", type=Path, default=Path("runs/claims"), help="where arms are kept")
    add("--arms", default=",".join(ARMS), metavar="A,B", help="which arms (default: all)")
    add("--model", default=MODEL, help=f"configuration of the models (default: {MODEL})")
    add("--scale", type=float, default=1.0, help="times as many steps (default: 1)")
    add("--count", type=int, default=96, help="held-out pictures and documents (default: 96)")
    add("--processes", type=int, default=1, help="that train together (default: 1)")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    runs: Path = options.runs
    try:
        names = list(wanted(options.arms.split(",")))
        shared = runs / VAE / "checkpoint"
        if not shared.is_dir():
            shutil.copytree(options.vae, shared)
            shutil.copy(options.vae / "tokenizer.json", runs / "tokenizer.json")
        kept = runs / FOUND
        found: dict[str, Measures] = json.loads(kept.read_text()) if kept.is_file() else {}
        for name in names:
            train(name, runs, options.model, options.scale, options.processes)
            if name not in found:
                found[name] = measure(name, runs, options.model, options.count)
                kept.write_text(json.dumps(found, indent=1) + "\n")
                logger.info("%s: %s", name, {k: round(v, 4) for k, v in found[name].items()})
    except (TrainingError, OSError) as error:
        print(f"python -m training.claims: {error}", file=sys.stderr)
        return 2
    print(table(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
