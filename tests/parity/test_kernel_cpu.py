"""The native CPU kernels, through their C interface, against the float64 reference.

Everything a kernel must not read (rows behind a valid length) and everything it must write (the
output) is NaN before the call.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ml_dtypes", reason="FP8 and bfloat16 come from the export extra")

from tests import native_kernels as native
from tests.dpcw_reference import Call, norm, random_call, reference, relative_error, rotate


@pytest.fixture(scope="module", params=["plain", "highway"])
def kernel(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The plain kernel, and the vectorized one where Highway is installed or HWY_ROOT names it."""
    options = ("-DWEFT_HIGHWAY=ON",) if request.param == "highway" else ()
    folder = tmp_path_factory.mktemp("kernels")
    return native.build_cpu_library(folder, *options, missing="hwy/highway.h")


def check(kernel: ctypes.CDLL, call: Call, limit: float = 2e-6) -> None:
    y = native.poisoned(call.q.shape, np.float32)
    structure = native.attention_structure(call, y)
    assert kernel.weft_dpcw_cpu(ctypes.byref(structure)) == native.OK
    assert np.isfinite(y).all(), "an element of the output was not written"
    assert relative_error(y, reference(call)) <= limit


@pytest.mark.parametrize("window", [0, 1, 15, 16, 17, 63, 64, 65, 320, 4096])
def test_window_lengths(kernel: ctypes.CDLL, window: int) -> None:
    check(kernel, random_call(heads=6, kv_heads=3, window=window))


@pytest.mark.parametrize("tokens", [1, 4, 63, 65, 256])
def test_self_lengths(kernel: ctypes.CDLL, tokens: int) -> None:
    check(kernel, random_call(tokens=tokens, window=33))


@pytest.mark.parametrize(("heads", "kv_heads"), [(1, 1), (3, 3), (4, 2), (6, 2), (8, 1)])
def test_grouped_heads(kernel: ctypes.CDLL, heads: int, kv_heads: int) -> None:
    check(kernel, random_call(heads=heads, kv_heads=kv_heads, window=20))


@pytest.mark.parametrize("dim", [1, 24, 32, 64, 128, 256])
def test_head_dimensions(kernel: ctypes.CDLL, dim: int) -> None:
    check(kernel, random_call(dim=dim, window=20))


PADDED = {"batch": 4, "window_length": (70, 0, 1, 64), "self_length": (40, 7, 1, 0)}


def test_padded_batch_reads_and_leaves_nothing_behind_the_valid_lengths(
    kernel: ctypes.CDLL,
) -> None:
    check(kernel, random_call(heads=6, kv_heads=3, tokens=40, window=70, **PADDED))


def test_norm_and_rotation(kernel: ctypes.CDLL) -> None:
    check(kernel, random_call(tokens=40, window=70, norms=True, tables=1, **PADDED))
    check(kernel, random_call(tokens=40, window=70, tables=4, **PADDED))


def test_series(kernel: ctypes.CDLL) -> None:
    check(kernel, random_call(tokens=40, window=70, series=4, norms=True, tables=4, **PADDED))
    check(kernel, random_call(tokens=40, window=70, series=2, **PADDED))


def test_fp8_window(kernel: ctypes.CDLL) -> None:
    check(kernel, random_call(heads=4, kv_heads=2, window=70, window_dtype=native.FP8))


def zero_scales(call: Any) -> Any:
    """The call with scales of 0 for its first key/value head."""
    call.k_scale[0] = call.v_scale[0] = 0.0
    return call


def test_a_scale_of_zero_reads_zeros(kernel: ctypes.CDLL) -> None:
    call = random_call(heads=4, kv_heads=2, window=70, window_dtype=native.FP8)
    check(kernel, zero_scales(call))


