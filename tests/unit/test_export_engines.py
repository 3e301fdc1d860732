"""Engines: what they are keyed by, for which shapes, and what is said where none can be built."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")

import onnx
from onnx import helper

from export import cli, engines, tensorrt
from export.engine_cache import EngineCache, Key
from export.engines import Maker
from export.errors import ExportError
from export.pipeline import Options, export_bundle
from export.profiles import common_sizes, graph_profiles, profiles_of
from export.targets import make_plan
from export.tiny import LIMITS, build_tiny_checkpoint
from runtime.bundle import File, Profile, Variant, digest_of, file_of, read_bundle
from runtime.interfaces import (
    COMPONENTS,
    CacheGeometry,
    ImageGeometry,
    component_interfaces,
)
from runtime.variants import PLUGIN
from tests.fake_cuda import FakeCudart
from tests.fake_tensorrt import OPERATOR, VERSION, FakeTensorRT

RTX = importlib.util.find_spec("tensorrt_rtx") is not None
MODELOPT = importlib.util.find_spec("modelopt") is not None
CACHE = CacheGeometry(2, 1, 32, 64, 2048, 1024, 3, (4, 6, 6), 10000.0)
IMAGE = ImageGeometry(16, 4, 512, (256, 256), 8.0, 48)
KEY = Key("tensorrt-rtx", "1.7", "0.1", "fp16", "8.9", (File("a.onnx", 3, "0" * 64),), ())


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_checkpoint(tmp_path_factory.mktemp("engines") / "checkpoint")


def test_every_profile_names_every_free_size() -> None:
    for name, interface in component_interfaces(CACHE, IMAGE).items():
        free = {s for t in interface.inputs for s in t.shape if isinstance(s, str)}
        profiles = profiles_of(name, CACHE, IMAGE)
        assert [p.index for p in profiles] == list(range(len(profiles)))
        for profile in profiles:
            assert set(profile.sizes) == free, (name, profile.name)
            assert all(a <= b <= c for a, b, c in profile.sizes.values()), profile


def test_profiles_cover_what_a_bundle_allows() -> None:
    (decode, prefill) = profiles_of("planner", CACHE, IMAGE)
    assert decode.covers({"S": 1, "C": 1024}) and not decode.covers({"S": 2, "C": 1024})
    assert prefill.covers({"S": 300, "C": 1024}) and not prefill.covers({"S": 1, "C": 512})
    *fixed, any_size = profiles_of("denoise", CACHE, IMAGE)
    assert fixed[0].name == "256x256" and fixed[0].sizes["T"] == (256, 256, 256)
    # The largest window: a dense prompt and three of the largest references.
    assert any_size.covers({"T": 512, "P": 224 + 3 * (512 + 32)})
    (window,) = profiles_of("window", CACHE, IMAGE)
    assert window.covers({"C": 1024, "N": 224 + 3 * 32, "M": 3 * 512})
    assert profiles_of("vae_decode", CACHE, IMAGE)[-1].covers({"h": 8, "w": 64})


def test_common_sizes_are_on_the_grid_and_near_the_default_s_area() -> None:
    assert common_sizes(IMAGE) == [(256, 256), (320, 192), (192, 320)]
    assert common_sizes(replace(IMAGE, default_size=(16, 16))) == [(16, 16)]


def test_a_graph_with_a_fixed_cache_says_so() -> None:
    (profile,) = graph_profiles({"C": 1024})
    assert profile.covers({"S": 7, "C": 1024}) and not profile.covers({"S": 7, "C": 256})
    assert graph_profiles({}) == ()


@pytest.mark.parametrize(
    "other",
    [
        replace(KEY, target="tensorrt"),
        replace(KEY, version="1.8"),
        replace(KEY, exporter="0.2"),
        replace(KEY, precision="fp8"),
        replace(KEY, capability="12.0"),
        replace(KEY, files=(File("a.onnx", 3, "1" * 64),)),
        replace(KEY, profiles=(Profile("any", 0, {"T": (1, 2, 3)}),)),
        replace(KEY, plugin="f" * 64),
    ],
)
def test_an_engine_is_found_by_all_it_was_made_from(other: Key, tmp_path: Path) -> None:
    cache = EngineCache(tmp_path)
    cache.put(KEY, b"engine")
    assert cache.get(KEY) == b"engine"
    assert cache.get(replace(KEY, files=(File("b.onnx", 3, "0" * 64),))) == b"engine"
    assert cache.get(other) is None


def test_a_damaged_engine_is_built_again(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path)
    cache.put(KEY, b"engine")
    (path,) = tmp_path.glob("*.engine")
    path.write_bytes(b"engine of something else")
    assert cache.get(KEY) is None
    path.with_suffix(".sha256").unlink()
    assert cache.get(KEY) is None
    assert EngineCache(None).get(KEY) is None
    EngineCache(path / "below").put(KEY, b"engine")


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(tensorrt.importlib, "import_module", missing)
    with pytest.raises(ExportError, match=r"needs tensorrt_rtx.*pip install '\.\[rtx\]'"):
        tensorrt.open_library("tensorrt-rtx")
    with pytest.raises(ExportError, match=r"JetPack.*run this export on the device"):
        tensorrt.open_library("tensorrt")


def test_tensorrt_needs_the_gpu_it_builds_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_driver(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(tensorrt.ctypes, "CDLL", no_driver)
    with pytest.raises(ExportError, match="no NVIDIA GPU or driver was found here"):
        tensorrt.device_capability()


def test_nothing_is_left_where_a_target_cannot_be_built(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(tensorrt.importlib, "import_module", missing)
    options = Options(("cpu", "tensorrt"), ("w8", "fp16"), verify=False, limits=LIMITS)
    with pytest.raises(ExportError, match="target tensorrt needs"):
        export_bundle(checkpoint, tmp_path / "bundle", options)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorRT on a machine with a GPU of 8.7: like the real one it refuses float8 before 8.9."""

    def open_library(target: str) -> tensorrt.Library:
        return tensorrt.Library(target, FakeTensorRT(FakeCudart()), VERSION)

    def build_engine(library: Any, graph: Path, inputs: Any, profiles: Any, capability: str,
                     plugin: Any) -> bytes:  # fmt: skip
        if ".fp8." in graph.name and capability in ("", "8.6"):
            raise ExportError(f"{graph.name}: HW-specific datatypes fp8_e4m3")
        return f"{graph.name} {capability}".encode()

    monkeypatch.setattr(tensorrt, "open_library", open_library)
    monkeypatch.setattr(engines, "open_library", open_library)
    monkeypatch.setattr(engines, "build_engine", build_engine)
    monkeypatch.setattr(engines, "device_capability", lambda: "8.7")


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize(
    ("target", "precision", "capabilities"),
    [
        ("tensorrt-rtx", "fp16", ["8.6", "8.9", "12.0", "12.1"]),
        ("tensorrt-rtx", "fp8", ["8.9", "12.0", "12.1"]),
        ("tensorrt", "fp16", ["8.7"]),
        ("tensorrt", "fp8", []),
    ],
)
def test_fp8_engines_are_made_for_gpus_that_have_float8(
    tmp_path: Path, target: str, precision: str, capabilities: list[str]
) -> None:
    options = Options(("cpu", target), ("w8", "fp16", "fp8"))
    graph = Variant(target, "", precision, (File(f"onnx/commit.{precision}.onnx", 3, "0" * 64),))
    made = list(Maker(tmp_path, CACHE, IMAGE, options).make("commit", graph, ()))
    assert [m.variant.compute_capability for m in made] == capabilities


