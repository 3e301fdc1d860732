"""Scores of every precision against fp32: the bundles that are scored, and the gates."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("skia")

from export import verify_bundle, verify_scores
from export.errors import GateError
from export.pipeline import Options, export_bundle
from export.restore import restored_models
from export.tiny import LIMITS, TIMES, build_tiny_checkpoint
from export.verify import figures_of
from export.verify_scores import Scores, gates_of_rows
from export.verify_subject import Subject
from runtime.bundle import Gate, read_bundle, write_manifest
from runtime.interfaces import Interface

OPTIONS = Options(precisions=("int8",), limits=LIMITS, samples=1, eval_samples=3)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_checkpoint(tmp_path_factory.mktemp("scores") / "checkpoint")


def scorer(scores: dict[str, float], seen: list[str]) -> object:
    def evaluate(bundle: Path, samples: int) -> Scores:
        manifest = read_bundle(bundle, verify=True).manifest
        (precision,) = {v.precision for c in manifest.components.values() for v in c.variants}
        seen.append(precision)
        assert samples == 3
        return {"t2i kind": (scores[precision], 1000)}

    return evaluate


def test_scores_and_gates_are_in_the_manifest(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(verify_scores, "weft_eval", scorer({"fp32": 0.9, "int8": 0.896}, seen))
    report = export_bundle(checkpoint, tmp_path / "bundle", OPTIONS)
    assert seen == ["fp32", "int8"]
    found = read_bundle(tmp_path / "bundle").manifest.verification
    assert found["onnx-cpu int8"].figures == {"t2i kind": 0.896}
    assert found["onnx-cpu int8"].gates[0].limit == 0.895
    assert report.scores["onnx-cpu fp32"] == {"t2i kind": 0.9}
    folders = [path for path in tmp_path.iterdir() if path.name != "bundle"]
    assert not folders and not list((tmp_path / "bundle").glob(".eval-*"))


def test_a_row_that_falls_too_far_is_a_failed_export(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify_scores, "weft_eval", scorer({"fp32": 0.9, "int8": 0.89}, []))
    with pytest.raises(GateError, match=r"onnx-cpu int8 t2i kind: expected at least 0\.895"):
        export_bundle(checkpoint, tmp_path / "bundle", OPTIONS)
    assert list(tmp_path.iterdir()) == []


def test_few_judgements_allow_one_to_differ() -> None:
    (few, many) = gates_of_rows({"a": (0.9, 10), "b": (0.9, 1000)}, 0.005)
    assert (few.limit, many.limit) == (0.8, 0.895)


def test_verify_measures_a_bundle_again(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "bundle"
    options = replace(OPTIONS, precisions=("int8", "fp32"), eval_samples=0)
    export_bundle(checkpoint, out, options)
    assert verify_bundle.main([str(out), "--samples", "1", "--json"]) == 0
    checks = json.loads(capsys.readouterr().out.splitlines()[-1])["checks"]
    assert len(checks) == 14 and all(check["ran"] for check in checks)
    bundle = read_bundle(out)
    manifest = bundle.manifest
    denoise = manifest.components["denoise"]
    strict = replace(denoise.variants[0], gates=(Gate("relative_error", 1e-9),))
    manifest.components["denoise"] = replace(denoise, variants=(strict,))
    write_manifest(out, manifest)
    assert verify_bundle.main([str(out), "--samples", "1"]) == 1
    assert "expected at most 1e-09" in capsys.readouterr().out
    assert verify_bundle.main([str(tmp_path / "none"), "--json"]) == 1
    assert "expected a bundle folder" in capsys.readouterr().err


def test_a_read_only_bundle_is_measured(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    export_bundle(checkpoint, out, Options(("cpu", "cuda"), ("w8", "fp16"), False, LIMITS))
    bundle = read_bundle(out)
    planner = bundle.manifest.components["planner"]
    (graph,) = (bundle.path(v.files[0]) for v in planner.variants if v.precision == "fp16")
    interface = Interface(planner.inputs, planner.outputs, planner.state)
    graph.parent.chmod(0o555)
    # Root may write all the same, which the folder's time tells.
    before = graph.parent.stat().st_mtime_ns
    figures = figures_of("planner", graph, interface, Subject(restored_models(bundle), TIMES))
    assert 0 < figures["relative_error"] < 0.02
    assert graph.parent.stat().st_mtime_ns == before
