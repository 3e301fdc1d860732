"""Puts a reading together and decides which slots are certain enough to count as read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from training.storyworld.canvas import Pen, surface
from training.storyworld.props import draw_prop
from training.storyworld.reader.figures import CAP
from training.storyworld.reader.ground import STAND_IN, find_ground
from training.storyworld.reader.people import Found, View, count_figures, fit_figures
from training.storyworld.reader.poster import Poster, find_poster
from training.storyworld.reader.reading import ReadCharacter, Reading, ReadMarkings
from training.storyworld.reader.things import Thing, find_prop, prop_places
from training.storyworld.render import PROP_INK, backdrop
from training.storyworld.scene import MAX_PROPS, STYLES, Accessory, Prop, Scene

Bytes = NDArray[np.uint8]
MIN_MARGIN = 0.015
MIN_EXPLAINED = 0.35
MIN_SHARPNESS = 0.0
MIN_FEATURES = 0.0
MAX_RESIDUAL = 26.0
STICKER_SHARE = 0.12
POSTER_BELOW = 0.45
MIN_POSTER = 0.35
MIN_GROUND = 0.2


def flattened(image: Bytes) -> tuple[Bytes, bool]:
    """The picture on white, [H, W, 3], and whether it is a sticker."""
    alpha = image[..., 3:].astype(np.float32) / 255
    sticker = float((image[..., 3] < 128).mean()) > STICKER_SHARE
    if not sticker:
        return np.ascontiguousarray(image[..., :3]), False
    color = image[..., :3] * alpha + 255 * (1 - alpha)
    return (color + 0.5).astype(np.uint8), True


def _things(image: Bytes, behind: Bytes, style: str, sticker: bool, count: int) -> list[Thing]:
    """The props in the gaps of `count` figures."""
    size = (image.shape[1], image.shape[0])
    spots = prop_places(size, sticker, STAND_IN, count).props
    found = [find_prop(image, behind, spot, style, gap) for gap, spot in enumerate(spots)]
    good = [t for t in found if t is not None and t.cost < t.runner_up and t.cost < t.blurred]
    good.sort(key=lambda t: t.cost)
    return sorted(good[:MAX_PROPS], key=lambda t: t.gap)


def _unhidden(size: tuple[int, int], sticker: bool, things: list[Thing], count: int) -> Bytes:
    """255 where a figure could be seen, 0 where a prop stands before it."""
    spots = prop_places(size, sticker, STAND_IN, count).props
    with surface(*size) as (canvas, pixels):
        pen = Pen(canvas, "ink")
        for thing in things:
            p = spots[thing.gap]
            at = (p.x + thing.dx * p.height, p.y + thing.dy * p.height, p.height)
            with pen.at(*at, ink=2 * PROP_INK):
                draw_prop(pen, thing.kind)
    return np.where(pixels[..., 3] > 60, 0, 255).astype(np.uint8)


def _character(found: Found, width: int) -> ReadCharacter:
    """The figure's slots, None where it is not certain. A blob has a coat's colour but no face:
    one without features fits better than the model, its blurred model as well as the sharp one,
    and so does the one looking the other way."""
    best = found.best
    sure = (
        found.explained > MIN_EXPLAINED
        and found.sharpness > MIN_SHARPNESS
        and found.features > MIN_FEATURES
        and found.residual < MAX_RESIDUAL
        and found.margins["facing"] > MIN_MARGIN
    )
    values = {
        "kind": best.shape.kind, "color": best.coat,
        "action": best.shape.action, "facing": best.shape.facing,
    }  # fmt: skip
    slots = {s: v if sure and found.margins[s] > MIN_MARGIN else None for s, v in values.items()}
    worn = Accessory(best.shape.worn, best.worn_color) if best.shape.worn and sure else None
    markings = None
    if found.pattern is not None and sure and found.pattern.explained > 0.3:
        pattern = found.pattern
        markings = ReadMarkings(pattern.markings, pattern.color, pattern.explained)
    coat = (round(float(found.coat[0])), round(float(found.coat[1])), round(float(found.coat[2])))
    confidence = {s: min(max(found.margins[s] / 0.2, 0.0), 1.0) for s in values}
    confidence["accessory"] = min(max(found.worn_margin / 0.05, 0.0), 1.0)
    confidence["explained"] = found.explained
    confidence["sharpness"] = found.sharpness
    return ReadCharacter(
        found.x / width, slots["kind"], slots["color"], worn, slots["action"], slots["facing"],
        markings, coat, confidence, found.residual,
    )  # fmt: skip


def _present(found: Found) -> bool:
    """Whether something of a figure's size and colours stands there at all."""
    return found.explained > 0.25


