"""Edits: a given picture and a request that changes it, kinds of change by turns.

| rows | judged | by |
| --- | --- | --- |
| asked change made | the new picture | the slots that the edit changes; see `changes` |
| everything else kept | the new picture | all other slots of the given scene, markings included |
| all changed and all kept | the new picture | both at once |
| … by the dense prompt | the dense prompt | the same, as far as text says it: the planner alone |
| change made: … | the new picture | the changes of one kind |
| kept: … | the new picture | the slots of one kind that the edit leaves alone |
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.quality.changes import CHANGES, KEPT, Change, change_of, judge_change, told_wrong
from benchmarks.quality.evaluation import (
    MOST_OF_ONE,
    Evaluation,
    Result,
    Sample,
    first_picture,
    known_ceiling,
    told,
)
from benchmarks.quality.examples import Example, edit_examples
from benchmarks.quality.report import Row, share_row, slot_rows, verdict_row
from benchmarks.quality.sheet import Panel
from training.storyworld.facts import Tally, read_dense, read_scene, total
from training.storyworld.reader import Reading
from training.storyworld.text import describe

SHARE = 0.6
Judged = tuple[Tally, Tally]


def edit(evaluation: Evaluation) -> Result:
    examples = edit_examples(evaluation.count(SHARE))
    samples = evaluation.samples("edit", examples, max_images=MOST_OF_ONE)
    judged = [judge_edit(s.example, s.seen) for s in samples]
    known = known_ceiling(samples)
    rows = change_rows("edit", judged, [judge_edit(s.example, s.true) for s in known])
    rows += planner_rows(
        "edit",
        [judge_dense(s.example, s.dense) for s in samples],
        [judge_dense(s.example, describe(s.example.drawn[0])) for s in known],
    )
    rows.append(verdict_row("edit", "pictures asked = drawn", [s.counted for s in samples]))
    panels = [p for s, j in zip(samples, judged, strict=True) for p in _panels(s, j)]
    found = [_to_dict(*parts) for parts in zip(samples, judged, strict=True)]
    return Result(rows, panels, 6, found)


def edit_of(example: Example) -> Change:
    """What the example's request changes in its picture."""
    return change_of(example.given[0], example.drawn[0])


def judge_edit(example: Example, seen: Reading | None) -> Judged:
    """What a picture made of the edit, and what it kept of the given scene."""
    return judge_change(edit_of(example), read_scene(example.given[0]), seen)


def judge_dense(example: Example, dense: str) -> Judged:
    """The same for a dense prompt; "" is none."""
    known = read_dense(describe(example.given[0]))
    return judge_change(edit_of(example), known, read_dense(dense) if dense else None)


def change_rows(suite: str, judged: Sequence[Judged], best: Sequence[Judged]) -> list[Row]:
    """What was made and kept, as a whole and by kind; `best` is the ceiling."""
    made, kept = (total(part) for part in _split(judged))
    best_made, best_kept = (total(part) for part in _split(best))
    return [
        share_row(suite, "asked change made", made, best_made),
        share_row(suite, "everything else kept", kept, best_kept),
        verdict_row(suite, "all changed and all kept", _all(judged), _all(best)),
        *slot_rows(suite, made, best_made, CHANGES, "change made: "),
        *(
            share_row(suite, f"kept: {name}", kept.part(slots), best_kept.part(slots))
            for name, slots in KEPT.items()
        ),
    ]


def _split(judged: Sequence[Judged]) -> tuple[list[Tally], list[Tally]]:
    return [made for made, _ in judged], [kept for _, kept in judged]


def _all(judged: Sequence[Judged]) -> list[bool]:
    return [made.all_right and kept.all_right for made, kept in judged if made.total + kept.total]


def planner_rows(suite: str, judged: Sequence[Judged], best: Sequence[Judged]) -> list[Row]:
    """The same of dense prompts."""
    parts = zip(_split(judged), _split(best), strict=True)
    names = ("asked change made", "everything else kept")
    return [
        share_row(suite, f"{name}, by the dense prompt", total(found), total(ceiling))
        for name, (found, ceiling) in zip(names, parts, strict=True)
    ]


def _panels(sample: Sample, judged: Judged) -> list[Panel]:
    given = next(p for p in sample.example.prompt if not isinstance(p, str))
    wrong = told_wrong(*judged)
    return [
        Panel(given, "given"),
        Panel(first_picture(sample.document), sample.example.words, wrong),
    ]


def _to_dict(sample: Sample, judged: Judged) -> dict[str, object]:
    made, kept = judged
    return {
        "id": sample.example.document.id,
        "prompt": sample.example.words,
        "dense": sample.dense,
        "read": told(sample.seen),
        "not made": made.wrong,
        "not kept": kept.wrong,
    }
