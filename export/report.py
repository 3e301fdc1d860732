"""What an export did: a row for every component and variant, as a table or JSON."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from export.errors import ExportError
from export.targets import LeftOut
from runtime.bundle import Variant


@dataclass(frozen=True)
class Row:
    """A component's variant: what it weighs, how long it took to build, how exact it is.

    `gates` say by figure whether it held; `layers` counts the layers of each
    kind they really got.
    """

    component: str
    backend: str
    precision: str
    compute_capability: str
    bytes: int
    seconds: float
    figures: dict[str, float]
    gates: dict[str, bool]
    layers: dict[str, int]
    reused: bool = False


@dataclass(frozen=True)
class Report:
    """What was exported, how large and how exact it is. `scores` holds the end-to-end figures of
    each precision; `left_out` are the engines that the GPUs asked for cannot have."""

    bundle: str
    revision: str
    bytes: int
    seconds: float
    rows: tuple[Row, ...]
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    left_out: tuple[LeftOut, ...] = ()


def row_of(component: str, variant: Variant, seconds: float, reused: bool) -> Row:
    """The row of a variant that took `seconds` to build, or came out of the engine cache."""
    return Row(
        component,
        variant.backend,
        variant.precision,
        variant.compute_capability,
        sum(file.size for file in variant.files),
        round(seconds, 2),
        dict(variant.parity),
        {g.figure: g.holds(variant.parity[g.figure]) for g in variant.gates},
        dict(sorted(Counter(variant.layers.values()).items())),
        reused,
    )


def check_report(path: Path | None) -> None:
    """Raises `ExportError` where no report can be written to `path`, before there is one."""
    if path is not None and (path.is_dir() or not path.parent.is_dir()):
        raise ExportError(
            f"{path}: expected the name of a file in a folder that is there; make the "
            "folder, or name another file"
        )


def write_json(data: dict[str, Any], path: Path | None, last_line: bool) -> None:
    """`data` as the file `path` where one is asked for, and as the command's last line."""
    if path is not None:
        try:
            path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise ExportError(f"{path}: cannot write the report: {error}") from error
    if last_line:
        print(json.dumps(data))


def table(report: Report) -> str:
    """The report for people."""
    lines = []
    for row in report.rows:
        name = f"{row.backend} {row.precision} {row.compute_capability}".strip()
        figures = "  ".join(f"{figure} {value:.4g}" for figure, value in row.figures.items())
        state = "" if not row.gates else "ok" if all(row.gates.values()) else "FAILED"
        kinds = ", ".join(f"{count} {kind}" for kind, count in row.layers.items())
        lines.append(
            f"{row.component:<11} {name:<24} {row.bytes / 1e6:7.2f} MB {row.seconds:6.1f} s  "
            f"{state:<6} {figures}{'  [' + kinds + ']' if kinds else ''}"
        )
    for name, scores in report.scores.items():
        figures = "  ".join(f"{figure} {value:g}" for figure, value in scores.items())
        lines.append(f"{'end to end':<11} {name:<24} {figures}")
    lines += [str(left) for left in report.left_out]
    lines.append(f"{report.bundle}: {report.bytes / 1e6:.2f} MB in {report.seconds:.1f} s")
    return "\n".join(lines)
