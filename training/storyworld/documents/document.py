"""What a document is: turns of text and pictures, as plain data.

It knows no grammar, no tokens and no pixels. `Turn.asked` of a user turn says what its prompt
demands, so that an answer can be judged:

| key | meaning |
| --- | --- |
| `pictures` | the number of pictures asked for, None where the model chooses |
| `characters` | per character asked for, the named slots: kind, color, accessory, action, facing |
| `place`, `time`, `weather`, `style` | the value asked for; in a story, of one picture or more |
| `places`, `times`, `weathers`, `actions` | the values per picture, for a series |
| `props` | kinds of props asked for |
| `size` | width, height in pixels |
| `names` | names of characters that the text must use |
| `sticker`, `palette` | a transparent background; a list of [hex, share] |
| `answer` | the words that a right answer contains (understanding tasks) |

A key is absent where the prompt leaves the slot free.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from reprlib import repr as brief
from typing import Any, TypeVar

from training.storyworld.scene import Scene, scene_from_dict

T = TypeVar("T")

_JSON_NAMES: dict[type, str] = {str: "a string", list: "a list", dict: "an object"}
# JSON can spell half a character, which no tokenizer takes.
_HALF = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Text:
    text: str


@dataclass(frozen=True)
class Picture:
    """A picture of `scene`; `dense` is "" where the user gave the picture.

    `scene` is None for pictures of one's own data, where only the pixels and `size` are known.
    """

    scene: Scene | None
    dense: str = ""
    size: tuple[int, int] = (256, 256)

    @property
    def given(self) -> bool:
        return not self.dense


Part = Text | Picture


@dataclass(frozen=True)
class Turn:
    """One turn; `role` is "user" or "assistant", `think` is the assistant's plan."""

    role: str
    parts: tuple[Part, ...]
    think: str = ""
    asked: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Document:
    id: str
    task: str
    turns: tuple[Turn, ...]

    def pictures(self) -> Iterator[Picture]:
        """All pictures, given and drawn, in order of appearance."""
        for turn in self.turns:
            for part in turn.parts:
                if isinstance(part, Picture):
                    yield part

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; the inverse is `document_from_dict`."""
        return {
            "id": self.id,
            "task": self.task,
            "turns": [
                {
                    "role": turn.role,
                    "parts": [_part_to_dict(p) for p in turn.parts],
                    "think": turn.think,
                    "asked": turn.asked,
                }
                for turn in self.turns
            ],
        }


def requested(document: Document) -> tuple[dict[str, Any], ...]:
    """What each user turn asks for, in order; see the module's table."""
    return tuple(turn.asked for turn in document.turns if turn.role == "user")


def given(scene: Scene) -> Picture:
    """A picture that the user brings."""
    return Picture(scene, "", scene.size)


def _part_to_dict(part: Part) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    return {
        "type": "picture",
        "dense": part.dense,
        "size": list(part.size),
        "scene": part.scene.to_dict() if part.scene else None,
    }


def document_from_dict(data: Any) -> Document:
    """A document from JSON; `scene`, `size`, `think`, `asked`, `id` and `task` may be absent.

    Raises `ValueError` where it is none, or where nothing in it is the assistant's to learn.
    """
    _expect(data, dict, "the document")
    turns = tuple(
        _turn_from_dict(turn, f"turn {index}")
        for index, turn in enumerate(_expect(data.get("turns"), list, "turns"))
    )
    answers = (part for turn in turns if turn.role == "assistant" for part in turn.parts)
    if not any(isinstance(part, Picture) or part.text for part in answers):
        raise ValueError(
            f"expected text or a picture of the assistant to learn, found none; turns: {len(turns)}"
        )
    return Document(str(data.get("id", "")), _string(data.get("task", "own"), "task"), turns)


def _turn_from_dict(data: Any, where: str) -> Turn:
    role = _expect(data, dict, where).get("role")
    if role not in ("user", "assistant"):
        raise ValueError(f"{where}: role is {brief(role)}, expected 'user' or 'assistant'")
    parts = tuple(
        _part_from_dict(part, role, f"{where}, part {index}")
        for index, part in enumerate(_expect(data.get("parts"), list, f"{where}: parts"))
    )
    think = _string(data.get("think", ""), f"{where}: think")
    if think and role == "user":
        raise ValueError(f"{where}: think is {brief(think)}, expected none: the user has no plan")
    return Turn(role, parts, think, _expect(data.get("asked", {}), dict, f"{where}: asked"))


def _part_from_dict(data: Any, role: str, where: str) -> Part:
    kind = _expect(data, dict, where).get("type")
    if kind == "text":
        return Text(_string(data.get("text"), f"{where}: text"))
    if kind != "picture":
        raise ValueError(f"{where}: type is {brief(kind)}, expected 'text' or 'picture'")
    dense = _string(data.get("dense", ""), f"{where}: dense")
    if dense and role == "user":
        raise ValueError(
            f"{where}: dense is {brief(dense)}, expected none: what the user shows is not drawn"
        )
    if not dense and role == "assistant":
        raise ValueError(f"{where}: dense is missing, expected what the assistant's picture shows")
    try:
        scene = scene_from_dict(data["scene"]) if data.get("scene") else None
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{where}: expected a scene of the storyworld, found {error!r}") from error
    match data.get("size") or (scene.size if scene else (256, 256)):
        case [int(width), int(height)] if min(width, height) > 0:
            return Picture(scene, dense, (width, height))
        case size:
            raise ValueError(f"{where}: size is {brief(size)}, expected [width, height] in pixels")


def _string(value: Any, what: str) -> str:
    text = _expect(value, str, what)
    if half := _HALF.search(text):
        raise ValueError(f"{what} has {half[0]!a}, half a character, expected Unicode text")
    return text


def _expect(value: Any, kind: type[T], what: str) -> T:
    """`value`, if it is of the kind."""
    if not isinstance(value, kind):
        raise ValueError(f"{what} is {brief(value)}, expected {_JSON_NAMES[kind]}")
    return value
