"""Reads WebDataset shards of documents, the storyworld's or one's own.

| in the shard | is |
| --- | --- |
| `{id}.json` | `{"turns": [{"role": "user" or "assistant", "parts": [part, ...]}, ...]}` |
| a part | `{"type": "text", "text": ...}` or `{"type": "picture", "dense": ...}` |
| `{id}.{k}.png` (or jpg, webp) | the k-th picture part, counted from 0 through all turns |

`dense` is absent or empty where the user gives the picture, and only there. `id`, `task`, `think`,
`asked` and a picture's `scene` may be absent. Pictures off the 16-pixel grid, or larger than
`max_tokens`, are resized.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import webdataset as wds
from numpy.typing import NDArray
from PIL import Image, ImageOps

from training.errors import TrainingError
from training.storyworld.documents import Document, Picture, Turn, document_from_dict
from training.storyworld.scene import GRID

SUFFIXES = ("png", "webp", "jpg", "jpeg")


@dataclass(frozen=True)
class Sample:
    """A document with the pixels of its pictures, uint8 [H, W, 4] straight RGBA each."""

    document: Document
    images: tuple[NDArray[np.uint8], ...]

    def pixels(self, index: int) -> NDArray[np.uint8]:
        """The picture `index` of the document."""
        return self.images[index]

    def resized(self, size: tuple[int, int]) -> Sample:
        """The same with every picture at `size`, its middle where the shape is another one."""
        images = tuple(_cover(image, size) for image in self.images)
        return Sample(_sized(self.document, images), images)


def load(
    shards: Path | str | Sequence[Path | str],
    *,
    shuffle: int = 0,
    seed: int = 0,
    max_tokens: int = 512,
) -> Iterator[Sample]:
    """Samples of a folder of shards, or of the shards given; `shuffle` is the buffer's size."""
    urls = find_shards(shards)
    data: Any = wds.WebDataset(urls, shardshuffle=False, empty_check=False)
    if shuffle:
        data = data.shuffle(shuffle, seed=seed)
    try:
        for raw in data:
            yield read_sample(raw, max_tokens)
    except tarfile.TarError as error:
        raise TrainingError(
            f"expected whole shards at {shards}, found one that is cut off: {error.args[0]}"
        ) from error


def find_shards(shards: Path | str | Sequence[Path | str]) -> list[str]:
    """The shards of a folder, or those given; raises `TrainingError` where there are none."""
    if isinstance(shards, (str, Path)):
        root = Path(shards)
        found = sorted(root.glob("*.tar")) if root.is_dir() else [root]
    else:
        found = [Path(s) for s in shards]
    missing = [str(p) for p in found if not p.is_file()]
    if missing or not found:
        what = f"no {', '.join(missing)}" if missing else "none"
        raise TrainingError(f"expected WebDataset shards (*.tar) at {shards}, found {what}")
    unreadable = [str(p) for p in found if not tarfile.is_tarfile(p)]
    if unreadable:
        raise TrainingError(
            f"expected WebDataset shards, found {unreadable[0]}, which is no tar archive"
        )
    return [str(p) for p in found]


def read_document(raw: dict[str, Any]) -> Document:
    """The document from the bytes of a sample's files, by extension; sizes are what it says."""
    key = raw.get("__key__", "?")
    if "json" not in raw:
        raise TrainingError(f"sample {key}: expected {key}.json, found {sorted(raw)}")
    try:
        document = document_from_dict(json.loads(raw["json"]))
    except ValueError as error:
        raise TrainingError(f"sample {key}: {key}.json is not a document: {error}") from error
    return replace(document, id=document.id or key)


def read_sample(raw: dict[str, Any], max_tokens: int = 512) -> Sample:
    """A sample from the bytes of its files, by extension."""
    key, document = raw.get("__key__", "?"), read_document(raw)
    count = sum(1 for _ in document.pictures())
    images = tuple(_image(raw, key, index, count, max_tokens) for index in range(count))
    return Sample(_sized(document, images), images)


def _image(
    raw: dict[str, Any], key: str, index: int, count: int, max_tokens: int
) -> NDArray[np.uint8]:
    name = next((f"{index}.{s}" for s in SUFFIXES if f"{index}.{s}" in raw), None)
    if name is None:
        raise TrainingError(
            f"sample {key}: the document has {count} pictures, expected {key}.{index}.png"
        )
    try:
        with Image.open(io.BytesIO(raw[name])) as image:
            return fit(image.convert("RGBA"), max_tokens)
    except (OSError, Image.DecompressionBombError) as error:
        raise TrainingError(f"sample {key}: {key}.{name} is not readable: {error}") from error


def fit(image: Image.Image, max_tokens: int = 512) -> NDArray[np.uint8]:
    """The picture on the 16-pixel grid with at most `max_tokens` latent tokens."""
    width, height = image.size
    columns, rows = max(1, round(width / GRID)), max(1, round(height / GRID))
    if columns * rows > max_tokens:
        shrink = (max_tokens / (columns * rows)) ** 0.5
        columns, rows = max(1, int(columns * shrink)), max(1, int(rows * shrink))
        columns, rows = min(columns, max_tokens // rows), min(rows, max_tokens)
    size = (columns * GRID, rows * GRID)
    if image.size != size:
        image = image.resize(size, Image.Resampling.LANCZOS)
    return np.array(image, np.uint8)


def _cover(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    if (pixels.shape[1], pixels.shape[0]) == size:
        return pixels
    image = ImageOps.fit(Image.fromarray(pixels), size, Image.Resampling.LANCZOS)
    return np.array(image, np.uint8)


def _sized(document: Document, images: tuple[NDArray[np.uint8], ...]) -> Document:
    """The document with every picture's size taken from its pixels."""
    sizes = iter((image.shape[1], image.shape[0]) for image in images)

    def turn_sized(turn: Turn) -> Turn:
        parts = tuple(replace(p, size=next(sizes)) if isinstance(p, Picture) else p
                      for p in turn.parts)  # fmt: skip
        return replace(turn, parts=parts)

    return replace(document, turns=tuple(turn_sized(t) for t in document.turns))
