"""Reading a figure's markings: the torso is straightened and compared with all patterns.

It needs the shape, coat and place of a figure, and measures the pattern (form, scale, angle), its
colour and from that the hue. It does not know whether the figure was read rightly.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import cos, radians, sin

import numpy as np
import skia

from training.storyworld.canvas import Pen, rgb, surface
from training.storyworld.characters import figure as art
from training.storyworld.characters import marking_color
from training.storyworld.characters.kinds import KINDS
from training.storyworld.characters.markings import draw_markings
from training.storyworld.characters.pose import POSES, pelvis_height
from training.storyworld.characters.shapes import pear
from training.storyworld.reader.fit import Fit
from training.storyworld.reader.templates import HEIGHT, ORIGIN_X, ORIGIN_Y, Floats, Shape
from training.storyworld.scene import Markings

PER_UNIT = 56
LEFT, TOP = -0.27, -0.36
COLUMNS, ROWS = 30, 28
CAP = 60.0
GRIDS = {"stripes": (6, 18), "dots": (16, 10), "halves": (6, 15), "bib": (6, 12)}
HUES = 60


@dataclass(frozen=True)
class Pattern:
    """Read markings; `color` is their measured colour, `margin` how much worse the best other
    form is, `explained` the share of the torso's deviation from plain coat they explain."""

    markings: Markings
    color: tuple[int, int, int]
    margin: float
    explained: float


def _torso_path(kind: str) -> skia.Path:
    half = KINDS[kind].torso
    return pear(half, art.TORSO_TOP, art.TORSO_BOTTOM, art.TORSO_WIDEST, 0.62)


def _mask(kind: str, markings: Markings) -> Floats:
    """Where the pattern shows on the straightened torso, [ROWS * COLUMNS]."""
    with surface(COLUMNS, ROWS) as (canvas, pixels):
        pen = Pen(canvas, "flat")
        with pen.at(-LEFT * PER_UNIT, -TOP * PER_UNIT, PER_UNIT):
            draw_markings(pen, _torso_path(kind), markings, "#FFFFFF")
    return pixels[..., 3].reshape(-1).astype(np.float32) / 255


@lru_cache(maxsize=len(KINDS))
def _bank(kind: str) -> tuple[tuple[Markings, ...], Floats]:
    every = tuple(
        Markings(form, 0.0, (i + 0.5) / scales, (j + 0.5) / angles)
        for form, (scales, angles) in GRIDS.items()
        for i in range(scales)
        for j in range(angles)
    )
    return every, np.stack([_mask(kind, m) for m in every])


@lru_cache(maxsize=256)
def _positions(shape: Shape) -> tuple[Floats, Floats]:
    """Column and row in the canonical frame of every sample of the straightened torso."""
    pose = POSES[shape.action]
    v, u = np.mgrid[0:ROWS, 0:COLUMNS].astype(np.float32)
    x = (u + 0.5) / PER_UNIT + LEFT
    y = (v + 0.5) / PER_UNIT + TOP
    turn = radians(pose.lean)
    scale = art.LYING_SCALE if pose.lying else 1.0
    px = scale * (cos(turn) * x - sin(turn) * y + pose.shift)
    py = scale * (sin(turn) * x + cos(turn) * y + pelvis_height(pose))
    if shape.facing == "left":
        px = -px
    return ORIGIN_X + HEIGHT * px - 0.5, ORIGIN_Y + HEIGHT * py - 0.5


def _sampled(image: Floats, columns: Floats, rows: Floats) -> Floats:
    """Bilinear samples."""
    x = np.clip(columns, 0, image.shape[1] - 1.001)
    y = np.clip(rows, 0, image.shape[0] - 1.001)
    i, j = y.astype(int), x.astype(int)
    a, b = y - i, x - j
    if image.ndim == 3:
        a, b = a[..., None], b[..., None]
    top = image[i, j] * (1 - b) + image[i, j + 1] * b
    low = image[i + 1, j] * (1 - b) + image[i + 1, j + 1] * b
    return np.asarray(top * (1 - a) + low * a, np.float32)


