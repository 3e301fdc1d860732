"""Checkpoint to ONNX graphs: which component is built from what, and which data file it uses."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from export.components.planner import build_planner
from export.components.vae import build_vae_decode, build_vae_encode
from export.components.vision import build_vision
from export.components.visualizer import build_commit, build_denoise
from export.components.window import build_window
from export.errors import ExportError
from export.graph import OPSET, GraphBuilder
from export.precision import Recipe
from export.storage import Storage, WeightFile
from runtime.interfaces import Interface
from training.models import VAE, Planner, Visualizer

_KV = re.compile(r"(past|present|planner|reference|window)\.[kv]\.\d+$")
_PLANNER = ("past", "present", "planner")
_WINDOW = ("reference", "window")
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


@dataclass(frozen=True)
class Graph:
    """A written graph: its files (the graph first), what each layer with weights became, the types
    of tensors that differ from the component's interface, and the free sizes that are fixed."""

    files: tuple[str, ...]
    layers: dict[str, str]
    dtypes: dict[str, str]
    sizes: dict[str, int]


class GraphWriter:
    """Writes the graphs of one checkpoint, in any number of precisions, into one folder.

    Precisions of one family share their data files. Use it as a context manager: the data files
    are complete when it ends.
    """

    def __init__(
        self,
        models: Models,
        interfaces: Mapping[str, Interface],
        times: Sequence[float],
        capacity: int,
        folder: Path,
    ) -> None:
        known = onnx.defs.onnx_opset_version()
        if known < OPSET:
            raise ExportError(
                f"onnx {onnx.__version__} knows opsets up to {known}, graphs are of opset {OPSET}; "
                "install onnx 1.20 or newer"
            )
        self._capacity = capacity
        self.folder = folder
        self._interfaces = interfaces
        self._build = _builders(models, times)
        self._files: dict[str, WeightFile] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> GraphWriter:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()

    def write(self, name: str, recipe: Recipe) -> Graph:
        """Writes component `name`; a graph that is the same in two precisions is one file."""
        storage = Storage(self._file(f"{DATA_FILES[name]}.{recipe.family}.weights"), recipe)
        graph = GraphBuilder(name, storage)
        self._build[name](graph)
        dtypes = _dtypes(self._interfaces[name], recipe)
        # Compilers update a cache in place only if its length is known to them.
        fixed = name == "planner" and recipe.compute == "float16"
        sizes = {"C": self._capacity} if fixed else {}
        model = graph.model(self._interfaces[name], dtypes, sizes)
        # A graph in which no layer is of the precision's own kind is its family's graph.
        own = recipe.precision in storage.layers.values()
        path = f"{name}.{recipe.precision if own else recipe.family}.onnx"
        (self.folder / path).write_bytes(model.SerializeToString(deterministic=True))
        data = (storage.file.path.name,) if storage.external else ()
        return Graph((path, *data), storage.layers, dtypes, sizes)

    def _file(self, name: str) -> WeightFile:
        if name not in self._files:
            self._files[name] = WeightFile(self.folder / name)
        return self._files[name]


def check_graph(path: Path) -> None:
    """Raises `ExportError` where a complete graph is not valid ONNX."""
    try:
        onnx.checker.check_model(str(path))
    except onnx.checker.ValidationError as error:
        raise ExportError(f"{path.name}: the graph is not valid ONNX: {error}") from error


def _dtypes(interface: Interface, recipe: Recipe) -> dict[str, str]:
    """Keys and values in the recipe's type."""
    kinds = {
        prefix: kind
        for prefixes, kind in ((_PLANNER, recipe.kv), (_WINDOW, recipe.window_kv))
        for prefix in prefixes
        if kind != "float32"
    }
    tensors = (*interface.inputs, *interface.outputs)
    found = ((t.name, _KV.match(t.name)) for t in tensors)
    return {n: kinds[m.group(1)] for n, m in found if m is not None and m.group(1) in kinds}


def _builders(models: Models, times: Sequence[float]) -> dict[str, Callable[[GraphBuilder], None]]:
    planner, visualizer, vae = models.planner, models.visualizer, models.vae
    layers = len(planner.blocks)
    return {
        "planner": lambda graph: build_planner(graph, planner),
        "vision": lambda graph: build_vision(graph, planner.vision),
        "window": lambda graph: build_window(graph, layers, planner.rope_table),
        "denoise": lambda graph: build_denoise(graph, visualizer, times),
        "commit": lambda graph: build_commit(graph, visualizer),
        "vae_decode": lambda graph: build_vae_decode(graph, vae),
        "vae_encode": lambda graph: build_vae_encode(graph, vae),
    }
