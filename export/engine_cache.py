"""Engines kept between exports, found by a digest of everything they were made from.

An entry is the engine and, beside it, the engine's own digest; one that does not match is built
again. A file's name or age never counts.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from runtime.bundle import File, Profile

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Key:
    """What an engine is made from: graph and weights by content, shapes, precision, compute
    capability, target and versions."""

    target: str
    version: str
    exporter: str
    precision: str
    capability: str
    files: tuple[File, ...]
    profiles: tuple[Profile, ...]
    plugin: str = ""

    def digest(self) -> str:
        """sha256; the files' names do not count."""
        data = asdict(self)
        data["files"] = [[file.size, file.sha256] for file in self.files]
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


class EngineCache:
    """A folder of engines; `folder` None keeps nothing."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def get(self, key: Key) -> bytes | None:
        """The kept engine, None where there is none or it is damaged."""
        if self._folder is None:
            return None
        path = self._folder / f"{key.digest()}.engine"
        try:
            data = path.read_bytes()
            expected = path.with_suffix(".sha256").read_text(encoding="ascii").strip()
        except OSError:
            return None
        if hashlib.sha256(data).hexdigest() != expected:
            logger.warning("%s: damaged, built again", path)
            return None
        return data

    def put(self, key: Key, engine: bytes) -> None:
        """Keeps an engine; a cache that cannot be written is no error."""
        if self._folder is None:
            return
        path = self._folder / f"{key.digest()}.engine"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            digest = hashlib.sha256(engine).hexdigest().encode("ascii")
            for target, data in ((path, engine), (path.with_suffix(".sha256"), digest)):
                pending = target.with_suffix(f"{target.suffix}.{os.getpid()}")
                pending.write_bytes(data)
                os.replace(pending, target)
        except OSError as error:
            logger.warning("%s: engine not kept: %s", path, error)
