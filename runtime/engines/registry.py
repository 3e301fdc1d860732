"""Which backend runs a bundle's components on a device."""

from __future__ import annotations

from collections.abc import Callable

from runtime.bundle import Bundle, Variant
from runtime.engines.base import Engine, Engines
from runtime.errors import EngineError, OptionError

DEVICES = ("auto", "cpu")
CPU_PROVIDER = "CPUExecutionProvider"


def check_device(device: str) -> None:
    """Raise `OptionError` for a device this runtime does not serve."""
    if device not in DEVICES:
        raise OptionError(f"device: expected one of {list(DEVICES)}, found {device!r}")


def open_engines(bundle: Bundle, device: str = "auto", threads: int | None = None) -> Engines:
    """Engines of a bundle for a device; the CPU's ONNX variants are the default and the fallback.

    Nothing is opened yet. Raises `OptionError` for a device this runtime does not serve and
    `EngineError` where a component has no variant for it.
    """
    check_device(device)
    variants: dict[str, Variant] = {}
    for name in bundle.manifest.components:
        variant = bundle.variant(name, "onnxruntime", CPU_PROVIDER)
        if variant is None:
            raise EngineError(
                f"{bundle.folder}: component {name!r} has no onnxruntime variant for "
                f"{CPU_PROVIDER}; every bundle must have one, export it again"
            )
        variants[name] = variant

    def open_one(name: str) -> Engine:
        return _onnx_cpu()(bundle, name, variants[name], threads)

    return Engines(tuple(variants), open_one)


def _onnx_cpu() -> Callable[[Bundle, str, Variant, int | None], Engine]:
    from runtime.engines.onnx_cpu import OnnxCpuEngine

    return OnnxCpuEngine
