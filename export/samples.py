"""What the components really get: documents of the storyworld or of a user, as the models see them.

Calibration, choice of precision per layer and verification all look at these. Everything is
computed with the PyTorch models in float32.

| field | shape | dtype |
| --- | --- | --- |
| `Example.tokens`, `features`, `positions` | [1, S], [1, S, W], [S, 3] | int64, float32, float32 |
| `Example.pictures` | each [H, W, 4], straight RGBA | uint8 |
| `Example.cache` (per layer K and V) | [1, KV, S, D] | float32 |
| `Drawing.clean`, `positions` | [1, T, Z], [T, 3] | float32 |
| `Drawing.index`, `shift` | [N], [N, 3] | int64, float32 |
| `Drawing.references`, `reference_shift` | per layer K, V [1, KV, M, D]; [M, 3] | float32 |
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from export.errors import ExportError
from export.graphs import Models
from training.commissions import reference_window
from training.data.reading import Sample, load
from training.drawing import planner_rows
from training.errors import TrainingError
from training.models.rope import rope_tables, rotate
from training.models.vae import tokens_of
from training.models.vision import premultiply
from training.sequence import Sequence, build_sequence, grid_positions
from training.storyworld.documents import sample_document
from training.storyworld.render import render
from training.tokenizer import load_tokenizer

Array = NDArray[Any]
Cache = list[tuple[torch.Tensor, torch.Tensor]]
SEED = 20261121
TASKS = ("t2i", "edit", "story")
# A document that is longer is cut; its pictures beyond are left out.
MOST_TOKENS = 1024


@dataclass(frozen=True)
class Drawing:
    """A picture of the document and the window it is drawn in."""

    clean: torch.Tensor
    positions: Array
    index: Array
    shift: Array
    references: Cache
    reference_shift: Array
    window: Cache


@dataclass(frozen=True)
class Example:
    """One document."""

    tokens: Array
    positions: Array
    features: torch.Tensor
    cache: Cache
    pictures: tuple[Array, ...]
    drawings: tuple[Drawing, ...]


def storyworld_documents(count: int, held_out: bool) -> Iterator[Sample]:
    """The same `count` documents every time: by turns a picture, an edit and a story."""
    for index in range(count):
        rng = np.random.default_rng((SEED, index, held_out))
        document = sample_document(rng, TASKS[index % len(TASKS)], held_out)
        scenes = [picture.scene for picture in document.pictures()]
        yield Sample(document, tuple(render(scene) for scene in scenes if scene is not None))


def user_documents(folder: Path, count: int, max_tokens: int) -> Iterator[Sample]:
    """The first documents of a folder of WebDataset shards; raises `ExportError`."""
    found = 0
    try:
        for sample in load(folder, max_tokens=max_tokens):
            yield sample
            found += 1
            if found == count:
                return
    except (TrainingError, tarfile.TarError, OSError, ValueError) as error:
        raise ExportError(f"{folder}: calibration data does not fit: {error}") from error
    if not found:
        raise ExportError(f"{folder}: expected documents in its shards, found none")


def make_examples(
    models: Models, tokenizer: Path, samples: Iterator[Sample], max_references: int
) -> list[Example]:
    """The documents as the models see them; raises `ExportError` where no picture is drawn."""
    encoder = load_tokenizer(tokenizer)
    with torch.no_grad():
        examples = [
            _example(models, build_sequence(s.document, encoder), s.images, max_references)
            for s in samples
        ]
    if not any(example.drawings for example in examples):
        raise ExportError(
            "calibration data: expected documents in which the assistant draws pictures (with a "
            "dense prompt), found none; a sample's format is described in training.data.reading"
        )
    return examples


def _example(
    models: Models, sequence: Sequence, images: tuple[Array, ...], max_references: int
) -> Example:
    vocab = models.planner.config.planner.vocab
    if sequence.tokens.max() >= vocab:
        raise ExportError(f"calibration data: a token beyond the vocabulary of {vocab}")
    count = min(len(sequence.tokens), MOST_TOKENS)
    shown = [i for i, p in enumerate(sequence.pictures) if p.image_tokens[1] <= count]
    tokens = torch.from_numpy(sequence.tokens[None, :count])
    features = torch.zeros(1, count, models.planner.config.twin.width)
    for i in shown:
        start, end = sequence.pictures[i].image_tokens
        pixels = premultiply(torch.from_numpy(images[i])[None])
        features[0, start:end] = models.planner.vision(pixels)[0]
    positions = torch.from_numpy(sequence.positions[:count])
    _, cache = models.planner(tokens, positions, features)
    drawn = [i for i in shown if sequence.pictures[i].dense is not None]
    drawings = tuple(
        _drawing(models, sequence, images, cache, i, max_references) for i in _some(drawn)
    )
    pictures = tuple(images[i] for i in shown)
    return Example(tokens.numpy(), positions.numpy(), features, cache, pictures, drawings)


def _some(drawn: list[int]) -> list[int]:
    """The first and the last: without references and with most."""
    return sorted({drawn[0], drawn[-1]}) if drawn else []


def _drawing(
    models: Models,
    sequence: Sequence,
    images: tuple[Array, ...],
    cache: Cache,
    picture: int,
    max_references: int,
) -> Drawing:
    given = [p.given for p in sequence.pictures[:picture]]
    kept = reference_window(given, max_references)
    index, shift = planner_rows(sequence, picture, kept)
    commits, shifts = [], [np.zeros((0, 3), np.float32)]
    for j in kept:
        latent, positions = _latent(models, images[j])
        commits.append(models.visualizer.commit(latent, torch.from_numpy(positions)))
        shifts.append(np.tile(np.array([[j - picture, 0, 0]], np.float32), (len(positions), 1)))
    references = [_joined(rows) for rows in zip(*commits, strict=True)]
    if not commits:
        references = [(k[:, :, :0], v[:, :, :0]) for k, v in cache]
    clean, positions = _latent(models, images[picture])
    reference_shift = np.concatenate(shifts)
    window = _window(models, cache, index, shift, references, reference_shift)
    return Drawing(clean, positions, index, shift, references, reference_shift, window)


def _joined(rows: Any) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.cat([k for k, _ in rows], 2), torch.cat([v for _, v in rows], 2)


def _latent(models: Models, image: Array) -> tuple[torch.Tensor, Array]:
    latent = models.vae.encode(premultiply(torch.from_numpy(image)[None]))
    return tokens_of(latent), grid_positions(latent.shape[2], latent.shape[3])


def _window(
    models: Models, cache: Cache, index: Array, shift: Array, references: Cache, far: Array
) -> Cache:
    table = torch.as_tensor(models.planner.rope_table)
    near = rope_tables(torch.from_numpy(shift), table)
    away = rope_tables(torch.from_numpy(far), table)
    return [
        (
            torch.cat([rotate(k[:, :, index], near), rotate(k_far, away)], 2),
            torch.cat([v[:, :, index], v_far], 2),
        )
        for (k, v), (k_far, v_far) in zip(cache, references, strict=True)
    ]
