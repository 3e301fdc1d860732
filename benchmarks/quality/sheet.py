"""Sample sheets: what was drawn, over what was asked, with what the reader found wrong in red."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
from numpy.typing import NDArray

CELL = 224
MARGIN = 10
LINE = 14
LETTERS = 36
MOST_LINES = 7
PAPER, TEXT, WRONG, EMPTY = "#FFFFFF", "#333333", "#C0281C", "#EEEEEE"


@dataclass(frozen=True, eq=False)
class Panel:
    """One picture (None: nothing was drawn) with a caption and a list of mistakes."""

    pixels: NDArray[np.uint8] | None
    caption: str
    wrong: str = ""


def _thumbnail(pixels: NDArray[np.uint8] | None) -> PIL.Image.Image:
    cell = PIL.Image.new("RGBA", (CELL, CELL), EMPTY)
    if pixels is None:
        return cell
    picture = PIL.Image.fromarray(pixels).convert("RGBA")
    picture.thumbnail((CELL, CELL), PIL.Image.Resampling.LANCZOS)
    at = ((CELL - picture.width) // 2, (CELL - picture.height) // 2)
    cell.alpha_composite(picture, at)
    return cell


def _lines(panel: Panel) -> list[tuple[str, str]]:
    lines = [(line, TEXT) for line in textwrap.wrap(panel.caption, LETTERS)]
    lines = lines[:MOST_LINES]
    wrong = textwrap.wrap(panel.wrong, LETTERS)
    return lines + [(line, WRONG) for line in wrong[: MOST_LINES + 2 - len(lines)]]


def write_sheet(path: Path, panels: Sequence[Panel], columns: int) -> Path:
    """A PNG with `columns` panels in a row."""
    rows = -(-max(len(panels), 1) // columns)
    deep = max((len(_lines(p)) for p in panels), default=0)
    width, height = CELL + MARGIN, CELL + MARGIN + LINE * deep + MARGIN
    sheet = PIL.Image.new("RGB", (columns * width + MARGIN, rows * height + MARGIN), PAPER)
    draw = PIL.ImageDraw.Draw(sheet)
    font = PIL.ImageFont.load_default(12)
    for number, panel in enumerate(panels):
        left = MARGIN + number % columns * width
        top = MARGIN + number // columns * height
        thumbnail = _thumbnail(panel.pixels)
        sheet.paste(thumbnail, (left, top), thumbnail)
        for i, (line, color) in enumerate(_lines(panel)):
            draw.text((left, top + CELL + 4 + i * LINE), line, fill=color, font=font)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)
    return path
