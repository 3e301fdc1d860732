"""The scene graph: what a picture of the storyworld shows, as plain data.

It knows no pixels, no words and no torch. The renderer draws a `Scene`, the reader recovers one,
the documents describe one.

| name | meaning |
| --- | --- |
| `Character.x` | centre, as a fraction of the picture's width |
| `Markings` | the visual-only coat pattern; every number lies in [0, 1) and no text names it |
| `Prop.gap` | 0 is left of the first character, n right of the last, i between i-1 and i |
| `Scene.size` | width, height in pixels, both multiples of 16 |
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field, replace
from typing import Any

KINDS = (
    "fox", "bear", "rabbit", "cat", "dog", "mouse",
    "owl", "penguin", "frog", "lion", "elephant", "hedgehog",
)  # fmt: skip
COLORS: dict[str, str] = {
    "red": "#D9483B", "orange": "#F08A3C", "yellow": "#F5CB4E", "green": "#6BB36A",
    "blue": "#4F8FD6", "purple": "#8C6BC4", "pink": "#F29BB4", "brown": "#8A5A3C",
    "white": "#F6F1E7", "gray": "#8E96A3",
}  # fmt: skip
ACCESSORIES = ("scarf", "hat", "crown", "bow", "cape", "satchel")
FORMS = ("stripes", "dots", "halves", "bib")
ACTIONS = ("standing", "walking", "running", "jumping", "sitting", "waving", "sleeping", "cheering")
PLACES = (
    "forest", "beach", "meadow", "mountains", "village",
    "desert", "snowfield", "garden", "lake", "castle",
)  # fmt: skip
TIMES = ("morning", "day", "evening", "night")
WEATHERS = ("clear", "cloudy", "rain", "snow")
PROPS = (
    "lantern", "book", "balloon", "kite", "apple", "ball", "drum", "basket",
    "key", "umbrella", "teapot", "cake", "star", "shell", "mushroom", "boat",
)  # fmt: skip
STYLES = ("flat", "ink", "paper")
GRID = 16
MAX_CHARACTERS = 4
MAX_PROPS = 2


@dataclass(frozen=True)
class Markings:
    """A coat pattern from a continuous family: `form` with hue, scale and angle in [0, 1)."""

    form: str
    hue: float
    scale: float
    angle: float


@dataclass(frozen=True)
class Accessory:
    kind: str
    color: str


@dataclass(frozen=True)
class Character:
    """`kind`, `color` and `accessory` are lasting and named, `markings` lasting and never named."""

    kind: str
    color: str
    markings: Markings
    accessory: Accessory | None = None
    action: str = "standing"
    facing: str = "right"
    x: float = 0.5


@dataclass(frozen=True)
class Prop:
    kind: str
    gap: int


@dataclass(frozen=True)
class Swatch:
    """One colour of a palette: `hex` as "#RRGGBB", `share` of the backdrop's area in (0, 1]."""

    hex: str
    share: float


@dataclass(frozen=True)
class Scene:
    """One picture. A sticker has no backdrop (transparent); a palette recolours the backdrop."""

    characters: tuple[Character, ...]
    place: str = "meadow"
    time: str = "day"
    weather: str = "clear"
    style: str = "flat"
    props: tuple[Prop, ...] = ()
    palette: tuple[Swatch, ...] = ()
    sticker: bool = False
    size: tuple[int, int] = (256, 256)

    def __post_init__(self) -> None:
        for value, allowed, name in (
            (self.place, PLACES, "place"),
            (self.time, TIMES, "time"),
            (self.weather, WEATHERS, "weather"),
            (self.style, STYLES, "style"),
        ):
            if value not in allowed:
                raise ValueError(f"{name} is {value!r}, expected one of {', '.join(allowed)}")
        if not 1 <= len(self.characters) <= MAX_CHARACTERS:
            raise ValueError(f"{len(self.characters)} characters, expected 1 to {MAX_CHARACTERS}")
        if any(edge % GRID or edge < GRID for edge in self.size):
            raise ValueError(f"size is {self.size}, expected positive multiples of {GRID}")
        for prop in self.props:
            if prop.kind not in PROPS or not 0 <= prop.gap <= len(self.characters):
                raise ValueError(
                    f"{prop} does not fit a scene of {len(self.characters)} characters"
                )

    def with_(self, **changes: Any) -> Scene:
        """This scene with some fields replaced."""
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def scene_from_dict(data: dict[str, Any]) -> Scene:
    """The inverse of `Scene.to_dict`."""
    characters = tuple(
        Character(
            **{
                **c,
                "markings": Markings(**c["markings"]),
                "accessory": Accessory(**c["accessory"]) if c["accessory"] else None,
            }
        )
        for c in data["characters"]
    )
    return Scene(
        **{
            **data,
            "characters": characters,
            "props": tuple(Prop(**p) for p in data["props"]),
            "palette": tuple(Swatch(**s) for s in data["palette"]),
            "size": tuple(data["size"]),
        }
    )


def is_held_out(character: Character) -> bool:
    """Whether this combination of kind, coat and accessory is kept for evaluation (one in ten)."""
    worn = f"{character.accessory.color} {character.accessory.kind}" if character.accessory else ""
    digest = hashlib.sha256(f"{character.kind}/{character.color}/{worn}".encode()).digest()
    return digest[0] < 26


@dataclass(frozen=True)
class Placed:
    """Where something stands, in pixels: `x` its centre, `y` the ground under it, `height`."""

    x: float
    y: float
    height: float


@dataclass(frozen=True)
class Layout:
    characters: tuple[Placed, ...] = field(default=())
    props: tuple[Placed, ...] = field(default=())


# Two sizes of figures, not four: a model learns to draw each size on its own.
_HEIGHT_BY_COUNT = {1: 0.54, 2: 0.54, 3: 0.3125, 4: 0.3125}
_SLOTS = {1: (8,), 2: (4, 12), 3: (3, 8, 13), 4: (2, 6, 10, 14)}


def slots(count: int) -> tuple[float, ...]:
    """Evenly spaced centres for `count` characters, as fractions of the stage: sixteenths, so that
    in a square picture of 256 pixels a figure lies the same way on the latent tokens everywhere."""
    return tuple(column / 16 for column in _SLOTS[count])


def layout(scene: Scene) -> Layout:
    """Where everything stands; shared by renderer and reader.

    A scene is composed on a square stage, the largest that fits, in the middle of the lower edge:
    wider and taller pictures show more to its sides and above, and a model that has learned to draw
    squares knows where everything is in them.
    """
    width, height = scene.size
    stage = min(width, height)
    left = (width - stage) / 2
    ground = height - 0.10 * stage
    if scene.sticker:
        ground = height / 2 + 0.36 * stage
    count = len(scene.characters)
    tall = (0.74 if scene.sticker and count == 1 else _HEIGHT_BY_COUNT[count]) * stage
    characters = tuple(Placed(left + c.x * stage, ground, tall) for c in scene.characters)
    edges = (0.0, *((i + 1) / count for i in range(count - 1)), 1.0)
    size = 0.22 * stage if count < 3 else 0.17 * stage
    inset = 0.62 * size
    props = tuple(
        Placed(
            left + min(max(edges[p.gap] * stage, inset), stage - inset),
            ground + 0.055 * stage,
            size,
        )
        for p in scene.props
    )
    return Layout(characters, props)
