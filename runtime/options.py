"""Request and load options: typed, validated once, with errors that name what would be accepted.

Knows limits that hold for every bundle; those of a particular bundle are checked by
`runtime.request`.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from runtime.errors import OptionError

if TYPE_CHECKING:
    from runtime.events import Event
    from runtime.prompt import PictureLike

MAX_SEED = 2**63 - 1
MAX_EDGE = 1 << 20


class GenerateOptions(TypedDict, total=False):
    """Keyword options of `generate` and `stream`; see `Options` for their meaning."""

    max_images: int | None
    size: Literal["auto"] | tuple[int, int]
    steps: int | None
    seed: int
    temperature: float | None
    top_p: float | None
    think: bool | None
    references: Sequence[PictureLike]
    deadline_s: float | None
    on_event: Callable[[Event], None] | None


@dataclass(frozen=True)
class Options:
    """One request's options.

    | option | default | meaning |
    | --- | --- | --- |
    | `max_images` | None | most pictures to draw; None: as many as the story wants and fit |
    | `size` | "auto" | (width, height) in pixels for every picture, or the planner chooses |
    | `steps` | None | denoising steps, one of the manifest's; None: the manifest's default |
    | `seed` | 0 | 0 … 2^63 − 1; the same seed gives the same document |
    | `temperature` | None | 0 is greedy; None: the manifest's default |
    | `top_p` | None | nucleus sampling in (0, 1]; None: the manifest's default |
    | `think` | None | True: plan first; False: never; None: the planner decides |
    | `references` | () | pictures put before the prompt |
    | `deadline_s` | None | seconds after which the document so far is returned |
    | `on_event` | None | called with every event |
    """

    max_images: int | None = None
    size: Literal["auto"] | tuple[int, int] = "auto"
    steps: int | None = None
    seed: int = 0
    temperature: float | None = None
    top_p: float | None = None
    think: bool | None = None
    references: Sequence[PictureLike] = ()
    deadline_s: float | None = None
    on_event: Callable[[Event], None] | None = None

    def __post_init__(self) -> None:
        _integer("max_images", self.max_images, 0, 10_000)
        _integer("steps", self.steps, 1, 1000)
        _integer("seed", self.seed, 0, MAX_SEED, optional=False)
        _number("temperature", self.temperature, 0.0, 10.0)
        _number("top_p", self.top_p, 0.0, 1.0, open_low=True)
        _number("deadline_s", self.deadline_s, 0.0, math.inf, open_low=True)
        _check_size(self.size)
        if self.think is not None and not isinstance(self.think, bool):
            raise _wrong("think", "True, False or None", self.think)
        if self.on_event is not None and not callable(self.on_event):
            raise _wrong("on_event", "a function of one event", self.on_event)
        if isinstance(self.references, (str, bytes)) or not isinstance(self.references, Sequence):
            raise _wrong("references", "a list of pictures", self.references)


@dataclass(frozen=True)
class Reuse:
    """Switches for everything that is kept instead of computed again.

    Off means computing it from scratch each time, with the same result but for rounding in
    `planner_kv`, which runs the planner over the whole sequence for every token; `reference_kv`
    commits and looks at a picture each time it is needed, `window` rebuilds the window for every
    denoising step.
    """

    planner_kv: bool = True
    reference_kv: bool = True
    window: bool = True


def parse_options(options: Mapping[str, Any]) -> Options:
    """`Options` from keywords, with unknown names refused by name."""
    known = [f.name for f in fields(Options)]
    for name in options:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {close[0]!r}?" if close else "."
            raise OptionError(f"unknown option {name!r}{hint} Known are {', '.join(known)}")
    return Options(**options)


def _wrong(name: str, expected: str, found: object) -> OptionError:
    return OptionError(f"{name}: expected {expected}, found {found!r}")


def _integer(name: str, value: object, low: int, high: int, optional: bool = True) -> None:
    if value is None and optional:
        return
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise _wrong(name, f"a whole number from {low} to {high}", value)


def _number(name: str, value: object, low: float, high: float, open_low: bool = False) -> None:
    if value is None:
        return
    fine = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not fine or not low <= float(value) <= high or (open_low and value == low):  # type: ignore[arg-type]
        limits = f"more than {low:g}" if open_low else f"{low:g} or more"
        if high < math.inf:
            limits += f", at most {high:g}"
        raise _wrong(name, f"a number, {limits}", value)


def _check_size(size: object) -> None:
    if size == "auto":
        return
    fine = isinstance(size, (tuple, list)) and len(size) == 2
    if not fine or not all(type(n) is int and 0 < n <= MAX_EDGE for n in size):  # type: ignore[attr-defined]
        raise _wrong("size", '"auto" or (width, height) in pixels', size)
