"""Variants in the manifest: gates, profiles, types, and what contradicts itself."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from runtime.bundle import File, Gate, Profile, Variant, read_bundle
from runtime.errors import BundleError
from runtime.interfaces import Tensor
from runtime.loading import default_bundle
from runtime.strict import from_json, to_json
from runtime.variants import check_variant, has_precision

TENSORS = (
    Tensor("past.k.0", "float32", (1, 2, "C", 4)),
    Tensor("past.v.0", "float32", (1, 2, "C", 4)),
    Tensor("logits", "float32", (1, 9)),
)
VARIANT = Variant(
    "tensorrt-rtx",
    "",
    "fp16",
    (File("a.engine", 1, "0" * 64),),
    compute_capability="8.9",
    parity={"relative_error": 0.01, "top1": 0.99},
    gates=(Gate("relative_error", 0.02), Gate("top1", 0.95, at_least=True)),
    layers={"blocks.0/qkv": "fp16"},
    profiles=(Profile("any", 0, {"C": (256, 512, 1024)}),),
    dtypes={"past.k.0": "float16", "past.v.0": "float16"},
    requires={"tensorrt_rtx": "1.7"},
    digest="f" * 64,
)


def test_a_variant_survives_json() -> None:
    data = json.loads(json.dumps(to_json(VARIANT)))
    assert from_json(Variant, data) == VARIANT


def test_what_older_bundles_do_not_say_has_defaults() -> None:
    data = {
        "engine": "onnxruntime",
        "provider": "CPUExecutionProvider",
        "precision": "w8",
        "files": [{"path": "a.onnx", "size": 1, "sha256": "0" * 64}],
    }
    variant = from_json(Variant, data)
    assert variant.backend == "onnx-cpu" and variant.kv_dtype == "float32"
    assert not variant.gates and not variant.profiles and not variant.requires
    check_variant("here", variant, TENSORS)


def test_the_shipped_bundle_is_read() -> None:
    folder = default_bundle()
    if not Path(folder).is_dir():
        pytest.skip("no shipped bundle in this checkout")
    for component in read_bundle(folder).manifest.components.values():
        assert component.variants[0].backend == "onnx-cpu"
        assert not any(variant.failures() for variant in component.variants)


def test_gates_hold_on_their_side() -> None:
    assert VARIANT.failures() == []
    worse = replace(VARIANT, parity={"relative_error": 0.03, "top1": 0.9})
    assert worse.failures() == [
        "relative_error: expected at most 0.02, found 0.03",
        "top1: expected at least 0.95, found 0.9",
    ]
    assert replace(VARIANT, parity={}).failures()[0].endswith("found none")
    assert not Gate("x", 1.0).holds(float("nan")) and not Gate("x", 1.0, True).holds(float("nan"))


def test_types_of_caches() -> None:
    assert VARIANT.kv_dtype == "float16" and VARIANT.window_dtype == "float32"
    mixed = replace(VARIANT, dtypes={"planner.k.0": "float16", "window.k.0": "float8e4m3fn"})
    assert (mixed.kv_dtype, mixed.window_dtype) == ("float16", "float8e4m3fn")
    assert [t.dtype for t in VARIANT.tensors(TENSORS)] == ["float16", "float16", "float32"]


def test_profiles_cover_sizes() -> None:
    (profile,) = VARIANT.profiles
    assert profile.covers({"C": 256}) and profile.covers({"C": 1024}) and profile.covers({})
    assert not profile.covers({"C": 255}) and not profile.covers({"S": 1})


@pytest.mark.parametrize(
    ("capability", "has"), [("7.5", False), ("8.7", False), ("8.9", True), ("12.0", True)]
)
def test_fp8_is_for_gpus_that_multiply_float8(capability: str, has: bool) -> None:
    assert has_precision(capability, "fp8") is has
    assert has_precision(capability, "fp16")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"files": ()}, "without files"),
        ({"dtypes": {"past.q.0": "float16"}}, "does not have"),
        ({"dtypes": {"past.k.0": "float16", "past.v.0": "float32"}}, "expected one type"),
        ({"dtypes": {"past.k.0": "int4"}}, "expected one of"),
        ({"kv_scale": 0.0}, "kv_scale"),
        ({"gates": (Gate("speed", 1.0),)}, "gates without a figure"),
        ({"compute_capability": "SM89"}, "compute_capability"),
        ({"profiles": (Profile("any", 0, {"C": (2, 1, 3)}),)}, "do not fall"),
    ],
)
def test_contradictions(change: dict[str, object], message: str) -> None:
    check_variant("here", VARIANT, TENSORS)
    with pytest.raises(BundleError, match=message):
        check_variant("here", replace(VARIANT, **change), TENSORS)  # type: ignore[arg-type]
