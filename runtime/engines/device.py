"""What engines on a CUDA device share: staging, residency, and the chain of steps.

Inputs that are on the host are copied into buffers that the engine keeps; keys and values that are
on the device already are used where they are. Keys and values that come out stay on the device, all
else is copied to the host, which then waits for it.

| tensor | on the way in | on the way out |
| --- | --- | --- |
| `past.*`, `planner.*`, `reference.*`, `window.*` | its own address | stays on the device |
| everything else | staged | copied to the host |
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from runtime.engines.base import Array, Arrays, Engine
from runtime.engines.cuda_memory import ALIGNMENT, CudaMemory
from runtime.engines.device_array import DeviceArray, device_array, on_host
from runtime.engines.elements import Element
from runtime.errors import EngineError
from runtime.interfaces import Tensor, is_cache
from runtime.manifest import Component
from runtime.variants import Variant

Bound = dict[str, DeviceArray]
_BYTES = Element("uint8")


class DeviceEngine(Engine):
    """One component on a CUDA device. Backends implement `_launch`."""

    memory: CudaMemory
    chains = True

    def __init__(
        self, name: str, component: Component, variant: Variant, memory: CudaMemory
    ) -> None:
        super().__init__(name, component, variant)
        self.memory = memory
        self.given = tuple(
            t for t in component.outputs if t.name not in {p.present for p in component.state}
        )
        self._staged: Bound = {}
        self._tensors = {t.name: t for t in (*component.inputs, *component.outputs)}

    @abstractmethod
    def _launch(self, bound: Bound, targets: Bound) -> Bound:
        """Queue one run on bound inputs; all outputs but state, those of `targets` in place."""

    def _execute(self, inputs: Arrays, outputs: Arrays) -> dict[str, Array]:
        bound = {name: self.bind(name, array) for name, array in inputs.items()}
        usable = {name: self._usable(name, array) for name, array in outputs.items()}
        targets = {name: array for name, array in usable.items() if array is not None}
        found = self._launch(bound, targets)
        for name in self.state:
            if bound[name] is not device_array(inputs[name]):
                inputs[name][...] = bound[name].numpy()
        result: dict[str, Array] = {}
        for name, array in found.items():
            if name in outputs:
                result[name] = outputs[name]
                if name not in targets:
                    result[name][...] = array.numpy()
            elif is_cache(name):
                result[name] = array.as_array()
            else:
                result[name] = array.numpy()
        return result

    def chain(
        self,
        inputs: Arrays,
        feedback: tuple[str, str],
        steps: Sequence[Arrays],
        before_step: Callable[[], None],
    ) -> Array:
        """The steps one after another on the device; only the last output is copied to the host.

        What changes from step to step is copied there before the first.
        """
        taken, given = feedback
        self.check({**inputs, **steps[0]})
        shared = {n: self.bind(n, a) for n, a in inputs.items() if n not in steps[0]}
        varying = self._stage_steps(steps)
        element = self.elements[given]
        if element != self.elements[taken]:
            raise EngineError(
                f"{self.name}: expected {given!r} to be {self.elements[taken]} as {taken!r} is, "
                f"found {element}; export the bundle again"
            )
        one = self.stage(taken, shared[taken].shape)
        other = self.stage(f"{taken}.next", shared[taken].shape, taken)
        if shared[taken].address != one.address:
            self.memory.copy(shared[taken], one)
        self._launch_chain(shared, varying, (taken, given), (one, other), before_step)
        return (other if len(steps) % 2 else one).numpy()

    def _launch_chain(
        self,
        shared: Bound,
        varying: Sequence[Bound],
        feedback: tuple[str, str],
        pair: tuple[DeviceArray, DeviceArray],
        before_step: Callable[[], None],
    ) -> None:
        """Queue every step; the two arrays of `pair` are read and written in turn."""
        taken, given = feedback
        for index, step in enumerate(varying):
            before_step()
            source, target = pair[index % 2], pair[1 - index % 2]
            found = self._launch({**shared, **step, taken: source}, {given: target})[given]
            if found.address != target.address:
                self.memory.copy(found, target)

    def bind(self, name: str, array: Array) -> DeviceArray:
        """An input on the device: itself, or a copy in the buffer that is kept for it."""
        found = self._usable(name, array)
        if found is not None:
            return found
        staged = self.stage(name, array.shape)
        staged.write(on_host(array))
        return staged

    def stage(self, key: str, shape: Sequence[int], name: str = "") -> DeviceArray:
        """The buffer that is kept under `key` for the tensor `name`, in this shape."""
        tensor = self._tensors[name or key]
        flat, size = self._staged.get(key), math.prod(shape)
        if flat is None or flat.size < size:
            wanted = max(size, self._largest(tensor), 1)
            flat = self.memory.empty((wanted,), self.elements[tensor.name])
            self._staged[key] = flat
        return DeviceArray(self.memory, shape, flat.element, flat.address, flat.owner)

    def _largest(self, tensor: Tensor) -> int:
        """Elements of a tensor at the greatest sizes the engine was made for; 0 if unknown."""
        size = 1
        for extent in tensor.shape:
            most = extent if isinstance(extent, int) else self.size_range(extent)[1]
            if most is None:
                return 0
            size *= most
        return size

    def _usable(self, name: str, array: Array) -> DeviceArray | None:
        """The array where it is on this device and stored as this engine stores it."""
        found = device_array(array)
        if found is None or found.memory is not self.memory:
            return None
        return found if found.element == self.elements[name] else None

    def _stage_steps(self, steps: Sequence[Arrays]) -> list[Bound]:
        """The arrays of all steps, in one buffer that is filled by one copy."""
        places: list[tuple[int, str, int, Array]] = []
        end = 0
        for index, step in enumerate(steps):
            for name, array in step.items():
                stored = self.elements[name].encode(array)
                places.append((index, name, end, stored))
                end += -(-max(stored.nbytes, 1) // ALIGNMENT) * ALIGNMENT
        packed = np.zeros(end, np.uint8)
        for _, _, start, stored in places:
            packed[start : start + stored.nbytes] = stored.reshape(-1).view(np.uint8)
        flat = self._staged.get("steps")
        if flat is None or flat.nbytes < end:
            flat = self._staged["steps"] = self.memory.block([((end,), _BYTES)])[0]
        self.memory.write(flat.address, packed)
        found: list[Bound] = [{} for _ in steps]
        for index, name, start, stored in places:
            found[index][name] = DeviceArray(
                self.memory, stored.shape, self.elements[name], flat.address + start, flat.owner
            )
        return found


def addresses(*groups: Mapping[str, DeviceArray]) -> tuple[tuple[str, tuple[int, ...], int], ...]:
    """Names, shapes and addresses: what a captured graph holds on to."""
    return tuple((n, a.shape, a.address) for group in groups for n, a in sorted(group.items()))
