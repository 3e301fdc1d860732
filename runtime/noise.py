"""The one source of randomness: counter-based Philox4x32-10, and normals made from it.

A value depends only on (seed, stream, item, position): never on what was drawn before, the device
or the number of threads. Streams keep image noise and text sampling apart.

Philox: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011). Normals: Box–Muller
with logarithm, sine and cosine evaluated by IEEE +, −, ×, ÷ and square root alone, so that every
machine gives the same bits whatever its maths library.

| function | gives |
| --- | --- |
| `random_words(seed, stream, item, n)` | uint32 [n] |
| `uniform(seed, stream, item)` | float in [0, 1) with 53 bits |
| `normal(seed, stream, item, n)` | float32 [n] |
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

STREAM_IMAGE = 1
STREAM_TEXT = 2

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_LOW = 0xFFFFFFFF
_LN2 = 0.6931471805599453
_TWO_PI = 6.283185307179586

Word = TypeVar("Word", int, NDArray[np.uint64])


def rounds(words: tuple[Word, Word, Word, Word], key: tuple[int, int]) -> tuple[Word, ...]:
    """Ten Philox rounds over 32-bit words: four integers, or four arrays of as many blocks."""
    a: Any
    b: Any
    c: Any
    d: Any
    a, b, c, d = words
    key0, key1 = key
    for _ in range(10):
        product0, product1 = a * _MULTIPLIERS[0], c * _MULTIPLIERS[1]
        a, b = (product1 >> 32) ^ b ^ key0, product1 & _LOW
        c, d = (product0 >> 32) ^ d ^ key1, product0 & _LOW
        key0, key1 = (key0 + _WEYL[0]) & _LOW, (key1 + _WEYL[1]) & _LOW
    return a, b, c, d


def random_words(seed: int, stream: int, item: int, count: int) -> NDArray[np.uint32]:
    """`count` random words of one item of a stream."""
    block = np.arange(-(-count // 4), dtype=np.uint64)
    low, high, kind = (np.full_like(block, n) for n in (item & _LOW, item >> 32 & _LOW, stream))
    words = np.stack(rounds((block, low, high, kind), _key(seed)), axis=1)
    return words.astype(np.uint32).reshape(-1)[:count]


def uniform(seed: int, stream: int, item: int) -> float:
    """One number in [0, 1)."""
    high, low, _, _ = rounds((0, item & _LOW, item >> 32 & _LOW, stream), _key(seed))
    return float(((high << 32 | low) >> 11) * 2.0**-53)


def _key(seed: int) -> tuple[int, int]:
    return seed & _LOW, seed >> 32 & _LOW


def normal(seed: int, stream: int, item: int, count: int) -> NDArray[np.float32]:
    """`count` standard normals."""
    pairs = -(-count // 2)
    words = random_words(seed, stream, item, 2 * pairs).astype(np.float64).reshape(pairs, 2)
    radius = np.sqrt(-2.0 * _log((words[:, 0] + 1.0) * 2.0**-32))
    sine, cosine = _sine_cosine(words[:, 1] * 2.0**-32)
    both = np.stack([radius * cosine, radius * sine], axis=1).reshape(-1)
    return both[:count].astype(np.float32)


def _log(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Natural logarithm of positive numbers: 2 atanh((m - 1) / (m + 1)) + e ln 2."""
    mantissa, exponent = np.frexp(x)
    small = mantissa < 0.7071067811865476
    mantissa = np.where(small, mantissa * 2.0, mantissa)
    exponent = exponent - small.astype(exponent.dtype)
    z = (mantissa - 1.0) / (mantissa + 1.0)
    square = z * z
    total = np.zeros_like(z)
    for k in range(10, -1, -1):
        total = total * square + 1.0 / (2 * k + 1)
    result: NDArray[np.float64] = 2.0 * z * total + exponent.astype(np.float64) * _LN2
    return result


def _sine_cosine(turns: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sine and cosine of 2 pi `turns` for turns in [0, 1), by quadrant and Taylor series."""
    quadrant = np.floor(turns * 4.0 + 0.5)
    angle = (turns - quadrant * 0.25) * _TWO_PI
    square = angle * angle
    sine = np.zeros_like(angle)
    cosine = np.zeros_like(angle)
    for k in range(8, -1, -1):
        sine = 1.0 - sine * square / ((2 * k + 2) * (2 * k + 3))
        cosine = 1.0 - cosine * square / ((2 * k + 1) * (2 * k + 2))
    sine = sine * angle
    turn = quadrant.astype(np.int64) % 4
    return (
        np.choose(turn, [sine, cosine, -sine, -cosine]),
        np.choose(turn, [cosine, -sine, -cosine, sine]),
    )
