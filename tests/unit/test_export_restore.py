"""`weft export --restore`: a bundle as a checkpoint again, exactly, or a clear refusal."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch")
pytest.importorskip("onnx")

import onnx
import torch
from safetensors.torch import load_file

from export import cli
from export.errors import ExportError
from export.pipeline import Options, export_bundle
from export.restore import restore_checkpoint
from export.storage import dequantize, quantize
from export.tiny import LIMITS, build_tiny_checkpoint
from runtime.bundle import MANIFEST, file_of, read_bundle, write_manifest
from runtime.errors import BundleError
from runtime.manifest import Manifest
from training.checkpoint import load_checkpoint, save_checkpoint
from training.models import VAE, Planner, Visualizer, named_config

WEIGHTS = ("planner.safetensors", "visualizer.safetensors", "vae.safetensors")
# The int8 weights and their scales, and what shares their file, exported twice.
DATA = ("planner", "vision", "visualizer", "vae")


def options(*precisions: str) -> Options:
    return Options(precisions=precisions, verify=False, limits=LIMITS)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint whose VAE normalises, as a trained one does."""
    folder = tmp_path_factory.mktemp("restore") / "checkpoint"
    loaded = load_checkpoint(build_tiny_checkpoint(folder))
    assert loaded.planner and loaded.visualizer and loaded.vae
    loaded.vae.shift += torch.linspace(-1, 1, loaded.vae.shift.numel()).view(-1, 1, 1)
    loaded.vae.scale *= torch.linspace(0.3, 3, loaded.vae.scale.numel()).view(-1, 1, 1)
    models = loaded.planner, loaded.visualizer, loaded.vae
    tokenizer = shutil.copyfile(folder / "tokenizer.json", folder.parent / "tokenizer.json")
    training = {**loaded.training, "step": 7}
    return save_checkpoint(folder, loaded.config, *models, tokenizer, training)


@pytest.fixture(scope="module")
def w8(checkpoint: Path) -> Path:
    export_bundle(checkpoint, checkpoint.parent / "w8", options("w8"))
    return checkpoint.parent / "w8"


@pytest.fixture(scope="module")
def both(checkpoint: Path) -> Path:
    export_bundle(checkpoint, checkpoint.parent / "both", options("w8", "fp32"))
    return checkpoint.parent / "both"


def edit(source: Path, folder: Path, change: Callable[[Manifest], Manifest]) -> Path:
    """A copy of a bundle with another manifest."""
    shutil.copytree(source, folder)
    write_manifest(folder, change(read_bundle(folder).manifest))
    return folder


def with_model(**values: str) -> Callable[[Manifest], Manifest]:
    return lambda manifest: replace(manifest, model=replace(manifest.model, **values))


def test_fp32_comes_back_to_the_bit(both: Path, checkpoint: Path, tmp_path: Path) -> None:
    folder = restore_checkpoint(both, tmp_path / "back")
    assert sorted(p.name for p in folder.iterdir()) == sorted(p.name for p in checkpoint.iterdir())
    for name in ("config.json", "tokenizer.json"):
        assert (folder / name).read_bytes() == (checkpoint / name).read_bytes()
    for name in WEIGHTS:
        found, expected = load_file(folder / name), load_file(checkpoint / name)
        assert found.keys() == expected.keys()
        for parameter, value in expected.items():
            if parameter.endswith("table"):
                torch.testing.assert_close(found[parameter], value, rtol=0, atol=1e-6)
            else:
                assert torch.equal(found[parameter], value), parameter
    load_checkpoint(folder)


def test_training_notes(both: Path, tmp_path: Path) -> None:
    training = load_checkpoint(restore_checkpoint(both, tmp_path / "back")).training
    bundle = read_bundle(both)
    assert training.pop("restored_from") == {
        "bundle": hashlib.sha256((both / MANIFEST).read_bytes()).hexdigest(),
        "model": "tiny",
        "revision": bundle.manifest.model.revision,
        "precision": dict.fromkeys(
            ("planner", "vision", "denoise", "vae_decode", "vae_encode"), "fp32"
        ),
    }
    assert training == {
        "stage": "random",
        "step": 7,
        "schedule": {"4": [1.0, 0.75, 0.5, 0.25, 0.0]},
        "default_steps": 4,
    }


def test_fp32_exports_the_same_files_again(both: Path, tmp_path: Path) -> None:
    folder = restore_checkpoint(both, tmp_path / "back")
    export_bundle(folder, tmp_path / "again", options("w8", "fp32"))
    for path in sorted(both.rglob("*.*")):
        if path.is_file() and path.name != MANIFEST:
            again = tmp_path / "again" / path.relative_to(both)
            # The folded timestep of `commit` is computed from tables that are off by 1e-7.
            if not path.name.startswith("commit."):
                assert again.read_bytes() == path.read_bytes(), path.name
    first, second = (read_bundle(f).manifest for f in (both, tmp_path / "again"))
    for part in ("cache", "image", "schedule", "tokenizer", "notes"):
        assert getattr(first, part) == getattr(second, part)
    assert first.model.config == second.model.config


