"""Prompts: what a user may pass, and a clear error for everything else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from runtime.bundle import TOKEN_TEXT
from runtime.errors import PictureError, PromptError
from runtime.prompt import GivenPicture, read_prompt
from tests.fake_bundle import IMAGE


def read(prompt: Any, references: Any = ()) -> tuple[Any, ...]:
    return read_prompt(prompt, references, IMAGE)


def picture(prompt: Any) -> GivenPicture:
    (part,) = read(prompt)
    assert isinstance(part, GivenPicture)
    return part


@pytest.mark.parametrize("tag", TOKEN_TEXT.values())
def test_control_tags_are_refused(tag: str) -> None:
    with pytest.raises(PromptError, match="control tag"):
        read(f"a fox {tag} a bear")


@pytest.mark.parametrize("prompt", ["", "  \n", [], [""], ["", " "]])
def test_empty_prompts_are_refused(prompt: Any) -> None:
    with pytest.raises(PromptError, match="found nothing"):
        read(prompt)


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        (7, "found int"),
        (None, "found NoneType"),
        ([7], r"prompt\[0\]: expected a string, a path"),
        ("x" * 100_001, "at most 100000 characters"),
        ("a\0b", "NUL"),
        ("\ud800", "surrogate"),
        (["cat.png"], "looks like a picture's path"),
    ],
)
def test_wrong_prompts_are_named(prompt: Any, message: str) -> None:
    with pytest.raises(PromptError, match=message):
        read(prompt)


def test_parts_keep_their_order() -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    parts = read(["Put", image, "in", "the snow "], [image])
    kinds = ["picture" if isinstance(p, GivenPicture) else p for p in parts]
    assert kinds == ["picture", "Put", "picture", "in the snow"]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"])
def test_common_modes_become_rgba(mode: str) -> None:
    given = picture(PIL.Image.new("RGB", (64, 48), (200, 10, 10)).convert(mode))
    assert given.pixels.shape == (48, 64, 4)
    assert (given.pixels[..., 3] == 255).all()


@pytest.mark.parametrize("mode", ["I;16", "F", "I"])
def test_modes_without_a_clear_meaning_are_refused(mode: str) -> None:
    with pytest.raises(PictureError, match=f"found '{mode}'"):
        read(PIL.Image.new(mode, (64, 64)))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((8, 8, 3), np.float32),
        np.zeros((8, 8, 2), np.uint8),
        np.zeros((0, 8, 3), np.uint8),
        np.zeros((2, 8, 8, 3), np.uint8),
    ],
)
def test_wrong_arrays_are_named(array: np.ndarray) -> None:
    with pytest.raises(PictureError, match="expected a uint8 array"):
        read(array)


def test_sizes_are_fitted_to_the_grid() -> None:
    for width, height in ((100, 80), (17, 23), (900, 700), (640, 90)):
        given = picture(np.zeros((height, width, 3), np.uint8))
        rows, columns = given.grid.rows, given.grid.columns
        assert given.pixels.shape == (16 * rows, 16 * columns, 4)
        assert rows * columns <= IMAGE.max_tokens
        assert abs(np.log(columns / rows * height / width)) < 0.35


def test_colours_of_transparent_pixels_do_not_bleed() -> None:
    image = np.zeros((90, 90, 4), np.uint8)
    image[..., 1] = 255
    image[20:70, 20:70] = (255, 0, 0, 255)
    pixels = picture(image).pixels
    seen = pixels[pixels[..., 3] > 30]
    assert seen[:, 1].max() < 30


def test_huge_animated_and_extreme_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="at most 1,000,000 pixels"):
        read(np.zeros((1001, 1000, 3), np.uint8))
    with pytest.raises(PictureError, match=r"8:1, found 300x10"):
        read(np.zeros((10, 300, 3), np.uint8))
    frames = [PIL.Image.new("RGB", (32, 32), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(PictureError, match="found 2 frames"):
        read(tmp_path / "a.gif")


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    PIL.Image.new("1", (20_000, 20_000)).save(path)
    with pytest.raises(PictureError, match=r"large|at most"):
        read(path)


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="found none at"):
        read(tmp_path / "missing.png")
    (tmp_path / "text.png").write_text("not a picture")
    with pytest.raises(PictureError, match="cannot read"):
        read(tmp_path / "text.png")
    whole = tmp_path / "whole.png"
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    PIL.Image.fromarray(noise).save(whole)
    (tmp_path / "half.png").write_bytes(whole.read_bytes()[:3000])
    with pytest.raises(PictureError, match=r"damaged|cannot read"):
        read(tmp_path / "half.png")
    with pytest.raises(PictureError):
        read(tmp_path)
    with pytest.raises(PictureError, match="cannot read"):
        read(tmp_path / ("x" * 300 + ".png"))
    closed = PIL.Image.open(whole)
    closed.close()
    with pytest.raises(PictureError, match="damaged"):
        read(closed)


def test_whatever_a_decoder_raises_is_a_damaged_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    PIL.Image.new("RGB", (32, 32)).save(path)

    def fail(*_: object) -> None:
        raise RuntimeError("Failed to decode image")

    for place, message in (("PIL.Image.open", "cannot read"), ("PIL.Image.Image.load", "damaged")):
        with monkeypatch.context() as patch:
            patch.setattr(place, fail)
            with pytest.raises(PictureError, match=f"{message}.*Failed to decode"):
                read(path)


def test_empty_parts_leave_no_trace() -> None:
    assert read(["Draw a cat", "", " "]) == ("Draw a cat",)


def test_orientation_is_applied(tmp_path: Path) -> None:
    image = PIL.Image.new("RGB", (64, 32))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    assert picture(tmp_path / "turned.jpg").pixels.shape == (64, 32, 4)
