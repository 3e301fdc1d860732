"""Device memory over a fake CUDA: life cycle, copies, rows, captured graphs; element types."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from runtime.cache import PlannerCache
from runtime.engines.device_array import device_array
from runtime.engines.elements import FLOAT8, Element
from runtime.engines.graphs import GRAPHS, Graphs
from runtime.engines.memory import HOST
from runtime.errors import EngineError
from runtime.interfaces import CacheGeometry
from tests.fake_cuda import collect, fake_memory

HALF = Element("float16")


def test_memory_is_given_back_when_nothing_refers_to_it() -> None:
    memory, cudart = fake_memory()
    array = memory.empty((3, 5))
    part = memory.prefix(array.as_array(), (2, 2))
    assert memory.bytes == cudart.bytes == 256
    del array
    collect(memory)
    assert memory.bytes == 256, "a prefix keeps its allocation"
    del part
    collect(memory)
    assert (memory.bytes, cudart.live) == (0, {})


def test_a_block_is_one_allocation_with_aligned_parts() -> None:
    memory, cudart = fake_memory()
    arrays = memory.block([((3,), Element("float32")), ((0, 4), HALF), ((70,), HALF)])
    assert len(cudart.live) == 1
    assert all(array.address % 256 == 0 for array in arrays)
    first, _, last = arrays
    first.write(np.arange(3, dtype=np.float32))
    last.write(np.arange(70))
    assert first.numpy().tolist() == [0, 1, 2]
    assert last.numpy().tolist() == list(range(70))


def test_a_source_may_change_after_it_was_uploaded() -> None:
    memory, cudart = fake_memory()
    array, host = memory.empty((4,)), np.ones(4, np.float32)
    array.write(host)
    host[:] = 9
    assert cudart.queue, "the copy waits in the stream"
    assert array.numpy().tolist() == [1, 1, 1, 1]


def test_an_array_reads_and_writes_slices_like_numpy() -> None:
    memory, _ = fake_memory()
    array = device_array(memory.zeros((1, 2, 4, 3), HALF))
    assert array is not None
    array[:, :, 1:3] = np.full((1, 2, 2, 3), 0.5)
    assert array.dtype == np.float16 and array.ndim == 4 and array.nbytes == 48
    assert array[0, 1, :, 0].tolist() == [0, 0.5, 0.5, 0]
    assert np.asarray(array, np.float32).sum() == 6.0
    array.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        array[...] = 1


def test_rows_move_within_one_buffer_as_on_the_host() -> None:
    memory, _ = fake_memory()
    numbers = np.random.default_rng(0).standard_normal(2 * 8 * 3).astype(np.float32)
    found = []
    for place in (HOST, memory):
        flat = place.zeros((2 * 8 * 3,))
        flat[...] = numbers
        old, new = place.prefix(flat, (1, 2, 4, 3)), place.prefix(flat, (1, 2, 8, 3))
        place.move_rows(old, new, 3)
        found.append(np.asarray(new)[:, :, :3].copy())
    np.testing.assert_array_equal(found[0], found[1])


@pytest.mark.parametrize("counts", [(2, 3), (0, 4), ()])
def test_parts_are_joined_on_the_device(counts: tuple[int, ...]) -> None:
    memory, cudart = fake_memory()
    numbers = np.random.default_rng(1)
    hosts = [numbers.standard_normal((1, 2, n, 3)).astype(np.float32) for n in counts]
    parts = []
    for index, host in enumerate(hosts):
        # One part comes from another engine's host, or as another type.
        kind = Element("float32") if index else HALF
        part = memory.empty(host.shape, kind)
        part.write(host)
        parts.append(part.as_array())
    target = memory.zeros((1, 2, sum(counts), 3))
    memory.join_rows(parts, target)
    wanted = np.concatenate([np.zeros((1, 2, 0, 3)), *hosts], axis=2)
    np.testing.assert_allclose(np.asarray(target), wanted, atol=1e-3)
    before = cudart.copies_down
    if len(parts) > 1:
        memory.join_rows(parts[1:], memory.zeros(parts[1].shape))
        assert cudart.copies_down == before, "what is stored alike does not pass the host"


def test_errors_name_the_call_and_what_cuda_says() -> None:
    memory, _ = fake_memory(limit=1024)
    with pytest.raises(EngineError, match="cudaMalloc: cudaErrorMemoryAllocation: what went"):
        memory.empty((1000,))
    with pytest.raises(EngineError, match="at most 4 elements"):
        memory.prefix(memory.zeros((4,)), (5,))
    with pytest.raises(EngineError, match="array of this device, found ndarray"):
        memory.move_rows(np.zeros((1, 1, 1, 1)), np.zeros((1, 1, 1, 1)), 1)


def test_work_is_captured_the_second_time_and_replayed_from_then_on() -> None:
    memory, cudart = fake_memory()
    source, target = memory.empty((2,)), memory.empty((2,))
    graphs, prepared = Graphs(memory, "x"), []

    def run(number: float) -> list[float]:
        source.write(np.full(2, number))

        def prepare(captured: bool):  # type: ignore[no-untyped-def]
            prepared.append(captured)
            return lambda: memory.copy(source, target), None

        graphs.run("key", prepare)
        return target.numpy().tolist()

    assert [run(n) for n in (1, 2, 3, 4)] == [[1, 1], [2, 2], [3, 3], [4, 4]]
    assert (prepared, cudart.captures, cudart.launches) == ([False, True], 1, 2)


def test_work_is_captured_when_its_engine_is_ready() -> None:
    memory, cudart = fake_memory()
    ready = iter([False, False, True])
    graphs = Graphs(memory, "x")
    for _ in range(6):
        graphs.run("key", lambda captured: (lambda: None, None), lambda: next(ready))
    assert (cudart.captures, cudart.launches) == (1, 2)


def test_graphs_are_bounded_and_destroyed() -> None:
    memory, cudart = fake_memory()
    graphs = Graphs(memory, "x")
    for key in range(GRAPHS + 3):
        for _ in range(2):
            graphs.run(key, lambda captured: (lambda: None, None))
    assert len(graphs) == GRAPHS
    assert cudart.destroyed == 3


def test_what_cannot_be_captured_runs_plainly() -> None:
    memory, cudart = fake_memory()
    target = memory.empty((1,))
    graphs = Graphs(memory, "x")

    def wait(captured: bool):  # type: ignore[no-untyped-def]
        def work() -> None:
            target.write(np.ones(1, np.float32))
            memory.synchronize()

        return work, None

    for _ in range(4):
        graphs.run("waits", wait)
    cudart.refuse_capture = True
    for _ in range(4):
        graphs.run("other", lambda captured: (lambda: None, None))
    assert (len(graphs), cudart.launches) == (0, 0)
    assert target.numpy() == 1
    with pytest.raises(EngineError, match="while a graph is captured"):
        cudart.refuse_capture = False
        memory.capture(lambda: memory.allocate(8))
    assert cudart.captured is None


def test_another_thread_waits_for_a_capture_to_end() -> None:
    memory, cudart = fake_memory()
    source, target = memory.empty((1,)), memory.empty((1,))
    found: list[float] = []
    other = threading.Thread(target=lambda: found.append(float(np.asarray(memory.zeros((1,)))[0])))

    def work() -> None:
        other.start()
        time.sleep(0.02)
        memory.copy(source, target)

    graph = memory.capture(work)
    other.join()
    assert found == [0.0]
    source.write(np.ones(1, np.float32))
    graph.launch()
    assert target.numpy() == 1 and cudart.captures == 1


@pytest.mark.parametrize("least", [0, 512])
def test_the_planner_cache_grows_on_the_device_as_on_the_host(least: int) -> None:
    memory, _ = fake_memory()
    geometry = CacheGeometry(2, 2, 4, 8, 10, 600, 0, (1, 1, 0), 10.0)
    host = PlannerCache(geometry, 600, least_slots=least)
    device = PlannerCache(geometry, 600, memory, HALF, least)
    numbers = np.random.default_rng(2)
    written = 0
    for end in (200, 300, 560):
        for cache in (host, device):
            cache.fit(end, written)
        rows = numbers.standard_normal((1, 2, end - written, 4)).astype(np.float16)
        for cache in (host, device):
            assert cache.slots == max(least, min(600, -(-end // 256) * 256))
            for view in cache.views.values():
                view[:, :, written:end] = rows
        written = end
    for name, view in host.views.items():
        np.testing.assert_array_equal(view[:, :, :560], np.asarray(device.views[name])[:, :, :560])


def test_float8_numbers_round_to_the_nearest_and_back() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    codes = np.arange(256, dtype=np.uint8)
    element = Element(FLOAT8, 0.25)
    wanted = codes.view(ml_dtypes.float8_e4m3fn).astype(np.float32) * 0.25
    np.testing.assert_array_equal(element.decode(codes), wanted)
    numbers = np.random.default_rng(3).uniform(-448, 448, 4000).astype(np.float32)
    ties = (np.sort(wanted[:126])[1:] + np.sort(wanted[:126])[:-1]) / 2 / 0.25
    numbers = np.concatenate([numbers, ties, -ties, [np.nan, 0.0, -0.0]]).astype(np.float32)
    found = element.encode(numbers * np.float32(0.25))
    np.testing.assert_array_equal(found, numbers.astype(ml_dtypes.float8_e4m3fn).view(np.uint8))
    assert element.decode(element.encode(np.array([1e6, -1e6]))).tolist() == [112, -112]
    with pytest.raises(EngineError, match="expected one of"):
        Element("bfloat16")
