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

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from training.storyworld.scene import Scene, scene_from_dict


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


def _part_from_dict(data: dict[str, Any]) -> Part:
    if data.get("type") == "text":
        return Text(data["text"])
    if data.get("type") != "picture":
        raise ValueError(f"part type is {data.get('type')!r}, expected 'text' or 'picture'")
    scene = scene_from_dict(data["scene"]) if data.get("scene") else None
    size = data.get("size") or (scene.size if scene else (256, 256))
    return Picture(scene, data.get("dense", ""), (int(size[0]), int(size[1])))


def document_from_dict(data: dict[str, Any]) -> Document:
    """A document from JSON; `scene`, `size`, `think`, `asked`, `id` and `task` may be absent."""
    turns = []
    for turn in data["turns"]:
        if turn["role"] not in ("user", "assistant"):
            raise ValueError(f"role is {turn['role']!r}, expected 'user' or 'assistant'")
        parts = tuple(_part_from_dict(p) for p in turn["parts"])
        turns.append(Turn(turn["role"], parts, turn.get("think", ""), turn.get("asked", {})))
    return Document(str(data.get("id", "")), data.get("task", "own"), tuple(turns))
