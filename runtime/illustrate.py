"""Drawing one picture: window, denoising, pixels, and the planner's look at the result.

| name | shape | dtype |
| --- | --- | --- |
| `Drawing.latent` | [1, T, Z] | float32 |
| `Drawing.pixels` | [H, W, 4] | uint8 |
| `Drawing.features` | [n, W] | float32 |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from runtime.engines.base import Array
from runtime.errors import EngineError
from runtime.grid import Grid
from runtime.history import PlacedPicture
from runtime.pixels import decode
from runtime.stats import PictureStats, StageClock
from runtime.visualizer import draw, picture_noise
from runtime.window import Plan, choose_references, plan_window

if TYPE_CHECKING:
    from runtime.loading import Runtime
    from runtime.planner import Planner


@dataclass(frozen=True, eq=False)
class Commission:
    """A picture to draw: where its dense prompt stands, its size, noise and schedule.

    `index` counts the document's pictures; `dense` are planner slots, `dense_end` the text position
    of the last of them.
    """

    index: int
    dense: range
    dense_end: int
    grid: Grid
    seed: int
    times: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Drawing:
    """A finished picture in its three forms."""

    latent: NDArray[np.float32]
    pixels: NDArray[np.uint8]
    features: NDArray[np.float32]
    stats: PictureStats


def illustrate(
    runtime: Runtime,
    planner: Planner,
    pictures: Sequence[PlacedPicture],
    commission: Commission,
    before_step: Callable[[], None],
) -> Drawing:
    """Draw the next picture of a session; the runtime's lock must be held.

    `before_step` may raise to stop; nothing of the session is changed then.
    """
    clock = StageClock()
    planner.ensure(commission.dense.stop)
    references = choose_references(pictures, runtime.memory.max_references)
    plan = plan_window(commission.dense, commission.dense_end, references)
    channels = runtime.bundle.manifest.image.latent_channels
    noise = picture_noise(commission.seed, len(pictures), commission.grid, channels)
    window = _windows(runtime, planner, plan, clock)
    with clock.stage("draw"):
        (latent,) = draw(
            runtime.engines["denoise"],
            [commission.grid],
            [noise],
            commission.times,
            window,
            before_step,
        )
    if not np.isfinite(latent).all():
        raise EngineError(
            "denoise: expected a picture, found numbers that are not finite; the schedule or the "
            "engine does not fit this bundle: run `weft verify` on it"
        )
    with clock.stage("decode"):
        pixels = decode(runtime.engines["vae_decode"], latent, commission.grid)
    with clock.stage("vision"):
        features = runtime.references.features(pixels)
    stats = PictureStats(
        index=commission.index,
        size=(pixels.shape[1], pixels.shape[0]),
        steps=len(commission.times) - 1,
        references=len(references),
        window_tokens=plan.tokens,
        window_s=clock["window"],
        commit_s=clock["commit"],
        denoise_s=clock["draw"] - clock["window"] - clock["commit"],
        decode_s=clock["decode"],
        vision_s=clock["vision"],
    )
    return Drawing(latent, pixels, features, stats)


def _windows(
    runtime: Runtime, planner: Planner, plan: Plan, clock: StageClock
) -> Callable[[], Mapping[str, Array]]:
    """The window for each step: built once, or for every step when reuse is off."""
    built: dict[str, Array] = {}

    def window() -> Mapping[str, Array]:
        if not built or not runtime.reuse.window:
            with clock.stage("commit"):
                kv = [runtime.references.kv(r.picture) for r in plan.references]
            with clock.stage("window"):
                engine = runtime.engines["window"]
                built.update(runtime.window_builder.build(engine, plan, planner.cache, kv))
        return built

    return window
