"""TensorRT engines, run directly: `tensorrt-rtx` and `tensorrt` through one class.

A context is made for a profile when it is first needed; a captured graph has a context of its own,
because a graph holds on to the context's state. All contexts of an engine share one scratch
allocation, since their work is queued on one stream.

| step | on |
| --- | --- |
| choose a profile for the shapes | host |
| set shapes and addresses, queue | host; nothing waits |
| the K denoise steps | one stream, or one graph once the same shapes come again |
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from runtime.bundle import Bundle, Variant
from runtime.engines.base import Array
from runtime.engines.cuda_memory import CudaMemory
from runtime.engines.device import Bound, DeviceEngine, addresses
from runtime.engines.device_array import DeviceArray, on_host
from runtime.engines.graphs import Graphs, Work
from runtime.engines.kernel_cache import KernelCache
from runtime.engines.shape_profiles import ProfileShapes, Shape, choose_profile
from runtime.engines.tensorrt_library import Library
from runtime.errors import EngineError
from runtime.interfaces import is_cache
from runtime.variants import PLUGIN

logger = logging.getLogger(__name__)

# Shapes of calls whose outputs' shapes are remembered.
SHAPES = 256


class TensorRTEngine(DeviceEngine):
    """One serialized engine."""

    def __init__(
        self, bundle: Bundle, name: str, variant: Variant, memory: CudaMemory, library: Library
    ) -> None:
        component = bundle.manifest.components[name]
        super().__init__(name, component, variant, memory)
        self._library = library
        self._path = bundle.path(variant.files[0])
        started = time.perf_counter()
        self._engine = library.load(self._path, variant.requires.get(PLUGIN, ""))
        self._check_signature()
        self._profiles = self._read_profiles()
        host = library.module.TensorLocation.HOST
        locations = {t.name: self._engine.get_tensor_location(t.name) for t in component.inputs}
        # Values that shapes are computed from stay on the host, so their runs are never captured.
        self._on_host = frozenset(n for n, where in locations.items() if where == host)
        self._kernels = KernelCache(self._engine, library, variant)
        self._scratch = memory.allocate(int(self._engine.device_memory_size_v2))
        self._contexts: dict[int, Any] = {}
        self._shapes: dict[object, dict[str, Shape]] = {}
        self._graphs = Graphs(memory, name)
        logger.debug("opened %s in %.2f s", self._path, time.perf_counter() - started)

    def covers(self, sizes: dict[str, int]) -> bool:
        shapes = {
            t.name: tuple(sizes[e] if isinstance(e, str) else e for e in t.shape)
            for t in self.component.inputs
        }
        return choose_profile(self._profiles, shapes) is not None

    def size_range(self, size: str) -> tuple[int, int | None]:
        bounds = [
            (profile[t.name][0][axis], profile[t.name][2][axis])
            for profile in self._profiles
            for t in self.component.inputs
            for axis, extent in enumerate(t.shape)
            if extent == size
        ]
        if not bounds:
            return 0, None
        return min(low for low, _ in bounds), max(high for _, high in bounds)

    def bind(self, name: str, array: Array) -> DeviceArray:
        if name not in self._on_host:
            return super().bind(name, array)
        kept = np.array(self.elements[name].encode(on_host(array)))
        return DeviceArray(self.memory, kept.shape, self.elements[name], kept.ctypes.data, kept)

    def _launch(self, bound: Bound, targets: Bound) -> Bound:
        index = self._profile({name: array.shape for name, array in bound.items()})
        found = self._outputs(index, bound, targets)
        self._run(index, [(bound, found)])
        return found

    def _launch_chain(
        self,
        shared: Bound,
        varying: Sequence[Bound],
        feedback: tuple[str, str],
        pair: tuple[DeviceArray, DeviceArray],
        before_step: Callable[[], None],
    ) -> None:
        """All steps at once: the deadline is looked at once, before them."""
        before_step()
        taken, given = feedback
        calls = [
            ({**shared, **step, taken: pair[i % 2]}, {given: pair[1 - i % 2]})
            for i, step in enumerate(varying)
        ]
        index = self._profile({name: array.shape for name, array in calls[0][0].items()})
        self._run(index, calls)

    def _run(self, index: int, calls: Sequence[tuple[Bound, Bound]]) -> None:
        """Queue the calls one after another: plainly, or as a graph where they come again."""

        def prepare(captured: bool) -> tuple[Work, object]:
            context = self._new_context(index) if captured else self._context(index)

            def queue() -> None:
                for bound, found in calls:
                    self._enqueue(context, bound, found)

            return queue, context

        if self._on_host:
            prepare(False)[0]()
            # The library reads host values while it queues and while it runs.
            self.memory.synchronize()
        else:
            key = (index, *(addresses(*call) for call in calls))
            self._graphs.run(key, prepare, lambda: self._capturable(index))
        self._kernels.ran()

    def _capturable(self, index: int) -> bool:
        """TensorRT for RTX compiles kernels while it runs already; before that is done, or where
        the engine waits for the host, it says no."""
        ask = getattr(self._context(index), "is_stream_capturable", None)
        return ask is None or bool(ask(self.memory.stream))

    def _enqueue(self, context: Any, bound: Bound, found: Bound) -> None:
        """Queue one run; state is read and written at one address."""
        self._set_shapes(context, bound)
        places = {n: a.address for n, a in (*bound.items(), *found.items())}
        places |= {present: bound[past].address for past, present in self.state.items()}
        for name, address in places.items():
            if not context.set_tensor_address(name, address):
                raise self._failed(f"refused the address of {name!r}")
        if not context.execute_async_v3(self.memory.stream):
            raise self._failed(f"failed on inputs { {n: list(a.shape) for n, a in bound.items()} }")

    def _set_shapes(self, context: Any, bound: Bound) -> None:
        for name, array in bound.items():
            if not context.set_input_shape(name, array.shape):
                raise self._failed(f"refused the shape {list(array.shape)} of {name!r}")
        for name in self._on_host:
            context.set_tensor_address(name, bound[name].address)

    def _outputs(self, index: int, bound: Bound, targets: Bound) -> Bound:
        """Arrays for all outputs: the targets, new ones for keys and values, staged ones else."""
        shapes = self._output_shapes(index, bound)
        for name, array in targets.items():
            if array.shape != shapes[name]:
                raise EngineError(
                    f"{self.name}: output {name!r}: expected an array of {list(shapes[name])}, "
                    f"found {list(array.shape)}"
                )
        fresh = [n for n in shapes if n not in targets and is_cache(n)]
        block = self.memory.block([(shapes[n], self.elements[n]) for n in fresh]) if fresh else []
        found = {**targets, **dict(zip(fresh, block, strict=True))}
        staged = {n: self.stage(n, shape) for n, shape in shapes.items() if n not in found}
        return {**found, **staged}

    def _output_shapes(self, index: int, bound: Bound) -> dict[str, Shape]:
        key = index, tuple(array.shape for array in bound.values())
        if key in self._shapes:
            return self._shapes[key]
        context = self._context(index)
        self._set_shapes(context, bound)
        shapes: dict[str, Shape] = {}
        for tensor in self.given:
            shape = tuple(int(extent) for extent in context.get_tensor_shape(tensor.name))
            if min(shape, default=0) < 0:
                raise self._failed(f"does not say the shape of {tensor.name!r}: {list(shape)}")
            shapes[tensor.name] = shape
        if len(self._shapes) >= SHAPES:
            self._shapes.clear()
        if not self._on_host:
            self._shapes[key] = shapes
        return shapes

    def _profile(self, shapes: dict[str, Shape]) -> int:
        index = choose_profile(self._profiles, shapes)
        if index is None:
            known = [{n: (p[n][0], p[n][2]) for n in shapes} for p in self._profiles]
            raise EngineError(
                f"{self.name}: expected shapes inside one of {known}, found {shapes}; export the "
                "bundle with a profile for them"
            )
        return index

    def _context(self, index: int) -> Any:
        """The context for a profile's work that is not captured."""
        if index not in self._contexts:
            self._contexts[index] = self._new_context(index)
        return self._contexts[index]

    def _new_context(self, index: int) -> Any:
        context = self._kernels.context()
        if context is None:
            raise self._failed("made no execution context")
        context.set_device_memory(self._scratch.address, self._scratch.size)
        if not context.set_optimization_profile_async(index, self.memory.stream):
            raise self._failed(f"refused optimization profile {index}")
        return context

    def _read_profiles(self) -> list[ProfileShapes]:
        return [
            {t.name: self._bounds(t.name, index) for t in self.component.inputs}
            for index in range(max(1, self._engine.num_optimization_profiles))
        ]

    def _bounds(self, name: str, index: int) -> tuple[Shape, Shape, Shape]:
        """Least, usual and greatest shape of an input; all the same where nothing is free."""
        fixed = tuple(int(extent) for extent in self._engine.get_tensor_shape(name))
        if min(fixed, default=0) >= 0:
            return fixed, fixed, fixed
        least, usual, greatest = (
            tuple(int(extent) for extent in dims)
            for dims in self._engine.get_tensor_profile_shape(name, index)
        )
        return least, usual, greatest

    def _check_signature(self) -> None:
        """The engine's tensors are the component's, with the types the manifest says."""
        engine, mode = self._engine, self._library.module.TensorIOMode
        for kind, wanted, tensors in (
            ("inputs", mode.INPUT, self.component.inputs),
            ("outputs", mode.OUTPUT, self.component.outputs),
        ):
            names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
            have = {
                n: self._library.dtype(engine.get_tensor_dtype(n))
                for n in names
                if engine.get_tensor_mode(n) == wanted
            }
            want = {t.name: self.elements[t.name].name for t in tensors}
            if have != want:
                wrong = sorted(set(have.items()) ^ set(want.items()))
                raise EngineError(f"{self._path}: {kind} differ from the manifest: {wrong}")

    def _failed(self, what: str) -> EngineError:
        told = "; ".join(self._library.complaints[-2:])
        return EngineError(f"{self.name}: {self._library.name} {what}{': ' if told else ''}{told}")