@pytest.fixture
def with_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Options:
    """The fake TensorRT's own builder, and a plugin for it."""
    library = tensorrt.Library("tensorrt", FakeTensorRT(FakeCudart()), VERSION)
    monkeypatch.setattr(engines, "open_library", lambda target: library)
    monkeypatch.setattr(engines, "device_capability", lambda: "8.7")
    plugin = tmp_path / "libplugin.so"
    plugin.write_text(OPERATOR)
    return Options(("cpu", "tensorrt"), ("w8", "fp16"), cache=tmp_path / "kept", plugin=plugin)


def graph_of(folder: Path, operator: str, domain: str = "weft") -> Variant:
    node = helper.make_node(operator, ["q"], ["y"], domain=domain)
    model = helper.make_model(helper.make_graph([node], "g", [], []))
    onnx.save(model, folder / f"{operator}.onnx")
    return Variant("tensorrt", "", "fp16", (file_of(folder, f"{operator}.onnx"),))


def made_of(folder: Path, options: Options, graph: Variant) -> tuple[engines.Made, bytes]:
    (made,) = Maker(folder, CACHE, IMAGE, options).make("commit", graph, ())
    return made, (folder / made.variant.files[0].path).read_bytes()


def test_engines_that_call_a_plugin_require_it(tmp_path: Path, with_plugin: Options) -> None:
    graph = graph_of(tmp_path, OPERATOR)
    made, engine = made_of(tmp_path, with_plugin, graph)
    assert engine == b"PLUGIN_V3" and not made.reused
    assert with_plugin.plugin is not None
    wanted = {PLUGIN: f"libplugin.so {digest_of(with_plugin.plugin)}"}
    assert wanted.items() <= made.variant.requires.items()
    assert made_of(tmp_path, with_plugin, graph)[0].reused
    plain, engine = made_of(tmp_path, replace(with_plugin, plugin=None), graph)
    assert b"PLUGIN" not in engine and not plain.reused and PLUGIN not in plain.variant.requires
    other, engine = made_of(tmp_path, with_plugin, graph_of(tmp_path, "Relu", ""))
    assert b"PLUGIN" not in engine and PLUGIN not in other.variant.requires


