"""The TensorRT plugin, compiled and asked, where TensorRT's headers are (TENSORRT_ROOT).

No TensorRT runs: the native test calls the plugin as the runtime would, and notes what the plugin
asks of the kernel.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

pytest.importorskip("ml_dtypes", reason="the kernels' test helpers need the export extra")

from tests import native_kernels as native


def test_plugin_reads_serializes_and_calls(tmp_path: Path) -> None:
    if shutil.which("nvcc") is None:
        pytest.skip("TensorRT's headers need CUDA's, which come with nvcc")
    native.configure(
        tmp_path, "-DWEFT_CUDA=ON", "-DWEFT_TENSORRT=ON", "-DWEFT_TESTS=ON",
        missing="NvInferRuntime.h",
    )  # fmt: skip
    native.run("cmake", "--build", tmp_path, "--target", "test_plugin")
    native.run(next(tmp_path.rglob("test_plugin")))