def test_w8_is_near_and_quantizes_the_same_again(
    w8: Path, checkpoint: Path, tmp_path: Path
) -> None:
    folder = restore_checkpoint(w8, tmp_path / "back")
    loaded = load_checkpoint(folder)
    assert set(loaded.training["restored_from"]["precision"].values()) == {"w8"}
    for name in WEIGHTS:
        found = load_file(folder / name)
        for parameter, value in load_file(checkpoint / name).items():
            error = (found[parameter] - value).norm() / value.norm()
            assert error < 0.02, parameter
    export_bundle(folder, tmp_path / "again", options("w8"))
    for name in DATA:
        again = tmp_path / "again" / "onnx" / f"{name}.w8.weights"
        assert again.read_bytes() == (w8 / "onnx" / f"{name}.w8.weights").read_bytes(), name
    for name in ("planner", "vision", "denoise", "vae_decode", "vae_encode"):
        graph = (tmp_path / "again" / "onnx" / f"{name}.w8.onnx").read_bytes()
        assert graph == (w8 / "onnx" / f"{name}.w8.onnx").read_bytes(), name
    restore_checkpoint(tmp_path / "again", tmp_path / "twice")
    for name in WEIGHTS:
        assert (tmp_path / "twice" / name).read_bytes() == (folder / name).read_bytes()


@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    axis=st.integers(0, 1),
    seed=st.integers(0, 9999),
    size=st.sampled_from([0.0, 1e-13, 1e-11, 1e-3, 1.0, 1e4]),
)
def test_dequantized_weights_quantize_the_same(
    shape: tuple[int, int], axis: int, seed: int, size: float
) -> None:
    weight = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    weight *= np.float32(size)
    values, scale = quantize(weight, axis)
    again = dequantize(values, scale, axis)
    assert again.dtype == np.float32
    other, same = quantize(again, axis)
    np.testing.assert_array_equal(other, values)
    np.testing.assert_array_equal(same, scale)


def test_variants_of_the_models(tmp_path: Path) -> None:
    """Without QK-norm and with the additive timestep there are other weights."""
    tiny = named_config("tiny")
    config = replace(
        tiny,
        name="other",
        planner=replace(tiny.planner, qk_norm=False, norm_eps=1e-5),
        visualizer=replace(tiny.visualizer, timestep="additive"),
    )
    tokenizer = build_tiny_checkpoint(tmp_path / "tiny") / "tokenizer.json"
    models = Planner(config), Visualizer(config), VAE(config.vae)
    source = save_checkpoint(tmp_path / "source", config, *models, tokenizer, {})
    export_bundle(source, tmp_path / "bundle", options("fp32"))
    back = load_checkpoint(restore_checkpoint(tmp_path / "bundle", tmp_path / "back"))
    assert back.config == config and back.planner and back.visualizer
    for model, found in zip(models[:2], (back.planner, back.visualizer), strict=True):
        for name, value in model.state_dict().items():
            torch.testing.assert_close(found.state_dict()[name], value, rtol=0, atol=1e-6)


def test_a_bundle_without_configuration_needs_its_name(both: Path, tmp_path: Path) -> None:
    old = edit(both, tmp_path / "old", with_model(config=""))
    with pytest.raises(ExportError, match="--config tiny"):
        restore_checkpoint(old, tmp_path / "back")
    with pytest.raises(ExportError, match="no model configuration 'huge'"):
        restore_checkpoint(old, tmp_path / "back", "huge")
    assert not (tmp_path / "back").exists()
    restored = load_checkpoint(restore_checkpoint(old, tmp_path / "back", "tiny"))
    assert restored.config == named_config("tiny")


def test_another_architecture(both: Path, tmp_path: Path) -> None:
    old = edit(both, tmp_path / "old", with_model(config=""))
    with pytest.raises(ExportError, match="another architecture: the configuration 'storybook'"):
        restore_checkpoint(old, tmp_path / "back", "storybook")
    with pytest.raises(ExportError, match=r"differs from 'storybook'; leave --config out"):
        restore_checkpoint(both, tmp_path / "back", "storybook")
    assert restore_checkpoint(both, tmp_path / "same", "tiny").is_dir()


