"""What the planner would write if nothing kept it to the token format.

The runtime's grammar makes every document valid, so a document does not show whether the planner
has learned the format. Here the last answer of a session is gone through again, token by token, and
at every place the token is drawn once more, from everything there is in place of what is allowed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np

from runtime.errors import SessionError
from runtime.grammar import Grammar, Mask, Mode, State
from runtime.sampling import choose

if TYPE_CHECKING:
    from runtime.session import Session


def tag_choices(session: Session, seed: int) -> list[bool]:
    """See `Session.tag_choices`."""
    special = session.runtime.vocabulary.special
    tags = {getattr(special, field.name) for field in fields(special)}
    sampling = session.runtime.bundle.manifest.sampling
    kept: list[bool] = []
    for index, token, state, allowed in _places(session):
        choice = choose(
            session.planner.logits(),
            np.ones_like(allowed),
            sampling.temperature,
            sampling.top_p,
            seed,
            index,
        )
        right = bool(allowed[choice])
        if token in tags or state.mode is Mode.SIZE or not right:
            kept.append(right)
    return kept


def _places(session: Session) -> Iterator[tuple[int, int, State, Mask]]:
    """Every token of the answer with its index, the state before it and what is allowed there,
    while the planner stands just before it; at the end, however it comes, the planner is whole."""
    planner, special = session.planner, session.runtime.vocabulary.special
    end = planner.length
    tokens, positions = planner.tokens[:end].copy(), planner.positions[:end].copy()
    features = dict(planner.features)

    def put_back() -> None:
        """The next token, or the next picture's."""
        start = planner.length
        block = features.get(start)
        stop = start + (1 if block is None else len(block))
        planner.append(tokens[start:stop].tolist(), positions[start:stop], block)

    grammar, state = _grammar(session), State()
    turn = session.history.turns[-1].length
    answers = turn + np.flatnonzero(tokens[turn:] == special.assistant)
    if not answers.size:
        raise SessionError("tag_choices: expected an answer in the last turn, found none")
    # The engine needs a token to run on: the one before the answer's first.
    planner.rewind(int(answers[0]))
    try:
        put_back()
        while planner.length < end:
            index = planner.length
            token = int(tokens[index])
            if token == special.image:
                state = grammar.drawn(state)
            else:
                yield index, token, state, grammar.allowed(state, planner.capacity)
                state = grammar.advance(state, token, planner.capacity)
            put_back()
    finally:
        while planner.length < end:
            put_back()


def _grammar(session: Session) -> Grammar:
    """The grammar of any answer: all sizes, any number of pictures."""
    runtime = session.runtime
    manifest = runtime.bundle.manifest
    return Grammar(runtime.alphabet, runtime.grids, manifest.image, limits=manifest.limits)
