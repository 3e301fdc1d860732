"""Palettes: a prompt lists colours and their shares of the backdrop; the reader measures both.

| rows | meaning |
| --- | --- |
| a palette is seen | the backdrop is made of a few flat colours at all |
| difference of colours, mean ΔE | of each asked colour to the nearest one seen (CIE76), over the |
|  | pictures where a palette is seen; lower is better |
| colours found | asked colours with a seen one at most `SWATCH_DISTANCE` away |
| share within 10 points | asked colours whose nearest one covers about the asked share |
| palette right | as many colours, all found, all over their share, by `scoring.palettes_match` |
| slots right | everything the prompt names, the palette included |

A picture without a palette has no colour found and no share right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.quality.evaluation import (
    MOST_OF_ONE,
    Evaluation,
    Result,
    Sample,
    first_picture,
    known_ceiling,
    told,
)
from benchmarks.quality.examples import palette_examples
from benchmarks.quality.report import Row, mean_row, share_row, verdict_row
from benchmarks.quality.sheet import Panel
from training.storyworld.canvas import rgb
from training.storyworld.facts import judge, total
from training.storyworld.reader import Reading
from training.storyworld.scoring import SWATCH_DISTANCE, Wanted, color_distance

SHARE = 0.3
POINTS = 0.10


@dataclass(frozen=True)
class Match:
    """An asked colour: how far the nearest seen one is in ΔE, and how far its share is."""

    difference: float
    share_off: float


def palette(evaluation: Evaluation) -> Result:
    examples = palette_examples(evaluation.count(SHARE))
    samples = evaluation.samples("palette", examples, max_images=MOST_OF_ONE)
    known = known_ceiling(samples)
    rows = _palette_rows([(s.asked, s.seen) for s in samples], [(s.asked, s.true) for s in known])
    rows += _slot_rows(samples)
    panels = [Panel(first_picture(s.document), s.example.words, _seen(s.seen)) for s in samples]
    return Result(rows, panels, 5, [_to_dict(s) for s in samples])


def matches(wanted: Wanted, seen: Reading | None) -> list[Match | None]:
    """Every asked colour with the nearest one seen, None where no palette is."""
    if seen is None or not seen.palette:
        return [None] * len(wanted.palette)
    found: list[Match | None] = []
    for color, share in wanted.palette:
        far = {s: color_distance(rgb(s.hex), rgb(color)) for s in seen.palette}
        near = min(far, key=far.__getitem__)
        found.append(Match(far[near], abs(near.share - share)))
    return found


Pairs = Sequence[tuple[Wanted, Reading | None]]


def _palette_rows(pairs: Pairs, best: Pairs) -> list[Row]:
    found, ceiling = ([matches(*pair) for pair in each] for each in (pairs, best))
    colors, true = ([m for each in some for m in each] for some in (found, ceiling))
    return [
        verdict_row("palette", "a palette is seen", *_each(found, ceiling)),
        mean_row(
            "palette",
            "difference of colours, mean",
            [m.difference for m in colors if m is not None],
            [m.difference for m in true if m is not None],
            unit="ΔE",
        ),
        verdict_row(
            "palette", "colours found", [_is_near(m) for m in colors], [_is_near(m) for m in true]
        ),
        verdict_row(
            "palette",
            "share within 10 points",
            [_covers(m) for m in colors],
            [_covers(m) for m in true],
        ),
    ]


def _each(*parts: Sequence[list[Match | None]]) -> list[list[bool]]:
    """For every picture whether a palette is seen."""
    return [[None not in found for found in part] for part in parts]


def _is_near(match: Match | None) -> bool:
    return match is not None and match.difference <= SWATCH_DISTANCE


def _covers(match: Match | None) -> bool:
    return match is not None and match.share_off <= POINTS


def _slot_rows(samples: Sequence[Sample]) -> list[Row]:
    found = total([judge(s.asked, s.seen) for s in samples])
    best = total([judge(s.asked, s.true) for s in known_ceiling(samples)])
    return [
        share_row("palette", "palette right", found, best, "palette"),
        share_row("palette", "slots right", found, best),
        verdict_row("palette", "pictures asked = drawn", [s.counted for s in samples]),
    ]


def _seen(seen: Reading | None) -> str:
    swatches = seen.palette if seen is not None else ()
    return ", ".join(f"{s.hex} {round(100 * s.share)}%" for s in swatches)


def _to_dict(sample: Sample) -> dict[str, object]:
    return {
        "id": sample.example.document.id,
        "prompt": sample.example.words,
        "dense": sample.dense,
        "read": told(sample.seen),
        "palette": _seen(sample.seen),
        "wrong": judge(sample.asked, sample.seen).wrong,
    }
