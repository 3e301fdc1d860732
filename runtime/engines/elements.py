"""Element types: how a tensor's numbers are stored, and what numpy sees of them.

numpy has no float8, so float8 keys and values are stored as bytes and shown as float32. Everything
else is stored as numpy would store it.

| name | stored as | shown as |
| --- | --- | --- |
| float32, float16, int64, int32, uint8, bool | itself | itself |
| float8e4m3fn | uint8, one byte a number | float32, times `scale` |
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.errors import EngineError

FLOAT8 = "float8e4m3fn"
_PLAIN = ("float32", "float16", "int64", "int32", "uint8", "bool")


@dataclass(frozen=True)
class Element:
    """An element type; `scale` is what stored float8 numbers are multiplied with."""

    name: str
    scale: float = 1.0

    def __post_init__(self) -> None:
        if self.name != FLOAT8 and self.name not in _PLAIN:
            raise EngineError(f"element type: expected one of {(*_PLAIN, FLOAT8)}, found {self}")

    def __str__(self) -> str:
        return self.name if self.scale == 1.0 else f"{self.name} x {self.scale:g}"

    @property
    def stored(self) -> np.dtype[Any]:
        """The dtype of the bytes."""
        return np.dtype(np.uint8 if self.name == FLOAT8 else self.name)

    @property
    def shown(self) -> np.dtype[Any]:
        """The dtype of the numbers."""
        return np.dtype(np.float32 if self.name == FLOAT8 else self.name)

    def encode(self, numbers: NDArray[Any]) -> NDArray[Any]:
        """What is stored for these numbers; out of range float8 numbers become the largest."""
        if self.name != FLOAT8:
            return np.ascontiguousarray(numbers, self.stored)
        found = np.asarray(numbers, np.float32) / np.float32(self.scale)
        values = _float8_values()
        middles = (values[1:] + values[:-1]) / 2
        code = np.searchsorted(middles, np.abs(found), side="left")
        # A tie goes to the even code, as everywhere in IEEE arithmetic.
        tie = (code < len(middles)) & (np.abs(found) == middles[np.minimum(code, 125)])
        code = code + (tie & (code % 2 == 1))
        code = np.where(np.isnan(found), 127, code)
        return np.ascontiguousarray(code + 128 * np.signbit(found), np.uint8)

    def decode(self, stored: NDArray[Any]) -> NDArray[Any]:
        """The numbers of what is stored."""
        if self.name != FLOAT8:
            return stored
        values = np.append(_float8_values(), np.float32(np.nan))
        table = np.concatenate([values, -values]) * np.float32(self.scale)
        return np.asarray(table[stored], np.float32)


@cache
def _float8_values() -> NDArray[np.float32]:
    """The 127 numbers from 0 to 448 that codes 0 to 126 stand for: 4 bits exponent, 3 mantissa."""
    code = np.arange(127)
    exponent, mantissa = code >> 3, code & 7
    normal = (1 + mantissa / 8) * 2.0 ** (exponent - 7)
    return np.where(exponent == 0, mantissa / 8 * 2.0**-6, normal).astype(np.float32)
