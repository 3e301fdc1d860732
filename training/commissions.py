"""Which pictures the visualizer is to draw: a document, one of its pictures, the size of a batch.

A pure function of (seed, step) and of a random generator. It knows tokens, and no models.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence as Listing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from training.errors import TrainingError
from training.samples import Sample, Size, open_source
from training.sequence import Sequence, build_sequence
from training.storyworld.documents import Document, Picture
from training.storyworld.scene import Scene
from training.tokenizer import load_tokenizer

TEXT_TASKS = ("t2i", "sticker", "palette")
CROWD = 3
# How many of one's own documents are looked at for one that draws, and for one of a shape.
_TRIES, _SHAPE_TRIES = 1000, 16


@dataclass(frozen=True)
class DrawingOptions:
    """`tasks` and their `weights`; `hide` is how often a character that a reference shows loses
    its kind, colour and accessory in the text; `sizes` beyond the base come `other_sizes` often,
    `alike` batches in a row at one size: as many processes then take equally long.
    Latent tokens under characters and props count `foreground` times; `telling` times more those of
    accessories and of markings that a reference shows; `changing` times more those that differ from
    the picture before where most of it stays, as in an edit. No picture has more than
    `most_characters`; the share `crowds` of the text-to-image pictures has three or more. With
    `settle` it is found out what nothing settles, for one more rendering a picture; else all
    counts as settled. `window` is what the visualizer sees of the document: "dpcw", what the
    runtime shows it, or "document", everything before the picture, to compare with.

    With `data`, a folder of shards, the documents are those. Nothing is known of their characters,
    so `tasks`, `weights`, `hide`, `foreground`, `telling`, `changing`, `most_characters`, `crowds`
    and `settle` say nothing; batches beyond the base size take the one of `sizes` that is nearest
    to the shape of a document, and documents of that shape if there are some."""

    pictures: int = 32
    data: str = ""
    tasks: tuple[str, ...] = TEXT_TASKS
    weights: tuple[float, ...] = (0.86, 0.08, 0.06)
    hide: float = 0.5
    max_references: int = 9
    base: tuple[int, int] = (256, 256)
    sizes: tuple[tuple[int, int], ...] = (
        (384, 256),
        (256, 384),
        (384, 160),
        (192, 384),
        (512, 160),
        (320, 192),
        (192, 320),
        (512, 128),
    )
    other_sizes: float = 0.1
    alike: int = 2
    foreground: float = 3.0
    telling: float = 2.0
    changing: float = 1.0
    most_characters: int = 4
    crowds: float = 0.0
    settle: bool = False
    window: str = "dpcw"

    def __post_init__(self) -> None:
        if self.window not in ("dpcw", "document"):
            raise TrainingError(f"window is {self.window!r}, expected 'dpcw' or 'document'")


@dataclass(frozen=True)
class Commission:
    """A picture to draw: `picture` is its number in the sample, `earlier` are the scenes of the
    pictures before it, in order, None where only pixels are known; `window` are those of them that
    it looks at."""

    sample: Sample
    sequence: Sequence
    target: Scene | None
    earlier: tuple[Scene | None, ...]
    picture: int
    window: tuple[int, ...]

    @property
    def shown(self) -> list[Scene]:
        """The scenes in the window that are known."""
        return known_scenes(self.earlier, self.window)


class Commissions:
    """What to draw, of one's own documents or of the storyworld's (`held_out` ones, if so)."""

    def __init__(
        self, options: DrawingOptions, seed: int, tokenizer: Path, held_out: bool = False
    ) -> None:
        self.options, self.seed, self.path = options, seed, tokenizer
        self.source = open_source(options.data, held_out)

    def size(self, step: int) -> Size:
        """The size of every picture of batch `step`."""
        options = self.options
        rng = np.random.default_rng((self.seed, step // options.alike, 1))
        if rng.random() >= options.other_sizes:
            return options.base
        if options.data:
            return self._nearest(self._drawing(rng))
        return options.sizes[rng.integers(len(options.sizes))]

    def _nearest(self, sample: Sample) -> Size:
        """The size of the options whose shape the sample's last drawn picture has, nearly."""
        *_, last = (p.size for p in sample.document.pictures() if not p.given)
        sizes = (self.options.base, *self.options.sizes)
        return min(sizes, key=lambda size: abs(math.log(size[0] * last[1] / (size[1] * last[0]))))

    def _drawing(self, rng: np.random.Generator) -> Sample:
        """One of one's own documents in which the assistant draws."""
        for _ in range(_TRIES):
            sample = self.source.sample(rng)
            if any(not p.given for p in sample.document.pictures()):
                return sample
        raise TrainingError(
            f"{self.options.data}: expected documents in which the assistant draws pictures (with "
            f"a dense prompt), found none among {_TRIES}"
        )

    def _own(self, rng: np.random.Generator, size: Size) -> Sample:
        """One of them of nearly this shape, if there are some."""
        sample = self._drawing(rng)
        for _ in range(_SHAPE_TRIES):
            if not self.options.other_sizes or self._nearest(sample) == size:
                break
            sample = self._drawing(rng)
        return sample

    def _told(self, rng: np.random.Generator, task: str) -> Sample:
        """A document of `task` with as many characters as the options want."""
        crowded = task == "t2i" and rng.random() < self.options.crowds
        while True:
            sample = self.source.sample(rng, task)
            scenes = [p.scene for p in sample.document.pictures() if p.scene is not None]
            most = max((len(s.characters) for s in scenes), default=0)
            if most <= self.options.most_characters and (most >= CROWD or not crowded):
                return sample

    def commission(self, rng: np.random.Generator, size: Size) -> Commission:
        """A picture of this size."""
        options = self.options
        if options.data:
            sample = self._own(rng, size)
        else:
            weights = np.array(options.weights) / sum(options.weights)
            sample = self._told(rng, options.tasks[rng.choice(len(options.tasks), p=weights)])
        sample = sample.resized(size)
        pictures = list(sample.document.pictures())
        drawn = [i for i, p in enumerate(pictures) if not p.given]
        # Later pictures have the references: prefer them where there is a choice.
        chosen = max(rng.choice(drawn), rng.choice(drawn)) if len(drawn) > 1 else drawn[0]
        target, document = pictures[chosen].scene, sample.document
        earlier = tuple(p.scene for p in pictures[:chosen])
        window = reference_window([p.given for p in pictures[:chosen]], options.max_references)
        known = known_scenes(earlier, window)
        if known and target is not None and options.hide:
            dense = hide_known(target, pictures[chosen].dense, known, options.hide, rng)
            document = _with_dense(document, chosen, dense)
        sequence = build_sequence(document, load_tokenizer(self.path))
        return Commission(sample, sequence, target, earlier, chosen, tuple(window))


