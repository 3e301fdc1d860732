"""Captured work by key: done plainly the first time, captured when it comes again, then replayed.

A key names everything that a graph holds on to: shapes and addresses. Most work comes once (every
dense prompt has another length) and is never captured; a token's step comes again and again.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable

from runtime.engines.cuda_memory import CudaMemory, Graph
from runtime.errors import EngineError

logger = logging.getLogger(__name__)

GRAPHS = 16
SEEN = 256
Work = Callable[[], None]


class Graphs:
    """The graphs of one engine, the least recently used dropped first."""

    def __init__(self, memory: CudaMemory, what: str) -> None:
        self._memory = memory
        self._what = what
        self._seen: OrderedDict[Hashable, None] = OrderedDict()
        self._graphs: OrderedDict[Hashable, tuple[Graph, object]] = OrderedDict()
        self._refused: set[Hashable] = set()

    def __len__(self) -> int:
        return len(self._graphs)

    def run(
        self,
        key: Hashable,
        prepare: Callable[[bool], tuple[Work, object]],
        ready: Callable[[], bool] = lambda: True,
    ) -> None:
        """Have the work done; `prepare(captured)` returns what queues it, and what must live as
        long as a graph of it. It is captured no sooner than `ready()`.

        The arrays of the call need not: a graph is launched only for a call with its addresses.
        Work that will be captured is run once before, since an engine settles its own state in the
        first run after a change of shapes.
        """
        if key in self._graphs:
            self._graphs.move_to_end(key)
            self._graphs[key][0].launch()
            return
        captured = key in self._seen and ready()
        work, kept = prepare(captured)
        work()
        if captured:
            del self._seen[key]
            self._capture(key, work, kept)
        elif key not in self._refused:
            self._seen[key] = None
            if len(self._seen) > SEEN:
                self._seen.popitem(last=False)

    def _capture(self, key: Hashable, work: Work, kept: object) -> None:
        try:
            graph = self._memory.capture(work)
        except EngineError as error:
            logger.debug("%s: runs without a graph: %s", self._what, error)
            self._refused.add(key)
            return
        self._graphs[key] = graph, kept
        if len(self._graphs) > GRAPHS:
            self._graphs.popitem(last=False)
