"""What each part of a picture shows, from its scene: the targets of the probes.

A character or prop counts as shown by the tokens of a box around it; the nearer centre wins. It
knows no models.

| result | shape | dtype |
| --- | --- | --- |
| token labels | [h * w, len(GROUPS)], -1 where a group does not apply | int64 |
| patch labels | [cells, 4, len(GROUPS)], for what a feature of the planner's eyes covers | int64 |
| telling tokens | [h, w], what is small and not to be missed | bool |
| unsettled tokens | [h, w], what neither words nor references settle | bool |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from training.storyworld.render import render
from training.storyworld.scene import (
    ACCESSORIES,
    ACTIONS,
    COLORS,
    FORMS,
    KINDS,
    PLACES,
    PROPS,
    STYLES,
    TIMES,
    WEATHERS,
    Character,
    Markings,
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
CLASSES = tuple(len(names) for names in GROUPS.values())
# Per group the class of what shows nothing, -1 where there is none.
NOTHING = tuple(names.index(_NOTHING) if _NOTHING in names else -1 for names in GROUPS.values())
_COLUMN = {name: i for i, name in enumerate(GROUPS)}
TOKEN = 16
# One feature of the planner's eyes is made of so many patches, two by two, of 32 x 32 pixels.
PATCHES = 4
# A token shows something where leaving it out changes the mean of its pixels this much, of 255.
_SHOWN = 6.0


def token_labels(scene: Scene) -> NDArray[np.int64]:
    """The labels [h * w, groups] of `scene` at its size."""
    columns, rows = scene.size[0] // TOKEN, scene.size[1] // TOKEN
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


def patch_labels(scene: Scene) -> NDArray[np.int64]:
    """The labels of each cell's patches, row by row: of a patch's four tokens the one that shows
    most, a character rather than a prop. The size of `scene` is a multiple of 64."""
    columns, rows = scene.size[0] // TOKEN, scene.size[1] // TOKEN
    tokens = token_labels(scene).reshape(rows // 4, 2, 2, columns // 4, 2, 2, -1)
    # (cell's row, cell's column, patch's row, patch's column, token's row, token's column)
    tokens = tokens.transpose(0, 3, 1, 4, 2, 5, 6).reshape(-1, PATCHES, 4, len(GROUPS))
    kind, prop = tokens[..., _COLUMN["kind"]], tokens[..., _COLUMN["prop"]]
    shows = 2 * (kind != GROUPS["kind"].index(_NOTHING)) + (prop != GROUPS["prop"].index(_NOTHING))
    best = shows.argmax(-1)[..., None, None]
    return np.take_along_axis(tokens, best, axis=2)[:, :, 0]


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
    y = (np.arange(rows)[:, None] + 0.5) * TOKEN
    x = (np.arange(columns)[None] + 0.5) * TOKEN
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


def telling_tokens(
    scene: Scene, pixels: NDArray[np.uint8], earlier: Sequence[Scene] = ()
) -> NDArray[np.bool_]:
    """Which latent tokens [h, w] of `scene`, drawn as `pixels`, show accessories, or markings that
    `earlier` pictures show too."""
    known = known_markings(earlier)
    plain = tuple(
        replace(_remarked(c) if c.markings in known else c, accessory=None)
        for c in scene.characters
    )
    return _changed(scene, pixels, plain)


def unsettled_tokens(
    scene: Scene, pixels: NDArray[np.uint8], earlier: Sequence[Scene] = ()
) -> NDArray[np.bool_]:
    """Which latent tokens [h, w] show what neither words nor `earlier` pictures settle: markings
    that are seen for the first time."""
    known = known_markings(earlier)
    other = tuple(c if c.markings in known else _remarked(c) for c in scene.characters)
    return _changed(scene, pixels, other)


def known_markings(earlier: Sequence[Scene]) -> set[Markings]:
    """The markings of all figures of `earlier` scenes."""
    return {c.markings for s in earlier for c in s.characters}


def _changed(
    scene: Scene, pixels: NDArray[np.uint8], characters: tuple[Character, ...]
) -> NDArray[np.bool_]:
    """Which latent tokens of `pixels` look different with `characters` in the scene."""
    if characters == scene.characters:
        return np.zeros((scene.size[1] // TOKEN, scene.size[0] // TOKEN), bool)
    return differing_tokens(pixels, render(scene.with_(characters=characters)))


def differing_tokens(pixels: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which latent tokens [h, w] of two pictures [H, W, 4] of one size look different."""
    change = np.abs(pixels.astype(np.float32) - others).mean(-1)
    rows, columns = change.shape[0] // TOKEN, change.shape[1] // TOKEN
    return change.reshape(rows, TOKEN, columns, TOKEN).mean((1, 3)) > _SHOWN


def _remarked(character: Character) -> Character:
    """The character with other markings."""
    old = character.markings
    form = FORMS[(FORMS.index(old.form) + 1) % len(FORMS)]
    return replace(character, markings=replace(old, form=form, hue=(old.hue + 0.5) % 1))
