"""What is verified against: the PyTorch models, the default schedule and the examples."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.errors import ExportError
from export.graphs import Models
from export.samples import Example

Pairs = Iterator[tuple[NDArray[Any], Any]]
# What results that are NaN or infinite are worth: no gate lets it pass, and JSON can hold it.
FARTHEST, LEAST_DB = 1e30, -120.0


@dataclass(frozen=True)
class Subject:
    """`times` fall from 1 to 0; `examples` may be empty."""

    models: Models
    times: tuple[float, ...]
    examples: tuple[Example, ...] = ()


def distance(found: NDArray[Any], expected: Any) -> float:
    """The norm of the difference over the norm of what was expected; `FARTHEST` where it is not
    finite."""
    expected = np.asarray(expected, np.float64)
    found = np.asarray(found, np.float64)
    if found.shape != expected.shape:
        raise ExportError(f"expected a result of shape {expected.shape}, found {found.shape}")
    scale = float(np.linalg.norm(expected))
    with np.errstate(invalid="ignore"):
        error = float(np.linalg.norm(found - expected)) / (scale or 1.0)
    return error if math.isfinite(error) else FARTHEST


def psnr(found: NDArray[Any], expected: Any) -> float:
    """Peak signal to noise in dB; the peak is the range of what was expected, 120 dB the most.
    `LEAST_DB` where the error is not finite."""
    expected = np.asarray(expected, np.float64)
    with np.errstate(invalid="ignore"):
        error = float(np.mean((np.asarray(found, np.float64) - expected) ** 2))
    if not math.isfinite(error):
        return LEAST_DB
    peak = float(np.ptp(expected)) or 1.0
    return float(min(120.0, 10 * np.log10(peak**2 / max(error, 1e-30))))
