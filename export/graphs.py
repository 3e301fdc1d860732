"""Checkpoint to ONNX graphs: which component is built from what, and which data file it uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx

from export.components.planner import build_planner
from export.components.vae import build_vae_decode, build_vae_encode
from export.components.vision import build_vision
from export.components.visualizer import build_commit, build_denoise, check_exportable
from export.components.window import build_window
from export.graph import GraphBuilder
from export.storage import STORAGES, WeightFile
from runtime.interfaces import Interface
from training.models import VAE, Planner, Visualizer

# component → the stem of its data file; components of one file share weights.
DATA_FILES = {
    "planner": "planner",
    "vision": "vision",
    "window": "window",
    "denoise": "visualizer",
    "commit": "visualizer",
    "vae_decode": "vae",
    "vae_encode": "vae",
}


@dataclass(frozen=True)
class Models:
    """The three models of a complete checkpoint."""

    planner: Planner
    visualizer: Visualizer
    vae: VAE


def build_graphs(
    models: Models, interfaces: Mapping[str, Interface], folder: Path, precision: str
) -> dict[str, tuple[str, ...]]:
    """Writes every component's graph in one precision; returns each one's file names, the graph
    first."""
    check_exportable(models.visualizer)
    folder.mkdir(parents=True, exist_ok=True)
    small = models.planner.config.twin.width**2 // 4
    files = {stem: WeightFile(folder / f"{stem}.weights") for stem in set(DATA_FILES.values())}
    written: dict[str, tuple[str, ...]] = {}
    try:
        for name, build in _builders(models).items():
            file = files[DATA_FILES[name]]
            graph = GraphBuilder(name, STORAGES[precision](file, small))
            build(graph)
            model = graph.model(interfaces[name])
            (folder / f"{name}.onnx").write_bytes(model.SerializeToString(deterministic=True))
            data = (file.path.name,) if graph.storage.external else ()
            written[name] = (f"{name}.onnx", *data)
    finally:
        for file in files.values():
            file.close()
    for name in written:
        onnx.checker.check_model(str(folder / f"{name}.onnx"))
    return written


def _builders(models: Models) -> dict[str, Callable[[GraphBuilder], None]]:
    planner, visualizer, vae = models.planner, models.visualizer, models.vae
    layers = len(planner.blocks)
    return {
        "planner": lambda graph: build_planner(graph, planner),
        "vision": lambda graph: build_vision(graph, planner.vision),
        "window": lambda graph: build_window(graph, layers, planner.rope_table),
        "denoise": lambda graph: build_denoise(graph, visualizer),
        "commit": lambda graph: build_commit(graph, visualizer),
        "vae_decode": lambda graph: build_vae_decode(graph, vae),
        "vae_encode": lambda graph: build_vae_encode(graph, vae),
    }