def test_large_scores_do_not_overflow(kernel: ctypes.CDLL) -> None:
    call = random_call(heads=6, kv_heads=3, window=40)
    call.q *= 100.0
    # Scores near 300 carry a float32 rounding of 2e-5, which the softmax hands on.
    check(kernel, call, limit=2e-5)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"q": None}, native.NULL_POINTER),
        ({"v_window": None}, native.NULL_POINTER),
        ({"y": None}, native.NULL_POINTER),
        ({"tokens": 0}, native.BAD_SHAPE),
        ({"window": -1}, native.BAD_SHAPE),
        ({"series": 0}, native.BAD_SHAPE),
        ({"series": 2}, native.BAD_SHAPE),
        ({"kv_heads": 3}, native.BAD_HEADS),
        ({"type": 1, "window_type": 1}, native.UNSUPPORTED_TYPE),
        ({"window_type": 1}, native.UNSUPPORTED_TYPE),
        ({"window_type": 3}, native.BAD_OPTION),
        ({"cos": 1}, native.BAD_OPTION),
        ({"head_dim": 512}, native.UNSUPPORTED_HEAD),
    ],
)
def test_a_refused_call_leaves_the_output_alone(
    kernel: ctypes.CDLL, change: dict[str, int | None], status: int
) -> None:
    call = random_call(window=8)
    y = native.poisoned(call.q.shape, np.float32)
    structure = native.attention_structure(call, y)
    for name, value in change.items():
        setattr(structure, name, value)
    assert kernel.weft_dpcw_cpu_can_implement(ctypes.byref(structure)) == status
    assert kernel.weft_dpcw_cpu(ctypes.byref(structure)) == status
    assert kernel.weft_status_message(status)
    assert np.isnan(y).all()


@pytest.mark.parametrize("options", [{}, {"norms": True, "tables": 4, "series": 2}, PADDED])
def test_the_torch_operator_means_the_same(options: dict[str, object]) -> None:
    torch = pytest.importorskip("torch")
    from training.models.dpcw import OPERATOR, dpcw_attention

    call = random_call(**{"batch": 4, "heads": 6, "kv_heads": 3, "tokens": 40, "window": 70}
                       | options)  # fmt: skip
    given = [getattr(call, name) for name in OPERATOR.inputs + OPERATOR.optional]
    tensors = [None if x is None else torch.from_numpy(x) for x in given]
    y = torch.ops.weft.dpcw_attention(*tensors, epsilon=call.epsilon, series=call.series)
    assert relative_error(y.numpy(), reference(call)) <= 2e-6
    if not options:
        y = dpcw_attention(*tensors[: len(OPERATOR.inputs)])
        assert relative_error(y.numpy(), reference(call)) <= 2e-6


def moved(rows: native.Rows, x: np.ndarray, key: bool) -> np.ndarray:
    """The rows of `x` as they arrive in the cache, in float64, [B, KV, N, D]."""
    index = np.arange(rows.rows) if rows.index is None else rows.index
    y = x[:, :, index].astype(np.float64)
    if key:
        y = rotate(norm(y, rows.k_norm, rows.epsilon), rows.cos, rows.sin)
    scale = rows.k_scale if key else rows.v_scale
    if scale is None:
        return y
    wide = scale[:, None, None].astype(np.float64)
    return np.divide(y, wide, out=np.zeros_like(y), where=wide > 0)


