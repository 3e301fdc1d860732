"""Engines on a real GPU: memory and graphs, ONNX Runtime's providers, TensorRT for RTX.

Each test needs an NVIDIA GPU and the packages it names, and skips with the reason without them.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from runtime.bundle import Component, File, Variant
from runtime.engines.cuda_memory import CudaMemory, open_cuda
from runtime.engines.device_array import DeviceArray
from runtime.engines.elements import FLOAT8, Element
from runtime.engines.graphs import Graphs
from runtime.engines.machine import Gpu, Machine
from runtime.engines.onnx_device import CUDA_PROVIDER, RTX_PROVIDER, OnnxDeviceEngine
from runtime.engines.tensorrt_engine import TensorRTEngine
from runtime.engines.tensorrt_library import Library
from runtime.errors import WeftError
from runtime.interfaces import State, Tensor

pytestmark = pytest.mark.gpu

CACHE = (1, 2, "C", 64)
# TensorRT's in-place cache update takes a fixed number of slots only.
SLOTS = (1, 2, 256, 64)


@pytest.fixture(scope="module")
def memory() -> CudaMemory:
    pytest.importorskip("cuda.bindings", reason="needs cuda-python")
    return open_cuda()


def test_numbers_come_back(memory: CudaMemory) -> None:
    numbers = np.random.default_rng(0).standard_normal((1, 3, 50, 64)).astype(np.float32)
    for element in (Element("float32"), Element("float16"), Element(FLOAT8, 0.5)):
        array = memory.empty(numbers.shape, element)
        array.write(numbers)
        np.testing.assert_array_equal(array.numpy(), element.decode(element.encode(numbers)))


def test_rows_move_and_join(memory: CudaMemory) -> None:
    numbers = np.random.default_rng(1).standard_normal((1, 3, 50, 64)).astype(np.float32)
    flat = memory.zeros((3 * 80 * 64,))
    old, new = memory.prefix(flat, numbers.shape), memory.prefix(flat, (1, 3, 80, 64))
    old[...] = numbers
    memory.move_rows(old, new, 40)
    np.testing.assert_array_equal(np.asarray(new)[:, :, :40], numbers[:, :, :40])
    target = memory.zeros((1, 3, 90, 64))
    memory.join_rows([np.ascontiguousarray(numbers[:, :, :50]), new[:, :, :40]], target)
    np.testing.assert_array_equal(np.asarray(target)[:, :, :50], numbers)


def test_captured_work_is_replayed(memory: CudaMemory) -> None:
    source, target = memory.empty((1000,)), memory.empty((1000,))
    graphs = Graphs(memory, "copy")
    for number in range(5):
        source.write(np.full(1000, number, np.float32))
        graphs.run("copy", lambda captured: (lambda: memory.copy(source, target), None))
        assert (target.numpy() == number).all()
    assert len(graphs) == 1


def cache_component() -> Component:
    return Component(
        (
            Tensor("past.k.0", "float32", CACHE),
            Tensor("update", "float32", (1, 2, "S", 64)),
            Tensor("offset", "int64", (1,)),
        ),
        (Tensor("present.k.0", "float32", CACHE), Tensor("sum", "float32", (1, 2, 1, 64))),
        (State("past.k.0", "present.k.0"),),
        (),
    )


def cache_model(element: str) -> Any:
    """Writes `update` at `offset` of the cache, and sums the cache's rows."""
    onnx = pytest.importorskip("onnx", reason="makes the graphs of these tests")
    helper = onnx.helper
    kind = {"float32": onnx.TensorProto.FLOAT, "float16": onnx.TensorProto.FLOAT16}[element]
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node("TensorScatter", ["past.k.0", "update", "offset"], ["present.k.0"],
                             axis=-2),
            helper.make_node("ReduceSum", ["present.k.0", "axes"], ["sum"], keepdims=1),
        ],
        "cache",
        [
            info("past.k.0", kind, SLOTS),
            info("update", kind, (1, 2, "S", 64)),
            info("offset", onnx.TensorProto.INT64, (1,)),
        ],
        [info("present.k.0", kind, SLOTS), info("sum", kind, (1, 2, 1, 64))],
        [onnx.numpy_helper.from_array(np.array([2], np.int64), "axes")],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 24)], ir_version=10)


