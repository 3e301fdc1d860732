"""The result: text and pictures in order, with how they came about; saved by `runtime.writers`.

| name | shape | dtype | meaning |
| --- | --- | --- | --- |
| `Image.pixels` | [H, W, 4] | uint8 | straight RGBA |
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from runtime.stats import Stats

if TYPE_CHECKING:
    import PIL.Image


@dataclass(frozen=True)
class Text:
    """A run of text, as it was written; paragraphs end with a newline."""

    text: str


@dataclass(frozen=True, eq=False)
class Image:
    """A drawn picture: `index` counts the document's pictures from 0, `prompt` is the planner's
    dense prompt for it."""

    index: int
    pixels: NDArray[np.uint8]
    prompt: str

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]

    @property
    def transparent(self) -> bool:
        """Whether any pixel is clearly see-through."""
        return bool((self.pixels[..., 3] < 128).any())

    def to_pil(self) -> PIL.Image.Image:
        """The picture as a PIL image, RGBA."""
        import PIL.Image

        return PIL.Image.fromarray(self.pixels)

    def png(self) -> bytes:
        """The picture as a PNG file."""
        buffer = io.BytesIO()
        self.to_pil().save(buffer, "PNG")
        return buffer.getvalue()


Segment = Text | Image


@dataclass(frozen=True)
class Document:
    """What one request gave.

    `finish_reason` is "stop" (complete), "length" (the cache had no room for more, or a text did
    not end), "deadline" or "interrupted"; `plan` is the planner's thinking, if it wrote any.
    """

    segments: tuple[Segment, ...]
    prompt: str = ""
    plan: str = ""
    finish_reason: str = "stop"
    model: str = ""
    stats: Stats = field(default_factory=Stats)

    @property
    def images(self) -> tuple[Image, ...]:
        """The pictures, in order."""
        return tuple(s for s in self.segments if isinstance(s, Image))

    @property
    def text(self) -> str:
        """All text, without the pictures."""
        return "".join(s.text for s in self.segments if isinstance(s, Text))

    def digest(self) -> str:
        """sha256 over texts, dense prompts and pixels: equal for bit-identical documents."""
        digest = hashlib.sha256()
        for segment in self.segments:
            if isinstance(segment, Text):
                digest.update(b"T" + segment.text.encode("utf-8"))
            else:
                digest.update(f"I{segment.pixels.shape}{segment.prompt}".encode())
                digest.update(np.ascontiguousarray(segment.pixels).data)
        return digest.hexdigest()

    def save(self, path: str | Path) -> Path:
        """Write the document and return where it is.

        `x.html` is one self-contained page; `x.md` is Markdown with its pictures beside it; a path
        without a suffix is a folder that gets both and `story.json`. Raises `OutputError`.
        """
        from runtime.writers import save

        save(self, Path(path))
        return Path(path)
