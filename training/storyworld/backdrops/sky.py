"""The sky of every place: its gradient, sun or moon, stars and clouds, and what falls from it."""

from __future__ import annotations

import math
from collections.abc import Iterator

import skia

from training.storyworld.backdrops.stage import MARGIN, Stage, join, vary, waves
from training.storyworld.canvas import capsule, ellipse, mix, rgb

HORIZON = -0.34


def _color(color: str, alpha: float = 1.0) -> int:
    return int(skia.Color(*rgb(color), round(255 * alpha)))


def _gradient(stage: Stage) -> None:
    top, mid, low = stage.light.sky()
    shader = skia.GradientShader.MakeLinear(
        [skia.Point(0, stage.top), skia.Point(0, HORIZON)],
        [_color(top), _color(mid), _color(low)],
        [0.0, 0.55, 1.0],
    )
    stage.pen.canvas.drawRect(
        skia.Rect.MakeLTRB(stage.left, stage.top - MARGIN, stage.right, MARGIN),
        skia.Paint(Shader=shader),
    )


def _bands(stage: Stage) -> None:
    """The sky as sheets of paper."""
    top, mid, low = stage.light.sky()
    stage.pen.canvas.clear(_color(top))
    colors = (mix(top, mid, 0.75), mix(mid, low, 0.35), low)
    span = stage.height + HORIZON
    for k, color in enumerate(colors):
        base = HORIZON - span * (0.76 - 0.27 * k)
        ridge = waves(base, (0.022, 0.9, 0.2 + 0.37 * k), (0.012, 0.41, 0.6 * k))
        stage.shape(stage.ridge_path(ridge), color)


def _disc_place(stage: Stage) -> tuple[float, float, float]:
    """Where the sun or moon stands, and its radius: clear of what the place puts before it."""
    time = stage.light.time
    x = {"morning": -0.31, "day": 0.32, "evening": 0.27, "night": 0.32}[time]
    y = {"morning": -0.64, "day": -0.85, "evening": -0.58, "night": -0.85}[time]
    r = {"morning": 0.088, "day": 0.080, "evening": 0.150, "night": 0.078}[time]
    if stage.place == "forest":
        x = math.copysign(0.05, x)
        y = {"morning": -0.82, "evening": -0.84}.get(time, y)
        r *= 0.85
    if stage.place == "castle":
        x = 0.0
        y = {"morning": -0.82, "evening": -0.77}.get(time, y)
    return x, y, r


def _disc(stage: Stage) -> None:
    """Sun or moon, with its glow."""
    light, pen = stage.light, stage.pen
    x, y, r = _disc_place(stage)
    disc = light.styled(light.hour.disc)
    glow = {"morning": 0.55, "day": 0.40, "evening": 0.42, "night": 0.22}[light.time]
    if pen.style == "flat":
        shader = skia.GradientShader.MakeRadial(
            skia.Point(x, y), 3.0 * r, [_color(disc, glow), _color(disc, 0.0)], [0.30, 1.0]
        )
        pen.canvas.drawPath(ellipse(x, y, 3 * r, 3 * r), skia.Paint(AntiAlias=True, Shader=shader))
    else:
        pen.fill(ellipse(x, y, 1.55 * r, 1.55 * r), disc, alpha=0.35 * glow + 0.1, outline=False)
    pen.fill(ellipse(x, y, r, r), disc)
    if light.time == "night":
        mark = mix(disc, "#C9B98E", 0.45)
        for dx, dy, s in ((-0.32, -0.25, 0.24), (0.30, 0.18, 0.30), (-0.20, 0.46, 0.16)):
            pen.fill(ellipse(x + dx * r, y + dy * r, s * r, s * r), mark, outline=False)


def _star(x: float, y: float, r: float) -> skia.Path:
    path = skia.Path()
    path.moveTo(x, y - r)
    for ax, ay in ((r, 0.0), (0.0, r), (-r, 0.0), (0.0, -r)):
        path.quadTo(x, y, x + ax, y + ay)
    return path


def _stars(stage: Stage) -> None:
    stars = []
    row = 0
    y = -0.50
    while y > stage.top - 0.05:
        for i, x in stage.repeat(0.23, 0.09 * (row % 3)):
            r = 0.010 + 0.012 * vary(i + 5 * row, 1)
            dy = 0.09 * vary(3 * i + row, 2)
            dx = 0.10 * vary(i, row)
            stars.append(_star(x + dx, y - dy, 1.35 * r))
        y -= 0.155
        row += 1
    stage.pen.fill(join(*stars), stage.light.styled("#FFF4C9"), outline=False)


