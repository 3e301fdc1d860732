"""Which of an engine's optimization profiles takes a call's shapes.

| name | shape |
| --- | --- |
| `shapes[input]` | the dimensions of the call |
| `profile[input]` | (least, usual, greatest), each as many dimensions |
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

Shape = tuple[int, ...]
ProfileShapes = Mapping[str, tuple[Shape, Shape, Shape]]


def covers(profile: ProfileShapes, shapes: Mapping[str, Shape]) -> bool:
    """Whether every input is within the profile."""
    for name, shape in shapes.items():
        least, _, greatest = profile[name]
        inside = zip(least, shape, greatest, strict=True)
        if not all(low <= found <= high for low, found, high in inside):
            return False
    return True


def choose_profile(profiles: Sequence[ProfileShapes], shapes: Mapping[str, Shape]) -> int | None:
    """The narrowest profile that takes these shapes; of equals the one made for the nearest.

    A profile with little room has kernels for nearly these shapes: one-token decoding is not run
    with those of a prefill.
    """

    def rank(index: int) -> tuple[float, float]:
        room = distance = 0.0
        for name, shape in shapes.items():
            least, usual, greatest = profiles[index][name]
            room += _log(greatest) - _log(least)
            distance += abs(_log(shape) - _log(usual))
        return room, distance

    fitting = [i for i, profile in enumerate(profiles) if covers(profile, shapes)]
    return min(fitting, key=rank, default=None)


def _log(shape: Shape) -> float:
    return sum(math.log2(1 + extent) for extent in shape)
