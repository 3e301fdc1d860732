"""Scales for float8 activations, calibrated with NVIDIA ModelOpt on the examples.

ModelOpt watches the largest magnitude that goes into every linear layer. Where its quantizers are
placed in the graph, and which layers keep them, is decided by `export.choice`: ModelOpt's own ONNX
path rewrites graphs it did not make (docs/decisions.md).
"""

from __future__ import annotations

import copy
import logging
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from export.errors import ExportError
from export.graphs import Models
from export.layer_groups import layer_groups, results
from export.precision import FLOAT8_MAX
from export.verify_subject import Subject

logger = logging.getLogger(__name__)

SMALLEST = 1e-4
# Room above the largest activation that was seen: float8 has binades to spare, and what is cut off
# costs more than what falls below the smallest of them.
HEADROOM = 2.0


@dataclass(frozen=True)
class Calibration:
    """`scales` by component and layer path; `kv_scale` for keys and values."""

    scales: dict[str, dict[str, float]]
    kv_scale: float


def calibrate(subject: Subject, components: tuple[str, ...]) -> Calibration:
    """Raises `ExportError` where ModelOpt is missing or the data give no finite scale."""
    watched = Subject(
        Models(
            _shared_copy(subject.models.planner),
            _shared_copy(subject.models.visualizer),
            subject.models.vae,
        ),
        subject.times,
        subject.examples,
    )
    scales: dict[str, dict[str, float]] = {}
    for name in components:
        model = watched.models.planner if name in ("planner", "vision") else None
        _watch(model or watched.models.visualizer, lambda name=name: results(name, watched))
        scales[name] = {
            path: _scale(name, path, HEADROOM * max(_largest(layer) for layer in group))
            for path, group in layer_groups(name, watched).items()
        }
    largest = max(
        float(tensor.abs().max())
        for example in subject.examples
        for cache in (example.cache, *(drawing.window for drawing in example.drawings))
        for pair in cache
        for tensor in pair
    )
    return Calibration(scales, _scale("planner", "keys and values", largest))


def _shared_copy(model: Any) -> Any:
    """A copy with its own modules and the same weights: no second set in memory."""
    return copy.deepcopy(model, {id(p): p for p in model.parameters()})


def _watch(model: nn.Module, run: Any) -> None:
    """Runs `run` under ModelOpt's calibration; the layers' quantizers then know their range."""
    try:
        import modelopt.torch.quantization as mtq
    except ImportError as error:
        raise ExportError(
            f"precision fp8 is calibrated with nvidia-modelopt, which is missing ({error}); "
            "install it with: pip install '.[fp8]' in a checkout of weft"
        ) from error
    with torch.no_grad():
        mtq.quantize(model, copy.deepcopy(mtq.FP8_DEFAULT_CFG), forward_loop=lambda _: run())


def _largest(layer: Any) -> float:
    amax = getattr(getattr(layer, "input_quantizer", None), "amax", None)
    return float("nan") if amax is None else float(amax.max())


def _scale(name: str, path: str, largest: float) -> float:
    """The scale, a float16 value, that brings `largest` to float8's largest value."""
    if not 0 <= largest < 60000:
        raise ExportError(
            f"{name} {path}: calibration found no usable range ({largest}); the calibration data "
            "do not fit this checkpoint"
        )
    return float(torch.tensor(max(largest / FLOAT8_MAX, SMALLEST)).half())
