"""The tokenizer: byte-level BPE, trained on what the grammar writes or on one's own documents.

It encodes any UTF-8 text. Digits stand alone, and so do the letters of hex colours, so a number is
never one learned word. Control tags typed in a text are plain text; only ids make them special.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from training.data.library import Library
from training.sequence import SPECIAL_TOKENS
from training.storyworld.documents import Document, Text, sample_document

VOCABULARY = 2048
_SINGLES = Regex(r"[0-9]|(?<=[#0-9A-F])[A-F](?![a-z])")


def load_tokenizer(path: Path | str) -> Tokenizer:
    """The tokenizer from its `tokenizer.json`, with control tags in texts read as plain text; the
    same object as long as the file is the same."""
    stat = os.stat(path)
    return _load(str(path), stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=4)
def _load(path: str, written: int, size: int) -> Tokenizer:
    """`written`, in ns, and `size` tell a file from one that took its place."""
    tokenizer = Tokenizer.from_file(path)
    tokenizer.encode_special_tokens = True
    return tokenizer


def strings(document: Document) -> Iterator[str]:
    """Every string of the document that is encoded on its own."""
    for turn in document.turns:
        if turn.think:
            yield turn.think
        for part in turn.parts:
            yield part.text if isinstance(part, Text) else part.dense


def train_tokenizer(
    out: Path | str, documents: int = 20000, seed: int = 0, data: str = ""
) -> Tokenizer:
    """Train on `documents` sampled documents, or on the first ones of the shards `data`, and write
    `out` (a tokenizer.json); deterministic."""

    def corpus() -> Iterator[str]:
        rng = np.random.default_rng(seed)
        library = Library(data) if data else None
        for index in range(min(documents, len(library)) if library else documents):
            yield from strings(library.document(index) if library else sample_document(rng))

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(_SINGLES, "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    tokenizer.save(f"{out}.part")
    os.replace(f"{out}.part", out)
    return load_tokenizer(out)
