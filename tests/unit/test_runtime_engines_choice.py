"""Which variant runs where, and why: packages, GPU, versions, gates, and what is said about it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runtime import OptionError, load
from runtime.bundle import Bundle, Gate, Variant, Verification, read_bundle, write_manifest
from runtime.cli.main import main
from runtime.engines import DEVICES, choose_device
from runtime.engines.choice import BACKENDS, Choice
from runtime.engines.machine import Gpu, Machine
from runtime.errors import EngineError
from runtime.variants import BACKENDS as KNOWN_BACKENDS
from tests.fake_bundle import make_bundle
from tests.fake_device import FakeMachine

ENGINE, PROVIDER = {}, {}
for _pair, _backend in KNOWN_BACKENDS.items():
    ENGINE[_backend], PROVIDER[_backend] = _pair
RTX_3090 = Gpu("RTX 3090", "8.6", "13.0")
NO_GPU = FakeMachine(gpu="no NVIDIA driver (libcuda.so.1 is not there)")


def bundle_with(
    folder: Path, variants: Iterable[tuple[str, str, dict[str, Any]]], **more: Any
) -> Bundle:
    """A fake bundle whose components have these variants: (backend, precision, settings)."""
    bundle = make_bundle(folder)
    components = {}
    for name, component in bundle.manifest.components.items():
        files = component.variants[0].files
        found = tuple(
            Variant(ENGINE[backend], PROVIDER[backend], precision, files, **settings)
            for backend, precision, settings in variants
        )
        components[name] = replace(component, variants=found)
    return write_manifest(folder, replace(bundle.manifest, components=components, **more))


FP32: tuple[str, str, dict[str, Any]] = ("onnx-cpu", "fp32", {})
ALL = [
    ("onnx-cuda", "fp16", {}),
    ("tensorrt", "fp16", {"compute_capability": "8.9"}),
    ("onnx-tensorrt-rtx", "fp16", {}),
    ("tensorrt-rtx", "fp8", {"compute_capability": "12.0"}),
    ("tensorrt-rtx", "fp16", {"compute_capability": "8.9"}),
    FP32,
]


def planner(
    bundle: Bundle, device: str = "auto", machine: Machine | None = None, tokens: int | None = None
) -> Choice:
    return choose_device(bundle, device, tokens, machine or FakeMachine()).choices["planner"]


def test_every_device_ends_at_the_cpu_and_every_backend_is_known() -> None:
    assert set(BACKENDS["auto"]) == set(KNOWN_BACKENDS.values())
    assert all(order[-1] == "onnx-cpu" for order in BACKENDS.values())


@pytest.mark.parametrize(
    ("device", "backend"),
    [
        ("auto", "tensorrt-rtx"),
        ("cpu", "onnx-cpu"),
        ("cuda", "onnx-cuda"),
        ("tensorrt-rtx", "tensorrt-rtx"),
        ("tensorrt", "tensorrt"),
    ],
)
def test_a_device_gets_its_backend(tmp_path: Path, device: str, backend: str) -> None:
    choice = planner(bundle_with(tmp_path, ALL), device)
    assert (choice.backend, choice.precision) == (backend, "fp32" if device == "cpu" else "fp16")


@pytest.mark.parametrize(
    ("machine", "backend"),
    [
        (FakeMachine(), "tensorrt-rtx"),
        (FakeMachine(modules=("cuda.bindings", "tensorrt")), "tensorrt"),
        (FakeMachine(modules=("cuda.bindings",)), "onnx-tensorrt-rtx"),
        (FakeMachine(modules=("cuda.bindings",), plugin_problem="no"), "onnx-cuda"),
        (FakeMachine(modules=("cuda.bindings",), plugin_problem="no", onnx_providers=("CPU",)),
         "onnx-cpu"),
        (FakeMachine(modules=("tensorrt", "tensorrt_rtx")), "onnx-cpu"),
        (FakeMachine(gpu=Gpu("GTX 1080", "6.1", "12.4")), "onnx-tensorrt-rtx"),
        (NO_GPU, "onnx-cpu"),
    ],
)  # fmt: skip
def test_auto_takes_the_best_that_can_run(tmp_path: Path, machine: Machine, backend: str) -> None:
    assert planner(bundle_with(tmp_path, ALL), "auto", machine).backend == backend


@pytest.mark.parametrize("precisions", [("fp8", "fp16"), ("fp16", "fp8")])
def test_a_gpu_without_float8_takes_the_fp16_engine(
    tmp_path: Path, precisions: tuple[str, str]
) -> None:
    capabilities = {"fp8": ("8.9", "12.0"), "fp16": ("8.6", "8.9", "12.0")}
    variants: list[tuple[str, str, dict[str, Any]]] = []
    for precision in precisions:
        for capability in capabilities[precision]:
            variants.append(("tensorrt-rtx", precision, {"compute_capability": capability}))
        variants.append(("onnx-tensorrt-rtx", precision, {}))
    bundle = bundle_with(tmp_path, [*variants, FP32])
    choice = planner(bundle, "auto", FakeMachine(gpu=RTX_3090))
    assert str(choice) == "tensorrt-rtx fp16"
    assert str(planner(bundle)) == f"tensorrt-rtx {precisions[0]}"


@pytest.mark.parametrize("device", ["auto", "tensorrt-rtx"])
@pytest.mark.parametrize("precisions", [("fp8", "fp16"), ("fp16", "fp8")])
@pytest.mark.parametrize("engines", [(), ("8.6", "8.9")])
def test_a_gpu_without_float8_takes_the_fp16_graph(
    tmp_path: Path, device: str, precisions: tuple[str, str], engines: tuple[str, ...]
) -> None:
    variants: list[tuple[str, str, dict[str, Any]]] = []
    for precision in precisions:
        for capability in engines:
            # Of another version of the library than the one that is installed.
            settings = {"compute_capability": capability, "requires": {"tensorrt_rtx": "1.6"}}
            variants.append(("tensorrt-rtx", precision, settings))
        variants.append(("onnx-tensorrt-rtx", precision, {}))
    bundle = bundle_with(tmp_path, [*variants, FP32])
    choice = planner(bundle, device, FakeMachine(gpu=RTX_3090))
    assert str(choice) == "onnx-tensorrt-rtx fp16"
    said = "fp8 needs compute capability 8.9 or newer, RTX 3090 has 8.6"
    passed = [r.reason for r in choice.rejected if r.backend == "onnx-tensorrt-rtx"]
    assert passed == [said]
    assert str(planner(bundle, device)) == f"onnx-tensorrt-rtx {precisions[0]}"


@pytest.mark.parametrize("backend", ["tensorrt", "tensorrt-rtx", "onnx-tensorrt-rtx", "onnx-cuda"])
def test_no_gpu_variant_in_fp8_runs_without_float8(tmp_path: Path, backend: str) -> None:
    bundle = bundle_with(tmp_path, [(backend, "fp8", {}), FP32])
    choice = planner(bundle, "auto", FakeMachine(gpu=RTX_3090))
    assert str(choice) == "onnx-cpu fp32"
    device = backend.removeprefix("onnx-")
    with pytest.raises(EngineError, match=r"fp8 needs .* 8\.9 or newer, RTX 3090 has 8\.6; use"):
        planner(bundle, device, FakeMachine(gpu=RTX_3090))
    assert str(planner(bundle, device)) == f"{backend} fp8"


def test_an_fp8_engine_for_another_gpu_is_not_to_be_exported_for_one_without_float8(
    tmp_path: Path,
) -> None:
    bundle = bundle_with(tmp_path, [("tensorrt-rtx", "fp8", {"compute_capability": "8.9"}), FP32])
    (rejected,) = planner(bundle, "auto", FakeMachine(gpu=RTX_3090)).rejected
    assert rejected.reason.startswith("fp8 needs compute capability 8.9")


def test_the_report_says_what_was_passed_over_and_why(tmp_path: Path) -> None:
    report = choose_device(bundle_with(tmp_path, ALL), "auto", None, FakeMachine())
    assert report.gpu == "RTX 4090, compute capability 8.9, CUDA 13.0"
    text = str(report)
    assert "device auto: tensorrt-rtx fp16 for everything" in text
    assert "not tensorrt-rtx fp8: made for compute capability 12.0, RTX 4090 has 8.9" in text
    bare = choose_device(bundle_with(tmp_path, ALL), "auto", None, NO_GPU)
    assert bare.gpu == "" and "the fallback: nothing faster can run here" in str(bare)
    assert "not onnx-cuda fp16: no NVIDIA driver" in str(bare)
    assert json.loads(json.dumps(bare.to_dict()))["asked"] == "auto"


def test_no_gpu_is_looked_for_where_no_variant_wants_one(tmp_path: Path) -> None:
    class Blind(Machine):
        @property
        def gpu(self) -> Gpu | str:  # type: ignore[override]
            raise AssertionError("looked for a GPU")

    choice = planner(bundle_with(tmp_path, [FP32]), "auto", Blind())
    assert (choice.reason, choice.rejected) == ("the only one", ())


@pytest.mark.parametrize("device", ["cuda", "tensorrt-rtx", "tensorrt"])
def test_a_device_that_cannot_be_had_is_an_error_that_says_what_to_do(
    tmp_path: Path, device: str
) -> None:
    with pytest.raises(EngineError, match=rf"device '{device}': .*no NVIDIA driver.*use device="):
        planner(bundle_with(tmp_path / "a", ALL), device, NO_GPU)
    with pytest.raises(EngineError, match=f"the bundle has no variant for it.*--target {device}"):
        planner(bundle_with(tmp_path / "b", [FP32]), device)
    with pytest.raises(OptionError, match=r"expected one of \['auto', 'cpu', 'cuda'"):
        planner(bundle_with(tmp_path / "b", [FP32]), "gpu")
    assert device in DEVICES


def test_the_manifests_order_and_the_gates_choose_among_precisions(tmp_path: Path) -> None:
    gate = (Gate("relative_error", 0.02),)
    good, bad = {"relative_error": 0.01}, {"relative_error": 0.5}
    w8 = ("onnx-cpu", "w8", {})
    passed = ("onnx-cpu", "int8", {"gates": gate, "parity": good})
    failed = ("onnx-cpu", "int8", {"gates": gate, "parity": bad})
    unverified = ("onnx-cpu", "int8", {"gates": gate})
    assert planner(bundle_with(tmp_path / "a", [passed, w8, FP32])).precision == "int8"
    assert planner(bundle_with(tmp_path / "b", [w8, passed, FP32])).precision == "w8"
    choice = planner(bundle_with(tmp_path / "c", [failed, w8, FP32]))
    assert choice.precision == "w8"
    assert "expected at most 0.02, found 0.5" in choice.rejected[0].reason
    assert planner(bundle_with(tmp_path / "d", [unverified, FP32])).reason.endswith("not verified")
    whole = {"onnx-cpu int8": Verification({"top1": 0.5}, (Gate("top1", 0.99, at_least=True),))}
    choice = planner(bundle_with(tmp_path / "e", [passed, FP32], verification=whole))
    assert choice.precision == "fp32" and "top1" in choice.rejected[0].reason
    with pytest.raises(EngineError, match=r"'planner': expected a variant .* failed its gate"):
        planner(bundle_with(tmp_path / "f", [failed]))


@pytest.mark.parametrize(
    ("requires", "reason"),
    [
        ({"cpu": "avx2"}, ""),
        ({"cpu": "avx2 avx512_vnni"}, "needs a processor with avx512_vnni"),
        ({"tensorrt-rtx": "1.7.1"}, ""),
        ({"tensorrt_rtx": "1.7.1.116"}, ""),
        ({"tensorrt-rtx": "1.7"}, ""),
        ({"tensorrt-rtx": "1.70"}, "found 1.7.1.116"),
        ({"onnxruntime": "1.31"}, "needs onnxruntime 1.31, which is not installed"),
        ({"warp-drive": "9"}, "needs warp-drive 9, which is not installed"),
    ],
)
def test_requirements_are_compared_with_what_is_there(
    tmp_path: Path, requires: dict[str, str], reason: str
) -> None:
    bundle = bundle_with(tmp_path, [("onnx-cpu", "int8", {"requires": requires}), FP32])
    choice = planner(bundle)
    assert choice.precision == ("fp32" if reason else "int8")
    assert not reason or reason in choice.rejected[0].reason


def test_this_machine_is_looked_at_for_real() -> None:
    machine = Machine()
    assert isinstance(machine.gpu, Gpu) or machine.gpu
    assert machine.has_module("json") and not machine.has_module("no_such.module")
    assert machine.version("numpy") and machine.version("no-such-package") is None
    assert "CPUExecutionProvider" in machine.onnx_providers
    assert isinstance(machine.cpu_features, frozenset)
    assert isinstance(machine.plugin_problem, str)


class Driver:
    """As much of the NVIDIA driver's library as is asked."""

    def __init__(self, devices: int = 1, status: int = 0) -> None:
        self.devices, self.status = devices, status

    def cuInit(self, flags: int) -> int:
        return self.status

    def cuDeviceGetCount(self, count: Any) -> int:
        count._obj.value = self.devices
        return 0

    def cuDriverGetVersion(self, version: Any) -> int:
        version._obj.value = 13010
        return 0

    def cuDeviceGet(self, device: Any, ordinal: int) -> int:
        return 0

    def cuDeviceGetName(self, name: Any, size: int, device: Any) -> int:
        name.value = b"RTX 5090"
        return 0

    def cuDeviceGetAttribute(self, value: Any, attribute: int, device: Any) -> int:
        value._obj.value = {75: 12, 76: 0}[attribute]
        return 0


