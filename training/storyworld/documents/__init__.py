"""Documents of the storyworld: prompts and interleaved answers, sampled from a grammar.

`sample_document` is the whole interface; the same generator state gives the same document. It knows
no pixels and no tokens. `TASKS` is the mixture: generation to understanding is 5 to 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from training.storyworld.documents.chat import chat_document
from training.storyworld.documents.dice import Dice
from training.storyworld.documents.document import (
    Document,
    Part,
    Picture,
    Text,
    Turn,
    document_from_dict,
    requested,
)
from training.storyworld.documents.edits import edit_document
from training.storyworld.documents.guides import guide_document
from training.storyworld.documents.pictures import palette, sticker, text_to_image
from training.storyworld.documents.references import compose_document, series_document
from training.storyworld.documents.stories import story_document
from training.storyworld.documents.thinking import with_plan
from training.storyworld.documents.understanding import caption_document, question_document
from training.storyworld.text import counted_down

Maker = Callable[[Dice, bool], tuple[Turn, ...]]

MAKERS: dict[str, Maker] = {
    "t2i": text_to_image,
    "story": story_document,
    "edit": edit_document,
    "chat": chat_document,
    "guide": guide_document,
    "compose": compose_document,
    "series": series_document,
    "sticker": sticker,
    "palette": palette,
    "caption": caption_document,
    "question": question_document,
}
TASKS: dict[str, float] = {
    "story": 30, "t2i": 22, "edit": 14, "chat": 10, "guide": 7, "compose": 6, "series": 5,
    "sticker": 3, "palette": 3, "caption": 8, "question": 12,
}  # fmt: skip


UNDERSTANDING = ("caption", "question")
THINKING_SHARE = 0.1


def sample_document(
    rng: np.random.Generator, task: str | None = None, held_out: bool = False
) -> Document:
    """One document of `task`, or of the mixture; `held_out` as in `scene.is_held_out`."""
    dice = Dice(rng)
    if task is None:
        task = dice.weighted(TASKS)
    if task not in MAKERS:
        raise ValueError(f"task is {task!r}, expected one of {', '.join(MAKERS)}")
    turns = MAKERS[task](dice, held_out)
    if task not in UNDERSTANDING and dice.chance(THINKING_SHARE):
        turns = with_plan(dice, turns)
    turns = tuple(numbered(turn) for turn in turns)
    return Document(f"{task}-{dice.words.getrandbits(48):012x}", task, turns)


def numbered(turn: Turn) -> Turn:
    """Where a turn draws several pictures, each dense prompt begins with how many are left to
    draw, as "3 to go: ". The planner copies the number asked for into the first and counts down,
    and need look at the last one only to know that an ending is due."""
    left = sum(isinstance(part, Picture) and not part.given for part in turn.parts)
    if left < 2:
        return turn
    parts: list[Part] = []
    for part in turn.parts:
        if isinstance(part, Picture) and not part.given:
            part = replace(part, dense=counted_down(part.dense, left))
            left -= 1
        parts.append(part)
    return replace(turn, parts=tuple(parts))


__all__ = [
    "TASKS", "Document", "Part", "Picture", "Text", "Turn", "document_from_dict", "requested",
    "sample_document",
]  # fmt: skip
