"""Constrained decoding: which token may come next.

Outside the tags the planner writes freely; inside them only what the token format allows, so the
structure of a document is always valid and always fits the cache.

```
answer  = [<think> text </think>] {text | picture} <EOS>
picture = <imagine> text </imagine> <size> h*w </size> <BOI>      then the picture's ViT tokens
```

Where dense prompts begin with a countdown, the number that the first one says is kept: each next
one goes on counting, and the answer ends after the last and not before, as far as there is room.

A state is immutable; `allowed` gives the mask, `advance` the next state. Nothing here knows logits.

| name | shape | dtype |
| --- | --- | --- |
| mask of `allowed` | [V] | bool |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from runtime.errors import GrammarError
from runtime.grid import Grid
from runtime.interfaces import ImageGeometry
from runtime.manifest import AnswerLimits, SpecialTokens

Mask = NDArray[np.bool_]


class Mode(Enum):
    """Where in the format the next token stands."""

    START = "start"
    THINK = "think"
    TEXT = "text"
    DENSE = "dense"
    SIZE_OPEN = "size_open"
    SIZE = "size"
    BOI = "boi"
    DRAW = "draw"
    END = "end"


@dataclass(frozen=True)
class State:
    """`count` tokens stand in this mode already; `images` pictures were begun in this turn; `left`
    are to come by the planner's own count, None where it does not count. `opening` are the first
    tokens of the dense prompt."""

    mode: Mode = Mode.START
    count: int = 0
    images: int = 0
    size: str = ""
    cut: bool = False
    left: int | None = None
    opening: tuple[int, ...] = ()


@dataclass(frozen=True)
class Alphabet:
    """Token ids the grammar speaks of; text tokens are all ids below `text_size` but the control
    tokens. `vocab` is the width of the logits."""

    special: SpecialTokens
    digits: tuple[int, ...]
    times: int
    text_size: int
    vocab: int


class Grammar:
    """The grammar of one assistant turn.

    `grids` are the sizes the planner may choose from (one: the size is forced), `max_images` None
    leaves the number open, `think` None leaves the plan to the planner. `countdown` are the tokens
    that a dense prompt begins with, by the number of pictures left to draw, this one included.
    """

    def __init__(
        self,
        alphabet: Alphabet,
        grids: Sequence[Grid],
        image: ImageGeometry,
        max_images: int | None = None,
        think: bool | None = None,
        limits: AnswerLimits | None = None,
        countdown: Mapping[int, tuple[int, ...]] | None = None,
    ) -> None:
        self.alphabet = alphabet
        self._countdown = dict(countdown or {})
        self._longest = max(map(len, self._countdown.values()), default=0)
        self.limits = limits or AnswerLimits()
        self.max_images = max_images
        self.think = think
        self._sizes = {f"{grid.rows}*{grid.columns}": grid for grid in grids}
        if not self._sizes:
            raise GrammarError("expected at least one allowed picture size, found none")
        self._characters = {str(d): token for d, token in enumerate(alphabet.digits)}
        self._characters["*"] = alphabet.times
        self._letters = {token: letter for letter, token in self._characters.items()}
        special = {getattr(alphabet.special, f.name) for f in fields(alphabet.special)}
        text = np.zeros(alphabet.vocab, bool)
        text[: alphabet.text_size] = True
        text[sorted(special)] = False
        self._text = text
        vision = max(grid.vision_tokens(image) for grid in grids)
        longest = max(len(size) for size in self._sizes)
        self.picture_room = self.limits.dense + longest + 5 + vision
        """Slots that one more picture takes at most."""
        self.plan_room = self.limits.think + 4
        """Slots that must be free for a plan to be begun."""

    def allowed(self, state: State, room: int) -> Mask:
        """Tokens that may come next when `room` slots are free, this token's included."""
        special, mode = self.alphabet.special, state.mode
        if mode in (Mode.START, Mode.TEXT):
            return self._prose(state, room)
        if mode is Mode.THINK:
            return self._run(special.think_close, state.count, self.limits.think)
        if mode is Mode.DENSE:
            due = self._countdown.get(state.left or 0, ())
            if state.count < len(due):
                return self._only(due[state.count])
            return self._run(special.imagine_close, state.count, self.limits.dense)
        if mode is Mode.SIZE_OPEN:
            return self._only(special.size_open)
        if mode is Mode.SIZE:
            return self._size_mask(state.size)
        if mode is Mode.BOI:
            return self._only(special.boi)
        raise GrammarError(f"no token may follow in mode {mode.value!r}")

    def advance(self, state: State, token: int, room: int) -> State:
        """The state after `token`; raises `GrammarError` when it is not allowed."""
        if not (0 <= token < self.alphabet.vocab and self.allowed(state, room)[token]):
            raise GrammarError(f"token {token} is not allowed in mode {state.mode.value!r}")
        special = self.alphabet.special
        if token == special.eos:
            promised = bool(state.left) and self.crowded(state, room)
            return replace(state, mode=Mode.END, cut=promised or self._full(state, room))
        if token == special.think_open:
            return replace(state, mode=Mode.THINK, count=0)
        if token == special.think_close:
            return replace(state, mode=Mode.TEXT, count=0)
        if token == special.imagine_open:
            return replace(state, mode=Mode.DENSE, count=0, images=state.images + 1, opening=())
        if token == special.imagine_close:
            return replace(state, mode=Mode.SIZE_OPEN, left=self._left(state.opening))
        if token == special.size_open:
            return replace(state, mode=Mode.SIZE, size="")
        if token == special.size_close:
            return replace(state, mode=Mode.BOI)
        if token == special.boi:
            return replace(state, mode=Mode.DRAW)
        if state.mode is Mode.SIZE:
            return replace(state, size=state.size + self._letters[token])
        if state.mode is Mode.DENSE and state.count < self._longest:
            state = replace(state, opening=(*state.opening, token))
        mode = Mode.TEXT if state.mode is Mode.START else state.mode
        return replace(state, mode=mode, count=state.count + 1)

    def drawn(self, state: State) -> State:
        """The state after the picture's ViT tokens were put in."""
        if state.mode is not Mode.DRAW:
            raise GrammarError(f"no picture stands in mode {state.mode.value!r}")
        return replace(state, mode=Mode.TEXT, count=0)

    def grid(self, state: State) -> Grid:
        """The size of the picture being begun."""
        return self._sizes[state.size]

    def counting(self, state: State) -> int:
        """How many tokens at the beginning of the last dense prompt are its countdown."""
        return len(self._countdown.get(self._number(state.opening), ()))

    def crowded(self, state: State, room: int) -> bool:
        """Whether one more picture may follow, but for its room."""
        return self._may_follow(state) and not self._fits(state, room)

    def _may_follow(self, state: State) -> bool:
        more = self.max_images is None or state.images < self.max_images
        return more and state.left != 0

    def _fits(self, state: State, room: int) -> bool:
        return room >= self.picture_room + 1 and state.count < self.limits.text

    def _number(self, opening: tuple[int, ...]) -> int:
        """How many pictures are left where a dense prompt begins so; 0 where it does not count."""
        said = (n for n, t in self._countdown.items() if opening[: len(t)] == t)
        return next(said, 0)

    def _left(self, opening: tuple[int, ...]) -> int | None:
        """How many pictures are to come after one whose dense prompt begins so."""
        number = self._number(opening)
        return number - 1 if number else None

    def _full(self, state: State, room: int) -> bool:
        return room < 2 or state.count >= self.limits.text

    def _prose(self, state: State, room: int) -> Mask:
        special, start = self.alphabet.special, state.mode is Mode.START
        may_think = start and self.think is not False and room >= self.plan_room
        if may_think and self.think:
            return self._only(special.think_open)
        mask = np.zeros_like(self._text) if self._full(state, room) else self._text.copy()
        may_draw = self._may_follow(state) and self._fits(state, room)
        mask[special.imagine_open] = may_draw
        mask[special.think_open] = may_think
        # An answer says or shows something before it ends, and as many pictures as it has promised.
        mask[special.eos] = not (start or (state.left and may_draw)) or not mask.any()
        return mask

    def _run(self, close: int, count: int, limit: int) -> Mask:
        if count >= limit:
            return self._only(close)
        mask = self._text.copy()
        mask[close] = count > 0
        return mask

    def _size_mask(self, prefix: str) -> Mask:
        mask = np.zeros(self.alphabet.vocab, bool)
        for size in self._sizes:
            if size == prefix:
                mask[self.alphabet.special.size_close] = True
            elif size.startswith(prefix):
                mask[self._characters[size[len(prefix)]]] = True
        return mask

    def _only(self, token: int) -> Mask:
        mask = np.zeros(self.alphabet.vocab, bool)
        mask[token] = True
        return mask


def forced(mask: Mask) -> int | None:
    """The token, where just one is allowed."""
    found = np.flatnonzero(mask)
    return int(found[0]) if len(found) == 1 else None
