"""Scenes to pixels: backdrop, characters from back to front, props, and stickers' cut edges.

| function | returns |
| --- | --- |
| `render` | uint8 [H, W, 4], straight RGBA; opaque unless the scene is a sticker |
| `backdrop` | uint8 [H, W, 4], opaque, the picture without characters, props and near weather |

Backdrops are cached. The same scene always gives the same pixels.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import skia
from numpy.typing import NDArray

from training.storyworld.backdrops import (
    Light,
    Stage,
    draw_backdrop,
    fall_color,
    fall_shape,
    falling,
    join,
    stage_length,
)
from training.storyworld.canvas import Pen, ellipse, surface
from training.storyworld.characters import draw
from training.storyworld.props import draw_prop
from training.storyworld.scene import Character, Layout, Placed, Scene, Swatch, layout

Pixels = NDArray[np.uint8]
CHARACTER_INK = 0.018
PROP_INK = 0.045
BORDER = 0.023
CHARACTER_SHADOW, PROP_SHADOW = 0.27, 0.42
SHADOW = (27, 22, 38, 70)
_Key: TypeAlias = tuple[str, str, str, str, tuple[Swatch, ...], tuple[int, int], int]
_STAND_IN = Character("fox", "red", markings=None)  # type: ignore[arg-type]


def _draw_once(key: _Key) -> skia.Image:
    place, time, weather, style, palette, size, supersample = key
    scene = Scene((_STAND_IN,), place, time, weather, style, palette=palette, size=size)
    target = skia.Surface.MakeRasterN32Premul(size[0] * supersample, size[1] * supersample)
    with target as canvas:
        canvas.scale(supersample, supersample)
        draw_backdrop(canvas, scene)
    return target.makeImageSnapshot()


_draw_often = lru_cache(maxsize=2000)(_draw_once)
_draw_seldom = lru_cache(maxsize=64)(_draw_once)


def _backdrop_image(scene: Scene, supersample: int = 1) -> skia.Image:
    """The backdrop from a cache; posters and large pictures, of endless kinds, from a small one."""
    light = (scene.time, scene.weather, scene.style)
    if scene.palette:
        light = ("day", "clear", "flat")
    key = (scene.place, *light, scene.palette, scene.size, supersample)
    small = scene.size[0] * scene.size[1] * supersample**2 <= 256 * 256
    return _draw_often(key) if small and not scene.palette else _draw_seldom(key)


def backdrop(scene: Scene) -> Pixels:
    """The picture's backdrop alone; for a sticker, transparent pixels."""
    width, height = scene.size
    if scene.sticker:
        return np.zeros((height, width, 4), np.uint8)
    with surface(width, height) as (canvas, pixels):
        canvas.drawImage(_backdrop_image(scene), 0, 0)
    return pixels


def _draw_characters(pen: Pen, scene: Scene, places: Layout) -> None:
    for character, placed in zip(scene.characters, places.characters, strict=True):
        mirror = character.facing == "left"
        with pen.at(placed.x, placed.y, placed.height, mirror=mirror, ink=CHARACTER_INK):
            draw(pen, character)


def _draw_props(pen: Pen, scene: Scene, places: Layout) -> None:
    for prop, placed in zip(scene.props, places.props, strict=True):
        with pen.at(placed.x, placed.y, placed.height, ink=PROP_INK):
            draw_prop(pen, prop.kind)


def draw_contact(canvas: skia.Canvas, placed: Placed, width: float) -> None:
    """The soft shadow under whatever stands at `placed`; `width` is a share of its height."""
    rx, ry = width * placed.height, 0.20 * width * placed.height
    paint = skia.Paint(
        AntiAlias=True,
        Color=skia.Color(*SHADOW),
        MaskFilter=skia.MaskFilter.MakeBlur(skia.kNormal_BlurStyle, 0.35 * ry),
    )
    canvas.drawPath(ellipse(placed.x, placed.y, rx, ry), paint)


