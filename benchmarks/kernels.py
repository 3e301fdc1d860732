"""DPCW attention on an NVIDIA GPU against PyTorch's attention, and against the card's ceilings.

    python -m benchmarks.kernels --library build/cuda/kernels/cuda/libweft_dpcw_cuda.so

| column | what is timed |
| --- | --- |
| weft | one call of the kernel on window and self |
| flash, cudnn | `torch` SDPA with that back end on keys and values already joined |
| + join | the same after `torch.cat` of keys and of values, as a step would have to |
| matrix, memory | the kernel's FLOP/s and bytes/s over what this card reached just before: a square
| | matrix product, and a copy |

Every candidate is captured in a CUDA graph of `CALLS` calls on buffers that lie in the same places,
and replayed; a figure is the median of the replays. Exit code 0: measured. 3: something needed is
not here, and the message says what. It knows nothing of bundles.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.environment import environment

MISSING = 3
CALLS = 10
REPLAYS = 50
POINTERS = (
    "q", "k_window", "v_window", "k_self", "v_self", "y", "window_length", "self_length",
    "q_norm", "k_norm", "cos", "sin", "k_scale", "v_scale",
)  # fmt: skip
SIZES = (
    "series", "type", "window_type", "batch", "heads", "kv_heads", "tokens", "window", "head_dim",
    "tables",
)  # fmt: skip
TYPES = {"float16": 1, "bfloat16": 2, "float8_e4m3fn": 3}
# What the project asks of the kernel: times as fast with the join, and without it.
WITH_JOIN, WITHOUT_JOIN = 1.3, 0.9


class Call(ctypes.Structure):
    """`WeftDPCWAttention` of kernels/include/weft/dpcw.h."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in POINTERS),
        ("epsilon", ctypes.c_float),
        *((name, ctypes.c_int32) for name in SIZES),
    ]


@dataclass(frozen=True)
class Shape:
    name: str
    heads: int
    kv_heads: int
    dim: int
    tokens: int
    window: int

    @property
    def flops(self) -> float:
        return 4.0 * self.heads * self.tokens * (self.tokens + self.window) * self.dim

    def bytes(self, window_bytes: int) -> float:
        own = 2 * self.tokens * self.dim * (2 * self.heads + 2 * self.kv_heads)
        return own + 2 * self.window * self.dim * self.kv_heads * window_bytes


SHAPES = (
    *(Shape("storybook", 6, 3, 64, 256, n) for n in (64, 320, 960)),
    Shape("storybook 512", 6, 3, 64, 512, 320),
    *(Shape("7 B", 28, 4, 128, 4096, n) for n in (512, 4096, 16384)),
)


class MissingError(Exception):
    """Something that the measurement needs is not on this machine."""


def load(path: Path | None) -> ctypes.CDLL:
    if path is None or not path.is_file():
        raise MissingError(
            f"expected the CUDA kernels' library, found {'none' if path is None else path}; build "
            "it with `cmake --preset cuda && cmake --build --preset cuda`, name it with --library"
        )
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise MissingError(f"{path}: cannot be loaded: {error}") from error


def torch_with_gpu() -> Any:
    try:
        import torch
    except ImportError as error:
        raise MissingError("expected torch with CUDA, found no torch; install it") from error
    if not torch.cuda.is_available():
        raise MissingError(
            f"expected an NVIDIA GPU, found none that torch {torch.__version__} can use"
        )
    return torch


def time_of(torch: Any, work: Callable[[], object], calls: int = CALLS) -> float:
    """Seconds of one call of `work`, captured and replayed."""
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            work()
    stream.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        for _ in range(calls):
            work()
    times = []
    for _ in range(REPLAYS):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        graph.replay()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) * 1e-3 / calls)
    return median(times)


