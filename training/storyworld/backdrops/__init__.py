"""Backdrops: the ten places under every time of day and weather, at any size.

A backdrop is a function of (place, time, weather, style, palette, size) and of nothing else, so a
model can learn each one well. It knows no characters and no props.
"""

from __future__ import annotations

from collections.abc import Callable

import skia

from training.storyworld.backdrops.light import Light
from training.storyworld.backdrops.poster import draw_poster
from training.storyworld.backdrops.settled import beach, castle, garden, lake, village
from training.storyworld.backdrops.sky import draw_fall, draw_sky, fall_color, fall_shape, falling
from training.storyworld.backdrops.stage import Stage, join
from training.storyworld.backdrops.wild import desert, forest, meadow, mountains, snowfield
from training.storyworld.canvas import Pen
from training.storyworld.scene import Scene

INK_WIDTH = {"flat": 0.010, "ink": 0.0080, "paper": 0.016}
DRAW: dict[str, Callable[[Stage], None]] = {
    "forest": forest,
    "beach": beach,
    "meadow": meadow,
    "mountains": mountains,
    "village": village,
    "desert": desert,
    "snowfield": snowfield,
    "garden": garden,
    "lake": lake,
    "castle": castle,
}


def stage_length(size: tuple[int, int]) -> float:
    """The edge of the square stage in pixels, as `scene.layout` takes it."""
    return min(size)


def draw_backdrop(canvas: skia.Canvas, scene: Scene) -> None:
    """The whole backdrop in the pixels of `scene.size`."""
    width, height = scene.size
    if scene.palette:
        draw_poster(canvas, scene)
        return
    unit = stage_length(scene.size)
    pen = Pen(canvas, scene.style)
    with pen.at(width / 2, height, unit, ink=INK_WIDTH[scene.style]):
        light = Light(scene.time, scene.weather, scene.style)
        stage = Stage(pen, light, scene.place, (width / unit, height / unit))
        draw_sky(stage)
        DRAW[scene.place](stage)
        draw_fall(stage)


__all__ = [
    "Light",
    "Stage",
    "draw_backdrop",
    "fall_color",
    "fall_shape",
    "falling",
    "join",
    "stage_length",
]
