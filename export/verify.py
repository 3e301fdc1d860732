"""Runs every variant of a bundle through the runtime's engines and compares it with PyTorch.

Figures are relative errors (norm of the difference over norm of the expected); pictures are
compared premultiplied, where an alpha that fell on the other side of a snapping threshold weighs
what it is worth to the eye. A component's figure is the worst of its cases.

| component | cases |
| --- | --- |
| planner | logits and every cache row: one chunk then token by token, against one full pass |
| vision, vae_encode | whole and partial cells |
| window | planner rows and references, either or both absent |
| denoise | with a window and with an empty one; figure on the step that was taken |
| commit | every layer's keys and values |
| vae_decode | latents of real pictures |
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from export.errors import ExportError
from export.graphs import Models
from runtime.bundle import Bundle, Variant
from runtime.engines.base import Engine
from runtime.engines.onnx_cpu import OnnxCpuEngine
from runtime.interfaces import cache_names
from training.models.rope import rope_tables, rotate
from training.models.vae import straight
from training.models.vision import premultiply

logger = logging.getLogger(__name__)

# precision → the largest relative error that passes.
GATES = {"fp32": 1e-3, "w8": 0.05}
SEED = 20
Array = NDArray[Any]
Figures = dict[tuple[str, str], dict[str, float]]


def verify(bundle: Bundle, models: Models) -> tuple[Figures, list[str]]:
    """Figures by (component, precision), and a sentence for every gate that failed."""
    figures: Figures = {}
    failures = []
    for name, component in bundle.manifest.components.items():
        for variant in component.variants:
            error = relative_error(bundle, models, name, variant)
            figures[name, variant.precision] = {"relative_error": error}
            gate = GATES[variant.precision]
            logger.info("%s %s: relative error %.1e", name, variant.precision, error)
            if not error <= gate:
                failures.append(
                    f"{name} {variant.precision}: expected a relative error of at most {gate:g}, "
                    f"found {error:g}"
                )
    return figures, failures


def relative_error(bundle: Bundle, models: Models, name: str, variant: Variant) -> float:
    """The component's worst figure over its cases, to two digits."""
    engine = OnnxCpuEngine(bundle, name, variant, threads=1)
    random = np.random.default_rng(SEED)
    with torch.no_grad():
        pairs = _CASES[name](engine, models, random)
        worst = max(_distance(found, expected) for found, expected in pairs)
    return float(f"{worst:.1e}")


def _distance(found: Array, expected: Any) -> float:
    expected = np.asarray(expected, np.float64)
    found = np.asarray(found, np.float64)
    if found.shape != expected.shape:
        raise ExportError(f"expected a result of shape {expected.shape}, found {found.shape}")
    scale = float(np.linalg.norm(expected))
    return float(np.linalg.norm(found - expected)) / (scale or 1.0)


Pairs = Iterator[tuple[Array, Any]]


def _normal(random: np.random.Generator, *shape: int) -> Array:
    return random.standard_normal(shape).astype(np.float32)


def _picture(random: np.random.Generator, height: int, width: int) -> Array:
    """A smooth picture with a transparent part and a little noise: uint8 [height, width, 4]."""
    y, x = np.mgrid[0:height, 0:width] / 32.0
    phase = random.random(4) * 6
    waves = [np.sin(y * (1 + c / 3) + phase[c]) * np.cos(x + phase[c]) for c in range(4)]
    picture = np.stack(waves, axis=-1) * 110 + 128 + random.normal(0, 4, (height, width, 4))
    picture[..., 3] = picture[..., 3] * 4 - 128
    return picture.clip(0, 255).astype(np.uint8)


def _planner(engine: Engine, models: Models, random: np.random.Generator) -> Pairs:
    planner = models.planner
    twin, vocab = planner.config.twin, planner.config.planner.vocab
    count, chunk, slots = 24, 12, 40
    tokens = random.integers(12, vocab, (1, count), dtype=np.int64)
    tokens[0, 4:8] = 10
    features = np.zeros((1, count, twin.width), np.float32)
    features[0, 4:8] = _normal(random, 4, twin.width)
    positions = np.repeat(np.arange(count, dtype=np.float32)[:, None], 3, axis=1)
    shape = (1, twin.kv_heads, slots, twin.head_dim)
    # What stands behind the written slots must not matter.
    past = {name: np.full(shape, 9, np.float32) for name in cache_names("past", twin.layers)}
    hidden, cache = planner(*(torch.from_numpy(a) for a in (tokens, positions, features)))
    expected = planner.logits(hidden)[0]
    ends = [chunk, *range(chunk + 1, count + 1)]
    for start, end in zip([0, *ends], ends, strict=False):
        span = slice(start, end)
        inputs: dict[str, Array] = {
            "tokens": np.ascontiguousarray(tokens[:, span]),
            "features": np.ascontiguousarray(features[:, span]),
            "positions": np.ascontiguousarray(positions[span]),
            "offset": np.array([start], np.int64),
        }
        yield engine.run({**inputs, **past})["logits"], expected[end - 1 : end]
    for layer, (key, value) in enumerate(cache):
        yield past[f"past.k.{layer}"][:, :, :count], key
        yield past[f"past.v.{layer}"][:, :, :count], value