def ceilings(torch: Any) -> dict[str, float]:
    """FLOP/s of a square float16 product, and bytes/s of a copy (read and written)."""
    size = 8192
    a = torch.randn(size, size, dtype=torch.float16, device="cuda")
    b, c = torch.randn_like(a), torch.empty_like(a)
    product = time_of(torch, lambda: torch.matmul(a, b, out=c), calls=4)
    source = torch.empty(1 << 30, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    copied = time_of(torch, lambda: target.copy_(source), calls=2)
    return {"flops": 2.0 * size**3 / product, "bytes": 2.0 * source.numel() / copied}


def kernel_call(torch: Any, kernel: ctypes.CDLL, tensors: dict[str, Any]) -> Callable[[], None]:
    q, window = tensors["q"], tensors["k_window"]
    call = Call(
        epsilon=1e-6, series=1, batch=q.shape[0], heads=q.shape[1], tokens=q.shape[2],
        head_dim=q.shape[3], kv_heads=window.shape[1], window=window.shape[2],
        type=TYPES[str(q.dtype).partition(".")[2]],
        window_type=TYPES[str(window.dtype).partition(".")[2]],
    )  # fmt: skip
    for name, tensor in tensors.items():
        setattr(call, name, tensor.data_ptr())

    def run() -> None:
        stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
        status = kernel.weft_dpcw_cuda(ctypes.byref(call), stream)
        if status != 0:
            raise RuntimeError(f"weft_dpcw_cuda gave status {status}")

    return run


def peers(torch: Any, tensors: dict[str, Any]) -> dict[str, float]:
    """Seconds of SDPA by back end, with and without the join, for those that take the call."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.nn.functional import scaled_dot_product_attention as sdpa

    q, k_self, v_self = tensors["q"], tensors["k_self"], tensors["v_self"]
    k_window, v_window = (tensors[n].to(q.dtype) for n in ("k_window", "v_window"))
    k, v = torch.cat([k_window, k_self], 2), torch.cat([v_window, v_self], 2)

    def joined() -> Any:
        keys, values = torch.cat([k_window, k_self], 2), torch.cat([v_window, v_self], 2)
        return sdpa(q, keys, values, enable_gqa=True)

    found = {}
    for name, backend in (
        ("flash", SDPBackend.FLASH_ATTENTION), ("cudnn", SDPBackend.CUDNN_ATTENTION),
    ):  # fmt: skip
        with sdpa_kernel(backend):
            try:
                found[name] = time_of(torch, lambda: sdpa(q, k, v, enable_gqa=True))
                found[f"{name} + join"] = time_of(torch, joined)
            except RuntimeError as error:
                print(f"{name}: {error}", file=sys.stderr)
    return found


def measure(
    torch: Any, kernel: ctypes.CDLL, shape: Shape, dtype: str, fp8: bool, limits: dict[str, float]
) -> dict[str, Any]:
    kind = getattr(torch, dtype)

    def draw(heads: int, rows: int) -> Any:
        return torch.randn(1, heads, rows, shape.dim, device="cuda").to(kind)

    tensors = {
        "q": draw(shape.heads, shape.tokens), "y": draw(shape.heads, shape.tokens),
        "k_self": draw(shape.kv_heads, shape.tokens), "v_self": draw(shape.kv_heads, shape.tokens),
        "k_window": draw(shape.kv_heads, shape.window),
        "v_window": draw(shape.kv_heads, shape.window),
    }  # fmt: skip
    if fp8:
        for name in ("k_window", "v_window"):
            tensors[name] = tensors[name].to(torch.float8_e4m3fn)
        for name in ("k_scale", "v_scale"):
            tensors[name] = torch.ones(shape.kv_heads, device="cuda")
    weft = time_of(torch, kernel_call(torch, kernel, tensors))
    others = peers(torch, tensors)
    best = {join: min((t for n, t in others.items() if n.endswith("join") is join), default=None)
            for join in (False, True)}  # fmt: skip
    return {
        "shape": vars(shape), "type": dtype + (", fp8 window" if fp8 else ""), "weft": weft,
        **others,
        "times as fast with join": best[True] and best[True] / weft,
        "times as fast without": best[False] and best[False] / weft,
        "matrix": shape.flops / weft / limits["flops"],
        "memory": shape.bytes(1 if fp8 else 2) / weft / limits["bytes"],
    }  # fmt: skip


def table(rows: list[dict[str, Any]]) -> str:
    columns = ("weft", "flash", "flash + join", "cudnn", "cudnn + join")
    lines = ["| shape | window | type | " + " | ".join(f"{c} µs" for c in columns)
             + " | with join | without | matrix | memory |",
             "| --- " * (7 + len(columns)) + "|"]  # fmt: skip
    for row in rows:
        shape = row["shape"]
        times = [f"{row[c] * 1e6:.1f}" if c in row else "–" for c in columns]
        ratios = [f"{r:.2f}×" if (r := row[c]) else "–" for c in
                  ("times as fast with join", "times as fast without")]  # fmt: skip
        shares = [f"{row[c]:.0%}" for c in ("matrix", "memory")]
        cells = [shape["name"], str(shape["window"]), row["type"], *times, *ratios, *shares]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.kernels", description="Measure DPCW attention on a GPU."
    )
    parser.add_argument("--library", type=Path, help="libweft_dpcw_cuda, as built by CMake")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="also write kernels.json there")
    arguments = parser.parse_args(argv)
    try:
        kernel = load(arguments.library)
        torch = torch_with_gpu()
    except MissingError as error:
        print(f"nothing was measured: {error}", file=sys.stderr)
        return MISSING
    limits = ceilings(torch)
    rows = [
        measure(torch, kernel, shape, dtype, fp8, limits)
        for shape in SHAPES for dtype in ("float16", "bfloat16") for fp8 in (False, True)
    ]  # fmt: skip
    device = torch.cuda.get_device_properties(0)
    print(f"{device.name}: {limits['flops'] / 1e12:.0f} TFLOP/s, {limits['bytes'] / 1e9:.0f} GB/s")
    print(table(rows))
    if arguments.out is not None:
        facts = environment() | {
            "gpu": device.name, "torch": torch.__version__, "cuda": torch.version.cuda,
            "ceilings": limits, "gates": {"with join": WITH_JOIN, "without join": WITHOUT_JOIN},
        }  # fmt: skip
        arguments.out.mkdir(parents=True, exist_ok=True)
        path = arguments.out / "kernels.json"
        path.write_text(json.dumps({"environment": facts, "rows": rows}, indent=1) + "\n")
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
