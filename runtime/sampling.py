"""Choosing a token from logits: mask, temperature, nucleus, counter-based draw.

The draw for a token depends on the seed and the token's index in the sequence alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runtime.noise import STREAM_TEXT, uniform


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
    scores = (scores - scores.max()) / temperature
    weights = np.exp(scores)
    order = np.argsort(-weights, kind="stable")
    cumulative = np.cumsum(weights[order])
    target = min(top_p, 1.0) * cumulative[-1]
    kept = int(np.searchsorted(cumulative, target)) + 1
    kept = min(kept, int(np.count_nonzero(allowed)))
    draw = uniform(seed, STREAM_TEXT, index) * cumulative[kept - 1]
    return int(order[min(int(np.searchsorted(cumulative[:kept], draw, side="right")), kept - 1)])