def known_scenes(earlier: Listing[Scene | None], window: Listing[int]) -> list[Scene]:
    """Of the `earlier` pictures those in the `window` whose scene is known."""
    return [scene for scene in (earlier[j] for j in window) if scene is not None]


def reference_window(given: Listing[bool], limit: int) -> list[int]:
    """Which earlier pictures the window keeps: the `given` ones and the first and last of the
    drawn; where these are more than `limit`, the first and the most recent of them."""
    between = [j for j, mark in enumerate(given) if not mark][1:-1]
    kept = [j for j in range(len(given)) if j not in between]
    if len(kept) <= limit:
        return kept
    first = kept[:1] if limit > 1 else []
    return first + kept[len(kept) - limit + len(first) :]


def hide_known(
    scene: Scene, dense: str, earlier: Listing[Scene], share: float, rng: np.random.Generator
) -> str:
    """`dense` without the names of some characters that one of the `earlier` pictures shows."""
    known = {(c.kind, c.markings) for s in earlier for c in s.characters}
    for character in scene.characters:
        if (character.kind, character.markings) not in known or rng.random() >= share:
            continue
        wearing = r"(?: (?:wearing|with) an? \w+ \w+)?" if character.accessory else ""
        name = rf"\ban? {character.color} {character.kind}\b{wearing}"
        dense = re.sub(name, "the same character", dense, count=1)
    return dense


def _with_dense(document: Document, picture: int, dense: str) -> Document:
    turns, count = [], -1
    for turn in document.turns:
        parts = []
        for part in turn.parts:
            if isinstance(part, Picture):
                count += 1
                part = replace(part, dense=dense) if count == picture else part
            parts.append(part)
        turns.append(replace(turn, parts=tuple(parts)))
    return replace(document, turns=tuple(turns))
