"""What an edit changes and what it leaves, judged on a reading of the new picture.

An edit is the difference of two true scenes with the same cast. It is applied to what is known of
the picture before, and the outcome is held against the picture after: slots that the edit names are
`made` or not, all others that were known are `kept` or not. What was not known is not judged, and
nothing can be taken away that was not there.

| slot made | the edit |
| --- | --- |
| `place`, `time`, `weather`, `style` | changes the backdrop |
| `color`, `action`, `facing` | recolours a figure, gives it another pose, turns it round |
| `accessory`, `accessory_color`, `accessory_removed` | puts on or swaps, recolours, takes off |
| `prop_added`, `prop_removed` | adds a prop, takes one away; a swap does both |

| slot kept | what stayed |
| --- | --- |
| `place`, `time`, `weather`, `style` | the backdrop |
| as in `facts`, and `markings` where all four are right | the figures |
| `count`, `props`, `extra` | nobody came or went, props are still there, no other prop came |
| `size`, `sticker` | the picture's size, the transparent background |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from training.storyworld.canvas import rgb
from training.storyworld.characters import marking_color
from training.storyworld.facts import EMPTY, MOST_FIGURES, NAMED, VISUAL, Tally, pair, read_scene
from training.storyworld.reader import ReadCharacter, Reading
from training.storyworld.scene import Accessory, Scene
from training.storyworld.scoring import BACKDROP_SLOTS, FIGURE_SLOTS, same_identity

CHANGES = (
    "time", "place", "action", "accessory", "color", "prop_added", "weather", "style",
    "accessory_color", "prop_removed", "accessory_removed", "facing",
)  # fmt: skip
KEPT: dict[str, tuple[str, ...]] = {
    "place, time, weather, style": BACKDROP_SLOTS,
    "named attributes": NAMED,
    "pose": ("action", "facing"),
    "markings (all four)": ("markings",),
    "number of figures": ("count",),
    "props": ("props", "extra"),
}


@dataclass(frozen=True)
class Change:
    """An edit of the scene that `before` is the perfect reading of.

    `backdrop` and `figures` (by number from the left) hold the new values of slots; a figure's
    `accessory` None is taken off. `added` and `removed` are kinds of props.
    """

    before: Reading
    backdrop: Mapping[str, str]
    figures: Mapping[int, Mapping[str, Any]]
    added: tuple[str, ...]
    removed: tuple[str, ...]

    @property
    def slots(self) -> set[str]:
        """The kinds of change, each one of `CHANGES`."""
        found = set(self.backdrop)
        for number, values in self.figures.items():
            found.update(_touched(self.before.characters[number], values).values())
        if self.added:
            found.add("prop_added")
        if self.removed:
            found.add("prop_removed")
        return found


def change_of(before: Scene, after: Scene) -> Change:
    """The edit that makes one scene the other; both have the same characters in the same order."""
    figures = {}
    for number, (old, new) in enumerate(zip(before.characters, after.characters, strict=True)):
        named = (*FIGURE_SLOTS, "accessory")
        values = {s: getattr(new, s) for s in named if getattr(old, s) != getattr(new, s)}
        if values:
            figures[number] = values
    there, then = [p.kind for p in before.props], [p.kind for p in after.props]
    return Change(
        read_scene(before),
        {s: getattr(after, s) for s in BACKDROP_SLOTS if getattr(before, s) != getattr(after, s)},
        figures,
        tuple(kind for kind in then if kind not in there),
        tuple(kind for kind in there if kind not in then),
    )


def judge_change(
    change: Change, known: Reading | None, seen: Reading | None
) -> tuple[Tally, Tally]:
    """What was made of the change, and what was kept of all else.

    `known` is the picture before as far as it is known, None where there was none: then only the
    change is judged. `seen` None is no new picture, where nothing is right.
    """
    made, kept = Tally(), Tally()
    _judge_backdrop(change, known or EMPTY, seen, made, kept)
    _judge_figures(change, known or EMPTY, seen, made, kept)
    _judge_props(change, known, seen, made, kept)
    if known is not None:
        kept.add("count", seen is not None and seen.count == known.count)
        if known.size != EMPTY.size:
            kept.add("size", seen is not None and seen.size == known.size)
        if known.sticker:
            kept.add("sticker", seen is not None and seen.sticker)
    return made, kept


def _judge_backdrop(
    change: Change, known: Reading, seen: Reading | None, made: Tally, kept: Tally
) -> None:
    for slot in BACKDROP_SLOTS:
        value = change.backdrop.get(slot, getattr(known, slot))
        if value is not None:
            right = seen is not None and getattr(seen, slot) == value
            (made if slot in change.backdrop else kept).add(slot, right)


def _judge_props(
    change: Change, known: Reading | None, seen: Reading | None, made: Tally, kept: Tally
) -> None:
    there = {p.kind for p in seen.props} if seen is not None else set()
    before = {p.kind for p in known.props} if known is not None else set()
    for kind in change.added:
        made.add("prop_added", kind in there)
    for kind in before:
        if kind in change.removed:
            made.add("prop_removed", seen is not None and kind not in there)
        elif kind not in change.added:
            kept.add("props", kind in there)
    if known is not None:
        kept.add("extra", seen is not None and there <= before | {*change.added})


@dataclass(frozen=True)
class _Figure:
    """A figure as it should be, and the name of the change for each slot that the edit touches.

    `known` is the figure before, None where it was not there: then only the change is judged.
    """

    wanted: ReadCharacter
    touched: Mapping[str, str]
    known: ReadCharacter | None

    def judge(self, seen: ReadCharacter | None, made: Tally, kept: Tally) -> None:
        wanted = self.wanted
        if "color" in self.touched:
            wanted = _on_coat(wanted, seen.color if seen is not None else None)
        for slot, right in _verdicts(wanted, seen).items():
            name = self.touched.get(slot)
            if name is None:
                if self.known is not None:
                    kept.add(slot, right)
            elif name != "accessory_removed" or (self.known and self.known.accessory):
                made.add(name, right)


def _judge_figures(
    change: Change, known: Reading, seen: Reading | None, made: Tally, kept: Tally
) -> None:
    figures = _figures(change, known.characters)[:MOST_FIGURES]
    pairs = pair([f.wanted for f in figures], seen.characters if seen is not None else ())
    for figure, (_, found) in zip(figures, pairs, strict=True):
        figure.judge(found, made, kept)


def _figures(change: Change, known: Sequence[ReadCharacter]) -> list[_Figure]:
    """Everybody who was there, as they should be; and whom the edit names, there or not."""
    found, taken = [], []
    for number, (old, there) in enumerate(pair(change.before.characters, known)):
        values = change.figures.get(number, {})
        taken.append(id(there))
        if there is not None or values:
            base = there or ReadCharacter(old.x, old.kind, None, None, None, None, None)
            found.append(_Figure(_changed(base, old, values), _touched(old, values), there))
    others = [c for c in known if id(c) not in taken]
    return found + [_Figure(c, {}, c) for c in others]


def _touched(old: ReadCharacter, values: Mapping[str, Any]) -> dict[str, str]:
    """The slots of a figure that new values are about, and the change that they belong to."""
    found = {slot: slot for slot in values if slot != "accessory"}
    if "accessory" not in values:
        return found
    new = values["accessory"]
    if new is None:
        return {**found, "accessory": "accessory_removed"}
    if old.accessory is not None and old.accessory.kind == new.kind:
        return {**found, "accessory_color": "accessory_color"}
    return {**found, "accessory": "accessory", "accessory_color": "accessory"}


def _changed(known: ReadCharacter, old: ReadCharacter, values: Mapping[str, Any]) -> ReadCharacter:
    """The figure with new values."""
    figure = replace(known, **values)
    recolored = "accessory" not in _touched(old, values) and "accessory" in values
    if recolored and known.accessory is not None:
        worn = Accessory(known.accessory.kind, values["accessory"].color)
        figure = replace(figure, accessory=worn)
    return figure


def _on_coat(figure: ReadCharacter, coat: str | None) -> ReadCharacter:
    """The figure with its markings coloured as they are on the coat that is really there."""
    if figure.markings is None or coat is None:
        return figure
    color = rgb(marking_color(coat, figure.markings.markings.hue))
    return replace(figure, markings=replace(figure.markings, color=color))


def _verdicts(wanted: ReadCharacter, seen: ReadCharacter | None) -> dict[str, bool]:
    """Every slot that is known of a figure; with a kind and no accessory it wears none."""
    known = {s: getattr(wanted, s) for s in FIGURE_SLOTS if getattr(wanted, s) is not None}
    found = {s: seen is not None and getattr(seen, s) == value for s, value in known.items()}
    if wanted.accessory is not None:
        worn = seen.accessory if seen is not None else None
        found["accessory"] = worn is not None and worn.kind == wanted.accessory.kind
        found["accessory_color"] = worn is not None and worn.color == wanted.accessory.color
    elif wanted.kind is not None:
        bare = seen is not None and seen.kind is not None and seen.accessory is None
        found["accessory"] = bare
    if wanted.markings is not None:
        visual = dict.fromkeys(VISUAL, False)
        if seen is not None:
            visual = same_identity(wanted, seen).visual
        found |= visual | {"markings": all(visual.values())}
    return found


def told_wrong(made: Tally, kept: Tally) -> str:
    """What is wrong with an edit: the change asked for, behind a bar what should have stayed."""
    if not (made.wrong or kept.wrong):
        return ""
    return f"{' '.join(made.wrong)} | {' '.join(kept.wrong)}"
