"""Which layers are worth int8 or float8: each one's error on the result is measured alone.

A layer's error is the relative error of its component's results when only that layer is quantized,
on the examples, in PyTorch. Errors of several layers add in squares. The layers with the largest
errors stay as they are until the sum of the rest is within the budget. Whether a layer gains time
is a matter of its size and of how many tokens go through it at once, measured once
(docs/decisions.md) and not at export, so that the same input gives the same bytes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from export.layer_groups import Groups, layer_groups, quantized, results
from export.precision import FLOAT8_MAX, Recipe
from export.verify_subject import Subject
from runtime.interfaces import COMPONENTS

logger = logging.getLogger(__name__)

# precision → the largest relative error that its quantized layers may make together.
BUDGET = {"int8": 0.04, "fp8": 0.08}
# int8 needs many tokens at once; and the planner's results may not depend on how a sequence is
# cut, which one scale per call would make them do.
COMPONENTS_OF = {
    "int8": ("vision", "denoise", "commit"),
    "fp8": ("planner", "vision", "denoise", "commit"),
}


def choose_layers(subject: Subject, base: Recipe, kv: str) -> dict[str, Recipe]:
    """A recipe for every component."""
    recipes = dict.fromkeys(COMPONENTS, base)
    scales: dict[str, dict[str, float]] = {}
    if base.precision == "fp8":
        from export.calibration import calibrate

        calibrated = calibrate(subject, COMPONENTS_OF["fp8"])
        scales = calibrated.scales
        if kv != base.window_kv:
            kept = replace(base, window_kv=kv, kv_scale=calibrated.kv_scale)
            recipes = dict.fromkeys(COMPONENTS, kept)
    for name in COMPONENTS_OF[base.precision]:
        groups = {
            path: group
            for path, group in layer_groups(name, subject).items()
            if sum(layer.weight.numel() for layer in group) > base.small_size
        }
        errors = layer_errors(name, subject, groups, base.precision, scales.get(name, {}))
        taken = within_budget(errors, BUDGET[base.precision])
        logger.info("%s %s: %d of %d layers", name, base.precision, len(taken), len(errors))
        recipes[name] = replace(
            recipes[name],
            layers=dict.fromkeys(sorted(taken), base.precision),
            scales={path: scales[name][path] for path in sorted(taken)} if scales else {},
        )
    return recipes


def within_budget(errors: dict[str, float], budget: float) -> set[str]:
    """The layers with the smallest errors whose squares add up to at most the budget's."""
    taken, spent = set(), 0.0
    for path, error in sorted(errors.items(), key=lambda item: (item[1], item[0])):
        spent += error**2
        if not spent <= budget**2:
            break
        taken.add(path)
    return taken


def layer_errors(
    name: str, subject: Subject, groups: Groups, precision: str, scales: dict[str, float]
) -> dict[str, float]:
    """The relative error each layer alone makes on the component's results."""
    errors = {}
    with torch.no_grad():
        expected = results(name, subject)
        for path, group in groups.items():
            weight, activation = _quantizers(precision, scales.get(path, 1.0))
            with quantized(group, weight, activation):
                found = results(name, subject)
            # `max` and `sorted` do not see NaN; an infinite error is beyond any budget.
            worst = max(
                float(((f - e).norm() / e.norm().clamp_min(1e-12)).nan_to_num(torch.inf))
                for f, e in zip(found, expected, strict=True)
            )
            errors[path] = float(f"{worst:.2e}")
    return errors


Quantizer = Callable[[Tensor], Tensor]


def _quantizers(precision: str, scale: float) -> tuple[Quantizer, Quantizer]:
    """What the precision makes of a weight [out, in] and of an activation."""
    if precision == "int8":
        return int8_weight, int8_activation
    return float8_weight, lambda x: float8(x, scale)


def int8_weight(weight: Tensor) -> Tensor:
    """[out, in] rounded to int8 with one scale per output channel, as float32."""
    scale = weight.abs().amax(1, keepdim=True).clamp_min(1e-12) / 127
    return (weight / scale).round().clamp(-127, 127) * scale


def int8_activation(x: Tensor) -> Tensor:
    """As `DynamicQuantizeLinear`: uint8 with one scale and zero point per call."""
    low, high = x.min().clamp(max=0), x.max().clamp(min=0)
    scale = ((high - low) / 255).clamp_min(1e-12)
    zero = (-low / scale).round().clamp(0, 255)
    return ((x / scale).round() + zero).clamp(0, 255).sub(zero) * scale


def float8_weight(weight: Tensor) -> Tensor:
    """[out, in] rounded to float8e4m3fn with one scale, as float32."""
    return float8(weight, float(weight.abs().max()) / FLOAT8_MAX)


def float8(x: Tensor, scale: float) -> Tensor:
    """The nearest multiple of a float8e4m3fn value and `scale`."""
    folded = (x / scale).clamp(-FLOAT8_MAX, FLOAT8_MAX).to(torch.float8_e4m3fn)
    return folded.to(x.dtype) * scale
