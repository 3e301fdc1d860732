"""Waters and settled places: beach, lake, village, garden, castle."""

from __future__ import annotations

import math

import skia

from training.storyworld.backdrops.stage import Stage, crown, fir, join, rectangle, vary, waves
from training.storyworld.backdrops.wild import tree
from training.storyworld.canvas import capsule, ellipse, polygon

GLOW = "#FFD873"


def _dashes(stage: Stage, y: float, spacing: float, offset: float, color: str) -> None:
    """Flat glints on water."""
    marks = []
    for i, x in stage.repeat(spacing, offset):
        half = 0.035 + 0.03 * vary(i, 1)
        v = y + 0.02 * vary(i, 2)
        marks.append(capsule(x - half, v, x + half, v, 0.0048))
    stage.paint(join(*marks), color, edge=False, alpha=0.75)


def _leaf(x: float, y: float, turn: float, length: float) -> skia.Path:
    path = skia.Path()
    path.moveTo(0, 0)
    path.quadTo(0.5 * length, -0.42 * length, length, 0.10 * length)
    path.quadTo(0.5 * length, -0.12 * length, 0, 0.10 * length)
    path.close()
    path.transform(skia.Matrix().setRotate(turn))
    path.offset(x, y)
    return path


def _palm(stage: Stage, x: float, y: float, h: float, lean: float) -> None:
    top = (x + lean, y - h)
    trunk = skia.Path()
    trunk.moveTo(x - 0.035, y)
    trunk.quadTo(x + 0.1 * lean, y - 0.5 * h, top[0] - 0.018, top[1])
    trunk.lineTo(top[0] + 0.020, top[1])
    trunk.quadTo(x + 0.2 * lean + 0.05, y - 0.5 * h, x + 0.040, y)
    trunk.close()
    stage.paint(trunk, "#A8744C")
    turns = (-172, -135, -96, -45, -8, 28, 150)
    leaves = []
    for turn in turns:
        leaf = _leaf(0, 0, 0, 0.235)
        if abs(turn) > 90:
            leaf.transform(skia.Matrix().setScale(1, -1))
        leaf.transform(skia.Matrix().setRotate(turn))
        leaf.offset(*top)
        leaves.append(leaf)
    stage.paint(join(*leaves), "#3FA06A", snow=0.45)
    nuts = join(ellipse(top[0] - 0.02, top[1] + 0.022, 0.02, 0.02),
                ellipse(top[0] + 0.022, top[1] + 0.025, 0.02, 0.02))  # fmt: skip
    stage.paint(nuts, "#7C5136", edge=False)


def beach(stage: Stage) -> None:
    for _, x in stage.repeat(2.3, 0.32):
        island = join(ellipse(x, -0.50, 0.15, 0.055), ellipse(x - 0.11, -0.50, 0.10, 0.03))
        stage.paint(island, "#7DBF9E", depth=0.25, snow=0.5)
    stage.land(lambda x: -0.50, "#3FA9C9", depth=0.10)
    stage.land(lambda x: -0.405, "#4FBCCB", edge=False)
    _dashes(stage, -0.455, 0.31, 0.02, "#D8F4F4")
    _dashes(stage, -0.375, 0.38, 0.20, "#D8F4F4")
    stage.land(waves(-0.285, (0.022, 0.85, 0.1), (0.008, 0.36, 0.3)), "#F1FBF7", edge=False)
    stage.land(waves(-0.262, (0.022, 0.85, 0.1), (0.008, 0.36, 0.3)), "#F0D9A4", snow=0.85)
    for i, x in stage.repeat(1.9, -0.42):
        _palm(stage, x, -0.16, 0.56 - 0.06 * (i % 2), 0.12)
    stage.land(waves(-0.15, (0.020, 1.4, 0.5)), "#F6E3B4", snow=0.9, edge=False)


def _reeds(stage: Stage, x: float, y: float, h: float) -> None:
    stems, heads = [], []
    for k, dx in enumerate((-0.075, -0.030, 0.015, 0.060)):
        top = y - h * (0.72 + 0.28 * vary(k, 1))
        lean = 0.25 * dx
        stems.append(capsule(x + dx, y, x + dx + lean, top, 0.008))
        heads.append(capsule(x + dx + lean, top, x + dx + 0.85 * lean, top + 0.26 * h, 0.019))
    stage.paint(join(*stems), "#4F9A5E", snow=0.3, edge=False)
    stage.paint(join(*heads), "#8A5638", snow=0.2)


