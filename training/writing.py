"""Greedy writing with the planner, by full passes: for samples in training, not for speed.

Pictures that the planner asks for are not drawn; their tokens carry zero features.
"""

from __future__ import annotations

import re

import torch
from tokenizers import Tokenizer

from training.models import Planner
from training.sequence import (
    ASSISTANT,
    BOI,
    END_SIZE,
    EOS,
    IMAGE,
    SIZE,
    SPECIAL_TOKENS,
    USER,
    picture_extent,
    vision_positions,
)

MAX_TOKENS = 512


@torch.no_grad()
def write(planner: Planner, tokenizer: Tokenizer, prompt: str, limit: int = 240) -> str:
    """The planner's answer to `prompt`, tags included, at most `limit` tokens."""
    tokens = [USER, *tokenizer.encode(prompt).ids, ASSISTANT]
    positions = [[float(i)] * 3 for i in range(len(tokens))]
    at = len(tokens)
    device = planner.embedding.weight.device
    text = ""
    while len(tokens) < limit and (not tokens or tokens[-1] != EOS):
        features = torch.zeros(1, len(tokens), planner.config.twin.width, device=device)
        hidden, _ = planner(
            torch.tensor([tokens], device=device),
            torch.tensor([positions], device=device),
            features,
        )
        token = int(planner.logits(hidden[:, -1]).argmax())
        tokens.append(token)
        positions.append([float(at)] * 3)
        at += 1
        named = token < len(SPECIAL_TOKENS)
        text += SPECIAL_TOKENS[token] if named else tokenizer.decode([token])
        if token == BOI:
            h, w = _size(tokens, tokenizer)
            cells = vision_positions(h, w, at).tolist()
            tokens += [IMAGE] * len(cells)
            positions += cells
            at += picture_extent(h, w)
    return text


def _size(tokens: list[int], tokenizer: Tokenizer) -> tuple[int, int]:
    """The grid between the last size tags, 16 by 16 where there is no possible one."""
    if SIZE in tokens and END_SIZE in tokens:
        start = len(tokens) - tokens[::-1].index(SIZE)
        inside = re.match(r"(\d+)\*(\d+)", tokenizer.decode(tokens[start:]).strip())
        if inside and 0 < int(inside[1]) * int(inside[2]) <= MAX_TOKENS:
            return int(inside[1]), int(inside[2])
    return 16, 16
