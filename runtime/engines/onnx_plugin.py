"""ONNX Runtime's TensorRT-for-RTX provider: a plugin that is registered, not built in.

The package carries its own TensorRT for RTX. The provider compiles a graph when the session is
opened, for the shapes that the variant's profiles give it, and keeps kernels in a cache folder.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from runtime.errors import DependencyError, EngineError
from runtime.manifest import Component
from runtime.user_cache import cache_folder
from runtime.variants import Variant

RTX_MODULE = "onnxruntime_ep_nv_tensorrt_rtx"
RTX_PACKAGE = "onnxruntime-ep-nv-tensorrt-rtx-cu13"


def add_plugin(
    onnxruntime: Any, options: Any, component: Component, variant: Variant, stream: int
) -> None:
    """Have a session run on the plugin's first device and queue on `stream`."""
    devices = plugin_devices(onnxruntime)
    if not devices:
        raise EngineError(
            f"{RTX_PACKAGE}: expected an RTX GPU, the plugin offers none; use another device"
        )
    folder = cache_folder("kernels") / "onnx"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EngineError(f"{folder}: expected a folder for compiled kernels: {error}") from error
    chosen = {
        "has_user_compute_stream": "1",
        "user_compute_stream": str(stream),
        "nv_runtime_cache_path": str(folder),
        **_profile_options(component, variant),
    }
    options.add_provider_for_devices(devices[:1], chosen)


def plugin_devices(onnxruntime: Any) -> list[Any]:
    """The devices of the TensorRT-for-RTX plugin, which is registered on first use."""
    try:
        plugin = importlib.import_module(RTX_MODULE)
    except (ImportError, OSError) as error:
        raise DependencyError(
            f"{RTX_PACKAGE} cannot be imported ({error}); pip install {RTX_PACKAGE}"
        ) from error
    name = plugin.get_ep_name()

    def offered() -> list[Any]:
        return [device for device in onnxruntime.get_ep_devices() if device.ep_name == name]

    found = offered()
    if not found:
        try:
            onnxruntime.register_execution_provider_library(name, plugin.get_library_path())
        except Exception as error:  # the library raises its own, unrelated classes
            raise EngineError(f"{RTX_PACKAGE}: cannot be registered: {error}") from error
        found = offered()
    return found


def _profile_options(component: Component, variant: Variant) -> Mapping[str, str]:
    """The widest of the variant's profiles as the plugin wants it; graphs where nothing varies."""
    if not variant.profiles:
        return {}
    sizes = {name for profile in variant.profiles for name in profile.sizes}
    bounds = {n: [p.sizes[n] for p in variant.profiles if n in p.sizes] for n in sizes}
    least = {n: min(b[0] for b in found) for n, found in bounds.items()}
    usual = {n: found[0][1] for n, found in bounds.items()}
    most = {n: max(b[2] for b in found) for n, found in bounds.items()}
    if least == most:
        return {**_shape_options(component, usual, usual, usual), "enable_cuda_graph": "1"}
    return _shape_options(component, least, usual, most)


def _shape_options(component: Component, *bounds: Mapping[str, int]) -> dict[str, str]:
    found = {}
    for name, sizes in zip(("min", "opt", "max"), bounds, strict=True):
        inputs = []
        for tensor in component.inputs:
            extents = [str(sizes.get(e, 1)) if isinstance(e, str) else str(e) for e in tensor.shape]
            inputs.append(f"{tensor.name}:{'x'.join(extents)}")
        found[f"nv_profile_{name}_shapes"] = ",".join(inputs)
    return found