def lake(stage: Stage) -> None:
    stage.land(
        waves(-0.58, (0.055, 0.95, 0.35), (0.02, 0.43, 0.1)), "#93B8D6", depth=0.32, snow=0.5
    )
    stage.land(waves(-0.515, (0.030, 0.80, 0.85)), "#7FBF9C", depth=0.20, snow=0.5)
    firs = [fir(x, -0.485, 0.10 + 0.05 * vary(i, 1)) for i, x in stage.repeat(0.083, 0.02)]
    stage.paint(join(*firs), "#4E9A82", depth=0.14, snow=0.4)
    stage.land(lambda x: -0.490, "#5FA9DA", depth=0.06)
    mirror = [
        polygon([(x - 0.04, -0.488), (x + 0.04, -0.488), (x, -0.40 - 0.03 * vary(i, 1))], 0.01)
        for i, x in stage.repeat(0.083, 0.02)
    ]
    stage.paint(join(*mirror), "#4A8DAF", edge=False, alpha=0.45)
    stage.land(lambda x: -0.33, "#74B9E3", edge=False)
    _dashes(stage, -0.385, 0.34, 0.08, "#E4F5FD")
    _dashes(stage, -0.285, 0.40, -0.10, "#E4F5FD")
    pads = [ellipse(x, -0.235, 0.055, 0.016) for _, x in stage.repeat(0.62, 0.26)]
    stage.paint(join(*pads), "#6CBB68", snow=0.4)
    blooms = [ellipse(x, -0.248, 0.017, 0.014) for _, x in stage.repeat(0.62, 0.26)]
    stage.paint(join(*blooms), "#F9B5CB", edge=False)
    stage.land(waves(-0.185, (0.018, 1.2, 0.62), (0.006, 0.4, 0.0)), "#9FCE70", snow=0.9)
    for offset, h in ((-0.41, 0.34), (0.42, 0.26)):
        for _, x in stage.repeat(1.35, offset):
            _reeds(stage, x, -0.15, h)


def _window(stage: Stage, x: float, y: float, w: float, h: float) -> None:
    lit = stage.light.dark
    stage.paint(rectangle(x, y, w, h, 0.006), GLOW if lit else "#6FA3C7", lit=lit, edge=False)


def _house(stage: Stage, x: float, w: float, h: float, wall: str, roof: str) -> None:
    y = -0.25
    stage.paint(rectangle(x, y, w, h), wall, depth=0.06, snow=0.1)
    over = 0.10 * w
    peak = 0.62 * w
    shape = polygon(
        [(x - w / 2 - over, y - h), (x, y - h - peak), (x + w / 2 + over, y - h)], 0.015
    )
    stage.paint(rectangle(x + 0.24 * w, y - h - 0.12 * w, 0.12 * w, 0.42 * w), "#A36A58", depth=0.1)
    stage.paint(shape, roof, depth=0.04, snow=0.85)
    _window(stage, x - 0.22 * w, y - 0.50 * h, 0.19 * w, 0.26 * h)
    _window(stage, x + 0.22 * w, y - 0.50 * h, 0.19 * w, 0.26 * h)
    stage.paint(rectangle(x, y, 0.22 * w, 0.44 * h, 0.02), "#8B5A45", depth=0.1, edge=False)
    if stage.light.dark:
        _window(stage, x, y - h - 0.10 * w, 0.15 * w, 0.15 * w)


def village(stage: Stage) -> None:
    stage.land(waves(-0.53, (0.050, 1.1, 0.15), (0.02, 0.5, 0.4)), "#94C9A6", depth=0.30, snow=0.6)
    walls = ("#FBE3C0", "#F6CFC4", "#CFE3EC", "#F8E9A9", "#DDD3EE")
    roofs = ("#D9614C", "#5D80B5", "#C7764A", "#8E5A8C", "#4F9289")
    for i, x in stage.repeat(0.335, 0.165):
        w = 0.235 + 0.03 * vary(i, 1)
        _house(stage, x, w, 0.20 + 0.09 * vary(i, 2), walls[i % 5], roofs[(2 * i + 1) % 5])
    for _, x in stage.repeat(1.34, 0.0):
        tree(stage, x, -0.24, 0.075, "#74B765", depth=0.08)
    stage.land(waves(-0.245, (0.008, 0.9, 0.2)), "#A9D083", snow=0.85)
    stage.land(waves(-0.175, (0.014, 1.3, 0.35)), "#EBD5AE", snow=0.9)


