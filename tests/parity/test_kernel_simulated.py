"""The CUDA kernels' own source, run on the CPU by the block simulator, against the reference.

The simulator is built with the address and undefined-behaviour sanitizers, which stand in for the
device's memory checker: every tensor has an allocation of exactly its size. Outputs start as NaN,
and so does everything behind a valid length, all of shared memory, and the target of a copy that
has not landed. All calls of this file run in one process; each test looks at its own results.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ml_dtypes", reason="FP8 and bfloat16 come from the export extra")

from tests import native_kernels as native
from tests.dpcw_reference import Call, random_call, reference, relative_error
from tests.native_kernels import BF16, FP8, How
from tests.parity.test_kernel_cpu import (
    check_fp8,
    check_rows,
    every_fp8,
    random_rows,
    zero_scales,
)

HALF = np.float16
LIMITS = {np.dtype(HALF): 2e-3, np.dtype(BF16): 1e-2}
FP8_LIMIT = 3e-2

PADDED: dict[str, Any] = {
    "batch": 4, "tokens": 21, "window": 70,
    "window_length": (70, 0, 1, 64), "self_length": (21, 7, 1, 0),
}  # fmt: skip
# float16, bfloat16 and FP8 windows at each head dimension, in both variants.
TYPES = {
    f"{name}-{dim}-{variant}": ({"dtype": dtype, "window_dtype": window, "dim": dim}, variant)
    for name, dtype, window in (
        ("half", HALF, None), ("bfloat", BF16, None), ("half-fp8", HALF, FP8),
        ("bfloat-fp8", BF16, FP8),
    )
    for dim in (32, 64, 128)
    for variant in ("wide", "narrow")
}  # fmt: skip
OPTIONS: dict[str, dict[str, Any]] = {
    "padded": PADDED,
    "norms": {"tokens": 21, "window": 35, "norms": True},
    "rotation": {**PADDED, "tables": 1},
    "norms-rotation": {**PADDED, "norms": True, "tables": 4},
    "series": {**PADDED, "heads": 4, "kv_heads": 2, "series": 4},
    "series-all": {**PADDED, "series": 2, "norms": True, "tables": 4},
    "empty-window": {**PADDED, "window_length": (0, 0, 0, 0)},
}


def attention_calls() -> dict[str, tuple[Call, How]]:
    calls: dict[str, tuple[Call, How]] = {}
    for variant in ("wide", "narrow"):
        how = How(variant)
        for window in (0, 1, 15, 16, 17, 63, 64, 65, 320):
            call = random_call(tokens=19, window=window, dtype=HALF)
            calls[f"window-{window}-{variant}"] = call, how
        for tokens in (1, 4, 63, 65, 130):
            call = random_call(tokens=tokens, window=33, dtype=HALF)
            calls[f"tokens-{tokens}-{variant}"] = call, how
        for group in range(1, 9):
            call = random_call(heads=2 * group, kv_heads=2, tokens=5, window=9, dtype=HALF)
            calls[f"group-{group}-{variant}"] = call, how
        for name, options in OPTIONS.items():
            calls[f"{name}-{variant}"] = random_call(dtype=HALF, **options), how
            fp8 = random_call(dtype=BF16, window_dtype=FP8, dim=128, **options)
            calls[f"{name}-{variant}-fp8"] = fp8, how
        for dtype in (HALF, BF16):
            call = random_call(kv_heads=2, tokens=5, window=70, dtype=dtype, window_dtype=FP8)
            calls[f"zero-scale-{np.dtype(dtype)}-{variant}"] = zero_scales(call), how
    for name, (types, variant) in TYPES.items():
        calls[f"types-{name}"] = random_call(tokens=21, window=70, **types), How(variant)
    calls["window-4096"] = random_call(heads=1, tokens=4, window=4096, dtype=HALF), How("narrow")
    calls["tokens-1024"] = random_call(heads=1, tokens=1024, window=5, dtype=HALF, dim=32), How()
    calls["plain-float32"] = random_call(**PADDED), How()
    return calls


def schedules() -> dict[str, list[tuple[Call, How]]]:
    """Calls that must not depend on the order of warps or on when copies land."""
    orders = [(a, b) for a in (False, True) for b in (False, True)]
    return {
        name: [(random_call(**PADDED, series=2, norms=True, tables=4, **types),
                How(variant, reversed=a, late=b)) for a, b in orders]
        for name, (types, variant) in TYPES.items() if types["dim"] != 32
    }  # fmt: skip


def row_calls() -> dict[str, tuple[native.Rows, How]]:
    calls = {
        f"rows-{np.dtype(dtype)}-{np.dtype(out or dtype)}-{dim}-{build}": (
            random_rows(dtype=dtype, out_dtype=out or dtype, build=build, dim=dim), How(late=False)
        )
        for dtype in (HALF, BF16) for out in (None, FP8) for dim in (32, 64, 128)
        for build in (True, False)
    }  # fmt: skip
    zero = zero_scales(random_rows(dtype=HALF, out_dtype=FP8))
    return calls | {"rows-zero-scale": (zero, How(late=False))}


ATTENTION, SCHEDULES, ROWS = attention_calls(), schedules(), row_calls()
EXACT = {f"fp8-{np.dtype(dtype)}": (every_fp8(dtype), How(late=False)) for dtype in (HALF, BF16)}
Outputs = dict[str, tuple[int, tuple[np.ndarray, ...]]]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Outputs:
    folder: Path = tmp_path_factory.mktemp("simulator")
    program = native.build_simulator(folder, sanitize=True)
    work = {**ATTENTION, **ROWS, **EXACT}
    for name, calls in SCHEDULES.items():
        work |= {f"{name}/{i}": call for i, call in enumerate(calls)}
    found = native.simulate(program, folder, list(work.values()))
    return dict(zip(work, found, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", ATTENTION)
def test_attention(results: Outputs, name: str) -> None:
    call = ATTENTION[name][0]
    status, (y,) = results[name]
    fp8 = call.k_scale is not None
    limit = FP8_LIMIT if fp8 else LIMITS.get(call.q.dtype, 2e-6)
    assert status == native.OK
    assert np.isfinite(y.astype(np.float32)).all(), "an element of the output was not written"
    assert relative_error(y, reference(call)) <= limit


@pytest.mark.slow
@pytest.mark.parametrize("name", SCHEDULES)
def test_no_order_of_warps_or_copies_changes_a_bit(results: Outputs, name: str) -> None:
    outputs = [results[f"{name}/{i}"][1][0] for i in range(4)]
    call = SCHEDULES[name][0][0]
    limit = FP8_LIMIT if call.k_scale is not None else LIMITS[call.q.dtype]
    assert relative_error(outputs[0], reference(call)) <= limit
    for other in outputs[1:]:
        assert other.tobytes() == outputs[0].tobytes()


@pytest.mark.slow
@pytest.mark.parametrize("name", EXACT)
def test_conversion_to_fp8_is_exact(results: Outputs, name: str) -> None:
    check_fp8(EXACT[name][0], results[name][1])


@pytest.mark.slow
@pytest.mark.parametrize("name", ROWS)
def test_rows(results: Outputs, name: str) -> None:
    call = ROWS[name][0]
    status, (k_out, v_out) = results[name]
    assert status == native.OK
    fp8 = np.dtype(call.out_dtype) == FP8
    check_rows(call, k_out, v_out, FP8_LIMIT if fp8 else LIMITS[call.k.dtype])
