"""Engines of TensorRT for RTX, built ahead of time without a GPU, and of TensorRT, built on one.

Both libraries have the same builder. An engine is made from a component's float16 or float8 graph,
strongly typed, with the profiles of `export.profiles`. `weft::DPCWAttention` is inlined from its
body unless a plugin library is given, whose creator of that name then takes the node.

What cannot be built here is an `ExportError` that says what is missing.
"""

from __future__ import annotations

import ctypes
import importlib
import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from export.errors import ExportError
from runtime.bundle import Profile
from runtime.interfaces import Tensor
from training.models.dpcw import OPERATOR

logger = logging.getLogger(__name__)

MODULES = {"tensorrt-rtx": "tensorrt_rtx", "tensorrt": "tensorrt"}
PACKAGES = {"tensorrt-rtx": "tensorrt-rtx-cu13", "tensorrt": "tensorrt"}


@dataclass(frozen=True)
class Library:
    """TensorRT for RTX or TensorRT, as it is installed."""

    target: str
    module: Any
    version: str


def open_library(target: str) -> Library:
    """The library of a target; raises `ExportError` where it, or the GPU it needs, is missing."""
    name = MODULES[target]
    try:
        module = importlib.import_module(name)
    except (ImportError, OSError) as error:
        advice = (
            "install it with: pip install '.[rtx]' in a checkout of weft"
            if target == "tensorrt-rtx"
            else "it comes with NVIDIA's installers (JetPack, or the TensorRT package of a data "
            "centre system), not with weft; run this export on the device"
        )
        raise ExportError(
            f"target {target} needs {name}, which is missing ({error}); {advice}"
        ) from error
    if not hasattr(module, "Builder"):
        raise ExportError(
            f"target {target}: expected {name} with a builder, found one without; install the "
            f"whole {PACKAGES[target]}"
        )
    if target == "tensorrt":
        device_capability()
    return Library(target, module, str(module.__version__))


def device_capability() -> str:
    """The compute capability of the first GPU; raises `ExportError` where there is none."""
    major, minor = ctypes.c_int(), ctypes.c_int()
    try:
        driver = ctypes.CDLL("libcuda.so.1")
        found = driver.cuInit(0) == 0
        for attribute, value in ((75, major), (76, minor)):
            code = driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, 0)
            found = found and code == 0
    except OSError:
        found = False
    if not found:
        raise ExportError(
            "target tensorrt builds its engines on the GPU they are for, and no NVIDIA GPU or "
            "driver was found here; run this export on the device, or take target tensorrt-rtx, "
            "which builds without one"
        )
    return f"{major.value}.{minor.value}"


def has_operator(graph: Path) -> bool:
    """Whether a graph has a node that a plugin may take."""
    nodes = onnx.load(graph, load_external_data=False).graph.node
    return any((n.domain, n.op_type) == (OPERATOR.domain, OPERATOR.name) for n in nodes)


def build_engine(
    library: Library,
    graph: Path,
    tensors: Iterable[Tensor],
    profiles: tuple[Profile, ...],
    capability: str,
    plugin: Path | None = None,
) -> bytes:
    """The serialized engine of a graph. `capability` "8.9" names the GPU it is for; "" takes the
    one that is there. `tensors` are the component's inputs with their free sizes. `plugin` is for a
    graph that `has_operator`."""
    trt = library.module
    logged = _logger(trt)
    builder = trt.Builder(logged)
    if builder is None:
        raise ExportError(f"target {library.target}: no GPU that {library.version} can build for")
    builder.max_threads = os.cpu_count() or 1
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logged)
    if plugin is not None:
        # Absolute, because the loader searches the system's folders for a bare name.
        if builder.get_plugin_registry().load_library(str(plugin.absolute())) is None:
            raise ExportError(
                f"{plugin}: expected a TensorRT plugin that {library.module.__name__} "
                f"{library.version} can load, found: {_said(logged)}; build it for this version"
            )
        _check_parser(library)
        parser.set_flag(trt.OnnxParserFlag.ENABLE_PLUGIN_OVERRIDE)
    if not parser.parse_from_file(str(graph)):
        raise ExportError(f"{graph.name}: {library.target} cannot import it: {_reasons(parser)}")
    if plugin is not None and not _has_plugin(network):
        raise ExportError(
            f"{graph.name}: expected a layer of the plugin {plugin} for "
            f"{OPERATOR.domain}::{OPERATOR.name}, found none; give a plugin with a creator of "
            "that name and version, or export without --plugin"
        )
    _let_decompose(trt, network)
    config = builder.create_builder_config()
    if capability:
        _set_capability(trt, config, capability)
    inputs = tuple(tensors)
    for profile in profiles:
        config.add_optimization_profile(_profile(builder, inputs, profile))
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise ExportError(f"{graph.name}: {library.target} cannot build it: {_said(logged)}")
    return bytes(engine)


def _check_parser(library: Library) -> None:
    """The parser of TensorRT for RTX opens its library by this name when it meets a plugin, and
    aborts the process where there is none."""
    if library.target != "tensorrt-rtx":
        return
    name = "libtensorrt_rtx.so"
    try:
        ctypes.CDLL(name)
    except OSError as error:
        raise ExportError(
            f"--plugin: expected a library {name} on the loader's path, found none ({error}); put "
            f"a link of that name to {name}.1 into a folder of LD_LIBRARY_PATH"
        ) from error


def _has_plugin(network: Any) -> bool:
    kinds = (network.get_layer(index).type.name for index in range(network.num_layers))
    return any(kind.startswith("PLUGIN") for kind in kinds)


def _let_decompose(trt: Any, network: Any) -> None:
    """Allows attention without a dedicated kernel (small heads, float8 around it) to be made of
    plain operators, instead of failing; where there is a kernel it is still taken."""
    boundaries = {
        getattr(trt.LayerType, name, None): getattr(trt, kind, None)
        for name, kind in (
            ("ATTENTION_INPUT", "IAttentionInputLayer"),
            ("ATTENTION_OUTPUT", "IAttentionOutputLayer"),
        )
    }
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        kind = boundaries.get(layer.type)
        if kind is not None:
            layer.__class__ = kind
            layer.attention.decomposable = True


def _set_capability(trt: Any, config: Any, capability: str) -> None:
    name = "SM" + capability.replace(".", "")
    known = getattr(trt, "ComputeCapability", None)
    if known is None or name not in known.__members__:
        have = ", ".join(known.__members__) if known is not None else "only the GPU that is there"
        raise ExportError(f"compute capability {capability}: this TensorRT builds for {have}")
    config.num_compute_capabilities = 1
    config.set_compute_capability(known.__members__[name], 0)


def _profile(builder: Any, inputs: tuple[Tensor, ...], profile: Profile) -> Any:
    made = builder.create_optimization_profile()
    for tensor in inputs:
        if any(isinstance(size, str) for size in tensor.shape):
            shapes = [
                tuple(profile.sizes[s][i] if isinstance(s, str) else s for s in tensor.shape)
                for i in range(3)
            ]
            made.set_shape(tensor.name, *shapes)
    return made


def _reasons(parser: Any) -> str:
    errors = [parser.get_error(index) for index in range(min(3, parser.num_errors))]
    return "; ".join(f"{e.node_name()}: {e.desc()}" for e in errors) or "no reason given"


def _said(logged: Any) -> str:
    return "; ".join(logged.errors[-3:]) or "no reason given"


def _logger(trt: Any) -> Any:
    """A logger that keeps errors for the message and passes the rest on."""

    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                self.errors.append(message)
            if severity == trt.ILogger.WARNING:
                logger.debug("%s", message)

    return Log()
