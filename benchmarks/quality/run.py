"""Runs suites on a loaded bundle and puts their results together."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.environment import bundle_facts, environment
from benchmarks.quality.evaluation import Evaluation, Result, Settings
from benchmarks.quality.examples import HELD_OUT_SEED
from benchmarks.quality.readings import Readings, cache_folder
from benchmarks.quality.report import Row, table, verdict_row
from benchmarks.quality.sheet import write_sheet
from benchmarks.quality.suites import SUITES
from runtime import OutputError, Runtime


def run_suites(
    arguments: argparse.Namespace, loaded: Runtime, say: Callable[[str], None]
) -> tuple[str, dict[str, Any]]:
    """The table, and everything as data; sheets go to `arguments.out`."""
    settings = Settings(
        arguments.samples, arguments.seed, arguments.steps, not arguments.no_ceiling
    )
    folder = None if arguments.no_cache else cache_folder()
    started = time.perf_counter()
    rows: list[Row] = []
    samples: dict[str, Any] = {}
    with Readings(arguments.jobs or os.cpu_count() or 1, folder, say) as readings:
        evaluation = Evaluation(loaded, settings, readings, say)
        for name in arguments.suite:
            before = len(evaluation.outcomes)
            result = SUITES[name](evaluation)
            rows += [*result.rows, *_failures(name, evaluation, before)]
            samples[name] = result.samples
            _write_sheet(arguments.out, name, result)
    say("")
    data = {
        "command": "eval",
        "settings": {
            "suites": list(arguments.suite),
            "samples": settings.samples,
            "seed": settings.seed,
            "steps": settings.steps or loaded.bundle.manifest.schedule.default_steps,
            "held_out_seed": HELD_OUT_SEED,
        },
        "seconds": time.perf_counter() - started,
        "bundle": bundle_facts(loaded),
        "environment": environment(),
        "rows": [row.to_dict() for row in rows],
        "samples": samples,
    }
    return table(rows), data


def _failures(suite: str, evaluation: Evaluation, before: int) -> list[Row]:
    """A row where the runtime failed on some of a suite's requests; raises where it always did."""
    errors = [error for error in evaluation.outcomes if error is not None]
    if errors and len(errors) == len(evaluation.outcomes):
        raise errors[-1]
    failed = [error is not None for error in evaluation.outcomes[before:]]
    return [verdict_row(suite, "requests that failed", failed)] if any(failed) else []


def _write_sheet(folder: Path | None, name: str, result: Result) -> None:
    if folder is None or not result.panels:
        return
    try:
        write_sheet(folder / f"{name}.png", result.panels, result.columns)
    except OSError as error:
        raise OutputError(f"{folder}: cannot write the sheet: {error}") from error
