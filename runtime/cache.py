"""The planner's KV memory: allocated once, seen through a window that fits what is in it.

Attention costs time for every slot it is given, used or not. So the buffers are as large as the
session may ever need, and the engine gets the smallest multiple of `CACHE_STEP` slots that holds
the sequence. The number of slots depends on the sequence's length alone, so results do not depend
on what the session held before. The buffers stand where the planner's engine runs.

| name | shape | dtype |
| --- | --- | --- |
| `views["past.k.0"]`, … | [1, KV, slots, D], contiguous | the engine's, float32 on the CPU |
"""

from __future__ import annotations

from runtime.engines.base import Array
from runtime.engines.elements import Element
from runtime.engines.memory import FLOAT32, HOST, Memory
from runtime.interfaces import CACHE_STEP, CacheGeometry, cache_names


class PlannerCache:
    """K and V of every layer; rows are slots, one per token.

    `memory` and `element` are where and as what the engine that writes them wants them;
    `least_slots` is the smallest number of slots it takes.
    """

    def __init__(
        self,
        geometry: CacheGeometry,
        capacity: int,
        memory: Memory = HOST,
        element: Element = FLOAT32,
        least_slots: int = 0,
    ) -> None:
        self._heads, self._dim = geometry.kv_heads, geometry.head_dim
        self._memory = memory
        self._least = least_slots
        self._most = max(capacity, least_slots)
        count = self._heads * self._most * self._dim
        self._flat: dict[str, Array] = {
            name: memory.zeros((count,), element) for name in cache_names("past", geometry.layers)
        }
        self.capacity = capacity
        self.views: dict[str, Array] = {}
        self.fit(1, 0)

    @property
    def slots(self) -> int:
        """How many slots are shown."""
        return next((view.shape[2] for view in self.views.values()), 0)

    def fit(self, end: int, kept: int) -> None:
        """Show the slots that a sequence of `end` tokens needs; the first `kept` keep their K/V.

        An exception on the way, such as Ctrl-C, leaves no row that may be used.
        """
        slots = max(self._least, min(self._most, -(-end // CACHE_STEP) * CACHE_STEP))
        if slots == self.slots:
            return
        old, shape = self.views, (1, self._heads, slots, self._dim)
        self.views = {n: self._memory.prefix(flat, shape) for n, flat in self._flat.items()}
        for name, view in self.views.items():
            if kept:
                self._memory.move_rows(old[name], view, kept)
