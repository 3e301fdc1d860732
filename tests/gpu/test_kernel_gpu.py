"""The CUDA kernels on a GPU, against the float64 reference.

Needs an NVIDIA GPU, torch with CUDA (for memory and streams) and nvcc, or the built library's path
in `WEFT_CUDA_LIBRARY`. Under
`compute-sanitizer --tool memcheck python -m pytest tests/gpu/test_kernel_gpu.py` the same tests are
the device's memory check.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("ml_dtypes", reason="FP8 and bfloat16 come from the export extra")

import torch

from tests import native_kernels as native
from tests.dpcw_reference import Call, random_call, reference, relative_error
from tests.native_kernels import BF16, FP8
from tests.parity.test_kernel_cpu import check_rows, random_rows
from tests.parity.test_kernel_simulated import FP8_LIMIT, LIMITS, OPTIONS, TYPES

pytestmark = pytest.mark.gpu
HALF = np.float16


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    if not torch.cuda.is_available():
        pytest.skip("torch has no CUDA device")
    if built := os.environ.get("WEFT_CUDA_LIBRARY"):
        return native.load(Path(built))
    if native.shutil.which("nvcc") is None:
        pytest.skip("nvcc is not here")
    folder = tmp_path_factory.mktemp("cuda")
    major, minor = torch.cuda.get_device_capability()
    native.run(
        "cmake", "-S", native.REPOSITORY, "-B", folder, "-DWEFT_TESTS=OFF", "-DWEFT_CUDA=ON",
        f"-DWEFT_CUDA_ARCHITECTURES={major}{minor}",
    )  # fmt: skip
    native.run("cmake", "--build", folder, "--target", "weft_dpcw_cuda")
    return native.load(next(folder.rglob("libweft_dpcw_cuda.*")))


def on_device(x: np.ndarray) -> Any:
    """The bytes of `x` on the GPU, whatever its type."""
    return torch.from_numpy(np.ascontiguousarray(x).view(np.uint8).reshape(-1)).cuda()


def attend(kernel: ctypes.CDLL, call: Call) -> np.ndarray:
    y = native.poisoned(call.q.shape, call.q.dtype)
    structure = native.attention_structure(call, y)
    kept = {name: on_device(getattr(call, name)) for name in (*native.REQUIRED, *native.OPTIONAL)
            if getattr(call, name) is not None}  # fmt: skip
    for name, tensor in kept.items():
        setattr(structure, name, tensor.data_ptr() if tensor.numel() else None)
    out = on_device(y)
    structure.y = out.data_ptr()
    stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
    assert kernel.weft_dpcw_cuda(ctypes.byref(structure), stream) == native.OK
    torch.cuda.synchronize()
    return out.cpu().numpy().view(call.q.dtype).reshape(call.q.shape)


def check(kernel: ctypes.CDLL, call: Call) -> None:
    y = attend(kernel, call)
    limit = FP8_LIMIT if call.k_scale is not None else LIMITS.get(call.q.dtype, 2e-6)
    assert np.isfinite(y.astype(np.float32)).all(), "an element of the output was not written"
    assert relative_error(y, reference(call)) <= limit


@pytest.mark.parametrize("window", [0, 1, 15, 16, 17, 63, 64, 65, 320, 4096])
@pytest.mark.parametrize("tokens", [4, 64, 100, 1024])
def test_lengths(kernel: ctypes.CDLL, tokens: int, window: int) -> None:
    check(kernel, random_call(tokens=tokens, window=window, dtype=HALF))


def test_4096_tokens(kernel: ctypes.CDLL) -> None:
    check(kernel, random_call(heads=1, tokens=4096, window=512, dtype=HALF, dim=128))


@pytest.mark.parametrize("group", range(1, 9))
def test_query_heads_per_key_head(kernel: ctypes.CDLL, group: int) -> None:
    check(kernel, random_call(heads=2 * group, kv_heads=2, tokens=70, window=40, dtype=BF16))


@pytest.mark.parametrize("types", {n.rpartition("-")[0]: t[0] for n, t in TYPES.items()}.values())
@pytest.mark.parametrize("batch", [1, 64])
def test_types(kernel: ctypes.CDLL, types: dict[str, Any], batch: int) -> None:
    """A batch of 64 is large enough for the wide variant, one item for the narrow one."""
    check(kernel, random_call(batch=batch, heads=6, kv_heads=3, tokens=70, window=150, **types))


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("window_dtype", [None, FP8])
def test_options(kernel: ctypes.CDLL, name: str, window_dtype: object) -> None:
    check(kernel, random_call(dtype=HALF, window_dtype=window_dtype, **OPTIONS[name]))


@pytest.mark.parametrize("dtype", [HALF, BF16])
@pytest.mark.parametrize("out_dtype", [None, FP8])
@pytest.mark.parametrize("build", [True, False])
def test_rows(kernel: ctypes.CDLL, dtype: Any, out_dtype: Any, build: bool) -> None:
    call = random_rows(dtype=dtype, out_dtype=out_dtype or dtype, build=build)
    outputs = call.outputs()
    structure = native.rows_structure(call, *outputs)
    kept = {name: on_device(getattr(call, name)) for name in native.ROWS
            if getattr(call, name) is not None}  # fmt: skip
    for name, tensor in kept.items():
        setattr(structure, name, tensor.data_ptr())
    on_gpu = [on_device(out) for out in outputs]
    structure.k_out, structure.v_out = (out.data_ptr() for out in on_gpu)
    assert kernel.weft_rows_cuda(ctypes.byref(structure), None) == native.OK
    torch.cuda.synchronize()
    found = [g.cpu().numpy().view(o.dtype).reshape(o.shape)
             for g, o in zip(on_gpu, outputs, strict=True)]  # fmt: skip
    limit = FP8_LIMIT if out_dtype is not None else LIMITS[np.dtype(dtype)]
    check_rows(call, *found, limit)


def test_under_graph_capture(kernel: ctypes.CDLL) -> None:
    call = random_call(heads=6, kv_heads=3, tokens=256, window=320, dtype=HALF)
    tensors = [torch.from_numpy(getattr(call, name)).cuda() for name in native.REQUIRED]
    y = torch.full(call.q.shape, torch.nan, dtype=torch.float16, device="cuda")
    structure = native.attention_structure(call, call.q)
    for name, tensor in zip((*native.REQUIRED, "y"), (*tensors, y), strict=True):
        setattr(structure, name, tensor.data_ptr())
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
        assert kernel.weft_dpcw_cuda(ctypes.byref(structure), stream) == native.OK
    graph.replay()
    torch.cuda.synchronize()
    assert relative_error(y.cpu().numpy(), reference(call)) <= LIMITS[np.dtype(HALF)]
