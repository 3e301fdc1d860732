"""What every suite works with: the runtime, the settings, the reader; and what a suite returns.

Where the runtime refuses or fails, the sample has an empty document and so is wrong; where it
always does, `run` raises the error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.examples import Example
from benchmarks.quality.readings import Pixels, Read
from benchmarks.quality.report import Row
from benchmarks.quality.sheet import Panel
from runtime import (
    BundleError,
    Document,
    Interrupted,
    OptionError,
    Runtime,
    Session,
    WeftError,
)
from training.storyworld.reader import Reading
from training.storyworld.render import render
from training.storyworld.scene import Scene
from training.storyworld.scoring import Wanted, wanted_from_asked

FAILED = "failed"
# Enough to tell that more than one picture was drawn.
MOST_OF_ONE = 2


@dataclass(frozen=True)
class Settings:
    """`samples` is the number of text-to-image prompts; other suites take a share of it.

    `steps` None is the bundle's default. Sample i is generated with seed `seed` + i.
    """

    samples: int = 40
    seed: int = 0
    steps: int | None = None
    ceiling: bool = True


@dataclass
class Result:
    """A suite's rows, its sample sheet, and what there is to say about each sample."""

    rows: list[Row] = field(default_factory=list)
    panels: list[Panel] = field(default_factory=list)
    columns: int = 5
    samples: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Sample:
    """A prompt with what was written and drawn for it; `seen` None: nothing was drawn.

    `true` is the reading of a right answer's picture, None where no ceiling is wanted.
    """

    example: Example
    document: Document
    seen: Reading | None
    true: Reading | None

    @property
    def asked(self) -> Wanted:
        return wanted_from_asked(self.example.asked)

    @property
    def dense(self) -> str:
        return first_dense(self.document)

    @property
    def counted(self) -> bool:
        """Whether as many pictures were drawn as asked for."""
        return len(self.document.images) == self.example.asked["pictures"]


@dataclass(frozen=True)
class Evaluation:
    """Generates and reads; `say` shows progress, `outcomes` holds an error or None per request."""

    runtime: Runtime
    settings: Settings
    read: Read
    say: Callable[[str], None]
    outcomes: list[WeftError | None] = field(default_factory=list)

    def count(self, share: float) -> int:
        """How many samples a suite with this share takes."""
        return max(1, round(self.settings.samples * share))

    @property
    def fewest_steps(self) -> int:
        """For suites that look at the planner alone."""
        return min(map(int, self.runtime.bundle.manifest.schedule.steps))

    @property
    def size(self) -> tuple[int, int]:
        """The bundle's usual size, for pictures of one size."""
        return self.runtime.bundle.manifest.image.default_size

    def generate(
        self, prompt: Sequence[str | NDArray[np.uint8]], number: int, **options: Any
    ) -> Document:
        """One document, in a session of its own."""
        return self.answer(self.runtime.session(), prompt, number, **options)

    def answer(
        self,
        session: Session,
        prompt: Sequence[str | NDArray[np.uint8]],
        number: int,
        **options: Any,
    ) -> Document:
        """The session's answer; an empty document where the runtime refuses or fails."""
        options = {"steps": self.settings.steps, **options}
        try:
            answer = session.generate(list(prompt), seed=self.settings.seed + number, **options)
        except (BundleError, Interrupted, OptionError):
            raise
        except WeftError as error:
            self.outcomes.append(error)
            return Document((), finish_reason=FAILED)
        self.outcomes.append(None)
        return answer

    def documents(self, suite: str, examples: Sequence[Example], **options: Any) -> list[Document]:
        """Every example answered in a session of its own."""
        documents = []
        for number, example in enumerate(examples):
            self.say(f"{suite} {number + 1}/{len(examples)}")
            documents.append(self.generate(example.prompt, number, **options))
        return documents

    def samples(self, suite: str, examples: Sequence[Example], **options: Any) -> list[Sample]:
        """Every example answered in a session of its own, with its first picture read."""
        documents = self.documents(suite, examples, **options)
        seen = self.read([first_picture(d) for d in documents])
        true = self.read_scenes([e.drawn[0] for e in examples])
        return [Sample(*parts) for parts in zip(examples, documents, seen, true, strict=True)]

    def read_scenes(self, scenes: Sequence[Scene]) -> list[Reading | None]:
        """The ceiling's readings: of true renders. None for each where no ceiling is wanted."""
        pictures = [render(scene) if self.settings.ceiling else None for scene in scenes]
        return self.read(pictures)

    def with_steps(self, steps: int) -> Evaluation:
        """The same with another number of denoising steps, and without a ceiling."""
        return replace(self, settings=replace(self.settings, steps=steps, ceiling=False))


def first_picture(document: Document) -> Pixels | None:
    """The document's first picture, None where nothing was drawn."""
    return document.images[0].pixels if document.images else None


def first_dense(document: Document) -> str:
    """The dense prompt of the document's first picture, "" where nothing was drawn."""
    return document.images[0].prompt if document.images else ""


def known_ceiling(samples: Sequence[Sample]) -> list[Sample]:
    """The samples whose right answer was read."""
    return [s for s in samples if s.true is not None]


def told(seen: Reading | None) -> str:
    """A reading in a few words."""
    if seen is None:
        return "nothing"
    setting = (seen.place, seen.time, seen.weather, seen.style)
    parts = [", ".join(str(v) for v in setting if v)]
    for c in seen.characters:
        worn = (c.accessory.color, c.accessory.kind) if c.accessory else ()
        parts.append(" ".join(str(v) for v in (c.color, c.kind, *worn, c.action, c.facing)))
    return "; ".join([*parts, *(p.kind for p in seen.props)])
