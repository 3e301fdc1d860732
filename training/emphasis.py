"""Which of the planner's tokens count several times in its loss.

| result | shape | dtype |
| --- | --- | --- |
| tokens | [S] | int64 |
| which of them | [S] | bool |
"""

from __future__ import annotations

from collections.abc import Container
from collections.abc import Sequence as Listing
from difflib import SequenceMatcher
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.sequence import ASSISTANT, EOS, IMAGE, IMAGINE, USER
from training.storyworld.documents.cast import NAMES, PRONOUNS
from training.storyworld.scene import (
    ACCESSORIES,
    ACTIONS,
    COLORS,
    KINDS,
    PLACES,
    PROPS,
    STYLES,
    TIMES,
    WEATHERS,
)
from training.tokenizer import load_tokenizer

# So many tokens after a picture tell whether a story goes on or ends.
FIRST_WORDS = 6


def turning_points(tokens: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of the tokens [S] are the first after a picture, or begin one or end the turn."""
    turns = (tokens == IMAGINE) | (tokens == EOS)
    for back in range(1, FIRST_WORDS + 1):
        turns[back:] |= tokens[:-back] == IMAGE
    return turns & (tokens != IMAGE)


def numbering_tokens(tokens: NDArray[np.int64], spelled: Listing[str]) -> NDArray[np.bool_]:
    """Which of the tokens [S] say, at the beginning of a dense prompt, how many pictures are left
    to draw; the token i is spelled `spelled[i]`."""
    numbers = np.zeros(len(tokens), bool)
    inside = False
    for i, token in enumerate(tokens.tolist()):
        inside = token == IMAGINE or (inside and spelled[token].strip().isdigit())
        numbers[i] = inside and token != IMAGINE
    return numbers


def referring_words(
    tokens: NDArray[np.int64], names: Listing[int], pronouns: Listing[int]
) -> NDArray[np.bool_]:
    """Which of the tokens [S] name somebody when somebody has been named, or are a pronoun.

    A new name counts as much as a known one: else known ones would be said too often.
    """
    named = np.isin(tokens, names)
    named[np.flatnonzero(named)[:1]] = False
    return named | np.isin(tokens, pronouns)


def changed_tokens(
    before: Listing[int], now: Listing[int], words: Container[int]
) -> NDArray[np.bool_]:
    """Which tokens of the dense prompt `now` are `words` that `before` does not say there, or stand
    first where it says one more."""
    changed = np.zeros(len(now), bool)
    for kind, *there, start, stop in SequenceMatcher(None, before, now, False).get_opcodes():
        if kind == "equal":
            continue
        new = [i for i in range(start, stop) if now[i] in words]
        if new:
            changed[new] = True
        elif any(before[i] in words for i in range(*there)):
            changed[start : start + 1] = True
    return changed


def heeding_tokens(
    tokens: NDArray[np.int64], spelled: Listing[str], words: Container[int]
) -> NDArray[np.bool_]:
    """Which of the tokens [S] are `words` of the user's turn that its answer says for the first or
    the second time, in its text and in a dense prompt; the token i is spelled `spelled[i]`."""
    heeding = np.zeros(len(tokens), bool)
    left: dict[str, int] = {}
    asking = False
    for i, token in enumerate(tokens.tolist()):
        if token in (USER, ASSISTANT):
            asking = token == USER
            left = {} if asking else left
        elif token in words:
            word = spelled[token].strip().lower()
            if asking:
                left[word] = 2
            elif left.get(word, 0):
                heeding[i], left[word] = True, left[word] - 1
    return heeding


@lru_cache
def name_words(tokenizer: Path) -> tuple[list[int], list[int]]:
    """The tokens that are a whole name, and those that are a pronoun. Names of several tokens, as
    prompts invent them, are not among them."""
    names = [name for group in NAMES.values() for name in group]
    pronouns = [word for group in PRONOUNS.values() for word in group]
    return _spelled(tokenizer, names), _spelled(tokenizer, pronouns)


@lru_cache
def thing_words(tokenizer: Path) -> list[int]:
    """The tokens that are the whole name of a kind, an accessory or a prop."""
    return _spelled(tokenizer, [*KINDS, *ACCESSORIES, *PROPS])


@lru_cache
def listed_words(tokenizer: Path) -> list[int]:
    """The tokens that are the whole name of what may differ in a series."""
    return _spelled(tokenizer, [*PLACES, *TIMES, *WEATHERS, *ACTIONS])


@lru_cache
def slot_words(tokenizer: Path) -> frozenset[int]:
    """The tokens that are a whole word for what a picture shows."""
    shown = (*STYLES, *COLORS, *KINDS, *ACCESSORIES, *ACTIONS, *PLACES, *TIMES, *WEATHERS, *PROPS)
    return frozenset(_spelled(tokenizer, [*shown, "left", "right", "middle"]))


@lru_cache
def spellings(path: Path) -> tuple[str, ...]:
    """What every token adds to the text; of other bytes than ASCII's only that they are there."""
    tokenizer = load_tokenizer(path)
    known = (tokenizer.id_to_token(i) or "" for i in range(tokenizer.get_vocab_size()))
    return tuple(text.replace("\u0120", " ") for text in known)


def _spelled(path: Path, words: list[str]) -> list[int]:
    """Every token that is the whole of one of the words."""
    tokenizer, found = load_tokenizer(path), set()
    for word in words:
        for text in {start + form for start in ("", " ") for form in (word, word.capitalize())}:
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            if len(ids) == 1:
                found.add(ids[0])
    return sorted(found)
