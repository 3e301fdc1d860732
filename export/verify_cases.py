"""Made-up inputs for every component, the extremes among them, and what PyTorch makes of them.

| component | cases |
| --- | --- |
| planner | logits and every cache row: one chunk then token by token, against one full pass |
| vision, vae_encode | whole and partial cells |
| window | planner rows and references, either or both absent |
| denoise | with a window and with an empty one; on the step that was taken |
| commit | every layer's keys and values |
| vae_decode | latents of pictures |

Pictures are compared premultiplied, where an alpha that fell on the other side of a snapping
threshold weighs what it is worth to the eye.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from export.session import Simulation
from export.verify_subject import Pairs, Subject
from runtime.interfaces import cache_names
from training.models.rope import rope_tables, rotate
from training.models.vae import straight
from training.models.vision import premultiply
from training.sequence import grid_positions

Array = NDArray[Any]


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


def _planner(engine: Simulation, subject: Subject, random: np.random.Generator) -> Pairs:
    planner = subject.models.planner
    twin, vocab = planner.config.twin, planner.config.planner.vocab
    count, chunk, slots = 24, 12, 40
    tokens = random.integers(12, vocab, (1, count), dtype=np.int64)
    tokens[0, 4:8] = 10
    features = np.zeros((1, count, twin.width), np.float32)
    features[0, 4:8] = _normal(random, 4, twin.width)
    positions = np.repeat(np.arange(count, dtype=np.float32)[:, None], 3, axis=1)
    shape = (1, twin.kv_heads, slots, twin.head_dim)
    # What stands behind the written slots must not matter.
    past = {
        name: engine.typed(name, np.full(shape, 9, np.float32))
        for name in cache_names("past", twin.layers)
    }
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
        yield engine.plain(past[f"past.k.{layer}"][:, :, :count]), key
        yield engine.plain(past[f"past.v.{layer}"][:, :, :count]), value


def _vision(engine: Simulation, subject: Subject, random: np.random.Generator) -> Pairs:
    for size in ((128, 128), (48, 208)):
        picture = _picture(random, *size)
        expected = subject.models.planner.vision(premultiply(torch.from_numpy(picture)[None]))[0]
        yield engine.run({"image": picture})["features"], expected


def _window(engine: Simulation, subject: Subject, random: np.random.Generator) -> Pairs:
    twin = subject.models.planner.config.twin
    table = torch.as_tensor(subject.models.planner.rope_table)
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


def _grid(
    random: np.random.Generator, subject: Subject, rows: int, columns: int
) -> dict[str, Array]:
    """A latent [1, T, Z] and its positions [T, 3]."""
    channels = subject.models.visualizer.config.visualizer.latent_channels
    latent = _normal(random, 1, rows * columns, channels)
    return {"latent": latent, "positions": grid_positions(rows, columns)}


def _denoise(engine: Simulation, subject: Subject, random: np.random.Generator) -> Pairs:
    twin = subject.models.visualizer.config.twin
    steps = list(pairwise(subject.times))
    for count, (t, t_next) in zip((70, 0, 30), (steps[0], steps[-1], steps[0]), strict=True):
        inputs = _grid(random, subject, 8, 6)
        inputs["t"], inputs["t_next"] = np.array([[t], [t_next]], np.float32)
        for name in cache_names("window", twin.layers):
            inputs[name] = _normal(random, 1, twin.kv_heads, count, twin.head_dim)
        tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
        window = [
            (tensors[f"window.k.{layer}"], tensors[f"window.v.{layer}"])
            for layer in range(twin.layers)
        ]
        place = tensors["latent"], tensors["positions"], tensors["t"]
        velocity = subject.models.visualizer(*place, window)
        yield engine.run(inputs)["next"] - inputs["latent"], (t_next - t) * velocity


def _commit(engine: Simulation, subject: Subject, random: np.random.Generator) -> Pairs:
    inputs = _grid(random, subject, 8, 6)
    found = engine.run(inputs)
    latent, positions = (torch.from_numpy(inputs[name]) for name in ("latent", "positions"))
    cache = subject.models.visualizer.commit(latent, positions)
    for layer, (key, value) in enumerate(cache):
        yield found[f"reference.k.{layer}"], key
        yield found[f"reference.v.{layer}"], value


def _vae_decode(engine: Simulation, subject: Subject, random: np.random.Generator) -> Pairs:
    for size in ((128, 128), (48, 208)):
        pixels = premultiply(torch.from_numpy(_picture(random, *size))[None])
        latent = subject.models.vae.encode(pixels).contiguous()
        expected = straight(subject.models.vae.decode(latent))
        found = torch.from_numpy(engine.run({"latent": latent.numpy()})["image"])
        yield premultiply(found[None]).numpy(), premultiply(expected)


def _vae_encode(engine: Simulation, subject: Subject, random: np.random.Generator) -> Pairs:
    for size in ((128, 128), (48, 208)):
        picture = _picture(random, *size)
        expected = subject.models.vae.encode(premultiply(torch.from_numpy(picture)[None]))
        yield engine.run({"image": picture})["latent"], expected


CASES: dict[str, Callable[..., Pairs]] = {
    "planner": _planner,
    "vision": _vision,
    "window": _window,
    "denoise": _denoise,
    "commit": _commit,
    "vae_decode": _vae_decode,
    "vae_encode": _vae_encode,
}
