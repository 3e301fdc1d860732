"""Choosing a token from logits: mask, loops, temperature, nucleus, counter-based draw.

The draw for a token depends on the seed and the token's index in the sequence alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runtime.noise import STREAM_TEXT, uniform

# A loop is told from emphasis ("boom, boom, boom") and colours ("#000000") by these.
LONGEST_LOOP, LOOPS, SHORTEST_LOOPING = 8, 3, 12


def choose(
    logits: NDArray[np.float32],
    allowed: NDArray[np.bool_],
    temperature: float,
    top_p: float,
    seed: int,
    index: int,
) -> int:
    """The next token id.

    `logits` float32 [V]; `allowed` bool [V] with at least one True. Temperature 0 takes the most
    likely allowed token, the lowest id among equals.
    """
    scores = np.where(allowed, logits.astype(np.float64), -np.inf)
    if temperature == 0.0:
        return int(np.argmax(scores))
    ids = np.flatnonzero(allowed)
    scores = scores[ids]
    with np.errstate(over="ignore"):
        weights = np.exp((scores - scores.max()) / temperature)
    order = np.argsort(-weights, kind="stable")
    cumulative = np.cumsum(weights[order])
    kept = int(np.searchsorted(cumulative, min(top_p, 1.0) * cumulative[-1])) + 1
    kept = min(kept, len(ids))
    draw = uniform(seed, STREAM_TEXT, index) * cumulative[kept - 1]
    place = int(np.searchsorted(cumulative[:kept], draw, side="right"))
    return int(ids[order[min(place, kept - 1)]])


def without_loop(allowed: NDArray[np.bool_], run: NDArray[np.int64]) -> NDArray[np.bool_]:
    """`allowed` [V] less what would go on with a loop in which `run` [n] ends: the same one to
    eight tokens over and over, three times at least and for twelve tokens.

    A small planner falls into loops over names that it has never seen. Unchanged where nothing else
    would be allowed.
    """
    kept = allowed
    for period in range(1, LONGEST_LOOP + 1):
        length = max(LOOPS * period, SHORTEST_LOOPING)
        tail = run[-length:]
        if len(tail) == length and np.array_equal(tail[period:], tail[:-period]):
            kept = kept.copy() if kept is allowed else kept
            kept[tail[-period]] = False
    return kept if kept.any() else allowed
