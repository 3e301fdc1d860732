"""What an engine is: typed arrays in, typed arrays out, state updated in place.

Every engine checks its inputs against the component's interface before it runs: a missing, unknown,
mistyped or misshapen input is an error, never a silent default. Backends implement `_execute`.

Arrays are numpy's, or `DeviceArray`s that stand for them: keys and values stay where the engine
that wrote them left them, everything else comes back to the host. An engine takes both and moves
what is elsewhere.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.engines.choice import Choice, DeviceReport
from runtime.engines.elements import FLOAT8, Element
from runtime.engines.memory import HOST, Memory
from runtime.errors import EngineError
from runtime.interfaces import Tensor, is_cache
from runtime.manifest import Component
from runtime.variants import Variant

Array = NDArray[Any]
Arrays = Mapping[str, Array]
Sizes = dict[str, int]


class Engine(ABC):
    """One component, ready to run.

    Arrays are C-contiguous. The arrays of a component's state are read and written in place: after
    `run` they hold the new state, and they are not among the outputs. A run keeps no reference to
    its inputs, and what it returns belongs to the caller.

    `memory` is where keys and values should live for this engine and `elements` how it stores each
    tensor; `chains` says that `chain` is better than a loop of `run`.
    """

    memory: Memory = HOST
    chains = False

    def __init__(self, name: str, component: Component, variant: Variant | None = None) -> None:
        self.name = name
        self.component = component
        self.variant = variant
        self.state = {pair.past: pair.present for pair in component.state}
        self._inputs = {tensor.name: tensor for tensor in component.inputs}
        self.elements = _elements(component, variant)

    def size_range(self, size: str) -> tuple[int, int | None]:
        """The least and the greatest value of a free size that this engine takes."""
        profiles = self.variant.profiles if self.variant else ()
        found = [p.sizes[size] for p in profiles if size in p.sizes]
        if not found:
            return 0, None
        return min(low for low, _, _ in found), max(high for _, _, high in found)

    def covers(self, sizes: Sizes) -> bool:
        """Whether this engine takes inputs with these free sizes."""
        profiles = self.variant.profiles if self.variant else ()
        return not profiles or any(profile.covers(sizes) for profile in profiles)

    def run(self, inputs: Arrays, outputs: Arrays | None = None) -> dict[str, Array]:
        """Run once.

        `outputs` may give arrays to write results into, of exactly the shape they will have; the
        same arrays are returned. Raises `EngineError`.
        """
        self.check(inputs)
        return self._execute(inputs, outputs or {})

    def chain(
        self,
        inputs: Arrays,
        feedback: tuple[str, str],
        steps: Sequence[Arrays],
        before_step: Callable[[], None],
    ) -> Array:
        """Run once per entry of `steps`, whose arrays join the inputs, all of the same shapes.

        `feedback` names an input and the output that takes its place in the next run; the last
        one is returned, on the host. `before_step` may raise to stop.
        """
        taken, given = feedback
        current = inputs[taken]
        for step in steps:
            before_step()
            current = self.run({**inputs, **step, taken: current})[given]
        return current

    @abstractmethod
    def _execute(self, inputs: Arrays, outputs: Arrays) -> dict[str, Array]:
        """Run on inputs that were checked."""

    def check(self, inputs: Arrays) -> Sizes:
        """The free sizes of inputs that fit the interface; raises `EngineError`."""
        missing = sorted(self._inputs.keys() - inputs.keys())
        unknown = sorted(inputs.keys() - self._inputs.keys())
        if missing or unknown:
            raise EngineError(f"{self.name}: missing inputs {missing}, unknown inputs {unknown}")
        sizes: Sizes = {}
        for name, array in inputs.items():
            tensor = self._inputs[name]
            fits = self._typed(tensor, array) and array.ndim == len(tensor.shape)
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
        return sizes

    def _typed(self, tensor: Tensor, array: Array) -> bool:
        """Keys and values may come from an engine that stores them as other floats."""
        if array.dtype == np.dtype(tensor.dtype):
            return True
        return is_cache(tensor.name) and array.dtype in (np.float16, np.float32)


def _elements(component: Component, variant: Variant | None) -> dict[str, Element]:
    tensors = (*component.inputs, *component.outputs)
    if variant is not None:
        tensors = (*variant.tensors(component.inputs), *variant.tensors(component.outputs))
    scale = variant.kv_scale if variant is not None else 1.0
    return {t.name: Element(t.dtype, scale if t.dtype == FLOAT8 else 1.0) for t in tensors}


class Engines:
    """The components of a bundle, each opened when it is first used.

    `chained` False has every engine run step by step.
    """

    def __init__(
        self,
        names: tuple[str, ...],
        open_one: Callable[[str], Engine],
        report: DeviceReport | None = None,
    ) -> None:
        self._names = names
        self._open = open_one
        self._ready: dict[str, Engine] = {}
        self._lock = threading.Lock()
        self.chained = True
        self.report = report or DeviceReport("cpu", "", {})

    def __getitem__(self, name: str) -> Engine:
        with self._lock:
            if name not in self._ready:
                if name not in self._names:
                    raise EngineError(f"expected one of {self._names}, found component {name!r}")
                self._ready[name] = self._open(name)
                self._ready[name].chains &= self.chained
            return self._ready[name]

    def on_device(self, name: str) -> bool:
        """Whether a component's keys and values live on a device; opens it only to make sure."""
        choice: Choice | None = self.report.choices.get(name)
        return choice is not None and choice.on_device and self[name].memory.on_device

    def open_all(self) -> None:
        """Open every component now, so that no later request waits for it."""
        for name in self._names:
            self[name]
