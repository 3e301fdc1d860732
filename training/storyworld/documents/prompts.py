"""What users write to get a story: from "a story about a fox" to a full order.

A prompt names any subset of a finished story's facts, and records what it named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from training.storyworld.documents.cast import PRONOUNS
from training.storyworld.documents.dice import Dice
from training.storyworld.documents.pictures import Wish
from training.storyworld.documents.setting import TO_PLACE
from training.storyworld.documents.templates import fill
from training.storyworld.documents.wording import (
    KIND_WORDS,
    NUMBERS,
    PLACE_PHRASES,
    STYLE_PHRASES,
    TIME_PHRASES,
    capital,
    dressed_in,
    listed,
    plural,
    tinted,
    usual,
    worn,
)
from training.storyworld.text import article

if TYPE_CHECKING:
    from training.storyworld.documents.stories import Story

FORMS = (
    "[Tell|Write|Make|Create] [|me ]an illustrated story about {hero}.",
    "[Tell|Write] [|me ]a [|short |little |picture |bedtime ]story about {hero}.",
    "[A|A short|An illustrated|A picture] story about {hero}",
    "a story about {hero}",
    "A [picture book|children's story|bedtime story] about {hero}[, please|.|]",
    "[I want|I'd like|I would like] [a story|a picture book|an illustrated story] about {hero}.",
    "[Can|Could] you [tell|write] [|me ][a story|an illustrated story] about {hero}?",
    "Please [tell|write] a story about {hero}.",
    "story about {hero}",
)
KIND_FORMS = (
    "My [daughter|little girl] loves {kinds}. [Tell|Write] [her|us|me] a story about one.",
    "My [son|little boy] loves {kinds}. [Tell|Write] [him|us|me] a story about one.",
    "We love {kinds}! A story about one, please.",
    "Do you know a story about {kinds}? Just one will do.",
)
OPEN_FORMS = (
    "Tell me a story.", "A story, please.", "Write an illustrated story.",
    "Surprise me with a story.", "Tell me a bedtime story.", "I'd like a picture story.",
)  # fmt: skip
COUNT_FORMS = (
    "In {n} pictures.", "With {n} pictures.", "Use {n} illustrations.",
    "It should have {n} pictures.", "{n} pictures, please.", "Draw {n} pictures for it.",
)  # fmt: skip
COUNT_TAILS = ("in {n} pictures", "with {n} illustrations", "with {n} pictures")


def story_prompt(dice: Dice, story: Story) -> Wish:
    """A prompt for `story` with what it asks for."""
    wish = Wish()
    wish.asked["pictures"] = None
    kind = story.teller.hero.character.kind
    roll = dice.words.random()
    if roll < 0.04 and not story.named:
        wish.words = dice.pick(OPEN_FORMS)
    elif roll < 0.09 and not story.named:
        wish.words = fill(dice, dice.pick(KIND_FORMS), {"kinds": plural(kind)})
        wish.asked["characters"] = [{"kind": kind}]
    else:
        hero, tail = _hero(dice, story, wish.asked), ""
        if story.count_asked and dice.chance(0.5):
            tail = dice.pick(COUNT_TAILS).replace("{n}", _number(dice, story, wish.asked))
            # After a long phrase, "with three pictures" would seem to belong to its last words.
            tail = f"{',' if ',' in hero or len(hero.split()) > 4 else ''} {tail}"
        wish.words = fill(dice, dice.pick(FORMS), {"hero": hero + tail})
        if not tail and dice.chance(0.06) and " who " not in hero:
            wish.words = f"Once upon a time there was {hero}."
        if dice.chance(0.05) and not tail:
            wish.words = _listed(dice, story, wish.asked)
    _wishes(dice, story, wish)
    return wish


def _listed(dice: Dice, story: Story, asked: dict[str, Any]) -> str:
    """ "A story with a fox, a lantern and rain": ingredients that the story holds."""
    scenes = story.scenes
    asked.pop("names", None)
    hero = story.teller.hero.character
    asked["characters"] = [{"kind": hero.kind}]
    items = [article(hero.kind)]
    props = sorted({p.kind for s in scenes for p in s.props})
    if props:
        asked["props"] = [dice.pick(props)]
        items.append(article(asked["props"][0]))
    asked["place"] = dice.pick(scenes).place
    items.append(f"the {asked['place']}")
    if any(s.weather in ("rain", "snow") for s in scenes):
        items.append(next(s.weather for s in scenes if s.weather in ("rain", "snow")))
        asked["weather"] = items[-1]
    form = dice.pick(("A story with {}.", "Tell a story with {}.", "Write a story with {} in it."))
    return form.format(listed(items))


def _number(dice: Dice, story: Story, asked: dict[str, Any]) -> str:
    count = len(story.scenes)
    asked["pictures"] = count
    return str(count) if dice.chance(0.5) else NUMBERS[count]


def _hero(dice: Dice, story: Story, asked: dict[str, Any]) -> str:
    """ "a red fox named Ruby who finds a lantern in the forest"."""
    teller, detail = story.teller, dice.pick((0.1, 0.4, 0.7, 0.9))
    hero = teller.hero
    look = hero.character
    slots = {"kind": look.kind}
    noun = dice.pick(KIND_WORDS[look.kind]) if dice.chance(0.08) else look.kind
    if dice.chance(0.2 + 0.7 * detail):
        slots["color"] = look.color
        noun = tinted(look.color, noun)
    words = article(noun)
    if story.named:
        asked["names"] = [hero.name]
        called = dice.pick(("named {}", "called {}", "with the name {}"))
        words = f"{words} {called}" if dice.chance(0.6) else f"{{}}, {words},"
        if words.startswith("{}") and dice.chance(0.5):
            words = f"{{}} the {noun}"
        words = words.replace("{}", hero.name)
    if look.accessory is not None and dice.chance(0.5 * detail):
        slots["accessory"] = f"{look.accessory.color} {look.accessory.kind}"
        thing = look.accessory
        forms = (f"with {worn(thing)}", f"wearing {worn(thing)}", dressed_in(thing))
        comma = "," if words.endswith(",") else ""
        words = f"{words.rstrip(',')} {dice.pick(forms)}{comma}"
    asked["characters"] = [slots]
    if story.plot.friend and dice.chance(0.25):
        words += f" and {_friend(dice, story, asked)}"
    elif dice.chance(0.2 + 0.6 * detail):
        words += f" who {_hint(dice, story, asked)}"
    if "place" not in asked and dice.chance(0.4 * detail):
        asked["place"] = story.scenes[0].place
        words += f" {usual(dice, PLACE_PHRASES[story.scenes[0].place])}"
    return words.rstrip(",")


def _friend(dice: Dice, story: Story, asked: dict[str, Any]) -> str:
    """ "a bear", "her friend Otto" or "her friend Otto, a blue bear"."""
    friend = story.teller.friend
    look = friend.character
    slots = {"kind": look.kind}
    noun = look.kind
    if dice.chance(0.4):
        slots["color"] = look.color
        noun = f"{look.color} {look.kind}"
    asked["characters"].append(slots)
    if story.named and dice.chance(0.5):
        asked["names"].append(friend.name)
        his = PRONOUNS[story.teller.hero.pronoun][2]
        return f"{his} friend {friend.name} the {noun}"
    return article(noun)


def _hint(dice: Dice, story: Story, asked: dict[str, Any]) -> str:
    teller = story.teller
    if dice.chance(0.15):
        return _place_hint(dice, story, asked)
    hint = dice.pick(story.plot.hints)
    friend = teller.friend.character
    if "f_kind}" in hint:
        asked["characters"].append({"kind": friend.kind})
    if "thing}" in hint:
        asked["props"] = [teller.things["thing"]]
    his = PRONOUNS[teller.hero.pronoun][2] if dice.chance(0.6) or story.named else "its"
    return hint.format(
        thing=teller.things["thing"], a_thing=article(teller.things["thing"]),
        a_f_kind=article(friend.kind), his=his,
    )  # fmt: skip


def _place_hint(dice: Dice, story: Story, asked: dict[str, Any]) -> str:
    """ "lives in the forest" or "goes down to the beach"."""
    visited = [s.place for s in story.scenes if s.place != story.scenes[0].place]
    if not visited:
        asked["place"] = story.scenes[0].place
        return f"{dice.pick(('lives', 'is'))} {PLACE_PHRASES[story.scenes[0].place][0]}"
    asked["place"] = dice.pick(visited)
    verb = dice.pick(("goes", "walks", "travels"))
    return f"{verb} {dice.pick((TO_PLACE[asked['place']], 'to the ' + asked['place']))}"


def _wishes(dice: Dice, story: Story, wish: Wish) -> None:
    """Further sentences: the number of pictures, the style, the friend, the size."""
    more = []
    if story.count_asked and wish.asked["pictures"] is None:
        number = _number(dice, story, wish.asked)
        more.append(dice.pick(COUNT_FORMS).replace("{n}", number))
    if dice.chance(0.06):
        wish.asked["time"] = story.scenes[0].time
        more.append(f"It should begin {TIME_PHRASES[story.scenes[0].time][0]}.")
    if dice.chance(0.1):
        wish.asked["style"] = story.teller.style
        style = dice.pick(STYLE_PHRASES[story.teller.style])
        more.append(
            dice.pick(("Draw it {}.", "I would like it {}.", "{}, please.")).replace("{}", style)
        )
    if story.size_word:
        wish.asked["size"] = list(story.teller.size)
        more.append(f"{capital(story.size_word)} pictures, please.")
    if more:
        start = wish.words if wish.words.endswith((".", "?", "!")) else wish.words + "."
        wish.words = " ".join([start, *(capital(m) for m in more)])
