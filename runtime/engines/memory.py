"""Where keys and values live: allocation, prefixes and the moves that caches need.

The planner's cache and the window's buffers are allocated in the memory of the engine that writes
them, so that they are not copied between calls. The host's memory is numpy; `cuda_memory` has the
device's.

| name | shape |
| --- | --- |
| rows | [1, heads, rows, D]; a row is one token |
| flat | [n], the buffer that prefixes are taken from |
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.engines.elements import Element

Array = NDArray[Any]
FLOAT32 = Element("float32")


class Memory(ABC):
    """One kind of memory. Arrays of it may be read and written with slices, like numpy's."""

    on_device: bool

    @abstractmethod
    def zeros(self, shape: Sequence[int], element: Element = FLOAT32) -> Array:
        """A new array of zeros."""

    @abstractmethod
    def prefix(self, flat: Array, shape: Sequence[int]) -> Array:
        """The first elements of a flat array in another shape; no copy."""

    @abstractmethod
    def move_rows(self, source: Array, target: Array, count: int) -> None:
        """Copy the first `count` rows; the two may be prefixes of the same flat array."""

    @abstractmethod
    def join_rows(self, parts: Sequence[Array], target: Array) -> None:
        """Write the rows of all parts into `target`, one part after another."""


class HostMemory(Memory):
    """numpy."""

    on_device = False

    def zeros(self, shape: Sequence[int], element: Element = FLOAT32) -> Array:
        return np.zeros(tuple(shape), element.shown)

    def prefix(self, flat: Array, shape: Sequence[int]) -> Array:
        return flat[: int(np.prod(shape))].reshape(tuple(shape))

    def move_rows(self, source: Array, target: Array, count: int) -> None:
        # Heads overlap in memory: what moves is copied out first.
        target[:, :, :count] = source[:, :, :count].copy()

    def join_rows(self, parts: Sequence[Array], target: Array) -> None:
        np.concatenate([np.asarray(part) for part in parts], axis=2, out=target)


HOST = HostMemory()
