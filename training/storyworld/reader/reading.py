"""What the reader found in a picture, as plain data; a slot it could not read is None.

| name | meaning |
| --- | --- |
| `confidence` | per slot, 0 (nothing there) to 1 (nothing else comes close) |
| `residual` | mean capped colour difference between picture and explanation, in 0..60 |
| `ReadMarkings.color` | the markings' measured colour |
"""

from __future__ import annotations

from dataclasses import dataclass, field

from training.storyworld.scene import Accessory, Character, Markings, Prop, Scene, Swatch


@dataclass(frozen=True)
class ReadMarkings:
    markings: Markings
    color: tuple[int, int, int]
    confidence: float


@dataclass(frozen=True)
class ReadCharacter:
    """A figure; `accessory` is None both for "wears nothing" and for unread, see `confidence`."""

    x: float
    kind: str | None
    color: str | None
    accessory: Accessory | None
    action: str | None
    facing: str | None
    markings: ReadMarkings | None
    coat: tuple[int, int, int] = (0, 0, 0)
    confidence: dict[str, float] = field(default_factory=dict)
    residual: float = 0.0

    @property
    def readable(self) -> bool:
        return None not in (self.kind, self.color, self.action, self.facing, self.markings)


@dataclass(frozen=True)
class Reading:
    """A whole picture; a poster has a palette and then no time, weather or style of its own."""

    size: tuple[int, int]
    sticker: bool
    place: str | None
    time: str | None
    weather: str | None
    style: str | None
    characters: tuple[ReadCharacter, ...]
    props: tuple[Prop, ...] = ()
    palette: tuple[Swatch, ...] = ()
    confidence: dict[str, float] = field(default_factory=dict)
    residual: float = 0.0

    @property
    def count(self) -> int:
        return len(self.characters)

    def scene(self) -> Scene | None:
        """The picture as a scene; None where a slot that a scene needs could not be read."""
        figures = []
        for c in self.characters:
            if None in (c.kind, c.color, c.action, c.facing) or c.markings is None:
                return None
            figures.append(
                Character(
                    str(c.kind), str(c.color), c.markings.markings, c.accessory,
                    str(c.action), str(c.facing), c.x,
                )
            )  # fmt: skip
        if not figures or (self.place is None and not self.sticker):
            return None
        return Scene(
            tuple(figures),
            self.place or "meadow",
            self.time or "day",
            self.weather or "clear",
            self.style or "flat",
            tuple(p for p in self.props if p.gap <= len(figures)),
            self.palette,
            self.sticker,
            self.size,
        )
