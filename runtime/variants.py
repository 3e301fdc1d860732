"""What `bundle.json` says of one compiled form of a component, and the checks of it.

| engine | provider | `backend` | files[0] | runs on |
| --- | --- | --- | --- | --- |
| `onnxruntime` | `CPUExecutionProvider` | `onnx-cpu` | ONNX graph | any CPU |
| `onnxruntime` | `CUDAExecutionProvider` | `onnx-cuda` | ONNX graph | NVIDIA GPU |
| `onnxruntime` | `NvTensorRTRTXExecutionProvider` | `onnx-tensorrt-rtx` | ONNX graph | RTX GPU |
| `tensorrt-rtx` | "" | `tensorrt-rtx` | serialized engine | RTX GPU of its compute capability |
| `tensorrt` | "" | `tensorrt` | serialized engine | the GPU it was built on |

A variant computes what its component says, with the same names and shapes. Only `dtypes` may
differ: keys and values of a float16 variant are float16 outside too, so that they stay in place,
and those of references and windows may be `float8e4m3fn`, with `kv_scale`. Engines convert where
variants that run together differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from runtime.errors import BundleError
from runtime.interfaces import Tensor

BACKENDS = {
    ("onnxruntime", "CPUExecutionProvider"): "onnx-cpu",
    ("onnxruntime", "CUDAExecutionProvider"): "onnx-cuda",
    ("onnxruntime", "NvTensorRTRTXExecutionProvider"): "onnx-tensorrt-rtx",
    ("tensorrt-rtx", ""): "tensorrt-rtx",
    ("tensorrt", ""): "tensorrt",
}
PRECISIONS = ("fp32", "w8", "int8", "fp16", "fp8")
# In `requires`: an engine's TensorRT plugin, as the library's file name, a space and its sha256.
PLUGIN = "tensorrt-plugin"
# The first GPUs that multiply float8; for older ones TensorRT refuses a graph that has any.
FIRST_FP8 = "8.9"
KV_DTYPES = ("float32", "float16", "float8e4m3fn")
# `past.k.0`, `window.v.3`, …: keys and values, the planner's and the visualizer's.
_PLANNER_KV = re.compile(r"(past|present|planner)\.[kv]\.\d+")
_WINDOW_KV = re.compile(r"(reference|window)\.[kv]\.\d+")


def has_precision(capability: str, precision: str) -> bool:
    """Whether GPUs of this compute capability run variants of this precision."""
    return precision != "fp8" or _number(capability) >= _number(FIRST_FP8)


def _number(capability: str) -> tuple[int, ...]:
    return tuple(int(part) for part in capability.split("."))


@dataclass(frozen=True)
class File:
    """A file of the bundle: relative POSIX path, size in bytes, lower-case hex sha256."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Gate:
    """What verification demands of a figure of `parity`: at most `limit`, or at least."""

    figure: str
    limit: float
    at_least: bool = False

    def holds(self, found: float) -> bool:
        """Whether the figure `found` passes."""
        return found >= self.limit if self.at_least else found <= self.limit


@dataclass(frozen=True)
class Profile:
    """Shapes an engine's kernels were made for: every free size of the component (`S`, `C`, `T`,
    `P`, `N`, `M`, `H`, `W`, `h`, `w`) with its least, usual and greatest value. `index` is the
    number of the optimization profile in the engine."""

    name: str
    index: int
    sizes: dict[str, tuple[int, int, int]]

    def covers(self, sizes: dict[str, int]) -> bool:
        """Whether the free sizes of a call are inside."""
        return all(
            name in self.sizes and self.sizes[name][0] <= size <= self.sizes[name][2]
            for name, size in sizes.items()
        )


