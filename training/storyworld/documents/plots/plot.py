"""What a plot is: ordered beats with wordings, and what a prompt may say about it.

Every sentence must be true of the picture it precedes, and what a beat does not show, its text does
not name: no other prop, place, time, weather or colour. Fields of templates:

| field | meaning |
| --- | --- |
| `{name} {he} {him} {his} {kind} {look}` | the hero; `{f_name}` and so on, the friend |
| `{a_look} {a_f_look}` | "a red fox" |
| `{thing} {a_thing} {second} {a_second}` | the props; `{thing_line}` praises the first |
| `{at_place} {to_place} {the_place}` | "in the forest", "into the forest", "the forest" |
| `{line} {air}` | true sentences on place and weather, or nothing |
| `{must_line} {must_air}` | the same, never nothing |
| `{then}` | "Then", "Soon", or the new time of day; a template adds no comma |
| `{one_time}` | "One morning"; `{intro}` introduces the hero and ends with a space |
"""

from __future__ import annotations

from dataclasses import dataclass

from training.storyworld.documents.teller import Beat

EARLY = ("morning", "morning", "day")
FAIR = ("clear", "clear", "cloudy")


@dataclass(frozen=True)
class Plot:
    """A story to be told in two to eight pictures, in more with interludes.

    One of `opening`, some of `middle` in order, one of `ending`, so that every beat has what it
    needs; then one of the `close` lines. `hints` complete "a fox who ..." and hold for every
    telling. `friend` says that the friend is in every telling; `things` limits the main prop,
    `places` the start; the story never goes to `avoid`; `drift` lets time pass by itself.
    """

    name: str
    hints: tuple[str, ...]
    opening: tuple[Beat, ...]
    middle: tuple[Beat, ...]
    ending: tuple[Beat, ...]
    close: tuple[str, ...]
    friend: bool = False
    things: tuple[str, ...] = ()
    seconds: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    times: tuple[str, ...] = EARLY
    weathers: tuple[str, ...] = FAIR
    avoid: tuple[str, ...] = ()
    drift: bool = True
