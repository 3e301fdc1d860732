"""A CUDA device's memory, its stream and its graphs, through `cuda-python`.

All work of the runtime is queued on one stream, so what is queued later sees what was queued
before; the host waits only where it reads. Memory is given back when nothing refers to it any more,
and never while a graph is captured.

| name | meaning |
| --- | --- |
| address | a device pointer as a number; allocations start at multiples of 256 |
| rows | [1, heads, rows, D], see `runtime.engines.memory` |
"""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from runtime.engines.device_array import Array, DeviceArray, device_array
from runtime.engines.elements import Element
from runtime.engines.memory import FLOAT32, Memory
from runtime.errors import DependencyError, EngineError

ALIGNMENT = 256
# Copies of host arrays that wait for the stream are kept up to this many bytes.
IN_FLIGHT = 64 << 20


class Cuda:
    """The CUDA runtime's functions; a status other than success is raised as `EngineError`."""

    def __init__(self, runtime: Any) -> None:
        self.runtime = runtime

    def __call__(self, name: str, *arguments: Any) -> Any:
        status, *values = getattr(self.runtime, name)(*arguments)
        if int(status) != 0:
            raise EngineError(f"CUDA: {name}: {self._describe(status)}")
        return values[0] if len(values) == 1 else values

    def _describe(self, status: Any) -> str:
        texts = []
        for name in ("cudaGetErrorName", "cudaGetErrorString"):
            failed, text = getattr(self.runtime, name)(status)
            if int(failed) == 0 and text:
                texts.append(text.decode() if isinstance(text, bytes) else str(text))
        return ": ".join(texts) or f"status {int(status)}"


def open_cuda() -> CudaMemory:
    """The first visible CUDA device; raises `DependencyError` or `EngineError`."""
    try:
        from cuda.bindings import runtime
    except ImportError as error:
        raise DependencyError(
            "cuda-python is missing; install it with: pip install cuda-python"
        ) from error
    return CudaMemory(Cuda(runtime))


class Allocation:
    """Bytes on the device, given back some time after the last reference is gone."""

    def __init__(self, address: int, size: int, dead: list[tuple[int, int]]) -> None:
        self.address, self.size = address, size
        weakref.finalize(self, dead.append, (address, size)).atexit = False


class Graph:
    """Work that was captured once and is launched as a whole."""

    def __init__(self, cuda: Cuda, executable: Any, stream: Any) -> None:
        self._cuda, self._executable, self._stream = cuda, executable, stream
        weakref.finalize(self, cuda.runtime.cudaGraphExecDestroy, executable).atexit = False

    def launch(self) -> None:
        """Queues the graph's work on the stream."""
        self._cuda("cudaGraphLaunch", self._executable, self._stream)


