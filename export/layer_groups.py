"""The layers whose precision is chosen one by one, by the path they have in the graph.

Layers that read the same input are one matrix product in the graph and share a precision. Only the
large products inside blocks, and the vision's merger, are candidates: what is next to latents,
pixels and logits is small and stays exact, and convolutions stay as they are.

| path | linear layers |
| --- | --- |
| `blocks.N/qkv` | attention q, k, v |
| `blocks.N/out` | attention out |
| `blocks.N/gate_up` | FFN gate, up |
| `blocks.N/down` | FFN down |
| `merge/0`, `merge/2` | the vision's connector |
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from export.verify_subject import Subject
from training.models.vision import premultiply

Groups = dict[str, tuple[nn.Linear, ...]]
# The fullest and the emptiest window show what a layer is worth; more only take longer.
MOST_PICTURES = 2
MOST_STEPS = 2
# Tokens of the text that makes no sense, and its seed.
UNLIKELY, SEED = 32, 22


def layer_groups(name: str, subject: Subject) -> Groups:
    """The candidates of component `name`; none where it has no large products."""
    models = subject.models
    if name == "planner":
        return _blocks(models.planner.blocks)
    if name == "vision":
        vision = models.planner.vision
        merge: Any = vision.merge
        return {**_blocks(vision.blocks), "merge/0": (merge[0],), "merge/2": (merge[2],)}
    if name == "denoise":
        return _blocks(models.visualizer.blocks)
    if name == "commit":
        # The last block of a commit ends with its keys and values.
        groups = _blocks(models.visualizer.blocks)
        last = f"blocks.{len(models.visualizer.blocks) - 1}/"
        return {p: g for p, g in groups.items() if not p.startswith(last) or p.endswith("qkv")}
    return {}


def _blocks(blocks: Any) -> Groups:
    groups: Groups = {}
    for index, block in enumerate(blocks):
        attention, ffn = block.attention, block.ffn
        groups[f"blocks.{index}/qkv"] = (attention.q, attention.k, attention.v)
        groups[f"blocks.{index}/out"] = (attention.out,)
        groups[f"blocks.{index}/gate_up"] = (ffn.gate, ffn.up)
        groups[f"blocks.{index}/down"] = (ffn.down,)
    return groups


def results(name: str, subject: Subject) -> list[Tensor]:
    """What component `name` gives on the examples, in PyTorch as its layers are now. The planner's
    logits on a text that makes no sense are among it, token by token: users write what no example
    holds, and there small errors grow."""
    found: list[Tensor] = []
    for example in subject.examples:
        if name == "planner":
            tokens, positions = map(torch.from_numpy, (example.tokens, example.positions))
            hidden, cache = subject.models.planner(tokens, positions, example.features)
            found += [hidden, *(tensor for pair in cache for tensor in pair)]
        elif name == "vision":
            for picture in example.pictures[:MOST_PICTURES]:
                pixels = premultiply(torch.from_numpy(picture)[None])
                found.append(subject.models.planner.vision(pixels))
    if name == "planner":
        found += _unlikely_logits(subject)
    if name in ("denoise", "commit"):
        found += _drawn(name, subject)
    return found


def _unlikely_logits(subject: Subject) -> tuple[Tensor, ...]:
    """[1, vocabulary] for every token of random text."""
    planner = subject.models.planner
    random = np.random.default_rng(SEED)
    tokens = random.integers(0, planner.config.planner.vocab, (1, UNLIKELY), dtype=np.int64)
    positions = torch.arange(UNLIKELY, dtype=torch.float32)[:, None].expand(-1, 3)
    features = torch.zeros(1, UNLIKELY, planner.config.twin.width)
    hidden, _ = planner(torch.from_numpy(tokens), positions, features)
    logits: Tensor = planner.logits(hidden)[0]
    return torch.split(logits, 1)


def _drawn(name: str, subject: Subject) -> Iterator[Tensor]:
    visualizer = subject.models.visualizer
    drawings = [d for example in subject.examples for d in example.drawings]
    steps = list(pairwise(subject.times))
    drawings.sort(key=lambda drawing: drawing.window[0][0].shape[2])
    for drawing in [drawings[0], drawings[-1]][: len(drawings)]:
        positions = torch.from_numpy(drawing.positions)
        if name == "commit":
            for pair in visualizer.commit(drawing.clean, positions):
                yield from pair
            continue
        noise = torch.randn(drawing.clean.shape, generator=torch.Generator().manual_seed(0))
        for t, _ in steps[:: -(-len(steps) // MOST_STEPS)]:
            latent = (1 - t) * drawing.clean + t * noise
            yield visualizer(latent, positions, torch.tensor([t]), drawing.window)


@contextmanager
def quantized(
    group: tuple[nn.Linear, ...],
    weight: Callable[[Tensor], Tensor],
    activation: Callable[[Tensor], Tensor],
) -> Iterator[None]:
    """The group's layers with weights and inputs as the two functions leave them."""
    whole = weight(torch.cat([layer.weight for layer in group]))
    rows = torch.split(whole, [layer.out_features for layer in group])
    before = [layer.weight for layer in group]
    hooks = [
        layer.register_forward_pre_hook(lambda _, inputs: (activation(inputs[0]),))
        for layer in group
    ]
    try:
        for layer, value in zip(group, rows, strict=True):
            layer.weight = nn.Parameter(value, requires_grad=False)
        yield
    finally:
        for layer, parameter in zip(group, before, strict=True):
            layer.weight = parameter
        for hook in hooks:
            hook.remove()
