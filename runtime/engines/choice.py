"""Which variant of each component runs, and why: plain data, ready for people and for JSON.

A variant is rejected with a reason: a package, the GPU, the engine's version or compute capability,
a failed gate, a cache that is too large for it. The first one that is not rejected is chosen, in
the order of the device's backends and then of the manifest.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

# Best first. "auto" tries them all; the CPU is what every device falls back to.
BACKENDS = {
    "auto": ("tensorrt-rtx", "tensorrt", "onnx-tensorrt-rtx", "onnx-cuda", "onnx-cpu"),
    "cpu": ("onnx-cpu",),
    "cuda": ("onnx-cuda", "onnx-cpu"),
    "tensorrt-rtx": ("tensorrt-rtx", "onnx-tensorrt-rtx", "onnx-cpu"),
    "tensorrt": ("tensorrt", "onnx-cpu"),
}
DEVICES = tuple(BACKENDS)
CPU_BACKEND = "onnx-cpu"


@dataclass(frozen=True)
class Rejected:
    """A variant that was passed over."""

    backend: str
    precision: str
    reason: str

    def __str__(self) -> str:
        return f"{self.backend} {self.precision}: {self.reason}"


@dataclass(frozen=True)
class Choice:
    """The variant of a component that runs."""

    backend: str
    precision: str
    reason: str
    rejected: tuple[Rejected, ...] = ()

    @property
    def on_device(self) -> bool:
        """Whether anything but the CPU runs it."""
        return self.backend != CPU_BACKEND

    def __str__(self) -> str:
        return f"{self.backend} {self.precision}"


@dataclass(frozen=True)
class DeviceReport:
    """What was asked for, the GPU that was found ("" where none was looked for or found), and the
    choice for every component."""

    asked: str
    gpu: str
    choices: dict[str, Choice]

    @property
    def backends(self) -> tuple[str, ...]:
        """The backends in use, each once."""
        return tuple(dict.fromkeys(choice.backend for choice in self.choices.values()))

    def summary(self) -> str:
        """One line: which component runs where."""
        groups: dict[str, list[str]] = {}
        for name, choice in self.choices.items():
            groups.setdefault(str(choice), []).append(name)
        parts = [
            f"{label} for {'everything' if len(groups) == 1 else ', '.join(names)}"
            for label, names in groups.items()
        ]
        return f"device {self.asked}: " + "; ".join(parts)

    def lines(self) -> list[str]:
        """The choice for every component with its reason and what was passed over."""
        found = [self.summary(), f"  GPU: {self.gpu or 'none used'}"]
        for name, choice in self.choices.items():
            found.append(f"  {name:<11} {choice}, {choice.reason}")
            found += [f"  {'':<11} not {rejected}" for rejected in choice.rejected]
        return found

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)