def measured_coat(fit: Fit) -> Floats:
    """The coat's colour where nothing but the coat shows; the named one if that is nowhere."""
    where = (fit.maps.coat > 0.97) & (fit.maps.torso < 0.03) & (fit.seen > 0.5)
    if where.sum() < 8:
        return fit.coat_value
    color: Floats = np.sort(fit.image[where], axis=0)[int(where.sum()) // 2]
    return color if np.abs(color - fit.coat_value).max() < 48 else fit.coat_value


def hue_of(coat: str, color: Floats) -> float:
    """The hue whose marking colour on `coat` is nearest to `color`."""
    table = _hues(coat)
    return float(np.argmin(((table - color) ** 2).sum(-1))) / HUES


@lru_cache(maxsize=10)
def _hues(coat: str) -> Floats:
    return np.array([rgb(marking_color(coat, k / HUES)) for k in range(HUES)], np.float32)


class _Torso:
    """The straightened torso and what patterns cost on it."""

    def __init__(self, fit: Fit) -> None:
        columns, rows = _positions(fit.shape)
        self.coat = measured_coat(fit)
        image = _sampled(fit.image, columns, rows).reshape(-1, 3)
        weight = _sampled(fit.maps.torso * fit.seen, columns, rows).reshape(-1)
        self.weight = np.where(weight > 0.85, weight, 0).astype(np.float32)
        self.rest = image - self.coat
        self.kind = fit.shape.kind
        self.plain = self._capped(self.rest)

    def _capped(self, rest: Floats) -> float:
        return float(np.minimum(np.abs(rest), CAP).mean(-1) @ self.weight)

    def tones(self, masks: Floats) -> tuple[Floats, Floats]:
        """Per mask the colour step from coat to marking that fits best, and the squared cost."""
        weighted = masks * self.weight
        power = np.maximum((weighted * masks).sum(-1), 1e-3)
        dots = weighted @ self.rest
        tones = dots / power[:, None]
        total = float((self.rest**2).sum(-1) @ self.weight)
        return tones, total - (dots**2).sum(-1) / power

    def cost(self, mask: Floats, tone: Floats) -> float:
        return self._capped(self.rest - mask[:, None] * tone)

    def best(self, markings: Markings) -> tuple[float, Markings, Floats]:
        mask = _mask(self.kind, markings)
        tone = self.tones(mask[None])[0][0]
        return self.cost(mask, tone), markings, tone


def read_pattern(fit: Fit) -> Pattern | None:
    """The markings of a fitted figure, or None where its torso cannot be seen."""
    torso = _Torso(fit)
    if torso.weight.sum() < 40:
        return None
    every, masks = _bank(fit.shape.kind)
    tones, squared = torso.tones(masks)
    order = np.argsort(squared)
    forms: dict[str, tuple[float, Markings, Floats]] = {}
    counts = dict.fromkeys(GRIDS, 0)
    for i in order:
        form = every[int(i)].form
        if counts[form] >= 4:
            continue
        counts[form] += 1
        tried = (torso.cost(masks[i], tones[i]), every[int(i)], tones[i])
        if form not in forms or tried[0] < forms[form][0]:
            forms[form] = tried
    ranked = sorted(forms.values(), key=lambda f: f[0])
    refined = sorted((_refined(torso, f) for f in ranked[:2]), key=lambda f: f[0])
    cost, markings, tone = refined[0]
    color = np.clip(torso.coat + tone, 0, 255)
    found = Markings(markings.form, hue_of(fit.coat, color), markings.scale, markings.angle)
    return Pattern(
        found,
        (round(float(color[0])), round(float(color[1])), round(float(color[2]))),
        refined[1][0] / max(cost, 1e-6) - 1,
        1 - cost / max(torso.plain, 1e-6),
    )


def _refined(
    torso: _Torso, start: tuple[float, Markings, Floats]
) -> tuple[float, Markings, Floats]:
    """Halves the grid's steps twice around a start."""
    best = start
    scales, angles = GRIDS[start[1].form]
    for shrink in (3, 7):
        _, centre, _ = best
        for ds, da in ((-1, 0), (1, 0), (0, -1), (0, 1)):
            scale = min(max(centre.scale + ds / scales / shrink, 0.0), 0.999)
            angle = centre.angle + da / angles / shrink
            angle = angle % 1.0 if centre.form in ("dots", "bib") else min(max(angle, 0.0), 0.999)
            best = min(best, torso.best(Markings(centre.form, 0.0, scale, angle)),
                       key=lambda f: f[0])  # fmt: skip
    return best
