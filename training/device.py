"""Where a training runs: the CPU or an NVIDIA GPU, in bfloat16 where quick; float32 weights."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor

from training.errors import TrainingError

CPU = torch.device("cpu")


def choose_device(name: str) -> torch.device:
    """The device called `name`: "cpu", "cuda", or "auto" for CUDA where there is a GPU."""
    if name not in ("auto", "cpu", "cuda"):
        raise TrainingError(f"device is {name!r}, expected auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise TrainingError(
            "device is 'cuda', but this PyTorch sees no GPU; install its CUDA build, or use cpu"
        )
    if name == "cpu" or not torch.cuda.is_available():
        return CPU
    torch.set_float32_matmul_precision("high")
    return torch.device("cuda")


def quick_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where matrix products in it are quick, else float32: a CPU without AVX-512 emulates
    bfloat16 at a sixtieth of its speed in float32."""
    quick = device.type != "cpu" or torch.backends.cpu.get_cpu_capability().startswith("AVX512")
    return torch.bfloat16 if quick else torch.float32


def mixed_precision(device: torch.device) -> torch.autocast:
    """Matrix products in `quick_dtype`, sums and weights in float32."""
    quick = quick_dtype(device) is torch.bfloat16
    return torch.autocast(device.type, torch.bfloat16, enabled=quick)


def moved(batch: Any, device: torch.device) -> Any:
    """`batch` with every tensor on `device`; lists, tuples and dataclasses are looked into."""
    if device.type == "cpu":
        return batch
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, (list, tuple)):
        return type(batch)(moved(part, device) for part in batch)
    if is_dataclass(batch) and not isinstance(batch, type):
        return replace(
            batch, **{f.name: moved(getattr(batch, f.name), device) for f in fields(batch)}
        )
    return batch
