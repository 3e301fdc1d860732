"""The grammar: whatever the logits say, the answer is well formed and fits."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.bundle import AnswerLimits, SpecialTokens
from runtime.errors import GrammarError
from runtime.grammar import Alphabet, Grammar, Mode, State, forced
from runtime.grid import Grid, all_grids
from runtime.interfaces import ImageGeometry

IMAGE = ImageGeometry(16, 4, 64, (128, 128), 8.0, 48)
SPECIAL = SpecialTokens(*range(12))
ALPHABET = Alphabet(SPECIAL, tuple(range(12, 22)), 22, 60, 64)
LIMITS = AnswerLimits(text=12, dense=6, think=5)
NAMES = dict(enumerate(["P", "U", "A", "<t>", "</t>", "[", "]", "(", ")", "B", "I", "E"]))
ANSWER = re.compile(r"(<t> (x )+</t> )?(x |\[ (x )+\] \( (x ){3,5}\) B (I )+)*E ")


def walk(
    grammar: Grammar, choices: st.DataObject, room: int, eager: bool
) -> tuple[list[int], State]:
    tokens: list[int] = []
    state = State()
    while state.mode is not Mode.END:
        if state.mode is Mode.DRAW:
            count = grammar.grid(state).vision_tokens(IMAGE)
            tokens += [SPECIAL.image] * count
            state = grammar.drawn(state)
            continue
        free = room - len(tokens)
        options = [int(i) for i in np.flatnonzero(grammar.allowed(state, free))]
        preferred = SPECIAL.imagine_open
        if eager and preferred in options:
            token = preferred
        else:
            token = choices.draw(st.sampled_from(options))
        state = grammar.advance(state, token, free)
        tokens.append(token)
    return tokens, state


@settings(max_examples=60, deadline=None)
@given(
    st.data(),
    st.integers(3, 150),
    st.sampled_from([None, 0, 1, 2]),
    st.sampled_from([None, True, False]),
    st.booleans(),
)
def test_every_answer_is_well_formed_and_fits(
    data: st.DataObject, room: int, max_images: int | None, think: bool | None, eager: bool
) -> None:
    grammar = Grammar(ALPHABET, all_grids(IMAGE), IMAGE, max_images, think, LIMITS)
    tokens, state = walk(grammar, data, room, eager)
    assert len(tokens) <= room
    assert ANSWER.fullmatch("".join(NAMES.get(t, "x") + " " for t in tokens))
    assert state.images == tokens.count(SPECIAL.boi)
    if max_images is not None:
        assert state.images <= max_images
    if think is False:
        assert SPECIAL.think_open not in tokens
    assert max(tokens) < ALPHABET.text_size


@settings(deadline=None)
@given(st.sampled_from(all_grids(IMAGE)))
def test_a_forced_size_is_the_only_one(grid: Grid) -> None:
    grammar = Grammar(ALPHABET, [grid], IMAGE, limits=LIMITS)
    state = State(Mode.SIZE_OPEN)
    written = []
    while state.mode is not Mode.DRAW:
        token = forced(grammar.allowed(state, 100))
        assert token is not None
        state = grammar.advance(state, token, 100)
        written.append(token)
    letters = {**{12 + d: str(d) for d in range(10)}, 22: "*"}
    assert "".join(letters[t] for t in written[1:-2]) == f"{grid.rows}*{grid.columns}"
    assert grammar.grid(state) == grid


def test_sizes_follow_the_limits_digit_by_digit() -> None:
    grammar = Grammar(ALPHABET, all_grids(IMAGE), IMAGE, limits=LIMITS)
    digits = {d for d in range(10) if grammar.allowed(State(Mode.SIZE), 9)[12 + d]}
    assert digits == set(range(1, 10))
    # 64 tokens at most: after "16*" no more than 4 columns, and at least 2 for 8:1.
    after = {d for d in range(10) if grammar.allowed(State(Mode.SIZE, size="16*"), 9)[12 + d]}
    assert after == {2, 3, 4}


def test_thinking_may_be_forced_forbidden_or_free() -> None:
    def mask(think: bool | None) -> np.ndarray:
        return Grammar(ALPHABET, all_grids(IMAGE), IMAGE, None, think, LIMITS).allowed(
            State(), 1000
        )

    assert forced(mask(True)) == SPECIAL.think_open
    assert not mask(False)[SPECIAL.think_open]
    assert mask(None)[SPECIAL.think_open]
    assert mask(None)[30]


def test_an_answer_does_not_end_before_it_begins() -> None:
    grammar = Grammar(ALPHABET, all_grids(IMAGE), IMAGE, limits=LIMITS)
    assert not grammar.allowed(State(), 1000)[SPECIAL.eos]
    assert forced(grammar.allowed(State(Mode.TEXT, 1), 1)) == SPECIAL.eos


def test_wrong_tokens_are_refused() -> None:
    grammar = Grammar(ALPHABET, all_grids(IMAGE), IMAGE, limits=LIMITS)
    for token in (SPECIAL.boi, SPECIAL.image, SPECIAL.user, 63, -1, 10**6):
        with pytest.raises(GrammarError, match="not allowed"):
            grammar.advance(State(Mode.TEXT), token, 1000)
    with pytest.raises(GrammarError):
        grammar.drawn(State(Mode.TEXT))
    with pytest.raises(GrammarError, match="at least one"):
        Grammar(ALPHABET, [], IMAGE)


COUNTDOWN = {n: (30 + n, 40) for n in range(1, 6)}


def counted(state: State, *tokens: int) -> State:
    """The state after these tokens and the picture that they describe."""
    grammar = Grammar(ALPHABET, all_grids(IMAGE), IMAGE, None, None, LIMITS, COUNTDOWN)
    size = (SPECIAL.size_open, *(ALPHABET.digits[4], ALPHABET.times, ALPHABET.digits[4]))
    for token in (SPECIAL.imagine_open, *tokens, SPECIAL.imagine_close, *size,
                  SPECIAL.size_close, SPECIAL.boi):  # fmt: skip
        state = grammar.advance(state, token, 500)
    return grammar.drawn(state)


def test_a_promised_number_of_pictures_is_kept() -> None:
    grammar = Grammar(ALPHABET, all_grids(IMAGE), IMAGE, None, None, LIMITS, COUNTDOWN)
    state = counted(State(), 32, 40, 50)
    assert state.left == 1 and grammar.counting(state) == 2
    allowed = grammar.allowed(state, 500)
    assert allowed[SPECIAL.imagine_open] and not allowed[SPECIAL.eos] and allowed[50]
    begun = grammar.advance(state, SPECIAL.imagine_open, 500)
    assert forced(grammar.allowed(begun, 500)) == 31
    assert forced(grammar.allowed(grammar.advance(begun, 31, 500), 500)) == 40
    state = counted(state, 31, 40, 50)
    assert state.left == 0
    allowed = grammar.allowed(state, 500)
    assert allowed[SPECIAL.eos] and not allowed[SPECIAL.imagine_open] and allowed[50]


def test_a_promise_is_kept_only_where_it_can_be() -> None:
    state = counted(State(), 33, 40, 50)
    few = Grammar(ALPHABET, all_grids(IMAGE), IMAGE, 1, None, LIMITS, COUNTDOWN)
    assert few.allowed(state, 500)[SPECIAL.eos]
    grammar = Grammar(ALPHABET, all_grids(IMAGE), IMAGE, None, None, LIMITS, COUNTDOWN)
    room = grammar.picture_room
    assert grammar.allowed(state, room)[SPECIAL.eos] and grammar.crowded(state, room)
    assert grammar.advance(state, SPECIAL.eos, room).cut
    assert not few.crowded(state, room) and not few.advance(state, SPECIAL.eos, room).cut
    assert not grammar.crowded(state, room + 1)


def test_who_does_not_count_is_free() -> None:
    for tokens in ((50, 33, 40), (33, 50), (50,)):
        state = counted(State(), *tokens)
        grammar = Grammar(ALPHABET, all_grids(IMAGE), IMAGE, None, None, LIMITS, COUNTDOWN)
        assert state.left is None and grammar.counting(state) == 0
        allowed = grammar.allowed(state, 500)
        assert allowed[SPECIAL.eos] and allowed[SPECIAL.imagine_open]


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(60, 300), st.booleans())
def test_answers_that_count_are_well_formed_too(
    data: st.DataObject, room: int, eager: bool
) -> None:
    grammar = Grammar(ALPHABET, all_grids(IMAGE), IMAGE, None, False, LIMITS, COUNTDOWN)
    tokens, _ = walk(grammar, data, room, eager)
    assert len(tokens) <= room
    text = "".join(NAMES.get(token, "x") + " " for token in tokens)
    assert ANSWER.fullmatch(text), text
