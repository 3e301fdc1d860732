"""The planner's loop: tokens in, logits out, KV in place.

A `Planner` belongs to one session. It remembers every token with its position (and the vision
features of pictures), feeds the engine what it has not seen, and can go back to any earlier length.
It does not know the token format.

| name | shape | dtype | meaning |
| --- | --- | --- | --- |
| `cache["past.k.0"]`, … | [1, KV, slots, D] | the engine's | one row per token, written in place |
| `tokens` | [C] | int64 | ids; the first `length` are valid |
| `positions` | [C, 3] | float32 | (t, h, w) of each token |
| `logits()` | [V] | float32 | after the last token |
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runtime.cache import PlannerCache
from runtime.engines.base import Array, Engine
from runtime.errors import CapacityError
from runtime.interfaces import CHUNK, CacheGeometry


class Planner:
    """The token sequence of a session and its KV cache.

    Invariant: the slots below `written` hold the K/V of exactly the first `written` tokens.
    """

    def __init__(
        self, engine: Engine, geometry: CacheGeometry, capacity: int, reuse: bool = True
    ) -> None:
        least, _ = engine.size_range("C")
        element = engine.elements["past.k.0"]
        self._cache = PlannerCache(geometry, capacity, engine.memory, element, least)
        self._chunk_size = min(CHUNK, engine.size_range("S")[1] or CHUNK)
        self.tokens = np.zeros(capacity, np.int64)
        self.positions = np.zeros((capacity, 3), np.float32)
        self.features: dict[int, NDArray[np.float32]] = {}
        self.length = 0
        self.written = 0
        self._engine = engine
        self._width = geometry.width
        self._reuse = reuse

    @property
    def cache(self) -> dict[str, Array]:
        """The K/V buffers as they are now; valid until the sequence changes."""
        return self._cache.views

    @property
    def capacity(self) -> int:
        """The most tokens that the cache holds."""
        return len(self.tokens)

    @property
    def room(self) -> int:
        """How many more tokens fit."""
        return self.capacity - self.length

    def append(
        self,
        tokens: list[int],
        positions: NDArray[np.float32],
        features: NDArray[np.float32] | None = None,
    ) -> int:
        """Queue tokens with positions [n, 3] and, for a picture, features [n, W]; their slot."""
        start, end = self.length, self.length + len(tokens)
        if end > self.capacity:
            raise CapacityError(
                f"the planner's cache holds {self.capacity} tokens, {end} are needed; load the "
                "bundle with a larger max_tokens"
            )
        self.tokens[start:end] = tokens
        self.positions[start:end] = positions
        if features is not None:
            self.features[start] = features
        self.length = end
        return start

    def logits(self) -> NDArray[np.float32]:
        """Run over what is queued (at least one token); logits [V] after the last token."""
        if not self._reuse:
            self.written = 0
        return self._run(self.length)

    def ensure(self, end: int) -> None:
        """Have the K/V of the first `end` tokens in the cache."""
        if self.written < end:
            self._run(self.length)

    def rewind(self, length: int) -> None:
        """Forget all tokens from `length` on."""
        self.length = length
        self.written = min(self.written, length)
        self.features = {s: f for s, f in self.features.items() if s < length}

    def restore(self, length: int, written: int) -> None:
        """Be `length` tokens long, the first `written` of which have rows in `cache`, ready to be
        filled in."""
        self.length, self.written = length, written
        self._cache.fit(max(written, 1), 0)

    def _run(self, end: int) -> NDArray[np.float32]:
        logits: Array = np.zeros((1, 0), np.float32)
        while self.written < end:
            stop = min(end, self.written + self._chunk_size)
            # Nothing counts as written while rows move: Ctrl-C may leave them halfway.
            kept, self.written = self.written, 0
            self._cache.fit(stop, kept)
            self.written = kept
            logits = self._chunk(self.written, stop)
            self.written = stop
        return np.asarray(logits[0], np.float32)

    def _chunk(self, start: int, stop: int) -> Array:
        features = np.zeros((1, stop - start, self._width), np.float32)
        for first, block in self.features.items():
            low, high = max(first, start), min(first + len(block), stop)
            if low < high:
                features[0, low - start : high - start] = block[low - first : high - first]
        inputs: dict[str, Array] = {
            "tokens": self.tokens[None, start:stop],
            "features": features,
            "positions": self.positions[start:stop],
            "offset": np.array([start], np.int64),
            **self._cache.views,
        }
        return self._engine.run(inputs)["logits"]