def garden(stage: Stage) -> None:
    far = [crown(x, -0.49 - 0.04 * vary(i, 1), 0.13) for i, x in stage.repeat(0.27, 0.11)]
    stage.paint(join(*far), "#A5D3A0", depth=0.30, snow=0.5, edge=False)
    stage.land(lambda x: -0.47, "#A5D3A0", depth=0.30, snow=0.5, edge=False)
    for offset, h in ((-0.42, 0.62), (0.42, 0.55)):
        for _, x in stage.repeat(1.30, offset):
            balls = join(*(ellipse(x, -0.25 - h * f, h * r, h * r)
                           for f, r in ((0.36, 0.21), (0.68, 0.165), (0.93, 0.115))))  # fmt: skip
            stage.paint(rectangle(x, -0.25, 0.03, 0.3), "#8B5E45")
            stage.paint(balls, "#3F9160", snow=0.45)
    hedge = [ellipse(x, -0.41, 0.085, 0.055) for _, x in stage.repeat(0.15, 0.0)]
    stage.paint(join(*hedge, stage.ridge_path(lambda x: -0.41)), "#5FA868", depth=0.06, snow=0.5)
    pickets = [
        polygon([(x - 0.024, -0.22), (x - 0.024, -0.345), (x, -0.372), (x + 0.024, -0.345),
                 (x + 0.024, -0.22)]) for _, x in stage.repeat(0.078, 0.039)
    ]  # fmt: skip
    rails = rectangle(0, -0.31, stage.width + 0.3, 0.020)
    low = rectangle(0, -0.25, stage.width + 0.3, 0.020)
    stage.paint(join(rails, low, *pickets), "#FFF1D2", snow=0.1)
    stage.land(waves(-0.225, (0.006, 0.8, 0.2)), "#A4D272", snow=0.85)
    colors = ("#F2668B", "#F7C13F", "#B07BE0", "#F58A4B", "#FFFFFF")
    for k, color in enumerate(colors):
        spots = [ellipse(x, -0.222 - 0.022 * ((i + k) % 2), 0.023, 0.021)
                 for i, x in stage.repeat(0.40, 0.08 * k)]  # fmt: skip
        stage.paint(join(*spots), color, edge=False, snow=0.1)
    stage.land(waves(-0.155, (0.012, 1.2, 0.1)), "#B7DB86", snow=0.9, edge=False)


def _tower(stage: Stage, x: float, w: float, h: float, roof: str) -> None:
    y = -0.24
    stage.paint(rectangle(x, y, w, h), "#E3CDB8", depth=0.05, snow=0.1)
    stage.paint(
        rectangle(x + 0.36 * w, y, 0.28 * w, h), "#B99A90", depth=0.1, edge=False, alpha=0.5
    )
    stage.paint(rectangle(x, y - h + 0.02, 1.18 * w, 0.055), "#D3B8A4", depth=0.05)
    top = y - h - 0.03
    pole = capsule(x, top - 1.25 * w, x, top - 1.25 * w - 0.09, 0.005)
    stage.paint(pole, "#6A5560", edge=False)
    flag = polygon([(x, top - 1.25 * w - 0.09), (x + 0.085, top - 1.25 * w - 0.062),
                    (x, top - 1.25 * w - 0.034)])  # fmt: skip
    stage.paint(flag, "#F5BF45")
    cone = polygon([(x - 0.68 * w, top), (x, top - 1.3 * w), (x + 0.68 * w, top)], 0.01)
    stage.paint(cone, roof, snow=0.7)
    _window(stage, x, y - 0.66 * h, 0.24 * w, 0.13)


def _battlement(x0: float, x1: float, y: float, tooth: float) -> list[tuple[float, float]]:
    count = max(2 * math.floor((x1 - x0) / tooth / 2) + 1, 3)
    step = (x1 - x0) / count
    points = []
    for k in range(count):
        v = y - 0.05 * (k % 2 == 0)
        points += [(x0 + k * step, v), (x0 + (k + 1) * step, v)]
    return points


def castle(stage: Stage) -> None:
    stage.land(waves(-0.47, (0.05, 1.3, 0.1), (0.02, 0.5, 0.3)), "#9CCBB0", depth=0.32, snow=0.6)
    for _, x in stage.repeat(2.1, 0.0):
        keep = polygon([(x - 0.15, -0.24), *_battlement(x - 0.15, x + 0.15, -0.60, 0.06),
                        (x + 0.15, -0.24)])  # fmt: skip
        _tower(stage, x - 0.17, 0.105, 0.42, "#7A72C9")
        _tower(stage, x + 0.17, 0.105, 0.42, "#7A72C9")
        stage.paint(keep, "#EBD9C6", depth=0.10, snow=0.1)
        wall = polygon([(x - 0.40, -0.24), *_battlement(x - 0.40, x + 0.40, -0.44, 0.055),
                        (x + 0.40, -0.24)])  # fmt: skip
        stage.paint(wall, "#DCC5B0", depth=0.05, snow=0.1)
        gate = rectangle(x, -0.15, 0.16, 0.26, 0.08)
        stage.paint(gate, "#8C6A62", depth=0.08, edge=False)
        _tower(stage, x - 0.395, 0.165, 0.40, "#D2607C")
        _tower(stage, x + 0.395, 0.165, 0.40, "#D2607C")
    for _, x in stage.repeat(2.1, 1.05):
        tree(stage, x, -0.24, 0.12, "#6DB35E")
        tree(stage, x + 0.27, -0.24, 0.085, "#79BC68")
    stage.land(waves(-0.245, (0.010, 1.2, 0.3)), "#A5CF7C", snow=0.85)
    stage.land(waves(-0.165, (0.014, 1.5, 0.6)), "#B4D98A", snow=0.9, edge=False)
