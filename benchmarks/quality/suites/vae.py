"""The autoencoder: held-out scenes and stickers encoded and decoded, nothing drawn.

| rows | meaning |
| --- | --- |
| PSNR over RGB | mean over the pictures, RGB premultiplied |
| mean alpha error | of 255 |
| slots right | what the reader finds in the decoded pictures; the ceiling, in the true ones |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.quality.evaluation import Evaluation, Result, told
from benchmarks.quality.examples import plain_scenes
from benchmarks.quality.fidelity import premultiplied, psnr
from benchmarks.quality.readings import Pixels
from benchmarks.quality.report import Row, mean_row, share_row
from benchmarks.quality.sheet import Panel
from training.storyworld.facts import Tally, judge, total
from training.storyworld.reader import Reading
from training.storyworld.render import render
from training.storyworld.scene import Scene
from training.storyworld.scoring import wanted_from_scene

SHARE = 2.0
SHOWN = 12


@dataclass(frozen=True, eq=False)
class Trip:
    """A scene's true picture, and what is left of it behind the latent."""

    scene: Scene
    true: Pixels
    back: Pixels
    seen: Reading | None
    best: Reading | None

    @property
    def fidelity(self) -> float:
        return psnr(premultiplied(self.true), premultiplied(self.back))

    @property
    def alpha_error(self) -> float:
        """Mean absolute difference, of 255."""
        alpha = self.true[..., 3].astype(np.float64)
        return float(np.abs(alpha - self.back[..., 3]).mean())

    @property
    def judged(self) -> Tally:
        return judge(wanted_from_scene(self.scene), self.seen)


def vae(evaluation: Evaluation) -> Result:
    scenes = plain_scenes(evaluation.count(SHARE), evaluation.size)
    true = [render(scene) for scene in scenes]
    back = []
    for number, pixels in enumerate(true):
        evaluation.say(f"vae {number + 1}/{len(true)}")
        back.append(evaluation.runtime.reconstruct(pixels))
    seen, best = evaluation.read(back), evaluation.read_scenes(scenes)
    trips = [Trip(*parts) for parts in zip(scenes, true, back, seen, best, strict=True)]
    panels = [
        panel
        for trip in trips[:SHOWN]
        for panel in (
            Panel(trip.true, "true"),
            Panel(trip.back, f"{trip.fidelity:.1f} dB", " ".join(trip.judged.wrong)),
        )
    ]
    return Result(_rows(trips), panels, 6, [_to_dict(t) for t in trips])


def _rows(trips: Sequence[Trip]) -> list[Row]:
    rows = []
    for name, sticker in (("scenes", False), ("stickers", True)):
        some = [t.fidelity for t in trips if t.scene.sticker is sticker]
        rows.append(mean_row("vae", f"{name}: PSNR over RGB", some, unit="dB"))
    best = [judge(wanted_from_scene(t.scene), t.best) for t in trips if t.best is not None]
    return [
        *rows,
        mean_row("vae", "mean alpha error", [t.alpha_error for t in trips], unit="of 255"),
        share_row("vae", "slots right", total([t.judged for t in trips]), total(best)),
    ]


def _to_dict(trip: Trip) -> dict[str, object]:
    return {
        "psnr": trip.fidelity,
        "alpha_error": trip.alpha_error,
        "read": told(trip.seen),
        "wrong": trip.judged.wrong,
    }
