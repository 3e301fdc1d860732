"""Text to image: the picture against the prompt and against the dense prompt.

| rows | judged | by |
| --- | --- | --- |
| `t2i` | the picture | what the user's prompt names: planner and visualizer together |
| `visualizer` | the picture | the dense prompt: the visualizer alone |
| `planner` | the dense prompt | what the user's prompt names: the planner alone |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.quality.evaluation import Evaluation, Result, first_picture, told
from benchmarks.quality.examples import Example, text_examples
from benchmarks.quality.facts import (
    SLOTS,
    Tally,
    judge,
    read_dense,
    says_everything,
    total,
    wanted_from_dense,
)
from benchmarks.quality.report import Row, share_row, slot_rows
from benchmarks.quality.sheet import Panel
from runtime import Document
from training.storyworld.reader import Reading
from training.storyworld.scoring import Wanted, wanted_from_asked
from training.storyworld.text import describe

FEW = 2
SAME_SHAPE = 1.4


@dataclass(frozen=True, eq=False)
class Sample:
    """A prompt with what was written and drawn for it; `seen` None: nothing was drawn."""

    example: Example
    document: Document
    seen: Reading | None
    true: Reading | None

    @property
    def asked(self) -> Wanted:
        return wanted_from_asked(self.example.asked)

    @property
    def dense(self) -> str:
        return self.document.images[0].prompt if self.document.images else ""


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
    examples = text_examples(count)
    documents = []
    for number, example in enumerate(examples):
        evaluation.say(f"t2i {number + 1}/{count}")
        documents.append(evaluation.generate(example.prompt, number))
    seen = evaluation.read([first_picture(d) for d in documents])
    true = evaluation.read_scenes([e.drawn[0] for e in examples])
    return [Sample(*parts) for parts in zip(examples, documents, seen, true, strict=True)]


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
    exact = [len(s.document.images) == s.example.asked["pictures"] for s in samples]
    shaped = [_has_shape(s) for s in samples if "size" in s.example.asked]
    seconds = [s.document.stats.total_s for s in samples]
    return [
        Row("t2i", f"slots right, up to {FEW} characters", total(few).share(), total(few).total),
        Row("t2i", f"all slots right, up to {FEW} characters", _all_right(few), len(few)),
        Row("t2i", "pictures asked = drawn", sum(exact) / len(exact), len(exact)),
        Row("t2i", "shape as asked", sum(shaped) / len(shaped) if shaped else None, len(shaped)),
        Row("t2i", "time, median", median(seconds), len(seconds), unit="s"),
    ]


def _has_shape(sample: Sample) -> bool:
    """Whether the picture is about as wide for its height as asked: "panoramic" says no number."""
    if not sample.document.images:
        return False
    asked, drawn = sample.example.asked["size"], sample.document.images[0].size
    ratio = (asked[0] * drawn[1]) / (asked[1] * drawn[0])
    return max(ratio, 1 / ratio) <= SAME_SHAPE


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
        Row(
            "planner", "dense prompt says every slot", sum(complete) / len(complete), len(complete)
        ),
        Row("planner", "answer ends by itself", sum(ended) / len(ended), len(ended)),
    ]


def _to_dict(sample: Sample, judged: Tally) -> dict[str, object]:
    return {
        "id": sample.example.document.id,
        "prompt": sample.example.words,
        "dense": sample.dense,
        "read": told(sample.seen),
        "wrong": judged.wrong,
    }
