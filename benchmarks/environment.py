"""What a figure depends on besides the code: machine, packages, commit, bundle."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runtime import Runtime

PACKAGES = (
    "numpy", "onnxruntime", "onnxruntime-gpu", "onnxruntime-ep-nv-tensorrt-rtx-cu13",
    "tensorrt-rtx-cu13", "tensorrt", "cuda-python", "pillow", "tokenizers", "skia-python",
)  # fmt: skip


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def environment() -> dict[str, Any]:
    """Machine, packages and commit; `modified` says that the working tree differs from it."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    changes = _git("status", "--porcelain", "--untracked-files=no")
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": cores,
        "load_average": load,
        "memory_bytes": _memory_bytes(),
        "python": platform.python_version(),
        "packages": _versions(),
        "commit": _git("rev-parse", "HEAD"),
        "modified": None if changes is None else bool(changes),
    }


def bundle_facts(runtime: Runtime) -> dict[str, Any]:
    """Which bundle was measured."""
    bundle = runtime.bundle
    model = bundle.manifest.model
    return {
        "name": model.name,
        "revision": model.revision,
        "digest": bundle.digest,
        "bytes": sum(file.size for file in bundle.files()),
        "precision": sorted({v.precision for c in bundle.manifest.components.values()
                             for v in c.variants}),
    }  # fmt: skip
