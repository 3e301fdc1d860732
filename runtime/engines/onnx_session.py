"""What every ONNX Runtime backend needs: the library, session options, and the signature check."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runtime.engines.elements import FLOAT8
from runtime.errors import DependencyError, EngineError
from runtime.manifest import Component
from runtime.variants import Variant

_ELEMENT_TYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(float8e4m3fn)": FLOAT8,
    "tensor(int64)": "int64",
    "tensor(uint8)": "uint8",
}


def import_onnxruntime() -> Any:
    """The library; raises `DependencyError`."""
    try:
        import onnxruntime
    except ImportError as error:
        raise DependencyError(
            "onnxruntime is missing; install it with: pip install onnxruntime"
        ) from error
    return onnxruntime


def session_options(onnxruntime: Any, threads: int | None) -> Any:
    """Deterministic, quiet, with `threads` CPU threads (all cores where None)."""
    options = onnxruntime.SessionOptions()
    options.use_deterministic_compute = True
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    return options


def cannot_open(onnxruntime: Any, path: Path, error: Exception) -> EngineError:
    """The error to raise where a session of the graph `path` ended in `error`."""
    return EngineError(
        f"{path}: ONNX Runtime {onnxruntime.__version__} cannot open it: {error}; graphs of opset "
        "24 need 1.25 or newer"
    )


def check_signature(session: Any, component: Component, variant: Variant, path: str) -> None:
    """Raise `EngineError` where a graph's tensors differ from what the manifest says."""
    for kind, found, expected in (
        ("inputs", session.get_inputs(), variant.tensors(component.inputs)),
        ("outputs", session.get_outputs(), variant.tensors(component.outputs)),
    ):
        have = {node.name: _ELEMENT_TYPES.get(node.type, node.type) for node in found}
        want = {tensor.name: tensor.dtype for tensor in expected}
        if have != want:
            wrong = sorted(set(have.items()) ^ set(want.items()))
            raise EngineError(f"{path}: {kind} differ from the manifest: {wrong}")
