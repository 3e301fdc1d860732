"""Understanding: captions of a picture, and questions that its pixels answer.

The assistant answers in text only. `asked["answer"]` holds words that a right answer contains.
"""

from __future__ import annotations

from collections.abc import Callable

from training.storyworld.documents.dice import Dice
from training.storyworld.documents.document import Text, Turn, given
from training.storyworld.documents.wording import (
    NUMBERS,
    WEATHER_SENTENCES,
    capital,
    caption,
    listed,
    place_phrase,
    plural,
    reference,
    time_phrase,
    who,
    worn,
)
from training.storyworld.sampling import sample_scene
from training.storyworld.scene import KINDS, PROPS, Scene
from training.storyworld.text import article, position

CAPTION_REQUESTS = (
    "Describe this picture.", "What is in this picture?", "What do you see?",
    "Caption this picture.", "Tell me what this shows.", "Describe the image in detail.",
    "What is happening here?", "describe", "Please describe what you see.",
)  # fmt: skip
SHORT_REQUESTS = (
    "Give it a short caption.", "A short caption, please.", "Describe it in a few words.",
    "One short line about this picture.",
)  # fmt: skip
Answer = tuple[str, str, list[str]]
Asker = Callable[[Dice, Scene], "Answer | None"]


def _ask(
    dice: Dice, scene: Scene, question: str, answer: str, asked: list[str]
) -> tuple[Turn, ...]:
    text = Text(question)
    parts = (given(scene), text) if dice.chance(0.8) else (text, given(scene))
    user = Turn("user", parts, asked={"pictures": 0, "answer": asked})
    return user, Turn("assistant", (Text(answer),))


def _scene(dice: Dice, held_out: bool) -> Scene:
    size = (256, 256) if dice.chance(0.93) else dice.pick(((384, 256), (256, 384), (384, 160)))
    return sample_scene(dice.generator, held_out=held_out, size=size)


def caption_document(dice: Dice, held_out: bool) -> tuple[Turn, ...]:
    scene = _scene(dice, held_out)
    words = [w for c in scene.characters for w in (c.color, c.kind)]
    if dice.chance(0.25):
        names = listed([article(f"{c.color} {c.kind}") for c in scene.characters])
        line = f"{capital(names)} {place_phrase(scene.place)} {time_phrase(scene.time)}."
        return _ask(dice, scene, dice.pick(SHORT_REQUESTS), line, words)
    words += [scene.place, *(p.kind for p in scene.props)]
    return _ask(dice, scene, dice.pick(CAPTION_REQUESTS), caption(scene), words)


def how_many(dice: Dice, scene: Scene) -> Answer:
    count = len(scene.characters)
    noun = "one animal" if count == 1 else f"{NUMBERS[count]} animals"
    verb = "is" if count == 1 else "are"
    question = dice.pick(("How many animals are there?", "How many animals do you see?",
                          "Count the animals.", "How many are in the picture?"))  # fmt: skip
    return question, f"There {verb} {noun}.", [NUMBERS[count]]


def how_many_kind(dice: Dice, scene: Scene) -> Answer:
    kind = dice.pick([c.kind for c in scene.characters] if dice.chance(0.7) else KINDS)
    count = sum(c.kind == kind for c in scene.characters)
    noun = kind if count == 1 else plural(kind)
    answer = f"There {'is' if count == 1 else 'are'} {NUMBERS[count]} {noun}."
    return f"How many {plural(kind)} are there?", answer, [NUMBERS[count]]


def what_color(dice: Dice, scene: Scene) -> Answer | None:
    index = dice.number(0, len(scene.characters) - 1)
    chosen = scene.characters[index]
    if sum(c.kind == chosen.kind for c in scene.characters) > 1:
        return None
    question = dice.pick((f"What colour is the {chosen.kind}?", f"What color is the {chosen.kind}?",
                          f"Which colour does the {chosen.kind} have?"))  # fmt: skip
    return question, f"The {chosen.kind} is {chosen.color}.", [chosen.color]


def what_worn(dice: Dice, scene: Scene) -> Answer:
    index = dice.number(0, len(scene.characters) - 1)
    chosen = scene.characters[index]
    name = reference(scene, index)
    question = f"What is {name} wearing?"
    if chosen.accessory is None:
        return question, f"{capital(name)} is wearing nothing special.", ["nothing"]
    asked = [chosen.accessory.color, chosen.accessory.kind]
    return question, f"{capital(name)} is wearing {worn(chosen.accessory)}.", asked


def accessory_color(dice: Dice, scene: Scene) -> Answer | None:
    dressed = [c.accessory for c in scene.characters if c.accessory is not None]
    single = [a for a in dressed if sum(b.kind == a.kind for b in dressed) == 1]
    if not single:
        return None
    chosen = dice.pick(single)
    question = dice.pick(
        (f"What colour is the {chosen.kind}?", f"What color is the {chosen.kind}?")
    )
    return question, f"The {chosen.kind} is {chosen.color}.", [chosen.color]


def who_wears(dice: Dice, scene: Scene) -> Answer | None:
    dressed = [c for c in scene.characters if c.accessory is not None]
    single = [
        c for c in dressed
        if sum(d.accessory.kind == c.accessory.kind for d in dressed if d.accessory) == 1
        and c.accessory
    ]  # fmt: skip
    if not single:
        return None
    chosen = dice.pick(single)
    assert chosen.accessory is not None
    question = f"Who is wearing the {chosen.accessory.kind}?"
    name = reference(scene, scene.characters.index(chosen))
    return question, f"{capital(name)} is wearing it.", [chosen.kind]