def _figures(
    flat: Bytes, behind: Bytes, styles: tuple[str, ...], sticker: bool
) -> tuple[str, list[Found], list[Thing]]:
    """The best of `styles` (only a sticker does not show its style in the backdrop), the figures
    and the props."""
    size = (flat.shape[1], flat.shape[0])
    clear = np.full(flat.shape[:2], 255, np.uint8)
    count, counted = count_figures(View(flat, behind, clear, styles[0], sticker))
    best: tuple[float, str, list[Found], list[Thing]] = (-1.0, styles[0], [], [])
    for style in styles:
        things = _things(flat, behind, style, sticker, count)
        seen = _unhidden(size, sticker, things, count) if things else clear
        found = fit_figures(View(flat, behind, seen, style, sticker), counted)
        found = [f for f in found if _present(f)]
        gain = sum(f.best.gain for f in found)
        if gain > best[0]:
            best = (gain, style, found, things)
    return best[1:]


def read(image: Bytes) -> Reading:
    """The scene graph of a picture, uint8 [H, W, 4], straight RGBA."""
    if image.ndim != 3 or image.shape[2] != 4 or image.dtype != np.uint8:
        raise ValueError(
            f"image is {image.dtype} {image.shape}, expected uint8 [height, width, 4]: convert it"
        )
    size = (image.shape[1], image.shape[0])
    flat, sticker = flattened(image)
    if sticker:
        style, found, things = _figures(flat, np.full_like(flat, 255), STYLES, True)
        return _reading(size, True, {"style": style}, {}, found, things)
    ground = find_ground(flat)
    poster = find_poster(flat) if ground.explained < POSTER_BELOW else None
    if poster is not None and poster.explained > max(ground.explained + 0.15, MIN_POSTER):
        return _read_poster(flat, size, poster)
    values = ground.values
    scene = Scene(
        (STAND_IN,), values["place"], values["time"], values["weather"], values["style"], size=size
    )
    behind = np.ascontiguousarray(backdrop(scene)[..., :3])
    _, found, things = _figures(flat, behind, (values["style"],), False)
    if ground.explained < MIN_GROUND:
        values = {}
    return _reading(size, False, values, ground.margins, found, things)


def _read_poster(flat: Bytes, size: tuple[int, int], poster: Poster) -> Reading:
    """A poster shows no time and no weather, and its style only in the figures."""
    scene = Scene((STAND_IN,), poster.place, palette=poster.palette, size=size)
    behind = np.ascontiguousarray(backdrop(scene)[..., :3])
    style, found, things = _figures(flat, behind, STYLES, False)
    reading = _reading(size, False, {"place": poster.place, "style": style}, {}, found, things)
    confidence = {**reading.confidence, "place": min(poster.margin / 0.02, 1.0)}
    return replace(reading, palette=poster.palette, confidence=confidence)


def _reading(
    size: tuple[int, int], sticker: bool, values: dict[str, str], margins: dict[str, float],
    found: list[Found], things: list[Thing],
) -> Reading:  # fmt: skip
    return Reading(
        size=size,
        sticker=sticker,
        place=values.get("place"),
        time=values.get("time"),
        weather=values.get("weather"),
        style=values.get("style"),
        characters=tuple(_character(f, size[0]) for f in found),
        props=tuple(Prop(t.kind, t.gap) for t in things),
        confidence={k: min(v / 0.2, 1.0) for k, v in margins.items()},
        residual=float(np.mean([f.residual for f in found])) if found else CAP,
    )
