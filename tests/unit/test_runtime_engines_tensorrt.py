"""The TensorRT backend over fakes: whole documents, profiles, in-place state, graphs, errors."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime import Reuse, Runtime
from runtime.bundle import Bundle, Profile, digest_of, file_of, write_manifest
from runtime.engines.base import Engine
from runtime.engines.device_array import DeviceArray
from runtime.engines.kernel_cache import KernelCache
from runtime.engines.shape_profiles import choose_profile
from runtime.engines.tensorrt_engine import TensorRTEngine
from runtime.engines.tensorrt_library import PLUGIN_VARIABLE, Library
from runtime.errors import DependencyError, EngineError
from runtime.variants import PLUGIN
from tests.fake_bundle import DIM, HEADS, WIDTH, fake_runtime
from tests.fake_device import PROFILES, FakeGpu, device_bundle, device_runtime, install
from tests.fake_tensorrt import OPERATOR

PROMPT = "Tell an illustrated story about a red fox who finds a lantern."
PICTURE: dict[str, Any] = {"size": (64, 64), "steps": 4}


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeGpu:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return install(monkeypatch)


def document(runtime: Runtime, seed: int = 3) -> str:
    found = runtime.generate(PROMPT, seed=seed, **PICTURE)
    assert len(found.images) >= 2
    return found.digest()


def cpu_digest(folder: Path) -> str:
    return document(fake_runtime(folder))


def test_a_document_on_the_device_is_the_document_on_the_cpu(gpu: FakeGpu, tmp_path: Path) -> None:
    device_bundle(tmp_path / "b")
    runtime = device_runtime(tmp_path / "b")
    assert runtime.device_report.backends == ("tensorrt-rtx",)
    wanted = cpu_digest(tmp_path / "b")
    assert document(runtime) == wanted
    assert document(runtime) == wanted, "and again, with graphs that were captured"
    assert gpu.cudart.launches > 0
    assert gpu.opened == 1, "all engines share the device's memory and stream"


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_any_component_may_fall_back_to_the_cpu(gpu: FakeGpu, tmp_path: Path, name: str) -> None:
    device_bundle(tmp_path / "b", names=[n for n in PROFILES if n != name])
    runtime = device_runtime(tmp_path / "b", "tensorrt-rtx")
    assert runtime.device_report.choices[name].backend == "onnx-cpu"
    assert document(runtime) == cpu_digest(tmp_path / "b")
    assert name not in gpu.tensorrt.executed


@pytest.mark.parametrize("name", ["planner", "window", "denoise", "commit"])
def test_one_component_alone_may_run_on_the_device(gpu: FakeGpu, tmp_path: Path, name: str) -> None:
    device_bundle(tmp_path / "b", names=[name])
    assert document(device_runtime(tmp_path / "b")) == cpu_digest(tmp_path / "b")
    assert set(gpu.tensorrt.executed) == {name}


def test_keys_and_values_in_float16_stay_on_the_device(gpu: FakeGpu, tmp_path: Path) -> None:
    device_bundle(tmp_path / "b", kv="float16")
    runtime = device_runtime(tmp_path / "b")
    session = runtime.session()
    assert len(session.generate(PROMPT, seed=3, **PICTURE).images) >= 2
    for array in session.planner.cache.values():
        assert isinstance(array, DeviceArray) and array.dtype == np.float16
    for picture in session.history.pictures[:-1]:
        for array in runtime.references.kv(picture).values():
            assert isinstance(array, DeviceArray) and not array.flags.writeable
    assert all(isinstance(a, DeviceArray) for a in runtime.window_builder._window.values())


def test_references_and_windows_may_be_float8(gpu: FakeGpu, tmp_path: Path) -> None:
    device_bundle(tmp_path / "b", kv="float8e4m3fn", kv_scale=0.25)
    runtime = device_runtime(tmp_path / "b")
    session = runtime.session()
    found = session.generate(PROMPT, seed=3, **PICTURE)
    window, clean = runtime.window_builder._window, runtime.window_builder._clean
    kinds = {str(a.element) for a in (*window.values(), *clean.values())}  # type: ignore[attr-defined]
    assert kinds == {"float8e4m3fn x 0.25"}
    assert {a.dtype for a in session.planner.cache.values()} == {np.dtype(np.float16)}
    wanted = fake_runtime(tmp_path / "b").generate(PROMPT, seed=3, **PICTURE)
    assert found.images[0].prompt == wanted.images[0].prompt
    gap = np.abs(found.images[0].pixels.astype(int) - wanted.images[0].pixels)
    assert gap.mean() < 4, "float8 is coarse, not wrong"


def test_types_may_change_between_device_and_cpu(gpu: FakeGpu, tmp_path: Path) -> None:
    device_bundle(tmp_path / "b", names=["planner", "commit", "denoise"], kv="float16")
    assert len(device_runtime(tmp_path / "b").generate(PROMPT, seed=3, **PICTURE).images) >= 2


@pytest.mark.parametrize("off", ["planner_kv", "reference_kv", "window"])
def test_reuse_off_gives_the_same_document(gpu: FakeGpu, tmp_path: Path, off: str) -> None:
    device_bundle(tmp_path / "b")
    plain = device_runtime(tmp_path / "b", reuse=Reuse(**{off: False}))
    found = plain.generate(PROMPT, seed=3, **PICTURE)
    built = gpu.tensorrt.executed.count("window")
    assert built == len(found.images) * (PICTURE["steps"] if off == "window" else 1)
    wanted = device_runtime(tmp_path / "b").generate(PROMPT, seed=3, **PICTURE)
    assert found.text == wanted.text
    for mine, theirs in zip(found.images, wanted.images, strict=True):
        assert np.abs(mine.pixels.astype(int) - theirs.pixels).max() <= 2


def test_a_session_is_saved_from_the_device_and_goes_on(gpu: FakeGpu, tmp_path: Path) -> None:
    device_bundle(tmp_path / "b")
    runtime = device_runtime(tmp_path / "b")
    chat = runtime.session()
    chat.generate(PROMPT, seed=3, **PICTURE)
    chat.save(tmp_path / "chat")
    here = chat.generate("And then?", seed=4, **PICTURE).digest()
    for device in ("auto", "cpu"):
        there = device_runtime(tmp_path / "b", device).restore(tmp_path / "chat")
        assert there.generate("And then?", seed=4, **PICTURE).digest() == here


def test_memory_does_not_grow_from_document_to_document(gpu: FakeGpu, tmp_path: Path) -> None:
    device_bundle(tmp_path / "b")
    runtime = device_runtime(tmp_path / "b")
    used = []
    for _ in range(3):
        document(runtime)
        runtime.references.clear()
        used.append(gpu.cudart.bytes)
    assert used[2] <= used[1]


def open_engine(bundle: Bundle, name: str, gpu: FakeGpu) -> TensorRTEngine:
    from runtime.engines import cuda_memory

    variant = bundle.manifest.components[name].variants[0]
    return TensorRTEngine(bundle, name, variant, cuda_memory.open_cuda(), Library("tensorrt-rtx"))


def planner_inputs(engine: Engine, tokens: list[int], offset: int) -> dict[str, np.ndarray]:
    count = len(tokens)
    cache = {n: engine.memory.zeros((1, HEADS, 256, DIM)) for n in engine.state}
    return {
        "tokens": np.array([tokens], np.int64),
        "features": np.zeros((1, count, WIDTH), np.float32),
        "positions": np.zeros((count, 3), np.float32),
        "offset": np.array([offset], np.int64),
        **cache,
    }


def test_state_is_written_at_its_own_address(gpu: FakeGpu, tmp_path: Path) -> None:
    engine = open_engine(device_bundle(tmp_path), "planner", gpu)
    inputs = planner_inputs(engine, [2, 20, 21], 0)
    assert set(engine.run(inputs)) == {"logits"}
    assert np.asarray(inputs["past.v.0"])[0, 0, :4, 0].tolist() == [2, 20, 21, 0]
    host = {n: np.asarray(a) if n in engine.state else a for n, a in inputs.items()}
    engine.run({**host, "tokens": np.array([[2, 30, 31]], np.int64)})
    assert host["past.v.0"][0, 0, :3, 0].tolist() == [2, 30, 31], "state on the host, too"


def test_one_token_is_decoded_with_its_own_profile_and_graph(gpu: FakeGpu, tmp_path: Path) -> None:
    engine = open_engine(device_bundle(tmp_path), "planner", gpu)
    inputs = planner_inputs(engine, [2, 20, 21], 0)
    engine.run(inputs)
    one = {n: inputs[n] for n in engine.state}
    for slot in range(3, 9):
        step = planner_inputs(engine, [30 + slot], slot) | one
        engine.run(step)
    assert np.asarray(inputs["past.v.0"])[0, 0, 3:9, 0].tolist() == [33, 34, 35, 36, 37, 38]
    assert [context.profile for context in gpu.tensorrt.contexts] == [0, 1, 1]
    assert (gpu.cudart.captures, gpu.cudart.launches) == (1, 4)


def test_a_chain_copies_to_the_host_once_and_becomes_one_graph(
    gpu: FakeGpu, tmp_path: Path
) -> None:
    engine = open_engine(device_bundle(tmp_path), "denoise", gpu)
    random = np.random.default_rng(0)
    shapes = {"latent": (1, 4, 48), "positions": (4, 3)}
    shapes |= {t.name: (1, HEADS, 5, DIM) for t in engine.component.inputs if "window" in t.name}
    inputs = {n: random.standard_normal(s).astype(np.float32) for n, s in shapes.items()}
    times = [1.0, 0.6, 0.3, 0.0]
    steps = [
        {"t": np.array([a], np.float32), "t_next": np.array([b], np.float32)}
        for a, b in pairwise(times)
    ]
    wanted = Engine.chain(engine, inputs, ("latent", "next"), steps, lambda: None)
    looked: list[int] = []
    plain = gpu.cudart.launches
    for launches in (0, 0, 1):
        before = gpu.cudart.copies_down
        found = engine.chain(inputs, ("latent", "next"), steps, lambda: looked.append(1))
        np.testing.assert_array_equal(found, wanted)
        assert gpu.cudart.copies_down - before == 1
        assert gpu.cudart.launches - plain == launches
    assert len(looked) == 3, "once per chain: a graph cannot be stopped half way"


def test_a_chain_is_stopped_before_it_starts(gpu: FakeGpu, tmp_path: Path) -> None:
    device_bundle(tmp_path)
    runtime = device_runtime(tmp_path)
    found = runtime.generate(PROMPT, seed=3, deadline_s=1e-9, **PICTURE)
    assert found.finish_reason == "deadline" and not found.images


def test_values_that_shapes_depend_on_stay_on_the_host(gpu: FakeGpu, tmp_path: Path) -> None:
    bundle = device_bundle(tmp_path)
    path = tmp_path / "planner.plan"
    path.write_text(path.read_text()[:-1] + ', "host": ["offset"]}')
    engine = open_engine(bundle, "planner", gpu)
    inputs = planner_inputs(engine, [2], 0)
    for slot in range(4):
        engine.run({**inputs, "offset": np.array([slot], np.int64)})
    assert np.asarray(inputs["past.v.0"])[0, 0, :5, 0].tolist() == [2, 2, 2, 2, 0]
    assert gpu.cudart.captures == 0


def test_a_shape_outside_all_profiles_runs_on_the_cpu(gpu: FakeGpu, tmp_path: Path) -> None:
    narrow = {**PROFILES, "denoise": [{"T": (1, 4, 8), "P": (1, 64, 1024)}]}
    device_bundle(tmp_path / "b", profiles=narrow)
    runtime = device_runtime(tmp_path / "b")
    assert document(runtime) == cpu_digest(tmp_path / "b")
    assert "denoise" not in gpu.tensorrt.executed
    engine = open_engine(runtime.bundle, "denoise", gpu)
    latent = {"latent": (1, 16, 48), "positions": (16, 3), "t": (1,), "t_next": (1,)}
    shapes = {t.name: latent.get(t.name, (1, HEADS, 5, DIM)) for t in engine.component.inputs}
    with pytest.raises(EngineError, match=r"expected shapes inside one of .*\(1, 8, 48\).*found"):
        engine.run({name: np.zeros(shape, np.float32) for name, shape in shapes.items()})


def test_the_narrowest_profile_is_chosen() -> None:
    wide = {"a": ((1, 4), (8, 4), (512, 4))}
    one = {"a": ((1, 4), (1, 4), (1, 4))}
    small, large = {"a": ((1, 4), (8, 4), (64, 4))}, {"a": ((65, 4), (99, 4), (128, 4))}
    assert choose_profile([wide, one], {"a": (1, 4)}) == 1
    assert choose_profile([wide, one], {"a": (2, 4)}) == 0
    assert choose_profile([small, large, wide], {"a": (100, 4)}) == 1
    assert choose_profile([small, large], {"a": (200, 4)}) is None


def test_an_engine_of_another_version_is_refused_in_the_librarys_words(
    gpu: FakeGpu, tmp_path: Path
) -> None:
    bundle = device_bundle(tmp_path)
    path = tmp_path / "vision.plan"
    text = path.read_text()
    path.write_text(text.replace("1.7.1", "1.6.0"))
    with pytest.raises(EngineError, match=r"1\.7\.1 cannot open .*: version mismatch; export"):
        open_engine(bundle, "vision", gpu)
    path.write_bytes(b"nonsense")
    with pytest.raises(EngineError, match="magic tag does not match"):
        open_engine(bundle, "vision", gpu)
    path.write_text(text.replace('"uint8"', '"float32"'))
    with pytest.raises(EngineError, match="inputs differ from the manifest"):
        open_engine(bundle, "vision", gpu)


def test_an_engine_that_does_not_open_is_replaced_and_the_report_says_so(
    gpu: FakeGpu, tmp_path: Path
) -> None:
    device_bundle(tmp_path / "b")
    wanted = cpu_digest(tmp_path / "b")
    path = tmp_path / "b" / "denoise.plan"
    path.write_text(path.read_text().replace("1.7.1", "1.6.0"))
    runtime = device_runtime(tmp_path / "b")
    assert document(runtime) == wanted
    choice = runtime.device_report.choices["denoise"]
    assert choice.backend == "onnx-cpu" and "version mismatch" in choice.rejected[0].reason
    with pytest.raises(EngineError, match="version mismatch"):
        device_runtime(tmp_path / "b", "tensorrt-rtx").prewarm()


def bundle_with_plugin(folder: Path, plugin: Path) -> Bundle:
    """Its denoise and commit engines call the plugin, and are all that is not for the CPU."""
    requires = {PLUGIN: f"{plugin.name} {digest_of(plugin)}"}
    names = ("denoise", "commit")
    manifest = device_bundle(folder, names, requires=requires).manifest
    components = dict(manifest.components)
    for name in names:
        path = folder / f"{name}.plan"
        path.write_text(f'{path.read_text()[:-1]}, "plugin": "{OPERATOR}"}}')
        first, *rest = components[name].variants
        changed = replace(first, files=(file_of(folder, path.name),))
        components[name] = replace(components[name], variants=(changed, *rest))
    return write_manifest(folder, replace(manifest, components=components))


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(PLUGIN_VARIABLE, raising=False)
    path = tmp_path / "libplugin.so"
    path.write_text(OPERATOR)
    return path


def test_an_engine_s_plugin_is_the_library_that_the_user_names(
    gpu: FakeGpu, tmp_path: Path, plugin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle_with_plugin(tmp_path / "b", plugin)
    moved = plugin.rename(tmp_path / "elsewhere.so")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(PLUGIN_VARIABLE, moved.name)
    runtime = device_runtime(tmp_path / "b")
    assert document(runtime) == cpu_digest(tmp_path / "b")
    assert set(gpu.tensorrt.executed) == {"denoise", "commit"}
    assert gpu.tensorrt.plugins == [str(moved)], "loaded once"


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (None, "found nothing"),
        ("missing.so", "missing.so: No such file"),
        ("other.so", "other.so with"),
    ],
)
def test_an_engine_whose_plugin_is_not_there_is_passed_over(
    gpu: FakeGpu, tmp_path: Path, plugin: Path, monkeypatch: pytest.MonkeyPatch,
    given: str | None, found: str,
) -> None:  # fmt: skip
    bundle_with_plugin(tmp_path / "b", plugin)
    (tmp_path / "other.so").write_text("another build")
    if given is not None:
        monkeypatch.setenv(PLUGIN_VARIABLE, str(tmp_path / given))
    choice = device_runtime(tmp_path / "b").device_report.choices["denoise"]
    assert choice.backend == "onnx-cpu"
    said = rf"expected the TensorRT plugin libplugin\.so with .*{found}.*; set {PLUGIN_VARIABLE}"
    assert re.search(said, choice.rejected[0].reason)
    with pytest.raises(EngineError, match=said):
        device_runtime(tmp_path / "b", "tensorrt-rtx")
    assert not gpu.tensorrt.plugins, "nothing was loaded"


def test_a_plugin_that_does_not_load_is_told_in_the_librarys_words(
    gpu: FakeGpu, tmp_path: Path, plugin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin.write_text("")
    bundle = bundle_with_plugin(tmp_path / "b", plugin)
    monkeypatch.setenv(PLUGIN_VARIABLE, str(plugin))
    with pytest.raises(EngineError, match=r"can load, found .*: getCreators could not be loaded"):
        open_engine(bundle, "denoise", gpu)
    runtime = device_runtime(tmp_path / "b")
    assert document(runtime) == cpu_digest(tmp_path / "b")
    reason = runtime.device_report.choices["denoise"].rejected[0].reason
    assert "getCreators could not be loaded" in reason


def test_a_failing_run_says_what_the_library_complained_about(gpu: FakeGpu, tmp_path: Path) -> None:
    engine = open_engine(device_bundle(tmp_path), "vision", gpu)
    gpu.tensorrt.contexts.clear()
    image = np.zeros((64, 64, 4), np.uint8)
    engine.run({"image": image})
    gpu.cudart.live.clear()
    with pytest.raises(EngineError, match=r"cudaMemcpyAsync|is not on the device"):
        engine.run({"image": image})


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tensorrt", None)
    with pytest.raises(DependencyError, match="tensorrt cannot be imported"):
        Library("tensorrt")


class KernelEngine:
    """As much of an RTX engine as the kernel cache uses."""

    def __init__(self) -> None:
        self.cache: bytes = b""
        self.settings: list[object] = []

    def create_runtime_config(self) -> KernelEngine:
        return self

    create_runtime_cache = create_runtime_config

    def set_execution_context_allocation_strategy(self, strategy: object) -> None:
        self.settings.append(strategy)

    def set_runtime_cache(self, cache: object) -> None:
        self.settings.append(cache)

    def serialize(self) -> bytes:
        return b"kernels"

    def deserialize(self, data: bytes) -> bool:
        self.cache = data
        return True

    def create_execution_context(self, config: object) -> object:
        assert config is self
        return "context"


def test_compiled_kernels_are_kept_for_the_next_process(gpu: FakeGpu, tmp_path: Path) -> None:
    variant = device_bundle(tmp_path / "b").manifest.components["vision"].variants[0]
    library = Library("tensorrt-rtx")
    first, second = KernelEngine(), KernelEngine()
    kernels = KernelCache(first, library, variant)
    assert kernels.context() == "context" and first.cache == b""
    kernels.ran()
    KernelCache(second, library, variant)
    assert second.cache == b"kernels"


def test_a_cache_larger_than_the_engines_is_told_before_the_start(
    gpu: FakeGpu, tmp_path: Path
) -> None:
    bundle = device_bundle(tmp_path)
    components = dict(bundle.manifest.components)
    planner = components["planner"]
    profiles = (Profile("all", 0, {"S": (1, 1, 200), "C": (256, 512, 512)}),)
    variants = (replace(planner.variants[0], profiles=profiles), planner.variants[1])
    components["planner"] = replace(planner, variants=variants)
    write_manifest(tmp_path, replace(bundle.manifest, components=components))
    choice = device_runtime(tmp_path).device_report.choices["planner"]
    assert choice.backend == "onnx-cpu"
    assert "holds 512 tokens, 1024 are asked for" in choice.rejected[0].reason
