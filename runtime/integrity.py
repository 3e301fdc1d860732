"""Digests are checked the first time a bundle is loaded on a machine.

A small marker in the user's cache folder remembers that a manifest's files, with these sizes and
modification times, had the right digests. Where the marker cannot be kept, digests are checked
again the next time.
"""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path

from runtime.bundle import Bundle

logger = logging.getLogger(__name__)


def verify_once(bundle: Bundle) -> bool:
    """Verify the bundle unless that was done before; whether it was done now.

    Raises `BundleTampered`.
    """
    marker = _marker_folder() / _fingerprint(bundle)
    if marker.is_file():
        return False
    bundle.verify()
    try:
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()
    except OSError as error:
        logger.debug("cannot remember that %s was verified: %s", bundle.folder, error)
    return True


def _marker_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "weft" / "verified"


def _fingerprint(bundle: Bundle) -> str:
    digest = hashlib.sha256(f"{bundle.folder.resolve()} {bundle.digest}".encode())
    for file in bundle.files():
        status = bundle.path(file).stat()
        digest.update(f"{file.path} {status.st_size} {status.st_mtime_ns}".encode())
    return digest.hexdigest()
