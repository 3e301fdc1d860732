"""Which variants of a component this machine can run, best first, and why not the others.

Looks at what the manifest says and what the machine has; opens nothing. What only opening can show
is found by `registry`, which then takes the next one.
"""

from __future__ import annotations

from dataclasses import dataclass

from runtime.bundle import Bundle, Variant
from runtime.engines.choice import BACKENDS, CPU_BACKEND, Choice, Rejected
from runtime.engines.machine import Gpu, Machine
from runtime.engines.tensorrt_library import MODULES, find_plugin
from runtime.errors import EngineError
from runtime.variants import FIRST_FP8, PLUGIN, failed_gates, has_precision

# What a manifest may call a package → the distributions it comes in.
_DISTRIBUTIONS = {
    "tensorrt-rtx": ("tensorrt-rtx-cu13", "tensorrt-rtx-cu12", "tensorrt-rtx"),
    "tensorrt": ("tensorrt", "tensorrt-cu13", "tensorrt-cu12"),
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu"),
}


@dataclass(frozen=True)
class Selection:
    """The usable variants of a component, best first, and what was passed over."""

    usable: tuple[Variant, ...]
    rejected: tuple[Rejected, ...]

    def choice(self, index: int, more: tuple[Rejected, ...] = ()) -> Choice:
        """The choice of the usable variant `index`; `more` was rejected when it was opened."""
        variant, passed = self.usable[index], (*self.rejected, *more)
        if not passed:
            reason = "the first in the manifest" if len(self.usable) > 1 else "the only one"
        elif variant.backend == CPU_BACKEND and all(r.backend != CPU_BACKEND for r in passed):
            reason = "the fallback: nothing faster can run here"
        else:
            reason = "the best that can run here"
        if variant.gates and not variant.parity:
            reason += ", not verified"
        return Choice(variant.backend, variant.precision, reason, passed)


def select(
    bundle: Bundle, device: str, machine: Machine, max_tokens: int | None = None
) -> dict[str, Selection]:
    """A selection for every component; raises `EngineError` where the device cannot be had."""
    found = {name: _of(bundle, name, device, machine, max_tokens) for name in _names(bundle)}
    for name, selection in found.items():
        if not selection.usable:
            raise EngineError(
                f"{bundle.folder}: component {name!r}: expected a variant that runs on ONNX "
                f"Runtime's CPU provider, found {_reasons([selection])}; export the bundle again"
            )
    devices = [b for b in BACKENDS[device] if b != CPU_BACKEND]
    if device != "auto" and devices:
        on_device = any(v.backend in devices for s in found.values() for v in s.usable)
        if not on_device:
            raise EngineError(
                f"device {device!r}: expected a component that can run on it here, found none: "
                f"{_reasons(list(found.values()))}; use device='auto' or 'cpu', or export the "
                f"bundle with --target {device}"
            )
    return found


def _names(bundle: Bundle) -> tuple[str, ...]:
    return tuple(bundle.manifest.components)


def _reasons(selections: list[Selection]) -> str:
    found = dict.fromkeys(str(r) for s in selections for r in s.rejected)
    return "; ".join(found) or "the bundle has no variant for it"


def _of(
    bundle: Bundle, name: str, device: str, machine: Machine, max_tokens: int | None
) -> Selection:
    """The device's backends in their order, and within each the manifest's order."""
    usable: list[Variant] = []
    rejected: list[Rejected] = []
    variants = bundle.manifest.components[name].variants
    for backend in BACKENDS[device]:
        for variant in variants:
            if variant.backend == backend:
                reason = _problem(bundle, variant, machine, max_tokens)
                if reason:
                    rejected.append(Rejected(backend, variant.precision, reason))
                else:
                    usable.append(variant)
    return Selection(tuple(usable), tuple(rejected))


def _problem(bundle: Bundle, variant: Variant, machine: Machine, max_tokens: int | None) -> str:
    """Why a variant cannot run here; "" where nothing speaks against it."""
    whole = bundle.manifest.verification.get(f"{variant.backend} {variant.precision}")
    failures = variant.failures() if variant.parity else []
    if whole is not None:
        failures += failed_gates(whole.figures, whole.gates)
    if failures:
        return f"failed its gate: {failures[0]}"
    return (
        _requirement(variant, machine)
        or ("" if variant.backend == CPU_BACKEND else _device_problem(variant, machine))
        or _too_small(variant, max_tokens)
    )


def _requirement(variant: Variant, machine: Machine) -> str:
    for name, wanted in variant.requires.items():
        if name == "cpu":
            missing = sorted(set(wanted.replace(",", " ").split()) - machine.cpu_features)
            if missing:
                return f"needs a processor with {', '.join(missing)}"
            continue
        if name == PLUGIN:
            try:
                find_plugin(wanted)
            except EngineError as error:
                return str(error)
            continue
        packages = _DISTRIBUTIONS.get(name.replace("_", "-"), (name,))
        found = next((v for p in packages if (v := machine.version(p))), None)
        if found is None:
            return f"needs {name} {wanted}, which is not installed"
        if not f"{found}.".startswith(f"{wanted}."):
            return f"needs {name} {wanted}, found {found}; install that or export the bundle again"
    return ""


def _device_problem(variant: Variant, machine: Machine) -> str:
    gpu = machine.gpu
    if not isinstance(gpu, Gpu):
        return gpu
    # For every backend: TensorRT refuses such a graph, CUDA has no float8 products to gain by. And
    # before an engine's compute capability, because no export could make one for this GPU.
    if not has_precision(gpu.compute_capability, variant.precision):
        return (
            f"{variant.precision} needs compute capability {FIRST_FP8} or newer, "
            f"{gpu.name} has {gpu.compute_capability}"
        )
    wanted = variant.compute_capability
    if wanted and wanted != gpu.compute_capability:
        return (
            f"made for compute capability {wanted}, {gpu.name} has {gpu.compute_capability}; "
            "export the bundle for it"
        )
    if not machine.has_module("cuda.bindings"):
        return "needs cuda-python, which is not installed; pip install cuda-python"
    if variant.backend in MODULES:
        module, remedy = MODULES[variant.backend]
        return "" if machine.has_module(module) else f"needs {module}; {remedy}"
    if variant.backend == "onnx-tensorrt-rtx":
        return machine.plugin_problem
    if variant.provider in machine.onnx_providers:
        return ""
    return (
        f"needs an ONNX Runtime with {variant.provider}, found "
        f"{', '.join(machine.onnx_providers) or 'none'}; pip uninstall -y onnxruntime "
        "onnxruntime-gpu, then pip install onnxruntime-gpu"
    )


def _too_small(variant: Variant, max_tokens: int | None) -> str:
    most = [p.sizes["C"][2] for p in variant.profiles if "C" in p.sizes]
    if max_tokens is None or not most or max(most) >= max_tokens:
        return ""
    return f"its cache holds {max(most)} tokens, {max_tokens} are asked for (max_tokens)"
