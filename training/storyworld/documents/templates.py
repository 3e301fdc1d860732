"""Sentence templates: `[this|that]` chooses, `{name}` fills in. They nest no brackets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from training.storyworld.documents.dice import Dice

_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_SPACES = re.compile(r" {2,}")


@lru_cache(maxsize=4096)
def _pieces(template: str) -> tuple[tuple[str, ...], ...]:
    """Fixed text and choices alternate; fixed text is a choice of one."""
    pieces = _CHOICE.split(template)
    return tuple((p,) if i % 2 == 0 else tuple(p.split("|")) for i, p in enumerate(pieces))


def fill(dice: Dice, template: str, fields: Mapping[str, str]) -> str:
    """One wording of `template`, with single spaces and a capital after each full stop."""
    chosen = "".join(p[0] if len(p) == 1 else dice.pick(p) for p in _pieces(template))
    return _SPACES.sub(" ", chosen.format_map(fields)).strip()
