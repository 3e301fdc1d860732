"""Writes documents of the storyworld as WebDataset shards: the body of `weft data build`.

A shard is a tar of samples: `{id}.json` is the document, `{id}.{k}.png` its k-th picture (RGBA,
given and drawn ones counted together, from 0). The same configuration writes the same bytes,
whatever the number of workers. It knows nothing of tokens and models.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import webdataset as wds
from numpy.typing import NDArray
from PIL import Image

from training.errors import TrainingError
from training.storyworld.documents import MAKERS, Document, sample_document
from training.storyworld.render import render


@dataclass(frozen=True)
class BuildConfig:
    """What to write. `tasks` is empty for the usual mixture; else tasks are taken in turn."""

    out: Path
    count: int = 1000
    seed: int = 0
    shard_size: int = 500
    held_out: bool = False
    tasks: tuple[str, ...] = ()
    workers: int = 1

    def __post_init__(self) -> None:
        for name in ("count", "shard_size", "workers"):
            if getattr(self, name) < 1:
                raise TrainingError(f"{name} is {getattr(self, name)}, expected at least 1")
        for task in self.tasks:
            if task not in MAKERS:
                raise TrainingError(f"task is {task!r}, expected one of {', '.join(MAKERS)}")


def build(config: BuildConfig) -> list[Path]:
    """Write all shards and return their paths, in order; a folder that holds some is refused, for
    they may be one's own."""
    try:
        config.out.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise TrainingError(
            f"{config.out}: expected a folder for the shards, found a file; choose another path"
        ) from error
    if found := sorted(path.name for path in config.out.glob("*.tar")):
        raise TrainingError(
            f"{config.out}: expected a folder without shards, found {len(found)}, such as "
            f"{found[0]}; choose another folder, or remove them"
        )
    shards = -(-config.count // config.shard_size)
    jobs = range(shards)
    if config.workers == 1:
        return _collect(map(_ShardWriter(config), jobs), shards)
    with ProcessPoolExecutor(config.workers) as pool:
        return _collect(pool.map(_ShardWriter(config), jobs), shards)


def _collect(written: Iterable[Path], total: int) -> list[Path]:
    paths = []
    show = sys.stderr.isatty()
    for path in written:
        paths.append(path)
        if show:
            print(f"\r{len(paths)}/{total} shards", end="", file=sys.stderr, flush=True)
    if show:
        print(file=sys.stderr)
    return paths


@dataclass(frozen=True)
class _ShardWriter:
    """Writes shard `index`; a class because worker processes must be able to receive it."""

    config: BuildConfig

    def __call__(self, index: int) -> Path:
        config = self.config
        path = config.out / f"shard-{index:06d}.tar"
        first = index * config.shard_size
        count = min(config.shard_size, config.count - first)
        rng = np.random.default_rng([config.seed, index])
        partial = path.with_suffix(".partial")
        with partial.open("wb") as stream, wds.TarWriter(stream, mtime=0) as tar:
            for number in range(first, first + count):
                task = config.tasks[number % len(config.tasks)] if config.tasks else None
                document = sample_document(rng, task, config.held_out)
                tar.write(encode_sample(document, f"{document.id}-{number:08d}", render_picture))
        partial.replace(path)
        return path


def render_picture(document: Document, index: int) -> NDArray[np.uint8]:
    """The pixels of the document's picture `index`."""
    picture = list(document.pictures())[index]
    if picture.scene is None:
        raise TrainingError(f"document {document.id}: picture {index} has no scene to render")
    return render(picture.scene)


def encode_sample(
    document: Document, key: str, pixels: Callable[[Document, int], NDArray[np.uint8]]
) -> dict[str, str | bytes]:
    """One sample for a `wds.TarWriter`; `pixels` gives uint8 [H, W, 4] of a picture."""
    sample: dict[str, str | bytes] = {
        "__key__": key,
        "json": json.dumps(document.to_dict(), separators=(",", ":")).encode(),
    }
    for index, _ in enumerate(document.pictures()):
        stream = io.BytesIO()
        Image.fromarray(pixels(document, index), "RGBA").save(stream, "PNG")
        sample[f"{index}.png"] = stream.getvalue()
    return sample
