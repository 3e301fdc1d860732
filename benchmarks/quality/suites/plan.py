"""The plan of a document: how many pictures, an end, and thinking on request.

The planner alone: pictures are drawn with the fewest steps of the bundle and not read.

| rows | meaning |
| --- | --- |
| pictures asked = drawn | stories by the number asked for, and guides |
| pictures too many or too few | mean distance of the number drawn from the number asked |
| answer ends by itself | neither the cache nor a limit ends it |
| dense prompt says every slot | of all pictures |
| plan written | with `think=True`; where the prompt asks for it in words |
| no plan unasked | where neither does |
| plan tells the number of pictures | the plan's first number is that of the pictures drawn |
| tag grammar without constraints | of the tags of stories and guides, and of the answers |
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from benchmarks.quality.evaluation import Evaluation, Result
from benchmarks.quality.examples import (
    Example,
    counted_guides,
    counted_stories,
    plain_examples,
    thinking_examples,
)
from benchmarks.quality.report import Row, mean_row, verdict_row
from runtime import Document
from training.storyworld.facts import says_everything

STORY_SHARE, GUIDE_SHARE, THINK_SHARE = 0.3, 0.15, 0.15
LENGTHS = {
    "2 to 4 pictures": (2, 4),
    "5 to 8 pictures": (5, 8),
    "9 to 12 pictures": (9, 12),
}
# Enough to tell that too many were drawn.
MORE = 2
MOST_OPEN = 10
_NUMBER = re.compile(r"\d+")
Told = list[tuple[Example, Document]]
# Per answer, its tags: whether the planner keeps to the format by itself.
Tags = list[list[bool]]


def plan(evaluation: Evaluation) -> Result:
    tags: Tags = []
    stories = _told(evaluation, "stories", counted_stories(evaluation.count(STORY_SHARE)), tags)
    guides = _told(evaluation, "guides", counted_guides(evaluation.count(GUIDE_SHARE)), tags)
    count = evaluation.count(THINK_SHARE)
    forced = _told(evaluation, "think", plain_examples(count), think=True)
    willing = _told(evaluation, "think in words", thinking_examples(count))
    rows = [*_count_rows(stories, guides), *_answer_rows([*stories, *guides])]
    rows += [*_tag_rows(tags), *_thinking_rows([*stories, *guides], forced, willing)]
    told = [*stories, *guides, *forced, *willing]
    return Result(rows, samples=[_to_dict(*pair) for pair in told])


def _told(
    evaluation: Evaluation,
    name: str,
    examples: Sequence[Example],
    tags: Tags | None = None,
    **options: Any,
) -> Told:
    """Every example with its document, drawn as quickly as can be; their tags go to `tags`."""
    documents = []
    for number, example in enumerate(examples):
        evaluation.say(f"{name} {number + 1}/{len(examples)}")
        asked = example.asked["pictures"]
        most = asked + MORE if asked is not None else MOST_OPEN
        session = evaluation.runtime.session()
        options |= {"steps": evaluation.fewest_steps, "max_images": most}
        documents.append(evaluation.answer(session, example.prompt, number, **options))
        if tags is not None and documents[-1].segments:
            tags.append(session.tag_choices(evaluation.settings.seed + number))
    return list(zip(examples, documents, strict=True))


def off_by(told: Told) -> list[int]:
    """How many pictures each document has too many or too few."""
    return [abs(len(d.images) - e.asked["pictures"]) for e, d in told]


def _count_rows(stories: Told, guides: Told) -> list[Row]:
    name = "pictures asked = drawn"
    rows = [verdict_row("plan", f"{name}, stories", _exact(stories))]
    for which, (low, high) in LENGTHS.items():
        some = [pair for pair in stories if low <= pair[0].asked["pictures"] <= high]
        if some:
            rows.append(verdict_row("plan", f"{name}, {which}", _exact(some)))
    return [
        *rows,
        verdict_row("plan", f"{name}, guides", _exact(guides)),
        mean_row(
            "plan", "pictures too many or too few", off_by([*stories, *guides]), unit="pictures"
        ),
    ]


def _exact(told: Told) -> list[bool]:
    return [not off for off in off_by(told)]


def _answer_rows(told: Told) -> list[Row]:
    dense = [image.prompt for _, d in told for image in d.images]
    return [
        verdict_row("plan", "answer ends by itself", [d.finish_reason == "stop" for _, d in told]),
        verdict_row(
            "plan", "dense prompt says every slot", [says_everything(text) for text in dense]
        ),
    ]


def _tag_rows(tags: Tags) -> list[Row]:
    name = "tag grammar without constraints"
    return [
        verdict_row("plan", f"{name}, tags", [kept for answer in tags for kept in answer]),
        verdict_row("plan", f"{name}, answers", [all(answer) for answer in tags]),
    ]


def plan_counts(document: Document) -> bool:
    """Whether the plan's first number is that of the pictures drawn."""
    number = _NUMBER.search(document.plan)
    return number is not None and int(number[0]) == len(document.images)


def _thinking_rows(unasked: Told, forced: Told, willing: Told) -> list[Row]:
    plans = [plan_counts(d) for _, d in (*forced, *willing) if d.plan]
    return [
        verdict_row("plan", "plan written, think=True", _planned(forced)),
        verdict_row("plan", "plan written, asked for in words", _planned(willing)),
        verdict_row("plan", "no plan unasked", [not d.plan for _, d in unasked if d.segments]),
        verdict_row("plan", "plan tells the number of pictures", plans),
    ]


def _planned(told: Told) -> list[bool]:
    return [bool(document.plan.strip()) for _, document in told]


def _to_dict(example: Example, document: Document) -> dict[str, object]:
    return {
        "id": example.document.id,
        "prompt": example.words,
        "asked": example.asked["pictures"],
        "drawn": len(document.images),
        "plan": document.plan,
        "finish": document.finish_reason,
    }
