"""Stories: a plot, a cast and a setting make the document; the prompt then names some of it.

The story comes first and the prompt afterwards, so whatever a prompt names holds in the story, and
whatever it leaves out is for the model to invent.
"""

from __future__ import annotations

from dataclasses import dataclass

from training.storyworld.documents.cast import renamed, sample_member, sample_other
from training.storyworld.documents.dice import Dice
from training.storyworld.documents.document import Part, Text, Turn
from training.storyworld.documents.pictures import draw, sample_size
from training.storyworld.documents.plots import INTERLUDES, PLOTS, Plot
from training.storyworld.documents.prompts import story_prompt
from training.storyworld.documents.teller import Beat, Teller
from training.storyworld.scene import PLACES, PROPS, STYLES, Scene


@dataclass(frozen=True)
class Story:
    """A finished story with what its prompt may name."""

    plot: Plot
    teller: Teller
    close: str
    count_asked: bool
    size_word: str
    named: bool

    @property
    def scenes(self) -> tuple[Scene, ...]:
        return tuple(scene for _, scene in self.teller.told)


def sample_story(dice: Dice, held_out: bool) -> Story:
    """A story of three to five pictures, or of two to twelve where the prompt will say so."""
    plot = dice.pick(PLOTS)
    count_asked = dice.chance(0.35)
    count = dice.number(3, 5)
    if count_asked and dice.chance(0.5):
        count = dice.number(2, 12)
    size, size_word = sample_size(dice, 0.06)
    named = dice.chance(0.3)
    teller = _teller(dice, plot, held_out, size, 0.35 if named else 0.0)
    _play(teller, plot, count)
    return Story(plot, teller, teller.say(dice.pick(plot.close)), count_asked, size_word, named)


def _teller(
    dice: Dice, plot: Plot, held_out: bool, size: tuple[int, int], invented: float
) -> Teller:
    hero = renamed(dice, sample_member(dice, held_out), invented)
    friend = sample_member(dice, held_out, (hero,))
    looks = [hero.character, friend.character]
    for _ in range(2):
        looks.append(sample_other(dice, held_out, looks))
    allowed = [p for p in PLACES if p not in plot.avoid]
    places = dice.some(allowed, min(8, len(allowed)))
    if plot.places:
        start = dice.pick(plot.places)
        places = [start, *(p for p in places if p != start)]
    thing = dice.pick(plot.things or PROPS)
    second = dice.pick([t for t in plot.seconds or PROPS if t != thing])
    return Teller(
        dice=dice, hero=hero, friend=friend, guests=tuple(looks[2:]),
        things={"thing": thing, "second": second},
        place=places[0], time=dice.pick(plot.times), weather=dice.pick(plot.weathers),
        style=dice.pick(STYLES), size=size, route=places[1:], hero_left=dice.chance(0.7),
        drift=plot.drift,
    )  # fmt: skip


def _play(teller: Teller, plot: Plot, count: int) -> None:
    beats = choose_beats(teller.dice, plot, count)
    # A place that a later beat names is not visited before.
    named = {beat.place for beat in beats}
    teller.route = [p for p in teller.route if p not in named]
    for beat in beats:
        teller.play(beat)


MOST_OF_A_PLOT = 8


def choose_beats(dice: Dice, plot: Plot, count: int) -> list[Beat]:
    """An opening, `count` - 2 of the middle beats in order, and an ending that fits them; where
    these are more than a plot has, interludes among them."""
    own = count if count <= MOST_OF_A_PLOT else dice.number(6, MOST_OF_A_PLOT)
    between = dice.some(INTERLUDES, count - own)
    while True:
        middle = dice.ordered(plot.middle, own - 2)
        for beat in between:
            middle.insert(dice.number(0, len(middle)), beat)
        beats = [dice.pick(plot.opening), *middle, dice.pick(plot.ending)]
        given: set[str] = set()
        for beat in beats:
            if beat.unless in given - {""} or not given.issuperset(beat.needs):
                break
            given.add(beat.gives)
        else:
            return beats


def story_turns(dice: Dice, story: Story) -> tuple[Turn, Turn]:
    wish = story_prompt(dice, story)
    parts: list[Part] = []
    for text, scene in story.teller.told:
        parts += [Text(text), draw(scene, dice)]
    parts.append(Text(story.close))
    return Turn("user", (Text(wish.words),), asked=wish.asked), Turn("assistant", tuple(parts))


def story_document(dice: Dice, held_out: bool) -> tuple[Turn, ...]:
    """A prompt and its illustrated story."""
    return story_turns(dice, sample_story(dice, held_out))
