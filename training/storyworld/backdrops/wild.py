"""Wild places: meadow, mountains, forest, desert, snowfield."""

from __future__ import annotations

from training.storyworld.backdrops.stage import (
    Stage,
    crown,
    fir,
    fir_snow,
    join,
    rectangle,
    vary,
    waves,
)
from training.storyworld.canvas import capsule, ellipse, polygon


def tree(stage: Stage, x: float, y: float, r: float, leaf: str, *, depth: float = 0.0) -> None:
    """A round leafy tree standing at (x, y)."""
    stage.paint(rectangle(x, y + 0.01, 0.32 * r, 1.5 * r, 0.05 * r), "#8B5E45", depth=depth)
    stage.paint(crown(x, y - 1.75 * r, r), leaf, depth=depth, snow=0.6)
    stage.paint(
        ellipse(x - 0.25 * r, y - 2.05 * r, 0.36 * r, 0.28 * r), "#FFFFFF",
        depth=depth, edge=False, alpha=0.14,
    )  # fmt: skip


def flowers(stage: Stage, y: float, spacing: float, size: float, offset: float) -> None:
    """A loose row of bright round flowers."""
    colors = ("#F2668B", "#FFFFFF", "#F7B733", "#B07BE0")
    groups: dict[str, list[tuple[float, float]]] = {c: [] for c in colors}
    for i, x in stage.repeat(spacing, offset):
        at = (x + 0.3 * spacing * vary(i, 1), y + 0.035 * vary(i, 2))
        groups[colors[i % len(colors)]].append(at)
    for color, spots in groups.items():
        if spots:
            stage.paint(join(*(ellipse(x, v, size, size) for x, v in spots)), color, edge=False)
            centre = "#F7B733" if color != "#F7B733" else "#C9652B"
            stage.paint(
                join(*(ellipse(x, v, 0.4 * size, 0.4 * size) for x, v in spots)), centre, edge=False
            )


def meadow(stage: Stage) -> None:
    stage.land(waves(-0.50, (0.050, 1.3, 0.05), (0.02, 0.6, 0.3)), "#8CC9B8", depth=0.35, snow=0.6)
    stage.land(
        waves(-0.42, (0.055, 1.05, 0.42), (0.015, 0.5, 0.1)), "#A9D48A", depth=0.16, snow=0.7
    )
    for i, x in stage.repeat(1.5, 0.43):
        tree(stage, x, -0.36, 0.120 if i % 2 == 0 else 0.10, "#6DB35E", depth=0.05)
    for _, x in stage.repeat(1.5, -0.43):
        tree(stage, x, -0.37, 0.075, "#79BC68", depth=0.12)
    stage.land(waves(-0.32, (0.035, 1.2, 0.75), (0.012, 0.55, 0.2)), "#BEDF7C", snow=0.8)
    flowers(stage, -0.285, 0.15, 0.017, 0.03)
    stage.land(waves(-0.20, (0.022, 1.5, 0.15)), "#A6D267", snow=0.9)
    flowers(stage, -0.045, 0.20, 0.027, 0.06)


def _peak(x: float, y: float, half: float, height: float) -> list[tuple[float, float]]:
    return [
        (x - half, y), (x - 0.42 * half, y - 0.60 * height), (x - 0.30 * half, y - 0.66 * height),
        (x, y - height), (x + 0.24 * half, y - 0.74 * height), (x + 0.36 * half, y - 0.66 * height),
        (x + half, y),
    ]  # fmt: skip


