"""The ONNX Runtime engine on hand-made graphs: in-place state, folded int8 weights, checks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from runtime.bundle import Bundle, Component, File, Manifest, Variant
from runtime.engines.elements import Element
from runtime.engines.onnx_cpu import OnnxCpuEngine
from runtime.errors import EngineError
from runtime.interfaces import State, Tensor
from tests.fake_cuda import fake_memory

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


class OneComponent:
    """As much of a bundle as an engine looks at."""

    def __init__(self, folder: Path, component: Component) -> None:
        self.folder = folder
        self.manifest = type("M", (), {"components": {"x": component}})()

    def path(self, file: File) -> Path:
        return self.folder / file.path


def open_engine(
    folder: Path,
    graph: onnx.GraphProto,
    inputs: tuple[Tensor, ...],
    outputs: tuple[Tensor, ...],
    state: tuple[State, ...] = (),
) -> OnnxCpuEngine:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 24)], ir_version=10)
    onnx.save(
        model, folder / "x.onnx", save_as_external_data=True, location="x.weights", size_threshold=0
    )
    variant = Variant("onnxruntime", "CPUExecutionProvider", "w8", (File("x.onnx", 0, ""),))
    bundle = OneComponent(folder, Component(inputs, outputs, state, (variant,)))
    assert Bundle is not None and Manifest is not None
    return OnnxCpuEngine(bundle, "x", variant, 1)  # type: ignore[arg-type]


@pytest.fixture
def cache_engine(tmp_path: Path) -> OnnxCpuEngine:
    """Writes `update` at `offset` and sums the cache."""
    graph = helper.make_graph(
        [
            helper.make_node("TensorScatter", ["past", "update", "offset"], ["present"], axis=-2),
            helper.make_node("ReduceSum", ["present"], ["sum"], keepdims=0),
        ],
        "cache",
        [
            helper.make_tensor_value_info("past", FLOAT, [1, 1, "C", 2]),
            helper.make_tensor_value_info("update", FLOAT, [1, 1, "S", 2]),
            helper.make_tensor_value_info("offset", INT64, [1]),
        ],
        [
            helper.make_tensor_value_info("present", FLOAT, [1, 1, "C", 2]),
            helper.make_tensor_value_info("sum", FLOAT, []),
        ],
    )
    cache = (1, 1, "C", 2)
    return open_engine(
        tmp_path,
        graph,
        (
            Tensor("past", "float32", cache),
            Tensor("update", "float32", (1, 1, "S", 2)),
            Tensor("offset", "int64", (1,)),
        ),
        (Tensor("present", "float32", cache), Tensor("sum", "float32", ())),
        (State("past", "present"),),
    )


def test_state_is_written_in_place(cache_engine: OnnxCpuEngine) -> None:
    cache = np.zeros((1, 1, 8, 2), np.float32)
    for offset, count in ((0, 3), (3, 1), (4, 2)):
        update = np.full((1, 1, count, 2), offset + 1, np.float32)
        inputs = {"past": cache, "update": update, "offset": np.array([offset], np.int64)}
        outputs = cache_engine.run(inputs)
        assert set(outputs) == {"sum"}
    assert cache[0, 0, :, 0].tolist() == [1, 1, 1, 4, 5, 5, 0, 0]
    assert outputs["sum"] == cache.sum()
    total = np.zeros((), np.float32)
    assert cache_engine.run(inputs, {"sum": total})["sum"] is total
    assert total == cache.sum()


def test_arrays_of_a_device_pass_through_the_host(cache_engine: OnnxCpuEngine) -> None:
    memory, _ = fake_memory()
    cache, total = memory.zeros((1, 1, 8, 2), Element("float16")), memory.zeros(())
    update, offset = np.full((1, 1, 2, 2), 3, np.float32), np.array([4], np.int64)
    with pytest.raises(EngineError, match="'past': expected float32"):
        cache_engine.run({"past": cache, "update": update, "offset": offset})
    cache = memory.zeros((1, 1, 8, 2))
    inputs = {"past": cache, "update": update, "offset": offset}
    assert cache_engine.run(inputs, {"sum": total})["sum"] is total
    assert np.asarray(cache)[0, 0, :, 0].tolist() == [0, 0, 0, 0, 3, 3, 0, 0]
    assert np.asarray(total) == 12


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"past": None}, r"missing inputs \['past'\]"),
        ({"extra": np.zeros(1)}, r"unknown inputs \['extra'\]"),
        ({"offset": np.zeros(1, np.int32)}, "'offset': expected int64"),
        ({"offset": np.zeros(2, np.int64)}, "'offset': expected int64"),
        ({"update": np.zeros((1, 1, 2), np.float32)}, "'update': expected float32"),
        ({"past": np.zeros((1, 1, 2, 8), np.float32).swapaxes(2, 3)}, "contiguous"),
    ],
)
def test_wrong_inputs_are_named(
    cache_engine: OnnxCpuEngine, change: dict[str, np.ndarray | None], message: str
) -> None:
    inputs: dict[str, np.ndarray | None] = {
        "past": np.zeros((1, 1, 8, 2), np.float32),
        "update": np.zeros((1, 1, 1, 2), np.float32),
        "offset": np.zeros(1, np.int64),
    }
    given = {name: a for name, a in (inputs | change).items() if a is not None}
    with pytest.raises(EngineError, match=message):
        cache_engine.run(given)


def matmul_graph(weight: np.ndarray) -> tuple[onnx.GraphProto, np.ndarray]:
    scale = np.abs(weight).max(axis=0).astype(np.float32) / 127
    quantized = np.rint(weight / scale).astype(np.int8)
    graph = helper.make_graph(
        [
            helper.make_node("DequantizeLinear", ["w", "scale"], ["weight"], axis=1),
            helper.make_node("MatMul", ["a", "weight"], ["b"]),
        ],
        "w8",
        [helper.make_tensor_value_info("a", FLOAT, ["S", 64])],
        [helper.make_tensor_value_info("b", FLOAT, ["S", 32])],
        [numpy_helper.from_array(quantized, "w"), numpy_helper.from_array(scale, "scale")],
    )
    return graph, quantized * scale


def test_int8_weights_are_folded_to_float(tmp_path: Path) -> None:
    weight = np.random.default_rng(0).standard_normal((64, 32)).astype(np.float32)
    graph, dequantized = matmul_graph(weight)
    inputs, outputs = (Tensor("a", "float32", ("S", 64)),), (Tensor("b", "float32", ("S", 32)),)
    engine = open_engine(tmp_path, graph, inputs, outputs)
    a = np.random.default_rng(1).standard_normal((5, 64)).astype(np.float32)
    assert np.allclose(engine.run({"a": a})["b"], a @ dequantized, atol=1e-4)
    assert (tmp_path / "x.weights").stat().st_size < weight.nbytes / 2


def test_folding_leaves_no_quantized_operator(tmp_path: Path) -> None:
    import onnxruntime

    from runtime.engines.onnx_cpu import cpu_session_options

    graph, _ = matmul_graph(np.random.default_rng(0).standard_normal((64, 32)))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 24)], ir_version=10)
    options = cpu_session_options(onnxruntime, 1)
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    onnxruntime.InferenceSession(model.SerializeToString(), options)
    kinds = [node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node]
    assert kinds == ["MatMul"]


def test_a_graph_that_differs_from_the_manifest_is_refused(tmp_path: Path) -> None:
    graph, _ = matmul_graph(np.ones((64, 32), np.float32))
    with pytest.raises(EngineError, match="inputs differ from the manifest"):
        open_engine(
            tmp_path,
            graph,
            (Tensor("a", "float16", ("S", 64)),),
            (Tensor("b", "float32", ("S", 32)),),
        )
    (tmp_path / "x.onnx").write_bytes(b"broken")
    variant = Variant("onnxruntime", "CPUExecutionProvider", "", (File("x.onnx", 0, ""),))
    bundle = OneComponent(tmp_path, Component((), (), (), (variant,)))
    with pytest.raises(EngineError, match="cannot open"):
        OnnxCpuEngine(bundle, "x", variant, 1)  # type: ignore[arg-type]
