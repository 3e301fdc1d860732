"""ONNX Runtime on the CPU: the engine that is always there.

State is bound as input and output of one buffer, so the KV cache is updated in place. int8 weights
with DequantizeLinear are folded to float32 when the model is opened. Results do not depend on
timing: reductions are deterministic. Arrays of a device are copied through the host, so that the
CPU can stand in for any component.
"""

from __future__ import annotations

import logging
import time
from typing import Any

import numpy as np

from runtime.bundle import Bundle, Variant
from runtime.engines.base import Array, Arrays, Engine
from runtime.engines.device_array import device_array, on_host
from runtime.engines.onnx_session import (
    cannot_open,
    check_signature,
    import_onnxruntime,
    session_options,
)
from runtime.errors import EngineError

logger = logging.getLogger(__name__)


class OnnxCpuEngine(Engine):
    """One ONNX graph in one inference session."""

    def __init__(self, bundle: Bundle, name: str, variant: Variant, threads: int | None) -> None:
        super().__init__(name, bundle.manifest.components[name], variant)
        self._ort = import_onnxruntime()
        path = bundle.path(variant.files[0])
        started = time.perf_counter()
        try:
            self._session = self._ort.InferenceSession(
                str(path), cpu_session_options(self._ort, threads), [variant.provider]
            )
        except Exception as error:  # the library raises its own, unrelated classes
            raise cannot_open(self._ort, path, error) from error
        check_signature(self._session, self.component, variant, str(path))
        self._stored = {name: element.stored for name, element in self.elements.items()}
        logger.debug("opened %s in %.2f s", path, time.perf_counter() - started)

    def _execute(self, inputs: Arrays, outputs: Arrays) -> dict[str, Array]:
        if not all(self._fits(name, array) for name, array in (*inputs.items(), *outputs.items())):
            return self._through_host(inputs, outputs)
        return self._run_session(inputs, outputs)

    def _run_session(self, inputs: Arrays, outputs: Arrays) -> dict[str, Array]:
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

    def _fits(self, name: str, array: Array) -> bool:
        return device_array(array) is None and array.dtype == self._stored[name]

    def _through_host(self, inputs: Arrays, outputs: Arrays) -> dict[str, Array]:
        """The same with arrays of a device, or keys and values of another type."""
        host = {n: self.elements[n].encode(on_host(a)) for n, a in inputs.items()}
        found = self._run_session(host, {})
        for name in self.state:
            if host[name] is not inputs[name]:
                inputs[name][...] = host[name]
        for name, target in outputs.items():
            target[...] = found[name]
        return {**found, **outputs}


def cpu_session_options(onnxruntime: Any, threads: int | None) -> Any:
    """Treats Q/DQ as plain operators, so that DequantizeLinear of a constant is folded at
    opening."""
    options = session_options(onnxruntime, threads)
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    # On processors without VNNI, products of 8-bit numbers would saturate.
    options.add_session_config_entry("session.x64quantprecision", "1")
    return options
