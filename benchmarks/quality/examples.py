"""The fixed held-out set: sample `index` of a task is the same in every run.

Only combinations of kind, coat and accessory that training never shows.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.storyworld.documents import Document, Picture, Text, sample_document
from training.storyworld.render import render
from training.storyworld.scene import Scene

HELD_OUT_SEED = 20261121
USUAL_SIZE = (256, 256)
FULL_SHARE = 0.7


@dataclass(frozen=True, eq=False)
class Example:
    """A prompt for the API, what it asks, and one right answer to it."""

    document: Document
    prompt: list[str | NDArray[np.uint8]]
    asked: dict[str, Any]

    @property
    def words(self) -> str:
        return " ".join(p for p in self.prompt if isinstance(p, str))

    @property
    def given(self) -> list[Scene]:
        """The scenes of the user's pictures."""
        return [p.scene for p in self.document.pictures() if p.given and p.scene is not None]

    @property
    def drawn(self) -> list[Scene]:
        """The scenes that a right answer shows."""
        return [p.scene for p in self.document.pictures() if not p.given and p.scene is not None]


def _sample(task: str, index: int, accept: Callable[[Document], bool]) -> Example:
    rng = np.random.default_rng([HELD_OUT_SEED, zlib.crc32(task.encode()), index])
    while True:
        document = sample_document(rng, task, held_out=True)
        if not any(turn.think for turn in document.turns) and accept(document):
            break
    user = document.turns[0]
    prompt: list[str | NDArray[np.uint8]] = []
    for part in user.parts:
        if isinstance(part, Text):
            prompt.append(part.text)
        elif isinstance(part, Picture) and part.scene is not None:
            prompt.append(render(part.scene))
    return Example(document, prompt, dict(user.asked))


def _scene(document: Document) -> Scene:
    scene = next(p.scene for p in document.pictures() if not p.given)
    assert scene is not None
    return scene


def _names_most(document: Document) -> bool:
    asked, scene = document.turns[0].asked, _scene(document)
    named = sum(len(c) for c in asked["characters"])
    named += sum(name in asked for name in ("place", "time", "weather"))
    there = sum(4 + (c.accessory is not None) for c in scene.characters) + 3
    if scene.props:
        named, there = named + ("props" in asked), there + 1
    return named >= FULL_SHARE * there


def text_examples(count: int) -> list[Example]:
    """Prompts for one picture that name most of its slots."""
    return [_sample("t2i", i, _names_most) for i in range(count)]


def reference_examples(count: int) -> list[Example]:
    """A picture of one character with, by turns, "draw it again …" and an edit."""

    def alone(document: Document) -> bool:
        pictures = list(document.pictures())
        scenes = [p.scene for p in pictures]
        return len(pictures) == 2 and all(
            s is not None and len(s.characters) == 1 and not s.sticker and s.size == USUAL_SIZE
            for s in scenes
        )

    return [_sample("edit" if i % 2 else "compose", i, alone) for i in range(count)]


def story_examples(count: int, pictures: int = 4) -> list[Example]:
    """Prompts for a story that ask for this many pictures of the usual size."""

    def fits(document: Document) -> bool:
        return document.turns[0].asked["pictures"] == pictures and all(
            p.size == USUAL_SIZE for p in document.pictures()
        )

    return [_sample("story", i, fits) for i in range(count)]
