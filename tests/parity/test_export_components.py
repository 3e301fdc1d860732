"""Every component as ONNX against PyTorch, through the runtime's own engines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from export.graphs import Models
from export.tiny import LIMITS, TIMES, build_tiny_checkpoint
from runtime.bundle import Bundle, read_bundle
from runtime.engines.onnx_cpu import OnnxCpuEngine
from runtime.interfaces import COMPONENTS, Interface, cache_names
from training.checkpoint import load_checkpoint
from training.models.dpcw import OPERATOR

export_pipeline = pytest.importorskip("export.pipeline")
verify = pytest.importorskip("export.verify")
Subject = pytest.importorskip("export.verify_subject").Subject

# An alpha on the other side of a snapping threshold is worth a few levels in one pixel.
LIMIT = dict.fromkeys(COMPONENTS, 1e-5) | {"vae_decode": 1e-3}
Array = NDArray[np.float32]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_checkpoint(tmp_path_factory.mktemp("checkpoint") / "tiny", seed=3)


@pytest.fixture(scope="module")
def models(checkpoint: Path) -> Models:
    loaded = load_checkpoint(checkpoint)
    assert loaded.planner and loaded.visualizer and loaded.vae
    return Models(loaded.planner, loaded.visualizer, loaded.vae)


@pytest.fixture(scope="module")
def bundle(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    out = tmp_path_factory.mktemp("bundle") / "tiny"
    options = export_pipeline.Options(
        targets=("cpu", "cuda"),
        precisions=("fp32", "w8", "int8", "fp16"),
        verify=False,
        limits=LIMITS,
        samples=2,
    )
    export_pipeline.export_bundle(checkpoint, out, options)
    return read_bundle(out, verify=True)


def open_engine(bundle: Bundle, name: str, precision: str = "fp32") -> OnnxCpuEngine:
    variants = bundle.manifest.components[name].variants
    variant = next(v for v in variants if v.precision == precision)
    return OnnxCpuEngine(bundle, name, variant, threads=1)


def figures(bundle: Bundle, models: Models, name: str, precision: str) -> dict[str, float]:
    """Figures of made-up cases, by the graph of a variant."""
    component = bundle.manifest.components[name]
    variant = next(v for v in component.variants if v.precision == precision)
    interface = Interface(component.inputs, component.outputs, component.state)
    graph = bundle.path(variant.files[0])
    found: dict[str, float] = verify.figures_of(name, graph, interface, Subject(models, TIMES))
    return found


@pytest.mark.parametrize("name", COMPONENTS)
def test_fp32_matches_pytorch(bundle: Bundle, models: Models, name: str) -> None:
    assert figures(bundle, models, name, "fp32")["relative_error"] <= LIMIT[name]


@pytest.mark.parametrize("precision", ["w8", "int8", "fp16"])
@pytest.mark.parametrize("name", COMPONENTS)
def test_others_are_within_their_gates(
    bundle: Bundle, models: Models, name: str, precision: str
) -> None:
    found = figures(bundle, models, name, precision)
    for gate in verify.gates_of(precision, found):
        assert gate.holds(found[gate.figure]), (gate, found)


def test_int8_and_w8_share_their_weights(bundle: Bundle) -> None:
    for name, component in bundle.manifest.components.items():
        by = {v.precision: v for v in component.variants}
        assert by["int8"].files[1:] == by["w8"].files[1:]
        own = "int8" in by["int8"].layers.values()
        assert own == (name in ("vision", "denoise", "commit"))
        assert (by["int8"].files[0] == by["w8"].files[0]) != own


def test_int8_layers_are_integer_products(bundle: Bundle) -> None:
    variants = bundle.manifest.components["denoise"].variants
    variant = next(v for v in variants if v.precision == "int8")
    model = onnx.load(bundle.path(variant.files[0]), load_external_data=False)
    count = sum(node.op_type == "MatMulInteger" for node in model.graph.node)
    assert count == sum(kind == "int8" for kind in variant.layers.values()) > 0


def test_half_precision_keeps_its_caches_in_half(bundle: Bundle) -> None:
    variant = next(
        v for v in bundle.manifest.components["planner"].variants if v.precision == "fp16"
    )
    assert variant.kv_dtype == "float16" and variant.backend == "onnx-cuda"
    model = onnx.load(bundle.path(variant.files[0]), load_external_data=False)
    types = {v.name: v.type.tensor_type for v in (*model.graph.input, *model.graph.output)}
    assert types["past.k.0"].elem_type == onnx.TensorProto.FLOAT16
    assert types["logits"].elem_type == onnx.TensorProto.FLOAT
    # An update in place compiles only where the cache's length is known.
    assert types["past.k.0"].shape.dim[2].dim_value == bundle.manifest.cache.capacity
    assert variant.profiles[0].sizes["C"] == (bundle.manifest.cache.capacity,) * 3


@pytest.mark.parametrize("t", [0.5, 0.6])
def test_times_off_the_schedule_are_not_guessed(bundle: Bundle, t: float) -> None:
    inputs = denoise_inputs(bundle)
    found = open_engine(bundle, "denoise").run({**inputs, "t": np.array([t], np.float32)})["next"]
    assert np.isfinite(found).all() if t == 0.5 else np.isnan(found).all()


def planner_inputs(bundle: Bundle, count: int, slots: int) -> tuple[dict[str, Array], ...]:
    cache = bundle.manifest.cache
    random = np.random.default_rng(0)
    sequence = {
        "tokens": random.integers(12, cache.vocab, (1, count), dtype=np.int64),
        "features": np.zeros((1, count, cache.width), np.float32),
        "positions": np.repeat(np.arange(count, dtype=np.float32)[:, None], 3, axis=1),
    }
    shape = (1, cache.kv_heads, slots, cache.head_dim)
    past = {n: np.full(shape, 5, np.float32) for n in cache_names("past", cache.layers)}
    return sequence, past


@pytest.mark.parametrize("precision", ["fp32", "w8", "int8"])
@pytest.mark.parametrize("chunks", [(1,) * 20, (7, 1, 1, 11), (19, 1)])
def test_planner_in_pieces_is_planner_at_once(
    bundle: Bundle, precision: str, chunks: tuple[int, ...]
) -> None:
    engine = open_engine(bundle, "planner", precision)
    count = sum(chunks)
    sequence, whole = planner_inputs(bundle, count, 32)
    expected = engine.run({**sequence, **whole, "offset": np.zeros(1, np.int64)})["logits"]
    _, pieces = planner_inputs(bundle, count, 32)
    start = 0
    for size in chunks:
        span = slice(start, start + size)
        found = engine.run(
            {
                "tokens": np.ascontiguousarray(sequence["tokens"][:, span]),
                "features": np.ascontiguousarray(sequence["features"][:, span]),
                "positions": np.ascontiguousarray(sequence["positions"][span]),
                "offset": np.array([start], np.int64),
                **pieces,
            }
        )["logits"]
        start += size
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    for name, rows in whole.items():
        np.testing.assert_allclose(pieces[name], rows, atol=1e-4, err_msg=name)


def test_planner_writes_only_its_slots(bundle: Bundle) -> None:
    sequence, past = planner_inputs(bundle, 6, 16)
    engine = open_engine(bundle, "planner")
    result = engine.run({**sequence, **past, "offset": np.array([4], np.int64)})
    assert list(result) == ["logits"]
    for name, rows in past.items():
        assert (rows[:, :, :4] == 5).all() and (rows[:, :, 10:] == 5).all(), name
        assert not (rows[:, :, 4:10] == 5).any(), name


def test_planner_ignores_what_stands_behind(bundle: Bundle) -> None:
    engine = open_engine(bundle, "planner")
    results = []
    for behind in (5.0, np.nan):
        sequence, past = planner_inputs(bundle, 6, 16)
        for rows in past.values():
            rows[:, :, 6:] = behind
        results.append(engine.run({**sequence, **past, "offset": np.zeros(1, np.int64)})["logits"])
    np.testing.assert_array_equal(*results)


def test_features_enter_only_at_image_tokens(bundle: Bundle) -> None:
    engine = open_engine(bundle, "planner")
    results = []
    for token, value in ((20, 0.0), (20, 1.0), (10, 0.0), (10, 1.0)):
        sequence, past = planner_inputs(bundle, 3, 8)
        sequence["tokens"][0, 1] = token
        sequence["features"][0, 1] = value
        results.append(engine.run({**sequence, **past, "offset": np.zeros(1, np.int64)})["logits"])
    assert (results[0] == results[1]).all()
    assert not np.allclose(results[2], results[3])


def denoise_inputs(bundle: Bundle) -> dict[str, Array]:
    """One token, and a window of nothing."""
    cache, image = bundle.manifest.cache, bundle.manifest.image
    inputs: dict[str, Array] = {
        "latent": np.ones((1, 1, image.latent_channels), np.float32),
        "positions": np.full((1, 3), 8, np.float32),
        "t": np.ones(1, np.float32),
        "t_next": np.zeros(1, np.float32),
    }
    for name in cache_names("window", cache.layers):
        inputs[name] = np.zeros((1, cache.kv_heads, 0, cache.head_dim), np.float32)
    return inputs


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_one_token_and_no_window(bundle: Bundle, precision: str) -> None:
    image = bundle.manifest.image
    found = open_engine(bundle, "denoise", precision).run(denoise_inputs(bundle))["next"]
    assert found.shape == (1, 1, image.latent_channels) and np.isfinite(found).all()


def test_window_of_nothing(bundle: Bundle) -> None:
    cache = bundle.manifest.cache
    inputs: dict[str, NDArray[np.generic]] = {
        "index": np.zeros(0, np.int64),
        "shift": np.zeros((0, 3), np.float32),
        "reference_shift": np.zeros((0, 3), np.float32),
    }
    for prefix, rows in (("planner", 4), ("reference", 0)):
        for name in cache_names(prefix, cache.layers):
            inputs[name] = np.zeros((1, cache.kv_heads, rows, cache.head_dim), np.float32)
    for rows in open_engine(bundle, "window").run(inputs).values():
        assert rows.shape == (1, cache.kv_heads, 0, cache.head_dim)


@pytest.mark.parametrize("size", [(16, 16), (16, 128), (80, 48)])
def test_pictures_of_any_size_on_the_grid(bundle: Bundle, size: tuple[int, int]) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (*size, 4), dtype=np.uint8)
    height, width = size
    latent = open_engine(bundle, "vae_encode").run({"image": picture})["latent"]
    assert latent.shape == (1, 48, height // 16, width // 16)
    assert open_engine(bundle, "vae_decode").run({"latent": latent})["image"].shape == (*size, 4)
    features = open_engine(bundle, "vision").run({"image": picture})["features"]
    assert features.shape == (-(-height // 64) * -(-width // 64), bundle.manifest.cache.width)


@pytest.mark.parametrize("name", ["denoise", "commit"])
def test_window_attention_is_the_declared_function(bundle: Bundle, name: str) -> None:
    path = bundle.path(bundle.manifest.components[name].variants[0].files[0])
    model = onnx.load(path, load_external_data=False)
    (function,) = model.functions
    assert (function.domain, function.name) == (OPERATOR.domain, OPERATOR.name)
    assert tuple(function.input) == OPERATOR.inputs
    assert tuple(function.output) == OPERATOR.outputs
    assert [node.op_type for node in function.node] == ["Concat", "Concat", "Attention"]
    count = sum(node.op_type == OPERATOR.name for node in model.graph.node)
    layers = bundle.manifest.cache.layers
    # The last layer of a commit gives its keys and values and ends there.
    assert count == (layers if name == "denoise" else layers - 1)


def test_opset_is_24_and_domains_are_standard(bundle: Bundle) -> None:
    for component in bundle.manifest.components.values():
        for variant in component.variants:
            model = onnx.load(bundle.path(variant.files[0]), load_external_data=False)
            opsets = {entry.domain: entry.version for entry in model.opset_import}
            assert opsets.pop("") == 24
            assert set(opsets) <= {OPERATOR.domain}
