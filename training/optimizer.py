"""Optimizers and the schedule: Muon for hidden matrices, AdamW for the rest.

Muon (Jordan et al. 2024) orthogonalizes the momentum of a matrix; embeddings, first and last
layers, norms, biases and convolutions stay with AdamW.
"""

from __future__ import annotations

import torch
from torch import nn

from training.errors import TrainingError
from training.recipe import LoopConfig

_EDGES = ("embedding", "enter", "leave", "place", "time", "patch", "table", "merge.2")


def build_optimizers(model: nn.Module, config: LoopConfig) -> list[torch.optim.Optimizer]:
    """One or two optimizers over `model`'s trainable parameters."""
    if config.optimizer not in ("muon", "adamw"):
        raise TrainingError(f"optimizer is {config.optimizer!r}, expected 'muon' or 'adamw'")
    matrices, rest = [], []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        hidden = parameter.dim() == 2 and not any(edge in name for edge in _EDGES)
        (matrices if hidden and config.optimizer == "muon" else rest).append(parameter)
    optimizers: list[torch.optim.Optimizer] = []
    if matrices:
        optimizers.append(
            torch.optim.Muon(
                matrices,
                lr=config.matrix_rate,
                weight_decay=config.weight_decay,
                momentum=0.95,
                adjust_lr_fn="match_rms_adamw",
            )
        )
    if rest:
        optimizers.append(
            torch.optim.AdamW(
                rest, lr=config.rate, betas=(0.9, 0.99), weight_decay=config.weight_decay
            )
        )
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["base_rate"] = group["lr"]
    return optimizers


def rate_factor(step: int, config: LoopConfig) -> float:
    """Warm-up, a plateau, then a straight fall to zero over the last `decay` of the steps."""
    warm = min(1.0, (step + 1) / max(1, config.warmup))
    fall = max(1.0, config.decay * config.steps)
    return min(warm, max(0.0, (config.steps - step) / fall))


class Average:
    """An exponential moving average of the trainable parameters, in float32."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.values = {
            n: p.detach().float().clone() for n, p in model.named_parameters() if p.requires_grad
        }

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, parameter in model.named_parameters():
            if name in self.values:
                self.values[name].lerp_(parameter.detach().float(), 1 - decay)

    @torch.no_grad()
    def swap(self, model: nn.Module) -> None:
        """Exchanges the model's parameters and the averages; call again to undo."""
        for name, parameter in model.named_parameters():
            if name in self.values:
                now = parameter.detach().float().clone()
                parameter.copy_(self.values[name])
                self.values[name] = now
