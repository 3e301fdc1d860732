"""Words of a narration that a picture contradicts.

Every mention of a place, a time of day, a weather, a coat colour, a kind or a prop in the text
before a picture is one check. It knows the stories' wording, not grammar: a story may speak of what
is not to be seen, so true stories have a small rate of their own, which is measured as the ceiling.
"""

from __future__ import annotations

import re

from training.storyworld.facts import Tally
from training.storyworld.reader import Reading
from training.storyworld.scene import COLORS, KINDS, PLACES, PROPS


def _any_of(words: tuple[str, ...]) -> str:
    return "|".join(sorted(words, key=len, reverse=True))


_PLACE = re.compile(rf"\b({_any_of(PLACES)})\b")
_TIMES = {
    "morning": r"one morning|in the morning|next morning|when morning came|since dawn",
    "day": r"one day\b|by noon|at midday|at noon|during the day",
    "evening": r"one evening|in the evening|when evening came|by evening|sun went down",
    "night": r"one night|at night\b|that night|night fell|grew dark|in the dark\b|moon was bright",
}
_WEATHERS = {
    "clear": r"sun was shining|not a cloud",
    "cloudy": r"(?<!not a )\bclouds? (?:drifted|hung|looked|covered)|behind the clouds",
    "rain": r"\brain(?:ing)?\b(?! stopped)",
    "snow": r"\bsnow(?:ing|flakes)?\b",
}
_COLORED = re.compile(rf"\b({_any_of(tuple(COLORS))}) ({_any_of(KINDS)})\b")
_PROP = re.compile(rf"\b({_any_of(PROPS)})\b")
_KIND = re.compile(rf"\b({_any_of(KINDS)})\b")


def contradictions(narration: str, seen: Reading) -> Tally:
    """Checks of the narration against a reading; what is right agrees."""
    text = narration.lower()
    tally = Tally()
    for place in _PLACE.findall(text):
        tally.add("place", seen.place == place)
    for slot, patterns, value in (
        ("time", _TIMES, seen.time),
        ("weather", _WEATHERS, seen.weather),
    ):
        for name, pattern in patterns.items():
            if re.search(pattern, text):
                tally.add(slot, value == name)
    kinds = {c.kind for c in seen.characters}
    coats = {(c.color, c.kind) for c in seen.characters}
    for color, kind in _COLORED.findall(text):
        if kind in kinds:
            tally.add("color", (color, kind) in coats)
    for kind in set(_KIND.findall(text)):
        tally.add("kind", kind in kinds)
    there = {p.kind for p in seen.props}
    for prop in set(_PROP.findall(text)):
        tally.add("props", prop in there)
    return tally
