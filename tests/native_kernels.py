"""Building the native kernels for tests, and calling them: by ctypes, or in the block simulator."""

from __future__ import annotations

import ctypes
import shutil
import struct
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.dpcw_reference import Call

Array = NDArray[Any]

REPOSITORY = Path(__file__).resolve().parents[1]
KERNELS = REPOSITORY / "kernels"
FP8 = ml_dtypes.float8_e4m3fn
BF16 = ml_dtypes.bfloat16
TYPES = {np.dtype(t): i for i, t in enumerate((np.float32, np.float16, BF16, FP8))}

REQUIRED = ("q", "k_window", "v_window", "k_self", "v_self")
OPTIONAL = (
    "window_length", "self_length", "q_norm", "k_norm", "cos", "sin", "k_scale", "v_scale",
)  # fmt: skip
ROWS = ("k", "v", "index", "offset", "k_norm", "cos", "sin", "k_scale", "v_scale")
(
    OK, NULL_POINTER, BAD_SHAPE, BAD_HEADS, UNSUPPORTED_TYPE, UNSUPPORTED_HEAD, MISALIGNED,
    TOO_LARGE, LAUNCH_FAILED, BAD_OPTION, UNSUPPORTED_OPTION,
) = range(11)  # fmt: skip


class AttentionStructure(ctypes.Structure):
    """`WeftDPCWAttention` of kernels/include/weft/dpcw.h."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in (*REQUIRED, "y", *OPTIONAL)),
        ("epsilon", ctypes.c_float),
        *(
            (name, ctypes.c_int32)
            for name in (
                "series", "type", "window_type", "batch", "heads", "kv_heads", "tokens", "window",
                "head_dim", "tables",
            )
        ),
    ]  # fmt: skip


class RowsStructure(ctypes.Structure):
    """`WeftRows` of kernels/include/weft/rows.h."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("k", "v", "k_out", "v_out", *ROWS[2:])),
        ("epsilon", ctypes.c_float),
        *(
            (name, ctypes.c_int32)
            for name in (
                "type", "out_type", "batch", "kv_heads", "capacity", "rows", "out_capacity",
                "start", "head_dim",
            )
        ),
    ]  # fmt: skip


@dataclass
class Rows:
    """One move of rows, as kernels/include/weft/rows.h describes it; outputs of `out_capacity`."""

    k: Array
    v: Array
    rows: int
    out_capacity: int
    out_dtype: Any
    start: int = 0
    index: Array | None = None
    offset: Array | None = None
    k_norm: Array | None = None
    cos: Array | None = None
    sin: Array | None = None
    k_scale: Array | None = None
    v_scale: Array | None = None
    epsilon: float = 1e-6
    sizes: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        batch, kv_heads, capacity, dim = self.k.shape
        self.sizes = {
            "type": TYPES[self.k.dtype], "out_type": TYPES[np.dtype(self.out_dtype)],
            "batch": batch, "kv_heads": kv_heads, "capacity": capacity, "rows": self.rows,
            "out_capacity": self.out_capacity, "start": self.start, "head_dim": dim,
        }  # fmt: skip

    def outputs(self) -> tuple[Array, Array]:
        shape = (*self.k.shape[:2], self.out_capacity, self.k.shape[3])
        return poisoned(shape, self.out_dtype), poisoned(shape, self.out_dtype)


def sizes_of(call: Call) -> dict[str, int]:
    batch, heads, tokens, dim = call.q.shape
    return {
        "series": call.series, "type": TYPES[call.q.dtype],
        "window_type": TYPES[call.k_window.dtype], "batch": batch, "heads": heads,
        "kv_heads": call.k_window.shape[1], "tokens": tokens, "window": call.k_window.shape[2],
        "head_dim": dim, "tables": 0 if call.cos is None else call.cos.shape[0],
    }  # fmt: skip


