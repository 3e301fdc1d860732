"""Shards at random: any sample by its number, read from its place in the tar.

The shards' headers are read once, when a library is opened; a sample's bytes when it is asked for.
It can be sent to other processes, and knows nothing of what is made of a sample.
"""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training.data.reading import Sample, find_shards, read_document, read_sample
from training.errors import TrainingError
from training.storyworld.documents import Document

# Where the bytes of a sample's file stand in its shard: from, how many.
Place = tuple[int, int]


class Library:
    """The samples of a folder of shards, or of the shards given, in their order there."""

    def __init__(self, shards: Path | str | Sequence[Path | str], *, max_tokens: int = 512) -> None:
        self._max_tokens = max_tokens
        self._samples = [
            (shard, key, files)
            for shard in find_shards(shards)
            for key, files in _contents(shard).items()
        ]
        if not self._samples:
            raise TrainingError(f"expected samples in the shards at {shards}, found none")

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Sample:
        """Sample `index`; raises `TrainingError` where it is not what `reading` describes."""
        return read_sample(self._read(index), self._max_tokens)

    def document(self, index: int) -> Document:
        """The document of sample `index`, without its pictures; raises likewise."""
        return read_document(self._read(index, only="json"))

    def _read(self, index: int, only: str = "") -> dict[str, Any]:
        """The bytes of the sample's files by extension, or of one of them."""
        shard, key, files = self._samples[index]
        raw: dict[str, Any] = {"__key__": key}
        with Path(shard).open("rb") as file:
            for extension, (start, size) in files.items():
                if only in ("", extension):
                    file.seek(start)
                    raw[extension] = file.read(size)
        return raw


def _contents(shard: str) -> dict[str, dict[str, Place]]:
    """Per sample its files by extension, as WebDataset splits names: at the first dot."""
    found: dict[str, dict[str, Place]] = {}
    try:
        with tarfile.open(shard, "r:") as tar:
            members = [member for member in tar if member.isfile()]
    except tarfile.TarError as error:
        raise TrainingError(
            f"{shard}: expected a plain tar, which samples can be read from at random: {error}"
        ) from error
    for member in members:
        folder, slash, name = member.name.rpartition("/")
        stem, _, extension = name.partition(".")
        if stem and extension:
            files = found.setdefault(f"{folder}{slash}{stem}", {})
            files[extension.lower()] = (member.offset_data, member.size)
    return found
