"""`weft export` from the outside: the folder it writes, what it refuses, what it leaves behind."""

from __future__ import annotations

import errno
import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from export import cli, graphs, verify
from export.errors import ExportError, GateError
from export.manifest import Limits
from export.pipeline import Options, export_bundle
from export.tiny import LIMITS, build_tiny_checkpoint
from export.verify_subject import distance, psnr
from runtime.bundle import Gate, read_bundle
from runtime.interfaces import COMPONENTS

FAST = Options(precisions=("fp32",), verify=False, limits=LIMITS)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_checkpoint(tmp_path_factory.mktemp("good") / "checkpoint")


@pytest.fixture
def checkpoint(good: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(good, tmp_path / "checkpoint"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def assert_nothing_written(tmp_path: Path) -> None:
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint"]


def test_tiny_bundle_is_complete(tiny_bundle: Path) -> None:
    bundle = read_bundle(tiny_bundle, verify=True)
    assert set(bundle.manifest.components) == set(COMPONENTS)
    listed = {file.path for file in bundle.files()} | {"bundle.json"}
    assert set(contents(tiny_bundle)) == listed
    assert bundle.manifest.schedule.steps == {"4": (1.0, 0.75, 0.5, 0.25, 0.0)}
    assert bundle.manifest.tokenizer.special.eos == 11


def test_same_checkpoint_same_bytes(checkpoint: Path, tmp_path: Path) -> None:
    options = Options(precisions=("int8", "w8", "fp32"), limits=LIMITS, samples=1)
    before = torch.get_num_threads()
    try:
        for name, threads in (("a", 1), ("b", 3)):
            torch.set_num_threads(threads)
            export_bundle(checkpoint, tmp_path / name, options)
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    for name, data in contents(tmp_path / "a").items():
        assert str(tmp_path).encode() not in data, name


def test_order_of_precisions_is_the_preference(checkpoint: Path, tmp_path: Path) -> None:
    report = export_bundle(checkpoint, tmp_path / "b", Options(("cpu",), ("w8", "fp32"), False))
    component = read_bundle(tmp_path / "b").manifest.components["denoise"]
    assert [v.precision for v in component.variants] == ["w8", "fp32"]
    sizes = {row.precision: row.bytes for row in report.rows if row.component == "denoise"}
    assert {row.backend for row in report.rows} == {"onnx-cpu"}
    assert sizes["w8"] < sizes["fp32"] / 2


def test_shared_weights_are_one_file(tiny_bundle: Path) -> None:
    components = read_bundle(tiny_bundle).manifest.components
    data = {n: c.variants[0].files[1:] for n, c in components.items()}
    assert data["denoise"] == data["commit"] and data["denoise"]
    assert data["vae_decode"] == data["vae_encode"] and data["vae_decode"]
    assert data["window"] == ()


def test_an_older_bundle_is_replaced(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "b"
    export_bundle(checkpoint, out, replace(FAST, precisions=("w8",)))
    export_bundle(checkpoint, out, FAST)
    assert set(contents(out)) == {file.path for file in read_bundle(out).files()} | {"bundle.json"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b", "checkpoint"]


def test_a_bundle_with_other_things_in_it_is_not_replaced(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(tiny_bundle, tmp_path / "b"))
    (out / "onnx" / "notes.txt").write_text("x")
    (out / "pictures").mkdir()
    before = contents(out)
    with pytest.raises(ExportError, match=r"in it: onnx/notes.txt, pictures; move them elsewhere"):
        export_bundle(tmp_path / "none", out, FAST)
    (out / "bundle.json").write_text("{}")
    with pytest.raises(ExportError, match="to export to this folder, empty it"):
        export_bundle(tmp_path / "none", out, FAST)
    assert contents(out) == {**before, "bundle.json": b"{}"}


def test_other_folders_are_not_replaced(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    (out / "thesis.txt").write_text("x")
    with pytest.raises(ExportError, match="other things in it"):
        export_bundle(checkpoint, out, FAST)
    assert (out / "thesis.txt").read_text() == "x"
    with pytest.raises(ExportError, match="found a file"):
        export_bundle(checkpoint, out / "thesis.txt", FAST)


@pytest.mark.parametrize(
    "name", ["planner.safetensors", "visualizer.safetensors", "vae.safetensors", "tokenizer.json"]
)
def test_incomplete_checkpoint(checkpoint: Path, tmp_path: Path, name: str) -> None:
    (checkpoint / name).unlink()
    with pytest.raises(ExportError, match=f"complete checkpoint, {name} missing"):
        export_bundle(checkpoint, tmp_path / "b", FAST)
    assert_nothing_written(tmp_path)


def edit(path: Path, name: str, value: torch.Tensor | None) -> None:
    state = load_file(path)
    state.pop(name)
    if value is not None:
        state[name] = value
    save_file(state, path)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "missing enter.bias"),
        (torch.zeros(5), r"enter.bias: config.json says \[64\], found \[5\]"),
        (torch.full((64,), torch.nan), "enter.bias holds NaN"),
    ],
)
def test_wrong_weights(
    checkpoint: Path, tmp_path: Path, value: torch.Tensor | None, message: str
) -> None:
    edit(checkpoint / "visualizer.safetensors", "enter.bias", value)
    with pytest.raises(ExportError, match=message):
        export_bundle(checkpoint, tmp_path / "b", FAST)
    assert_nothing_written(tmp_path)


def test_another_architecture(checkpoint: Path, tmp_path: Path) -> None:
    (checkpoint / "config.json").write_text('{"architectures": ["Other"], "hidden_size": 8}')
    with pytest.raises(ExportError, match="unknown keys"):
        export_bundle(checkpoint, tmp_path / "b", FAST)
    path = checkpoint / "planner.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    shutil.copyfile(path, checkpoint / "vae.safetensors")
    (checkpoint / "config.json").write_text("{")
    with pytest.raises(ExportError, match="syntax error"):
        export_bundle(checkpoint, tmp_path / "b", FAST)


def test_truncated_weights(checkpoint: Path, tmp_path: Path) -> None:
    path = checkpoint / "planner.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ExportError, match="expected safetensors"):
        export_bundle(checkpoint, tmp_path / "b", FAST)


def test_tokenizer_of_another_model(checkpoint: Path, tmp_path: Path) -> None:
    path = checkpoint / "tokenizer.json"
    path.write_text(path.read_text().replace("<BOI>", "<other>"))
    with pytest.raises(ExportError, match="<BOI>"):
        export_bundle(checkpoint, tmp_path / "b", FAST)
    for data in ('{"added_tokens": []}', '{"added_tokens": [], "model": {"vocab": [["a", -1.0]]}}'):
        path.write_text(data)
        with pytest.raises(ExportError, match="tokenizers library"):
            export_bundle(checkpoint, tmp_path / "b", FAST)
    assert_nothing_written(tmp_path)


def test_schedule_that_is_none(checkpoint: Path, tmp_path: Path) -> None:
    wrong = ("linear", 4, ["a", 0], {"four": [1.0, 0.0]}, {"1": ["a", 0]}, {"1": 1.0}, {"4": []})
    for found in (*wrong, {"2": [1.0, 0.5]}, {"1": [0.0, 1.0]}):
        (checkpoint / "training.json").write_text(json.dumps({"schedule": found}))
        with pytest.raises(ExportError, match="schedule: expected steps"):
            export_bundle(checkpoint, tmp_path / "b", FAST)
    (checkpoint / "training.json").write_text('{"schedule": {"1": [1, 0]}, "default_steps": 4}')
    with pytest.raises(ExportError, match=r"default_steps: expected one of \['1'\], found 4"):
        export_bundle(checkpoint, tmp_path / "b", FAST)
    assert_nothing_written(tmp_path)


def test_untrained_schedule_is_even(checkpoint: Path, tmp_path: Path) -> None:
    (checkpoint / "training.json").write_text("{}")
    export_bundle(checkpoint, tmp_path / "b", FAST)
    schedule = read_bundle(tmp_path / "b").manifest.schedule
    assert schedule.steps["4"] == (1.0, 0.75, 0.5, 0.25, 0.0)


@pytest.mark.parametrize(
    ("field", "value"),
    [("precisions", ("fp99",)), ("precisions", ()), ("precisions", ("w8", "w8")),
     ("targets", ("abacus",))],
)  # fmt: skip
def test_unknown_options(field: str, value: tuple[str, ...]) -> None:
    with pytest.raises(ExportError, match="expected one or more of"):
        Options(**{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("targets", "precisions", "message"),
    [
        (("cuda",), ("fp16",), "expected cpu among them"),
        (("cpu",), ("fp16",), "target cpu has fp32, w8, int8"),
        (("cpu",), ("w8", "fp16"), "leave it out or add a target that has it: cuda"),
        (("cpu", "tensorrt-rtx"), ("w8", "int8"), "target tensorrt-rtx has fp16, fp8"),
    ],
)
def test_targets_and_precisions_that_do_not_go_together(
    targets: tuple[str, ...], precisions: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ExportError, match=message):
        Options(targets, precisions)


def test_an_opset_that_is_not_supported(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graphs.onnx.defs, "onnx_opset_version", lambda: 21)
    with pytest.raises(ExportError, match="opsets up to 21, graphs are of opset 24"):
        export_bundle(checkpoint, tmp_path / "b", FAST)
    assert_nothing_written(tmp_path)


def test_options_that_cannot_be() -> None:
    with pytest.raises(ExportError, match=r"compute capability: expected one or more of 8\.6"):
        Options(capabilities=("7.0",))
    with pytest.raises(ExportError, match=r"each once, found 8\.9, 8\.9"):
        Options(capabilities=("8.9", "8.9"))
    engines = ("cpu", "tensorrt-rtx")
    with pytest.raises(ExportError, match=r"8\.9 or newer .* found 8\.6; add precision fp16 or a"):
        Options(engines, ("w8", "fp8"), capabilities=("8.6",))
    Options(engines, ("w8", "fp8"), capabilities=("8.6", "12.0"))
    Options(engines, ("w8", "fp8", "fp16"), capabilities=("8.6",))
    with pytest.raises(ExportError, match="kv: expected float16"):
        Options(kv="float4")
    with pytest.raises(ExportError, match="samples: expected 1 or more, found 0"):
        Options(samples=0)
    with pytest.raises(ExportError, match="eval: scores are part of the verification"):
        Options(verify=False, eval_samples=3)
    with pytest.raises(ExportError, match="capacity: expected 64 or more, found 0"):
        Options(limits=Limits(capacity=0))


def test_a_failed_gate_is_a_failed_export(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(verify.GATES, "w8", (Gate("relative_error", 1e-9),))
    with pytest.raises(GateError, match="denoise w8: relative_error: expected at most 1e-09"):
        export_bundle(checkpoint, tmp_path / "b", Options(precisions=("w8",), limits=LIMITS))
    assert_nothing_written(tmp_path)


def test_a_failed_export_is_reported_all_the_same(
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(verify.GATES, "w8", (Gate("relative_error", 1e-9),))
    report = tmp_path / "report.json"
    command = [str(checkpoint), "-o", str(tmp_path / "b"), "--precision", "w8", "--samples", "1"]
    assert cli.main([*command, "--report", str(report), "--json"]) == 1
    rows = {row["component"]: row["gates"] for row in json.loads(report.read_text())["rows"]}
    assert rows["denoise"] == {"relative_error": False}
    told = capsys.readouterr().out.splitlines()
    assert any("denoise" in line and "FAILED" in line for line in told)
    assert json.loads(told[-1])["error"] == "GateError"
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("factor", [1.01, float("nan")])
def test_a_wrong_graph_fails_its_gate(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, factor: float
) -> None:
    real = graphs.build_commit

    def wrong(graph: graphs.GraphBuilder, visualizer: graphs.Visualizer) -> None:
        weight = visualizer.blocks[0].attention.v.weight
        right = weight.data
        weight.data = right * factor
        real(graph, visualizer)
        weight.data = right

    monkeypatch.setattr(graphs, "build_commit", wrong)
    with pytest.raises(GateError, match="commit fp32: relative_error") as failed:
        export_bundle(checkpoint, tmp_path / "b", replace(FAST, verify=True, samples=1))
    assert json.dumps(asdict(failed.value.report), allow_nan=False)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_results_that_are_not_finite_are_the_worst(value: float) -> None:
    expected = np.linspace(-1, 1, 8)
    found = expected.copy()
    found[3] = value
    for wrong, right in ((found, expected), (expected, found), (found, found)):
        assert 1e6 < distance(wrong, right) < float("inf")
        assert float("-inf") < psnr(wrong, right) < 0


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_failing_disk_leaves_no_half_bundle(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    export_bundle(checkpoint, tmp_path / "b", FAST)
    before = contents(tmp_path / "b")
    written = 0

    def write(self: graphs.WeightFile, array: NDArray[Any]) -> int:
        nonlocal written
        written += array.nbytes
        if written > 500_000:
            raise OSError(code, "no")
        return 0

    monkeypatch.setattr(graphs.WeightFile, "add", write)
    with pytest.raises(ExportError, match="disk is full" if code == errno.ENOSPC else "written"):
        export_bundle(checkpoint, tmp_path / "b", FAST)
    assert contents(tmp_path / "b") == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b", "checkpoint"]


def test_interrupted_export_leaves_nothing(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(graphs.GraphWriter, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export_bundle(checkpoint, tmp_path / "b", FAST)
    assert_nothing_written(tmp_path)


def test_command(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "b"
    arguments = [str(checkpoint), "-o", str(out), "--precision", "w8,fp32", "--json"]
    assert cli.main(arguments) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["bundle"] == str(out)
    assert len(report["rows"]) == 2 * len(COMPONENTS)
    total = sum(len(data) for data in contents(out).values())
    assert report["bytes"] == total
    for row in report["rows"]:
        assert row["gates"] and all(row["gates"].values()), row
        assert row["seconds"] >= 0 and row["bytes"] > 0
    variant = read_bundle(out).manifest.components["planner"].variants[0]
    assert variant.parity["relative_error"] > 0 and 0 <= variant.parity["top1"] <= 1
    assert not variant.failures() and variant.layers["blocks.0/qkv"] == "w8"


def test_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([str(tmp_path / "none"), "-o", str(tmp_path / "b"), "--json"]) == 1
    captured = capsys.readouterr()
    assert "expected a checkpoint folder" in captured.err
    last = json.loads(captured.out.splitlines()[-1])
    assert last["error"] == "ExportError" and "expected a checkpoint folder" in last["message"]
    assert cli.main([str(tmp_path), "-o", "b", "--precision", "fp7"]) == 1
    assert "fp32" in capsys.readouterr().err
    nowhere = str(tmp_path / "none/report.json")
    assert cli.main([str(tmp_path), "-o", "b", "--report", nowhere]) == 1
    assert "in a folder that is there" in capsys.readouterr().err
