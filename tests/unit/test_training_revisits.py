"""Batches seen several times: every step's batch follows from the step, and is prepared once."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="training needs the training extra")

from training.revisits import Revisits
from training.workers import Workers


@pytest.mark.parametrize(("block", "times"), [(1, 1), (4, 1), (1, 3), (4, 3)])
def test_every_batch_is_visited_equally_often_and_blocks_follow_one_another(
    block: int, times: int
) -> None:
    visits = [Revisits(lambda n: n, block, times)(step) for step in range(2 * block * times)]
    assert sorted(v.source for v in visits) == sorted(list(range(2 * block)) * times)
    assert max(v.source for v in visits[: block * times]) < block
    assert [v.batch for v in visits if v.batch is not None] == list(range(2 * block))
    assert [v.source for v in visits if v.last] == list(range(2 * block))


def test_a_batch_is_prepared_at_its_first_visit_and_dropped_after_its_last() -> None:
    prepared: list[int] = []
    revisits: Revisits[str] = Revisits(lambda n: n, block=2, times=3)

    def prepare(batch: int) -> str:
        prepared.append(batch)
        return f"batch {batch}"

    found = [revisits.prepared(revisits(step), prepare) for step in range(6)]
    assert found == ["batch 0", "batch 1"] * 3
    assert prepared == [0, 1]
    assert not revisits.kept


def test_a_resumed_run_makes_the_batch_again() -> None:
    revisits: Revisits[int] = Revisits(lambda n: 10 * n, block=2, times=2)
    visit = revisits(3)
    assert visit.batch is None
    assert revisits.prepared(visit, lambda batch: batch + 1) == 11


@pytest.mark.parametrize(("block", "processes"), [(4, 2), (64, 3), (1, 2)])
def test_processes_that_share_the_steps_revisit_their_own_batches(
    block: int, processes: int
) -> None:
    prepared: list[int] = []

    def prepare(batch: int) -> int:
        prepared.append(batch)
        return batch

    each = -(-block // processes)
    for rank in range(processes):
        revisits: Revisits[int] = Revisits(lambda n: n, block, 3, Workers(rank, processes))
        for step in range(6 * each):
            visit = revisits(step * processes + rank)
            assert revisits.prepared(visit, prepare) == visit.source
            assert len(revisits.kept) <= each
        assert not revisits.kept
    assert sorted(prepared) == list(range(2 * each * processes))
