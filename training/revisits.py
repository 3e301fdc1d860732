"""Batches that are seen more than once: what frozen models make of them is computed once.

Batches come in blocks; a block is gone through `times` times before the next one is made. Which
batch a step sees follows from the step alone, and from how many processes share the steps. It knows
nothing of what a batch holds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from training.workers import Workers

T = TypeVar("T")


@dataclass(frozen=True)
class Visit:
    """Batch number `source`; `batch` is None where an earlier step has seen it, `last` where no
    later one will."""

    source: int
    batch: Any
    last: bool


class Revisits(Generic[T]):
    """The visits of all steps, and `prepare`'s results for the batches of the present block, of
    `block` batches or the few more that make it as long for each of `workers`."""

    def __init__(
        self, make: Callable[[int], Any], block: int, times: int, workers: Workers | None = None
    ) -> None:
        # Processes take turns at the steps: only so does each come back to its own batches.
        count = (workers or Workers.join()).count
        self.block = -(-block // count) * count
        self.make, self.times = make, times
        self.kept: dict[int, T] = {}

    def __call__(self, step: int) -> Visit:
        cycle, within = divmod(step, self.block * self.times)
        turn, place = divmod(within, self.block)
        source = cycle * self.block + place
        return Visit(source, None if turn else self.make(source), turn + 1 == self.times)

    def prepared(self, visit: Visit, prepare: Callable[[Any], T]) -> T:
        """`prepare` of the visit's batch, kept from its first visit to its last; made again where a
        run was resumed in between."""
        found = self.kept.pop(visit.source, None)
        if found is None:
            found = prepare(self.make(visit.source) if visit.batch is None else visit.batch)
        if not visit.last:
            self.kept[visit.source] = found
        return found
