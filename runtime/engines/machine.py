"""What this machine has: the GPU and its driver, packages, CPU features. Looked at once, on demand.

The driver is asked through its own library, without any package, so that a missing driver and a
missing package are told apart.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.metadata
import importlib.util
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from runtime.errors import WeftError

_NAME_BYTES = 256
# cuDeviceGetAttribute: compute capability, major and minor.
_MAJOR, _MINOR = 75, 76


@dataclass(frozen=True)
class Gpu:
    """The first visible CUDA device; `driver` is the newest CUDA version its driver serves."""

    name: str
    compute_capability: str
    driver: str

    def __str__(self) -> str:
        return f"{self.name}, compute capability {self.compute_capability}, CUDA {self.driver}"


class Machine:
    """Answers are kept: a machine does not change while a process runs."""

    @cached_property
    def gpu(self) -> Gpu | str:
        """The GPU, or why there is none."""
        try:
            driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        except OSError:
            return "no NVIDIA driver (libcuda.so.1 is not there)"
        return _first_device(driver)

    @cached_property
    def cpu_features(self) -> frozenset[str]:
        """The processor's flags as Linux names them; empty where it does not tell."""
        try:
            text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        except OSError:
            return frozenset()
        for line in text.splitlines():
            name, _, rest = line.partition(":")
            if name.strip().lower() in ("flags", "features"):
                return frozenset(rest.split())
        return frozenset()

    def version(self, package: str) -> str | None:
        """The version of an installed distribution."""
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            return None

    def has_module(self, name: str) -> bool:
        """Whether a module can be found, without importing more than its parents."""
        try:
            return importlib.util.find_spec(name) is not None
        except (ImportError, ValueError):
            return False

    @cached_property
    def onnx_providers(self) -> tuple[str, ...]:
        """The providers built into the installed ONNX Runtime."""
        from runtime.engines.onnx_session import import_onnxruntime

        try:
            return tuple(import_onnxruntime().get_available_providers())
        except WeftError:
            return ()

    @cached_property
    def plugin_problem(self) -> str:
        """Why the TensorRT-for-RTX plugin cannot be used; "" where it can."""
        from runtime.engines.onnx_plugin import plugin_devices
        from runtime.engines.onnx_session import import_onnxruntime

        try:
            return "" if plugin_devices(import_onnxruntime()) else "it offers no device here"
        except WeftError as error:
            return str(error)


def _first_device(driver: ctypes.CDLL) -> Gpu | str:
    status = driver.cuInit(0)
    if status != 0:
        return f"the NVIDIA driver does not start (cuInit gave {status})"
    count, version, device = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    if driver.cuDeviceGetCount(ctypes.byref(count)) != 0 or count.value == 0:
        return "the NVIDIA driver shows no GPU"
    driver.cuDriverGetVersion(ctypes.byref(version))
    driver.cuDeviceGet(ctypes.byref(device), 0)
    name = ctypes.create_string_buffer(_NAME_BYTES)
    driver.cuDeviceGetName(name, _NAME_BYTES, device)
    numbers = []
    for attribute in (_MAJOR, _MINOR):
        number = ctypes.c_int()
        driver.cuDeviceGetAttribute(ctypes.byref(number), attribute, device)
        numbers.append(number.value)
    return Gpu(
        name.value.decode(errors="replace"),
        "{}.{}".format(*numbers),
        f"{version.value // 1000}.{version.value % 1000 // 10}",
    )
