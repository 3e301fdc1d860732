"""What is known about pictures, by content: reference K/V, latents and ViT features.

Each is a function of the picture alone (rule 3), so it is keyed by a content hash and kept for
later images and documents in one least-recently-used store bounded in bytes. Drawn latents and
given pixels have separate key spaces: a drawn picture is committed as the latent it was drawn as.

| name | shape | dtype |
| --- | --- | --- |
| `kv(picture)["reference.k.0"]`, … | [1, KV, T, D] | float32 |
| `features(pixels)` | [n, W] | float32 |
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from runtime.engines.base import Array, Engines
from runtime.history import PlacedPicture
from runtime.pixels import encode
from runtime.positions import latent_positions

Key = tuple[str, str, str]
Entry = dict[str, Array]
A = TypeVar("A", bound=np.generic)


@dataclass
class CacheCounts:
    """Look-ups since the store was made."""

    hits: int = 0
    misses: int = 0


def content_key(space: str, array: NDArray[A]) -> str:
    """A hash of an array's kind, shape and bytes."""
    digest = hashlib.sha256(f"{space} {array.dtype} {array.shape}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


class References:
    """The store. Not thread-safe: the runtime's lock guards it."""

    def __init__(self, engines: Engines, limit_bytes: int, reuse: bool = True) -> None:
        self.counts = CacheCounts()
        self.bytes = 0
        self.limit_bytes = limit_bytes if reuse else 0
        self._engines = engines
        self._entries: OrderedDict[Key, Entry] = OrderedDict()

    def kv(self, picture: PlacedPicture) -> Entry:
        """The picture's clean-token K/V of every layer (the commit pass)."""
        if picture.latent is not None:
            key = ("kv", "latent", content_key("latent", picture.latent))
        else:
            assert picture.pixels is not None
            key = ("kv", "pixels", content_key("pixels", picture.pixels))

        def commit() -> Entry:
            latent = picture.latent if picture.latent is not None else self._latent(picture)
            inputs = {"latent": latent, "positions": latent_positions(picture.grid)}
            return self._engines["commit"].run(inputs)

        return self._get(key, commit)

    def features(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The planner's view of a picture."""
        key = ("features", "pixels", content_key("pixels", pixels))
        return self._get(key, lambda: self._engines["vision"].run({"image": pixels}))["features"]

    def clear(self) -> None:
        """Forgets everything."""
        self._entries.clear()
        self.bytes = 0

    def _latent(self, picture: PlacedPicture) -> NDArray[np.float32]:
        assert picture.pixels is not None
        return encode(self._engines["vae_encode"], picture.pixels)

    def _get(self, key: Key, make: Callable[[], Entry]) -> Entry:
        if key in self._entries:
            self.counts.hits += 1
            self._entries.move_to_end(key)
            return self._entries[key]
        self.counts.misses += 1
        entry = make()
        size = _size(entry)
        if size <= self.limit_bytes:
            # Counted anew: Ctrl-C between two of these lines would be in a running sum for good.
            self.bytes = sum(map(_size, self._entries.values()))
            while self.bytes + size > self.limit_bytes:
                _, old = self._entries.popitem(last=False)
                self.bytes -= _size(old)
            for array in entry.values():
                array.flags.writeable = False
            self._entries[key] = entry
            self.bytes += size
        return entry


def _size(entry: Entry) -> int:
    return sum(array.nbytes for array in entry.values())
