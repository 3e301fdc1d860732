"""Edits: a picture and an instruction; the answer changes that and keeps everything else.

Each maker turns a scene into (instruction, short answer, new scene), or None where it does not
apply. Markings and places of characters always stay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from training.storyworld.documents.dice import Dice
from training.storyworld.documents.document import Text, Turn, given
from training.storyworld.documents.pictures import draw, full_slots
from training.storyworld.documents.wording import (
    INFINITIVES,
    PLACE_PHRASES,
    TIME_PHRASES,
    capital,
    dressed_in,
    reference,
    usual,
    worn,
)
from training.storyworld.sampling import sample_scene
from training.storyworld.scene import (
    ACCESSORIES,
    ACTIONS,
    COLORS,
    MAX_PROPS,
    PLACES,
    PROPS,
    STYLES,
    TIMES,
    WEATHERS,
    Accessory,
    Character,
    Prop,
    Scene,
    is_held_out,
)
from training.storyworld.text import article, position


@dataclass(frozen=True)
class Edit:
    instruction: str
    answer: str
    scene: Scene


Maker = Callable[[Dice, Scene], "Edit | None"]


def _other(dice: Dice, options: tuple[str, ...], *current: str) -> str:
    return dice.pick([o for o in options if o not in current])


def _index(dice: Dice, scene: Scene) -> int:
    return dice.number(0, len(scene.characters) - 1)


def _with_character(scene: Scene, index: int, character: Character) -> Scene | None:
    """The scene with one character changed, None where that leaves the allowed combinations."""
    if is_held_out(character) != is_held_out(scene.characters[index]):
        return None
    others = [c for i, c in enumerate(scene.characters) if i != index]
    if any((c.kind, c.color) == (character.kind, character.color) for c in others):
        return None
    changed = (*scene.characters[:index], character, *scene.characters[index + 1 :])
    return replace(scene, characters=changed)


def _worn_once(scene: Scene, accessory: str) -> bool:
    """Whether "the scarf" can only be one: nobody else in the picture wears such a thing."""
    return [c.accessory.kind for c in scene.characters if c.accessory].count(accessory) == 1


def _them(scene: Scene) -> str:
    return "them" if len(scene.characters) > 1 else "it"


def edit_time(dice: Dice, scene: Scene) -> Edit | None:
    if scene.sticker:
        return None
    time = _other(dice, TIMES, scene.time)
    phrase = usual(dice, TIME_PHRASES[time])
    options = [
        f"the same {phrase}",
        f"the same picture, but {phrase}",
        f"show {_them(scene)} {phrase}",
    ]
    if time != "day":
        options += [f"make it {time}", f"change it to {time}", f"let it be {time}"]
    else:
        options += ["make it daytime", "change it to day"]
    shown = TIME_PHRASES[time][0]
    return Edit(dice.pick(options), f"here it is {shown}", replace(scene, time=time))


def edit_place(dice: Dice, scene: Scene) -> Edit | None:
    if scene.sticker:
        return None
    place = _other(dice, PLACES, scene.place)
    phrase = usual(dice, PLACE_PHRASES[place])
    who = reference(scene, 0) if len(scene.characters) == 1 else "them"
    options = (
        f"again, but {phrase}", f"the same, but {phrase}", f"put {who} {phrase}",
        f"move {_them(scene)} to the {place}", f"now {phrase}", f"take {who} to the {place}",
        f"change the place to the {place}",
    )  # fmt: skip
    shown = PLACE_PHRASES[place][0]
    return Edit(dice.pick(options), f"here {_be(scene)} {shown}", replace(scene, place=place))


def _be(scene: Scene) -> str:
    return "they are" if len(scene.characters) > 1 else "it is"


_WEATHER_ORDERS = {
    "clear": ("clear the sky", "make the sky clear", "stop the bad weather"),
    "cloudy": ("make it cloudy", "add clouds", "let it be cloudy"),
    "rain": ("make it rain", "let it rain", "add rain", "make it rainy"),
    "snow": ("make it snow", "let it snow", "add falling snow", "make it snowy"),
}
_WEATHER_ANSWERS = {
    "clear": "the sky is clear now",
    "cloudy": "now the sky is cloudy",
    "rain": "now it is raining",
    "snow": "now it is snowing",
}


def edit_weather(dice: Dice, scene: Scene) -> Edit | None:
    if scene.sticker:
        return None
    weather = _other(dice, WEATHERS, scene.weather)
    # Clouds are no bad weather to stop, and they are not added to rain.
    unfit = "stop" if scene.weather in ("clear", "cloudy") else "add"
    order = dice.pick([o for o in _WEATHER_ORDERS[weather] if not o.startswith(unfit)])
    return Edit(order, _WEATHER_ANSWERS[weather], replace(scene, weather=weather))


_STYLE_ORDERS = {
    "flat": ("redraw it in flat colours", "make it a flat illustration", "use the flat style"),
    "ink": ("redraw it in ink", "make it an ink drawing", "use the ink style"),
    "paper": ("redo it in cut paper", "make it a paper cut-out", "use the paper style"),
}
_STYLE_ANSWERS = {
    "flat": "here it is in flat colours",
    "ink": "here it is in ink",
    "paper": "here it is in cut paper",
}


def edit_style(dice: Dice, scene: Scene) -> Edit | None:
    style = _other(dice, STYLES, scene.style)
    order = dice.pick(_STYLE_ORDERS[style])
    return Edit(order, _STYLE_ANSWERS[style], replace(scene, style=style))


def edit_action(dice: Dice, scene: Scene) -> Edit | None:
    index = _index(dice, scene)
    old = scene.characters[index]
    action = _other(dice, ACTIONS, old.action)
    who = reference(scene, index)
    verb = INFINITIVES[action]
    options = (f"make {who} {verb}", f"let {who} {verb}", f"{who} should be {action}",
               f"have {who} {verb}", f"show {who} {action}")  # fmt: skip
    changed = _with_character(scene, index, replace(old, action=action))
    return changed and Edit(dice.pick(options), f"{who} is {action} now", changed)


def edit_facing(dice: Dice, scene: Scene) -> Edit | None:
    index = _index(dice, scene)
    old = scene.characters[index]
    facing = "left" if old.facing == "right" else "right"
    who = reference(scene, index)
    options = (f"turn {who} to the {facing}", f"make {who} face {facing}",
               f"turn {who} around", f"{who} should look {facing}")  # fmt: skip
    changed = _with_character(scene, index, replace(old, facing=facing))
    return changed and Edit(dice.pick(options), f"{who} is facing {facing} now", changed)


def edit_give(dice: Dice, scene: Scene) -> Edit | None:
    """Put on an accessory, or change it for another."""
    index = _index(dice, scene)
    old = scene.characters[index]
    color = _other(dice, tuple(COLORS), old.color)
    before = (old.accessory.kind,) if old.accessory else ()
    new = Accessory(_other(dice, ACCESSORIES, *before), color)
    who = reference(scene, index)
    thing = worn(new)
    options = [f"give {who} {thing}", f"let {who} wear {thing}", f"dress {who} {dressed_in(new)}"]
    if len(scene.characters) == 1:
        options += [f"give {p} {thing}" for p in ("it", "her", "him")]
    if old.accessory:
        options = [o + " instead" if dice.chance(0.5) else o for o in options]
        if _worn_once(scene, old.accessory.kind):
            options += [f"swap the {old.accessory.kind} for {thing}"]
    else:
        options += [f"put {thing} on {who}"]
        if len(scene.characters) == 1:
            options += [f"add {thing}"]
    changed = _with_character(scene, index, replace(old, accessory=new))
    return changed and Edit(dice.pick(options), f"{who} wears {thing} now", changed)


def edit_take(dice: Dice, scene: Scene) -> Edit | None:
    """Take an accessory off."""
    index = _index(dice, scene)
    old = scene.characters[index]
    if old.accessory is None:
        return None
    who, thing = reference(scene, index), old.accessory.kind
    options = [f"take the {thing} off {who}"]
    if _worn_once(scene, thing):
        options = [f"take off the {thing}", f"remove the {thing}", f"without the {thing}, please"]
    changed = _with_character(scene, index, replace(old, accessory=None))
    return changed and Edit(dice.pick(options), f"the {thing} is gone", changed)


def edit_accessory_color(dice: Dice, scene: Scene) -> Edit | None:
    index = _index(dice, scene)
    old = scene.characters[index]
    if old.accessory is None:
        return None
    thing = old.accessory.kind
    if not _worn_once(scene, thing):
        return None
    color = _other(dice, tuple(COLORS), old.color, old.accessory.color)
    options = (f"make the {thing} {color}", f"change the {thing} to {color}",
               f"the {thing} should be {color}", f"paint the {thing} {color}")  # fmt: skip
    changed = _with_character(scene, index, replace(old, accessory=Accessory(thing, color)))
    return changed and Edit(dice.pick(options), f"the {thing} is {color} now", changed)


def edit_color(dice: Dice, scene: Scene) -> Edit | None:
    index = _index(dice, scene)
    old = scene.characters[index]
    taken = (old.color, old.accessory.color) if old.accessory else (old.color,)
    color = _other(dice, tuple(COLORS), *taken)
    who = reference(scene, index)
    options = (f"make {who} {color}", f"change {who} to {color}", f"paint {who} {color}",
               f"turn {who} {color}")  # fmt: skip
    changed = _with_character(scene, index, replace(old, color=color))
    return changed and Edit(dice.pick(options), f"the {old.kind} is {color} now", changed)


def edit_add_prop(dice: Dice, scene: Scene) -> Edit | None:
    count = len(scene.characters)
    room = MAX_PROPS if count < 3 else 1
    free = [g for g in range(count + 1) if g not in [p.gap for p in scene.props]]
    if len(scene.props) >= room or scene.sticker:
        return None
    kind = _other(dice, PROPS, *(p.kind for p in scene.props))
    gap = dice.pick(free)
    where = f" {position(gap, count)}" if dice.chance(0.6) else ""
    thing, beside = article(kind), reference(scene, min(gap, count - 1))
    options = (f"add {thing}{where}", f"put {thing}{where or f' next to {beside}'}",
               f"there should be {thing}{where}", f"include {thing}{where}")  # fmt: skip
    props = tuple(sorted((*scene.props, Prop(kind, gap)), key=lambda p: p.gap))
    answer = f"there is {thing} {position(gap, count)} now"
    return Edit(dice.pick(options), answer, replace(scene, props=props))


def edit_remove_prop(dice: Dice, scene: Scene) -> Edit | None:
    if not scene.props:
        return None
    gone = dice.pick(scene.props)
    options = (f"remove the {gone.kind}", f"take away the {gone.kind}",
               f"the same without the {gone.kind}", f"leave out the {gone.kind}")  # fmt: skip
    props = tuple(p for p in scene.props if p is not gone)
    return Edit(dice.pick(options), f"the {gone.kind} is gone", replace(scene, props=props))


def edit_swap_prop(dice: Dice, scene: Scene) -> Edit | None:
    if not scene.props:
        return None
    old = dice.pick(scene.props)
    kind = _other(dice, PROPS, *(p.kind for p in scene.props))
    new = article(kind)
    options = (f"swap the {old.kind} for {new}", f"turn the {old.kind} into {new}",
               f"{new} instead of the {old.kind}")  # fmt: skip
    props = tuple(Prop(kind, p.gap) if p is old else p for p in scene.props)
    return Edit(dice.pick(options), f"now there is {new}", replace(scene, props=props))


MAKERS: dict[Maker, float] = {
    edit_time: 3, edit_place: 3, edit_weather: 2, edit_style: 1.5, edit_action: 3, edit_facing: 0.7,
    edit_give: 2.5, edit_take: 1, edit_accessory_color: 1.5, edit_color: 1.5, edit_add_prop: 2,
    edit_remove_prop: 1, edit_swap_prop: 1,
}  # fmt: skip
POLITE = ("{}.", "{}.", "{}.", "{}", "Now {}.", "Please {}.", "Can you {}?", "{}, please.", "{}!")
ANSWERS = ("{}.", "{}.", "{}.", "Done: {}.", "Of course: {}.", "All right, {}.")


def sample_edit(dice: Dice, scene: Scene) -> Edit:
    """One edit of `scene`, now and then two at once, of different slots."""
    edit = _one_edit(dice, scene)
    if dice.chance(0.12):
        second = _one_edit(dice, edit.scene)
        orders = [edit.instruction, second.instruction]
        again = _changed(scene, edit.scene) & _changed(edit.scene, second.scene)
        renamed = _names(scene) != _names(edit.scene)
        if not (again or renamed) and all(order.split()[0] in _VERBS for order in orders):
            # Said last, "it" would be what the other order names: a hat to move to the lake.
            orders.sort(key=lambda order: order.split()[1] not in ("it", "them"))
            return Edit(" and ".join(orders), "done", second.scene)
    return edit


def _names(scene: Scene) -> list[str]:
    return [reference(scene, index) for index in range(len(scene.characters))]


def _changed(before: Scene, after: Scene) -> set[str]:
    """The slots of the scene and of its characters that differ."""
    figures = zip(before.characters, after.characters, strict=True)
    pairs = [(vars(old), vars(new)) for old, new in ((before, after), *figures)]
    return {name for old, new in pairs for name in old if old[name] != new[name]} - {"characters"}


_VERBS = frozenset({
    "make", "change", "let", "show", "put", "move", "take", "clear", "add", "redraw", "redo",
    "use", "have", "turn", "give", "dress", "swap", "paint", "remove", "leave", "include", "stop",
})  # fmt: skip


def _one_edit(dice: Dice, scene: Scene) -> Edit:
    while True:
        edit = dice.weighted(MAKERS)(dice, scene)
        if edit is not None and edit.scene != scene:
            return edit


def phrase_order(dice: Dice, instruction: str) -> str:
    """The instruction as a user types it."""
    first = instruction.split()[0]
    forms = POLITE if first in _VERBS else POLITE[:4]
    if instruction.endswith("please"):
        forms = POLITE[:2]
    text = dice.pick(forms).replace("{}", instruction)
    return text if dice.chance(0.15) else capital(text)


def phrase_answer(dice: Dice, answer: str) -> str:
    """The short sentence before the changed picture."""
    if answer == "done":
        return dice.pick(("Done.\n", "Here you are.\n", "Here it is.\n"))
    return capital(dice.pick(ANSWERS).replace("{}", answer)) + "\n"


def edit_asked(scene: Scene) -> dict[str, Any]:
    """The changed scene as demands."""
    asked: dict[str, Any] = {
        "pictures": 1,
        "style": scene.style,
        "characters": [full_slots(c) for c in scene.characters],
        "props": [p.kind for p in scene.props],
    }
    if scene.sticker:
        return {**asked, "sticker": True}
    return {**asked, "place": scene.place, "time": scene.time, "weather": scene.weather}


def edit_document(dice: Dice, held_out: bool) -> tuple[Turn, ...]:
    """The user's picture and an instruction; a sentence and the changed picture."""
    size = (256, 256) if dice.chance(0.93) else dice.pick(((384, 256), (256, 384), (384, 160)))
    count = dice.weighted({1: 0.6, 2: 0.3, 3: 0.1})
    scene = sample_scene(dice.generator, characters=count, held_out=held_out, size=size)
    edit = sample_edit(dice, scene)
    order = Text(phrase_order(dice, edit.instruction))
    parts = (given(scene), order) if dice.chance(0.8) else (order, given(scene))
    answer = [Text(phrase_answer(dice, edit.answer))] if dice.chance(0.85) else []
    return (
        Turn("user", parts, asked=edit_asked(edit.scene)),
        Turn("assistant", (*answer, draw(edit.scene, dice))),
    )