def where(dice: Dice, scene: Scene) -> Answer:
    question = dice.pick(("Where is this?", "Where are they?" if len(scene.characters) > 1
                          else f"Where is the {scene.characters[0].kind}?",
                          "What place is this?"))  # fmt: skip
    subject = "They are" if len(scene.characters) > 1 else f"The {scene.characters[0].kind} is"
    return question, f"{subject} {place_phrase(scene.place)}.", [scene.place]


def time_of_day(dice: Dice, scene: Scene) -> Answer:
    question = dice.pick(("What time of day is it?", "Is it day or night?", "When is this?"))
    said = {"morning": "It is morning.", "day": "It is day.", "evening": "It is evening.",
            "night": "It is night."}[scene.time]  # fmt: skip
    return question, said, [scene.time]


def weather(dice: Dice, scene: Scene) -> Answer:
    question = dice.pick(("What is the weather like?", "How is the weather?", "Is it raining?"))
    said = WEATHER_SENTENCES[scene.weather]
    if question == "Is it raining?":
        lead = "Yes, " if scene.weather == "rain" else "No. "
        said = "Yes, it is raining." if scene.weather == "rain" else lead + said
    word = {"clear": "clear", "cloudy": "cloudy", "rain": "raining", "snow": "snowing"}
    return question, said, [word[scene.weather]]


def what_doing(dice: Dice, scene: Scene) -> Answer:
    index = dice.number(0, len(scene.characters) - 1)
    name = reference(scene, index)
    action = scene.characters[index].action
    question = dice.pick((f"What is {name} doing?", f"What does {name} do?"))
    return question, f"{capital(name)} is {action}.", [action]


def which_way(dice: Dice, scene: Scene) -> Answer:
    index = dice.number(0, len(scene.characters) - 1)
    name = reference(scene, index)
    facing = scene.characters[index].facing
    question = f"Which way is {name} facing?"
    return question, f"{capital(name)} is facing {facing}.", [facing]


def prop_there(dice: Dice, scene: Scene) -> Answer:
    """A yes-or-no question about a prop."""
    there = [p.kind for p in scene.props]
    kind = dice.pick(there) if there and dice.chance(0.5) else dice.pick(PROPS)
    question = dice.pick((f"Is there {article(kind)}?", f"Do you see {article(kind)}?"))
    if kind not in there:
        return question, f"No, there is no {kind}.", ["no"]
    gap = next(p.gap for p in scene.props if p.kind == kind)
    place = position(gap, len(scene.characters))
    return question, f"Yes, there is {article(kind)} {place}.", ["yes"]


def prop_where(dice: Dice, scene: Scene) -> Answer | None:
    if not scene.props:
        return None
    prop = dice.pick(scene.props)
    place = position(prop.gap, len(scene.characters))
    return f"Where is the {prop.kind}?", f"The {prop.kind} is {place}.", [place.split()[-1]]


def things(dice: Dice, scene: Scene) -> Answer:
    question = dice.pick(("What things are there?", "Which objects do you see?"))
    if not scene.props:
        return question, "There are no things here.", ["no"]
    names = [p.kind for p in scene.props]
    return question, f"There is {listed([article(n) for n in names])}.", names


def who_is(dice: Dice, scene: Scene) -> Answer:
    this = "Who is this?" if len(scene.characters) == 1 else "Who are they?"
    question = dice.pick(("Who is in the picture?", "Which animals do you see?", this))
    names = [who(c) for c in scene.characters]
    return question, f"{capital(listed(names))}.", [c.kind for c in scene.characters]


def order(dice: Dice, scene: Scene) -> Answer | None:
    if len(scene.characters) < 2:
        return None
    side = dice.pick(("left", "right"))
    chosen = scene.characters[0 if side == "left" else -1]
    name = f"the {chosen.color} {chosen.kind}"
    return (
        f"Who is on the {side}?",
        f"{capital(name)} is on the {side}.",
        [chosen.color, chosen.kind],
    )


ASKERS: dict[Asker, float] = {
    how_many: 1.5, how_many_kind: 1, what_color: 2, what_worn: 2, accessory_color: 1,
    who_wears: 0.7, where: 1.5, time_of_day: 1.5, weather: 1.5, what_doing: 1.5, which_way: 0.7,
    prop_there: 1.2, prop_where: 1, things: 1, who_is: 1.5, order: 1,
}  # fmt: skip


def sample_question(dice: Dice, scene: Scene) -> Answer:
    """(question, answer, words of the answer) about `scene`."""
    found = None
    while found is None:
        found = dice.weighted(ASKERS)(dice, scene)
    return found


def question_document(dice: Dice, held_out: bool) -> tuple[Turn, ...]:
    """One question about the user's picture, now and then a second one."""
    scene = _scene(dice, held_out)
    turns: tuple[Turn, ...] = ()
    for index in range(2 if dice.chance(0.2) else 1):
        question, answer, asked = sample_question(dice, scene)
        if index == 0:
            turns = _ask(dice, scene, question, answer, asked)
        else:
            user = Turn("user", (Text(question),), asked={"pictures": 0, "answer": asked})
            turns += (user, Turn("assistant", (Text(answer),)))
    return turns
