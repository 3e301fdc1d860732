"""The Dense Prompt Context Window (DPCW): what the noise tokens of one picture may see.

Exactly the planner's K/V of the dense prompt's tokens, the planner's K/V of the references' ViT
tokens, and the references' clean-token K/V; no user text, narration, plan or earlier dense prompt.
Keys are shifted so that positions are relative to the picture being drawn: the dense prompt ends
one step before it on every axis, reference j of image k sits k - j before it on t.

| name | shape | dtype | meaning |
| --- | --- | --- | --- |
| `Plan.index` | [N] | int64 | planner slots taken: dense prompt, then ViT tokens by reference |
| `Plan.shift` | [N, 3] | float32 | added to the positions of those slots |
| `Plan.reference_shift` | [M, 3] | float32 | added to the positions of the clean tokens |
| `build(...)["window.k.0"]`, … | [1, KV, N+M, D] | the engine's | planner rows, then clean rows |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.engines.base import Array, Engine
from runtime.engines.elements import Element
from runtime.engines.memory import FLOAT32, HOST, Memory
from runtime.history import PlacedPicture
from runtime.interfaces import CacheGeometry, cache_names


@dataclass(frozen=True)
class Reference:
    """A picture in the window and how many pictures before the drawn one it stands."""

    picture: PlacedPicture
    distance: int


@dataclass(frozen=True, eq=False)
class Plan:
    """Which planner slots and references make up a window, and how they are shifted."""

    index: NDArray[np.int64]
    shift: NDArray[np.float32]
    references: tuple[Reference, ...]
    reference_shift: NDArray[np.float32]

    @property
    def tokens(self) -> int:
        """The window's length."""
        return len(self.index) + len(self.reference_shift)


def choose_references(pictures: Sequence[PlacedPicture], limit: int) -> tuple[Reference, ...]:
    """The given pictures and the first and last of the drawn ones, in order; where these are more
    than `limit`, the first and the most recent of them."""
    count = len(pictures)
    drawn = [j for j in range(count) if not pictures[j].given]
    between = set(drawn[1:-1])
    kept = [j for j in range(count) if j not in between]
    if len(kept) > limit:
        first = kept[:1] if limit > 1 else []
        kept = first + kept[len(kept) - limit + len(first) :]
    return tuple(Reference(pictures[j], count - j) for j in kept)


def plan_window(dense: range, dense_end: int, references: Sequence[Reference]) -> Plan:
    """The window of the picture whose dense prompt fills the planner slots `dense`.

    `dense_end` is the text position of the dense prompt's last token.
    """
    index = [np.arange(dense.start, dense.stop, dtype=np.int64)]
    shift = [np.full((len(dense), 3), -(dense_end + 1), np.float32)]
    clean = [np.zeros((0, 3), np.float32)]
    for reference in references:
        picture, d = reference.picture, reference.distance
        p0, slots = picture.position, picture.slots
        index.append(np.arange(slots.start, slots.stop, dtype=np.int64))
        shift.append(_rows((-d - p0, -p0, -p0), len(slots)))
        clean.append(_rows((-d, 0, 0), picture.grid.tokens))
    return Plan(
        np.concatenate(index), np.concatenate(shift), tuple(references), np.concatenate(clean)
    )


def _rows(row: tuple[float, float, float], count: int) -> NDArray[np.float32]:
    return np.tile(np.array(row, np.float32), (count, 1))


class WindowBuilder:
    """Builds windows into buffers allocated once, in `memory`; `elements` are those of the window's
    engine by name, float32 where they are not given.

    A built window is valid until the next `build`; the runtime's lock is held that long.
    """

    def __init__(
        self,
        geometry: CacheGeometry,
        max_planner: int,
        max_clean: int,
        memory: Memory = HOST,
        elements: Mapping[str, Element] | None = None,
    ) -> None:
        self._memory = memory
        self._row = (geometry.kv_heads, geometry.head_dim)
        row, given = geometry.kv_heads * geometry.head_dim, elements or {}

        def buffers(prefix: str, tokens: int) -> dict[str, Array]:
            names = cache_names(prefix, geometry.layers)
            # A device has no empty buffers.
            shape = (row * max(tokens, 1),)
            return {name: memory.zeros(shape, given.get(name, FLOAT32)) for name in names}

        self._clean = buffers("reference", max_clean)
        self._window = buffers("window", max_planner + max_clean)

    def build(
        self,
        engine: Engine,
        plan: Plan,
        planner_cache: Mapping[str, Array],
        reference_kv: Sequence[Mapping[str, Array]],
    ) -> dict[str, Array]:
        """The window's K/V; `reference_kv` stands in the order of `plan.references`."""
        clean = {n: self._view(a, len(plan.reference_shift)) for n, a in self._clean.items()}
        if reference_kv:
            for name, target in clean.items():
                self._memory.join_rows([kv[name] for kv in reference_kv], target)
        inputs = {
            **{n.replace("past.", "planner.", 1): a for n, a in planner_cache.items()},
            "index": plan.index,
            "shift": plan.shift,
            **clean,
            "reference_shift": plan.reference_shift,
        }
        return engine.run(inputs, {n: self._view(a, plan.tokens) for n, a in self._window.items()})

    def _view(self, buffer: Array, tokens: int) -> Array:
        heads, dim = self._row
        return self._memory.prefix(buffer, (1, heads, tokens, dim))
