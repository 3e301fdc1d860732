"""The processes that train together under torchrun: joining, waiting, gradients in common."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn


@dataclass(frozen=True)
class Workers:
    """This process among those that train together."""

    rank: int = 0
    count: int = 1

    @classmethod
    def join(cls) -> Workers:
        """Joins the group that torchrun started, or stands alone."""
        count = int(os.environ.get("WORLD_SIZE", "1"))
        if count > 1 and not dist.is_initialized():
            dist.init_process_group("gloo")
        return cls(dist.get_rank(), count) if count > 1 else cls()

    def leave(self) -> None:
        """Leaves the group once every process is done: one that goes early aborts the others."""
        self.wait()
        if self.count > 1:
            dist.destroy_process_group()

    def wait(self) -> None:
        """Until every process has come here."""
        if self.count > 1:
            dist.barrier()

    def agree(self, value: float) -> float:
        """The first process's `value`."""
        if self.count == 1:
            return value
        shared = torch.tensor(value, dtype=torch.float64)
        dist.broadcast(shared, 0)
        return float(shared)

    def average_gradients(self, parameters: list[nn.Parameter]) -> None:
        """Every process ends with the mean, or with none where none has a gradient; one message, in
        the order of the parameters."""
        if self.count == 1:
            return
        given = parameters[0].new_tensor([float(p.grad is not None) for p in parameters])
        flat = torch.cat([given, *(_gradient(p).flatten() for p in parameters)])
        dist.all_reduce(flat)
        flat /= self.count
        given, *parts = flat.split([len(parameters), *(p.numel() for p in parameters)])
        for parameter, some, part in zip(parameters, given.tolist(), parts, strict=True):
            # A gradient of zeros would make the optimizer take a step all the same.
            parameter.grad = part.view_as(parameter) if some else None


def _gradient(parameter: nn.Parameter) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
