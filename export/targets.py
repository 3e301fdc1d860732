"""Targets and what can be made for each: the plan of an export.

| target | backends of its variants | precisions |
| --- | --- | --- |
| `cpu` | onnx-cpu | fp32, w8, int8 |
| `cuda` | onnx-cuda | fp32, fp16 |
| `tensorrt-rtx` | tensorrt-rtx (an engine per compute capability), onnx-tensorrt-rtx | fp16, fp8 |
| `tensorrt` | tensorrt (an engine for the GPU that is there) | fp16, fp8 |

A component's variants stand in the order of targets, then of precisions: the first that a machine
can run is the one it takes.
"""

from __future__ import annotations

from dataclasses import dataclass

from export.errors import ExportError
from export.precision import RECIPES
from runtime.bundle import FIRST_FP8, has_precision

PRECISIONS = {
    "cpu": ("fp32", "w8", "int8"),
    "cuda": ("fp32", "fp16"),
    "tensorrt-rtx": ("fp16", "fp8"),
    "tensorrt": ("fp16", "fp8"),
}
# target → engine and provider of the variants that are ONNX graphs.
GRAPHS = {
    "cpu": ("onnxruntime", "CPUExecutionProvider"),
    "cuda": ("onnxruntime", "CUDAExecutionProvider"),
    "tensorrt-rtx": ("onnxruntime", "NvTensorRTRTXExecutionProvider"),
}
COMPILED = ("tensorrt-rtx", "tensorrt")
# RTX 30, 40 and 50, and GB10.
CAPABILITIES = ("8.6", "8.9", "12.0", "12.1")


@dataclass(frozen=True)
class LeftOut:
    """Engines that were asked for and cannot be, with the reason."""

    target: str
    precision: str
    compute_capability: str
    reason: str

    def __str__(self) -> str:
        return (
            f"{self.target} {self.precision} engines for {self.compute_capability}: "
            f"left out, {self.reason}"
        )


@dataclass(frozen=True)
class Plan:
    """(target, precision) in the order of preference, and the precisions graphs are needed in."""

    pairs: tuple[tuple[str, str], ...]
    precisions: tuple[str, ...]

    def compiled(self) -> tuple[tuple[str, str], ...]:
        """The pairs whose target is compiled to engines."""
        return tuple(pair for pair in self.pairs if pair[0] in COMPILED)

    def left_out(self, target: str, capabilities: tuple[str, ...]) -> tuple[LeftOut, ...]:
        """What a compiled target has no engines for; raises as `check_engines` does."""
        self.check_engines(target, capabilities)
        reason = f"FP8 needs compute capability {FIRST_FP8} or newer"
        return tuple(
            LeftOut(target, precision, capability, reason)
            for precision, capability in self._engines(target, capabilities)
            if not has_precision(capability, precision)
        )

    def check_engines(self, target: str, capabilities: tuple[str, ...]) -> None:
        """Raises `ExportError` where a compiled target would have no engine at all."""
        if not any(has_precision(c, p) for p, c in self._engines(target, capabilities)):
            raise ExportError(
                f"compute capability: expected {FIRST_FP8} or newer for the fp8 engines of target "
                f"{target}, found {', '.join(capabilities)}; add precision fp16 or a newer GPU"
            )

    def _engines(self, target: str, capabilities: tuple[str, ...]) -> list[tuple[str, str]]:
        """(precision, compute capability) of every engine that is asked for."""
        return [(p, c) for t, p in self.pairs if t == target for c in capabilities]


def make_plan(targets: tuple[str, ...], precisions: tuple[str, ...]) -> Plan:
    """Raises `ExportError` for names that are unknown or do not go together."""
    check_names("target", targets, tuple(PRECISIONS))
    check_names("precision", precisions, tuple(RECIPES))
    if "cpu" not in targets:
        raise ExportError(
            f"target: expected cpu among them, found {','.join(targets)}; every bundle has graphs "
            "for the CPU, the fallback and the reference: add cpu and one of its precisions"
        )
    pairs = tuple((t, p) for t in targets for p in precisions if p in PRECISIONS[t])
    for target in targets:
        if target not in dict(pairs):
            raise ExportError(
                f"precision: target {target} has {', '.join(PRECISIONS[target])}, found "
                f"{', '.join(precisions)}; add one of them"
            )
    unused = [p for p in precisions if p not in {precision for _, precision in pairs}]
    if unused:
        takes = [t for t, known in PRECISIONS.items() if unused[0] in known]
        raise ExportError(
            f"precision: none of the targets {', '.join(targets)} has {unused[0]}; leave it out or "
            f"add a target that has it: {', '.join(takes)}"
        )
    return Plan(pairs, precisions)


def check_names(what: str, given: tuple[str, ...], known: tuple[str, ...]) -> None:
    """Raises `ExportError` unless these are known names, at least one and each once."""
    unknown = [name for name in given if name not in known]
    if unknown or not given or len(set(given)) != len(given):
        raise ExportError(
            f"{what}: expected one or more of {', '.join(known)}, each once, "
            f"found {', '.join(given) or 'none'}"
        )
