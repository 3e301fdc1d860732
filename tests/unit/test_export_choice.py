"""Precision layer by layer: what a layer's error is, which layers are kept, and on what data."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("skia")
pytest.importorskip("webdataset")

import onnxruntime
import torch
from onnx import helper

from export import choice
from export.choice import choose_layers, float8, int8_activation, layer_errors, within_budget
from export.errors import ExportError
from export.graphs import Models
from export.layer_groups import layer_groups, quantized, results
from export.pipeline import Options, export_bundle
from export.precision import RECIPES
from export.samples import make_examples, storyworld_documents, user_documents
from export.tiny import LIMITS, TIMES, build_tiny_checkpoint
from export.verify_subject import Subject
from runtime.bundle import read_bundle
from runtime.interfaces import COMPONENTS
from training.checkpoint import load_checkpoint
from training.data.writing import BuildConfig, build


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_checkpoint(tmp_path_factory.mktemp("choice") / "checkpoint")


@pytest.fixture(scope="module")
def subject(checkpoint: Path) -> Subject:
    loaded = load_checkpoint(checkpoint)
    assert loaded.planner and loaded.visualizer and loaded.vae and loaded.tokenizer_path
    models = Models(loaded.planner, loaded.visualizer, loaded.vae)
    documents = storyworld_documents(2, held_out=False)
    return Subject(models, TIMES, tuple(make_examples(models, loaded.tokenizer_path, documents, 3)))


def test_the_budget_goes_to_the_layers_that_need_least() -> None:
    errors = {"a": 0.03, "b": 0.01, "c": 0.02, "d": 0.04}
    assert within_budget(errors, 0.024) == {"b", "c"}
    assert within_budget(errors, 0.0) == set()
    assert within_budget(errors, 1.0) == set(errors)
    assert within_budget({"a": float("nan")}, 1.0) == set()


def test_simulated_int8_is_what_the_graph_computes() -> None:
    x = torch.randn(5, 7, generator=torch.Generator().manual_seed(0)) * 3 + 1
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    values = [helper.make_tensor_value_info(name, 1, [5, 7]) for name in "xy"]
    model = helper.make_model(
        helper.make_graph(nodes, "g", values[:1], values[1:]),
        opset_imports=[helper.make_opsetid("", 21)],
        ir_version=10,
    )
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (expected,) = session.run(None, {"x": x.numpy()})
    np.testing.assert_allclose(int8_activation(x).numpy(), expected, rtol=0, atol=1e-6)


def test_simulated_float8_has_three_bits_of_mantissa() -> None:
    x = torch.tensor([1.0, 1.06, 1.07, 447.0, 1e9, -2.0])
    assert float8(x, 1.0).tolist() == [1.0, 1.0, 1.125, 448.0, 448.0, -2.0]


def test_a_sensitive_layer_is_kept(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    def errors(name: str, _: Subject, groups: dict[str, object], *__: object) -> dict[str, float]:
        return {path: 1.0 if path == "blocks.1/down" else 1e-3 for path in groups}

    monkeypatch.setattr(choice, "layer_errors", errors)
    recipes = choose_layers(subject, replace(RECIPES["int8"], small_size=64), "float32")
    assert "blocks.1/down" not in recipes["denoise"].layers
    assert recipes["denoise"].layers["blocks.0/down"] == "int8"
    for name in ("planner", "window", "vae_decode", "vae_encode"):
        assert not recipes[name].layers
    assert set(recipes) == set(COMPONENTS)


@pytest.mark.parametrize("broken", [0, 1])
def test_a_layer_whose_results_are_nan_is_kept(
    subject: Subject, monkeypatch: pytest.MonkeyPatch, broken: int
) -> None:
    right, near = [torch.ones(4)] * 2, [torch.full((4,), 1.01)] * 2
    wrong = [torch.full((4,), torch.nan) if i == broken else x for i, x in enumerate(near)]
    runs = iter([right, wrong, near])
    monkeypatch.setattr(choice, "results", lambda *_: next(runs))
    groups = dict(list(layer_groups("denoise", subject).items())[:2])
    errors = layer_errors("denoise", subject, groups, "int8", {})
    assert within_budget(errors, 1e3) == set(list(groups)[1:])


def test_the_planner_is_measured_on_text_that_no_example_holds(subject: Subject) -> None:
    twin = subject.models.planner.config.twin
    per_example = 1 + 2 * twin.layers
    found = results("planner", subject)
    logits = found[per_example * len(subject.examples) :]
    vocab = subject.models.planner.config.planner.vocab
    assert len(logits) > 8 and {tuple(row.shape) for row in logits} == {(1, vocab)}
    again = results("planner", subject)
    assert all(torch.equal(a, b) for a, b in zip(found, again, strict=True))


def test_layers_are_as_before_after_measuring(subject: Subject) -> None:
    group = layer_groups("denoise", subject)["blocks.0/qkv"]
    before = [layer.weight for layer in group]
    with quantized(group, lambda w: w * 0, lambda x: x):
        assert all(float(layer.weight.abs().max()) == 0 for layer in group)
    assert all(a is layer.weight for a, layer in zip(before, group, strict=True))
    assert not any(layer._forward_pre_hooks for layer in group)


def test_a_user_s_documents_calibrate(checkpoint: Path, tmp_path: Path) -> None:
    build(BuildConfig(out=tmp_path / "data", count=3, shard_size=3, seed=5))
    options = Options(
        precisions=("int8",), verify=False, limits=LIMITS, calibrate=tmp_path / "data", samples=2
    )
    export_bundle(checkpoint, tmp_path / "bundle", options)
    variant = read_bundle(tmp_path / "bundle").manifest.components["denoise"].variants[0]
    assert "int8" in variant.layers.values()


def test_data_that_does_not_fit(subject: Subject, checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ExportError, match="expected WebDataset shards"):
        list(user_documents(tmp_path / "empty", 2, 512))
    (tmp_path / "empty" / "a.tar").write_bytes(b"not a tar file" * 100)
    with pytest.raises(ExportError, match=r"calibration data|found none"):
        list(user_documents(tmp_path / "empty", 2, 512))
    with pytest.raises(ExportError, match="the assistant draws pictures"):
        make_examples(subject.models, checkpoint / "tokenizer.json", iter(()), 3)
    out = tmp_path / "bundle"
    options = Options(precisions=("int8",), limits=LIMITS, calibrate=tmp_path / "none")
    with pytest.raises(ExportError, match="expected WebDataset shards"):
        export_bundle(checkpoint, out, options)
    assert not out.exists()


def test_fp8_without_modelopt_says_what_to_install(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("modelopt", "modelopt.torch", "modelopt.torch.quantization"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ExportError, match=r"pip install '\.\[fp8\]'"):
        choose_layers(subject, RECIPES["fp8"], "float16")


def test_report_counts_what_layers_became(checkpoint: Path, tmp_path: Path) -> None:
    options = Options(precisions=("int8",), verify=False, limits=LIMITS, samples=1)
    report = export_bundle(checkpoint, tmp_path / "bundle", options)
    rows = {row.component: row for row in report.rows}
    assert rows["denoise"].layers["int8"] > 0 and "int8" not in rows["planner"].layers
    assert json.dumps(rows["denoise"].layers)
