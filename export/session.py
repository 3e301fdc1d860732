"""Runs a graph of any precision on ONNX Runtime's CPU provider: to measure, not to serve.

float16 nodes without a kernel run in float32 between casts, and float8 Q/DQ runs as it is written
(`session.disable_quant_qdq`): the result is that of the precision, not its speed. State is bound as
input and output of one buffer. float8 keys and values are scaled and unscaled here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import TensorProto

from export.errors import ExportError
from export.precision import FLOAT8_MAX
from runtime.interfaces import Interface

Array = NDArray[Any]
_FLOAT8 = np.dtype(ml_dtypes.float8_e4m3fn)


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch on one thread, as the sessions here are: the last digits of a sum depend on their
    number, and what is measured goes into the manifest. Also a decorator."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _unfixed(graph: Path, interface: Interface) -> bytes:
    """The graph, its data left where they are, with all free sizes of its interface free, so that
    a short cache will do."""
    model = onnx.load(graph, load_external_data=False)
    shapes = {t.name: t.shape for t in (*interface.inputs, *interface.outputs)}
    for value in (*model.graph.input, *model.graph.output):
        for size, found in zip(shapes[value.name], value.type.tensor_type.shape.dim, strict=True):
            if isinstance(size, str) and not found.dim_param:
                found.dim_param = size
    return bytes(model.SerializeToString())


class Simulation:
    """One graph in one session; weights are used where they lie, without a packed copy."""

    def __init__(
        self, graph: Path, interface: Interface, threads: int = 1, kv_scale: float = 1.0
    ) -> None:
        self._kv_scale = np.float32(kv_scale)
        options = onnxruntime.SessionOptions()
        options.use_deterministic_compute = True
        options.log_severity_level = 3
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        options.add_session_config_entry("session.disable_prepacking", "1")
        # Without VNNI, products of uint8 and int8 saturate in the fast kernels; this takes others.
        options.add_session_config_entry("session.x64quantprecision", "1")
        # The graph is opened from memory, because a bundle may be read-only.
        options.add_session_config_entry(
            "session.model_external_initializers_file_folder_path", str(graph.parent)
        )
        try:
            self._session = onnxruntime.InferenceSession(
                _unfixed(graph, interface), options, ["CPUExecutionProvider"]
            )
        except Exception as error:  # the library raises its own, unrelated classes
            raise ExportError(
                f"{graph.name}: ONNX Runtime {onnxruntime.__version__} cannot open it: {error}; "
                "graphs of opset 24 need 1.25 or newer"
            ) from error
        self._state = {pair.past: pair.present for pair in interface.state}
        self._types = {node.name: node.type for node in self._session.get_inputs()}

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs by name. Floats are converted to what the graph takes; state arrays must be of
        the graph's type (`typed`) and are written in place."""
        binding = self._session.io_binding()
        kept = []
        for name, array in inputs.items():
            value = _value(self.typed(name, array))
            kept.append(value)
            binding.bind_ortvalue_input(name, value)
            if name in self._state:
                binding.bind_ortvalue_output(self._state[name], value)
        wanted = [n.name for n in self._session.get_outputs()]
        wanted = [name for name in wanted if name not in self._state.values()]
        for name in wanted:
            binding.bind_output(name, "cpu")
        self._session.run_with_iobinding(binding)
        names = [self._state[n] for n in inputs if n in self._state] + wanted
        found = dict(zip(names, binding.get_outputs(), strict=True))
        return {name: self.plain(_array(found[name])) for name in wanted}

    def typed(self, name: str, array: Array) -> Array:
        """A float array in the type that input `name` has."""
        kind = self._types[name]
        if array.dtype.kind != "f":
            return array
        if kind == "tensor(float8e4m3fn)":
            scaled = np.clip(array / self._kv_scale, -FLOAT8_MAX, FLOAT8_MAX)
            return np.ascontiguousarray(scaled.astype(_FLOAT8))
        half = kind == "tensor(float16)"
        return np.ascontiguousarray(array, np.float16 if half else np.float32)

    def plain(self, array: Array) -> Array:
        """The inverse of `typed`, in float32."""
        if array.dtype == _FLOAT8:
            return np.asarray(array.astype(np.float32) * self._kv_scale)
        return array.astype(np.float32) if array.dtype == np.float16 else array


def _value(array: Array) -> Any:
    if array.dtype == _FLOAT8:
        make = onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type
        return make(array.view(np.uint8), TensorProto.FLOAT8E4M3FN)
    return onnxruntime.OrtValue.ortvalue_from_numpy(array)


def _array(value: Any) -> Array:
    if "float8" in value.data_type():
        raw: Array = np.asarray(value.numpy())
        return raw.view(_FLOAT8)
    found: Array = np.asarray(value.numpy())
    return found
