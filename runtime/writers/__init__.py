"""Documents on disk: one page, Markdown with pictures beside it, or a folder with everything.

Files are written beside their place and moved there, so a failure leaves no half-written file.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from runtime.document import Document
from runtime.errors import OptionError, OutputError
from runtime.writers.html import html_page
from runtime.writers.markdown import markdown_files
from runtime.writers.record import record_json

Files = dict[str, bytes]
STEM = "story"


def save(document: Document, path: Path) -> list[Path]:
    """Write by suffix: `.html`, `.md`, or none for a folder. The files, the page first; raises
    `OutputError`."""
    folder, make = _plan(path)
    files = make(document)
    _write(folder, files)
    return [folder / name for name in files]


def check_output(path: Path) -> None:
    """Raise `OptionError` or `OutputError` where a document cannot be saved there, as far as can
    be known before it is made."""
    folder, _ = _plan(path)
    check_folder(folder)


def check_folder(folder: Path) -> None:
    """Raise `OutputError` where `folder` is none that can be made or written to."""
    try:
        nearest = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    except OSError as error:
        raise _refused(folder, error) from error
    if not nearest.is_dir():
        raise OutputError(f"{folder}: cannot write there ({nearest} is a file); choose a folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise OutputError(
            f"{folder}: cannot write there ({nearest} is closed to you); choose a folder you may "
            "write to"
        )


def _plan(path: Path) -> tuple[Path, Callable[[Document], Files]]:
    """The folder that files go to, and what makes them."""
    try:
        suffix = "" if path.is_dir() else path.suffix.lower()
    except OSError as error:
        raise _refused(path, error) from error
    if suffix in (".html", ".htm"):
        return path.parent, lambda document: {path.name: html_page(document).encode("utf-8")}
    if suffix == ".md":
        return path.parent, lambda document: markdown_files(document, path.stem)
    if suffix == "":
        return path, _folder_files
    raise OptionError(
        f"{path}: expected a name ending in .html or .md, or a folder without a suffix, "
        f"found {suffix!r}"
    )


def _folder_files(document: Document) -> Files:
    return {
        f"{STEM}.html": html_page(document).encode("utf-8"),
        **markdown_files(document, STEM),
        f"{STEM}.json": record_json(document).encode("utf-8"),
    }


def _write(folder: Path, files: Files) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            _replace(folder / name, data)
    except OSError as error:
        raise _refused(folder, error) from error


def _refused(path: Path, error: OSError) -> OutputError:
    reason = error.strerror or str(error)
    return OutputError(f"{path}: cannot write there ({reason}); choose a folder you may write to")


def _replace(path: Path, data: bytes) -> None:
    handle, pending = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        os.chmod(pending, 0o644)
        os.replace(pending, path)
    except BaseException:
        os.unlink(pending)
        raise