def random_rows(
    *,
    dtype: object = np.float32,
    out_dtype: object = np.float32,
    build: bool = True,
    dim: int = 64,
    rows: int = 21,
) -> native.Rows:
    """A window build (gather and shift), or an append (norm and rotation at an offset)."""
    rng = np.random.default_rng((dim, rows))
    shape = (2, 3, 30, dim)
    k, v = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    angle = rng.uniform(-20, 20, (rows, dim // 2))
    call = native.Rows(
        k=k, v=v, rows=rows, out_capacity=40, out_dtype=out_dtype, start=5,
        cos=np.cos(angle).astype(np.float32), sin=np.sin(angle).astype(np.float32),
    )  # fmt: skip
    if build:
        call.index = rng.permutation(30)[:rows].astype(np.int64)
    else:
        call.k_norm = rng.uniform(0.5, 1.5, dim).astype(np.float32)
        call.offset = np.array([3], np.int64)
    if np.dtype(out_dtype) == native.FP8:
        call.k_scale, call.v_scale = rng.uniform(0.02, 0.04, (2, 3)).astype(np.float32)
    return call


def check_rows(call: native.Rows, k_out: np.ndarray, v_out: np.ndarray, limit: float) -> None:
    first = call.start + (0 if call.offset is None else int(call.offset[0]))
    for out, x, key in ((k_out, call.k, True), (v_out, call.v, False)):
        found = out[:, :, first : first + call.rows]
        assert relative_error(found, moved(call, x, key)) <= limit
        rest = np.delete(out.view(f"u{out.itemsize}"), np.s_[first : first + call.rows], axis=2)
        assert (rest == np.iinfo(rest.dtype).max).all(), "a row outside was written"


@pytest.mark.parametrize("build", [True, False])
@pytest.mark.parametrize(("out_dtype", "limit"), [(np.float32, 1e-6), (native.FP8, 3e-2)])
def test_rows(kernel: ctypes.CDLL, build: bool, out_dtype: object, limit: float) -> None:
    call = random_rows(out_dtype=out_dtype, build=build)
    k_out, v_out = call.outputs()
    structure = native.rows_structure(call, k_out, v_out)
    assert kernel.weft_rows_cpu(ctypes.byref(structure)) == native.OK
    check_rows(call, k_out, v_out, limit)


def test_a_scale_of_zero_stores_zeros(kernel: ctypes.CDLL) -> None:
    call = zero_scales(random_rows(out_dtype=native.FP8))
    k_out, v_out = call.outputs()
    structure = native.rows_structure(call, k_out, v_out)
    assert kernel.weft_rows_cpu(ctypes.byref(structure)) == native.OK
    check_rows(call, k_out, v_out, 3e-2)


def test_rows_outside_the_cache_are_not_written(kernel: ctypes.CDLL) -> None:
    call = random_rows(build=False)
    call.offset = np.array([30], np.int64)
    k_out, v_out = call.outputs()
    structure = native.rows_structure(call, k_out, v_out)
    assert kernel.weft_rows_cpu(ctypes.byref(structure)) == native.OK
    assert np.isnan(k_out[:, :, :35]).all()
    assert np.isfinite(k_out[:, :, 35:]).all()


def every_fp8(dtype: object) -> native.Rows:
    """Every finite FP8 number, the middles between neighbours, and numbers out of range."""
    values = np.arange(256, dtype=np.uint8).view(native.FP8).astype(np.float32)
    finite = values[np.isfinite(values)]
    between = (finite[:-1] + finite[1:]) / 2
    x = np.resize(np.concatenate([finite, between, [6e4, -6e4, 0.0]]), (1, 1, 32, 64))
    return native.Rows(
        k=x.astype(dtype), v=x.astype(dtype), rows=32, out_capacity=32,
        out_dtype=native.FP8, k_scale=np.ones(1, np.float32), v_scale=np.ones(1, np.float32),
    )  # fmt: skip


def check_fp8(call: native.Rows, outputs: tuple[np.ndarray, ...]) -> None:
    expected = np.clip(call.v.astype(np.float32), -448, 448).astype(native.FP8)
    for out in outputs:
        assert np.array_equal(out.astype(np.float32), expected.astype(np.float32))


def test_conversion_to_fp8_is_exact(kernel: ctypes.CDLL) -> None:
    call = every_fp8(np.float32)
    k_out, v_out = call.outputs()
    structure = native.rows_structure(call, k_out, v_out)
    assert kernel.weft_rows_cpu(ctypes.byref(structure)) == native.OK
    check_fp8(call, (k_out, v_out))
