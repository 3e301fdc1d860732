"""The teller: plays a plot's beats on a cast and a setting, so words and pictures agree.

A `Beat` says what happens; the teller keeps place, time and weather from beat to beat, fills the
sentences from the very state that the picture shows, and draws that state.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from training.storyworld.documents.cast import Member
from training.storyworld.documents.dice import Dice
from training.storyworld.documents.setting import (
    LATER,
    ONE_TIME,
    PLACE_LINES,
    SOON,
    THING_LINES,
    TO_PLACE,
    WEATHER_LINES,
)
from training.storyworld.documents.templates import fill
from training.storyworld.documents.wording import PLACE_PHRASES, capital
from training.storyworld.sampling import place_characters
from training.storyworld.scene import PLACES, TIMES, Character, Prop, Scene
from training.storyworld.text import article

INTRO_WORN = (
    "[Once upon a time there was {a_look} named {name}, who always wore {worn}.|There once was "
    "{a_look} called {name}. {He} wore {worn} every single day.|{name} was {a_look} with {worn}.|"
    "This is the story of {name}, {a_look} who never went out without {his} {worn_name}.|"
    "{name} the {look} loved {his} {worn_name}.]"
)
INTRO_PLAIN = (
    "[Once upon a time there was {a_look} named {name}.|There once was {a_look} called {name}.|"
    "{name} was {a_look}.|This is the story of {name}, a little {look}.|"
    "Do you know {name}? {He} is {a_look}.]"
)


@dataclass(frozen=True)
class Beat:
    """One event and its picture.

    `text` is a template. `friend` and `guests` are the actions of those who are there too, `props`
    the roles shown ("thing", "second", or a kind). `place` is None to stay, "next" for a new one,
    "home" for the first, or a place. `time` is None to stay, "later" for the next time of day,
    "late" for the evening where it is not yet evening or night, or a time. A beat is told only
    where earlier beats of the plot gave all that it `needs`, and not what `unless` names.
    """

    text: str
    action: str = "standing"
    friend: str | None = None
    guests: tuple[str, ...] = ()
    props: tuple[str, ...] = ()
    place: str | None = None
    time: str | None = None
    weather: str | None = None
    gives: str = ""
    needs: tuple[str, ...] = ()
    unless: str = ""


@dataclass
class Teller:
    """The state of a story. `friend` may be there or not; `things` maps prop roles to kinds."""

    dice: Dice
    hero: Member
    friend: Member
    guests: tuple[Character, ...]
    things: dict[str, str]
    place: str
    time: str
    weather: str
    style: str
    size: tuple[int, int]
    route: list[str]
    hero_left: bool = True
    drift: bool = False
    told: list[tuple[str, Scene]] = field(default_factory=list)

    def play(self, beat: Beat) -> None:
        """Tell one beat and draw it."""
        moved, later = self._move(beat)
        text = fill(self.dice, beat.text, self.fields(moved, later))
        self.told.append((polish(text), self._scene(beat)))

    def say(self, template: str) -> str:
        """A sentence about the present state, without a picture."""
        return polish(fill(self.dice, template, self.fields(False, False)))

    def _move(self, beat: Beat) -> tuple[bool, bool]:
        before = (self.place, self.time)
        if beat.place == "next":
            self.place = self.route.pop(0) if self.route else self._elsewhere()
        elif beat.place == "home":
            self.place = self.told[0][1].place
        elif beat.place is not None:
            self.place = beat.place
        if beat.time == "later":
            self.time = TIMES[(TIMES.index(self.time) + 1) % len(TIMES)]
        elif beat.time == "late":
            self.time = max(self.time, "evening", key=TIMES.index)
        elif beat.time is not None:
            self.time = beat.time
        elif self._drifts(beat):
            self.time = TIMES[TIMES.index(self.time) + 1]
        if beat.weather is not None:
            self.weather = beat.weather
        return self.place != before[0], self.time != before[1]

    def _drifts(self, beat: Beat) -> bool:
        """Whether time passes unasked; only where the sentence says so, and never past night."""
        says = beat.text.startswith("{then}") and self.told
        return bool(self.drift and says and self.time != "night" and self.dice.chance(0.3))

    def _elsewhere(self) -> str:
        return self.dice.pick([p for p in PLACES if p != self.place])

    def fields(self, moved: bool, later: bool) -> dict[str, str]:
        dice = self.dice
        hero = self.hero.fields()
        line = dice.pick(PLACE_LINES[self.place])
        air = dice.pick(WEATHER_LINES[self.weather][self.time])
        then = dice.pick(LATER[self.time]) if later else dice.pick(SOON)
        return {
            **hero,
            **self.friend.fields("f_"),
            "one_time": ONE_TIME[self.time],
            "then": then,
            "at_place": PLACE_PHRASES[self.place][0],
            "to_place": TO_PLACE[self.place],
            "At_place": capital(PLACE_PHRASES[self.place][0]),
            "the_place": f"the {self.place}",
            "line": line if dice.chance(0.6) else "",
            "air": air if dice.chance(0.45) else "",
            "must_air": air,
            "must_line": line,
            "thing": self.things["thing"],
            "a_thing": article(self.things["thing"]),
            "A_thing": capital(article(self.things["thing"])),
            "thing_line": dice.pick(THING_LINES[self.things["thing"]]).format_map(hero),
            "second": self.things["second"],
            "a_second": article(self.things["second"]),
            "one_time_lower": ONE_TIME[self.time].lower(),
            "intro": self._intro(hero),
        }

    def _intro(self, hero: dict[str, str]) -> str:
        """Who the story is about; only the first beat may use it."""
        return fill(self.dice, INTRO_WORN if hero["worn"] else INTRO_PLAIN, hero) + " "

    def _scene(self, beat: Beat) -> Scene:
        left, right = ("right", "left") if self.hero_left else ("left", "right")
        together = beat.friend in ("walking", "running") and beat.action == beat.friend
        facing = left
        cast = [replace(self.hero.character, action=beat.action, facing=facing)]
        if beat.friend is not None:
            other = left if together else right
            cast.append(replace(self.friend.character, action=beat.friend, facing=other))
        for guest, action in zip(self.guests, beat.guests, strict=False):
            cast.append(replace(guest, action=action, facing=right))
        if not self.hero_left:
            cast.reverse()
        placed = place_characters(cast)
        return Scene(
            placed, self.place, self.time, self.weather, self.style,
            self._props(beat, len(cast)), size=self.size,
        )  # fmt: skip

    def _props(self, beat: Beat, count: int) -> tuple[Prop, ...]:
        """The beat's props, the first one right before the hero, as far as there is room."""
        room = 2 if count < 3 else 1
        kinds = [self.things.get(p, p) for p in beat.props][:room]
        front = 1 if self.hero_left else count - 1
        gaps = [front] + [g for g in (count, 0) if g != front]
        props = [Prop(kind, gap) for kind, gap in zip(kinds, gaps, strict=False)]
        return tuple(sorted(props, key=lambda p: p.gap))


def polish(text: str) -> str:
    """Capitals after full stops, single spaces, and the paragraph's end."""
    words = " ".join(text.split())
    for mark in (". ", "! ", "? ", '" '):
        pieces = words.split(mark)
        if mark != '" ':
            words = mark.join(capital(p) for p in pieces)
    return capital(words) + "\n"