@dataclass(frozen=True)
class Variant:
    """One compiled form of a component.

    `files[0]` is the graph or engine; the others are the data it refers to. `parity` holds figures
    from verification (name → value, such as `relative_error`) and `gates` what was demanded of
    them. `layers` is the precision each layer with weights really got. `compute_capability` ("8.9")
    is "" where any device will do. `requires` names what a runtime must have for it: packages of an
    engine with their exact version, `cpu` features, a TensorRT plugin; a runtime skips a variant
    whose requirements it does not know or meet. `dtypes` gives the type of every tensor that
    differs from the component's. `kv_scale` is what float8 keys and values are multiplied with.
    `digest` is the digest of everything an engine was built from, for engines only: their own bytes
    may differ from build to build.
    """

    engine: str
    provider: str
    precision: str
    files: tuple[File, ...]
    compute_capability: str = ""
    parity: dict[str, float] = field(default_factory=dict)
    gates: tuple[Gate, ...] = ()
    layers: dict[str, str] = field(default_factory=dict)
    profiles: tuple[Profile, ...] = ()
    dtypes: dict[str, str] = field(default_factory=dict)
    kv_scale: float = 1.0
    requires: dict[str, str] = field(default_factory=dict)
    digest: str = ""

    @property
    def backend(self) -> str:
        """Which of `BACKENDS` runs it; "" for one this runtime does not know."""
        return BACKENDS.get((self.engine, self.provider), "")

    @property
    def kv_dtype(self) -> str:
        """The type of the planner's keys and values, float32 where it says nothing of them."""
        return next(iter(_types(self, _PLANNER_KV)), "float32")

    @property
    def window_dtype(self) -> str:
        """The type of references' and windows' keys and values, float32 where it says nothing."""
        return next(iter(_types(self, _WINDOW_KV)), "float32")

    def tensors(self, tensors: Iterable[Tensor]) -> tuple[Tensor, ...]:
        """A component's inputs or outputs with the types this variant really has."""
        return tuple(Tensor(t.name, self.dtypes.get(t.name, t.dtype), t.shape) for t in tensors)

    def failures(self) -> list[str]:
        """A sentence for every gate that does not hold, or whose figure is missing."""
        return failed_gates(self.parity, self.gates)


def _types(variant: Variant, names: re.Pattern[str]) -> set[str]:
    return {kind for name, kind in variant.dtypes.items() if names.fullmatch(name)}


def failed_gates(figures: dict[str, float], gates: Iterable[Gate]) -> list[str]:
    """A sentence for every gate that `figures` do not pass."""
    failed = []
    for gate in gates:
        found = figures.get(gate.figure)
        if found is None or not gate.holds(found):
            bound = "at least" if gate.at_least else "at most"
            shown = "none" if found is None else f"{found:g}"
            failed.append(f"{gate.figure}: expected {bound} {gate.limit:g}, found {shown}")
    return failed


def check_variant(where: str, variant: Variant, tensors: Iterable[Tensor]) -> None:
    """Raise `BundleError` where a variant contradicts itself or its component's `tensors`."""
    names = {tensor.name for tensor in tensors}
    unknown = sorted(variant.dtypes.keys() - names)
    planner, window = _types(variant, _PLANNER_KV), _types(variant, _WINDOW_KV)
    kinds = planner | window
    gated = sorted({gate.figure for gate in variant.gates} - variant.parity.keys())
    for holds, message in (
        (bool(variant.files), "a variant without files"),
        (not unknown, f"dtypes of tensors the component does not have: {unknown}"),
        (
            len(planner) <= 1 and len(window) <= 1,
            f"dtypes: expected one type for keys and values, found {sorted(kinds)}",
        ),
        (kinds <= set(KV_DTYPES), f"dtypes: expected one of {KV_DTYPES}, found {sorted(kinds)}"),
        (variant.kv_scale > 0, "kv_scale: expected more than 0"),
        (not variant.parity or not gated, f"gates without a figure: {gated}"),
        (
            re.fullmatch(r"(\d+\.\d+)?", variant.compute_capability) is not None,
            f'compute_capability: expected one like "8.9", found {variant.compute_capability!r}',
        ),
        (
            all(0 <= a <= b <= c for p in variant.profiles for a, b, c in p.sizes.values()),
            "profiles: expected sizes that do not fall from least to greatest",
        ),
    ):
        if not holds:
            raise BundleError(f"{where}: {message}")
