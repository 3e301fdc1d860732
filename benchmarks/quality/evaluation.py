"""What every suite works with: the runtime, the settings, the reader; and what a suite returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.readings import Pixels, Read
from benchmarks.quality.report import Row
from benchmarks.quality.sheet import Panel
from runtime import Document, Runtime
from training.storyworld.reader import Reading
from training.storyworld.render import render
from training.storyworld.scene import Scene


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


@dataclass(frozen=True)
class Evaluation:
    """Generates and reads; `say` shows progress."""

    runtime: Runtime
    settings: Settings
    read: Read
    say: Callable[[str], None]

    def generate(
        self, prompt: Sequence[str | NDArray[np.uint8]], number: int, **options: Any
    ) -> Document:
        """One document, in a session of its own."""
        options = {"steps": self.settings.steps, **options}
        return self.runtime.generate(list(prompt), seed=self.settings.seed + number, **options)

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