@pytest.mark.parametrize(
    ("driver", "found"),
    [
        (Driver(), Gpu("RTX 5090", "12.0", "13.1")),
        (Driver(devices=0), "the NVIDIA driver shows no GPU"),
        (Driver(status=100), "the NVIDIA driver does not start (cuInit gave 100)"),
    ],
)
def test_the_driver_is_asked_without_any_package(
    monkeypatch: pytest.MonkeyPatch, driver: Driver, found: Gpu | str
) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda name: driver)
    assert Machine().gpu == found


def test_loading_logs_the_choice_and_inspect_shows_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle_with(tmp_path, [FP32])
    with caplog.at_level(logging.INFO):
        report = load(tmp_path, verify=False).device_report
    assert "device auto: onnx-cpu fp32 for everything" in caplog.text
    assert set(report.choices) == set(read_bundle(tmp_path).manifest.components)
    assert main(["inspect", str(tmp_path), "--json"]) == 0
    shown = capsys.readouterr().out
    assert "planner     onnx-cpu fp32, the only one" in shown
    assert json.loads(shown.splitlines()[-1])["device"]["choices"]["planner"]["precision"] == "fp32"
    assert main(["inspect", str(tmp_path), "--device", "cuda"]) == 2
    assert "export the bundle with --target cuda" in capsys.readouterr().err
