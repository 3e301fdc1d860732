"""What the visualizer learns from: a picture of a document, its context and its references.

Made in worker processes as a pure function of (seed, step); it renders, and knows no models. All
pictures of a step have one size. What only a scene tells, labels, weights and what is settled, is
not known of one's own pictures: there every token counts alike. Samples are grouped by their number
of references, so padding stays small.

| field of `Drawing` | shape | dtype |
| --- | --- | --- |
| tokens, positions | [B, S], [B, S, 3]: the document up to `</imagine>` | int64, float32 |
| seen | earlier pictures, where the planner sees them | `PictureGroup`s |
| index, index_mask, shift | [B, N], [B, N], [B, N, 3]: the planner's rows | int64, bool, float32 |
| target | [B, H, W, 4], straight RGBA | uint8 |
| weight | [B, h * w], mean 1: characters and props count for more | float32 |
| settled | [B, h * w]: whether words or references settle what a token shows | bool |
| markings | [B, M, 4]: those that words and references leave open (`coupling`) | float32 |
| labels | [B, h * w, G]: what each token shows (`labels.GROUPS`) | int64 |
| references | [R, H, W, 4], straight RGBA | uint8 |
| reference_weight | [R, h * w], as `weight` | float32 |
| reference_rows, _slots, _distances | [R]: sample, place in the window, k - j | int64 |
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence as Listing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.commissions import Commission, Commissions, DrawingOptions
from training.coupling import free_markings
from training.labels import (
    GROUPS,
    TOKEN,
    differing_tokens,
    telling_tokens,
    token_labels,
    unsettled_tokens,
)
from training.pictures import PictureGroup, group_pictures
from training.samples import Size
from training.sequence import Sequence
from training.storyworld.scene import Scene, layout

# Up to so many references make a group.
ALIKE = (0, 1, 4)
# A picture that differs from the one before in a greater share of its tokens is another picture.
MOST_CHANGED = 0.3


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
    markings: Tensor
    labels: Tensor
    references: Tensor
    reference_weight: Tensor
    reference_rows: Tensor
    reference_slots: Tensor
    reference_distances: Tensor


class DrawingBatches:
    """The drawings of a step, one `Drawing` of those with about as many references."""

    def __init__(
        self, options: DrawingOptions, seed: int, tokenizer: Path, held_out: bool = False
    ) -> None:
        self.options, self.seed = options, seed
        self.commissions = Commissions(options, seed, tokenizer, held_out)

    def __call__(self, step: int) -> list[Drawing]:
        rng = np.random.default_rng((self.seed, step))
        size = self.commissions.size(step)
        count = self.options.pictures
        commissions = [self.commissions.commission(rng, size) for _ in range(count)]
        return [self.collate(group, size) for group in by_references(commissions)]

    def collate(self, group: list[Commission], size: Size) -> Drawing:
        """The drawings of `group`, all of one size."""
        ends = [c.sequence.pictures[c.picture].dense[1] + 1 for c in group]  # type: ignore[index]
        targets = [c.sample.pixels(c.picture) for c in group]
        tokens = np.zeros((len(group), max(ends)), np.int64)
        positions = np.zeros((len(group), max(ends), 3), np.float32)
        seen, references, weights, rows, slots, distances, spans = [], [], [], [], [], [], []
        target_weights, settled, markings = [], [], []
        see = document_rows if self.options.window == "document" else planner_rows
        for row, commission in enumerate(group):
            sequence, picture = commission.sequence, commission.picture
            tokens[row, : ends[row]] = sequence.tokens[: ends[row]]
            positions[row, : ends[row]] = sequence.positions[: ends[row]]
            pixels = [commission.sample.pixels(j) for j in range(picture)]
            for j, image in enumerate(pixels):
                seen.append((image, row, sequence.pictures[j].image_tokens[0]))
            shown = commission.shown
            for slot, j in enumerate(commission.window):
                references.append(pixels[j])
                weights.append(self._weight(commission.earlier[j], pixels[j], shown))
                rows.append(row)
                slots.append(slot)
                distances.append(picture - j)
            spans.append(see(sequence, picture, commission.window))
            before = pixels[-1] if picture - 1 in commission.window else None
            target_weights.append(self._weight(commission.target, targets[row], shown, before))
            settled.append(self._settled(commission.target, targets[row], shown))
            markings.append(free_markings(commission.target, shown))
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
            torch.from_numpy(np.stack(target_weights)),
            torch.from_numpy(np.stack(settled)),
            torch.from_numpy(np.stack(markings)),
            torch.from_numpy(np.stack([_labels(c.target, size) for c in group])),
            torch.from_numpy(np.stack(references) if references else empty),
            torch.from_numpy(np.array(weights, np.float32)),
            torch.tensor(rows, dtype=torch.int64),
            torch.tensor(slots, dtype=torch.int64),
            torch.tensor(distances, dtype=torch.int64),
        )

    def _settled(
        self, scene: Scene | None, pixels: NDArray[np.uint8], shown: Listing[Scene]
    ) -> NDArray[np.bool_]:
        """Per latent token whether words or the references in the window, `shown`, settle it."""
        if scene is None or not self.options.settle:
            return np.ones(pixels.shape[0] * pixels.shape[1] // TOKEN**2, bool)
        return ~unsettled_tokens(scene, pixels, shown).reshape(-1)

    def _weight(
        self,
        scene: Scene | None,
        pixels: NDArray[np.uint8],
        earlier: Listing[Scene],
        before: NDArray[np.uint8] | None = None,
    ) -> NDArray[np.float32]:
        """The loss's weight per latent token, at full size: more where things stand, and more
        again where small things are seen that text or the `earlier` pictures tell of, or where few
        things differ from the picture `before`."""
        weight = np.ones((pixels.shape[0] // TOKEN, pixels.shape[1] // TOKEN), np.float32)
        if scene is None:
            return weight.reshape(-1)
        places = layout(scene)
        for placed in (*places.characters, *places.props):
            top, bottom = placed.y - 1.15 * placed.height, placed.y + 0.05 * placed.height
            left, right = placed.x - 0.5 * placed.height, placed.x + 0.5 * placed.height
            rows = slice(max(0, int(top // TOKEN)), max(0, int(bottom // TOKEN)) + 1)
            columns = slice(max(0, int(left // TOKEN)), max(0, int(right // TOKEN)) + 1)
            weight[rows, columns] = self.options.foreground
        if self.options.telling != 1.0:
            weight[telling_tokens(scene, pixels, earlier)] *= self.options.telling
        if self.options.changing != 1.0 and before is not None:
            changed = differing_tokens(pixels, before)
            if changed.mean() < MOST_CHANGED:
                weight[changed] *= self.options.changing
        return (weight / weight.mean()).reshape(-1)


def by_references(commissions: Listing[Commission]) -> list[list[Commission]]:
    """Those that look at about as many pictures: none, one, a few, many."""
    groups: dict[int, list[Commission]] = {}
    for commission in commissions:
        groups.setdefault(bisect_left(ALIKE, len(commission.window)), []).append(commission)
    return [group for _, group in sorted(groups.items())]


def _labels(scene: Scene | None, size: Size) -> NDArray[np.int64]:
    if scene is not None:
        return token_labels(scene)
    return np.full((size[0] * size[1] // TOKEN**2, len(GROUPS)), -1, np.int64)


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


def document_rows(
    sequence: Sequence, picture: int, references: Listing[int]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """As `planner_rows` for a picture that sees everything before it, words, narration and earlier
    dense prompts included, where it stands: what rule 2 forbids, to compare with."""
    end = sequence.pictures[picture].dense[1]  # type: ignore[index]
    moved = np.full((end, 3), -(sequence.positions[end - 1, 0] + 1), np.float32)
    return np.arange(end), moved


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
