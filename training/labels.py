"""What each latent token of a picture shows, from its scene: the targets of the visualizer's probe.

A character or prop counts as shown by the tokens of a box around it; the nearer centre wins. It
knows no models.

| result | shape | dtype |
| --- | --- | --- |
| labels | [h * w, len(GROUPS)], -1 where a group does not apply | int64 |
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.storyworld.scene import (
    ACCESSORIES,
    ACTIONS,
    COLORS,
    KINDS,
    PLACES,
    PROPS,
    STYLES,
    TIMES,
    WEATHERS,
    Character,
    Placed,
    Scene,
    layout,
)

_NOTHING = "nothing"
GROUPS: dict[str, tuple[str, ...]] = {
    "kind": (*KINDS, _NOTHING),
    "color": tuple(COLORS),
    "action": ACTIONS,
    "facing": ("left", "right"),
    "accessory": (*ACCESSORIES, _NOTHING),
    "accessory_color": tuple(COLORS),
    "prop": (*PROPS, _NOTHING),
    "place": PLACES,
    "time": TIMES,
    "weather": WEATHERS,
    "style": STYLES,
}
_COLUMN = {name: i for i, name in enumerate(GROUPS)}
_TOKEN = 16


def token_labels(scene: Scene) -> NDArray[np.int64]:
    """The labels [h * w, groups] of `scene` at its size."""
    columns, rows = scene.size[0] // _TOKEN, scene.size[1] // _TOKEN
    labels = np.full((rows, columns, len(GROUPS)), -1, np.int64)
    for name, value in (("kind", _NOTHING), ("prop", _NOTHING), ("style", scene.style)):
        labels[..., _COLUMN[name]] = GROUPS[name].index(value)
    if not scene.sticker:
        for name, value in (
            ("place", scene.place),
            ("time", scene.time),
            ("weather", scene.weather),
        ):
            labels[..., _COLUMN[name]] = GROUPS[name].index(value)
    places = layout(scene)
    owner = _owners(places.characters, rows, columns, 0.4)
    for i, character in enumerate(scene.characters):
        _write(labels, owner == i, _named(character))
    owner = _owners(places.props, rows, columns, 0.5)
    for i, prop in enumerate(scene.props):
        _write(labels, owner == i, {"prop": prop.kind})
    return labels.reshape(rows * columns, -1)


def _named(character: Character) -> dict[str, str]:
    worn = character.accessory
    return {
        "kind": character.kind,
        "color": character.color,
        "action": character.action,
        "facing": character.facing,
        "accessory": worn.kind if worn else _NOTHING,
        **({"accessory_color": worn.color} if worn else {}),
    }


def _owners(
    placed: tuple[Placed, ...], rows: int, columns: int, half_width: float
) -> NDArray[np.int64]:
    """[rows, columns]: which of `placed` a token's centre belongs to, -1 for none."""
    y = (np.arange(rows)[:, None] + 0.5) * _TOKEN
    x = (np.arange(columns)[None] + 0.5) * _TOKEN
    owner = np.full((rows, columns), -1, np.int64)
    nearest = np.full((rows, columns), np.inf)
    for i, p in enumerate(placed):
        inside = (np.abs(x - p.x) <= half_width * p.height) & (y <= p.y) & (y >= p.y - p.height)
        distance = np.broadcast_to(np.abs(x - p.x), owner.shape)
        taken = inside & (distance < nearest)
        owner[taken], nearest[taken] = i, distance[taken]
    return owner


def _write(labels: NDArray[np.int64], where: NDArray[np.bool_], values: dict[str, str]) -> None:
    for name, value in values.items():
        labels[where, _COLUMN[name]] = GROUPS[name].index(value)