class CudaMemory(Memory):
    """Allocations, copies and captures on one stream.

    Engines run under the runtime's lock; sessions are opened and saved outside it, so what is
    queued here waits for a capture in another thread to end.
    """

    on_device = True

    def __init__(self, cuda: Cuda) -> None:
        self._cuda = cuda
        kinds = cuda.runtime.cudaMemcpyKind
        self._up, self._down = kinds.cudaMemcpyHostToDevice, kinds.cudaMemcpyDeviceToHost
        self._across = kinds.cudaMemcpyDeviceToDevice
        non_blocking = getattr(cuda.runtime, "cudaStreamNonBlocking", 1)
        self._stream = cuda("cudaStreamCreateWithFlags", non_blocking)
        self._dead: list[tuple[int, int]] = []
        self._waiting: list[Array] = []
        self._capturing = False
        self._lock = threading.RLock()
        self.bytes = 0

    @property
    def stream(self) -> int:
        """The stream's handle, for engines that queue work themselves."""
        return int(self._stream)

    def allocate(self, size: int) -> Allocation:
        """Uninitialised bytes."""
        with self._lock:
            if self._capturing:
                raise EngineError("CUDA: memory was asked for while a graph is captured")
            self._collect()
            size = _aligned(max(size, 1))
            address = int(self._cuda("cudaMalloc", size))
            self.bytes += size
            return Allocation(address, size, self._dead)

    def empty(self, shape: Sequence[int], element: Element = FLOAT32) -> DeviceArray:
        """A new array of whatever was there."""
        return self.block([(tuple(shape), element)])[0]

    def block(self, parts: Sequence[tuple[tuple[int, ...], Element]]) -> list[DeviceArray]:
        """Several new arrays in one allocation, each aligned."""
        sizes = [_aligned(math.prod(s) * e.stored.itemsize) for s, e in parts]
        owner = self.allocate(sum(sizes))
        found, address = [], owner.address
        for (shape, element), size in zip(parts, sizes, strict=True):
            found.append(DeviceArray(self, shape, element, address, owner))
            address += size
        return found

    def zeros(self, shape: Sequence[int], element: Element = FLOAT32) -> Array:
        array = self.empty(shape, element)
        self._queue("cudaMemsetAsync", array.address, 0, array.nbytes, self._stream)
        return array.as_array()

    def prefix(self, flat: Array, shape: Sequence[int]) -> Array:
        whole = self._mine(flat)
        part = DeviceArray(self, shape, whole.element, whole.address, whole.owner)
        if part.size > whole.size:
            raise EngineError(f"expected at most {whole.size} elements, found {list(shape)}")
        return part.as_array()

    def upload(self, array: DeviceArray, stored: Array) -> None:
        """Queue a copy of bytes from the host; the source may change at once."""
        if stored.nbytes != array.nbytes:
            raise EngineError(f"expected {array.nbytes} bytes to upload, found {stored.nbytes}")
        kept = np.array(stored, order="C", copy=True)
        self.write(array.address, kept)

    def write(self, address: int, kept: Array) -> None:
        """Queue a copy of an array that nobody changes until the next `synchronize`."""
        if not kept.nbytes:
            return
        self._waiting.append(kept)
        self._queue(
            "cudaMemcpyAsync", address, kept.ctypes.data, kept.nbytes, self._up, self._stream
        )
        if sum(source.nbytes for source in self._waiting) > IN_FLIGHT:
            self.synchronize()

    def download(self, array: DeviceArray) -> Array:
        """The array's bytes, after all work that was queued before."""
        host = np.empty(array.shape, array.element.stored)
        if host.nbytes:
            self._queue(
                "cudaMemcpyAsync", host.ctypes.data, array.address, host.nbytes, self._down,
                self._stream,
            )  # fmt: skip
        self.synchronize()
        return host

    def copy(self, source: DeviceArray, target: DeviceArray) -> None:
        """Queue a copy between arrays of the same size and type."""
        if source.nbytes:
            self._queue(
                "cudaMemcpyAsync", target.address, source.address, source.nbytes, self._across,
                self._stream,
            )  # fmt: skip

    def move_rows(self, source: Array, target: Array, count: int) -> None:
        old, new = self._mine(source), self._mine(target)
        between = self.empty((1, old.shape[1], count, old.shape[3]), old.element)
        self._copy_rows(old, between, 0, count)
        self._copy_rows(between, new, 0, count)

    def join_rows(self, parts: Sequence[Array], target: Array) -> None:
        whole, start = self._mine(target), 0
        for part in parts:
            count = part.shape[2]
            rows = device_array(part)
            if rows is None or rows.memory is not self or rows.element != whole.element:
                rows = self.empty(part.shape, whole.element)
                rows.write(np.asarray(part))
            self._copy_rows(rows, whole, start, count)
            start += count

    def synchronize(self) -> None:
        """Wait until everything that was queued is done."""
        with self._lock:
            self._cuda("cudaStreamSynchronize", self._stream)
            self._waiting.clear()
            self._collect()

    def capture(self, work: Callable[[], None]) -> Graph:
        """A graph of what `work` queues; nothing of it is done yet."""
        mode = self._cuda.runtime.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        with self._lock:
            self._cuda("cudaStreamBeginCapture", self._stream, mode)
            self._capturing = True
            try:
                work()
            except BaseException:
                self._cuda.runtime.cudaStreamEndCapture(self._stream)
                raise
            finally:
                self._capturing = False
            graph = self._cuda("cudaStreamEndCapture", self._stream)
        try:
            executable = self._cuda("cudaGraphInstantiate", graph, 0)
        finally:
            self._cuda("cudaGraphDestroy", graph)
        return Graph(self._cuda, executable, self._stream)

    def _queue(self, name: str, *arguments: Any) -> None:
        with self._lock:
            self._cuda(name, *arguments)

    def _copy_rows(self, source: DeviceArray, target: DeviceArray, start: int, count: int) -> None:
        """The first `count` rows of `source` become rows `start`… of `target`."""
        heads, dim = source.shape[1], source.shape[3]
        row = dim * source.element.stored.itemsize
        if count and heads:
            self._queue(
                "cudaMemcpy2DAsync",
                target.address + start * row, target.shape[2] * row,
                source.address, source.shape[2] * row,
                count * row, heads, self._across, self._stream,
            )  # fmt: skip

    def _mine(self, array: Array) -> DeviceArray:
        found = device_array(array)
        if found is None or found.memory is not self:
            raise EngineError(f"expected an array of this device, found {type(array).__name__}")
        return found

    def _collect(self) -> None:
        """Give back what nothing refers to."""
        while self._dead and not self._capturing:
            address, size = self._dead.pop()
            self._cuda("cudaFree", address)
            self.bytes -= size


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
