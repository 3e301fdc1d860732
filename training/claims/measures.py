"""What a checkpoint is worth, on held-out documents: the same for every checkpoint.

| measure | what |
| --- | --- |
| `understanding` | share of the tokens of captions and answers that are the most likely ones |
| `image start` | share of the pictures that begin, most likely, where they should |
| `visual loss` | mean squared error of the velocity, over `LEVELS` of noise |
| `markings' loss` | the same under accessories and markings that a reference shows |
| `slots right` | of what the dense prompt says, read from the drawn pictures |
| `named identity`, `markings` | of figures that a reference shows, read likewise |
| `contradictions` | slots of pictures with pictures before them that are not as their prompt says |
| `repetition` | where such a picture should differ from the one before: slots that do not |
| `steps` | how many it was trained for in its last stage |
| `diversity` | PSNR in dB between two pictures from other noise: lower is more diverse |
| `N steps` | `slots right` of pictures drawn in N steps, where the checkpoint offers that number |
| `N steps, time` | seconds that one of these took, of 16 drawn together |
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.claims.arms import COUNTS, counted
from training.commissions import Commission, Commissions, DrawingOptions
from training.drawing import DrawingBatches, by_references
from training.frozen import load_frozen
from training.labels import telling_tokens
from training.models import VAE, ModelConfig, Planner, Visualizer
from training.models.vae import grid_of, straight
from training.reading import PlannerBatches, PlannerOptions
from training.sequence import IMAGINE
from training.stages.planner import read as read_document
from training.storyworld.documents import UNDERSTANDING
from training.storyworld.facts import Tally, identities, judge, read_character
from training.storyworld.reader import Reading, read
from training.storyworld.scene import Scene
from training.storyworld.scoring import wanted_from_scene
from training.window import Context, build_context, integrate, velocity

LEVELS = (0.95, 0.8, 0.6, 0.35)
# What a picture may wrongly repeat of the one before.
REPEATED = ("place", "time", "weather")
SEED = 87
Measures = dict[str, float]


@torch.no_grad()
def words(folder: Path, config: ModelConfig, documents: int) -> Measures:
    """The planner's measures on so many documents of each sort."""
    planner: Planner = load_frozen(folder, "planner", config)
    understood = _words_right(planner, folder, UNDERSTANDING, documents)
    right, starts = 0, 0
    for wanted, found in _predictions(planner, folder, ("story", "t2i", "guide"), documents):
        begins = wanted == IMAGINE
        starts += int(begins.sum())
        right += int((found[begins] == IMAGINE).sum())
    return {"understanding": understood, "image start": right / starts}


def _words_right(planner: Planner, folder: Path, tasks: Sequence[str], documents: int) -> float:
    pairs = _predictions(planner, folder, tasks, documents)
    return sum(int((w == f).sum()) for w, f in pairs) / sum(len(w) for w, _ in pairs)


def _predictions(
    planner: Planner, folder: Path, tasks: Sequence[str], documents: int
) -> list[tuple[Tensor, Tensor]]:
    """Of the assistant's tokens those that are there and those that are most likely, int64."""
    options = PlannerOptions(documents=documents, tasks=dict.fromkeys(tasks, 1.0))
    batches = PlannerBatches(options, SEED, folder / "tokenizer.json", held_out=True)
    found = []
    for micro in batches(0).documents:
        hidden, _ = read_document(planner, micro)
        learned = micro.weight[:, 1:] > 0
        logits = planner.logits(hidden[:, :-1][learned])
        found.append((micro.tokens[:, 1:][learned], logits.argmax(-1)))
    return found


@dataclass(frozen=True)
class Drawn:
    """A commission, and what a reader sees in the pictures drawn for it, by number of steps."""

    commission: Commission
    seen: dict[int, Reading]


@torch.no_grad()
def pictures(
    folder: Path, config: ModelConfig, vae: Path, options: DrawingOptions, count: int
) -> Measures:
    """The visualizer's measures on `count` pictures of `options`."""
    planner: Planner = load_frozen(folder, "planner", config)
    visualizer: Visualizer = load_frozen(folder, "visualizer", config)
    decoder: VAE = load_frozen(vae, "vae", config)
    tokenizer = folder / "tokenizer.json"
    batches = DrawingBatches(options, SEED, tokenizer, held_out=True)
    offered = schedules(folder)
    most = max(offered)
    seconds = dict.fromkeys(offered, 0.0)
    generator = torch.Generator().manual_seed(SEED)
    drawn: list[Drawn] = []
    errors: list[NDArray[np.float32]] = []
    marked: list[NDArray[np.float32]] = []
    alike: list[float] = []
    for group in _groups(batches.commissions, options.base, count):
        drawing = batches.collate(group, options.base)
        context = build_context(planner, visualizer, decoder, drawing)
        noise = [torch.randn(context.clean.shape, generator=generator) for _ in range(2)]
        missed = _missed(visualizer, context, noise[0])
        errors += list(missed)
        for commission, error in zip(group, missed, strict=True):
            if commission.shown and commission.target is not None:
                pixels = commission.sample.pixels(commission.picture)
                tells = telling_tokens(commission.target, pixels, commission.shown)
                marked.append(error[tells.reshape(-1)])
        by_steps = {}
        for steps, times in offered.items():
            began = time.perf_counter()
            by_steps[steps] = _draw(visualizer, decoder, context, noise[0], times)
            seconds[steps] += time.perf_counter() - began
        again = _draw(visualizer, decoder, context, noise[1], offered[most])
        alike += [_psnr(a, b) for a, b in zip(by_steps[most], again, strict=True)]
        drawn += [
            Drawn(c, {steps: read(pixels[i]) for steps, pixels in by_steps.items()})
            for i, c in enumerate(group)
        ]
    found = {"slots right": _slots_right(drawn, most), **_identity_measures(drawn, most)}
    for steps in offered:
        found[counted(steps)] = _slots_right(drawn, steps)
        found[f"{counted(steps)}, time"] = seconds[steps] / len(drawn)
    found["visual loss"] = float(np.mean(np.concatenate(errors)))
    found["markings' loss"] = float(np.mean(np.concatenate(marked))) if marked else float("nan")
    found["diversity"] = float(np.mean(alike))
    return found


