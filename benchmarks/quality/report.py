"""Rows of scores, as a table for people and as plain data for JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, median
from typing import Any

from training.storyworld.facts import Tally


@dataclass(frozen=True)
class Row:
    """One score. `ceiling` is the same measure on true renders, `n` how much was judged.

    A score is a share unless `unit` says otherwise; None where nothing could be judged.
    """

    suite: str
    name: str
    score: float | None
    n: int
    ceiling: float | None = None
    unit: str = "share"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def share_row(
    suite: str, name: str, tally: Tally, ceiling: Tally | None = None, slot: str | None = None
) -> Row:
    """The share that is right in a tally, of one slot or of all."""
    judged = tally.total if slot is None else tally.judged[slot]
    best = None if ceiling is None else ceiling.share(slot)
    return Row(suite, name, tally.share(slot), judged, best)


def slot_rows(
    suite: str, tally: Tally, ceiling: Tally | None, slots: Iterable[str], prefix: str = ""
) -> list[Row]:
    """One row for each slot that was judged, named after it."""
    return [
        share_row(suite, prefix + slot.replace("_", " "), tally, ceiling, slot)
        for slot in slots
        if tally.judged[slot]
    ]


def verdict_row(
    suite: str, name: str, verdicts: Sequence[bool], ceiling: Sequence[bool] = ()
) -> Row:
    """The share of samples of which something is true."""
    return mean_row(suite, name, verdicts, ceiling, unit="share")


def mean_row(
    suite: str, name: str, values: Sequence[float], ceiling: Sequence[float] = (), *, unit: str
) -> Row:
    """The mean over samples."""
    best = fmean(ceiling) if ceiling else None
    return Row(suite, name, fmean(values) if values else None, len(values), best, unit)


def seconds_row(suite: str, name: str, seconds: Iterable[float]) -> Row:
    """The median time of what took any: where the runtime failed there is none."""
    taken = [s for s in seconds if s]
    return Row(suite, name, median(taken) if taken else None, len(taken), unit="s")


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return "–"
    return f"{100 * value:.1f} %" if unit == "share" else f"{value:.2f} {unit}"


def table(rows: Iterable[Row]) -> str:
    """Aligned columns: suite, name, score, ceiling, n."""
    lines = [("suite", "name", "score", "ceiling", "n")]
    before = ""
    for row in rows:
        suite = "" if row.suite == before else row.suite
        before = row.suite
        score, ceiling = _number(row.score, row.unit), _number(row.ceiling, row.unit)
        best = ceiling if row.ceiling is not None else ""
        lines.append((suite, row.name, score, best, str(row.n)))
    widths = [max(len(line[i]) for line in lines) for i in range(5)]
    text = []
    for line in lines:
        words = [c.ljust(w) for c, w in zip(line[:2], widths[:2], strict=True)]
        numbers = [c.rjust(w) for c, w in zip(line[2:], widths[2:], strict=True)]
        text.append("  ".join([*words, *numbers]))
    text.insert(1, "  ".join("-" * w for w in widths))
    return "\n".join(text)
