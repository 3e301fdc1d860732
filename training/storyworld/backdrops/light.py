"""Time of day and weather as colour: the sky's stops, and what the light does to the land.

It knows no shapes. `light` gives the `Light` of a scene; `Light.on` colours a piece of land.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from training.storyworld.canvas import mix, rgb


@dataclass(frozen=True)
class Hour:
    """One time of day: three sky stops from top to horizon, and the light on the land.

    `ramp` recolours land by its lightness (dark, middle, light), `ramp_share` says how far.
    """

    sky: tuple[str, str, str]
    gray: str
    ramp: tuple[str, str, str]
    ramp_share: float
    cloud: str
    disc: str


HOURS: dict[str, Hour] = {
    "morning": Hour(
        ("#F49BA6", "#FBBFA6", "#FFE9C4"), "#D8BFC3", ("#7A4A66", "#E8947F", "#FFDDB5"), 0.25,
        "#FFEDE6", "#FFF6CF",
    ),
    "day": Hour(
        ("#4BA3E6", "#8CCBF3", "#D6F0FA"), "#A8B8C8", ("#000000", "#808080", "#FFFFFF"), 0.0,
        "#FFFFFF", "#FFD84D",
    ),
    "evening": Hour(
        ("#5A3C93", "#C4568C", "#FF9D57"), "#85688F", ("#2B1F66", "#87429C", "#FA92A2"), 0.66,
        "#FBB09A", "#FFDB70",
    ),
    "night": Hour(
        ("#0D1745", "#1D3273", "#3C5AA6"), "#2B3763", ("#0A1238", "#1D3A80", "#4E79C4"), 0.70,
        "#52659F", "#FFF3C4",
    ),
}  # fmt: skip
_SKY_GRAY = {"clear": 0.0, "cloudy": 0.55, "rain": 0.72, "snow": 0.55}
_LAND_GRAY = {"clear": 0.0, "cloudy": 0.14, "rain": 0.24, "snow": 0.10}
_STYLE_WASH = {"flat": ("#FFFFFF", 0.0), "ink": ("#FFF3D6", 0.24), "paper": ("#DCC6A8", 0.12)}


def lightness(color: str) -> float:
    """Perceived lightness, 0 to 1."""
    r, g, b = rgb(color)
    return (0.30 * r + 0.59 * g + 0.11 * b) / 255


def _ramped(color: str, hour: Hour) -> str:
    dark, middle, light = hour.ramp
    value = 2 * lightness(color)
    target = mix(dark, middle, value) if value < 1 else mix(middle, light, value - 1)
    return mix(color, target, hour.ramp_share)


@dataclass(frozen=True)
class Light:
    """How a scene's time, weather and style colour its sky and land."""

    time: str
    weather: str
    style: str

    @property
    def hour(self) -> Hour:
        return HOURS[self.time]

    @property
    def dark(self) -> bool:
        """Whether windows are lit."""
        return self.time in ("evening", "night")

    def styled(self, color: str) -> str:
        wash, share = _STYLE_WASH[self.style]
        return mix(color, wash, share * (0.5 if self.time == "night" else 1.0))

    def sky(self) -> tuple[str, str, str]:
        """The sky from top to horizon."""
        gray = self.hour.gray
        if self.weather == "rain":
            gray = mix(gray, "#39435C", 0.30)
        if self.weather == "snow":
            gray = mix(gray, "#FFFFFF", 0.12 if self.time != "night" else 0.06)
        top, mid, low = (
            self.styled(mix(stop, gray, _SKY_GRAY[self.weather])) for stop in self.hour.sky
        )
        return top, mid, low

    def on(self, color: str, depth: float = 0.0, snow: float = 0.0) -> str:
        """Land of `color` in this light: `depth` (0 near, 1 far) fades it into the air, `snow`
        is how white snowfall makes it."""
        return _on(self, color, depth, snow)

    def cloud(self) -> str:
        """The colour of clouds."""
        share = {"clear": 0.0, "cloudy": 0.16, "rain": 0.62, "snow": 0.12}[self.weather]
        return self.styled(mix(self.hour.cloud, mix(self.hour.gray, "#39435C", 0.35), share))


@lru_cache(maxsize=4096)
def _on(light: Light, color: str, depth: float, snow: float) -> str:
    hour = light.hour
    if light.weather == "snow":
        color = mix(color, "#DDE8F6", snow)
    color = _ramped(color, hour)
    gray = mix(hour.gray, "#39435C", 0.25) if light.weather == "rain" else hour.gray
    color = mix(color, gray, _LAND_GRAY[light.weather])
    haze = mix(hour.sky[2], hour.gray, 0.8 * _SKY_GRAY[light.weather])
    return light.styled(mix(color, haze, depth))
