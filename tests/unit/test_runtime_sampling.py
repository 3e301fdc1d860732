"""Loops: a run that repeats itself has to go on otherwise, and nothing else has to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.sampling import LONGEST_LOOP, without_loop

VOCAB = 40


def forbidden(run: list[int]) -> list[int]:
    kept = without_loop(np.ones(VOCAB, bool), np.array(run, np.int64))
    return np.flatnonzero(~kept).tolist()


@pytest.mark.parametrize(
    ("run", "next_token"),
    [
        ([7] * 12, 7),
        ([1, 5, 6] + [5, 6] * 5 + [5], 6),
        ([9, 9, 9, *range(20, 28), *range(20, 28), *range(20, 28)], 20),
    ],
)
def test_a_loop_has_to_go_on_otherwise(run: list[int], next_token: int) -> None:
    assert forbidden(run) == [next_token]


@pytest.mark.parametrize(
    "run",
    [[], [7], [7] * 11, [5, 6] * 5, [*range(20, 28), *range(20, 28)], [*range(9)] * 4],
)
def test_emphasis_is_no_loop(run: list[int]) -> None:
    assert not forbidden(run)


@given(st.lists(st.integers(0, 3), max_size=40))
def test_only_what_would_go_on_with_the_loop_is_forbidden(run: list[int]) -> None:
    for token in forbidden(run):
        tail = [*run, token]
        assert any(
            tail[-12:] == ([*tail[-period:]] * 12)[-12:] for period in range(1, LONGEST_LOOP + 1)
        )


def test_something_stays_allowed() -> None:
    only = np.zeros(VOCAB, bool)
    only[7] = True
    assert without_loop(only, np.array([7] * 12))[7]
    everything = np.ones(VOCAB, bool)
    without_loop(everything, np.array([7] * 12))
    assert everything.all()
