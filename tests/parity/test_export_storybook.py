"""The shipped model through the whole exporter, without a GPU: int8, and fp16 and fp8 engines."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("skia")
pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is in the rtx extra")
pytest.importorskip("modelopt", reason="nvidia-modelopt is in the fp8 extra")

from export.pipeline import Options, export_bundle
from export.restore import restore_checkpoint
from runtime.bundle import read_bundle
from runtime.interfaces import COMPONENTS
from runtime.loading import default_bundle


@pytest.mark.slow
def test_every_component_compiles_in_fp16_and_fp8(tmp_path: Path) -> None:
    if not default_bundle().is_dir():
        pytest.skip("no shipped bundle in this checkout")
    restore_checkpoint(default_bundle(), tmp_path / "checkpoint")
    options = Options(
        ("cpu", "tensorrt-rtx"),
        ("int8", "fp8", "fp16"),
        samples=1,
        capabilities=("8.9",),
    )
    report = export_bundle(tmp_path / "checkpoint", tmp_path / "bundle", options)
    components = read_bundle(tmp_path / "bundle", verify=True).manifest.components
    for name in COMPONENTS:
        found = [(v.backend, v.precision) for v in components[name].variants]
        assert found == [
            ("onnx-cpu", "int8"),
            ("tensorrt-rtx", "fp8"),
            ("onnx-tensorrt-rtx", "fp8"),
            ("tensorrt-rtx", "fp16"),
            ("onnx-tensorrt-rtx", "fp16"),
        ]
        assert all(v.gates for v in components[name].variants), name
    for name in ("planner", "vision", "denoise", "commit"):
        fp8 = components[name].variants[1].layers
        assert "fp8" in fp8.values(), name
    sizes = {(r.component, r.backend, r.precision): r.bytes for r in report.rows}
    onnx = "onnx-tensorrt-rtx"
    # Folded: a float8 weight takes half of a float16 one.
    assert sizes["denoise", onnx, "fp8"] < 0.7 * sizes["denoise", onnx, "fp16"]
    listed = {f for c in components.values() for v in c.variants for f in v.files}
    shipped = {f for c in components.values() for f in c.variants[0].files} & listed
    assert sum(file.size for file in shipped) < 40_000_000
