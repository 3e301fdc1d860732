"""The prompt: strings and pictures in, checked parts out.

Everything wrong with a prompt is found here, before any work: control tags, pictures that cannot
be opened, are animated, too large or of a mode without a clear meaning. Pictures of any size are
fitted to the grid. Knows nothing of tokens' ids or engines.

| name | type | meaning |
| --- | --- | --- |
| `GivenPicture.pixels` | uint8 [H, W, 4] | straight RGBA, H and W multiples of the patch |
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from runtime.errors import PictureError, PromptError
from runtime.grid import Grid, fit
from runtime.interfaces import ImageGeometry
from runtime.manifest import TOKEN_TEXT

if TYPE_CHECKING:
    import PIL.Image

    PictureLike = str | os.PathLike[str] | PIL.Image.Image | NDArray[np.uint8]
    Prompt = PictureLike | Sequence[PictureLike]

MAX_CHARACTERS = 100_000
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB")
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True, eq=False)
class GivenPicture:
    """A picture of the prompt on the latent grid."""

    pixels: NDArray[np.uint8]
    grid: Grid


Part = str | GivenPicture


def read_prompt(
    prompt: Prompt, references: Sequence[PictureLike], image: ImageGeometry
) -> tuple[Part, ...]:
    """The parts of a user's turn: references first, then the prompt.

    Raises `PromptError` or `PictureError`.
    """
    items = _items(prompt)
    parts: list[Part] = [_picture(item, f"references[{i}]", image)
                         for i, item in enumerate(references)]  # fmt: skip
    texts = 0
    for i, item in enumerate(items):
        where = "prompt" if isinstance(prompt, str) else f"prompt[{i}]"
        if not isinstance(item, str):
            parts.append(_picture(item, where, image))
            continue
        text = _text(item, where)
        texts += len(text)
        if text and parts and isinstance(parts[-1], str):
            parts[-1] = f"{parts[-1]} {text}"
        elif text:
            parts.append(text)
    if not any(parts[len(references) :]):
        raise PromptError("prompt: expected text or a picture, found nothing; say what to make")
    if texts > MAX_CHARACTERS:
        raise PromptError(
            f"prompt: expected at most {MAX_CHARACTERS} characters, found {texts}; shorten it"
        )
    return tuple(parts)


def prompt_text(parts: Sequence[Part]) -> str:
    """The words of a prompt, for titles."""
    return " ".join(part for part in parts if isinstance(part, str))


def _items(prompt: Any) -> list[Any]:
    if isinstance(prompt, str):
        return [prompt]
    if _is_picture(prompt):
        return [prompt]
    if isinstance(prompt, (list, tuple)):
        return list(prompt)
    raise PromptError(
        "prompt: expected a string or a list of strings and pictures (path, PIL image or uint8 "
        f"array), found {type(prompt).__name__}"
    )


def _is_picture(item: Any) -> bool:
    return isinstance(item, (os.PathLike, np.ndarray)) or hasattr(item, "convert")


def _text(text: str, where: str) -> str:
    for tag in TOKEN_TEXT.values():
        if tag in text:
            raise PromptError(
                f"{where}: found the control tag {tag!r}; tags are written by the model alone, "
                "put the words without it"
            )
    if "\0" in text:
        raise PromptError(f"{where}: expected text, found a NUL character")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise PromptError(f"{where}: expected valid Unicode, found a lone surrogate") from error
    stripped = text.strip()
    if stripped.lower().endswith(PICTURE_SUFFIXES) and len(stripped.split()) == 1:
        raise PromptError(
            f"{where}: {stripped!r} looks like a picture's path; pass pathlib.Path({stripped!r}) "
            "for the picture"
        )
    return stripped


def _picture(item: Any, where: str, image: ImageGeometry) -> GivenPicture:
    if isinstance(item, np.ndarray):
        return _fit_array(item, where, image)
    if isinstance(item, (str, os.PathLike)):
        return _from_path(Path(item), where, image)
    if hasattr(item, "convert") and hasattr(item, "size"):
        return _from_pil(item, where, image)
    raise PictureError(
        f"{where}: expected a string, a path, a PIL image or a uint8 array, found "
        f"{type(item).__name__}"
    )


def _fit_array(array: NDArray[Any], where: str, image: ImageGeometry) -> GivenPicture:
    import PIL.Image

    shapes = "[H, W], [H, W, 3] or [H, W, 4]"
    fine = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))
    if array.dtype != np.uint8 or not fine or 0 in array.shape:
        raise PictureError(
            f"{where}: expected a uint8 array {shapes}, found {array.dtype} {list(array.shape)}"
        )
    _check_area((array.shape[1], array.shape[0]), where, image)
    return _fitted(PIL.Image.fromarray(np.ascontiguousarray(array)), where, image)


def _from_path(path: Path, where: str, image: ImageGeometry) -> GivenPicture:
    import PIL.Image

    try:
        if not path.is_file():
            raise PictureError(f"{where}: expected a picture file, found none at {path}")
        with warnings.catch_warnings():
            # The size is checked below, against the bundle's limit.
            warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)
            with PIL.Image.open(path) as opened:
                return _from_pil(opened, f"{where} ({path})", image)
    except PIL.Image.DecompressionBombError as error:
        raise PictureError(f"{where}: {path} is too large: {error}") from error
    except PictureError:
        raise
    except Exception as error:  # every decoder of the library raises its own
        raise PictureError(f"{where}: cannot read {path} as a picture: {error}") from error


def _from_pil(opened: PIL.Image.Image, where: str, image: ImageGeometry) -> GivenPicture:
    import PIL.ImageOps

    frames = getattr(opened, "n_frames", 1)
    if frames > 1:
        raise PictureError(f"{where}: expected one picture, found {frames} frames; pass one frame")
    if opened.mode not in MODES:
        raise PictureError(
            f"{where}: expected a mode such as RGB, RGBA or L, found {opened.mode!r}; convert it "
            "to 8 bits per channel first"
        )
    _check_area(opened.size, where, image)
    try:
        upright = PIL.ImageOps.exif_transpose(opened)
        upright.load()
    except Exception as error:  # every decoder of the library raises its own
        raise PictureError(f"{where}: the picture is damaged: {error}") from error
    return _fitted(upright, where, image)


def _check_area(size: tuple[int, int], where: str, image: ImageGeometry) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise PictureError(f"{where}: expected a picture, found {width}x{height} pixels")
    if width * height > image.max_pixels:
        raise PictureError(
            f"{where}: expected at most {image.max_pixels:,} pixels, found {width}x{height} "
            f"({width * height:,}); scale it down"
        )
    if max(width, height) > image.max_aspect * min(width, height) * 1.05:
        raise PictureError(
            f"{where}: expected an aspect ratio up to {image.max_aspect:g}:1, found "
            f"{width}x{height}; crop it"
        )


def _fitted(opened: PIL.Image.Image, where: str, image: ImageGeometry) -> GivenPicture:
    import PIL.Image

    rgba = opened.convert("RGBA")
    grid = fit(rgba.width, rgba.height, image)
    if rgba.size != grid.pixels(image):
        # Premultiplied, so that colours of transparent pixels do not bleed into the edges.
        premultiplied = rgba.convert("RGBa")
        resized = premultiplied.resize(grid.pixels(image), PIL.Image.Resampling.LANCZOS)
        rgba = resized.convert("RGBA")
    pixels = np.array(rgba, np.uint8)
    if pixels.shape != (grid.rows * image.patch, grid.columns * image.patch, 4):
        raise PictureError(f"{where}: expected RGBA pixels, found shape {list(pixels.shape)}")
    return GivenPicture(pixels, grid)
