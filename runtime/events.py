"""What `stream` yields, in order of happening."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.document import Document, Image


@dataclass(frozen=True)
class ThinkDelta:
    """A few more characters of the plan."""

    text: str


@dataclass(frozen=True)
class TextDelta:
    """A few more characters of the text."""

    text: str


@dataclass(frozen=True)
class ImageStarted:
    """A picture of `size` = (width, height) is about to be drawn from the dense prompt."""

    index: int
    size: tuple[int, int]
    prompt: str


@dataclass(frozen=True)
class ImageDone:
    """A picture is finished."""

    image: Image
    seconds: float


@dataclass(frozen=True)
class Finished:
    """The last event."""

    document: Document


Event = ThinkDelta | TextDelta | ImageStarted | ImageDone | Finished
