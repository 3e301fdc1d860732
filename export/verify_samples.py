"""Every component on what it really gets (`export.samples`), against PyTorch.

| component | figures |
| --- | --- |
| planner | `relative_error` of logits and cache; `top1`, agreement on the next token |
| denoise | `relative_error` of single steps; `latent_psnr` of whole pictures, in dB |
| vae_decode | `relative_error`; `image_psnr`, in dB |
| the others | `relative_error` |
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from export.samples import Cache, Drawing, Example
from export.session import Simulation
from export.verify_subject import Pairs, Subject, distance, psnr
from runtime.interfaces import cache_names
from training.models.vae import straight
from training.models.vision import premultiply

SEED = 21
# Tokens at the end of a document that are decoded one by one.
DECODED = 48
Array = NDArray[Any]
Figures = dict[str, float]


def sample_figures(name: str, engine: Simulation, subject: Subject) -> Figures:
    """The worst of each figure over the examples; none without examples."""
    figures: Figures = {}
    for example in subject.examples:
        for figure, value in _FIGURES[name](engine, subject, example).items():
            worse = min if figure in AT_LEAST else max
            figures[figure] = worse(figures.get(figure, value), value)
    return figures


AT_LEAST = frozenset({"top1", "latent_psnr", "image_psnr"})


def named(prefix: str, cache: Cache) -> dict[str, Array]:
    """A cache as a component's inputs."""
    names = cache_names(prefix, len(cache))
    arrays = [tensor.numpy() for pair in cache for tensor in pair]
    return dict(zip(names, map(np.ascontiguousarray, arrays), strict=True))


def _worst(pairs: Pairs) -> Figures:
    return {"relative_error": max((distance(f, e) for f, e in pairs), default=0.0)}


def _cache_pairs(found: dict[str, Array], prefix: str, cache: Cache) -> Pairs:
    for name, expected in named(prefix, cache).items():
        yield found[name], expected


def _planner(engine: Simulation, subject: Subject, example: Example) -> Figures:
    planner = subject.models.planner
    count = example.tokens.shape[1]
    first = max(1, count - DECODED)
    with torch.no_grad():
        hidden, _ = planner(
            torch.from_numpy(example.tokens), torch.from_numpy(example.positions), example.features
        )
        expected = planner.logits(hidden)[0].numpy()
    slots = -(-count // 256) * 256
    past = {}
    for name, rows in named("past", example.cache).items():
        empty = np.zeros((*rows.shape[:2], slots, rows.shape[3]), np.float32)
        past[name] = engine.typed(name, empty)
    found = []
    for start, end in pairwise([0, *range(first, count + 1)]):
        inputs = {
            "tokens": np.ascontiguousarray(example.tokens[:, start:end]),
            "features": np.ascontiguousarray(example.features.numpy()[:, start:end]),
            "positions": np.ascontiguousarray(example.positions[start:end]),
            "offset": np.array([start], np.int64),
        }
        found.append(engine.run({**inputs, **past})["logits"][0])
    expected = expected[first - 1 :]
    agree = np.argmax(found, -1) == np.argmax(expected, -1)
    written = {name: engine.plain(rows[:, :, :count]) for name, rows in past.items()}
    figures = _worst(_cache_pairs(written, "past", example.cache))
    error = max(figures["relative_error"], distance(np.array(found), expected))
    return {"relative_error": error, "top1": float(np.mean(agree))}


def _vision(engine: Simulation, subject: Subject, example: Example) -> Figures:
    def pairs() -> Pairs:
        for picture in example.pictures:
            pixels = premultiply(torch.from_numpy(picture)[None])
            expected = subject.models.planner.vision(pixels)[0]
            yield engine.run({"image": picture})["features"], expected

    return _worst(pairs())


def _window(engine: Simulation, subject: Subject, example: Example) -> Figures:
    def pairs() -> Pairs:
        for drawing in example.drawings:
            found = engine.run(
                {
                    **named("planner", example.cache),
                    **named("reference", drawing.references),
                    "index": drawing.index.astype(np.int64),
                    "shift": drawing.shift,
                    "reference_shift": drawing.reference_shift,
                }
            )
            yield from _cache_pairs(found, "window", drawing.window)

    return _worst(pairs())


def _denoise(engine: Simulation, subject: Subject, example: Example) -> Figures:
    errors, quality = [0.0], [120.0]
    for drawing in example.drawings:
        random = np.random.default_rng(SEED)
        noise = random.standard_normal(drawing.clean.shape).astype(np.float32)
        latent, x = noise, torch.from_numpy(noise)
        for t, t_next in pairwise(subject.times):
            inputs = step_inputs(drawing, x.numpy(), t, t_next)
            step = (t_next - t) * _velocity(subject, drawing, x, t)
            errors.append(distance(engine.run(inputs)["next"] - inputs["latent"], step))
            latent = engine.run({**inputs, "latent": latent})["next"]
            x = x + step
        quality.append(psnr(latent, x))
    return {"relative_error": max(errors), "latent_psnr": min(quality)}


def step_inputs(drawing: Drawing, latent: Array, t: float, t_next: float) -> dict[str, Array]:
    """The denoise component's inputs."""
    return {
        "latent": latent,
        "positions": drawing.positions,
        "t": np.array([t], np.float32),
        "t_next": np.array([t_next], np.float32),
        **named("window", drawing.window),
    }


def _velocity(subject: Subject, drawing: Drawing, x: torch.Tensor, t: float) -> torch.Tensor:
    found: torch.Tensor = subject.models.visualizer(
        x, torch.from_numpy(drawing.positions), torch.tensor([t]), drawing.window
    )
    return found


def _commit(engine: Simulation, subject: Subject, example: Example) -> Figures:
    def pairs() -> Pairs:
        for drawing in example.drawings:
            found = engine.run({"latent": drawing.clean.numpy(), "positions": drawing.positions})
            positions = torch.from_numpy(drawing.positions)
            cache = subject.models.visualizer.commit(drawing.clean, positions)
            yield from _cache_pairs(found, "reference", cache)

    return _worst(pairs())


def _vae_decode(engine: Simulation, subject: Subject, example: Example) -> Figures:
    errors, quality = [0.0], [120.0]
    for picture in example.pictures:
        latent = subject.models.vae.encode(premultiply(torch.from_numpy(picture)[None]))
        expected = premultiply(straight(subject.models.vae.decode(latent))).numpy()
        image = engine.run({"latent": np.ascontiguousarray(latent.numpy())})["image"]
        found = premultiply(torch.from_numpy(image)[None]).numpy()
        errors.append(distance(found, expected))
        quality.append(psnr(found, expected))
    return {"relative_error": max(errors), "image_psnr": min(quality)}


def _vae_encode(engine: Simulation, subject: Subject, example: Example) -> Figures:
    def pairs() -> Pairs:
        for picture in example.pictures:
            pixels = premultiply(torch.from_numpy(picture)[None])
            yield engine.run({"image": picture})["latent"], subject.models.vae.encode(pixels)

    return _worst(pairs())


_FIGURES: dict[str, Callable[[Simulation, Subject, Example], Figures]] = {
    "planner": _planner,
    "vision": _vision,
    "window": _window,
    "denoise": _denoise,
    "commit": _commit,
    "vae_decode": _vae_decode,
    "vae_encode": _vae_encode,
}
