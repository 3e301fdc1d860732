"""What the visualizer learns from: a picture of a document, its context and its references.

Made in worker processes as a pure function of (seed, step); it renders, and knows no models. All
pictures of a step have one size. Samples are grouped by their number of references, so padding
stays small.

| field of `Drawing` | shape | dtype |
| --- | --- | --- |
| tokens, positions | [B, S], [B, S, 3]: the document up to `</imagine>` | int64, float32 |
| seen | earlier pictures, where the planner sees them | `PictureGroup`s |
| index, index_mask, shift | [B, N], [B, N], [B, N, 3]: the planner's rows | int64, bool, float32 |
| target | [B, H, W, 4], straight RGBA | uint8 |
| weight | [B, h * w], mean 1: characters and props count for more | float32 |
| settled | [B, h * w]: whether words or references settle what a token shows | bool |
| labels | [B, h * w, G]: what each token shows (`labels.GROUPS`) | int64 |
| references | [R, H, W, 4], straight RGBA | uint8 |
| reference_weight | [R, h * w], as `weight` | float32 |
| reference_rows, _slots, _distances | [R]: sample, place in the window, k - j | int64 |
"""

from __future__ import annotations

import re
from collections.abc import Sequence as Listing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.labels import TOKEN, telling_tokens, token_labels, unsettled_tokens
from training.pictures import PictureGroup, group_pictures
from training.sequence import Sequence, build_sequence
from training.storyworld.documents import Document, Picture, sample_document
from training.storyworld.render import render
from training.storyworld.scene import Scene, layout
from training.tokenizer import load_tokenizer

TEXT_TASKS = ("t2i", "sticker", "palette")
CROWD = 3


@dataclass(frozen=True)
class DrawingOptions:
    """`tasks` and their `weights`; `hide` is how often a character that a reference shows loses
    its kind, colour and accessory in the text; `sizes` beyond the base come `other_sizes` often,
    `alike` batches in a row at one size: as many processes then take equally long.
    Latent tokens under characters and props count `foreground` times, and `telling` times more
    those of accessories and of markings that a reference shows. No picture has more than
    `most_characters`; the share `crowds` of the text-to-image pictures has three or more. With
    `settle` it is found out what nothing settles, for one more rendering a picture; else all
    counts as settled."""

    pictures: int = 32
    tasks: tuple[str, ...] = TEXT_TASKS
    weights: tuple[float, ...] = (0.86, 0.08, 0.06)
    hide: float = 0.5
    max_references: int = 3
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
    most_characters: int = 4
    crowds: float = 0.0
    settle: bool = False


@dataclass(frozen=True)
class Drawing:
    tokens: Tensor
    positions: Tensor
    seen: list[PictureGroup]
    index: Tensor
    index_mask: Tensor
    shift: Tensor
    target: Tensor
    weight: Tensor
    settled: Tensor
    labels: Tensor
    references: Tensor
    reference_weight: Tensor
    reference_rows: Tensor
    reference_slots: Tensor
    reference_distances: Tensor


@dataclass(frozen=True)
class _Sample:
    """One picture to draw: `earlier` are the scenes of the pictures before it, in order; `picture`
    is its number."""

    sequence: Sequence
    target: Scene
    earlier: tuple[Scene, ...]
    picture: int


def reference_window(given: Listing[bool], limit: int) -> list[int]:
    """Which earlier pictures the window keeps: the `given` ones and the first and last of the
    drawn; where these are more than `limit`, the first and the most recent of them."""
    between = [j for j, mark in enumerate(given) if not mark][1:-1]
    kept = [j for j in range(len(given)) if j not in between]
    if len(kept) <= limit:
        return kept
    first = kept[:1] if limit > 1 else []
    return first + kept[len(kept) - limit + len(first) :]


def resized(document: Document, size: tuple[int, int]) -> Document:
    """The document with every picture at `size`."""
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


def hide_known(
    scene: Scene, dense: str, earlier: Listing[Scene], share: float, rng: np.random.Generator
) -> str:
    """`dense` without the names of some characters that an earlier picture shows."""
    known = {(c.kind, c.markings) for s in earlier for c in s.characters}
    for character in scene.characters:
        if (character.kind, character.markings) not in known or rng.random() >= share:
            continue
        wearing = r"(?: (?:wearing|with) an? \w+ \w+)?" if character.accessory else ""
        name = rf"\ban? {character.color} {character.kind}\b{wearing}"
        dense = re.sub(name, "the same character", dense, count=1)
    return dense