def poisoned(shape: tuple[int, ...], dtype: Any) -> Array:
    """Every byte 0xff: NaN in all of the types."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.full(size, 0xFF, np.uint8).view(dtype).reshape(shape)


def attention_structure(call: Call, y: Array) -> AttentionStructure:
    s = AttentionStructure(**sizes_of(call), epsilon=call.epsilon, y=y.ctypes.data)
    for name in (*REQUIRED, *OPTIONAL):
        tensor = getattr(call, name)
        setattr(s, name, None if tensor is None else tensor.ctypes.data)
    return s


def rows_structure(call: Rows, k_out: Array, v_out: Array) -> RowsStructure:
    s = RowsStructure(**call.sizes, epsilon=call.epsilon)
    s.k_out, s.v_out = k_out.ctypes.data, v_out.ctypes.data
    for name in ROWS:
        tensor = getattr(call, name)
        setattr(s, name, None if tensor is None else tensor.ctypes.data)
    return s


def run(*command: object) -> str:
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def compiler() -> str:
    found = shutil.which("c++")
    if found is None:
        pytest.skip("the native kernels need a C++ compiler")
    return found


def configure(folder: Path, *options: str, missing: str = "") -> None:
    """Configures the tree as it stands; skips the test where what `missing` names is not found."""
    compiler()
    if shutil.which("cmake") is None:
        pytest.skip("building the native kernels needs cmake")
    try:
        run("cmake", "-S", REPOSITORY, "-B", folder, "-DWEFT_TESTS=OFF", *options)
    except AssertionError as error:
        if missing and f"expected {missing}" in str(error):
            pytest.skip(f"{missing} is not here")
        raise


def build_cpu_library(folder: Path, *options: str, missing: str = "") -> ctypes.CDLL:
    configure(folder, *options, missing=missing)
    run("cmake", "--build", folder, "--target", "weft_dpcw_cpu")
    return load(next(folder.rglob("libweft_dpcw_cpu.*")))


def load(path: Path) -> ctypes.CDLL:
    library = ctypes.CDLL(str(path))
    library.weft_status_message.restype = ctypes.c_char_p
    return library


@dataclass(frozen=True)
class How:
    """How the simulator runs a call. Results may not depend on the two schedules."""

    variant: str = "wide"
    reversed: bool = False
    late: bool = True
    multiprocessors: int = 1


def build_simulator(folder: Path, sanitize: bool) -> Path:
    """The block simulator; the address and undefined-behaviour sanitizers check its memory."""
    program = folder / "simulate"
    flags = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"] if sanitize else []
    run(
        compiler(), "-std=c++17", "-O1", "-Wno-unknown-pragmas", *flags,
        "-I", KERNELS / "include", "-I", KERNELS,
        KERNELS / "tests/simulate.cpp", KERNELS / "validate.cpp", "-o", program,
    )  # fmt: skip
    return program


def _packed(call: Call | Rows, how: How) -> bytes:
    attention = isinstance(call, Call)
    names = (*REQUIRED, *OPTIONAL) if attention else ROWS
    tensors = [getattr(call, name) for name in names]
    there = sum(1 << i for i, tensor in enumerate(tensors) if tensor is not None)
    if isinstance(call, Call):
        s = sizes_of(call)
        types = (s["type"], s["window_type"])
        order = ("batch", "heads", "kv_heads", "tokens", "window", "head_dim", "series", "tables")
    else:
        s = call.sizes
        types = (s["type"], s["out_type"])
        order = ("batch", "kv_heads", "capacity", "rows", "out_capacity", "head_dim", "start")
    variant = ("chosen", "wide", "narrow").index(how.variant)
    fields = [0 if attention else 1, there, variant, int(how.reversed), int(how.late), *types]
    fields += [s[name] for name in order]
    fields += [0] * (15 - len(fields)) + [how.multiprocessors]
    fields += [0] * (20 - len(fields))
    body = b"".join(t.tobytes() for t in tensors if t is not None)
    return struct.pack("<20if", *fields, call.epsilon) + body


def simulate(
    program: Path, folder: Path, calls: list[tuple[Call | Rows, How]]
) -> list[tuple[int, tuple[Array, ...]]]:
    """Each call's status and outputs: y, or k_out and v_out."""
    (folder / "calls").write_bytes(b"".join(_packed(call, how) for call, how in calls))
    run(program, folder / "calls", folder / "results")
    data = memoryview((folder / "results").read_bytes())
    results = []
    for call, _ in calls:
        status, data = struct.unpack_from("<i", data)[0], data[4:]
        shaped = (poisoned(call.q.shape, call.q.dtype),) if isinstance(call, Call) else (
            call.outputs()
        )  # fmt: skip
        for out in shaped:
            out[...] = np.frombuffer(data[: out.nbytes], out.dtype).reshape(out.shape)
            data = data[out.nbytes :]
        results.append((status, shaped))
    assert not data
    return results
