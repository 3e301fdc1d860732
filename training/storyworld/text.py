"""Scenes as words and back: the dense prompt.

`describe` states everything about a scene that has a name, in a fixed order, and never the
markings. `parse` reads any wording that `describe` can produce, and from other text it returns
what it finds. It knows nothing of stories, tokens or pixels.

Shape: `{style} picture, {place} {time}, {weather}: {characters, left to right}; {props}; {palette}`
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from training.storyworld.scene import (
    ACCESSORIES,
    ACTIONS,
    COLORS,
    KINDS,
    PLACES,
    PROPS,
    STYLES,
    TIMES,
    WEATHERS,
    Accessory,
    Character,
    Scene,
    Swatch,
)

T = TypeVar("T")

TIME_PHRASES = {
    "morning": ("in the morning",),
    "day": ("by day", "during the day"),
    "evening": ("in the evening",),
    "night": ("at night",),
}
WEATHER_PHRASES = {
    "clear": ("clear", "clear sky"),
    "cloudy": ("cloudy", "cloudy sky"),
    "rain": ("rain", "rain falling"),
    "snow": ("snow", "snow falling"),
}
PICTURE_NOUNS = ("storybook picture", "picture", "illustration")
WEARING = ("wearing", "with")


class Random(Protocol):
    """The one method needed of `random.Random`."""

    def random(self) -> float: ...


@dataclass(frozen=True)
class CharacterDescription:
    """What a text says about one character; None is 'not said' (for the accessory, also 'none')."""

    kind: str | None = None
    color: str | None = None
    accessory: Accessory | None = None
    action: str | None = None
    facing: str | None = None


@dataclass(frozen=True)
class PropDescription:
    kind: str
    gap: int | None = None


@dataclass(frozen=True)
class Description:
    """A partial scene: what a dense prompt says, None where it says nothing."""

    characters: tuple[CharacterDescription, ...] = ()
    place: str | None = None
    time: str | None = None
    weather: str | None = None
    style: str | None = None
    props: tuple[PropDescription, ...] = ()
    palette: tuple[Swatch, ...] = ()
    sticker: bool = False


def article(noun: str) -> str:
    """The noun phrase with "a" or "an" before it."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _vary(rng: Random | None, options: Sequence[T], share: float = 0.35) -> T:
    """The first option, or with probability `share` any of them."""
    if rng is None or len(options) == 1 or rng.random() >= share:
        return options[0]
    return options[int(rng.random() * len(options))]


def describe(scene: Scene, rng: Random | None = None) -> str:
    """The dense prompt of `scene`; `rng` varies the wording, without it the form is canonical."""
    if scene.sticker:
        head = f"{scene.style} sticker"
    else:
        noun = _vary(rng, PICTURE_NOUNS)
        time = _vary(rng, TIME_PHRASES[scene.time])
        weather = _vary(rng, WEATHER_PHRASES[scene.weather])
        head = f"{scene.style} {noun}, {scene.place} {time}, {weather}"
    wearing = _vary(rng, WEARING)
    parts = [_character(c, wearing) for c in scene.characters]
    parts += [f"{article(p.kind)} {position(p.gap, len(scene.characters))}" for p in scene.props]
    if scene.palette:
        swatches = (f"{s.hex} {round(100 * s.share)}%" for s in scene.palette)
        parts.append("palette " + ", ".join(swatches))
    return f"{head}: {'; '.join(parts)}"


def _character(character: Character, wearing: str) -> str:
    worn = ""
    if character.accessory is not None:
        worn = f" {wearing} {article(f'{character.accessory.color} {character.accessory.kind}')}"
    who = article(f"{character.color} {character.kind}")
    return f"{who}{worn}, {character.action}, facing {character.facing}"


def position(gap: int, count: int) -> str:
    """Where a prop in `gap` stands among `count` characters, in words."""
    if gap == 0:
        return "on the left"
    if gap == count:
        return "on the right"
    if 2 * gap == count:
        return "in the middle"
    return "in the middle left" if 2 * gap < count else "in the middle right"


def _any_of(words: Sequence[str]) -> str:
    return "|".join(sorted(words, key=len, reverse=True))


_COLOR = _any_of(tuple(COLORS))
_ENTITY = re.compile(
    rf"\b(?:(?:(?P<color>{_COLOR}) )?(?P<kind>{_any_of(KINDS)})"
    rf"|(?P<prop>{_any_of(PROPS)})(?: (?:on|in) the (?P<where>left|right|middle(?: left| right)?))?"
    r"|(?P<palette>palette))\b"
)
_WORN = re.compile(rf"\b(?P<color>{_COLOR}) (?P<kind>{_any_of(ACCESSORIES)})\b")
_ACTION = re.compile(rf"\b({_any_of(ACTIONS)})\b")
_FACING = re.compile(r"\bfacing (?:to )?(?:the )?(left|right)\b")
_SWATCH = re.compile(r"(#[0-9A-Fa-f]{6})\s+(\d{1,3})\s*%")
_COUNTDOWN = re.compile(r"^\d+ to go: ")
_STYLE = re.compile(rf"\b({_any_of(STYLES)})\b")
_PLACE = re.compile(rf"\b({_any_of(PLACES)})\b")
_TIME = re.compile(rf"\b({_any_of(TIMES)})\b")
_WEATHER = re.compile(rf"\b({_any_of(WEATHERS)})\b")


def counted_down(dense: str, left: int | str) -> str:
    """`dense`, of the first of `left` pictures that are left to draw."""
    return f"{left} to go: {dense}"


def parse(dense: str) -> Description:
    """What `dense` says; the inverse of `describe` on everything that `describe` states."""
    dense = _COUNTDOWN.sub("", dense)
    head, colon, body = dense.partition(":")
    if not colon:
        body = dense
    matches = list(_ENTITY.finditer(body))
    ends = [m.start() for m in matches[1:]] + [len(body)]
    characters = tuple(
        _read_character(m, body[m.start() : end])
        for m, end in zip(matches, ends, strict=False)
        if m["kind"]
    )
    swatches = tuple(Swatch(h.upper(), int(n) / 100) for h, n in _SWATCH.findall(dense))
    return Description(
        characters=characters,
        place=_first(_PLACE, head),
        time=_first(_TIME, head),
        weather=_first(_WEATHER, head),
        style=_first(_STYLE, head),
        props=tuple(
            PropDescription(m["prop"], _gap(m["where"], len(characters)))
            for m in matches
            if m["prop"]
        ),
        palette=swatches,
        sticker="sticker" in head,
    )


def _read_character(match: re.Match[str], span: str) -> CharacterDescription:
    worn = _WORN.search(span)
    return CharacterDescription(
        kind=match["kind"],
        color=match["color"],
        accessory=Accessory(worn["kind"], worn["color"]) if worn else None,
        action=_first(_ACTION, span),
        facing=_first(_FACING, span),
    )


def _first(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.search(text)
    return found[1] if found else None


def _gap(where: str | None, count: int) -> int | None:
    """The gap that `position` calls `where`, None where there is no such gap."""
    words = None if where is None else f"{'in' if 'middle' in where else 'on'} the {where}"
    return next((g for g in range(count + 1) if position(g, count) == words), None)


def same_named(scene: Scene, description: Description) -> bool:
    """Whether `description` says exactly what `describe` would say about `scene`."""
    return parse(describe(scene)) == description
