"""Compositions: characters from several given pictures, together in one new picture.

Identity is judged against the true characters: `named attributes` are what text could carry,
`markings` only the given pictures can. Figures are looked for by their likeness.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.quality.evaluation import (
    MOST_OF_ONE,
    Evaluation,
    Result,
    Sample,
    first_picture,
    known_ceiling,
    told,
)
from benchmarks.quality.examples import Example, compose_examples
from benchmarks.quality.report import Row, share_row, verdict_row
from benchmarks.quality.sheet import Panel
from training.storyworld.facts import Tally, identities, judge, read_character, total
from training.storyworld.reader import Reading

SHARE = 0.3
ROWS = {
    "named": "named attributes kept", "markings": "markings kept (all four)",
    "form": "markings' form", "hue": "markings' colour", "scale": "markings' scale",
    "angle": "markings' angle",
}  # fmt: skip


def compose(evaluation: Evaluation) -> Result:
    references = evaluation.runtime.bundle.manifest.cache.max_references
    examples = compose_examples(evaluation.count(SHARE), references)
    samples = evaluation.samples("compose", examples, max_images=MOST_OF_ONE)
    rows = [*_identity_rows(samples), *_picture_rows(samples)]
    panels = [p for s in samples for p in _panels(s)]
    # A row of the sheet holds one composition, its sources before it.
    columns = max(len(s.example.given) for s in samples) + 1
    return Result(rows, panels, columns, [_to_dict(s) for s in samples])


def same_cast(example: Example, seen: Reading | None) -> Tally:
    """Identity of every character that the new picture should show."""
    return identities([read_character(c) for c in example.drawn[0].characters], seen)


def _identity_rows(samples: Sequence[Sample]) -> list[Row]:
    found, best = _casts(samples)
    rows = [share_row("compose", name, found, best, slot) for slot, name in ROWS.items()]
    for number in sorted({len(s.example.given) for s in samples}):
        some, ceiling = _casts([s for s in samples if len(s.example.given) == number])
        for slot in ("named", "markings"):
            name = f"{ROWS[slot]}, of {number} pictures"
            rows.append(share_row("compose", name, some, ceiling, slot))
    return rows


def _casts(samples: Sequence[Sample]) -> tuple[Tally, Tally]:
    """Identity in the pictures, and at the ceiling."""
    found = total([same_cast(s.example, s.seen) for s in samples])
    return found, total([same_cast(s.example, s.true) for s in known_ceiling(samples)])


def _picture_rows(samples: Sequence[Sample]) -> list[Row]:
    known = known_ceiling(samples)
    asked = total([judge(s.asked, s.seen) for s in samples])
    ceiling = total([judge(s.asked, s.true) for s in known])
    return [
        verdict_row(
            "compose",
            "everybody kept",
            [same_cast(s.example, s.seen).all_right for s in samples],
            [same_cast(s.example, s.true).all_right for s in known],
        ),
        share_row("compose", "number of figures", asked, ceiling, "count"),
        share_row("compose", "slots right", asked, ceiling),
        verdict_row("compose", "pictures asked = drawn", [s.counted for s in samples]),
    ]


def _panels(sample: Sample) -> list[Panel]:
    given = [Panel(p, "given") for p in sample.example.prompt if not isinstance(p, str)]
    wrong = " ".join(same_cast(sample.example, sample.seen).wrong)
    drawn = Panel(first_picture(sample.document), sample.example.words, wrong)
    return [*given, drawn]


def _to_dict(sample: Sample) -> dict[str, object]:
    found = same_cast(sample.example, sample.seen)
    return {
        "id": sample.example.document.id,
        "prompt": sample.example.words,
        "given": len(sample.example.given),
        "dense": sample.dense,
        "read": told(sample.seen),
        "right": dict(found.right),
        "judged": dict(found.judged),
    }
