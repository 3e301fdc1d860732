"""Sizes that a prompt asks for in words: the planner chooses them, the reader checks the pictures.

| rows | a picture is right when |
| --- | --- |
| shape as asked | its sides' ratio is about that of the asked size |
| exact size as asked | its size is one that the asked word stands for ("panoramic" is two) |
| slots right | it shows what the prompt names, in its unusual shape |
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
)
from benchmarks.quality.examples import size_examples
from benchmarks.quality.report import Row, share_row, verdict_row
from benchmarks.quality.sheet import Panel
from training.storyworld.documents.pictures import SIZES
from training.storyworld.facts import judge, same_shape, total

SHARE = 0.3
SHAPES = ("square", "wide", "tall")
Size = tuple[int, int]


def size(evaluation: Evaluation) -> Result:
    examples = size_examples(evaluation.count(SHARE))
    samples = evaluation.samples("size", examples, max_images=MOST_OF_ONE)
    rows = [*_size_rows(samples), *_slot_rows(samples)]
    panels = [
        Panel(first_picture(s.document), s.example.words, "" if _shaped(s) else "shape")
        for s in samples
    ]
    return Result(rows, panels, 5, [_to_dict(s) for s in samples])


def shape(asked: Size) -> str:
    """One of `SHAPES`."""
    width, height = asked
    return "square" if width == height else "wide" if width > height else "tall"


def meant(prompt: str) -> set[Size]:
    """The sizes that the longest word for a size in the prompt stands for."""
    said = [w for words in SIZES.values() for w in words if w in prompt.lower()]
    longest = max(said, key=len, default="")
    return {found for found, words in SIZES.items() if longest in words}


def _drawn(sample: Sample) -> Size | None:
    images = sample.document.images
    return images[0].size if images else None


def _shaped(sample: Sample) -> bool:
    drawn = _drawn(sample)
    return drawn is not None and same_shape(sample.example.asked["size"], drawn)


def _size_rows(samples: Sequence[Sample]) -> list[Row]:
    known = known_ceiling(samples)
    rows = [
        verdict_row("size", "shape as asked", [_shaped(s) for s in samples], [True] * len(known)),
        verdict_row(
            "size",
            "exact size as asked",
            [_drawn(s) in meant(s.example.words) for s in samples],
            [s.example.drawn[0].size in meant(s.example.words) for s in known],
        ),
    ]
    for name in SHAPES:
        some = [_shaped(s) for s in samples if shape(s.example.asked["size"]) == name]
        if some:
            rows.append(verdict_row("size", f"shape as asked: {name}", some))
    return rows


def _slot_rows(samples: Sequence[Sample]) -> list[Row]:
    found = total([judge(s.asked, s.seen) for s in samples])
    best = total([judge(s.asked, s.true) for s in known_ceiling(samples)])
    return [
        share_row("size", "slots right", found, best),
        verdict_row("size", "pictures asked = drawn", [s.counted for s in samples]),
    ]


def _to_dict(sample: Sample) -> dict[str, object]:
    return {
        "id": sample.example.document.id,
        "prompt": sample.example.words,
        "asked": sample.example.asked["size"],
        "drawn": _drawn(sample),
    }
