"""The reader on true renders, degraded ones and on pictures that show nothing, and the scoring."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageFilter

from training.storyworld.ceiling import degraded, verdicts
from training.storyworld.reader import Reading, read
from training.storyworld.render import backdrop, render
from training.storyworld.sampling import sample_scene
from training.storyworld.scene import Scene, Swatch
from training.storyworld.scoring import Wanted, same_identity, score, wanted_from_asked


def _scene(seed: int, **wishes: object) -> Scene:
    return sample_scene(np.random.default_rng(seed), style="flat", **wishes)  # type: ignore[arg-type]


def _wrong(scene: Scene, reading: Reading) -> list[str]:
    return [slot for slot, right in verdicts(scene, reading) if not right]


@pytest.fixture(scope="module")
def pair() -> tuple[Scene, np.ndarray, Reading]:
    scene = _scene(1, characters=2)
    image = render(scene)
    return scene, image, read(image)


@pytest.mark.parametrize("count", [1, 3, 4])
def test_true_renders_are_read_exactly(count: int) -> None:
    scene = _scene(20 + count, characters=count)
    wrong = _wrong(scene, read(render(scene)))
    assert [slot for slot in wrong if slot not in ("marking scale", "marking angle")] == []


@pytest.mark.parametrize("size", [(128, 128), (256, 160)])
def test_other_sizes_are_read(size: tuple[int, int]) -> None:
    scene = _scene(5, characters=1, size=size)
    assert _wrong(scene, read(render(scene))) == []


def test_a_degraded_picture_is_read(pair: tuple[Scene, np.ndarray, Reading]) -> None:
    scene, image, _ = pair
    assert _wrong(scene, read(degraded(image, np.random.default_rng(0)))) == []


def test_a_sticker_is_read_with_its_style() -> None:
    scene = replace(
        _scene(7, characters=1), sticker=True, style="ink", place="meadow", time="day",
        weather="clear", props=(),
    )  # fmt: skip
    reading = read(render(scene))
    assert reading.sticker
    assert reading.style == "ink"
    assert _wrong(scene, reading) == []


def test_a_poster_gives_its_palette() -> None:
    palette = (Swatch("#35C4F0", 0.55), Swatch("#D9A864", 0.30), Swatch("#2536B2", 0.15))
    scene = replace(_scene(8, characters=1, place="garden"), palette=palette)
    reading = read(render(scene))
    assert len(reading.palette) == 3
    assert _wrong(scene, reading) == []


def test_an_empty_backdrop_has_no_figures(pair: tuple[Scene, np.ndarray, Reading]) -> None:
    scene, _, _ = pair
    empty = backdrop(scene).copy()
    empty[..., 3] = 255
    reading = read(empty)
    assert reading.count == 0
    assert reading.place == scene.place
    assert reading.scene() is None


def test_a_blob_is_not_read_as_a_figure() -> None:
    scene = _scene(9, characters=1)
    image = backdrop(scene).copy()
    image[..., 3] = 255
    y, x = np.mgrid[:256, :256]
    image[((x - 128) / 45) ** 2 + ((y - 150) / 75) ** 2 < 1, :3] = (79, 143, 214)
    assert all(c.kind is None for c in read(image).characters)


def test_a_smeared_figure_is_not_read() -> None:
    scene = _scene(9, characters=1)
    smeared = Image.fromarray(render(scene)).filter(ImageFilter.GaussianBlur(8))
    assert all(c.kind is None for c in read(np.asarray(smeared)).characters)


def test_noise_is_not_a_picture() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (128, 128, 4)).astype(np.uint8)
    noise[..., 3] = 255
    reading = read(noise)
    assert reading.place is None
    assert all(c.kind is None for c in reading.characters)


def test_wrong_arrays_are_refused() -> None:
    with pytest.raises(ValueError, match="uint8"):
        read(np.zeros((16, 16, 3), np.uint8))


def test_a_reading_becomes_the_scene(pair: tuple[Scene, np.ndarray, Reading]) -> None:
    scene, _, reading = pair
    found = reading.scene()
    assert found is not None
    assert [c.kind for c in found.characters] == [c.kind for c in scene.characters]
    for a, b in zip(found.characters, scene.characters, strict=True):
        assert abs(a.x - b.x) < 0.02


def test_only_asked_slots_are_judged(pair: tuple[Scene, np.ndarray, Reading]) -> None:
    scene, _, reading = pair
    first = scene.characters[0]
    slots = score(Wanted(({"kind": first.kind},), {"place": scene.place}), reading).slots
    assert slots == {"place": True, "character.0.kind": True}


def test_a_missing_figure_fails_count_and_its_slots(
    pair: tuple[Scene, np.ndarray, Reading],
) -> None:
    scene, _, reading = pair
    fewer = replace(reading, characters=reading.characters[:1])
    slots = score(scene, fewer).slots
    assert not slots["count"]
    assert slots["character.0.kind"]
    assert not slots["character.1.kind"]


def test_asked_words_name_accessories() -> None:
    asked = {"characters": [{"kind": "fox", "accessory": "red scarf"}], "props": ["key"]}
    slots = score(wanted_from_asked(asked), Reading((256, 256), False, *[None] * 4, ())).slots
    assert slots == {
        "count": False, "character.0.kind": False, "character.0.accessory": False,
        "character.0.accessory_color": False, "prop.key": False,
    }  # fmt: skip


def test_identity_needs_the_same_markings(pair: tuple[Scene, np.ndarray, Reading]) -> None:
    _, _, reading = pair
    one, other = reading.characters
    assert same_identity(one, one).same
    assert not same_identity(one, other).same
