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

import numpy as np
from numpy.typing import NDArray

STREAM_IMAGE = 1
STREAM_TEXT = 2

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_LN2 = 0.6931471805599453
_TWO_PI = 6.283185307179586


def philox(counter: NDArray[np.uint32], key: tuple[int, int]) -> NDArray[np.uint32]:
    """Ten rounds over counters uint32 [n, 4] with a 2 x 32-bit key; uint32 [n, 4]."""
    words = [counter[:, i].astype(np.uint64) for i in range(4)]
    key0, key1 = key
    for _ in range(10):
        product0 = words[0] * _MULTIPLIERS[0]
        product1 = words[2] * _MULTIPLIERS[1]
        words = [
            (product1 >> _HALF) ^ words[1] ^ np.uint64(key0),
            product1 & _LOW,
            (product0 >> _HALF) ^ words[3] ^ np.uint64(key1),
            product0 & _LOW,
        ]
        key0 = (key0 + _WEYL[0]) & 0xFFFFFFFF
        key1 = (key1 + _WEYL[1]) & 0xFFFFFFFF
    return np.stack(words, axis=1).astype(np.uint32)


def random_words(seed: int, stream: int, item: int, count: int) -> NDArray[np.uint32]:
    """`count` random words of one item of a stream."""
    blocks = -(-count // 4)
    counter = np.zeros((blocks, 4), np.uint32)
    counter[:, 0] = np.arange(blocks, dtype=np.uint32)
    counter[:, 1] = item & 0xFFFFFFFF
    counter[:, 2] = (item >> 32) & 0xFFFFFFFF
    counter[:, 3] = stream
    return philox(counter, (seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF)).reshape(-1)[:count]


def uniform(seed: int, stream: int, item: int) -> float:
    """One number in [0, 1)."""
    high, low = (int(word) for word in random_words(seed, stream, item, 2))
    return float(((high << 32 | low) >> 11) * 2.0**-53)


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
