"""Weights on disk: int8 error bounds, shared bytes, alignment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("onnx")

from export.precision import FLOAT8_MAX, RECIPES
from export.storage import ALIGNMENT, Storage, WeightFile, quantize, quantize_float8


@given(
    shape=st.lists(st.integers(1, 7), min_size=2, max_size=4),
    axis=st.integers(0, 3),
    seed=st.integers(0, 99),
    size=st.sampled_from([0.0, 1e-20, 1e-3, 1.0, 1e4]),
)
def test_int8_error_is_at_most_half_a_step(
    shape: list[int], axis: int, seed: int, size: float
) -> None:
    axis %= len(shape)
    weight = np.random.default_rng(seed).standard_normal(shape).astype(np.float32) * np.float32(
        size
    )
    values, scale = quantize(weight, axis)
    assert (
        values.dtype == np.int8 and values.shape == weight.shape and scale.shape == (shape[axis],)
    )
    assert np.isfinite(scale).all() and (scale > 0).all()
    view = [1] * weight.ndim
    view[axis] = -1
    step = scale.reshape(view)
    assert (np.abs(values * step - weight) <= step * 0.5001).all()
    assert np.abs(values.astype(int)).max() <= 127


@given(seed=st.integers(0, 99), size=st.sampled_from([1e-3, 0.02, 1.0, 40.0]))
def test_float8_error_is_within_its_mantissa(seed: int, size: float) -> None:
    weight = np.random.default_rng(seed).standard_normal((7, 9)).astype(np.float32)
    weight *= np.float32(size)
    values, scale = quantize_float8(weight)
    assert values.shape == weight.shape and np.float16(scale) == scale
    found = values.astype(np.float32) * scale
    # Three bits of mantissa, and the smallest steps near zero; the scale itself is rounded.
    limit = np.abs(weight) * 0.07 + scale * 2.0**-9
    assert (np.abs(found - weight) <= limit).all()
    assert np.abs(values.astype(np.float32)).max() <= FLOAT8_MAX


def test_the_same_tensor_is_stored_once(tmp_path: Path) -> None:
    file = WeightFile(tmp_path / "a.weights")
    x, y = (np.full(100, ord(c), np.uint8) for c in "xy")
    first, second = file.add(x), file.add(y)
    assert (first, second, file.add(x)) == (0, 128, 0)
    assert second % ALIGNMENT == 0
    file.close()
    assert (tmp_path / "a.weights").read_bytes() == b"x" * 100 + b"\0" * 28 + b"y" * 100


def test_an_empty_data_file_is_not_left(tmp_path: Path) -> None:
    file = WeightFile(tmp_path / "a.weights")
    storage = Storage(file, RECIPES["fp32"])
    tensor = storage.tensor("small", np.zeros(3, np.float32))
    file.close()
    assert not storage.external and not tensor.external_data
    assert not (tmp_path / "a.weights").exists()


def test_large_tensors_refer_to_the_file_by_name(tmp_path: Path) -> None:
    file = WeightFile(tmp_path / "a.weights")
    tensor = Storage(file, RECIPES["fp32"]).tensor("large", np.arange(1000, dtype=np.float32))
    file.close()
    entries = {entry.key: entry.value for entry in tensor.external_data}
    assert entries == {"location": "a.weights", "offset": "0", "length": "4000"}
