"""ONNX Runtime on a device: bound by address. The device is the host here, the library is real.

A CUDA session cannot be opened without a GPU, so the CPU provider runs the graphs on addresses of
the fake CUDA's memory, which is host memory; what CUDA alone has, graph ids, is recorded.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from runtime import Reuse, Runtime, load
from runtime.bundle import Component, File, Profile, Variant, read_bundle
from runtime.engines import Choice, DeviceReport, Engines, onnx_device, onnx_plugin
from runtime.engines.cuda_memory import CudaMemory
from runtime.engines.device_array import DeviceArray
from runtime.engines.onnx_cpu import cpu_session_options
from runtime.engines.onnx_device import CUDA_PROVIDER, RTX_PROVIDER, OnnxDeviceEngine
from runtime.errors import DependencyError, EngineError
from runtime.interfaces import State, Tensor
from runtime.loading import default_bundle
from runtime.memory import plan_memory
from tests.fake_cuda import STREAM, FakeCudart, fake_memory

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper  # noqa: E402

FLOAT, HALF, INT64 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT64
CACHE = (1, 1, "C", 2)


@pytest.fixture
def device() -> tuple[CudaMemory, FakeCudart]:
    return fake_memory(eager=True)


def make_engine(
    folder: Path,
    memory: CudaMemory,
    nodes: list[Any],
    inputs: list[tuple[str, int, tuple[int | str, ...]]],
    outputs: list[tuple[str, int, tuple[int | str, ...]]],
    state: tuple[State, ...] = (),
    provider: str = "CPUExecutionProvider",
) -> OnnxDeviceEngine:
    """An engine on a graph; float16 tensors are float32 in the component's interface."""
    graph = helper.make_graph(
        nodes, "x",
        [helper.make_tensor_value_info(*value) for value in inputs],
        [helper.make_tensor_value_info(*value) for value in outputs],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 24)], ir_version=10)
    onnx.save(model, folder / "x.onnx")
    names = {FLOAT: "float32", HALF: "float32", INT64: "int64"}
    component = Component(
        tuple(Tensor(n, names[k], shape) for n, k, shape in inputs),
        tuple(Tensor(n, names[k], shape) for n, k, shape in outputs),
        state,
        (),
    )
    dtypes = {n: "float16" for n, kind, _ in (*inputs, *outputs) if kind == HALF}
    variant = Variant("onnxruntime", provider, "fp16", (File("x.onnx", 0, "0"),), dtypes=dtypes)
    bundle = SimpleNamespace(
        manifest=SimpleNamespace(components={"x": component}), path=lambda f: folder / f.path
    )
    return OnnxDeviceEngine(bundle, "x", variant, memory, "cpu")  # type: ignore[arg-type]


def cache_engine(folder: Path, memory: CudaMemory) -> OnnxDeviceEngine:
    """Writes `update` at `offset` of a float16 cache, and sums the cache."""
    return make_engine(
        folder, memory,
        [
            helper.make_node("TensorScatter", ["past.k.0", "update", "offset"], ["present.k.0"],
                             axis=-2),
            helper.make_node("ReduceSum", ["present.k.0"], ["sum"], keepdims=0),
        ],
        [("past.k.0", HALF, CACHE), ("update", HALF, (1, 1, "S", 2)), ("offset", INT64, (1,))],
        [("present.k.0", HALF, CACHE), ("sum", HALF, ())],
        (State("past.k.0", "present.k.0"),),
    )  # fmt: skip


