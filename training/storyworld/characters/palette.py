"""The colours of one figure, derived from its coat and its markings."""

from __future__ import annotations

from dataclasses import dataclass

from training.storyworld.canvas import darker, lighter, mix
from training.storyworld.scene import COLORS

BEAK = "#F4A93A"
BLUSH = "#F0708A"
NOSE = "#352F3D"
MOUTH = "#7A2E3F"
TONGUE = "#EE7C8A"
IVORY = "#FFF6E3"


@dataclass(frozen=True)
class Tint:
    """`base` is the coat; `shade`, `deep` are darker, `pale` lighter; `mark` is the markings'."""

    base: str
    shade: str
    deep: str
    pale: str
    mark: str


def tint(coat: str, mark: str) -> Tint:
    base = COLORS[coat]
    pale = lighter(base, 0.72) if coat != "white" else mix(base, "#E9DCC6", 0.75)
    return Tint(base, darker(base, 0.13), darker(base, 0.3), pale, mark)