def _mountain(stage: Stage, x: float, half: float, height: float, color: str, depth: float) -> None:
    y = -0.26
    body = polygon(_peak(x, y, half, height), 0.012)
    stage.paint(body, color, depth=depth, snow=0.25)
    shade = polygon(
        [(x, y - height), (x + 0.24 * half, y - 0.74 * height),
         (x + 0.36 * half, y - 0.66 * height), (x + half, y),
         (x + 0.25 * half, y), (x + 0.08 * half, y - 0.5 * height)]
    )  # fmt: skip
    cap = polygon(
        [(x - 0.30 * half, y - 0.66 * height), (x, y - height),
         (x + 0.24 * half, y - 0.74 * height), (x + 0.36 * half, y - 0.66 * height),
         (x + 0.20 * half, y - 0.60 * height), (x + 0.09 * half, y - 0.69 * height),
         (x - 0.04 * half, y - 0.57 * height), (x - 0.16 * half, y - 0.67 * height)]
    )  # fmt: skip
    with stage.pen.clip(body):
        stage.paint(shade, "#3E4A85", depth=depth, edge=False, alpha=0.28)
        stage.paint(cap, "#FBFCFF", depth=0.3 * depth, edge=stage.pen.style == "paper")


def mountains(stage: Stage) -> None:
    for i, x in stage.repeat(0.62, 0.02):
        _mountain(stage, x, 0.40, 0.44 + 0.10 * vary(i, 1), "#9AA9DA", 0.30)
    for i, x in stage.repeat(0.80, 0.36):
        _mountain(stage, x, 0.40, (0.44, 0.56)[i % 2], "#7A8CC6", 0.08)
    stage.land(waves(-0.36, (0.030, 0.9, 0.1), (0.012, 0.37, 0.4)), "#7FB39B", depth=0.10, snow=0.6)
    firs = [fir(x, -0.27, 0.17 + 0.07 * vary(i, 1)) for i, x in stage.repeat(0.92, -0.44)]
    firs += [fir(x, -0.26, 0.15 + 0.06 * vary(i, 2)) for i, x in stage.repeat(0.92, -0.33)]
    stage.paint(join(*firs), "#4B8C76", snow=0.35)
    stage.land(waves(-0.26, (0.020, 1.1, 0.6)), "#A7CF8B", snow=0.85)
    stage.land(waves(-0.15, (0.015, 1.4, 0.3)), "#97C67C", snow=0.95, edge=False)


def forest(stage: Stage) -> None:
    far = [ellipse(x, -0.50 - 0.08 * vary(i, 1), 0.13, 0.15) for i, x in stage.repeat(0.17)]
    stage.paint(join(*far), "#7FBFA2", depth=0.35, snow=0.4, edge=False)
    stage.land(waves(-0.52, (0.01, 0.5, 0.0)), "#7FBFA2", depth=0.35, snow=0.4, edge=False)
    slim = [
        rectangle(x + 0.05 * vary(i, 1), -0.26, 0.040, 0.42) for i, x in stage.repeat(0.26, 0.06)
    ]
    stage.paint(join(*slim), "#A9856C", depth=0.34)
    leaves = []
    for i, x in stage.repeat(0.26, 0.06):
        leaves.append(crown(x + 0.05 * vary(i, 1), -0.64 - 0.04 * vary(i, 2), 0.125))
    stage.paint(join(*leaves), "#63AE83", depth=0.18, snow=0.5)
    stage.land(waves(-0.29, (0.018, 0.7, 0.2)), "#86BE72", depth=0.10, snow=0.7)
    trunks, heads, lights = [], [], []
    for i, x in stage.repeat(0.88, 0.44):
        trunks.append(
            polygon(
                [
                    (x - 0.045, -0.85),
                    (x + 0.045, -0.85),
                    (x + 0.055, -0.30),
                    (x + 0.095, -0.20),
                    (x - 0.095, -0.20),
                    (x - 0.055, -0.30),
                ],
                0.03,
            )
        )
        heads.append(crown(x, -0.84 - 0.03 * vary(i, 1), 0.235))
        lights.append(ellipse(x - 0.07, -0.93, 0.085, 0.062))
    stage.paint(join(*trunks), "#8A5B43")
    stage.paint(join(*heads), "#3F9463", snow=0.5)
    stage.paint(join(*lights), "#5FB274", edge=False, snow=0.8)
    stage.land(waves(-0.19, (0.015, 1.1, 0.4)), "#9CCB72", snow=0.9)


