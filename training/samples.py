"""Where the stages' documents come from: the storyworld, or shards of one's own data.

A source is a pure function of a random generator. It knows no tokens and no models.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from training.data.library import Library
from training.storyworld.documents import Document, Picture, sample_document
from training.storyworld.render import render

Size = tuple[int, int]


class Sample(Protocol):
    """A document with its pictures."""

    @property
    def document(self) -> Document:
        """The document."""

    def pixels(self, index: int) -> NDArray[np.uint8]:
        """Its picture `index`: [H, W, 4], straight RGBA."""

    def resized(self, size: Size) -> Sample:
        """The same with every picture at `size`, width and height."""


class Source(Protocol):
    """Something that samples come from."""

    def sample(self, rng: np.random.Generator, task: str | None = None) -> Sample:
        """One sample; a source that knows no tasks gives any."""


@dataclass(frozen=True)
class Told:
    """A storyworld document; its pictures are rendered as they are looked at."""

    document: Document

    def pixels(self, index: int) -> NDArray[np.uint8]:
        scene = list(self.document.pictures())[index].scene
        assert scene is not None
        return render(scene)

    def resized(self, size: Size) -> Told:
        return Told(resized(self.document, size))


@dataclass(frozen=True)
class Storyworld:
    """Documents without end; `held_out` as in `scene.is_held_out`."""

    held_out: bool = False

    def sample(self, rng: np.random.Generator, task: str | None = None) -> Told:
        return Told(sample_document(rng, task, self.held_out))


@dataclass(frozen=True)
class Own:
    """One's own documents, each as likely as any other."""

    library: Library

    def sample(self, rng: np.random.Generator, task: str | None = None) -> Sample:
        return self.library[int(rng.integers(len(self.library)))]


def open_source(data: str, held_out: bool = False) -> Source:
    """The shards in the folder `data`; the storyworld where that is ""."""
    return Own(Library(data)) if data else Storyworld(held_out)


def resized(document: Document, size: Size) -> Document:
    """The storyworld's document with every picture at `size`."""
    turns = []
    for turn in document.turns:
        parts = [
            replace(p, size=size, scene=p.scene.with_(size=size) if p.scene else None)
            if isinstance(p, Picture)
            else p
            for p in turn.parts
        ]
        turns.append(replace(turn, parts=tuple(parts)))
    return replace(document, turns=tuple(turns))