def test_state_stays_at_its_address(tmp_path: Path, device: tuple[CudaMemory, FakeCudart]) -> None:
    memory, _ = device
    engine = cache_engine(tmp_path, memory)
    assert engine.elements["past.k.0"].name == "float16"
    cache = memory.zeros((1, 1, 8, 2), engine.elements["past.k.0"])
    for offset, count in ((0, 3), (3, 1), (4, 2)):
        update = np.full((1, 1, count, 2), offset + 1, np.float32)
        inputs = {"past.k.0": cache, "update": update, "offset": np.array([offset], np.int64)}
        found = engine.run(inputs)
        assert set(found) == {"sum"} and isinstance(found["sum"], np.ndarray)
    assert np.asarray(cache)[0, 0, :, 0].tolist() == [1, 1, 1, 4, 5, 5, 0, 0]
    assert found["sum"] == np.asarray(cache).sum()


def test_state_on_the_host_is_brought_back(
    tmp_path: Path, device: tuple[CudaMemory, FakeCudart]
) -> None:
    engine = cache_engine(tmp_path, device[0])
    cache, total = np.zeros((1, 1, 4, 2), np.float32), np.zeros((), np.float32)
    update, offset = np.ones((1, 1, 1, 2), np.float32), np.array([2], np.int64)
    inputs = {"past.k.0": cache, "update": update, "offset": offset}
    assert engine.run(inputs, {"sum": total})["sum"] is total
    assert cache[0, 0, :, 0].tolist() == [0, 0, 1, 0] and total == 2


def test_keys_and_values_that_come_out_stay_on_the_device(
    tmp_path: Path, device: tuple[CudaMemory, FakeCudart]
) -> None:
    memory, cudart = device
    engine = make_engine(
        tmp_path, memory, [helper.make_node("Add", ["reference.k.0"] * 2, ["window.k.0"])],
        [("reference.k.0", FLOAT, CACHE)], [("window.k.0", FLOAT, CACHE)],
    )  # fmt: skip
    source = np.arange(6, dtype=np.float32).reshape(1, 1, 3, 2)
    first = engine.run({"reference.k.0": source})["window.k.0"]
    assert isinstance(first, DeviceArray)
    copies = cudart.copies_up
    second = engine.run({"reference.k.0": first})["window.k.0"]
    assert cudart.copies_up == copies, "what is on the device is used where it is"
    np.testing.assert_array_equal(np.asarray(second), source * 4)
    target = memory.zeros((1, 1, 3, 2))
    assert engine.run({"reference.k.0": first}, {"window.k.0": target})["window.k.0"] is target
    np.testing.assert_array_equal(np.asarray(target), source * 4)


STEP = [
    helper.make_node("Sub", ["t_next", "t"], ["dt"]),
    helper.make_node("Mul", ["latent", "dt"], ["change"]),
    helper.make_node("Add", ["latent", "change"], ["next"]),
]
STEP_INPUTS = [("latent", FLOAT, (1, "T", 2)), ("t", FLOAT, (1,)), ("t_next", FLOAT, (1,))]


def chain(engine: OnnxDeviceEngine, latent: np.ndarray) -> np.ndarray:
    times = np.array([1.0, 0.7, 0.2, 0.0], np.float32)
    steps = [{"t": times[i : i + 1], "t_next": times[i + 1 : i + 2]} for i in range(3)]
    return engine.chain({"latent": latent}, ("latent", "next"), steps, lambda: None)


def by_hand(latent: np.ndarray) -> np.ndarray:
    return latent * np.float32(0.7) * np.float32(0.5) * np.float32(0.8)


def test_a_chain_stays_on_the_device(tmp_path: Path, device: tuple[CudaMemory, FakeCudart]) -> None:
    memory, cudart = device
    engine = make_engine(tmp_path, memory, STEP, STEP_INPUTS, [("next", FLOAT, (1, "T", 2))])
    latent = np.random.default_rng(0).standard_normal((1, 5, 2)).astype(np.float32)
    for size in (5, 3, 5):
        np.testing.assert_allclose(chain(engine, latent[:, :size]), by_hand(latent[:, :size]), 1e-5)
    assert cudart.copies_down == 3


