"""The runtimes that `runtime.generate` and `runtime.stream` loaded last, kept for the next call.

Loading costs more than a short answer. A kept runtime is used again as long as its bundle is
unchanged on disk: same manifest, same sizes and modification times of all files. Whoever wants to
decide how long a bundle stays in memory holds on to what `runtime.load` returns instead.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from runtime.bundle import MANIFEST, Bundle
from runtime.loading import Runtime, default_bundle, load

LIMIT = 1
Key = tuple[Path, str]


class KeptRuntimes:
    """At most `limit` runtimes, the least recently used dropped first. Thread-safe: callers that
    need the same runtime wait for one of them to load it."""

    def __init__(self, limit: int = LIMIT, load_one: Callable[..., Runtime] = load) -> None:
        self._limit = limit
        self._load = load_one
        self._lock = threading.Lock()
        self._kept: OrderedDict[Key, tuple[str, Runtime]] = OrderedDict()

    def get(self, bundle: str | Path | None, device: str) -> Runtime:
        """The kept runtime, or a new one; raises as `runtime.load` does."""
        folder = default_bundle() if bundle is None else Path(bundle)
        key = folder.absolute(), device
        with self._lock:
            if key in self._kept:
                state, runtime = self._kept[key]
                if state == _state(runtime.bundle):
                    self._kept.move_to_end(key)
                    return runtime
                del self._kept[key]
            while len(self._kept) >= self._limit:
                # Dropped before the next is loaded, so that two never stand in memory for long.
                self._kept.popitem(last=False)
            runtime = self._load(bundle, device=device)
            self._kept[key] = _state(runtime.bundle), runtime
            return runtime

    def clear(self) -> None:
        """Forget all of them."""
        with self._lock:
            self._kept.clear()


def _state(bundle: Bundle) -> str:
    """Changes when any file of the bundle does; "" where one is gone."""
    try:
        manifest = hashlib.sha256((bundle.folder / MANIFEST).read_bytes())
        return f"{manifest.hexdigest()} {bundle.fingerprint()}"
    except OSError:
        return ""


KEPT = KeptRuntimes()
