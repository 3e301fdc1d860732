"""The TensorRT plugin, compiled and asked, where TensorRT's headers are (TENSORRT_ROOT).

The native test calls the plugin as the runtime would, and notes what the plugin asks of the kernel.
TensorRT for RTX, where it is installed, loads the library and builds engines with it; that needs no
GPU, and nothing is run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("ml_dtypes", reason="the kernels' test helpers need the export extra")

from tests import native_kernels as native

# Library and graph → an engine for compute capability 8.9, or a refusal. In a process of its own:
# a failure inside TensorRT's parser aborts.
BUILD = """
import sys, tensorrt_rtx as trt
library, graph = sys.argv[1:]
logger = trt.Logger(trt.Logger.ERROR)
builder = trt.Builder(logger)
assert builder.get_plugin_registry().load_library(library) is not None
network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
parser = trt.OnnxParser(network, logger)
parser.set_flag(trt.OnnxParserFlag.ENABLE_PLUGIN_OVERRIDE)
assert parser.parse_from_file(graph)
config = builder.create_builder_config()
config.num_compute_capabilities = 1
config.set_compute_capability(trt.ComputeCapability.SM89, 0)
engine = builder.build_serialized_network(network, config)
print("refused" if engine is None else "built")
"""


def build(folder: Path, target: str) -> Path:
    if shutil.which("nvcc") is None:
        pytest.skip("TensorRT's headers need CUDA's, which come with nvcc")
    native.configure(
        folder, "-DWEFT_CUDA=ON", "-DWEFT_TENSORRT=ON", "-DWEFT_TESTS=ON",
        "-DWEFT_CUDA_ARCHITECTURES=80", missing="NvInferRuntime.h",
    )  # fmt: skip
    native.run("cmake", "--build", folder, "--target", target)
    return folder


def test_plugin_reads_serializes_and_calls(tmp_path: Path) -> None:
    native.run(next(build(tmp_path, "test_plugin").rglob("test_plugin")))


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed")
    folder = build(tmp_path_factory.mktemp("plugin"), "weft_tensorrt")
    return next(folder.rglob("libweft_tensorrt.*"))


def graph(path: Path, dim: int) -> Path:
    """One node in float16."""
    pytest.importorskip("onnx")
    import onnx
    from onnx import TensorProto, helper

    shapes = {"q": (2, 6, 256, dim)} | {name: (2, 3, rows, dim) for name, rows in (
        ("k_window", 320), ("v_window", 320), ("k_self", 256), ("v_self", 256))}  # fmt: skip
    inputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT16, s) for n, s in shapes.items()]
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT16, shapes["q"])
    node = helper.make_node("DPCWAttention", [*shapes], ["y"], domain="weft", epsilon=1e-6)
    imports = [helper.make_opsetid("", 21), helper.make_opsetid("weft", 1)]
    made = helper.make_graph([node], "attention", inputs, [y])
    onnx.save(helper.make_model(made, opset_imports=imports, ir_version=10), path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize(("dim", "answer"), [(64, "built"), (48, "refused")])
def test_tensorrt_for_rtx_builds_what_the_kernel_takes(
    library: Path, tmp_path: Path, dim: int, answer: str
) -> None:
    libs = pytest.importorskip("tensorrt_rtx_libs", reason="TensorRT for RTX is not from its wheel")
    # The parser looks for the plugin API under this name; the wheel has the library as .so.1 only.
    versioned = next(Path(libs.__path__[0]).glob("libtensorrt_rtx.so.*"))
    (tmp_path / "libtensorrt_rtx.so").symlink_to(versioned)
    done = subprocess.run(
        [sys.executable, "-c", BUILD, library, graph(tmp_path / "node.onnx", dim)],
        env=os.environ | {"LD_LIBRARY_PATH": str(tmp_path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.split()[-1] == answer
