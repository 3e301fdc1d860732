"""ONNX Runtime on the CPU: the engine that is always there.

State is bound as input and output of one buffer, so the KV cache is updated in place. int8 weights
with DequantizeLinear are folded to float32 when the model is opened. Results do not depend on
timing: reductions are deterministic.
"""

from __future__ import annotations

import logging
import time
from typing import Any

import numpy as np

from runtime.bundle import Bundle, Variant
from runtime.engines.base import Array, Arrays, Engine
from runtime.errors import DependencyError, EngineError

logger = logging.getLogger(__name__)

_ELEMENT_TYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(int64)": "int64",
    "tensor(uint8)": "uint8",
}


class OnnxCpuEngine(Engine):
    """One ONNX graph in one inference session."""

    def __init__(self, bundle: Bundle, name: str, variant: Variant, threads: int | None) -> None:
        super().__init__(name, bundle.manifest.components[name])
        try:
            import onnxruntime
        except ImportError as error:
            raise DependencyError(
                "onnxruntime is missing; install it with: pip install onnxruntime"
            ) from error
        self._ort = onnxruntime
        path = bundle.path(variant.files[0])
        started = time.perf_counter()
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), _session_options(onnxruntime, threads), [variant.provider]
            )
        except Exception as error:  # the library raises its own, unrelated classes
            raise EngineError(f"{path}: ONNX Runtime cannot open it: {error}") from error
        self._check_signature(str(path))
        logger.debug("opened %s in %.2f s", path, time.perf_counter() - started)

    def _check_signature(self, path: str) -> None:
        for kind, found, expected in (
            ("inputs", self._session.get_inputs(), self.component.inputs),
            ("outputs", self._session.get_outputs(), self.component.outputs),
        ):
            have = {node.name: _ELEMENT_TYPES.get(node.type, node.type) for node in found}
            want = {tensor.name: tensor.dtype for tensor in expected}
            if have != want:
                wrong = sorted(set(have.items()) ^ set(want.items()))
                raise EngineError(f"{path}: {kind} differ from the manifest: {wrong}")

    def _execute(self, inputs: Arrays, outputs: Arrays) -> dict[str, Array]:
        binding = self._session.io_binding()
        make = self._ort.OrtValue.ortvalue_from_numpy
        bound: list[str] = []
        for name, array in inputs.items():
            value = make(array)
            binding.bind_ortvalue_input(name, value)
            if name in self.state:
                binding.bind_ortvalue_output(self.state[name], value)
                bound.append(self.state[name])
        wanted = [t.name for t in self.component.outputs if t.name not in self.state.values()]
        for name in wanted:
            bound.append(name)
            if name in outputs:
                binding.bind_ortvalue_output(name, make(outputs[name]))
            else:
                binding.bind_output(name, "cpu")
        try:
            self._session.run_with_iobinding(binding)
        except Exception as error:  # the library raises its own, unrelated classes
            shapes = {name: list(array.shape) for name, array in inputs.items()}
            raise EngineError(f"{self.name}: failed on inputs {shapes}: {error}") from error
        produced = dict(zip(bound, binding.get_outputs(), strict=True))
        return {
            name: outputs[name] if name in outputs else np.asarray(produced[name].numpy())
            for name in wanted
        }


def _session_options(onnxruntime: Any, threads: int | None) -> Any:
    options = onnxruntime.SessionOptions()
    options.use_deterministic_compute = True
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    # Treats Q/DQ as plain operators, so that DequantizeLinear of a constant is folded at opening.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    return options
