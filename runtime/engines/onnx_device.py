"""ONNX Runtime on a CUDA device: its CUDA provider, or the TensorRT-for-RTX plugin provider.

Inputs, state and outputs are bound by address, so keys and values stay on the device and are
updated in place. Both providers queue on the runtime's own stream.

| provider | comes with |
| --- | --- |
| `CUDAExecutionProvider` | the `onnxruntime-gpu` package |
| `NvTensorRTRTXExecutionProvider` | `onnxruntime-ep-nv-tensorrt-rtx-cu13`, see `onnx_plugin` |

The CUDA provider captures graphs by itself, one per id. An id is given to a call whose shapes and
addresses have come before; a call without one runs plainly.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

from runtime.bundle import Bundle, Variant
from runtime.engines.cuda_memory import CudaMemory
from runtime.engines.device import Bound, DeviceEngine, addresses
from runtime.engines.device_array import DeviceArray
from runtime.engines.elements import FLOAT8, Element
from runtime.engines.graphs import GRAPHS, SEEN
from runtime.engines.onnx_plugin import add_plugin
from runtime.engines.onnx_session import (
    cannot_open,
    check_signature,
    import_onnxruntime,
    session_options,
)
from runtime.errors import EngineError
from runtime.interfaces import is_cache

logger = logging.getLogger(__name__)

CUDA_PROVIDER = "CUDAExecutionProvider"
RTX_PROVIDER = "NvTensorRTRTXExecutionProvider"
# onnx.TensorProto.FLOAT8E4M3FN: numpy has no name for it.
_FLOAT8_TYPE = 17
NO_GRAPH = -1


class OnnxDeviceEngine(DeviceEngine):
    """One ONNX graph in a session whose tensors are at addresses of one device."""

    def __init__(
        self,
        bundle: Bundle,
        name: str,
        variant: Variant,
        memory: CudaMemory,
        device: str = "cuda",
    ) -> None:
        super().__init__(name, bundle.manifest.components[name], variant, memory)
        self._device = device
        self._ort = import_onnxruntime()
        path = bundle.path(variant.files[0])
        started = time.perf_counter()
        self._captures = False
        self._session = self._open(path, variant)
        check_signature(self._session, self.component, variant, str(path))
        self._ids: dict[object, int] = {}
        self._seen: dict[object, dict[str, tuple[int, ...]]] = {}
        self._fixed: dict[object, Bound] = {}
        logger.debug("opened %s in %.2f s", path, time.perf_counter() - started)

    def _open(self, path: Path, variant: Variant) -> Any:
        if variant.provider == RTX_PROVIDER:
            options = session_options(self._ort, None)
            add_plugin(self._ort, options, self.component, variant, self.memory.stream)
            return self._session_of(path, options)
        options = session_options(self._ort, None)
        if variant.provider != CUDA_PROVIDER:
            return self._session_of(path, options, [variant.provider])
        if not self.state:
            # State grows with the sequence: its shapes do not come again often enough.
            try:
                found = self._session_of(path, options, [self._cuda_provider(graphs=True)])
            except EngineError as error:
                logger.debug("%s: runs without graphs: %s", self.name, error)
            else:
                self._captures = True
                return found
        return self._session_of(path, options, [self._cuda_provider(graphs=False)])

    def _cuda_provider(self, graphs: bool) -> tuple[str, dict[str, str]]:
        options = {"device_id": "0", "user_compute_stream": str(self.memory.stream)}
        if graphs:
            options["enable_cuda_graph"] = "1"
        return CUDA_PROVIDER, options

    def _session_of(self, path: Path, options: Any, providers: Any = None) -> Any:
        chosen = {} if providers is None else {"providers": providers}
        try:
            return self._ort.InferenceSession(str(path), options, **chosen)
        except Exception as error:  # the library raises its own, unrelated classes
            raise cannot_open(self._ort, path, error) from error

    def _launch(self, bound: Bound, targets: Bound) -> Bound:
        missing = [t.name for t in self.given if t.name not in targets]
        if not self._captures or any(is_cache(name) for name in missing):
            return self._bound_run(bound, targets, NO_GRAPH)
        key = addresses(bound, targets)
        if key in self._seen and len(self._ids) < GRAPHS:
            shapes = self._seen.pop(key)
            # A graph writes where it was captured, so its outputs stay where they are.
            self._fixed[key] = {n: self.memory.empty(shapes[n], self.elements[n]) for n in missing}
            self._ids[key] = len(self._ids)
        if key in self._ids:
            return self._bound_run(bound, {**targets, **self._fixed[key]}, self._ids[key])
        found = self._bound_run(bound, targets, NO_GRAPH)
        if len(self._seen) >= SEEN:
            self._seen.clear()
        self._seen[key] = {n: found[n].shape for n in missing}
        return found

    def _bound_run(self, bound: Bound, targets: Bound, run_id: int) -> Bound:
        binding = self._session.io_binding()
        order: list[str] = []
        for name, array in bound.items():
            binding.bind_input(name, *self._place(array))
            if name in self.state:
                binding.bind_output(self.state[name], *self._place(array))
                order.append(self.state[name])
        for tensor in self.given:
            order.append(tensor.name)
            if tensor.name in targets:
                binding.bind_output(tensor.name, *self._place(targets[tensor.name]))
            else:
                binding.bind_output(tensor.name, self._device, 0)
        options = self._ort.RunOptions()
        if self._captures:
            options.add_run_config_entry("gpu_graph_id", str(run_id))
        try:
            self._session.run_with_iobinding(binding, options)
        except Exception as error:  # the library raises its own, unrelated classes
            shapes = {name: list(array.shape) for name, array in bound.items()}
            raise EngineError(f"{self.name}: failed on inputs {shapes}: {error}") from error
        values = dict(zip(order, binding.get_outputs(), strict=True))
        return {
            t.name: targets[t.name] if t.name in targets else self._wrap(t.name, values[t.name])
            for t in self.given
        }

    def _wrap(self, name: str, value: Any) -> DeviceArray:
        """What ONNX Runtime allocated; it lives as long as the array."""
        element = self.elements[name]
        return DeviceArray(self.memory, value.shape(), element, value.data_ptr(), value)

    def _place(self, array: DeviceArray) -> tuple[str, int, Any, list[int], int]:
        kind = _onnx_type(array.element)
        return self._device, 0, kind, list(array.shape), array.address


def _onnx_type(element: Element) -> Any:
    return _FLOAT8_TYPE if element.name == FLOAT8 else element.stored.type
