"""Reads pictures in several processes and remembers what was read.

A reading depends on the pixels and the storyworld's code alone, so it is kept in the user's cache
folder under the digests of both; where that folder cannot be written, pictures are read again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import multiprocessing
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import training.storyworld.scene
from training.storyworld.reader import ReadCharacter, Reading, ReadMarkings, read
from training.storyworld.scene import Accessory, Markings, Prop, Swatch

logger = logging.getLogger(__name__)

Pixels = NDArray[np.uint8]
Read = Callable[[Sequence[Pixels | None]], list[Reading | None]]


def read_picture(pixels: Pixels) -> Reading:
    """What the reader sees in one picture, uint8 [H, W, 4]."""
    return read(pixels)


def reading_from_dict(data: dict[str, Any]) -> Reading:
    """The inverse of `dataclasses.asdict`."""
    return Reading(
        **{
            **data,
            "size": tuple(data["size"]),
            "characters": tuple(map(_character_from_dict, data["characters"])),
            "props": tuple(Prop(**p) for p in data["props"]),
            "palette": tuple(Swatch(**p) for p in data["palette"]),
        }
    )


def _character_from_dict(data: dict[str, Any]) -> ReadCharacter:
    found = data["markings"]
    if found is not None:
        markings = Markings(**found["markings"])
        found = ReadMarkings(markings, tuple(found["color"]), found["confidence"])
    worn = data["accessory"] and Accessory(**data["accessory"])
    return ReadCharacter(
        **{**data, "coat": tuple(data["coat"]), "accessory": worn, "markings": found}
    )


def _code_digest() -> str:
    """Of the storyworld's source."""
    world = Path(str(training.storyworld.scene.__file__)).parent
    digest = hashlib.sha256()
    for path in sorted(world.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def cache_folder() -> Path:
    """Where readings by this version of the reader are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "weft" / "readings" / _code_digest()


class Readings:
    """Calling it reads pictures, in order; None (nothing drawn) stays None.

    The processes live until `close`, since a reader is slow only at first.
    """

    def __init__(self, jobs: int, folder: Path | None, say: Callable[[str], None]) -> None:
        self._jobs, self._folder, self._say = max(1, jobs), folder, say
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Readings:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def __call__(self, pictures: Sequence[Pixels | None]) -> list[Reading | None]:
        found: dict[str, Reading] = {}
        keys = [None if p is None else _key(p) for p in pictures]
        todo: dict[str, Pixels] = {}
        for key, pixels in zip(keys, pictures, strict=True):
            if key is None or pixels is None or key in found or key in todo:
                continue
            known = self._recall(key)
            if known is None:
                todo[key] = pixels
            else:
                found[key] = known
        results = self._read(list(todo.values()))
        for number, (key, reading) in enumerate(zip(todo, results, strict=True), 1):
            found[key] = self._keep(key, reading)
            self._say(f"reading {number}/{len(todo)}")
        return [None if key is None else found[key] for key in keys]

    def _read(self, pictures: Sequence[Pixels]) -> Iterable[Reading]:
        if self._jobs == 1 or not pictures:
            return map(read_picture, pictures)
        if self._pool is None:
            # Engines of this process hold threads and locks that must not be forked.
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._jobs, context)
        return self._pool.map(read_picture, pictures)

    def _recall(self, key: str) -> Reading | None:
        if self._folder is None:
            return None
        path = self._folder / f"{key}.json"
        try:
            return reading_from_dict(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError) as error:
            logger.debug("cannot use %s: %s", path, error)
            return None

    def _keep(self, key: str, reading: Reading) -> Reading:
        if self._folder is None:
            return reading
        path = self._folder / f"{key}.json"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            pending = path.with_suffix(f".{os.getpid()}")
            pending.write_text(json.dumps(asdict(reading)), encoding="utf-8")
            os.replace(pending, path)
        except OSError as error:
            logger.debug("cannot keep %s: %s", path, error)
        return reading


def _key(pixels: Pixels) -> str:
    digest = hashlib.sha256(str(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()[:32]