def _mesa(x: float, y: float, half: float, height: float) -> list[tuple[float, float]]:
    return [
        (x - half, y), (x - 0.72 * half, y - 0.38 * height), (x - 0.64 * half, y - height),
        (x + 0.60 * half, y - height), (x + 0.70 * half, y - 0.42 * height), (x + half, y),
    ]  # fmt: skip


def _cactus(stage: Stage, x: float, y: float, h: float) -> None:
    r = 0.105 * h
    stage.paint(
        join(
            capsule(x, y, x, y - h + r, r),
            capsule(x, y - 0.36 * h, x + 0.30 * h, y - 0.36 * h, 0.75 * r),
            capsule(x + 0.30 * h, y - 0.36 * h, x + 0.30 * h, y - 0.68 * h, 0.75 * r),
            capsule(x, y - 0.48 * h, x - 0.28 * h, y - 0.48 * h, 0.72 * r),
            capsule(x - 0.28 * h, y - 0.48 * h, x - 0.28 * h, y - 0.74 * h, 0.72 * r),
        ),
        "#3F9A73", snow=0.35,
    )  # fmt: skip
    stage.paint(capsule(x - 0.3 * r, y - 0.1 * h, x - 0.3 * r, y - 0.88 * h, 0.16 * r), "#6FC08E",
                edge=False)  # fmt: skip


def desert(stage: Stage) -> None:
    for i, x in stage.repeat(0.86, -0.30):
        body = polygon(_mesa(x, -0.36, 0.30, 0.25 + 0.07 * (i % 2)), 0.02)
        stage.paint(body, "#D9825F", depth=0.18, snow=0.3)
        with stage.pen.clip(body):
            stage.paint(
                rectangle(x, -0.49, 0.8, 0.035), "#B9644F", depth=0.2, edge=False, alpha=0.6
            )
    stage.land(
        waves(-0.41, (0.040, 1.0, 0.62), (0.012, 0.45, 0.1)), "#F2B777", depth=0.14, snow=0.6
    )
    stage.land(waves(-0.32, (0.050, 1.25, 0.18)), "#EDA65F", snow=0.7)
    for i, x in stage.repeat(1.7, -0.41):
        _cactus(stage, x, -0.19, 0.36 if i % 2 == 0 else 0.30)
    for _, x in stage.repeat(1.7, 0.44):
        _cactus(stage, x, -0.21, 0.22)
    stage.land(waves(-0.20, (0.025, 1.6, 0.55)), "#F6CB85", snow=0.85)


def snowfield(stage: Stage) -> None:
    stage.land(waves(-0.50, (0.060, 1.15, 0.30), (0.02, 0.5, 0.1)), "#A9C4E6", depth=0.22)
    stage.land(waves(-0.42, (0.040, 0.95, 0.75), (0.015, 0.4, 0.1)), "#BAD2EE", depth=0.10)
    small = [(x, -0.34, 0.17 + 0.06 * vary(i, 1)) for i, x in stage.repeat(0.30, 0.14)]
    stage.paint(join(*(fir(*f) for f in small)), "#6FA3B5", depth=0.12)
    stage.paint(join(*(fir_snow(*f) for f in small)), "#F7FBFF", depth=0.05, edge=False)
    stage.land(waves(-0.33, (0.030, 1.1, 0.1)), "#CBDDF3")
    for offset, height in ((-0.41, 0.50), (0.43, 0.42)):
        for i, x in stage.repeat(1.3, offset):
            h = height - 0.06 * (i % 2)
            stage.paint(rectangle(x, -0.19, 0.045, 0.10), "#7A5A4C")
            stage.paint(fir(x, -0.19, h), "#3E7F8C")
            stage.paint(fir_snow(x, -0.19, h), "#FFFFFF", edge=False)
    stage.land(waves(-0.20, (0.022, 1.4, 0.6)), "#DCE9F8")
    stage.land(waves(-0.07, (0.015, 1.1, 0.2)), "#C9DCF2", edge=False)