def variant_of(engine: str, provider: str, element: str, file: str) -> Variant:
    names = ("past.k.0", "present.k.0", "update", "sum")
    dtypes = {} if element == "float32" else dict.fromkeys(names, element)
    return Variant(engine, provider, "fp16", (File(file, 0, "0" * 64),), dtypes=dtypes)


def bundle_of(folder: Path) -> Any:
    return SimpleNamespace(
        manifest=SimpleNamespace(components={"x": cache_component()}),
        path=lambda file: folder / file.path,
    )


def check_cache(engine: OnnxDeviceEngine | TensorRTEngine) -> None:
    """Rows are written in place, one after another, with shapes and addresses that come again."""
    cache = engine.memory.zeros(SLOTS, engine.elements["past.k.0"])
    wanted = np.zeros(SLOTS, np.float32)
    for slot in range(6):
        rows = np.full((1, 2, 1, 64), slot + 1, np.float32)
        wanted[:, :, slot] = slot + 1
        inputs = {"past.k.0": cache, "update": rows, "offset": np.array([slot], np.int64)}
        found = engine.run(inputs)["sum"]
        np.testing.assert_allclose(found, wanted.sum(axis=2, keepdims=True))
    assert isinstance(cache, DeviceArray)
    np.testing.assert_array_equal(np.asarray(cache, np.float32), wanted)


@pytest.mark.parametrize("provider", [CUDA_PROVIDER, RTX_PROVIDER])
@pytest.mark.parametrize("element", ["float32", "float16"])
def test_onnx_runtime_updates_its_cache_in_place(
    memory: CudaMemory, tmp_path: Path, provider: str, element: str
) -> None:
    machine = Machine()
    if provider == CUDA_PROVIDER and provider not in machine.onnx_providers:
        pytest.skip("needs onnxruntime-gpu")
    if provider == RTX_PROVIDER and machine.plugin_problem:
        pytest.skip(machine.plugin_problem)
    model = cache_model(element)
    (tmp_path / "x.onnx").write_bytes(model.SerializeToString())
    variant = variant_of("onnxruntime", provider, element, "x.onnx")
    check_cache(OnnxDeviceEngine(bundle_of(tmp_path), "x", variant, memory))


def test_tensorrt_for_rtx_updates_its_cache_in_place(memory: CudaMemory, tmp_path: Path) -> None:
    trt = pytest.importorskip("tensorrt_rtx", reason="needs tensorrt-rtx-cu13")
    gpu = Machine().gpu
    assert isinstance(gpu, Gpu)
    if f"SM{gpu.compute_capability.replace('.', '')}" not in trt.ComputeCapability.__members__:
        pytest.skip(f"TensorRT for RTX has no engines for {gpu}")
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    assert parser.parse(cache_model("float16").SerializeToString())
    profile = builder.create_optimization_profile()
    profile.set_shape("update", (1, 2, 1, 64), (1, 2, 1, 64), (1, 2, 8, 64))
    config = builder.create_builder_config()
    config.add_optimization_profile(profile)
    (tmp_path / "x.plan").write_bytes(bytes(builder.build_serialized_network(network, config)))
    variant = variant_of("tensorrt-rtx", "", "float16", "x.plan")
    library = Library("tensorrt-rtx")
    check_cache(TensorRTEngine(bundle_of(tmp_path), "x", variant, memory, library))


@pytest.mark.parametrize("device", ["cuda", "tensorrt-rtx", "tensorrt"])
def test_the_shipped_bundle_draws_nearly_the_same_picture(device: str) -> None:
    import runtime

    try:
        on_device = runtime.load(device=device)
    except WeftError as error:
        pytest.skip(str(error))
    options: dict[str, Any] = {"seed": 5, "size": (128, 128), "max_images": 1, "temperature": 0.0}
    prompt = "Draw a red fox with a blue scarf in the forest."
    mine = on_device.generate(prompt, **options).images
    theirs = runtime.load(device="cpu").generate(prompt, **options).images
    error = np.square(mine[0].pixels.astype(float) - theirs[0].pixels).mean()
    assert 10 * np.log10(255**2 / max(error, 1e-9)) > 20
