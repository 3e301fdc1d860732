"""Digests are checked the first time a bundle is loaded on a machine.

A small marker in the user's cache folder remembers that a manifest's files, with these sizes and
modification times, had the right digests. Where the marker cannot be kept, digests are checked
again the next time.
"""

from __future__ import annotations

import hashlib
import logging

from runtime.bundle import Bundle
from runtime.user_cache import cache_folder

logger = logging.getLogger(__name__)


def verify_once(bundle: Bundle) -> bool:
    """Verify the bundle unless that was done before; whether it was done now.

    Raises `BundleTampered`.
    """
    known = f"{bundle.folder.resolve()} {bundle.digest} {bundle.fingerprint()}"
    marker = cache_folder("verified") / hashlib.sha256(known.encode()).hexdigest()
    try:
        if marker.is_file():
            return False
    except OSError as error:
        logger.debug("cannot look for %s: %s", marker, error)
    bundle.verify()
    try:
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()
    except OSError as error:
        logger.debug("cannot remember that %s was verified: %s", bundle.folder, error)
    return True