def recording(ort: Any, log: list[Any], refuse_graphs: bool = False) -> SimpleNamespace:
    """ONNX Runtime with a CUDA provider that is the CPU's, and a log of what it is asked for."""

    def open_session(path: str, options: Any, providers: Any) -> Any:
        name, settings = providers[0]
        log.append((name, settings))
        if refuse_graphs and "enable_cuda_graph" in settings:
            raise RuntimeError("not all nodes are on the CUDA provider")
        return ort.InferenceSession(path, options, ["CPUExecutionProvider"])

    class RunOptions:
        def __new__(cls) -> Any:
            found = ort.RunOptions()
            return SimpleNamespace(
                real=found, add_run_config_entry=lambda key, value: log.append((key, value))
            )

    def session(path: str, options: Any, providers: Any) -> Any:
        found = open_session(path, options, providers)
        return SimpleNamespace(
            get_inputs=found.get_inputs,
            get_outputs=found.get_outputs,
            io_binding=found.io_binding,
            run_with_iobinding=lambda binding, options: found.run_with_iobinding(
                binding, options.real
            ),
        )

    return SimpleNamespace(
        InferenceSession=session,
        RunOptions=RunOptions,
        SessionOptions=ort.SessionOptions,
        __version__=ort.__version__,
    )


@pytest.mark.parametrize("refuse", [False, True])
def test_graphs_are_asked_for_when_a_call_comes_again(
    tmp_path: Path,
    device: tuple[CudaMemory, FakeCudart],
    monkeypatch: pytest.MonkeyPatch,
    refuse: bool,
) -> None:
    import onnxruntime

    log: list[Any] = []
    library = recording(onnxruntime, log, refuse)
    monkeypatch.setattr(onnx_device, "import_onnxruntime", lambda: library)
    engine = make_engine(
        tmp_path, device[0], STEP, STEP_INPUTS, [("next", FLOAT, (1, "T", 2))],
        provider=CUDA_PROVIDER,
    )  # fmt: skip
    settings = {"device_id": "0", "user_compute_stream": str(STREAM)}
    opened = [(CUDA_PROVIDER, {**settings, "enable_cuda_graph": "1"})]
    assert log == ([*opened, (CUDA_PROVIDER, settings)] if refuse else opened)
    latent = np.random.default_rng(0).standard_normal((1, 5, 2)).astype(np.float32)
    log.clear()
    inputs = {"latent": latent, "t": np.ones(1, np.float32), "t_next": np.zeros(1, np.float32)}
    for _ in range(3):
        assert not engine.run(inputs)["next"].any()
    ids = [value for key, value in log if key == "gpu_graph_id"]
    assert ids == ([] if refuse else ["-1", "0", "0"])
    for _ in range(2):
        np.testing.assert_allclose(chain(engine, latent), by_hand(latent), 1e-5)


