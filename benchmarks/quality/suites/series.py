"""Series: one character in two to ten pictures that differ in one thing.

| rows | meaning |
| --- | --- |
| pictures asked = drawn | of all; what follows is judged in those that were drawn |
| what differs is as asked | place, time, weather or action of each picture, in this order |
| slots right | this, and what the prompt says of the character |
| identity | of later pictures with the first one, see `story` |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.quality.evaluation import Evaluation, Result
from benchmarks.quality.examples import Example, series_examples
from benchmarks.quality.report import Row, seconds_row, share_row, verdict_row
from benchmarks.quality.sheet import Panel
from benchmarks.quality.suites.story import Page, recurring, told_and_true
from runtime import Document
from training.storyworld.facts import Tally, judge, total
from training.storyworld.scoring import wanted_from_asked

SHARE = 0.3
# Enough to tell that too many were drawn.
MORE = 2
# `asked` names what differs in the plural.
DIFFERING = {"places": "place", "times": "time", "weathers": "weather", "actions": "action"}
IDENTITY = {"named": "identity: named attributes", "markings": "identity: markings (all four)"}


@dataclass(frozen=True)
class Told:
    """A series as it was drawn, and as it should be."""

    example: Example
    document: Document
    pages: Sequence[Page]
    best: Sequence[Page]


def series(evaluation: Evaluation) -> Result:
    examples = series_examples(evaluation.count(SHARE))
    documents = []
    for number, example in enumerate(examples):
        evaluation.say(f"series {number + 1}/{len(examples)}")
        most = example.asked["pictures"] + MORE
        documents.append(evaluation.generate(example.prompt, number, max_images=most))
    pages = told_and_true(evaluation, examples, documents)
    told = [Told(*parts) for parts in zip(examples, documents, *pages, strict=True)]
    columns = max(example.asked["pictures"] for example in examples)
    panels = [panel for some in told for panel in _panels(some, columns)]
    return Result(_rows(told), panels, columns, [_to_dict(some) for some in told])


def asked_of(asked: dict[str, Any], index: int) -> tuple[str, dict[str, Any]]:
    """What a series asks of its picture `index`: which slot differs, and `asked` for it alone."""
    plural = next(name for name in DIFFERING if name in asked)
    slot, value = DIFFERING[plural], asked[plural][index]
    figure = dict(asked["characters"][0])
    rest = {name: of for name, of in asked.items() if name != plural}
    if slot == "action":
        return slot, {**rest, "characters": [{**figure, "action": value}]}
    return slot, {**rest, "characters": [figure], slot: value}


def judge_pages(asked: dict[str, Any], pages: Sequence[Page]) -> tuple[Tally, Tally]:
    """What differs, and all slots, of the pages that were read and asked for."""
    differs, everything = Tally(), Tally()
    for index, page in enumerate(pages[: asked["pictures"]]):
        slot, wanted = asked_of(asked, index)
        if page.seen is not None:
            judged = judge(wanted_from_asked(wanted), page.seen)
            differs.update(judged.part([slot]))
            everything.update(judged)
    return differs, everything


def _rows(told: Sequence[Told]) -> list[Row]:
    found = [judge_pages(some.example.asked, some.pages) for some in told]
    best = [judge_pages(some.example.asked, some.best) for some in told]
    exact = [len(some.document.images) == some.example.asked["pictures"] for some in told]
    rows = [verdict_row("series", "pictures asked = drawn", exact)]
    for which, name in enumerate(("what differs is as asked", "slots right")):
        pairs = total([pair[which] for pair in found]), total([pair[which] for pair in best])
        rows.append(share_row("series", name, *pairs))
    same = total([recurring(some.pages) for some in told])
    ceiling = total([recurring(some.best) for some in told])
    rows += [share_row("series", name, same, ceiling, slot) for slot, name in IDENTITY.items()]
    seconds = [picture.total_s for some in told for picture in some.document.stats.images]
    return [*rows, seconds_row("series", "time of a picture, median", seconds)]


def _panels(told: Told, columns: int) -> list[Panel]:
    """A row of the sheet: the pictures of a series, and gaps up to `columns`."""
    images = told.document.images[:columns]
    drawn = [Panel(image.pixels, told.example.words if not i else "") for i, image in
             enumerate(images)]  # fmt: skip
    return [*drawn, *[Panel(None, "")] * (columns - len(drawn))]


def _to_dict(told: Told) -> dict[str, object]:
    differs, everything = judge_pages(told.example.asked, told.pages)
    return {
        "id": told.example.document.id,
        "prompt": told.example.words,
        "asked": told.example.asked["pictures"],
        "drawn": len(told.document.images),
        "dense": [image.prompt for image in told.document.images],
        "differs": [differs.right.total(), differs.total],
        "right": dict(everything.right),
        "judged": dict(everything.judged),
    }
