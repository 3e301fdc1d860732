"""Text to image: the picture against the prompt and against the dense prompt.

| rows | judged | by |
| --- | --- | --- |
| `t2i` | the picture | what the user's prompt names: planner and visualizer together |
| `visualizer` | the picture | the dense prompt: the visualizer alone |
| `planner` | the dense prompt | what the user's prompt names: the planner alone |
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.quality.evaluation import Evaluation, Result, Sample, first_picture, told
from benchmarks.quality.examples import text_examples
from benchmarks.quality.report import Row, seconds_row, share_row, slot_rows, verdict_row
from benchmarks.quality.sheet import Panel
from training.storyworld.facts import (
    SLOTS,
    Tally,
    judge,
    read_dense,
    same_shape,
    says_everything,
    total,
    wanted_from_dense,
)
from training.storyworld.scoring import Wanted
from training.storyworld.text import describe

FEW = 2


def text_to_image(evaluation: Evaluation) -> Result:
    samples = generate_samples(evaluation, evaluation.settings.samples)
    judged = [judge(s.asked, s.seen) for s in samples]
    rows = _picture_rows("t2i", judged, _ceiling(samples, [s.asked for s in samples]))
    rows += _count_rows(samples, judged)
    rows += _visualizer_rows(samples)
    rows += _planner_rows(samples)
    panels = [
        Panel(first_picture(s.document), s.example.words, " ".join(t.wrong))
        for s, t in zip(samples, judged, strict=True)
    ]
    return Result(rows, panels, 5, [_to_dict(s, t) for s, t in zip(samples, judged, strict=True)])


def generate_samples(evaluation: Evaluation, count: int) -> list[Sample]:
    """The first `count` held-out prompts, drawn and read."""
    return evaluation.samples("t2i", text_examples(count))


def _ceiling(samples: Sequence[Sample], wanted: Sequence[Wanted]) -> list[Tally] | None:
    """The reader on true renders, judged like the pictures."""
    pairs = [(w, s.true) for s, w in zip(samples, wanted, strict=True) if s.true is not None]
    return [judge(w, true) for w, true in pairs] or None


def _all_right(tallies: Sequence[Tally]) -> float | None:
    return sum(t.all_right for t in tallies) / len(tallies) if tallies else None


def _picture_rows(
    suite: str, judged: Sequence[Tally], ceiling: Sequence[Tally] | None
) -> list[Row]:
    best = None if ceiling is None else total(ceiling)
    found = total(judged)
    every = Row(
        suite, "all slots right", _all_right(judged), len(judged),
        None if ceiling is None else _all_right(ceiling),
    )  # fmt: skip
    return [share_row(suite, "slots right", found, best), every,
            *slot_rows(suite, found, best, SLOTS)]  # fmt: skip


def _count_rows(samples: Sequence[Sample], judged: Sequence[Tally]) -> list[Row]:
    """The pictures asked for, and the easier half of the prompts."""
    few = [t for s, t in zip(samples, judged, strict=True) if len(s.asked.characters) <= FEW]
    shaped = [_has_shape(s) for s in samples if "size" in s.example.asked]
    return [
        Row("t2i", f"slots right, up to {FEW} characters", total(few).share(), total(few).total),
        Row("t2i", f"all slots right, up to {FEW} characters", _all_right(few), len(few)),
        verdict_row("t2i", "pictures asked = drawn", [s.counted for s in samples]),
        verdict_row("t2i", "shape as asked", shaped),
        seconds_row("t2i", "time, median", [s.document.stats.total_s for s in samples]),
    ]


def _has_shape(sample: Sample) -> bool:
    images = sample.document.images
    return bool(images) and same_shape(sample.example.asked["size"], images[0].size)


def _visualizer_rows(samples: Sequence[Sample]) -> list[Row]:
    drawn = [s for s in samples if s.dense]
    judged = [judge(wanted_from_dense(s.dense), s.seen) for s in drawn]
    wanted = [wanted_from_dense(describe(s.example.drawn[0])) for s in samples]
    return _picture_rows("visualizer", judged, _ceiling(samples, wanted))


def _planner_rows(samples: Sequence[Sample]) -> list[Row]:
    judged = [judge(s.asked, read_dense(s.dense) if s.dense else None) for s in samples]
    rows = _picture_rows("planner", judged, None)
    complete = [says_everything(s.dense) for s in samples]
    ended = [s.document.finish_reason == "stop" for s in samples]
    return [
        *rows,
        verdict_row("planner", "dense prompt says every slot", complete),
        verdict_row("planner", "answer ends by itself", ended),
    ]


def _to_dict(sample: Sample, judged: Tally) -> dict[str, object]:
    return {
        "id": sample.example.document.id,
        "prompt": sample.example.words,
        "dense": sample.dense,
        "read": told(sample.seen),
        "wrong": judged.wrong,
    }
