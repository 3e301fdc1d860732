"""How much memory the caches take: fixed when a bundle is loaded, known before any work."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.errors import OptionError
from runtime.grid import all_grids
from runtime.interfaces import SMALLEST_CACHE
from runtime.manifest import Manifest

REFERENCE_SETS = 2


@dataclass(frozen=True)
class MemoryPlan:
    """Capacities in tokens and their bytes.

    `planner_bytes` is taken by each session, the others once per runtime. `window_planner_tokens`
    and `window_clean_tokens` are the largest window's two parts.
    """

    max_tokens: int
    max_references: int
    window_planner_tokens: int
    window_clean_tokens: int
    planner_bytes: int
    window_bytes: int
    reference_bytes: int


def plan_memory(
    manifest: Manifest,
    max_tokens: int | None = None,
    max_references: int | None = None,
    reference_bytes: int | None = None,
) -> MemoryPlan:
    """The plan for the manifest's capacities or the caller's; raises `OptionError`."""
    cache, image = manifest.cache, manifest.image
    tokens = _capacity("max_tokens", max_tokens, cache.capacity, SMALLEST_CACHE, 1 << 22)
    references = _capacity(
        "max_references", max_references, cache.max_references, 0, cache.max_references
    )
    row = 2 * cache.layers * cache.kv_heads * cache.head_dim * 4
    vision = max(grid.vision_tokens(image) for grid in all_grids(image))
    planner_part = manifest.limits.dense + references * vision
    clean_part = references * image.max_tokens
    sets = REFERENCE_SETS * max(1, references) * image.max_tokens * row
    return MemoryPlan(
        max_tokens=tokens,
        max_references=references,
        window_planner_tokens=planner_part,
        window_clean_tokens=clean_part,
        planner_bytes=tokens * row,
        window_bytes=(planner_part + 2 * clean_part) * row,
        reference_bytes=_capacity("reference_bytes", reference_bytes, sets, 0, 1 << 50),
    )


def _capacity(name: str, asked: int | None, default: int, low: int, high: int) -> int:
    if asked is None:
        return default
    if isinstance(asked, bool) or not isinstance(asked, int) or not low <= asked <= high:
        raise OptionError(f"{name}: expected a whole number from {low} to {high}, found {asked!r}")
    return asked
