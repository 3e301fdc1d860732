"""Labels say what stands where, the probe learns them, and training looks where figures are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the training extra")

from training.labels import (  # noqa: E402
    CLASSES,
    GROUPS,
    NOTHING,
    PATCHES,
    patch_labels,
    telling_tokens,
    token_labels,
    unsettled_tokens,
)
from training.models.probe import Probe  # noqa: E402
from training.storyworld.render import render  # noqa: E402
from training.storyworld.sampling import sample_scene  # noqa: E402
from training.storyworld.scene import Accessory, layout  # noqa: E402
from training.window import focus  # noqa: E402

COLUMN = {name: i for i, name in enumerate(GROUPS)}


@pytest.mark.parametrize("seed", range(12))
def test_the_token_at_a_figures_middle_is_labelled_with_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scene = sample_scene(rng, size=((256, 256), (384, 160))[seed % 2])
    grid = token_labels(scene).reshape(scene.size[1] // 16, scene.size[0] // 16, -1)
    for character, placed in zip(scene.characters, layout(scene).characters, strict=True):
        found = grid[int((placed.y - placed.height / 2) // 16), int(placed.x // 16)]
        assert GROUPS["kind"][found[COLUMN["kind"]]] == character.kind
        assert GROUPS["color"][found[COLUMN["color"]]] == character.color
        assert GROUPS["action"][found[COLUMN["action"]]] == character.action
        worn = character.accessory.kind if character.accessory else "nothing"
        assert GROUPS["accessory"][found[COLUMN["accessory"]]] == worn
        assert (found[COLUMN["accessory_color"]] >= 0) == (character.accessory is not None)
    sky = grid[0, 0]
    assert GROUPS["place"][sky[COLUMN["place"]]] == scene.place
    assert sky[COLUMN["color"]] == -1


@pytest.mark.parametrize("size", [(256, 256), (384, 128)])
def test_a_patch_is_labelled_as_the_token_that_shows_most(size: tuple[int, int]) -> None:
    scene = sample_scene(np.random.default_rng(5), characters=3, size=size)
    columns, rows = size[0] // 16, size[1] // 16
    tokens = token_labels(scene).reshape(rows, columns, -1)
    patches = patch_labels(scene)
    assert patches.shape == (rows // 4 * (columns // 4), PATCHES, len(GROUPS))
    nothing = GROUPS["kind"].index("nothing")
    figures = 0
    for cell, patch in np.ndindex(*patches.shape[:2]):
        y = 4 * (cell // (columns // 4)) + 2 * (patch // 2)
        x = 4 * (cell % (columns // 4)) + 2 * (patch % 2)
        covered = tokens[y : y + 2, x : x + 2].reshape(4, -1)
        found = patches[cell, patch]
        assert any(np.array_equal(found, token) for token in covered)
        shown = found[COLUMN["kind"]] != nothing
        assert shown == (covered[:, COLUMN["kind"]] != nothing).any()
        figures += shown
    assert figures > 2


def test_a_sticker_has_no_place() -> None:
    scene = sample_scene(np.random.default_rng(1)).with_(sticker=True)
    labels = token_labels(scene)
    assert (labels[:, [COLUMN[name] for name in ("place", "time", "weather")]] == -1).all()
    assert (labels[:, COLUMN["style"]] >= 0).all()


def test_focus_keeps_tokens_under_figures_more_often() -> None:
    torch.manual_seed(0)
    weight = torch.full((4, 64), 0.5)
    weight[:, 20:36] = 2.5
    chosen = focus(weight, 0.5)
    assert chosen.shape == (4, 32)
    assert (chosen.diff(dim=1) > 0).all()
    figures = ((chosen >= 20) & (chosen < 36)).float().sum(1)
    assert (figures > 12).all()


def test_the_probe_learns_labels_and_skips_what_is_not_asked() -> None:
    torch.manual_seed(0)
    probe = Probe(8, (3, 2))
    labels = torch.randint(0, 2, (2, 6, 2))
    hidden = torch.nn.functional.one_hot(labels[..., 0] * 2 + labels[..., 1], 8).float()
    labels[0, 0] = -1
    optimizer = torch.optim.Adam(probe.parameters(), lr=0.1)
    first = probe(hidden, labels)
    for _ in range(60):
        optimizer.zero_grad()
        probe(hidden, labels).backward()
        optimizer.step()
    assert probe(hidden, labels) < 0.1 * first
    assert torch.isfinite(probe(hidden, torch.full_like(labels, -1)))


def test_what_shows_nothing_counts_half_in_the_probe() -> None:
    torch.manual_seed(0)
    probe = Probe(8, (3,), (2,))
    hidden = torch.randn(1, 16, 8)
    labels = torch.full((1, 16, 1), 2)
    labels[0, 0] = 0
    one, rest = Probe(8, (3,)), Probe(8, (3,))
    for other in (one, rest):
        other.load_state_dict(probe.state_dict())
    alone = (one(hidden[:, :1], labels[:, :1]) + rest(hidden[:, 1:], labels[:, 1:])) / 2
    assert torch.allclose(probe(hidden, labels), alone)
    named = [names[i] for names, i in zip(GROUPS.values(), NOTHING, strict=True) if i >= 0]
    assert named == ["nothing"] * 3 and len(NOTHING) == len(CLASSES)


def test_unsettled_tokens_are_those_of_markings_nobody_has_seen() -> None:
    scene = sample_scene(np.random.default_rng(3), characters=2)
    second = scene.characters[1]
    pixels = render(scene)
    found = unsettled_tokens(scene, pixels)
    assert found[:, :8].any() and found[:, 8:].any()
    assert found.mean() < 0.3
    seen = unsettled_tokens(scene, pixels, [scene.with_(characters=(second,), props=())])
    assert seen[:, :8].any()
    assert not seen[:, 12:].any()
    assert not unsettled_tokens(scene, pixels, [scene]).any()


def test_telling_tokens_are_those_of_accessories_and_known_markings() -> None:
    rng = np.random.default_rng(3)
    scene = sample_scene(rng, characters=2)
    plain, other = (replace(c, accessory=None) for c in scene.characters)
    scene = scene.with_(characters=(replace(plain, accessory=Accessory("cape", "red")), other))
    found = telling_tokens(scene, render(scene))
    assert found[:, :8].sum() >= 3
    assert not found[:, 12:].any()
    bare = scene.with_(characters=(plain, other))
    assert not telling_tokens(bare, render(bare)).any()
    seen = bare.with_(characters=(other,), props=())
    known = telling_tokens(bare, render(bare), [seen])
    assert known[:, 8:].sum() >= 2
    assert not known[:, :4].any()
