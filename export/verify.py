"""Runs a graph on the CPU and compares it with PyTorch: figures, and the gates set on them.

Relative errors are the norm of the difference over the norm of the expected; a component's figure
is the worst of its cases, made-up extremes (`verify_cases`) and real ones (`verify_samples`).
Precisions that a CPU has no kernels for are simulated (`export.session`).
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch

from export.session import Simulation
from export.verify_cases import CASES
from export.verify_samples import AT_LEAST, sample_figures
from export.verify_subject import Subject, distance
from runtime.bundle import Gate
from runtime.interfaces import Interface

logger = logging.getLogger(__name__)

# precision → what every component's figures must pass.
GATES: dict[str, tuple[Gate, ...]] = {
    "fp32": (Gate("relative_error", 1e-3),),
    "w8": (Gate("relative_error", 0.05), Gate("top1", 0.95, True), Gate("latent_psnr", 40.0, True)),
    "int8": (
        Gate("relative_error", 0.1), Gate("top1", 0.95, True), Gate("latent_psnr", 35.0, True),
    ),
    "fp16": (
        Gate("relative_error", 0.02), Gate("top1", 0.95, True), Gate("latent_psnr", 40.0, True),
    ),
    "fp8": (
        Gate("relative_error", 0.15), Gate("top1", 0.9, True), Gate("latent_psnr", 30.0, True),
    ),
}  # fmt: skip
SEED = 20


def figures_of(
    name: str,
    graph: Path,
    interface: Interface,
    subject: Subject,
    kv_scale: float = 1.0,
) -> dict[str, float]:
    """The figures of component `name` as `graph` computes it, each to two digits."""
    with torch.no_grad():
        engine = Simulation(graph, interface, kv_scale=kv_scale)
        figures = sample_figures(name, engine, subject)
        random = np.random.default_rng(SEED)
        worst = max(distance(f, e) for f, e in CASES[name](engine, subject, random))
        figures["relative_error"] = max(worst, figures.get("relative_error", 0.0))
    rounded = {figure: _rounded(figure, value) for figure, value in figures.items()}
    logger.info("%s %s: %s", name, graph.name, rounded)
    return rounded


def gates_of(precision: str, figures: dict[str, float]) -> tuple[Gate, ...]:
    """The precision's gates on the figures that a component has."""
    return tuple(gate for gate in GATES[precision] if gate.figure in figures)


def _rounded(figure: str, value: float) -> float:
    return round(value, 3) if figure in AT_LEAST else float(f"{value:.1e}")