def test_the_shipped_bundle_runs_by_address(
    device: tuple[CudaMemory, FakeCudart], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every component of a real bundle, its keys and values on the device throughout."""
    monkeypatch.setattr(onnx_device, "session_options", cpu_session_options)
    if not (default_bundle() / "bundle.json").is_file():
        pytest.skip("no shipped bundle here")
    bundle = read_bundle(default_bundle())
    components = bundle.manifest.components

    def open_one(name: str) -> OnnxDeviceEngine:
        return OnnxDeviceEngine(bundle, name, components[name].variants[0], device[0], "cpu")

    report = DeviceReport("cuda", "", {name: Choice("onnx-cuda", "", "") for name in components})
    engines = Engines(tuple(components), open_one, report)
    mine = Runtime(bundle, engines, plan_memory(bundle.manifest), Reuse())
    options: dict[str, Any] = {"seed": 3, "size": (128, 128), "steps": 2, "max_images": 2}
    prompt = "Tell an illustrated story about a red fox who finds a lantern, in 2 pictures."
    found = mine.generate(prompt, **options)
    assert found.images
    assert found.digest() == load(device="cpu").generate(prompt, **options).digest()


def test_what_a_graph_says_must_be_what_the_manifest_says(
    tmp_path: Path, device: tuple[CudaMemory, FakeCudart]
) -> None:
    engine = cache_engine(tmp_path, device[0])
    cache = device[0].zeros((1, 1, 4, 2), engine.elements["past.k.0"])
    with pytest.raises(EngineError, match="'offset': expected int64"):
        engine.run(
            {"past.k.0": cache, "update": np.zeros((1, 1, 1, 2), np.float32), "offset": np.zeros(1)}
        )
    (tmp_path / "x.onnx").write_bytes(b"broken")
    with pytest.raises(EngineError, match="cannot open"):
        bundle = SimpleNamespace(
            manifest=SimpleNamespace(components={"x": engine.component}),
            path=lambda f: tmp_path / f.path,
        )
        OnnxDeviceEngine(bundle, "x", engine.variant, device[0], "cpu")  # type: ignore[arg-type]


class PluginRuntime:
    """As much of ONNX Runtime as registering a plugin needs."""

    def __init__(self, works: bool = True) -> None:
        self.works, self.registered, self.chosen = works, 0, {}  # type: ignore[var-annotated]

    def get_ep_devices(self) -> list[Any]:
        names = ["CPUExecutionProvider"] + [RTX_PROVIDER] * self.registered
        return [SimpleNamespace(ep_name=name) for name in names]

    def register_execution_provider_library(self, name: str, path: str) -> None:
        if not self.works:
            raise RuntimeError("libcuda.so.1: cannot open shared object file")
        assert (name, path) == (RTX_PROVIDER, "plugin.so")
        self.registered += 1

    def add_provider_for_devices(self, devices: list[Any], options: dict[str, str]) -> None:
        assert [device.ep_name for device in devices] == [RTX_PROVIDER]
        self.chosen = options


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    module = SimpleNamespace(get_ep_name=lambda: RTX_PROVIDER, get_library_path=lambda: "plugin.so")
    monkeypatch.setitem(sys.modules, onnx_plugin.RTX_MODULE, module)  # type: ignore[arg-type]


def test_the_plugin_is_registered_once_and_gets_the_profiles(plugin: None, tmp_path: Path) -> None:
    component = Component((Tensor("latent", "float32", (1, "T", 48)),), (), (), ())
    profiles = tuple(Profile(n, 0, {"T": s}) for n, s in (("a", (1, 64, 64)), ("b", (9, 9, 256))))
    variant = Variant("onnxruntime", RTX_PROVIDER, "fp16", (), profiles=profiles)
    library = PluginRuntime()
    for _ in range(2):
        onnx_plugin.add_plugin(library, library, component, variant, STREAM)
    assert library.registered == 1
    assert library.chosen == {
        "has_user_compute_stream": "1",
        "user_compute_stream": str(STREAM),
        "nv_runtime_cache_path": str(tmp_path / "weft" / "kernels" / "onnx"),
        "nv_profile_min_shapes": "latent:1x1x48",
        "nv_profile_opt_shapes": "latent:1x64x48",
        "nv_profile_max_shapes": "latent:1x256x48",
    }
    still = Variant("onnxruntime", RTX_PROVIDER, "fp16", (),
                    profiles=(Profile("a", 0, {"T": (64, 64, 64)}),))  # fmt: skip
    onnx_plugin.add_plugin(library, library, component, still, STREAM)
    assert library.chosen["enable_cuda_graph"] == "1"


def test_a_plugin_that_cannot_be_used_says_why(
    plugin: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(EngineError, match=r"cannot be registered: libcuda\.so\.1"):
        onnx_plugin.plugin_devices(PluginRuntime(works=False))
    monkeypatch.setitem(sys.modules, onnx_plugin.RTX_MODULE, None)
    with pytest.raises(DependencyError, match="pip install onnxruntime-ep-nv-tensorrt-rtx-cu13"):
        onnx_plugin.plugin_devices(PluginRuntime())
