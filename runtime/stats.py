"""Where the time and the memory of a document went; plain data, ready for JSON.

Times are wall-clock seconds.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class PictureStats:
    """One drawn picture: its stages, and what it looked at.

    `commit_s` is the time to compute K/V of references that were not known yet; `vision_s` the time
    for the planner to look at the new picture.
    """

    index: int
    size: tuple[int, int]
    steps: int
    references: int
    window_tokens: int
    window_s: float
    commit_s: float
    denoise_s: float
    decode_s: float
    vision_s: float

    @property
    def total_s(self) -> float:
        """All of a picture's stages together, in seconds."""
        return self.window_s + self.commit_s + self.denoise_s + self.decode_s + self.vision_s


@dataclass(frozen=True)
class Stats:
    """One request.

    `prompt_tokens` and `tokens` count what was read and what was decided token by token (ViT tokens
    of drawn pictures are in neither). `cache_hits` and `cache_misses` are look-ups of reference
    K/V and ViT features. `cache_bytes` is the memory of this session's and the runtime's caches,
    `peak_bytes` the process's largest resident size so far (0 where the system does not tell).
    """

    seed: int = 0
    steps: int = 0
    prompt_tokens: int = 0
    tokens: int = 0
    first_token_s: float = 0.0
    planner_s: float = 0.0
    total_s: float = 0.0
    cache_hits: int = 0
    cache_misses: int = 0
    cache_bytes: int = 0
    peak_bytes: int = 0
    images: tuple[PictureStats, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


@dataclass
class StageClock:
    """Seconds by stage name."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Counts the time spent inside as `name`'s."""
        started = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - started
            self.seconds[name] = self.seconds.get(name, 0.0) + spent

    def __getitem__(self, name: str) -> float:
        return self.seconds.get(name, 0.0)


def peak_bytes() -> int:
    """The process's peak resident size in bytes; 0 where it cannot be told."""
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)