def cloud(x: float, y: float, r: float) -> skia.Path:
    """A flat-bottomed cloud, about 4 r wide."""
    base = skia.Path()
    base.addRoundRect(
        skia.Rect.MakeLTRB(x - 2.0 * r, y - 0.75 * r, x + 2.0 * r, y), 0.375 * r, 0.375 * r
    )
    return join(
        base,
        ellipse(x - 0.85 * r, y - 0.72 * r, 0.72 * r, 0.66 * r),
        ellipse(x + 0.15 * r, y - 1.02 * r, 0.92 * r, 0.86 * r),
        ellipse(x + 1.10 * r, y - 0.60 * r, 0.60 * r, 0.54 * r),
    )


def _clear_clouds(stage: Stage) -> None:
    share = 0.95 if stage.light.time != "night" else 0.60
    color = mix(stage.light.sky()[1], stage.light.cloud(), share)
    for dx, y, r in ((-0.30, -0.86, 0.060), (0.10, -0.945, 0.040)):
        for i, x in stage.repeat(1.25, dx):
            up = 0.06 * vary(i, 3) if i else 0.0
            stage.shape(cloud(x, y + up, r), color)
    y = -1.25
    while y > stage.top + 0.05:
        for _, x in stage.repeat(1.1, 0.45 * vary(round(-y / 0.42), 2) - 0.2):
            stage.shape(cloud(x, y, 0.06), color)
        y -= 0.42


def _big_clouds(stage: Stage) -> None:
    """An overcast sky: a dark far row and big near clouds."""
    color = stage.light.cloud()
    far = mix(color, stage.light.sky()[1], 0.55)
    rows = [(-0.74, 0.085, 0.62, -0.05, far), (-0.83, 0.105, 0.74, 0.33, color)]
    rows.append((stage.top + 0.10, 0.12, 0.70, -0.02, mix(color, far, 0.35)))
    y = -1.28
    while y > stage.top + 0.2:
        rows.append((y, 0.095, 0.95, 0.6 * vary(round(-y / 0.50), 1), mix(color, far, 0.5)))
        y -= 0.50
    for y, r, spacing, offset, shade in rows:
        for i, x in stage.repeat(spacing, offset):
            stage.shape(cloud(x, y + 0.03 * vary(i, 1), r * (0.9 + 0.25 * vary(i, 2))), shade)


def draw_sky(stage: Stage) -> None:
    """Everything behind the land."""
    if stage.pen.style == "paper":
        _bands(stage)
    else:
        _gradient(stage)
    weather = stage.light.weather
    if stage.light.time == "night" and weather == "clear":
        _stars(stage)
    if weather in ("clear", "cloudy"):
        _disc(stage)
    if weather == "clear":
        _clear_clouds(stage)
    else:
        _big_clouds(stage)


def falling(width: float, height: float, near: bool) -> Iterator[tuple[float, float, float]]:
    """x, y and size of every drop or flake; the near ones are fewer and larger."""
    spacing, drop = (0.34, 0.30) if near else (0.150, 0.145)
    size = 1.25 if near else 1.0
    rows = int(height / drop) + 2
    for row in range(rows):
        columns = int(width / spacing) + 4
        for k in range(-columns // 2 - 1, columns // 2 + 2):
            x = (k + 0.5 * (row % 2)) * spacing + 0.35 * spacing * (vary(k, row) - 0.5)
            y = -(row + 0.3) * drop - 0.4 * drop * vary(k + 3 * row, 1)
            if abs(x) < width / 2 + 0.1:
                yield x, y, size * (0.85 + 0.3 * vary(k + row, 2))


def fall_shape(weather: str, x: float, y: float, size: float) -> skia.Path:
    """A slanted drop or a flake."""
    if weather == "rain":
        return capsule(x + 0.012 * size, y - 0.042 * size, x - 0.012 * size, y, 0.0072 * size)
    return ellipse(x, y, 0.0135 * size, 0.0135 * size)


def fall_color(stage: Stage) -> str:
    if stage.light.weather == "rain":
        return {"morning": "#6F8FC4", "day": "#4D82C4", "evening": "#C9BDEB", "night": "#8FB4F0"}[
            stage.light.time
        ]
    return "#FFFFFF"


def draw_fall(stage: Stage) -> None:
    """Rain or snow over the whole backdrop."""
    weather = stage.light.weather
    if weather not in ("rain", "snow"):
        return
    shapes = [
        fall_shape(weather, x, y, size)
        for x, y, size in falling(stage.width, stage.height, near=False)
    ]
    stage.pen.fill(join(*shapes), fall_color(stage), outline=False, alpha=0.92)