def _draw_near_fall(pen: Pen, scene: Scene, places: Layout) -> None:
    """Rain or snow in front, kept off the characters above their feet and off the props."""
    if scene.palette or scene.weather not in ("rain", "snow"):
        return
    width, height = scene.size
    unit = stage_length(scene.size)
    boxes = [(c.x, c.y - 1.05 * c.height, c.y - 0.12 * c.height, 0.50 * c.height)
             for c in places.characters]  # fmt: skip
    boxes += [(p.x, p.y - 1.1 * p.height, p.y, 0.55 * p.height) for p in places.props]
    shapes = []
    for x, y, size in falling(width / unit, height / unit, near=True):
        px, py = width / 2 + x * unit, height + y * unit
        if any(abs(px - bx) < half and top < py < low for bx, top, low, half in boxes):
            continue
        shapes.append(fall_shape(scene.weather, x, y, size))
    if not shapes:
        return
    with pen.at(width / 2, height, unit, ink=0.010):
        light = Light(scene.time, scene.weather, scene.style)
        stage = Stage(pen, light, scene.place, (width / unit, height / unit))
        pen.fill(join(*shapes), fall_color(stage), outline=False, alpha=0.95)


def _picture(canvas: skia.Canvas, scene: Scene, places: Layout, supersample: int) -> None:
    canvas.drawImage(_backdrop_image(scene, supersample), 0, 0)
    canvas.scale(supersample, supersample)
    pen = Pen(canvas, scene.style)
    for placed in places.characters:
        draw_contact(canvas, placed, CHARACTER_SHADOW)
    _draw_characters(pen, scene, places)
    for placed in places.props:
        draw_contact(canvas, placed, PROP_SHADOW)
    _draw_props(pen, scene, places)
    _draw_near_fall(pen, scene, places)


def _sticker(canvas: skia.Canvas, scene: Scene, places: Layout, supersample: int) -> None:
    """The figures on a white border that follows their silhouette at a constant width."""
    canvas.scale(supersample, supersample)
    width, height = scene.size
    recorder = skia.PictureRecorder()
    pen = Pen(recorder.beginRecording(skia.Rect.MakeWH(width, height)), scene.style)
    _draw_characters(pen, scene, places)
    _draw_props(pen, scene, places)
    figures = recorder.finishRecordingAsPicture()
    radius = max(BORDER * stage_length(scene.size), 2.0)
    silhouette = _silhouette(figures, scene.size, supersample)
    paint = skia.Paint(AntiAlias=True)
    smooth = skia.SamplingOptions(skia.FilterMode.kLinear)
    whole = skia.Rect.MakeWH(width, height)
    for ring, count in ((1.0, 32), (0.5, 12)):
        for k in range(count):
            turn = 2 * math.pi * k / count
            at = whole.makeOffset(ring * radius * math.cos(turn), ring * radius * math.sin(turn))
            canvas.drawImageRect(silhouette, at, smooth, paint)
    # Only on the border: a figure's ground shadow must not leave the cut edge.
    canvas.saveLayer(None, skia.Paint(BlendMode=skia.BlendMode.kSrcATop))
    canvas.drawPicture(figures)
    canvas.restore()


def _silhouette(figures: skia.Picture, size: tuple[int, int], supersample: int) -> skia.Image:
    """The figures all in white; soft shadows around them fall below the threshold."""
    target = skia.Surface.MakeRasterN32Premul(size[0] * supersample, size[1] * supersample)
    white = [0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 2, -0.8]
    with target as canvas:
        canvas.scale(supersample, supersample)
        canvas.saveLayer(None, skia.Paint(ColorFilter=skia.ColorFilters.Matrix(white)))
        canvas.drawPicture(figures)
        canvas.restore()
    return target.makeImageSnapshot()


def render(scene: Scene, *, supersample: int = 1) -> Pixels:
    """The picture of `scene`; `supersample` draws larger and averages down."""
    width, height = scene.size
    places = layout(scene)
    with surface(width * supersample, height * supersample) as (canvas, pixels):
        paint = _sticker if scene.sticker else _picture
        paint(canvas, scene, places, supersample)
    if supersample > 1:
        pixels = _reduce(pixels, supersample)
    if not scene.sticker:
        pixels[..., 3] = 255
    return pixels


def _reduce(pixels: Pixels, factor: int) -> Pixels:
    """Averages blocks of `factor` by `factor` pixels, weighted by alpha."""
    height, width = pixels.shape[0] // factor, pixels.shape[1] // factor
    blocks = pixels.reshape(height, factor, width, factor, 4).astype(np.float32)
    alpha = blocks[..., 3:]
    weight = alpha.sum((1, 3))
    color = (blocks[..., :3] * alpha).sum((1, 3)) / np.maximum(weight, 1.0)
    out = np.concatenate([color, weight / factor**2], axis=-1)
    return (out + 0.5).astype(np.uint8)