class DrawingBatches:
    """The drawings of a step, one `Drawing` per number of references (0, 1, more)."""

    def __init__(
        self, options: DrawingOptions, seed: int, tokenizer: Path, held_out: bool = False
    ) -> None:
        self.options, self.seed, self.path, self.held_out = options, seed, tokenizer, held_out

    def __call__(self, step: int) -> list[Drawing]:
        options = self.options
        tokenizer = load_tokenizer(self.path)
        rng = np.random.default_rng((self.seed, step))
        size = self._size(step)
        weights = np.array(options.weights) / sum(options.weights)
        groups: dict[int, list[_Sample]] = {0: [], 1: [], 2: []}
        for _ in range(options.pictures):
            task = options.tasks[rng.choice(len(options.tasks), p=weights)]
            sample = self._sample(resized(self._document(rng, task), size), tokenizer, rng)
            groups[min(2, len(sample.earlier))].append(sample)
        return [self._collate(samples, size) for samples in groups.values() if samples]

    def _size(self, step: int) -> tuple[int, int]:
        """The size of every picture of batch `step`."""
        options = self.options
        rng = np.random.default_rng((self.seed, step // options.alike, 1))
        if rng.random() >= options.other_sizes:
            return options.base
        return options.sizes[rng.integers(len(options.sizes))]

    def _document(self, rng: np.random.Generator, task: str) -> Document:
        """One of `task` with as many characters as the options want."""
        crowded = task == "t2i" and rng.random() < self.options.crowds
        while True:
            document = sample_document(rng, task, self.held_out)
            scenes = [p.scene for p in document.pictures() if p.scene is not None]
            most = max((len(s.characters) for s in scenes), default=0)
            if most <= self.options.most_characters and (most >= CROWD or not crowded):
                return document

    def _sample(self, document: Document, tokenizer: object, rng: np.random.Generator) -> _Sample:
        pictures = list(document.pictures())
        drawn = [i for i, p in enumerate(pictures) if not p.given]
        # Later pictures have the references: prefer them where there is a choice.
        chosen = max(rng.choice(drawn), rng.choice(drawn)) if len(drawn) > 1 else drawn[0]
        target = pictures[chosen].scene
        earlier = tuple(p.scene for p in pictures[:chosen] if p.scene is not None)
        assert target is not None
        if earlier and self.options.hide:
            dense = hide_known(target, pictures[chosen].dense, earlier, self.options.hide, rng)
            document = _with_dense(document, chosen, dense)
        sequence = build_sequence(document, tokenizer)  # type: ignore[arg-type]
        return _Sample(sequence, target, earlier, chosen)

    def _collate(self, samples: list[_Sample], size: tuple[int, int]) -> Drawing:
        ends = [s.sequence.pictures[s.picture].dense[1] + 1 for s in samples]  # type: ignore[index]
        targets = [render(s.target) for s in samples]
        tokens = np.zeros((len(samples), max(ends)), np.int64)
        positions = np.zeros((len(samples), max(ends), 3), np.float32)
        seen, references, weights, rows, slots, distances, spans = [], [], [], [], [], [], []
        settled = []
        for row, sample in enumerate(samples):
            tokens[row, : ends[row]] = sample.sequence.tokens[: ends[row]]
            positions[row, : ends[row]] = sample.sequence.positions[: ends[row]]
            pixels = [render(scene) for scene in sample.earlier]
            for j, image in enumerate(pixels):
                seen.append((image, row, sample.sequence.pictures[j].image_tokens[0]))
            given = [p.given for p in sample.sequence.pictures[: sample.picture]]
            kept = reference_window(given, self.options.max_references)
            for slot, j in enumerate(kept):
                references.append(pixels[j])
                weights.append(self._weight(sample.earlier[j], pixels[j], sample.earlier))
                rows.append(row)
                slots.append(slot)
                distances.append(sample.picture - j)
            spans.append(planner_rows(sample.sequence, sample.picture, kept))
            settled.append(self._settled(sample, targets[row], kept))
        index, mask, shift = pad_rows(spans)
        empty = np.zeros((0, size[1], size[0], 4), np.uint8)
        return Drawing(
            torch.from_numpy(tokens),
            torch.from_numpy(positions),
            group_pictures(seen),
            torch.from_numpy(index),
            torch.from_numpy(mask),
            torch.from_numpy(shift),
            torch.from_numpy(np.stack(targets)),
            torch.from_numpy(
                np.stack(
                    [
                        self._weight(s.target, t, s.earlier)
                        for s, t in zip(samples, targets, strict=True)
                    ]
                )
            ),
            torch.from_numpy(np.stack(settled)),
            torch.from_numpy(np.stack([token_labels(s.target) for s in samples])),
            torch.from_numpy(np.stack(references) if references else empty),
            torch.from_numpy(np.array(weights, np.float32)),
            torch.tensor(rows, dtype=torch.int64),
            torch.tensor(slots, dtype=torch.int64),
            torch.tensor(distances, dtype=torch.int64),
        )

    def _settled(
        self, sample: _Sample, pixels: NDArray[np.uint8], kept: Listing[int]
    ) -> NDArray[np.bool_]:
        """Per latent token whether words or the references in the window settle it."""
        scene = sample.target
        if not self.options.settle:
            return np.ones(scene.size[0] * scene.size[1] // TOKEN**2, bool)
        return ~unsettled_tokens(scene, pixels, [sample.earlier[j] for j in kept]).reshape(-1)

    def _weight(
        self, scene: Scene, pixels: NDArray[np.uint8], earlier: Listing[Scene]
    ) -> NDArray[np.float32]:
        """The loss's weight per latent token, at full size: more where things stand, and more
        again where small things are seen that text or the `earlier` pictures tell of."""
        width, height = scene.size[0] // TOKEN, scene.size[1] // TOKEN
        weight = np.ones((height, width), np.float32)
        places = layout(scene)
        for placed in (*places.characters, *places.props):
            top, bottom = placed.y - 1.15 * placed.height, placed.y + 0.05 * placed.height
            left, right = placed.x - 0.5 * placed.height, placed.x + 0.5 * placed.height
            rows = slice(max(0, int(top // TOKEN)), max(0, int(bottom // TOKEN)) + 1)
            columns = slice(max(0, int(left // TOKEN)), max(0, int(right // TOKEN)) + 1)
            weight[rows, columns] = self.options.foreground
        if self.options.telling != 1.0:
            weight[telling_tokens(scene, pixels, earlier)] *= self.options.telling
        return (weight / weight.mean()).reshape(-1)


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


def planner_rows(
    sequence: Sequence, picture: int, references: Listing[int]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The planner's slots that picture `picture` sees, and each one's shift: [N], [N, 3].

    First its dense prompt, then the ViT tokens of each of `references` (rule 2; rule 4 for the
    shifts).
    """
    start, end = sequence.pictures[picture].dense  # type: ignore[misc]
    index = [np.arange(start, end)]
    last = sequence.positions[end - 1, 0]
    shift = [np.full((end - start, 3), -(last + 1), np.float32)]
    for j in references:
        first, stop = sequence.pictures[j].image_tokens
        p0 = sequence.pictures[j].start_position
        index.append(np.arange(first, stop))
        row = np.array([j - picture - p0, -p0, -p0], np.float32)
        shift.append(np.broadcast_to(row, (stop - first, 3)))
    return np.concatenate(index), np.concatenate(shift)


def pad_rows(
    spans: Listing[tuple[NDArray[np.int64], NDArray[np.float32]]],
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.float32]]:
    """Window rows of a batch, padded to the longest, with a mask that is True on real rows."""
    longest = max(len(index) for index, _ in spans)
    index = np.zeros((len(spans), longest), np.int64)
    mask = np.zeros((len(spans), longest), bool)
    shift = np.zeros((len(spans), longest, 3), np.float32)
    for row, (slots, moved) in enumerate(spans):
        index[row, : len(slots)] = slots
        mask[row, : len(slots)] = True
        shift[row, : len(slots)] = moved
    return index, mask, shift
