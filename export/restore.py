"""Bundle to checkpoint: the weights of a bundle's graphs as models that can be trained further.

The inverse of `export.components`. What fp32 graphs hold comes back to the bit (the modulation
tables within 1e-7), what w8 graphs hold comes back as the float32 values they compute with, and
exporting those again gives the same int8 weights and scales. Of the graphs that hold the
visualizer, `denoise` is read; `commit` has its timestep folded in and adds nothing.

| parameter | initializer | undone |
| --- | --- | --- |
| `blocks.N.attention.{q,k,v}.weight` | `blocks.N/qkv.weight` | side by side, transposed |
| `blocks.N.ffn.{gate,up}.weight` | `blocks.N/gate_up.weight` | side by side, transposed |
| weights of other linear layers | the layer's name | transposed |
| `blocks.N.table` [6, W] | `blocks.N/table` [6 W] | 1 added to both scales |
| `encoder.N.*`, `decoder.N.*` | `encoder/N/*`, `decoder/N/*` | nothing |
| embedding, norms, biases, VAE `shift`, `scale` | the same name | nothing |

The sizes that shapes do not tell (`ModelConfig`) are in the manifest as `model.config`; a bundle
without them needs the configuration's name.
"""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from export.errors import ExportError
from export.graphs import Models
from export.initializers import Initializers
from export.manifest import NOTED, Limits, cache_geometry, image_geometry
from runtime.bundle import Bundle, read_bundle
from training.checkpoint import save_checkpoint
from training.errors import TrainingError
from training.models import VAE, ModelConfig, Planner, Visualizer, config_from_dict, named_config

logger = logging.getLogger(__name__)

SOURCES = ("planner", "vision", "denoise", "vae_decode", "vae_encode")
# A fused matrix product and the layers side by side in it.
_FUSED = {"qkv": ("q", "k", "v"), "gate_up": ("gate", "up")}
_FUSED_IN = {layer: fused for fused, layers in _FUSED.items() for layer in layers}
# Layers outside blocks whose graph name is another.
_RENAMED = {
    "place": "place/linear",
    "leave": "leave/linear",
    "leave_modulation": "leave/modulation",
    "time.0": "time/0",
    "time.2": "time/2",
    "merge.0": "merge/0",
    "merge.2": "merge/2",
}
_BLOCK = re.compile(r"(blocks\.\d+)\.(?:attention\.|ffn\.)?(\w+)")
_VAE_LAYER = re.compile(r"(encoder|decoder)\.(\d+)(?:\.(first|second))?")
Array = NDArray[Any]
Graphs = dict[str, Initializers]


def restore_checkpoint(bundle: Path | str, folder: Path | str, config: str | None = None) -> Path:
    """Writes the checkpoint of `bundle` to `folder`, which must be new or empty; raises
    `WeftError`. `config` names the configuration where the bundle does not hold it."""
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ExportError(f"{folder}: expected a new or empty folder; choose another name")
    source = read_bundle(bundle, verify=True)
    model_config = _config_of(source, config)
    graphs = {name: Initializers(source, name) for name in SOURCES}
    models = _models(model_config, graphs)
    tokenizer = source.path(source.manifest.tokenizer.file)
    training = _training(source, graphs)
    parts = models.planner, models.visualizer, models.vae
    try:
        return save_checkpoint(folder, model_config, *parts, tokenizer, training)
    except OSError as error:
        raise ExportError(
            f"{folder}: not written: {error}; choose a folder with room that can be written"
        ) from error


def restored_models(bundle: Bundle, config: str | None = None) -> Models:
    """The models of a bundle whose digests were checked, as far as its graphs hold them."""
    graphs = {name: Initializers(bundle, name) for name in SOURCES}
    models = _models(_config_of(bundle, config), graphs)
    for model in (models.planner, models.visualizer, models.vae):
        model.eval().requires_grad_(False)
    return models


def _config_of(bundle: Bundle, name: str | None) -> ModelConfig:
    """The bundle's configuration, which must fit its cache and picture geometry."""
    try:
        named = None if name is None else named_config(name)
        recorded = _recorded(bundle)
    except (TrainingError, ValueError, TypeError) as error:
        raise ExportError(f"{bundle.folder}: model configuration: {error}") from error
    config = recorded or named
    if config is None:
        raise ExportError(
            f"{bundle.folder}: expected the model configuration in the manifest, found none; name "
            f"it, for this bundle perhaps with --config {bundle.manifest.model.name}"
        )
    if named not in (None, config):
        raise ExportError(
            f"{bundle.folder}: the bundle holds its own configuration ({config.name}), which "
            f"differs from {name!r}; leave --config out"
        )
    _check_geometry(bundle, config)
    return config


