"""A document as one self-contained storybook page: no script, no outside file.

Pictures are embedded as PNG data; texts are escaped. A paragraph and its picture make a spread:
side by side where the page is wide, one above the other on a phone.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from html import escape
from importlib import resources

from runtime.document import Document, Image, Text

TITLE_LENGTH = 90
WIDE = 1.35


@dataclass
class Spread:
    """Paragraphs, and the picture they belong to."""

    paragraphs: list[str] = field(default_factory=list)
    image: Image | None = None


def html_page(document: Document) -> str:
    """The page."""
    spreads = _spreads(document)
    title = escape(_title(document.prompt))
    style = resources.files("runtime.writers").joinpath("story.css").read_text(encoding="utf-8")
    body = "\n".join(_spread(spread, number) for number, spread in enumerate(spreads, 1))
    return (
        "<!DOCTYPE html>\n"
        '<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "img-src data:; style-src 'unsafe-inline'\">\n"
        f'<meta name="generator" content="weft">\n<title>{title}</title>\n'
        f"<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        f'<header><p class="wish">{title}</p></header>\n'
        f"{body}\n"
        f"<footer>{_colophon(document)}</footer>\n</main>\n</body>\n</html>\n"
    )


def _title(prompt: str) -> str:
    words = " ".join(prompt.split()) or "A picture story"
    if len(words) <= TITLE_LENGTH:
        return words
    return words[:TITLE_LENGTH].rsplit(" ", 1)[0] + " …"


def _spreads(document: Document) -> list[Spread]:
    """A picture closes its spread; text after the last picture stands alone."""
    spreads: list[Spread] = []
    current = Spread()
    for segment in document.segments:
        if isinstance(segment, Text):
            lines = (" ".join(line.split()) for line in segment.text.split("\n"))
            current.paragraphs += [line for line in lines if line]
        else:
            current.image = segment
            spreads.append(current)
            current = Spread()
    if current.paragraphs:
        spreads.append(current)
    return spreads


def _spread(spread: Spread, number: int) -> str:
    prose = "".join(f"<p>{escape(paragraph)}</p>" for paragraph in spread.paragraphs)
    words = f'<div class="words">{prose}</div>' if prose else ""
    kinds = ["spread"]
    if spread.image is None:
        kinds.append("coda")
    elif not prose or spread.image.size[0] > WIDE * spread.image.size[1]:
        kinds.append("wide")
    figure = _figure(spread.image) if spread.image is not None else ""
    return f'<section class="{" ".join(kinds)}" id="page-{number}">{words}{figure}</section>'


def _figure(image: Image) -> str:
    width, height = image.size
    kind = ' class="cutout"' if image.transparent else ""
    data = base64.b64encode(image.png()).decode("ascii")
    return (
        f'<figure{kind}><img src="data:image/png;base64,{data}" width="{width}" '
        f'height="{height}" alt="{escape(image.prompt)}"></figure>'
    )


def _colophon(document: Document) -> str:
    count, stats = len(document.images), document.stats
    pictures = "1 picture" if count == 1 else f"{count} pictures"
    parts = [pictures, f"seed {stats.seed}"]
    if stats.total_s:
        parts.insert(1, f"{stats.total_s:.1f} s")
    if document.model:
        parts.insert(0, document.model)
    unfinished = {
        "length": "there was no room for more",
        "deadline": "its time was over",
        "interrupted": "it was interrupted",
    }.get(document.finish_reason)
    if unfinished:
        parts.append(f"unfinished: {unfinished}")
    return "<p>" + " · ".join(escape(part) for part in parts) + "</p>"
