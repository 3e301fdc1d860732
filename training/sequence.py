"""Documents as token sequences: ids, loss mask, positions, and where the pictures stand.

It knows the token format and the positions of both experts, and nothing of torch, models or pixels.

| name | shape | dtype | meaning |
| --- | --- | --- | --- |
| `Sequence.tokens` | [S] | int64 | token ids |
| `Sequence.loss_mask` | [S] | bool | whether the token is learned: the assistant's, less images |
| `Sequence.positions` | [S, 3] | float32 | (t, h, w) of every token |
| `grid_positions(h, w)` | [h*w, 3] | float32 | (0, h, w) of latent tokens, row-major |
| `vision_positions(h, w, p0)` | [n, 3] | float32 | (t, h, w) of ViT tokens, row-major |

Grids are in latent tokens (16x16 pixels); a ViT token covers 4x4 of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from training.storyworld.documents.document import Document, Picture, Text, Turn

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SPECIAL_TOKENS = (
    "<|pad|>", "<|user|>", "<|assistant|>", "<think>", "</think>", "<imagine>", "</imagine>",
    "<size>", "</size>", "<BOI>", "<|image|>", "<EOS>",
)  # fmt: skip
(
    PAD, USER, ASSISTANT, THINK, END_THINK, IMAGINE, END_IMAGINE,
    SIZE, END_SIZE, BOI, IMAGE, EOS,
) = range(len(SPECIAL_TOKENS))  # fmt: skip
PIXELS_PER_TOKEN = 16
TOKENS_PER_VISION_TOKEN = 4


@dataclass(frozen=True)
class PictureSpan:
    """Where a picture stands; spans are half-open token ranges.

    `dense` lies strictly between `<imagine>` and `</imagine>`, None for a given picture; `grid` is
    (rows, columns) of latent tokens; `start_position` is the p0 of its ViT tokens.
    """

    dense: tuple[int, int] | None
    image_tokens: tuple[int, int]
    start_position: float
    grid: tuple[int, int]
    given: bool


@dataclass(frozen=True)
class Sequence:
    """One document as the planner sees it; `pictures` in order of appearance."""

    tokens: NDArray[np.int64]
    loss_mask: NDArray[np.bool_]
    positions: NDArray[np.float32]
    pictures: tuple[PictureSpan, ...]


def latent_grid(size: tuple[int, int]) -> tuple[int, int]:
    """(rows, columns) of latent tokens of a picture of `size` = (width, height) pixels."""
    width, height = size
    if width % PIXELS_PER_TOKEN or height % PIXELS_PER_TOKEN or min(size) < PIXELS_PER_TOKEN:
        raise ValueError(f"size is {size}, expected positive multiples of {PIXELS_PER_TOKEN}")
    return height // PIXELS_PER_TOKEN, width // PIXELS_PER_TOKEN


def vision_grid(h: int, w: int) -> tuple[int, int]:
    """(rows, columns) of ViT tokens of a latent grid."""
    return -(-h // TOKENS_PER_VISION_TOKEN), -(-w // TOKENS_PER_VISION_TOKEN)


def _cells(rows: int, columns: int, step: int = 1) -> NDArray[np.float64]:
    ys, xs = np.meshgrid(np.arange(rows) + 0.5, np.arange(columns) + 0.5, indexing="ij")
    return np.stack([np.zeros(rows * columns), ys.ravel() * step, xs.ravel() * step], axis=1)


def grid_positions(h: int, w: int) -> NDArray[np.float32]:
    """Positions of latent tokens, one apart: noise tokens of a picture, and clean tokens of a
    reference."""
    return _cells(h, w).astype(np.float32)


def vision_positions(h: int, w: int, p0: float) -> NDArray[np.float32]:
    """Positions of a picture's ViT tokens in the planner, for the latent grid h by w."""
    rows, columns = vision_grid(h, w)
    return (_cells(rows, columns, TOKENS_PER_VISION_TOKEN) + p0).astype(np.float32)


def picture_extent(h: int, w: int) -> int:
    """How far a picture moves the text position on."""
    return max(h, w)


class _Builder:
    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.tokens: list[int] = []
        self.learned: list[bool] = []
        self.blocks: list[NDArray[np.float32]] = []
        self.run = 0
        self.position = 0
        self.pictures: list[PictureSpan] = []

    def add(self, ids: list[int], learned: bool) -> None:
        self.tokens += ids
        self.learned += [learned] * len(ids)
        self.run += len(ids)

    def text(self, text: str, learned: bool) -> None:
        if text:
            self.add(self.tokenizer.encode(text, add_special_tokens=False).ids, learned)

    def _close_run(self) -> None:
        counted = np.arange(self.position, self.position + self.run, dtype=np.float32)
        self.blocks.append(np.repeat(counted[:, None], 3, axis=1))
        self.position += self.run
        self.run = 0

    def picture(self, picture: Picture) -> None:
        h, w = latent_grid(picture.size)
        dense = None
        learned = not picture.given
        if learned:
            self.add([IMAGINE], True)
            start = len(self.tokens)
            self.text(picture.dense, True)
            dense = (start, len(self.tokens))
            self.add([END_IMAGINE, SIZE], True)
            self.text(f"{h}*{w}", True)
            self.add([END_SIZE], True)
        self.add([BOI], learned)
        self._close_run()
        rows, columns = vision_grid(h, w)
        start = len(self.tokens)
        self.tokens += [IMAGE] * (rows * columns)
        self.learned += [False] * (rows * columns)
        self.blocks.append(vision_positions(h, w, self.position))
        span = (start, len(self.tokens))
        self.pictures.append(PictureSpan(dense, span, float(self.position), (h, w), not learned))
        self.position += picture_extent(h, w)

    def turn(self, turn: Turn) -> None:
        learned = turn.role == "assistant"
        self.add([ASSISTANT if learned else USER], False)
        if turn.think:
            self.add([THINK], True)
            self.text(turn.think, True)
            self.add([END_THINK], True)
        for part in turn.parts:
            if isinstance(part, Text):
                self.text(part.text, learned)
            else:
                self.picture(part)
        if learned:
            self.add([EOS], True)

    def finish(self) -> Sequence:
        self._close_run()
        return Sequence(
            np.array(self.tokens, np.int64),
            np.array(self.learned, bool),
            np.concatenate(self.blocks).astype(np.float32),
            tuple(self.pictures),
        )


def build_sequence(document: Document, tokenizer: Tokenizer) -> Sequence:
    """The document in the token format; each string is encoded on its own."""
    builder = _Builder(tokenizer)
    for turn in document.turns:
        builder.turn(turn)
    return builder.finish()
