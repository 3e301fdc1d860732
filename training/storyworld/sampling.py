"""Random scenes and characters, for training and for evaluation.

Everything comes from the caller's `numpy.random.Generator`, so a seed fixes the sample. Training
samples never show a held-out combination (`scene.is_held_out`); held-out samples show only those.
It knows no pixels and no words; stickers and palettes are made by the caller with `Scene.with_`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from training.storyworld.scene import (
    ACCESSORIES,
    ACTIONS,
    COLORS,
    FORMS,
    KINDS,
    MAX_PROPS,
    PLACES,
    PROPS,
    STYLES,
    TIMES,
    WEATHERS,
    Accessory,
    Character,
    Markings,
    Prop,
    Scene,
    is_held_out,
    slots,
)

T = TypeVar("T")

ACCESSORY_SHARE = 0.8
CHARACTER_WEIGHTS: Mapping[int, float] = {1: 0.45, 2: 0.35, 3: 0.13, 4: 0.07}
PROP_WEIGHTS: Mapping[int, float] = {0: 0.4, 1: 0.4, 2: 0.2}
WEATHER_WEIGHTS: Mapping[str, float] = {w: 0.4 if w == "clear" else 0.2 for w in WEATHERS}
_COLOR_NAMES = tuple(COLORS)


def _pick(rng: np.random.Generator, values: Sequence[T]) -> T:
    return values[int(rng.integers(len(values)))]


def _weighted(rng: np.random.Generator, weights: Mapping[T, float]) -> T:
    return list(weights)[int(rng.choice(len(weights), p=list(weights.values())))]


def sample_character(rng: np.random.Generator, *, held_out: bool = False) -> Character:
    """One character in the middle of the picture; held out exactly when `held_out` is set."""
    while True:
        color = _pick(rng, _COLOR_NAMES)
        accessory = None
        if rng.random() < ACCESSORY_SHARE:
            worn = tuple(c for c in _COLOR_NAMES if c != color)
            accessory = Accessory(_pick(rng, ACCESSORIES), _pick(rng, worn))
        hue, scale, angle = (float(v) for v in rng.random(3))
        character = Character(
            kind=_pick(rng, KINDS),
            color=color,
            markings=Markings(_pick(rng, FORMS), hue, scale, angle),
            accessory=accessory,
            action=_pick(rng, ACTIONS),
            facing=_pick(rng, ("left", "right")),
        )
        if is_held_out(character) == held_out:
            return character


def sample_characters(
    rng: np.random.Generator, count: int, *, held_out: bool = False
) -> tuple[Character, ...]:
    """`count` different characters in their slots."""
    return place_characters(different_characters(rng, count, held_out=held_out))


def different_characters(
    rng: np.random.Generator, count: int, *, held_out: bool = False
) -> tuple[Character, ...]:
    """`count` characters, any two of them different in kind or in colour."""
    found: dict[tuple[str, str], Character] = {}
    while len(found) < count:
        character = sample_character(rng, held_out=held_out)
        found.setdefault((character.kind, character.color), character)
    return tuple(found.values())


def place_characters(characters: Sequence[Character]) -> tuple[Character, ...]:
    """The same characters from left to right, each in its slot."""
    centres = slots(len(characters))
    return tuple(replace(c, x=x) for c, x in zip(characters, centres, strict=True))


def sample_props(rng: np.random.Generator, count: int) -> tuple[Prop, ...]:
    """Props for `count` characters: distinct kinds in distinct gaps, at most one among three."""
    most = MAX_PROPS if count < 3 else 1
    number = min(_weighted(rng, PROP_WEIGHTS), most)
    kinds = rng.choice(len(PROPS), size=number, replace=False)
    gaps = rng.choice(count + 1, size=number, replace=False)
    return tuple(Prop(PROPS[int(k)], int(g)) for k, g in zip(kinds, sorted(gaps), strict=True))


def sample_scene(
    rng: np.random.Generator,
    *,
    characters: int | None = None,
    held_out: bool = False,
    size: tuple[int, int] = (256, 256),
    style: str | None = None,
    place: str | None = None,
    time: str | None = None,
    weather: str | None = None,
) -> Scene:
    """One scene; whatever is not given is drawn at random."""
    count = _weighted(rng, CHARACTER_WEIGHTS) if characters is None else characters
    return Scene(
        characters=sample_characters(rng, count, held_out=held_out),
        place=place or _pick(rng, PLACES),
        time=time or _pick(rng, TIMES),
        weather=weather or _weighted(rng, WEATHER_WEIGHTS),
        style=style or _pick(rng, STYLES),
        props=sample_props(rng, count),
        size=size,
    )
