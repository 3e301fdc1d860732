"""A fake bundle with variants for a fake GPU, and a machine that has one.

The engines compute what `tests.fake_bundle`'s do, so a document made on the fake GPU must be the
document made on the CPU, bit for bit where keys and values are float32.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime.bundle import Bundle, Variant, file_of, read_bundle, write_manifest
from runtime.engines import open_engines
from runtime.engines.base import Arrays, Engine
from runtime.engines.elements import FLOAT8
from runtime.engines.machine import Gpu, Machine
from runtime.engines.onnx_cpu import OnnxCpuEngine
from runtime.interfaces import COMPONENTS, is_cache
from runtime.loading import Runtime
from runtime.memory import plan_memory
from runtime.options import Reuse
from tests.fake_bundle import ENGINES, make_manifest
from tests.fake_cuda import FakeCudart, fake_memory
from tests.fake_tensorrt import FakeTensorRT, Sizes, plan

RTX = Gpu("RTX 4090", "8.9", "13.0")
PIXELS: Sizes = {"H": (16, 64, 1024), "W": (16, 64, 1024)}
PROFILES: dict[str, list[Sizes]] = {
    "planner": [
        {"S": (1, 128, 200), "C": (256, 1024, 1024)},
        {"S": (1, 1, 1), "C": (256, 1024, 1024)},
    ],
    "vision": [PIXELS],
    "window": [{"C": (256, 1024, 1024), "N": (1, 64, 512), "M": (0, 64, 512)}],
    "denoise": [{"T": (1, 16, 64), "P": (1, 64, 1024)}],
    "commit": [{"T": (1, 16, 64)}],
    "vae_decode": [{"h": (1, 4, 64), "w": (1, 4, 64)}],
    "vae_encode": [PIXELS],
}


@dataclass
class FakeMachine(Machine):
    """A machine as told; by default one with an RTX GPU and everything installed."""

    gpu: Gpu | str = RTX
    packages: Mapping[str, str] = field(default_factory=lambda: {"tensorrt-rtx-cu13": "1.7.1.116"})
    modules: Iterable[str] = ("cuda.bindings", "tensorrt_rtx", "tensorrt")
    onnx_providers: tuple[str, ...] = ("CUDAExecutionProvider", "CPUExecutionProvider")
    plugin_problem: str = ""
    cpu_features: frozenset[str] = frozenset({"avx2"})

    def version(self, package: str) -> str | None:
        return self.packages.get(package)

    def has_module(self, name: str) -> bool:
        return name in self.modules


class FakeCpuEngine(OnnxCpuEngine):
    """The fake bundle's engine in place of an ONNX Runtime session."""

    def __init__(self, bundle: Bundle, name: str, variant: Variant, threads: int | None) -> None:
        Engine.__init__(self, name, bundle.manifest.components[name], variant)
        self._stored = {n: element.stored for n, element in self.elements.items()}
        self._fake = ENGINES[name](name, self.component)

    def _run_session(self, inputs: Arrays, outputs: Arrays) -> dict[str, np.ndarray]:
        return self._fake._execute(inputs, outputs)


def device_bundle(
    folder: Path,
    names: Iterable[str] = COMPONENTS,
    kv: str = "float32",
    backend: tuple[str, str] = ("tensorrt-rtx", ""),
    profiles: Mapping[str, list[Sizes]] = PROFILES,
    **more: Any,
) -> Bundle:
    """A fake bundle in which these components have an engine too; `more` goes into the variants."""
    manifest = make_manifest(folder)
    components = dict(manifest.components)
    for name in names:
        component = components[name]
        tensors = (*component.inputs, *component.outputs)
        dtypes = {t.name: _kv_type(t.name, kv) for t in tensors if is_cache(t.name)}
        changed = {n: kind for n, kind in dtypes.items() if kind != "float32"}
        settings = {"dtypes": changed, "compute_capability": "8.9", **more}
        variant = Variant(*backend, "fp16", component.variants[0].files, **settings)
        (folder / f"{name}.plan").write_bytes(plan(name, component, variant, profiles[name]))
        variant = replace(variant, files=(file_of(folder, f"{name}.plan"),))
        components[name] = replace(component, variants=(variant, *component.variants))
    return write_manifest(folder, replace(manifest, components=components))


def _kv_type(name: str, kv: str) -> str:
    """Only references and windows are stored as float8."""
    return "float16" if kv == FLOAT8 and not name.startswith(("reference", "window")) else kv


@dataclass
class FakeGpu:
    """The fakes behind a runtime."""

    cudart: FakeCudart
    tensorrt: FakeTensorRT
    opened: int = 0


def install(patch: pytest.MonkeyPatch) -> FakeGpu:
    """Have the engines find the fakes instead of the packages."""
    memory, cudart = fake_memory()
    fake = FakeGpu(cudart, FakeTensorRT(cudart))

    def open_cuda() -> object:
        fake.opened += 1
        return memory

    patch.setattr("runtime.engines.cuda_memory.open_cuda", open_cuda)
    patch.setattr("runtime.engines.onnx_cpu.OnnxCpuEngine", FakeCpuEngine)
    for name in ("tensorrt_rtx", "tensorrt"):
        patch.setitem(sys.modules, name, fake.tensorrt)  # type: ignore[arg-type]
    return fake


def device_runtime(
    folder: Path,
    device: str = "auto",
    machine: Machine | None = None,
    reuse: Reuse | None = None,
) -> Runtime:
    """A runtime over the bundle in `folder`; `install` must have been called."""
    bundle = read_bundle(folder)
    memory = plan_memory(bundle.manifest)
    engines = open_engines(bundle, device, None, memory.max_tokens, machine or FakeMachine())
    return Runtime(bundle, engines, memory, reuse or Reuse())
