"""An engine for the shapes it was made for, and the CPU's for the rest.

Compiled engines take the shapes of their profiles. What lies outside, a very wide picture or a long
window, is run by the component's CPU variant, which is opened when that first happens.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from runtime.engines.base import Array, Arrays, Engine
from runtime.engines.device_array import on_host

logger = logging.getLogger(__name__)


class CoveringEngine(Engine):
    """Two engines of one component; keys and values live with the first."""

    def __init__(self, first: Engine, open_rest: Callable[[], Engine]) -> None:
        super().__init__(first.name, first.component, first.variant)
        self.first = first
        self.memory = first.memory
        self.chains = first.chains
        self._open_rest = open_rest
        self._rest: Engine | None = None

    def size_range(self, size: str) -> tuple[int, int | None]:
        return self.first.size_range(size)

    def chain(
        self,
        inputs: Arrays,
        feedback: tuple[str, str],
        steps: Sequence[Arrays],
        before_step: Callable[[], None],
    ) -> Array:
        engine = self._engine({**inputs, **steps[0]})
        if engine is not self.first:
            inputs = {name: on_host(array) for name, array in inputs.items()}
        return engine.chain(inputs, feedback, steps, before_step)

    def run(self, inputs: Arrays, outputs: Arrays | None = None) -> dict[str, Array]:
        return self._engine(inputs).run(inputs, outputs)

    def _execute(self, inputs: Arrays, outputs: Arrays) -> dict[str, Array]:
        return self._engine(inputs).run(inputs, outputs)

    def _engine(self, inputs: Arrays) -> Engine:
        sizes = self.check(inputs)
        if self.first.covers(sizes):
            return self.first
        logger.info("%s: %s is outside the engine's profiles, runs on the CPU", self.name, sizes)
        if self._rest is None:
            self._rest = self._open_rest()
        return self._rest