def _vision(engine: Engine, models: Models, random: np.random.Generator) -> Pairs:
    for size in ((128, 128), (48, 208)):
        picture = _picture(random, *size)
        expected = models.planner.vision(premultiply(torch.from_numpy(picture)[None]))[0]
        yield engine.run({"image": picture})["features"], expected


def _window(engine: Engine, models: Models, random: np.random.Generator) -> Pairs:
    twin = models.planner.config.twin
    table = torch.as_tensor(models.planner.rope_table)
    for rows, references in ((7, 12), (5, 0), (0, 6)):
        inputs: dict[str, Array] = {
            "index": random.permutation(20)[:rows].astype(np.int64),
            "shift": _normal(random, rows, 3) * 20,
            "reference_shift": _normal(random, references, 3) * 4,
        }
        for prefix, count in (("planner", 20), ("reference", references)):
            for name in cache_names(prefix, twin.layers):
                inputs[name] = _normal(random, 1, twin.kv_heads, count, twin.head_dim)
        found = engine.run(inputs)
        near = rope_tables(torch.from_numpy(inputs["shift"]), table)
        far = rope_tables(torch.from_numpy(inputs["reference_shift"]), table)
        for layer in range(twin.layers):
            taken = torch.from_numpy(inputs[f"planner.k.{layer}"])[:, :, inputs["index"]]
            other = torch.from_numpy(inputs[f"reference.k.{layer}"])
            keys = torch.cat([rotate(taken, near), rotate(other, far)], dim=2)
            yield found[f"window.k.{layer}"], keys
            taken_values = inputs[f"planner.v.{layer}"][:, :, inputs["index"]]
            values = np.concatenate([taken_values, inputs[f"reference.v.{layer}"]], axis=2)
            yield found[f"window.v.{layer}"], values


def _grid(random: np.random.Generator, models: Models, rows: int, columns: int) -> dict[str, Array]:
    """A latent [1, T, Z] and its positions [T, 3]."""
    channels = models.visualizer.config.visualizer.latent_channels
    scale = 16 / (rows * columns) ** 0.5
    h, w = np.mgrid[0:rows, 0:columns].reshape(2, -1) * scale + scale / 2
    positions = np.stack([np.zeros_like(h), h, w], axis=-1).astype(np.float32)
    return {"latent": _normal(random, 1, rows * columns, channels), "positions": positions}


def _denoise(engine: Engine, models: Models, random: np.random.Generator) -> Pairs:
    twin = models.visualizer.config.twin
    for count, t, t_next in ((70, 0.75, 0.5), (0, 1.0, 0.75), (30, 0.25, 0.0)):
        inputs = _grid(random, models, 8, 6)
        inputs["t"], inputs["t_next"] = np.array([[t], [t_next]], np.float32)
        for name in cache_names("window", twin.layers):
            inputs[name] = _normal(random, 1, twin.kv_heads, count, twin.head_dim)
        tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
        window = [
            (tensors[f"window.k.{layer}"], tensors[f"window.v.{layer}"])
            for layer in range(twin.layers)
        ]
        velocity = models.visualizer(tensors["latent"], tensors["positions"], tensors["t"], window)
        yield engine.run(inputs)["next"] - inputs["latent"], (t_next - t) * velocity


def _commit(engine: Engine, models: Models, random: np.random.Generator) -> Pairs:
    inputs = _grid(random, models, 8, 6)
    found = engine.run(inputs)
    cache = models.visualizer.commit(*(torch.from_numpy(array) for array in inputs.values()))
    for layer, (key, value) in enumerate(cache):
        yield found[f"reference.k.{layer}"], key
        yield found[f"reference.v.{layer}"], value


def _vae_decode(engine: Engine, models: Models, random: np.random.Generator) -> Pairs:
    for size in ((128, 128), (48, 208)):
        pixels = premultiply(torch.from_numpy(_picture(random, *size))[None])
        latent = models.vae.encode(pixels).contiguous()
        expected = straight(models.vae.decode(latent))
        found = torch.from_numpy(engine.run({"latent": latent.numpy()})["image"])
        yield premultiply(found[None]).numpy(), premultiply(expected)


def _vae_encode(engine: Engine, models: Models, random: np.random.Generator) -> Pairs:
    for size in ((128, 128), (48, 208)):
        picture = _picture(random, *size)
        expected = models.vae.encode(premultiply(torch.from_numpy(picture)[None]))
        yield engine.run({"image": picture})["latent"], expected


_CASES = {
    "planner": _planner,
    "vision": _vision,
    "window": _window,
    "denoise": _denoise,
    "commit": _commit,
    "vae_decode": _vae_decode,
    "vae_encode": _vae_encode,
}
