"""Right and wrong, slot by slot: a wanted picture against a reading, and one figure against itself.

A slot that the reader could not read counts as wrong, a slot nobody asked for is not judged. It
knows no pixels: everything comes from the reader.

| slot | judged when |
| --- | --- |
| `place`, `time`, `weather`, `style`, `sticker`, `palette` | asked for |
| `count` | the number of figures is wanted |
| `character.<i>.kind`, `.color`, `.action`, `.facing` | asked for |
| `character.<i>.accessory`, `.accessory_color` | an accessory, or explicitly none, is asked for |
| `prop.<kind>` | asked for |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any

import numpy as np

from training.storyworld.canvas import rgb
from training.storyworld.reader.reading import ReadCharacter, Reading
from training.storyworld.scene import Accessory, Scene

FIGURE_SLOTS = ("kind", "color", "action", "facing")
BACKDROP_SLOTS = ("place", "time", "weather", "style")
NO_ACCESSORY = ""
MARKING_DISTANCE = 25.0
SCALE_TOLERANCE = 0.3
ANGLE_TOLERANCE = 0.15
SWATCH_DISTANCE = 12.0
SHARE_TOLERANCE = 0.06


@dataclass(frozen=True)
class Score:
    """Per slot whether it is right."""

    slots: dict[str, bool]

    @property
    def share(self) -> float:
        """The share of right slots; 1 where nothing was asked."""
        return sum(self.slots.values()) / len(self.slots) if self.slots else 1.0


@dataclass(frozen=True)
class Wanted:
    """The slots asked for. A character is a mapping of its asked slots to values; `accessory` may
    be an `Accessory`, a mapping or words ("red scarf"), or "" for explicitly none."""

    characters: tuple[Mapping[str, Any], ...] = ()
    backdrop: Mapping[str, str] = field(default_factory=dict)
    props: tuple[str, ...] = ()
    count: int | None = None
    sticker: bool | None = None
    palette: tuple[tuple[str, float], ...] = ()


def wanted_from_scene(scene: Scene) -> Wanted:
    """Everything a scene says that text could name."""
    figures = tuple(
        {**{s: getattr(c, s) for s in FIGURE_SLOTS}, "accessory": c.accessory or NO_ACCESSORY}
        for c in scene.characters
    )
    backdrop: dict[str, str] = {}
    if scene.palette:
        backdrop = {"place": scene.place}
    elif not scene.sticker:
        backdrop = {s: getattr(scene, s) for s in BACKDROP_SLOTS}
    return Wanted(
        figures, backdrop, tuple(p.kind for p in scene.props), len(figures), scene.sticker,
        tuple((s.hex, s.share) for s in scene.palette),
    )  # fmt: skip


def wanted_from_asked(asked: Mapping[str, Any]) -> Wanted:
    """What a turn's `asked` (see `documents.document`) demands of its first picture; a poster
    cannot show time and weather, so there they are not judged."""
    figures = tuple(asked.get("characters") or ())
    hidden = ("time", "weather") if asked.get("palette") else ()
    return Wanted(
        characters=figures,
        backdrop={s: asked[s] for s in BACKDROP_SLOTS if asked.get(s) and s not in hidden},
        props=tuple(asked.get("props") or ()),
        count=len(figures) or None,
        sticker=asked.get("sticker"),
        palette=tuple((str(h), float(s)) for h, s in asked.get("palette") or ()),
    )


def score(wanted: Wanted | Scene, reading: Reading) -> Score:
    """Every asked slot's verdict; figures are matched so that most slots are right, wherever they
    stand, and props are right in any gap."""
    if isinstance(wanted, Scene):
        wanted = wanted_from_scene(wanted)
    slots = {s: getattr(reading, s) == v for s, v in wanted.backdrop.items()}
    if wanted.sticker is not None:
        slots["sticker"] = reading.sticker == wanted.sticker
    if wanted.count is not None:
        slots["count"] = reading.count == wanted.count
    for index, verdicts in enumerate(_matched(wanted.characters, reading.characters)):
        slots.update({f"character.{index}.{slot}": v for slot, v in verdicts.items()})
    present = [p.kind for p in reading.props]
    for kind in wanted.props:
        slots[f"prop.{kind}"] = kind in present
    if wanted.palette:
        slots["palette"] = palettes_match(wanted.palette, reading)
    return Score(slots)


def _accessory(value: Any) -> Accessory | None:
    """An asked accessory in any of its forms; None for explicitly none."""
    if not value:
        return None
    if isinstance(value, Accessory):
        return value
    if isinstance(value, Mapping):
        return Accessory(str(value["kind"]), str(value["color"]))
    color, _, kind = str(value).partition(" ")
    return Accessory(kind, color)


def _verdicts(asked: Mapping[str, Any], read: ReadCharacter | None) -> dict[str, bool]:
    out = {s: read is not None and getattr(read, s) == asked[s] for s in FIGURE_SLOTS if s in asked}
    if "accessory" not in asked:
        return out
    worn = _accessory(asked["accessory"])
    seen = read.accessory if read is not None else None
    if worn is None:
        out["accessory"] = read is not None and read.kind is not None and seen is None
        return out
    out["accessory"] = seen is not None and seen.kind == worn.kind
    out["accessory_color"] = seen is not None and seen.color == worn.color
    return out


def _matched(
    asked: Sequence[Mapping[str, Any]], read: Sequence[ReadCharacter]
) -> list[dict[str, bool]]:
    """The assignment of read figures to asked ones with the most right slots; the order in the
    picture decides between equals."""
    places: list[ReadCharacter | None] = [*read, *([None] * max(len(asked) - len(read), 0))]
    best: tuple[int, list[dict[str, bool]]] | None = None
    for chosen in permutations(range(len(places)), len(asked)):
        verdicts = [_verdicts(a, places[i]) for a, i in zip(asked, chosen, strict=True)]
        right = sum(sum(v.values()) for v in verdicts)
        if best is None or right > best[0]:
            best = (right, verdicts)
    return best[1] if best else []


def lab(color: Sequence[float]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """CIELAB (D65) of a colour with channels 0 to 255."""
    v = np.asarray(color, np.float64) / 255
    linear = np.where(v > 0.04045, ((v + 0.055) / 1.055) ** 2.4, v / 12.92)
    matrix = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    xyz = matrix @ linear / np.array([0.95047, 1.0, 1.08883])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def color_distance(a: Sequence[float], b: Sequence[float]) -> float:
    """The CIE76 difference of two colours."""
    return float(np.linalg.norm(lab(a) - lab(b)))


def palettes_match(wanted: Sequence[tuple[str, float]], reading: Reading) -> bool:
    """Whether every wanted colour is there over about its share, and no other."""
    if len(wanted) != len(reading.palette):
        return False
    left = list(reading.palette)
    for color, share in wanted:
        near = min(left, key=lambda s: color_distance(rgb(s.hex), rgb(color)))
        if color_distance(rgb(near.hex), rgb(color)) > SWATCH_DISTANCE:
            return False
        if abs(near.share - share) > SHARE_TOLERANCE:
            return False
        left.remove(near)
    return True


@dataclass(frozen=True)
class IdentityScore:
    """Whether two pictures show the same figure: `named` is what text can carry, `visual` what
    only the picture carries."""

    named: dict[str, bool]
    visual: dict[str, bool]

    @property
    def same(self) -> bool:
        return all(self.named.values()) and all(self.visual.values())


def angle_distance(form: str, a: float, b: float) -> float:
    """How far two `angle` values are apart; dots and bibs go round."""
    gap = abs(a - b)
    return min(gap, 1 - gap) if form in ("dots", "bib") else gap


def same_identity(a: ReadCharacter, b: ReadCharacter) -> IdentityScore:
    """Kind, coat and accessory; and the markings' form, colour, scale and angle."""
    kinds = [c.accessory.kind if c.accessory else "" for c in (a, b)]
    colors = [c.accessory.color if c.accessory else "" for c in (a, b)]
    read = a.kind is not None and b.kind is not None
    named = {
        "kind": read and a.kind == b.kind,
        "color": a.color is not None and a.color == b.color,
        "accessory": read and kinds[0] == kinds[1],
        "accessory_color": read and colors[0] == colors[1],
    }
    if a.markings is None or b.markings is None:
        return IdentityScore(named, dict.fromkeys(("form", "hue", "scale", "angle"), False))
    left, right = a.markings.markings, b.markings.markings
    form = left.form == right.form
    visual = {
        "form": form,
        "hue": color_distance(a.markings.color, b.markings.color) <= MARKING_DISTANCE,
        "scale": form and abs(left.scale - right.scale) <= SCALE_TOLERANCE,
        "angle": form and angle_distance(left.form, left.angle, right.angle) <= ANGLE_TOLERANCE,
    }
    return IdentityScore(named, visual)
