"""Saving from the command line: what was made is never lost.

Where a document cannot be written as asked, it goes to a fresh temporary folder and its path is
told.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from runtime.document import Document
from runtime.errors import OutputError
from runtime.writers import STEM, save


def save_all(document: Document, outputs: Sequence[Path], command: str) -> tuple[list[Path], bool]:
    """Save to each output; the files that exist now, and whether all went where they should."""
    written: list[Path] = []
    failed = False
    for output in outputs:
        try:
            written += save(document, output)
        except OutputError as error:
            print(f"{command}: {error}", file=sys.stderr)
            failed = True
    if failed:
        rescue = Path(tempfile.mkdtemp(prefix="weft-")) / STEM
        written += save(document, rescue)
        print(f"{command}: the document was saved to {rescue} instead", file=sys.stderr)
    return list(dict.fromkeys(written)), not failed
