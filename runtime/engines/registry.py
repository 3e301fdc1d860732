"""Opens a bundle's components on a device: the chosen variant of each, or the next one.

| backend | class |
| --- | --- |
| `onnx-cpu` | `OnnxCpuEngine` |
| `onnx-cuda`, `onnx-tensorrt-rtx` | `OnnxDeviceEngine` |
| `tensorrt-rtx`, `tensorrt` | `TensorRTEngine` |
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from runtime.bundle import Bundle, Variant
from runtime.engines.base import Engine, Engines
from runtime.engines.choice import CPU_BACKEND, DEVICES, DeviceReport, Rejected
from runtime.engines.covering import CoveringEngine
from runtime.engines.machine import Gpu, Machine
from runtime.engines.selection import Selection, select
from runtime.engines.tensorrt_library import MODULES, Library
from runtime.errors import DependencyError, EngineError, OptionError

if TYPE_CHECKING:
    from runtime.engines.cuda_memory import CudaMemory

logger = logging.getLogger(__name__)


def check_device(device: str) -> None:
    """Raise `OptionError` for a device this runtime does not serve."""
    if device not in DEVICES:
        raise OptionError(f"device: expected one of {list(DEVICES)}, found {device!r}")


def choose_device(
    bundle: Bundle,
    device: str = "auto",
    max_tokens: int | None = None,
    machine: Machine | None = None,
) -> DeviceReport:
    """What would run where; nothing is opened. Raises as `open_engines` does."""
    check_device(device)
    machine = machine or Machine()
    return _report(device, select(bundle, device, machine, max_tokens), machine)


def open_engines(
    bundle: Bundle,
    device: str = "auto",
    threads: int | None = None,
    max_tokens: int | None = None,
    machine: Machine | None = None,
) -> Engines:
    """Engines of a bundle for a device; the CPU's ONNX variants are the default and the fallback.

    `max_tokens` is the size of the planner's cache. Nothing is opened yet. Raises `OptionError` for
    a device this runtime does not serve and `EngineError` where nothing can run on it here.
    """
    check_device(device)
    machine = machine or Machine()
    selections = select(bundle, device, machine, max_tokens)
    report = _report(device, selections, machine)
    logger.info("%s", report)
    opener = Opener(bundle, threads, selections, report)
    return Engines(tuple(selections), opener.open, report)


def _report(device: str, selections: dict[str, Selection], machine: Machine) -> DeviceReport:
    choices = {name: selection.choice(0) for name, selection in selections.items()}
    # The GPU is looked for only where a variant asks for one.
    looked = any(
        backend != CPU_BACKEND
        for choice in choices.values()
        for backend in (choice.backend, *(r.backend for r in choice.rejected))
    )
    gpu = machine.gpu if looked else ""
    return DeviceReport(device, str(gpu) if isinstance(gpu, Gpu) else "", choices)


class Opener:
    """Opens engines one at a time; what they share on the device is opened with the first."""

    def __init__(
        self,
        bundle: Bundle,
        threads: int | None,
        selections: dict[str, Selection],
        report: DeviceReport,
    ) -> None:
        self._bundle, self._threads = bundle, threads
        self._selections, self._report = selections, report
        self._memory: CudaMemory | None = None
        self._libraries: dict[str, Library] = {}

    def open(self, name: str) -> Engine:
        """The chosen variant; with "auto" the next usable one where it does not open."""
        selection = self._selections[name]
        rejected: tuple[Rejected, ...] = ()
        for index, variant in enumerate(selection.usable):
            last = index + 1 == len(selection.usable)
            try:
                engine = self._open(name, variant)
            except (EngineError, DependencyError) as error:
                if last or self._report.asked != "auto":
                    raise
                logger.warning("%s: %s cannot be opened: %s", name, variant.backend, error)
                rejected += (Rejected(variant.backend, variant.precision, str(error)),)
                continue
            if rejected:
                self._report.choices[name] = selection.choice(index, rejected)
            return self._covered(name, engine, selection)
        raise EngineError(f"{name}: no variant to open")

    def _covered(self, name: str, engine: Engine, selection: Selection) -> Engine:
        """With the CPU's variant behind an engine that takes only some shapes."""
        on_cpu = [v for v in selection.usable if v.backend == CPU_BACKEND]
        if not engine.memory.on_device or not on_cpu:
            return engine
        return CoveringEngine(engine, lambda: self._open(name, on_cpu[0]))

    def _open(self, name: str, variant: Variant) -> Engine:
        backend = variant.backend
        if backend == CPU_BACKEND:
            from runtime.engines.onnx_cpu import OnnxCpuEngine

            return OnnxCpuEngine(self._bundle, name, variant, self._threads)
        if backend in MODULES:
            from runtime.engines.tensorrt_engine import TensorRTEngine

            if backend not in self._libraries:
                self._libraries[backend] = Library(backend)
            library = self._libraries[backend]
            return TensorRTEngine(self._bundle, name, variant, self._cuda(), library)
        from runtime.engines.onnx_device import OnnxDeviceEngine

        return OnnxDeviceEngine(self._bundle, name, variant, self._cuda())

    def _cuda(self) -> CudaMemory:
        if self._memory is None:
            from runtime.engines.cuda_memory import open_cuda

            self._memory = open_cuda()
        return self._memory
