"""What is kept on this machine from run to run, outside bundles and documents."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(what: str) -> Path:
    """Where weft keeps `what`; the folder need not exist yet."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "weft" / what
