"""Optimizers and the schedule: Muon for most matrices, AdamW for the rest.

Muon (Jordan et al. 2024) orthogonalizes the momentum of a matrix; a convolution, the first and last
ones included, counts as the matrix [out, in * kernel]. Embeddings, the linear layers that lead into
and out of the transformers, norms and biases stay with AdamW: what `_EDGES` names, and all vectors.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn

from training.device import quick_dtype
from training.errors import TrainingError
from training.recipe import LoopConfig

_EDGES = (
    "embedding",
    "enter",
    "overview",
    "leave",
    "place",
    "time",
    "patch",
    "table",
    "merge.2",
    "probe",
)


_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


def orthogonalize(matrix: Tensor, steps: int = 5) -> Tensor:
    """About the nearest semi-orthogonal matrix, by the quintic Newton-Schulz iteration."""
    a, b, c = _NEWTON_SCHULZ
    x = matrix.to(quick_dtype(matrix.device))
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / (x.norm() + 1e-7)
    if x.shape[1] >= 2 * x.shape[0] and x.dtype == torch.float32:
        return _orthogonalize_wide(x, steps, tall).to(matrix.dtype)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.T if tall else x).to(matrix.dtype)


def _orthogonalize_wide(x: Tensor, steps: int, tall: bool) -> Tensor:
    """The same iteration on the small Gram matrix: the factors commute, and are applied to `x`
    together at the end."""
    a, b, c = _NEWTON_SCHULZ
    gram = x @ x.T
    whole = torch.eye(len(x), dtype=x.dtype, device=x.device)
    for _ in range(steps):
        factor = torch.addmm(b * gram, gram, gram, alpha=c)
        factor.diagonal().add_(a)
        whole = factor @ whole
        gram = factor @ gram @ factor
    x = whole @ x
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalized per matrix, and scaled so that the update's size is like
    AdamW's at the same rate (0.2 * sqrt(longer side), Liu et al. 2025). Processes that train
    together share the matrices out and exchange the results."""

    def __init__(
        self, parameters: list[nn.Parameter], lr: float, weight_decay: float, momentum: float = 0.95
    ) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            steps = self._shared(
                [self._update(p, group["momentum"]).flatten(1) for p in parameters]
            )
            for parameter, step in zip(parameters, steps, strict=True):
                scale = 0.2 * max(step.shape) ** 0.5
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(step.view_as(parameter), alpha=-group["lr"] * scale)

    def _update(self, parameter: nn.Parameter, momentum: float) -> Tensor:
        assert parameter.grad is not None
        state = self.state[parameter]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        buffer: Tensor = state["momentum_buffer"]
        buffer.lerp_(parameter.grad, 1 - momentum)
        return parameter.grad.lerp(buffer, momentum)

    @staticmethod
    def _shared(updates: list[Tensor]) -> list[Tensor]:
        """The orthogonalized `updates`, each computed by one of the processes."""
        if not dist.is_initialized() or not updates:
            return [orthogonalize(update) for update in updates]
        rank, count = dist.get_rank(), dist.get_world_size()
        own = [
            orthogonalize(update) if i % count == rank else torch.zeros_like(update)
            for i, update in enumerate(updates)
        ]
        flat = torch.cat([update.flatten() for update in own])
        dist.all_reduce(flat)
        parts = flat.split([update.numel() for update in updates])
        return [part.view_as(update) for part, update in zip(parts, updates, strict=True)]


def build_optimizers(model: nn.Module, config: LoopConfig) -> list[torch.optim.Optimizer]:
    """One or two optimizers over `model`'s trainable parameters."""
    if config.optimizer not in ("muon", "adamw"):
        raise TrainingError(f"optimizer is {config.optimizer!r}, expected 'muon' or 'adamw'")
    matrices, rest = [], []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        hidden = parameter.dim() >= 2 and not any(edge in name for edge in _EDGES)
        (matrices if hidden and config.optimizer == "muon" else rest).append(parameter)
    optimizers: list[torch.optim.Optimizer] = []
    if matrices:
        optimizers.append(Muon(matrices, config.matrix_rate, config.weight_decay))
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


def rate_factor(step: int, progress: float, config: LoopConfig) -> float:
    """Warm-up over the first steps, a plateau, then a straight fall to zero over the last `decay`
    of the run, of which the share `progress` is done."""
    warm = min(1.0, (step + 1) / max(1, config.warmup))
    fall = max(1 / config.steps, config.decay)
    return min(warm, max(0.0, (1 - progress) / fall))


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
