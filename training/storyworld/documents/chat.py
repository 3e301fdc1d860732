"""Chats: a picture or a story first, then changes and questions about the last picture."""

from __future__ import annotations

from training.storyworld.documents.dice import Dice
from training.storyworld.documents.document import Picture, Text, Turn
from training.storyworld.documents.edits import (
    edit_asked,
    edit_document,
    phrase_answer,
    phrase_order,
    sample_edit,
)
from training.storyworld.documents.pictures import draw, text_to_image
from training.storyworld.documents.stories import story_document
from training.storyworld.documents.understanding import sample_question
from training.storyworld.scene import Scene


def _last_scene(turns: tuple[Turn, ...]) -> Scene:
    pictures = [p for t in turns for p in t.parts if isinstance(p, Picture)]
    scene = pictures[-1].scene
    assert scene is not None
    return scene


def chat_document(dice: Dice, held_out: bool) -> tuple[Turn, ...]:
    """Two or three exchanges; each one starts from the picture before it."""
    start = dice.weighted({text_to_image: 0.55, story_document: 0.3, edit_document: 0.15})
    turns = start(dice, held_out)
    for _ in range(1 if dice.chance(0.6) else 2):
        scene = _last_scene(turns)
        if dice.chance(0.15):
            question, answer, asked = sample_question(dice, scene)
            demand = {"pictures": 0, "answer": asked}
            turns += (Turn("user", (Text(question),), asked=demand),
                      Turn("assistant", (Text(answer),)))  # fmt: skip
            continue
        edit = sample_edit(dice, scene)
        order = Turn("user", (Text(phrase_order(dice, edit.instruction)),),
                     asked=edit_asked(edit.scene))  # fmt: skip
        reply = [Text(phrase_answer(dice, edit.answer))] if dice.chance(0.85) else []
        turns += (order, Turn("assistant", (*reply, draw(edit.scene, dice))))
    return turns