def _recorded(bundle: Bundle) -> ModelConfig | None:
    text = bundle.manifest.model.config
    if not text:
        return None
    data = json.loads(text)
    if not isinstance(data, dict):
        raise ValueError(f"expected a JSON object, found {text[:40]!r}")
    return config_from_dict(data)


def _check_geometry(bundle: Bundle, config: ModelConfig) -> None:
    cache, image = bundle.manifest.cache, bundle.manifest.image
    limits = Limits(capacity=cache.capacity, max_references=cache.max_references)
    want, picture = cache_geometry(config, limits), image_geometry(config, limits)
    latent = picture.patch, picture.vision_cell, picture.latent_channels
    if want != cache or latent != (image.patch, image.vision_cell, image.latent_channels):
        raise ExportError(
            f"{bundle.folder}: another architecture: the configuration {config.name!r} asks for "
            f"{want}, found {cache} and {image}; name the configuration it was trained with"
        )


def _models(config: ModelConfig, graphs: Graphs) -> Models:
    with torch.random.fork_rng(devices=[]):
        models = Models(Planner(config), Visualizer(config), VAE(config.vae))
    restore_model(models.planner, "planner", graphs)
    restore_model(models.visualizer, "visualizer", graphs)
    restore_model(models.vae, "vae", graphs)
    for graph in graphs.values():
        if unread := graph.unread():
            raise graph.error(
                f"another architecture: {config.name!r} has no place for {', '.join(unread[:5])}"
            )
    return models


def restore_model(model: nn.Module, kind: str, graphs: Graphs) -> None:
    """Fills every parameter and buffer of a "planner", "visualizer" or "vae"."""
    expected = model.state_dict()
    state = {}
    for name, value in expected.items():
        component, initializer = place_of(kind, name)
        graph = graphs[component]
        array = _cut(graph.read(initializer), name, expected)
        owner, _, leaf = name.rpartition(".")
        if leaf == "weight" and isinstance(model.get_submodule(owner), nn.Linear):
            array = array.T
        if leaf == "table":
            array = array.reshape(6, -1).copy()
            array[[1, 4]] -= 1
        if array.shape != value.shape:
            raise graph.error(
                f"another architecture: {name}: expected {list(value.shape)} by the "
                f"configuration, found {list(array.shape)} in {initializer}"
            )
        state[name] = torch.from_numpy(np.array(array, np.float32, order="C"))
    model.load_state_dict(state)


def place_of(kind: str, parameter: str) -> tuple[str, str]:
    """The component and the initializer that hold a parameter."""
    owner, _, leaf = parameter.rpartition(".")
    if kind == "vae":
        match = _VAE_LAYER.fullmatch(owner)
        if match is None:
            return "vae_decode", parameter
        half, index, layer = match.groups()
        return f"vae_{half[:-1]}", f"{half}/{index}/{layer or 'conv'}.{leaf}"
    component = {"planner": "planner", "visualizer": "denoise"}[kind]
    if owner.startswith("vision."):
        component, owner = "vision", owner.removeprefix("vision.")
    if leaf == "table":
        return component, f"{owner}/table"
    match = _BLOCK.fullmatch(owner)
    if match is None:
        return component, f"{_RENAMED.get(owner, owner)}.{leaf}"
    block, layer = match.groups()
    return component, f"{block}/{_FUSED_IN.get(layer, layer)}.{leaf}"


def _cut(array: Array, name: str, state: dict[str, torch.Tensor]) -> Array:
    """The parameter's own columns [in, out] of a fused matrix; all of any other array."""
    owner, _, leaf = name.rpartition(".")
    scope, _, layer = owner.rpartition(".")
    if not _BLOCK.match(owner.removeprefix("vision.")) or layer not in _FUSED_IN:
        return array
    layers = _FUSED[_FUSED_IN[layer]]
    ends = np.cumsum([state[f"{scope}.{other}.{leaf}"].shape[0] for other in layers])
    if array.ndim != 2 or array.shape[1] != ends[-1]:
        return array
    pieces: list[Array] = np.split(array, ends[:-1], axis=1)
    return pieces[layers.index(layer)]


def _training(bundle: Bundle, graphs: Graphs) -> dict[str, Any]:
    """`training.json`: what the manifest says of the training, and which bundle this was."""
    manifest = bundle.manifest
    notes = {key: manifest.notes[key] for key in NOTED if key in manifest.notes}
    step = notes.pop("step", "")
    return {
        **notes,
        **({"step": int(step)} if step.isdecimal() else {}),
        "schedule": {name: list(times) for name, times in manifest.schedule.steps.items()},
        "default_steps": manifest.schedule.default_steps,
        "restored_from": {
            "bundle": bundle.digest,
            "model": manifest.model.name,
            "revision": manifest.model.revision,
            "precision": {name: graph.variant.precision for name, graph in graphs.items()},
        },
    }