def schedules(folder: Path) -> dict[int, list[float]]:
    """The times that a checkpoint draws along, by the number of steps: of those that it offers the
    ones in `COUNTS`, or the finest where none is."""
    offered = {int(n): times for n, times in _training(folder)["schedule"].items()}
    return {n: offered[n] for n in COUNTS if n in offered} or {max(offered): offered[max(offered)]}


def _draw(
    visualizer: Visualizer, decoder: VAE, context: Context, noise: Tensor, times: list[float]
) -> NDArray[np.uint8]:
    """The pictures [B, H, W, 4] that `noise` becomes along `times`."""
    latent = integrate(visualizer, context, noise, times)
    pixels: NDArray[np.uint8] = straight(decoder.decode(grid_of(latent, *context.grid))).numpy()
    return pixels


def _training(folder: Path) -> dict[str, Any]:
    """What a checkpoint says of its training."""
    said: dict[str, Any] = json.loads((folder / "training.json").read_text())
    return said


def _groups(commissions: Commissions, size: tuple[int, int], count: int) -> list[list[Commission]]:
    """`count` held-out commissions, by their number of references, in parts of 16 at most."""
    rng = np.random.default_rng(SEED)
    groups = by_references([commissions.commission(rng, size) for _ in range(count)])
    return [group[i : i + 16] for group in groups for i in range(0, len(group), 16)]


def _missed(visualizer: Visualizer, context: Context, noise: Tensor) -> NDArray[np.float32]:
    """The velocity's squared error per token [B, T], the mean over `LEVELS`."""
    found = []
    for t in LEVELS:
        x = (1 - t) * context.clean + t * noise
        v = velocity(visualizer, context, x, t)
        found.append((v - (noise - context.clean)).square().mean(-1))
    mean: NDArray[np.float32] = torch.stack(found).mean(0).numpy()
    return mean


def _identity_measures(drawn: Sequence[Drawn], steps: int) -> Measures:
    """What was kept, and what should not have been, in the pictures drawn in `steps` that have
    pictures before them."""
    same, later = Tally(), Tally()
    repeated: list[bool] = []
    for one in drawn:
        scene, seen = _scene(one.commission), one.seen[steps]
        earlier = one.commission.shown
        if earlier:
            later.update(judge(wanted_from_scene(scene), seen))
            same.update(identities(_known(scene, earlier), seen))
            repeated += _repeats(scene, earlier[-1], seen)
    named, markings, wrong = same.share("named"), same.share("markings"), later.share()
    return {
        "named identity": _number(named),
        "markings": _number(markings),
        "contradictions": 1 - _number(wrong),
        "repetition": float(np.mean(repeated)) if repeated else float("nan"),
    }


def _slots_right(drawn: Sequence[Drawn], steps: int) -> float:
    """The share of the slots that are right in the pictures drawn in `steps`."""
    slots = Tally()
    for one in drawn:
        wanted = wanted_from_scene(_scene(one.commission))
        slots.update(judge(wanted, one.seen[steps]))
    return _number(slots.share())


def _scene(commission: Commission) -> Scene:
    """What is to be drawn; held-out documents are the storyworld's, so it is known."""
    assert commission.target is not None
    return commission.target


def _known(scene: Scene, earlier: Sequence[Scene]) -> list[Any]:
    """The figures of `scene` that an earlier one shows, as a perfect reader sees them."""
    shown = {(c.kind, c.markings) for s in earlier for c in s.characters}
    return [read_character(c) for c in scene.characters if (c.kind, c.markings) in shown]


def _repeats(scene: Scene, before: Scene, seen: Reading) -> list[bool]:
    """Per slot in which `scene` differs from the one before: whether it was drawn as before."""
    return [
        getattr(seen, slot) == getattr(before, slot)
        for slot in REPEATED
        if getattr(scene, slot) != getattr(before, slot)
    ]


def _number(share: float | None) -> float:
    return float("nan") if share is None else share


def _psnr(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    error = np.mean((a.astype(np.float64) - b) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-6)))


def everything(
    folder: Path, config: ModelConfig, vae: Path, options: DrawingOptions | None, count: int
) -> Measures:
    """All measures of the checkpoint in `folder`; of its words alone without `options`."""
    found = {"steps": float(_training(folder)["step"]), **words(folder, config, count)}
    if options is not None:
        found |= pictures(folder, config, vae, options, count)
    return found
