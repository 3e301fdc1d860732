"""The planner's KV memory: allocated once, seen through a window that fits what is in it.

Attention costs time for every slot it is given, used or not. So the buffers are as large as the
session may ever need, and the engine gets the smallest multiple of `STEP` slots that holds the
sequence. The number of slots depends on the sequence's length alone, so results do not depend on
what the session held before.

| name | shape | dtype |
| --- | --- | --- |
| `views["past.k.0"]`, … | [1, KV, slots, D], contiguous | float32 |
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runtime.engines.base import Array
from runtime.interfaces import CacheGeometry, cache_names

STEP = 256


class PlannerCache:
    """K and V of every layer; rows are slots, one per token."""

    def __init__(self, geometry: CacheGeometry, capacity: int) -> None:
        self._heads, self._dim = geometry.kv_heads, geometry.head_dim
        count = self._heads * capacity * self._dim
        self._flat: dict[str, NDArray[np.float32]] = {
            name: np.zeros(count, np.float32) for name in cache_names("past", geometry.layers)
        }
        self.capacity = capacity
        self.slots = 0
        self.views: dict[str, Array] = {}
        self.fit(1, 0)

    def fit(self, end: int, kept: int) -> None:
        """Show the slots that a sequence of `end` tokens needs; the first `kept` keep their K/V."""
        slots = min(self.capacity, -(-end // STEP) * STEP)
        if slots == self.slots:
            return
        old, self.slots = self.views, slots
        self.views = {name: self._view(flat, slots) for name, flat in self._flat.items()}
        for name, view in self.views.items():
            if kept:
                # Heads overlap in memory: what moves is copied out first.
                view[:, :, :kept] = old[name][:, :, :kept].copy()

    def _view(self, flat: Array, slots: int) -> Array:
        rows = flat[: self._heads * slots * self._dim]
        return rows.reshape(1, self._heads, slots, self._dim)
