"""Scenes, dense prompts and readings in one form, the reader's, and counts of what agrees.

What agrees is decided by `scoring`; here it is counted. A scene and a dense prompt become the
reading that a perfect reader would give of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import permutations

from training.storyworld.canvas import rgb
from training.storyworld.characters import marking_color
from training.storyworld.reader import ReadCharacter, Reading, ReadMarkings
from training.storyworld.scene import COLORS, Character, Prop, Scene
from training.storyworld.scoring import (
    BACKDROP_SLOTS,
    FIGURE_SLOTS,
    NO_ACCESSORY,
    Score,
    Wanted,
    same_identity,
    score,
)
from training.storyworld.text import Description, parse

SLOTS = (
    "count", "kind", "color", "accessory", "accessory_color", "action", "facing",
    *BACKDROP_SLOTS, "props",
)  # fmt: skip
NAMED = ("kind", "color", "accessory", "accessory_color")
VISUAL = ("form", "hue", "scale", "angle")
# Sides may differ by this factor: "panoramic" says no number.
SAME_SHAPE = 1.4
# Pairing tries every order, and a picture never shows more than four.
MOST_FIGURES = 6
EMPTY = Reading((0, 0), False, None, None, None, None, ())


def read_character(character: Character) -> ReadCharacter:
    """A character as a perfect reader sees it."""
    markings = character.markings
    color = rgb(marking_color(character.color, markings.hue))
    return ReadCharacter(
        character.x, character.kind, character.color, character.accessory, character.action,
        character.facing, ReadMarkings(markings, color, 1.0), rgb(COLORS[character.color]),
    )  # fmt: skip


def read_scene(scene: Scene) -> Reading:
    """A scene as a perfect reader sees it: no place behind a sticker, no time on a poster."""
    place = None if scene.sticker else scene.place
    time, weather = scene.time, scene.weather
    if scene.sticker or scene.palette:
        time = weather = None
    return Reading(
        scene.size, scene.sticker, place, time, weather, scene.style,
        tuple(map(read_character, scene.characters)), scene.props, scene.palette,
    )  # fmt: skip


def read_dense(dense: str) -> Reading:
    """What a dense prompt says; gaps that it does not name count as 0."""
    said = parse(dense)
    figures = tuple(
        ReadCharacter(0.0, c.kind, c.color, c.accessory, c.action, c.facing, None)
        for c in said.characters[:MOST_FIGURES]
    )
    props = tuple(Prop(p.kind, p.gap or 0) for p in said.props)
    return Reading(
        (0, 0), said.sticker, said.place, said.time, said.weather, said.style, figures, props
    )


def wanted_from_dense(dense: str) -> Wanted:
    """What a dense prompt demands; a character without an accessory must wear none."""
    said: Description = parse(dense)
    figures = tuple(
        {s: getattr(c, s) for s in FIGURE_SLOTS if getattr(c, s) is not None}
        | {"accessory": c.accessory or NO_ACCESSORY}
        for c in said.characters[:MOST_FIGURES]
    )
    backdrop = {s: getattr(said, s) for s in BACKDROP_SLOTS if getattr(said, s) is not None}
    props = tuple(p.kind for p in said.props)
    return Wanted(figures, backdrop, props, len(figures) or None)


def says_everything(dense: str) -> bool:
    """Whether a dense prompt names every slot of its characters and its backdrop."""
    said = parse(dense)
    backdrop = all(getattr(said, s) is not None for s in BACKDROP_SLOTS)
    figures = [getattr(c, s) for c in said.characters for s in FIGURE_SLOTS]
    return backdrop and bool(figures) and None not in figures


@dataclass
class Tally:
    """Right and judged, by slot."""

    right: Counter[str] = field(default_factory=Counter)
    judged: Counter[str] = field(default_factory=Counter)

    def add(self, slot: str, right: bool) -> None:
        self.judged[slot] += 1
        self.right[slot] += right

    def update(self, other: Tally) -> None:
        self.right.update(other.right)
        self.judged.update(other.judged)

    @property
    def total(self) -> int:
        return self.judged.total()

    @property
    def all_right(self) -> bool:
        return self.right.total() == self.total

    @property
    def wrong(self) -> list[str]:
        """The slots that are not right everywhere."""
        return [slot for slot in self.judged if self.right[slot] < self.judged[slot]]

    def part(self, slots: Iterable[str]) -> Tally:
        """Of these slots only."""
        chosen = [slot for slot in slots if self.judged[slot]]
        right = Counter({slot: self.right[slot] for slot in chosen})
        return Tally(right, Counter({slot: self.judged[slot] for slot in chosen}))

    def share(self, slot: str | None = None) -> float | None:
        """The share that is right, of one slot or of all; None where nothing was judged."""
        right, judged = self.right.total(), self.total
        if slot is not None:
            right, judged = self.right[slot], self.judged[slot]
        return right / judged if judged else None


def total(tallies: Sequence[Tally]) -> Tally:
    """All of them together."""
    found = Tally()
    for tally in tallies:
        found.update(tally)
    return found


def tally_score(judged: Score) -> Tally:
    """A score with the same slot of all characters, and all props, under one name."""
    tally = Tally()
    for name, right in judged.slots.items():
        slot = "props" if name.startswith("prop.") else name.rpartition(".")[2]
        tally.add(slot, right)
    return tally


def judge(wanted: Wanted, seen: Reading | None) -> Tally:
    """Every slot asked for, judged in a reading; None is no picture, where nothing is right."""
    return tally_score(score(wanted, seen or EMPTY))


def _likeness(described: ReadCharacter, seen: ReadCharacter) -> int:
    # The kind weighs most, so that an animal is looked for where it stands.
    same = 3 * (described.kind == seen.kind) + (described.accessory == seen.accessory)
    return same + sum(getattr(described, s) == getattr(seen, s) for s in FIGURE_SLOTS[1:])


def pair(
    described: Sequence[ReadCharacter], seen: Sequence[ReadCharacter]
) -> list[tuple[ReadCharacter, ReadCharacter | None]]:
    """Every described character with the seen one that is most likely meant to be it, or None.

    Among equally likely pairings the one that keeps the order.
    """
    places = [*seen[:MOST_FIGURES], *[None] * max(0, len(described) - len(seen))]
    best: tuple[ReadCharacter | None, ...] = ()
    most = -1
    for order in permutations(places, len(described)):
        pairs = zip(described, order, strict=True)
        likeness = sum(_likeness(d, s) for d, s in pairs if s is not None)
        if likeness > most:
            most, best = likeness, order
    return list(zip(described, best, strict=True))


def identity(first: ReadCharacter | None, second: ReadCharacter | None) -> Tally:
    """Whether two figures are the same one: `named` attributes, the four of the markings, and
    `markings` where all four agree. A figure that is not there is nobody."""
    tally = Tally()
    named = dict.fromkeys(NAMED, False)
    visual = dict.fromkeys(VISUAL, False)
    if first is not None and second is not None:
        verdict = same_identity(first, second)
        named, visual = verdict.named, verdict.visual
    for right in named.values():
        tally.add("named", right)
    for slot, right in visual.items():
        tally.add(slot, right)
    tally.add("markings", all(visual.values()))
    return tally


def identities(wanted: Sequence[ReadCharacter], seen: Reading | None) -> Tally:
    """Identity of each wanted figure with the seen one that is most likely meant to be it."""
    found = pair(wanted, seen.characters if seen is not None else ())
    return total([identity(figure, other) for figure, other in found])


def same_shape(asked: tuple[int, int], drawn: tuple[int, int]) -> bool:
    """Whether a picture is about as wide for its height as asked."""
    ratio = (asked[0] * drawn[1]) / (asked[1] * drawn[0])
    return max(ratio, 1 / ratio) <= SAME_SHAPE
