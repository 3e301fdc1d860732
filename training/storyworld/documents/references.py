"""Documents about characters that must stay themselves: compositions and series.

A composition brings the characters of the user's pictures together, or some of them; a series shows
one cast several times, with one slot changing. Markings are never said, so they must be seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from training.storyworld.documents.dice import Dice
from training.storyworld.documents.document import Part, Text, Turn, given
from training.storyworld.documents.pictures import OPENERS, draw, full_slots, sample_size
from training.storyworld.documents.wording import (
    NUMBERS,
    PLACE_PHRASES,
    TIME_PHRASES,
    WEATHER_PHRASES,
    capital,
    listed,
    usual,
    who,
)
from training.storyworld.sampling import different_characters, place_characters, sample_scene
from training.storyworld.scene import (
    ACTIONS,
    MAX_CHARACTERS,
    PLACES,
    PROPS,
    TIMES,
    WEATHERS,
    Character,
    Prop,
    Scene,
)
from training.storyworld.text import article

TOGETHER = (
    "Put them together in one picture{tail}.", "Draw them together{tail}.",
    "One picture with {all} of them{tail}, please.", "Show {all} together{tail}.",
    "Let them meet{tail}.", "Make one picture of {names}{tail}.", "Draw {names} together{tail}.",
    "These are my friends. Draw them together{tail}.", "Bring {names} together{tail}.",
)  # fmt: skip
SOME = (
    "Put {names} together in one picture{tail}.", "Make one picture of {names}{tail}.",
    "Draw {names} together{tail}.", "Bring {names} together{tail}.",
    "Only {names} in one picture{tail}, please.", "Let {names} meet{tail}.",
)  # fmt: skip
ORDINALS = (
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth",
)  # fmt: skip
# How many pictures are given; of more than `MAX_CHARACTERS` only some are drawn together.
GIVEN = {1: 0.2, 2: 0.36, 3: 0.16, 4: 0.08, 5: 0.04, 6: 0.04, 7: 0.03, 8: 0.03, 9: 0.06}
ALONE = (
    "Draw {it} again{tail}.", "Show {it}{tail}.", "The same {kind}{tail}.",
    "A new picture of this {kind}{tail}, please.", "Draw this {kind}{tail}.",
)  # fmt: skip


def compose_document(dice: Dice, held_out: bool) -> tuple[Turn, ...]:
    """Pictures of single characters, and one new picture with all or with some of them."""
    count = dice.weighted(GIVEN)
    cast = different_characters(dice.generator, count, held_out=held_out)
    sources = []
    style = sample_scene(dice.generator).style
    for character in cast:
        scene = sample_scene(dice.generator, characters=1, held_out=held_out, style=style)
        sources.append(replace(scene, characters=(replace(character, x=0.5),)))
    size, size_word = sample_size(dice, 0.08)
    asked: dict[str, Any] = {"pictures": 1, "style": style}
    chosen = list(range(count))
    if count > MAX_CHARACTERS or (count > 2 and dice.chance(0.2)):
        chosen = sorted(dice.some(chosen, 2 if count == 3 or dice.chance(0.6) else 3))
    scene, tail = _together(dice, [sources[i] for i in chosen], size, asked)
    if size_word:
        asked["size"] = list(size)
        tail += f", in {size_word} format"
    if count == 1:
        kind = cast[0].kind
        it = dice.pick(("it", f"this {kind}", "this one", f"the {kind}"))
        words = dice.pick(ALONE).replace("{it}", it).replace("{kind}", kind)
    else:
        form = dice.pick(TOGETHER if len(chosen) == count else SOME)
        words = form.replace("{all}", "both" if count == 2 else f"all {NUMBERS[count]}")
        words = words.replace("{names}", _names(dice, cast, chosen))
    pictures: tuple[Part, ...] = tuple(given(s) for s in sources)
    order = Text(capital(words.replace("{tail}", tail)))
    parts = (*pictures, order) if dice.chance(0.8) else (order, *pictures)
    asked["characters"] = [full_slots(c) for c in scene.characters]
    answer = [Text(_answer(dice, count, len(chosen)))] if dice.chance(0.7) else []
    return Turn("user", parts, asked=asked), Turn("assistant", (*answer, draw(scene, dice)))


def _names(dice: Dice, cast: Sequence[Character], chosen: Sequence[int]) -> str:
    """The `chosen` of the figures `cast` by name or, where they are not all, by place at times."""
    if len(chosen) == len(cast) or dice.chance(0.7):
        colored = len({c.kind for c in cast}) < len(cast)
        looks = [cast[i] for i in chosen]
        return listed([f"the {c.color} {c.kind}" if colored else f"the {c.kind}" for c in looks])
    return f"the ones from {listed([f'the {ORDINALS[i]}' for i in chosen])} picture"


def _answer(dice: Dice, count: int, drawn: int) -> str:
    if count == 1:
        return dice.pick(OPENERS)
    together = "Here they are, all together.\n" if drawn == count else "Here they are, together.\n"
    return dice.pick((*OPENERS, together, "Here they are.\n"))


def _together(
    dice: Dice, sources: Sequence[Scene], size: tuple[int, int], asked: dict[str, Any]
) -> tuple[Scene, str]:
    """The new scene and the words that ask for it; what is not asked stays as in the first."""
    first = sources[0]
    cast = [s.characters[0] for s in sources]
    tail = ""
    if dice.chance(0.55):
        action = dice.pick(ACTIONS)
        cast = [replace(c, action=action) for c in cast]
        tail += f", {action}"
    place, time, weather = first.place, first.time, first.weather
    if dice.chance(0.8):
        place = asked["place"] = dice.pick(PLACES)
        tail += f" {usual(dice, PLACE_PHRASES[place])}"
    if dice.chance(0.4):
        time = asked["time"] = dice.pick(TIMES)
        tail += f" {usual(dice, TIME_PHRASES[time])}"
    if dice.chance(0.15):
        weather = asked["weather"] = dice.pick(WEATHERS)
        tail += f" {WEATHER_PHRASES[weather][0]}"
    props: tuple[Prop, ...] = ()
    asked["props"] = []
    if dice.chance(0.3):
        prop = Prop(dice.pick(PROPS), dice.number(0, len(cast)))
        props, asked["props"] = (prop,), [prop.kind]
        tail += f" with {article(prop.kind)}"
    asked |= {"place": place, "time": time, "weather": weather}
    placed = place_characters(cast)
    return Scene(placed, place, time, weather, first.style, props, size=size), tail


@dataclass(frozen=True)
class Change:
    """The slot that changes in a series, its values in order, and the words for each."""

    slot: str
    values: tuple[str, ...]
    words: tuple[str, ...]


def _change(dice: Dice, count: int) -> Change:
    slot = dice.weighted({"time": 0.3, "place": 0.35, "action": 0.25, "weather": 0.1})
    if slot == "time":
        values = tuple(dice.ordered(TIMES, min(count, 4)))
        return Change(slot, values, tuple(usual(dice, TIME_PHRASES[v]) for v in values))
    if slot == "place":
        values = tuple(dice.some(PLACES, min(count, len(PLACES))))
        return Change(slot, values, tuple(usual(dice, PLACE_PHRASES[v]) for v in values))
    if slot == "weather":
        values = tuple(dice.some(WEATHERS, min(count, 4)))
        return Change(slot, values, tuple(WEATHER_PHRASES[v][0] for v in values))
    values = tuple(dice.some(ACTIONS, min(count, len(ACTIONS))))
    return Change(slot, values, values)


SERIES = (
    "{n} pictures of the same {who}: {list}.", "{n} pictures of the same {who}, {list}.",
    "Draw the same {who} {n} times: {list}.", "A series of {n} pictures of one {who}: {list}.",
    "Show one {who} in {n} pictures: {list}.", "I need {n} pictures of a single {who}: {list}.",
)  # fmt: skip
GIVEN_SERIES = (
    "Show this {kind} {list}: {n} pictures.", "{n} pictures of this {kind}: {list}.",
    "Draw it {n} more times: {list}.",
)  # fmt: skip


SERIES_LENGTHS = {2: 0.16, 3: 0.26, 4: 0.2, 5: 0.12, 6: 0.1, 7: 0.06, 8: 0.06, 10: 0.04}


def series_document(dice: Dice, held_out: bool) -> tuple[Turn, ...]:
    """One character in several pictures that differ in one slot."""
    base = sample_scene(dice.generator, characters=1, held_out=held_out)
    base = replace(base, props=base.props[:1] if dice.chance(0.3) else ())
    change = _change(dice, dice.weighted(SERIES_LENGTHS))
    scenes = [_changed(base, change.slot, value) for value in change.values]
    count = len(scenes)
    look = base.characters[0]
    asked: dict[str, Any] = {"pictures": count, f"{change.slot}s": list(change.values)}
    number = str(count) if dice.chance(0.4) else NUMBERS[count]
    shown = dice.chance(0.25)
    slots = {"kind": look.kind}
    name = look.kind
    if dice.chance(0.6):
        slots["color"] = look.color
        name = f"{look.color} {look.kind}"
        if look.accessory and dice.chance(0.5):
            slots["accessory"] = f"{look.accessory.color} {look.accessory.kind}"
            name = who(look, wearing=dice.pick(("with", "wearing"))).split(" ", 1)[1]
    form = dice.pick(GIVEN_SERIES if shown else SERIES)
    asked["characters"] = [full_slots(look) if shown else slots]
    if shown and change.slot == "action":
        asked["characters"][0].pop("action")
    words = form.replace("{n}", number).replace("{kind}", look.kind).replace("{who}", name)
    words = capital(words.replace("{list}", listed(change.words)))
    parts: list[Part] = [given(base)] if shown else []
    user = Turn("user", (*parts, Text(words)), asked=asked)
    return user, Turn("assistant", _series_answer(dice, change, scenes))


def _changed(base: Scene, slot: str, value: str) -> Scene:
    if slot == "action":
        return replace(base, characters=(replace(base.characters[0], action=value),))
    changes: dict[str, Any] = {slot: value}
    return replace(base, **changes)


def _series_answer(dice: Dice, change: Change, scenes: Sequence[Scene]) -> tuple[Part, ...]:
    """The pictures, each under a short line: in the prompt's words, so that the list is copied."""
    parts: list[Part] = []
    for words, value, scene in zip(change.words, change.values, scenes, strict=True):
        kind = scene.characters[0].kind
        line = f"The {kind} is {value}." if change.slot == "action" else f"{capital(words)}."
        parts += [Text(line + "\n"), draw(scene, dice)]
    return tuple(parts)
