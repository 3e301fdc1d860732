"""The claims as a table in Markdown: a row per arm and, per claim, what was measured."""

from __future__ import annotations

import math
from collections.abc import Mapping

from training.claims.arms import CLAIMS, COUNTS, Claim, counted
from training.claims.measures import Measures

SHARES = (
    "understanding", "image start", "slots right", "named identity", "markings",
    "contradictions", "repetition", *(counted(steps) for steps in COUNTS),
)  # fmt: skip


def table(found: Mapping[str, Measures]) -> str:
    """Every claim whose arms were all measured; arms by name."""
    parts = [_one(claim, found) for claim in CLAIMS if all(arm in found for arm in claim.arms)]
    return "\n\n".join(parts) + "\n"


def _one(claim: Claim, found: Mapping[str, Measures]) -> str:
    measures = ("steps", *claim.measures)
    head = ["arm", *measures]
    lines = [f"**{claim.words.capitalize()}**", "", _line(head), _line(["---"] * len(head))]
    for arm in claim.arms:
        values = [_cell(name, found[arm]) for name in measures]
        lines.append(_line([arm, *values]))
    return "\n".join(lines)


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(name: str, measured: Measures) -> str:
    shown = _shown(name, measured.get(name, math.nan))
    seconds = measured.get(f"{name}, time")
    return shown if seconds is None else f"{shown}, {1000 * seconds:.0f} ms"


def _shown(name: str, value: float) -> str:
    if math.isnan(value):
        return "–"
    if name == "steps":
        return f"{value:.0f}"
    if name in SHARES:
        return f"{100 * value:.1f} %"
    return f"{value:.1f} dB" if name == "diversity" else f"{value:.3f}"
