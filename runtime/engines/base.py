"""What an engine is: typed arrays in, typed arrays out, state updated in place.

Every engine checks its inputs against the component's interface before it runs: a missing, unknown,
mistyped or misshapen input is an error, never a silent default. Backends implement `_execute`.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.errors import EngineError
from runtime.manifest import Component

Array = NDArray[Any]
Arrays = Mapping[str, Array]


class Engine(ABC):
    """One component, ready to run.

    Arrays are C-contiguous and live on the host. The arrays of a component's state are read and
    written in place: after `run` they hold the new state, and they are not among the outputs.
    A run keeps no reference to its inputs, and what it returns belongs to the caller.
    """

    def __init__(self, name: str, component: Component) -> None:
        self.name = name
        self.component = component
        self.state = {pair.past: pair.present for pair in component.state}
        self._inputs = {tensor.name: tensor for tensor in component.inputs}

    def run(self, inputs: Arrays, outputs: Arrays | None = None) -> dict[str, Array]:
        """Run once.

        `outputs` may give arrays to write results into, of exactly the shape they will have; the
        same arrays are returned. Raises `EngineError`.
        """
        self._check(inputs)
        return self._execute(inputs, outputs or {})

    @abstractmethod
    def _execute(self, inputs: Arrays, outputs: Arrays) -> dict[str, Array]:
        """Run on inputs that were checked."""

    def _check(self, inputs: Arrays) -> None:
        missing = sorted(self._inputs.keys() - inputs.keys())
        unknown = sorted(inputs.keys() - self._inputs.keys())
        if missing or unknown:
            raise EngineError(f"{self.name}: missing inputs {missing}, unknown inputs {unknown}")
        sizes: dict[str, int] = {}
        for name, array in inputs.items():
            tensor = self._inputs[name]
            fits = array.dtype == np.dtype(tensor.dtype) and array.ndim == len(tensor.shape)
            if fits:
                for wanted, found in zip(tensor.shape, array.shape, strict=True):
                    if isinstance(wanted, str):
                        wanted = sizes.setdefault(wanted, found)
                    fits = fits and wanted == found
            if not fits:
                raise EngineError(
                    f"{self.name}: input {name!r}: expected {tensor.dtype} {list(tensor.shape)} "
                    f"with {sizes}, found {array.dtype} {list(array.shape)}"
                )
            if not array.flags.c_contiguous:
                raise EngineError(f"{self.name}: input {name!r}: expected a contiguous array")


class Engines:
    """The components of a bundle, each opened when it is first used."""

    def __init__(self, names: tuple[str, ...], open_one: Callable[[str], Engine]) -> None:
        self._names = names
        self._open = open_one
        self._ready: dict[str, Engine] = {}
        self._lock = threading.Lock()

    def __getitem__(self, name: str) -> Engine:
        with self._lock:
            if name not in self._ready:
                if name not in self._names:
                    raise EngineError(f"expected one of {self._names}, found component {name!r}")
                self._ready[name] = self._open(name)
            return self._ready[name]

    def open_all(self) -> None:
        """Open every component now, so that no later request waits for it."""
        for name in self._names:
            self[name]