@pytest.mark.parametrize(
    ("creators", "said"),
    [
        ("", "expected a TensorRT plugin .* can load, found: getCreators could not be loaded"),
        ("Another", "expected a layer of the plugin .*libplugin.so for weft::DPCWAttention"),
    ],
)
def test_a_plugin_that_is_not_taken_is_an_error(
    tmp_path: Path, with_plugin: Options, creators: str, said: str
) -> None:
    assert with_plugin.plugin is not None
    with_plugin.plugin.write_text(creators)
    with pytest.raises(ExportError, match=said):
        made_of(tmp_path, with_plugin, graph_of(tmp_path, OPERATOR))
    assert not (tmp_path / "kept").exists()


def test_a_parser_that_would_abort_at_a_plugin_is_not_called(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr("ctypes.CDLL", missing)
    library = tensorrt.Library("tensorrt-rtx", None, "1")
    with pytest.raises(ExportError, match=r"expected a library libtensorrt_rtx.so .* a link"):
        tensorrt._check_parser(library)
    tensorrt._check_parser(replace(library, target="tensorrt"))


def test_an_engine_kept_without_its_plugin_is_built_again(
    tmp_path: Path, with_plugin: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under the plugin's bare digest there may be engines that do not call it."""
    assert with_plugin.plugin is not None
    digest, keys = digest_of(with_plugin.plugin), []
    monkeypatch.setattr(EngineCache, "get", lambda cache, key: keys.append(key))
    made_of(tmp_path, with_plugin, graph_of(tmp_path, OPERATOR))
    (key,) = keys
    assert digest in key.plugin and key.digest() != replace(key, plugin=digest).digest()


def test_what_is_left_out_names_its_target() -> None:
    plan = make_plan(("cpu", "tensorrt-rtx", "tensorrt"), ("w8", "fp8", "fp16"))
    targets = ("tensorrt-rtx", "tensorrt")
    assert [str(left) for t in targets for left in plan.left_out(t, ("8.6", "8.9"))] == [
        "tensorrt-rtx fp8 engines for 8.6: left out, FP8 needs compute capability 8.9 or newer",
        "tensorrt fp8 engines for 8.6: left out, FP8 needs compute capability 8.9 or newer",
    ]


@pytest.mark.usefixtures("compiler")
def test_a_gpu_that_can_have_no_engine_asked_for_is_an_error(
    checkpoint: Path, tmp_path: Path
) -> None:
    options = Options(("cpu", "tensorrt"), ("w8", "fp8"), verify=False, limits=LIMITS)
    with pytest.raises(ExportError, match=r"8\.9 or newer .* target tensorrt, found 8\.7; add"):
        export_bundle(checkpoint, tmp_path / "bundle", options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("compiler")
@pytest.mark.skipif(not MODELOPT, reason="nvidia-modelopt is not installed")
def test_the_report_says_which_engines_are_left_out(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        str(checkpoint), "-o", str(tmp_path / "bundle"), "--target", "cpu,tensorrt-rtx",
        "--precision", "w8,fp8,fp16", "--compute-capability", "8.6,8.9", "--no-verify",
        "--samples", "1", "--capacity", str(LIMITS.capacity), "--json",
    ]  # fmt: skip
    assert cli.main(arguments) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    said = "tensorrt-rtx fp8 engines for 8.6: left out, FP8 needs compute capability 8.9 or newer"
    assert [line for line in lines if "left out" in line] == [said]
    (left,) = json.loads(last)["left_out"]
    asked = (left["target"], left["precision"], left["compute_capability"])
    assert asked == ("tensorrt-rtx", "fp8", "8.6")
    assert left["reason"] == "FP8 needs compute capability 8.9 or newer"
    components = read_bundle(tmp_path / "bundle", verify=True).manifest.components
    for name in COMPONENTS:
        made = [v for v in components[name].variants if v.backend == "tensorrt-rtx"]
        assert [(v.precision, v.compute_capability) for v in made] == [
            ("fp8", "8.9"), ("fp16", "8.6"), ("fp16", "8.9"),
        ]  # fmt: skip


@pytest.mark.skipif(not RTX, reason="tensorrt_rtx is not installed (the rtx extra)")
@pytest.mark.parametrize(
    "precision",
    [
        "fp16",
        pytest.param(
            "fp8",
            marks=pytest.mark.skipif(not MODELOPT, reason="nvidia-modelopt is not installed"),
        ),
    ],
)
def test_engines_of_every_component_without_a_gpu(
    checkpoint: Path, tmp_path: Path, precision: str
) -> None:
    options = Options(
        ("cpu", "tensorrt-rtx"),
        ("w8", precision),
        verify=False,
        limits=LIMITS,
        samples=1,
        capabilities=("8.9",),
        cache=tmp_path / "cache",
        kv="float8e4m3fn",
    )
    first = export_bundle(checkpoint, tmp_path / "bundle", options)
    components = read_bundle(tmp_path / "bundle", verify=True).manifest.components
    for name in COMPONENTS:
        by = {v.backend: v for v in components[name].variants}
        assert list(by) == ["onnx-cpu", "tensorrt-rtx", "onnx-tensorrt-rtx"]
        engine = by["tensorrt-rtx"]
        assert engine.compute_capability == "8.9" and len(engine.digest) == 64
        assert list(engine.requires) == ["tensorrt_rtx"] and engine.profiles
        assert engine.layers == by["onnx-tensorrt-rtx"].layers
    kept = components["commit"].variants[1]
    assert kept.window_dtype == ("float8e4m3fn" if precision == "fp8" else "float16")
    assert components["planner"].variants[1].kv_dtype == "float16"
    kinds = set(components["denoise"].variants[1].layers.values())
    assert precision in kinds
    second = export_bundle(checkpoint, tmp_path / "again", options)
    assert not any(row.reused for row in first.rows)
    reused = [row for row in second.rows if row.reused]
    assert [row.backend for row in reused] == ["tensorrt-rtx"] * len(COMPONENTS)
    manifests = [(tmp_path / name / "bundle.json").read_bytes() for name in ("bundle", "again")]
    assert manifests[0] == manifests[1]


@pytest.mark.skipif(not RTX, reason="tensorrt_rtx is not installed (the rtx extra)")
def test_a_graph_that_cannot_be_compiled_is_explained(tmp_path: Path) -> None:
    (tmp_path / "wrong.onnx").write_bytes(b"not a graph")
    library = tensorrt.open_library("tensorrt-rtx")
    with pytest.raises(ExportError, match=r"wrong.onnx: tensorrt-rtx cannot import it"):
        tensorrt.build_engine(library, tmp_path / "wrong.onnx", (), (), "8.9")


@pytest.mark.skipif(not RTX, reason="tensorrt_rtx is not installed (the rtx extra)")
def test_a_library_that_is_no_plugin_is_explained(tmp_path: Path) -> None:
    (tmp_path / "libplugin.so").write_bytes(b"not a library")
    library = tensorrt.open_library("tensorrt-rtx")
    with pytest.raises(ExportError, match=r"can load, found: .*libplugin.so"):
        tensorrt.build_engine(
            library, tmp_path / "a.onnx", (), (), "8.9", tmp_path / "libplugin.so"
        )