def nested(config: dict[str, Any], path: str, value: object) -> str:
    *outer, last = path.split(".")
    inner = config
    for key in outer:
        inner = inner[key]
    inner[last] = value
    return json.dumps(config)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("planner.ffn", 64, r"blocks.0.ffn.gate.weight: expected \[64, 64\]"),
        ("planner.qk_norm", False, "'tiny' has no place for blocks.0/k_norm.weight"),
        ("planner.vision.layers", 2, "expected the weights blocks.1/"),
        ("visualizer.timestep", "additive", r"time.2.weight: expected \[64, 64\]"),
        ("visualizer.time_features", 64, r"time.0.weight: expected \[64, 64\]"),
        ("vae.widths", [8, 8, 16, 8], "encoder"),
        ("vae.blocks", [0, 0, 1, 0], "encoder"),
        ("twin.layers", 1, "another architecture: the configuration"),
        ("twin.rope_theta", 500.0, "another architecture: the configuration"),
        ("planner.depth", 2, "unknown keys"),
        ("twin.rope_sections", 3, "model configuration"),
    ],
)
def test_configuration_that_does_not_fit(
    both: Path, tmp_path: Path, path: str, value: object, message: str
) -> None:
    config = nested(named_config("tiny").to_dict(), path, value)
    wrong = edit(both, tmp_path / "wrong", with_model(config=config))
    with pytest.raises(ExportError, match=message):
        restore_checkpoint(wrong, tmp_path / "back")
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize("config", ["{", "[]", "{}", '"tiny"'])
def test_configuration_that_is_none(both: Path, tmp_path: Path, config: str) -> None:
    wrong = edit(both, tmp_path / "wrong", with_model(config=config))
    with pytest.raises(ExportError, match="model configuration: "):
        restore_checkpoint(wrong, tmp_path / "back")


def test_a_bundle_of_engines_only(both: Path, tmp_path: Path) -> None:
    def engines(manifest: Manifest) -> Manifest:
        component = manifest.components["denoise"]
        variants = tuple(replace(v, engine="tensorrt") for v in component.variants)
        components = {**manifest.components, "denoise": replace(component, variants=variants)}
        return replace(manifest, components=components)

    compiled = edit(both, tmp_path / "compiled", engines)
    with pytest.raises(ExportError, match="denoise: expected an onnxruntime variant in fp32 or w8"):
        restore_checkpoint(compiled, tmp_path / "back")


def test_incomplete_and_damaged_bundles(both: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError):
        restore_checkpoint(tmp_path / "none", tmp_path / "back")
    broken = Path(shutil.copytree(both, tmp_path / "broken"))
    data = broken / "onnx" / "vision.fp32.weights"
    content = bytearray(data.read_bytes())
    content[100] ^= 1
    data.write_bytes(content)
    with pytest.raises(BundleError, match="expected sha256"):
        restore_checkpoint(broken, tmp_path / "back")
    data.unlink()
    with pytest.raises(BundleError, match="missing"):
        restore_checkpoint(broken, tmp_path / "back")
    assert not (tmp_path / "back").exists()


def rewritten(source: Path, folder: Path, change: Callable[[bytes], bytes]) -> Path:
    """A copy of a bundle whose fp32 vision graph is another, with the right digests."""

    def manifest(old: Manifest) -> Manifest:
        path = folder / "onnx" / "vision.fp32.onnx"
        path.write_bytes(change(path.read_bytes()))
        component = old.components["vision"]
        variants = tuple(
            replace(v, files=tuple(file_of(folder, f.path) for f in v.files))
            for v in component.variants
        )
        return replace(
            old, components={**old.components, "vision": replace(component, variants=variants)}
        )

    shutil.copytree(source, folder)
    bundle = read_bundle(folder)
    write_manifest(folder, manifest(bundle.manifest))
    return folder


def external(key: str, value: str) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        model = onnx.load_model_from_string(data)
        tensor = next(t for t in model.graph.initializer if t.name == "merge/0.weight")
        next(e for e in tensor.external_data if e.key == key).value = value
        return bytes(model.SerializeToString())

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda _: b"not a graph", "expected an ONNX model"),
        (lambda data: data.replace(b"blocks.0/down.weight", b"blocks.0/Down.weight"), "down"),
        (external("location", "../../secret"), "not listed in the manifest"),
        (external("location", "planner.fp32.weights"), "not listed in the manifest"),
        (external("offset", "99999999"), "are not in onnx/vision.fp32.weights"),
        (external("offset", "-64"), "are not in onnx/vision.fp32.weights"),
    ],
)
def test_graphs_of_another_making(
    both: Path, tmp_path: Path, change: Callable[[bytes], bytes], message: str
) -> None:
    wrong = rewritten(both, tmp_path / "wrong", change)
    with pytest.raises(ExportError, match=message):
        restore_checkpoint(wrong, tmp_path / "back")


def test_other_folders_are_not_replaced(both: Path, checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="new or empty folder"):
        restore_checkpoint(both, checkpoint)
    (tmp_path / "empty").mkdir()
    restore_checkpoint(both, tmp_path / "empty")
    (tmp_path / "file").write_text("x")
    for name in ("file", "file/inside"):
        with pytest.raises(ExportError, match=r"new or empty folder|not written"):
            restore_checkpoint(both, tmp_path / name)


def test_command(both: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "back"
    assert cli.main(["--restore", str(both), "-o", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"checkpoint": str(out)}
    assert load_checkpoint(out).config.name == "tiny"
    assert cli.main(["--restore", str(both), "-o", str(out)]) == 1
    assert "new or empty" in capsys.readouterr().err
    for wrong in ([], [str(out), "--restore", str(both)], [str(out), "--config", "tiny"]):
        with pytest.raises(SystemExit):
            cli.main([*wrong, "-o", str(tmp_path / "other")])
