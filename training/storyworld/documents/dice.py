"""Choices for the grammar: quick picks for words, and the numpy generator for scenes.

Both come from one numpy generator, so its state fixes everything that follows.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


class Dice:
    """Random choices; `generator` is for the scene samplers, `words` for `describe`."""

    def __init__(self, generator: np.random.Generator) -> None:
        self.generator = generator
        self.words = random.Random(int(generator.integers(2**62)))

    def pick(self, options: Sequence[T]) -> T:
        return options[int(self.words.random() * len(options))]

    def chance(self, probability: float) -> bool:
        return self.words.random() < probability

    def some(self, options: Sequence[T], count: int) -> list[T]:
        """`count` different options in random order."""
        return self.words.sample(list(options), count)

    def ordered(self, options: Sequence[T], count: int) -> list[T]:
        """`count` of the options, in the order given."""
        chosen = sorted(self.words.sample(range(len(options)), count))
        return [options[i] for i in chosen]

    def weighted(self, weights: Mapping[T, float]) -> T:
        return self.words.choices(list(weights), list(weights.values()))[0]

    def number(self, low: int, high: int) -> int:
        """An integer from `low` to `high`, both included."""
        return self.words.randint(low, high)
