"""The fixed held-out set: sample `index` of a task is the same in every run.

Only combinations of kind, coat and accessory that training never shows.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.changes import CHANGES, change_of
from training.storyworld.documents import Document, Picture, Text, Turn, sample_document
from training.storyworld.documents.references import GIVEN
from training.storyworld.documents.thinking import ASKS
from training.storyworld.render import render
from training.storyworld.sampling import sample_scene
from training.storyworld.scene import MAX_CHARACTERS, Scene

HELD_OUT_SEED = 20261121
USUAL_SIZE = (256, 256)
FULL_SHARE = 0.7
TERSE_WORDS = 6
MOST_GIVEN = 3
# Every shape before any shape twice.
ASKED_SIZES = ((384, 256), (256, 384), (256, 256), (384, 160), (192, 384), (512, 160))
# From two to twelve pictures, far apart first.
STORY_LENGTHS = (4, 8, 12, 2, 6, 10, 3, 5, 7, 9, 11)
SERIES_LENGTHS = (3, 6, 4, 10, 2, 5, 8, 7)
Prompt = list[str | NDArray[np.uint8]]


@dataclass(frozen=True, eq=False)
class Exchange:
    """One user turn of a conversation as a prompt, what it asks, and a right answer to it."""

    prompt: Prompt
    asked: dict[str, Any]
    answer: Turn

    @property
    def words(self) -> str:
        return _words(self.prompt)

    @property
    def picture(self) -> Picture | None:
        """The last picture of the right answer."""
        return next((p for p in reversed(self.answer.parts) if isinstance(p, Picture)), None)


@dataclass(frozen=True, eq=False)
class Example:
    """A prompt for the API, what it asks, and one right answer to it."""

    document: Document
    prompt: Prompt
    asked: dict[str, Any]

    @property
    def words(self) -> str:
        return _words(self.prompt)

    @property
    def exchanges(self) -> list[Exchange]:
        """The whole conversation."""
        turns = self.document.turns
        pairs = zip(turns[::2], turns[1::2], strict=True)
        return [Exchange(_prompt(user), dict(user.asked), answer) for user, answer in pairs]

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
    return Example(document, _prompt(user), dict(user.asked))


def _prompt(turn: Turn) -> Prompt:
    """A user turn for the API, pictures rendered."""
    prompt: Prompt = []
    for part in turn.parts:
        if isinstance(part, Text):
            prompt.append(part.text)
        elif isinstance(part, Picture) and part.scene is not None:
            prompt.append(render(part.scene))
    return prompt


def _words(prompt: Prompt) -> str:
    return " ".join(p for p in prompt if isinstance(p, str))


def _any(document: Document) -> bool:
    return True


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


def plain_scenes(count: int, size: tuple[int, int] = USUAL_SIZE) -> list[Scene]:
    """Scenes without a prompt, every fourth as a sticker."""
    rng = np.random.default_rng([HELD_OUT_SEED, zlib.crc32(b"scene")])
    scenes = [sample_scene(rng, held_out=True, size=size) for _ in range(count)]
    return [s.with_(sticker=True) if i % 4 == 3 else s for i, s in enumerate(scenes)]


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


def edit_examples(count: int) -> list[Example]:
    """A picture with an edit of it; the kinds of change by turns."""

    def changes(kind: str) -> Callable[[Document], bool]:
        def accept(document: Document) -> bool:
            before, after = (p.scene for p in document.pictures())
            assert before is not None and after is not None
            return kind in change_of(before, after).slots

        return accept

    return [_sample("edit", i, changes(CHANGES[i % len(CHANGES)])) for i in range(count)]


def compose_examples(count: int, references: int) -> list[Example]:
    """Pictures of one character each, and one of all of them: `count` by turns from as many as the
    bundle can look at, three at most, and from one fewer. Where it can look at more than can stand
    together, a third as many again choose some of that many."""
    most = min(references, MOST_GIVEN)
    numbers = [max(1, most - i % 2) for i in range(count)]
    if references > MAX_CHARACTERS:
        numbers += [min(references, max(GIVEN))] * -(-count // 3)

    def brings(number: int) -> Callable[[Document], bool]:
        def accept(document: Document) -> bool:
            *given, drawn = document.pictures()
            together = len(drawn.scene.characters) if drawn.scene else 0
            return len(given) == number and (together == number or number > MAX_CHARACTERS)

        return accept

    return [_sample("compose", i, brings(number)) for i, number in enumerate(numbers)]


def series_examples(count: int) -> list[Example]:
    """One character in two to ten pictures, in the order of `SERIES_LENGTHS`; by turns described
    and given."""

    def fits(pictures: int, shown: bool) -> Callable[[Document], bool]:
        def accept(document: Document) -> bool:
            pictures_there = list(document.pictures())
            return (
                document.turns[0].asked["pictures"] == pictures
                and any(p.given for p in pictures_there) == shown
                and all(p.size == USUAL_SIZE for p in pictures_there)
            )

        return accept

    lengths = [SERIES_LENGTHS[i % len(SERIES_LENGTHS)] for i in range(count)]
    return [_sample("series", i, fits(number, i % 2 == 1)) for i, number in enumerate(lengths)]


def size_examples(count: int) -> list[Example]:
    """Prompts that ask for a shape in words; the shapes by turns."""

    def shaped(size: tuple[int, int]) -> Callable[[Document], bool]:
        return lambda document: document.turns[0].asked.get("size") == list(size)

    return [_sample("t2i", i, shaped(ASKED_SIZES[i % len(ASKED_SIZES)])) for i in range(count)]


def palette_examples(count: int) -> list[Example]:
    """Prompts that list colours and their shares."""
    return [_sample("palette", i, _any) for i in range(count)]


def sticker_examples(count: int) -> list[Example]:
    """Prompts for a transparent background."""
    return [_sample("sticker", i, _any) for i in range(count)]


def vague_examples(count: int) -> list[Example]:
    """Prompts that name a kind of animal and nothing else."""

    def vague(document: Document) -> bool:
        asked = document.turns[0].asked
        figures = asked["characters"]
        return asked.keys() == {"characters", "pictures"} and [*map(len, figures)] == [1]

    return [_sample("t2i", i, vague) for i in range(count)]


def vague_answers(example: Example, count: int) -> list[Scene]:
    """Different scenes that all are right answers to a vague prompt."""
    kind = example.asked["characters"][0]["kind"]
    seed = zlib.crc32(example.document.id.encode())
    rng = np.random.default_rng([HELD_OUT_SEED, seed])
    scenes: list[Scene] = []
    while len(scenes) < count:
        scene = sample_scene(rng, characters=1, held_out=True, size=USUAL_SIZE)
        if scene.characters[0].kind == kind:
            scenes.append(scene)
    return scenes


def terse_examples(count: int) -> list[Example]:
    """Prompts of a few words."""

    def terse(document: Document) -> bool:
        user = document.turns[0]
        words = [word for p in user.parts if isinstance(p, Text) for word in p.text.split()]
        return len(words) <= TERSE_WORDS and "size" not in user.asked

    return [_sample("t2i", i, terse) for i in range(count)]


def chat_examples(count: int) -> list[Example]:
    """Conversations about one picture: it is given or described almost fully, then changed.

    "Turn it around" means another side where the picture is another one, so it is left out.
    """

    def fits(document: Document) -> bool:
        users = document.turns[::2]
        words = [p.text for turn in users for p in turn.parts if isinstance(p, Text)]
        return (
            all(turn.asked["pictures"] == 1 for turn in users)
            and all(p.size == USUAL_SIZE for p in document.pictures())
            and not any("around" in text for text in words)
            and _names_most(document)
        )

    return [_sample("chat", i, fits) for i in range(count)]


def counted_stories(count: int) -> list[Example]:
    """Prompts for a story of two to twelve pictures, in the order of `STORY_LENGTHS`."""

    def asks(pictures: int) -> Callable[[Document], bool]:
        return lambda document: document.turns[0].asked["pictures"] == pictures

    lengths = [STORY_LENGTHS[i % len(STORY_LENGTHS)] for i in range(count)]
    return [_sample("story", i, asks(number)) for i, number in enumerate(lengths)]


def counted_guides(count: int) -> list[Example]:
    """Questions how to do something that say the number of steps."""

    def counted(document: Document) -> bool:
        return document.turns[0].asked["pictures"] is not None

    return [_sample("guide", i, counted) for i in range(count)]


def plain_examples(count: int) -> list[Example]:
    """Prompts for one picture or a story, by turns; none asks for a plan."""
    return [_sample("story" if i % 2 else "t2i", i, _any) for i in range(count)]


def thinking_examples(count: int) -> list[Example]:
    """The same prompts, asking for a plan in words."""
    examples = plain_examples(count)
    return [_with_sentence(e, ASKS[i % len(ASKS)]) for i, e in enumerate(examples)]


def _with_sentence(example: Example, sentence: str, **asked: Any) -> Example:
    """The same with one more sentence at the end of its prompt, and what that asks."""
    *parts, text = example.prompt
    assert isinstance(text, str)
    ended = text if text.endswith((".", "?", "!")) else text + "."
    prompt: Prompt = [*parts, f"{ended} {sentence}"]
    return replace(example, prompt=prompt, asked={**example.asked, **asked})


def caption_examples(count: int) -> list[Example]:
    """Pictures to be described."""
    return [_sample("caption", i, _any) for i in range(count)]


def question_examples(count: int) -> list[Example]:
    """Pictures with one question about them, or two."""
    return [_sample("question", i, _any) for i in range(count)]
