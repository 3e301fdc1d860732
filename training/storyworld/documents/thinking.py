"""Thinking before drawing: the user asks for it, and the assistant writes a short plan first."""

from __future__ import annotations

from dataclasses import replace

from training.storyworld.documents.dice import Dice
from training.storyworld.documents.document import Picture, Text, Turn
from training.storyworld.documents.wording import capital, listed
from training.storyworld.scene import Scene

ASKS = ("Think first.", "Think before you draw.", "Plan it first.", "Think it through first.",
        "Make a plan first.")  # fmt: skip


def plan_of(scenes: list[Scene]) -> str:
    """Who, how many pictures, and what each of them shows, in keywords."""
    names = listed([f"{c.color} {c.kind}" for c in scenes[0].characters])
    head = f"{len(scenes)} {scenes[0].style} {'picture' if len(scenes) == 1 else 'pictures'}"
    return f"{head}, {names}. " + " ".join(f"{i}. {_stop(s)}." for i, s in enumerate(scenes, 1))


def _stop(scene: Scene) -> str:
    where = ["no background"] if scene.sticker else [scene.place, scene.time, scene.weather]
    return ", ".join([*where, *(p.kind for p in scene.props)])


def with_plan(dice: Dice, turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """The first exchange, with a request to think and the plan of what its answer draws."""
    user, answer = turns[0], turns[1]
    scenes = [p.scene for p in answer.parts if isinstance(p, Picture) and p.scene is not None]
    last = max(i for i, p in enumerate(user.parts) if isinstance(p, Text))
    text = user.parts[last]
    assert isinstance(text, Text)
    ended = text.text if text.text.endswith((".", "?", "!")) else text.text + "."
    ask = dice.pick(ASKS)
    words = f"{ended} {ask}" if dice.chance(0.7) else f"{ask} {capital(ended)}"
    parts = (*user.parts[:last], Text(words), *user.parts[last + 1 :])
    return replace(user, parts=parts), replace(answer, think=plan_of(scenes)), *turns[2:]
