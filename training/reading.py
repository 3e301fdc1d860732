"""What the planner learns from: documents as padded micro-batches, and pictures to look at.

Made in worker processes as a pure function of (seed, step); it renders, and knows no models.
Documents of like length share a micro-batch. The first `proxy_steps` are textual proxies: pictures
that the assistant draws keep their places in the sequence but show nothing.

| micro-batch | shape | dtype |
| --- | --- | --- |
| tokens | [B, S], padded with `<|pad|>` | int64 |
| weight | [B, S] | float32: how often a token counts in the loss, 0 for what is not learned |
| positions | [B, S, 3] | float32 |
| swatches | [B, S, 5], see `training.swatches`; None without palettes | float32 |
| pixels looked at | [N, 256, 256, 4], straight RGBA | uint8 |
| labels of their patches | [N, 16, 4, groups], see `training.labels` | int64 |
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.emphasis import (
    changed_tokens,
    heeding_tokens,
    listed_words,
    name_words,
    numbering_tokens,
    referring_words,
    slot_words,
    spellings,
    thing_words,
    turning_points,
)
from training.labels import patch_labels
from training.pictures import PictureGroup, group_pictures
from training.samples import Sample, open_source
from training.sequence import END_IMAGINE, PAD, Sequence, build_sequence
from training.storyworld.documents import TASKS, Document, Text
from training.storyworld.render import render
from training.storyworld.sampling import sample_scene
from training.storyworld.scene import PROPS
from training.storyworld.text import describe
from training.swatches import FIELDS, swatch_targets
from training.tokenizer import load_tokenizer

# How many times `looks` the eyes look at where they learn alone.
ALONE = 4


@dataclass(frozen=True)
class PlannerOptions:
    """`documents` a step, in micro-batches of up to `tokens`; `tasks` and their weights.

    Shares of the documents: in `binding` of the text-to-image ones the prompt says of several
    characters what they do, so that who does what has to be kept apart; in `counted` of the stories
    and guides it says in how many pictures; in `telling` of those about pictures of the user the
    assistant names a prop that nobody has named before.

    How often tokens count in the loss: `turning` times where text and pictures change places, the
    first words after a picture included, for there is decided whether a story goes on or ends and
    whether another picture comes; `referring` times pronouns and the names after the first, for
    they are few, and a story that changes or shares them falls apart; `numbering` times the numbers
    at the beginning of dense prompts; `seeing` times kinds, accessories and props where the user
    gave pictures; `listing` times places, times, weathers and actions in a series, where a list
    says what each picture shows; `changing` times what an edit or a conversation changes of the
    picture before, a word or two among all that is to be kept; `heeding` times what the user's
    words name where a story or a guide first says it, for a friend who was asked for may come
    pages later.

    With `data`, a folder of shards, the documents are those, and shares and `tasks` say nothing.

    `looks` pictures of the storyworld a step are looked at for the probe, whose loss counts
    `probe_weight` times. In the first `looking_steps` batches the eyes learn alone, from `ALONE`
    times as many pictures; every process has its own batches, so of two processes in half as many
    steps."""

    documents: int = 24
    tokens: int = 4096
    proxy_steps: int = 0
    tokenizer_documents: int = 20000
    tasks: dict[str, float] = field(default_factory=lambda: dict(TASKS))
    data: str = ""
    binding: float = 0.0
    counted: float = 0.0
    telling: float = 0.0
    turning: float = 1.0
    referring: float = 1.0
    numbering: float = 1.0
    seeing: float = 1.0
    listing: float = 1.0
    changing: float = 1.0
    heeding: float = 1.0
    looks: int = 0
    looking_steps: int = 0
    probe_weight: float = 0.3


@dataclass(frozen=True)
class Looks:
    pixels: Tensor
    labels: Tensor


@dataclass(frozen=True)
class MicroBatch:
    tokens: Tensor
    weight: Tensor
    positions: Tensor
    swatches: Tensor | None
    pictures: list[PictureGroup]


@dataclass(frozen=True)
class PlannerBatch:
    documents: list[MicroBatch]
    looks: Looks | None


class PlannerBatches:
    """The batch of a step: `documents` fresh documents, shortest first, and `looks` pictures."""

    def __init__(
        self, options: PlannerOptions, seed: int, tokenizer: Path, held_out: bool = False
    ) -> None:
        self.options, self.seed, self.path = options, seed, tokenizer
        self.source = open_source(options.data, held_out)

    def __call__(self, step: int) -> PlannerBatch:
        tokenizer = load_tokenizer(self.path)
        rng = np.random.default_rng((self.seed, step))
        names, weights = zip(*self.options.tasks.items(), strict=True)
        shares = np.array(weights) / sum(weights)
        alone = step < self.options.looking_steps
        pairs = []
        for _ in range(0 if alone else self.options.documents):
            sample = self._sample(rng, names[rng.choice(len(names), p=shares)])
            pairs.append((sample, build_sequence(sample.document, tokenizer)))
        count = self.options.looks * (ALONE if alone else 1)
        looks = self._looks(rng, count) if count else None
        pairs.sort(key=lambda pair: len(pair[1].tokens))
        groups: list[list[tuple[Sample, Sequence]]] = []
        for pair in pairs:
            if not groups or (len(groups[-1]) + 1) * len(pair[1].tokens) > self.options.tokens:
                groups.append([])
            groups[-1].append(pair)
        documents = [self._pad(group, step >= self.options.proxy_steps) for group in groups]
        return PlannerBatch(documents, looks)

    def _looks(self, rng: np.random.Generator, looks: int) -> Looks:
        # Crowds beside the usual number of figures: there is more to see in a picture.
        counts = [int(rng.integers(1, 5)) if rng.random() < 0.5 else None for _ in range(looks)]
        scenes = [sample_scene(rng, characters=count) for count in counts]
        return Looks(
            torch.from_numpy(np.stack([render(scene) for scene in scenes])),
            torch.from_numpy(np.stack([patch_labels(scene) for scene in scenes])),
        )

    def _sample(self, rng: np.random.Generator, task: str) -> Sample:
        options = self.options
        if options.data:
            return self.source.sample(rng)
        binding = task == "t2i" and rng.random() < options.binding
        counted = task in ("story", "guide") and rng.random() < options.counted
        telling = task in ("caption", "question", "edit") and rng.random() < options.telling
        while True:
            sample = self.source.sample(rng, task)
            document = sample.document
            if binding and not binds_actions(document):
                continue
            if counted and not document.turns[0].asked.get("pictures"):
                continue
            if not telling or tells_props(document):
                return sample

    def _pad(self, group: list[tuple[Sample, Sequence]], seeing: bool) -> MicroBatch:
        longest = max(len(s.tokens) for _, s in group)
        tokens = np.full((len(group), longest), PAD, np.int64)
        weight = np.zeros((len(group), longest), np.float32)
        positions = np.zeros((len(group), longest, 3), np.float32)
        swatches = np.full((len(group), longest, FIELDS), np.nan, np.float32)
        pictures = []
        for row, (sample, sequence) in enumerate(group):
            length = len(sequence.tokens)
            tokens[row, :length] = sequence.tokens
            weight[row, :length] = self._weight(sample.document, sequence)
            positions[row, :length] = sequence.positions
            swatches[row, :length] = swatch_targets(sequence.tokens, spellings(self.path))
            for index, span in enumerate(sequence.pictures):
                if seeing or span.given:
                    pictures.append((sample.pixels(index), row, span.image_tokens[0]))
        return MicroBatch(
            torch.from_numpy(tokens),
            torch.from_numpy(weight),
            torch.from_numpy(positions),
            None if np.isnan(swatches).all() else torch.from_numpy(swatches),
            group_pictures(pictures),
        )

    def _weight(self, document: Document, sequence: Sequence) -> NDArray[np.float32]:
        """How often each token counts in the loss."""
        task, tokens, options, path = document.task, sequence.tokens, self.options, self.path
        given = any(span.given for span in sequence.pictures)
        often = sequence.loss_mask.astype(np.float32)
        for times, applies, which in (
            (options.turning, True, lambda: turning_points(tokens)),
            (options.referring, True, lambda: referring_words(tokens, *name_words(path))),
            (options.numbering, True, lambda: numbering_tokens(tokens, spellings(path))),
            (options.seeing, given, lambda: np.isin(tokens, thing_words(path))),
            (options.listing, task == "series", lambda: np.isin(tokens, listed_words(path))),
            (options.changing, task in ("edit", "chat"), lambda: self._changes(document, sequence)),
            (
                options.heeding,
                task in ("story", "guide"),
                lambda: heeding_tokens(tokens, spellings(path), slot_words(path)),
            ),
        ):
            if applies and times != 1.0:
                often[which()] *= times
        return often

    def _changes(self, document: Document, sequence: Sequence) -> NDArray[np.bool_]:
        """Which tokens [S] of the dense prompts differ from what the picture before shows."""
        tokenizer, words = load_tokenizer(self.path), slot_words(self.path)
        changes = np.zeros(len(sequence.tokens), bool)
        for (before, _), (_, now) in pairwise(
            zip(document.pictures(), sequence.pictures, strict=True)
        ):
            shown = describe(before.scene) if before.scene is not None else before.dense
            if now.dense is not None and shown:
                ids = tokenizer.encode(shown, add_special_tokens=False).ids
                start, stop = now.dense
                # The end too: what was left out may have stood last.
                said = sequence.tokens[start : stop + 1].tolist()
                changes[start : stop + 1] = changed_tokens([*ids, END_IMAGINE], said, words)
        return changes


def binds_actions(document: Document) -> bool:
    """Whether the first prompt names the actions of two or more characters."""
    asked = document.turns[0].asked.get("characters") or ()
    return sum("action" in character for character in asked) > 1


def tells_props(document: Document) -> bool:
    """Whether the assistant names a prop that nobody has named before."""
    said: set[str] = set()
    for turn in document.turns:
        for part in turn.parts:
            if isinstance(part, Text):
                words = part.text
            elif not part.given:
                words = part.dense
            else:
                continue
            props = set(re.findall(r"[a-z]+", words.lower())) & set(PROPS)
            if turn.role == "assistant" and props - said:
                return True
            said |= props
    return False
