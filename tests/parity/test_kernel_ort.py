"""The ONNX Runtime operator on the CPU: the node as operator against the function, inlined.

Built where ONNX Runtime's C headers are: found by CMake, or named by ORT_ROOT.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("ml_dtypes", reason="the kernels' test helpers need the export extra")
pytest.importorskip("torch", reason="the operator's declaration is a torch module")

import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from tests import native_kernels as native
from tests.dpcw_reference import Call, random_call, reference, relative_error
from training.models.dpcw import OPERATOR

OPSET = 24
TYPES = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.int32): TensorProto.INT32}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The operator library, built from the tree as it stands."""
    folder = tmp_path_factory.mktemp("operator")
    native.configure(folder, "-DWEFT_ORT=ON", missing="onnxruntime_cxx_api.h")
    native.run("cmake", "--build", folder, "--target", "weft_ort")
    return next(folder.rglob("libweft_ort.*"))


def model(call: Call, function: bool, ranks: bool = True) -> bytes:
    """One node; with the function's standard body where `function`. `ranks`: the inputs declare
    their shapes. A tensor of a type that numpy lacks is a constant."""
    names = [*OPERATOR.inputs]
    for name in OPERATOR.optional:
        names.append(name if getattr(call, name) is not None else "")
    while names[-1] == "":
        names.pop()
    tensors = {name: getattr(call, name) for name in names if name}
    inputs = [
        helper.make_tensor_value_info(name, TYPES[x.dtype], x.shape if ranks else None)
        for name, x in tensors.items() if x.dtype in TYPES
    ]  # fmt: skip
    constants = [
        numpy_helper.from_array(x, name) for name, x in tensors.items() if x.dtype not in TYPES
    ]
    given: dict[str, Any] = {} if function else {"epsilon": call.epsilon, "series": call.series}
    node = helper.make_node(OPERATOR.name, names, OPERATOR.outputs, domain=OPERATOR.domain, **given)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, call.q.shape)
    graph = helper.make_graph([node], "attention", inputs, [y], constants)
    functions = []
    if function:
        from export.components.visualizer import dpcw_function

        functions = [dpcw_function()]
    imports = [helper.make_opsetid("", OPSET), helper.make_opsetid(OPERATOR.domain, 1)]
    made = helper.make_model(graph, opset_imports=imports, functions=functions, ir_version=10)
    return bytes(made.SerializeToString())


def run(data: bytes, call: Call, library: Path | None, threads: int = 1) -> np.ndarray:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    if library is not None:
        options.register_custom_ops_library(str(library))
    session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    feeds = {i.name: getattr(call, i.name) for i in session.get_inputs()}
    y: np.ndarray = session.run(None, feeds)[0]
    return y


@pytest.mark.parametrize("window", [0, 1, 64, 321])
def test_operator_and_inlined_function_agree(library: Path, window: int) -> None:
    call = random_call(heads=6, kv_heads=3, tokens=40, window=window)
    expected = reference(call)
    for data, registered in ((model(call, False), library), (model(call, True), None)):
        assert relative_error(run(data, call, registered), expected) <= 2e-6


def test_a_registered_operator_is_taken_before_the_function(library: Path) -> None:
    call = random_call(heads=6, kv_heads=3, tokens=40, window=70)
    alone = run(model(call, False), call, library)
    both = run(model(call, True), call, library)
    assert alone.tobytes() == both.tobytes()


def test_optional_inputs_and_attributes(library: Path) -> None:
    call = random_call(
        batch=4, heads=4, kv_heads=2, tokens=21, window=30, norms=True, tables=4, series=2,
        window_length=(30, 0, 1, 9), self_length=(21, 3, 0, 7),
    )  # fmt: skip
    assert relative_error(run(model(call, False), call, library), reference(call)) <= 2e-6


def test_fp8_window_without_the_inputs_before_its_scales(library: Path) -> None:
    call = random_call(heads=4, kv_heads=2, tokens=21, window=70, window_dtype=native.FP8)
    assert relative_error(run(model(call, False), call, library), reference(call)) <= 2e-6


def test_inputs_of_unknown_rank(library: Path) -> None:
    """The runtime, too, must not take the output's shape for known: it would fold this node."""
    call = random_call(heads=4, kv_heads=2, tokens=21, window=30)
    made = onnx.load_from_string(model(call, False, ranks=False))
    made.graph.node.append(helper.make_node("Shape", ["y"], ["shape"]))
    made.graph.output[0].CopyFrom(helper.make_tensor_value_info("shape", TensorProto.INT64, [4]))
    assert tuple(run(made.SerializeToString(), call, library)) == call.q.shape


def test_threads_do_not_change_a_bit(library: Path) -> None:
    call = random_call(batch=2, heads=6, kv_heads=3, tokens=70, window=40)
    data = model(call, False)
    assert run(data, call, library, 1).tobytes() == run(data, call, library, 2).tobytes()


def test_a_wrong_shape_is_refused_with_a_reason(library: Path) -> None:
    call = random_call(tokens=8, window=4)
    call.v_self = call.v_self[:, :, :7]
    with pytest.raises(Exception, match=re.compile("v_self has shape", re.DOTALL)):
        run(model(call, False), call, library)


@pytest.mark.slow
@pytest.mark.parametrize("window", [0, 77])
def test_shipped_denoiser_with_the_operator(library: Path, window: int) -> None:
    """A step of the shipped bundle is the same with the operator as with the function, inlined.

    Its linear layers round activations to int8, which turns differences of 1e-7 into 1e-3.
    """
    folder = native.REPOSITORY / "runtime/bundles/storybook"
    path = next(folder.rglob("denoise.*.onnx"))
    results = []
    for registered in (None, library):
        options = ort.SessionOptions()
        options.log_severity_level = 3
        if registered is not None:
            options.register_custom_ops_library(str(registered))
        session = ort.InferenceSession(os.fspath(path), options)
        results.append(session.run(None, _feeds(session, window))[0])
    assert relative_error(results[1], results[0].astype(np.float64)) <= 1e-2


def _feeds(session: Any, window: int) -> dict[str, np.ndarray]:
    """48 tokens, a step from the schedule's first time: where it has none, the graph gives NaN."""
    rng = np.random.default_rng(0)
    feeds = {}
    for given in session.get_inputs():
        free = window if given.name.startswith("window") else 48
        shape = [size if isinstance(size, int) else free for size in given.shape]
        draw = rng.uniform(0, 1, shape) if len(shape) < 3 else rng.standard_normal(shape)
        feeds[given.name] = draw.astype(np.float32)
    return feeds | {"t": np.float32([1.0]), "t_next": np.float32([0.8])}
