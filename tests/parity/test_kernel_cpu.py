"""The native CPU kernel of `weft::DPCWAttention`, through its C interface, against float64 numpy.

`reference` is the judge of the operator's meaning. Everything the kernel must not read (rows behind
a valid length) and everything it must write (the output) is NaN before the call.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
POINTERS = (
    "q", "k_window", "v_window", "k_self", "v_self", "y", "window_length", "self_length",
)  # fmt: skip
SIZES = ("type", "batch", "heads", "kv_heads", "tokens", "window", "head_dim")
OK, NULL_POINTER, BAD_SHAPE, BAD_HEADS, UNSUPPORTED_TYPE = range(5)

Lengths = tuple[int, ...] | None


class Call(ctypes.Structure):
    """`WeftDPCWAttention` of kernels/include/weft/dpcw.h."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in POINTERS),
        *((name, ctypes.c_int32) for name in SIZES),
    ]


@dataclass
class Tensors:
    """q [B,H,T,D], windows [B,KV,N,D], selves [B,KV,T,D], float32; lengths int32 [B] or None."""

    q: np.ndarray
    k_window: np.ndarray
    v_window: np.ndarray
    k_self: np.ndarray
    v_self: np.ndarray
    window_length: np.ndarray | None
    self_length: np.ndarray | None

    def call(self, y: np.ndarray) -> Call:
        call = Call(
            type=0,
            batch=self.q.shape[0],
            heads=self.q.shape[1],
            kv_heads=self.k_self.shape[1],
            tokens=self.q.shape[2],
            window=self.k_window.shape[2],
            head_dim=self.q.shape[3],
            y=y.ctypes.data,
        )
        for name in ("q", "k_window", "v_window", "k_self", "v_self"):
            setattr(call, name, getattr(self, name).ctypes.data)
        for name in ("window_length", "self_length"):
            lengths = getattr(self, name)
            setattr(call, name, None if lengths is None else lengths.ctypes.data)
        return call


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The shared library, built from the tree as it stands."""
    missing = [tool for tool in ("cmake", "c++") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"building the native kernel needs {' and '.join(missing)}")
    build = tmp_path_factory.mktemp("kernels")
    configure = ["cmake", "-S", str(REPOSITORY), "-B", str(build), "-DWEFT_TESTS=OFF"]
    for command in (configure, ["cmake", "--build", str(build)]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    library = ctypes.CDLL(str(next(build.rglob("libweft_dpcw_cpu.*"))))
    for function in (library.weft_dpcw_cpu, library.weft_dpcw_cpu_can_implement):
        function.argtypes, function.restype = [ctypes.POINTER(Call)], ctypes.c_int
    library.weft_status_message.restype = ctypes.c_char_p
    return library


def reference(t: Tensors) -> np.ndarray:
    """Softmax attention over window then self, in float64; rows past `self_length` are zero."""
    batch, heads, tokens, dim = t.q.shape
    groups = heads // t.k_self.shape[1]
    y = np.zeros(t.q.shape)
    for b in range(batch):
        own = tokens if t.self_length is None else int(t.self_length[b])
        seen = t.k_window.shape[2] if t.window_length is None else int(t.window_length[b])
        for h in range(heads):
            g = h // groups
            k = np.concatenate([t.k_window[b, g, :seen], t.k_self[b, g, :own]]).astype(np.float64)
            v = np.concatenate([t.v_window[b, g, :seen], t.v_self[b, g, :own]]).astype(np.float64)
            score = t.q[b, h, :own].astype(np.float64) @ k.T / np.sqrt(dim)
            weight = np.exp(score - score.max(axis=1, keepdims=True)) if own else score
            y[b, h, :own] = weight / weight.sum(axis=1, keepdims=True) @ v
    return y


def tensors(
    batch: int = 1,
    heads: int = 6,
    kv_heads: int = 3,
    tokens: int = 16,
    window: int = 0,
    dim: int = 64,
    window_length: Lengths = None,
    self_length: Lengths = None,
) -> Tensors:
    rng = np.random.default_rng((batch, heads, kv_heads, tokens, window, dim))

    def draw(heads: int, rows: int, lengths: Lengths) -> np.ndarray:
        x = rng.standard_normal((batch, heads, rows, dim), dtype=np.float32)
        for b, length in enumerate(lengths or ()):
            x[b, :, length:] = np.nan
        return x

    def array(lengths: Lengths) -> np.ndarray | None:
        return None if lengths is None else np.array(lengths, np.int32)

    return Tensors(
        q=draw(heads, tokens, self_length),
        k_window=draw(kv_heads, window, window_length),
        v_window=draw(kv_heads, window, window_length),
        k_self=draw(kv_heads, tokens, self_length),
        v_self=draw(kv_heads, tokens, self_length),
        window_length=array(window_length),
        self_length=array(self_length),
    )


def check(kernel: ctypes.CDLL, t: Tensors, limit: float = 2e-6) -> None:
    y = np.full_like(t.q, np.nan)
    assert kernel.weft_dpcw_cpu(ctypes.byref(t.call(y))) == OK
    expected = reference(t)
    assert np.isfinite(y).all(), "an element of the output was not written"
    assert np.linalg.norm(y - expected) <= limit * np.linalg.norm(expected)


@pytest.mark.parametrize("window", [0, 1, 15, 16, 17, 63, 64, 65, 320, 4096])
def test_window_lengths(kernel: ctypes.CDLL, window: int) -> None:
    check(kernel, tensors(window=window))


@pytest.mark.parametrize("tokens", [1, 4, 63, 65, 256])
def test_self_lengths(kernel: ctypes.CDLL, tokens: int) -> None:
    check(kernel, tensors(tokens=tokens, window=33, heads=2, kv_heads=1))


@pytest.mark.parametrize(("heads", "kv_heads"), [(1, 1), (3, 3), (4, 2), (6, 2), (8, 1)])
def test_grouped_heads(kernel: ctypes.CDLL, heads: int, kv_heads: int) -> None:
    check(kernel, tensors(heads=heads, kv_heads=kv_heads, window=20))


@pytest.mark.parametrize("dim", [1, 32, 64, 128, 256])
def test_head_dimensions(kernel: ctypes.CDLL, dim: int) -> None:
    check(kernel, tensors(dim=dim, window=20))


def test_padded_batch_reads_and_leaves_nothing_behind_the_valid_lengths(
    kernel: ctypes.CDLL,
) -> None:
    check(
        kernel,
        tensors(
            batch=4, tokens=40, window=70, window_length=(70, 0, 1, 64), self_length=(40, 7, 1, 0)
        ),
    )


def test_large_scores_do_not_overflow(kernel: ctypes.CDLL) -> None:
    t = tensors(window=40)
    t.q *= 100.0
    # Scores near 300 carry a float32 rounding of 2e-5, which the softmax hands on.
    check(kernel, t, limit=2e-5)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"q": None}, NULL_POINTER),
        ({"v_window": None}, NULL_POINTER),
        ({"y": None}, NULL_POINTER),
        ({"tokens": 0}, BAD_SHAPE),
        ({"window": -1}, BAD_SHAPE),
        ({"kv_heads": 4}, BAD_HEADS),
        ({"type": 1}, UNSUPPORTED_TYPE),
    ],
)
def test_a_refused_call_leaves_the_output_alone(
    kernel: ctypes.CDLL, change: dict[str, int | None], status: int
) -> None:
    t = tensors(window=8)
    y = np.full_like(t.q, np.nan)
    call = t.call(y)
    for name, value in change.items():
        setattr(call, name, value)
    assert kernel.weft_dpcw_cpu_can_implement(ctypes.byref(call)) == status
    assert kernel.weft_dpcw_cpu(ctypes.byref(call)) == status
    assert kernel.weft_status_message(status)
    assert np.isnan(y).all()


def test_the_training_operator_means_the_same(kernel: ctypes.CDLL) -> None:
    torch = pytest.importorskip("torch")
    from training.models.dpcw import OPERATOR, dpcw_attention

    t = tensors(window=50)
    y = dpcw_attention(*(torch.from_numpy(getattr(t, name)) for name in OPERATOR.inputs))
    expected = reference(t)
    assert np.linalg.norm(y.numpy() - expected) <= 2e-6 * np.linalg.norm(expected)
