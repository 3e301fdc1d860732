"""Markdown with the pictures as PNG files beside it."""

from __future__ import annotations

import re
from urllib.parse import quote

from runtime.document import Document, Text

_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~&])")
_LINE_START = re.compile(r"^(\s*)([-+=]+|\d+[.)])(?=\s|$)")


def markdown_files(document: Document, stem: str) -> dict[str, bytes]:
    """`{stem}.md` and `{stem}-1.png`, … by name."""
    files: dict[str, bytes] = {}
    blocks: list[str] = []
    for segment in document.segments:
        if isinstance(segment, Text):
            blocks += [_escape(line.strip()) for line in segment.text.split("\n") if line.strip()]
            continue
        name = f"{stem}-{segment.index + 1}.png"
        files[name] = segment.png()
        blocks.append(f"![{_escape(segment.prompt)}]({quote(name)})")
    page = "\n\n".join(blocks) + "\n"
    return {f"{stem}.md": page.encode("utf-8"), **files}


def _escape(text: str) -> str:
    """The text with nothing in it that Markdown would read as markup."""
    plain = _MARKUP.sub(r"\\\1", text.replace("\n", " "))
    return _LINE_START.sub(lambda m: f"{m[1]}{m[2][:-1]}\\{m[2][-1]}", plain)
