"""A CUDA runtime over host memory: as much of `cuda.bindings.runtime` as the engines use.

Addresses are real, so anything that works on host memory works on "device" memory. Work is queued
and done when the stream is waited for, never before: reading too early finds what was there. Every
access is checked against the live allocations.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from runtime.engines.cuda_memory import Cuda, CudaMemory

Operation = Callable[[], None]
STREAM = 7
UP, DOWN, ACROSS = 1, 2, 3
OUT_OF_MEMORY, INVALID, CAPTURING = 2, 1, 900
NAMES = {
    0: "cudaSuccess",
    OUT_OF_MEMORY: "cudaErrorMemoryAllocation",
    INVALID: "cudaErrorInvalidValue",
    CAPTURING: "cudaErrorStreamCaptureUnsupported",
}


def view(address: int, size: int) -> np.ndarray:
    """`size` bytes of memory."""
    if not size:
        return np.zeros(0, np.uint8)
    return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))


class FakeCudart:
    """One device with `limit` bytes; `eager` does work at once, for engines that do not queue."""

    cudaMemcpyKind = SimpleNamespace(
        cudaMemcpyHostToDevice=UP, cudaMemcpyDeviceToHost=DOWN, cudaMemcpyDeviceToDevice=ACROSS
    )
    cudaStreamCaptureMode = SimpleNamespace(cudaStreamCaptureModeThreadLocal=1)
    cudaStreamNonBlocking = 1

    def __init__(self, eager: bool = False, limit: int = 1 << 30) -> None:
        self.eager, self.limit = eager, limit
        self.live: dict[int, np.ndarray] = {}
        self.queue: list[Operation] = []
        self.captured: list[Operation] | None = None
        self.launches = self.captures = self.destroyed = self.copies_up = self.copies_down = 0
        self.refuse_capture = False

    @property
    def bytes(self) -> int:
        return sum(array.nbytes - 256 for array in self.live.values())

    def submit(self, operation: Operation) -> int:
        """Queue work, or record it while a graph is captured."""
        if self.captured is not None:
            self.captured.append(operation)
        elif self.eager:
            operation()
        else:
            self.queue.append(operation)
        return 0

    def flush(self) -> None:
        queue, self.queue = self.queue, []
        for operation in queue:
            operation()

    def on_device(self, address: int, size: int) -> bool:
        # A library that works at once allocates for itself as well.
        return self.eager or any(
            start <= address and address + size <= start + array.nbytes - 256
            for start, array in self.live.items()
        )

    def cudaStreamCreateWithFlags(self, flags: int) -> tuple[int, int]:
        assert flags == self.cudaStreamNonBlocking
        return 0, STREAM

    def cudaStreamSynchronize(self, stream: int) -> tuple[int]:
        assert stream == STREAM
        if self.captured is not None:
            return (CAPTURING,)
        self.flush()
        return (0,)

    def cudaMalloc(self, size: int) -> tuple[int, int | None]:
        if self.captured is not None:
            return CAPTURING, None
        if self.bytes + size > self.limit:
            return OUT_OF_MEMORY, None
        array = np.full(size + 256, 0xCD, np.uint8)
        address = -(-array.ctypes.data // 256) * 256
        self.live[address] = array
        return 0, address

    def cudaFree(self, address: int) -> tuple[int]:
        if self.captured is not None or address not in self.live:
            return (INVALID,)
        self.flush()
        self.live.pop(address)[:] = 0xDD
        return (0,)

    def cudaMemsetAsync(self, address: int, value: int, size: int, stream: int) -> tuple[int]:
        return self.cudaMemcpy2DAsync(address, size, None, size, size, 1, value, stream)

    def cudaMemcpyAsync(
        self, target: int, source: int, size: int, kind: int, stream: int
    ) -> tuple[int]:
        return self.cudaMemcpy2DAsync(target, size, source, size, size, 1, kind, stream)

    def cudaMemcpy2DAsync(
        self, target: int, pitch: int, source: int | None, source_pitch: int, width: int,
        height: int, kind: int, stream: int,
    ) -> tuple[int]:  # fmt: skip
        assert stream == STREAM
        reach = (height - 1) * pitch + width
        if kind != DOWN and not self.on_device(target, reach):
            return (INVALID,)
        source_reach = (height - 1) * source_pitch + width
        if source is not None and kind != UP and not self.on_device(source, source_reach):
            return (INVALID,)
        if self.captured is not None and source is not None and kind != ACROSS:
            return (CAPTURING,)
        self.copies_up += kind == UP and source is not None
        self.copies_down += kind == DOWN

        def work() -> None:
            for row in range(height):
                cells = view(target + row * pitch, width)
                cells[:] = kind if source is None else view(source + row * source_pitch, width)

        return (self.submit(work),)

    def cudaStreamBeginCapture(self, stream: int, mode: int) -> tuple[int]:
        if self.refuse_capture:
            return (CAPTURING,)
        self.captured = []
        return (0,)

    def cudaStreamEndCapture(self, stream: int) -> tuple[int, list[Operation] | None]:
        found, self.captured = self.captured, None
        self.captures += 1
        return 0, found

    def cudaGraphInstantiate(self, graph: list[Operation], flags: int) -> tuple[int, Any]:
        return 0, tuple(graph)

    def cudaGraphDestroy(self, graph: list[Operation]) -> tuple[int]:
        graph.clear()
        return (0,)

    def cudaGraphLaunch(self, executable: tuple[Operation, ...], stream: int) -> tuple[int]:
        self.launches += 1
        for operation in executable:
            self.submit(operation)
        return (0,)

    def cudaGraphExecDestroy(self, executable: object) -> tuple[int]:
        self.destroyed += 1
        return (0,)

    def cudaGetErrorName(self, status: int) -> tuple[int, bytes]:
        return 0, NAMES[int(status)].encode()

    def cudaGetErrorString(self, status: int) -> tuple[int, bytes]:
        return 0, b"what went wrong"


def fake_memory(**settings: Any) -> tuple[CudaMemory, FakeCudart]:
    """A device's memory and the runtime behind it."""
    cudart = FakeCudart(**settings)
    return CudaMemory(Cuda(cudart)), cudart


def collect(memory: CudaMemory) -> None:
    """Have everything given back that nothing refers to."""
    gc.collect()
    memory.synchronize()
