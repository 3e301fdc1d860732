"""The words for what a picture shows: by them the planner's eyes learn to speak its language.

A feature of the eyes stands among word embeddings, and the planner has learned to copy words. So a
feature is taught to look like the embeddings of the words for what its cell shows.

| result | shape | dtype |
| --- | --- | --- |
| words | [groups, classes], the token of a class's name, -1 for what has none | int64 |
| targets | [cells, vocabulary], the shares of the words in a cell, rows of sum 1 | float32 |
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor

from training.labels import CLASSES, GROUPS, NOTHING
from training.models import Planner

# Which way a figure faces is a matter of its place, not of a word.
_UNSAID = ("facing",)
# What the whole picture shows is in every cell.
_EVERYWHERE = ("place", "time", "weather", "style")
_EVERYWHERE_WEIGHT = 0.25


def name_tokens(tokenizer: Tokenizer) -> Tensor:
    """The words of `training.labels.GROUPS` as tokens, of longer names the first one."""
    words = torch.full((len(GROUPS), max(CLASSES)), -1, dtype=torch.int64)
    for group, (name, options) in enumerate(GROUPS.items()):
        for i, option in enumerate(options):
            if name not in _UNSAID and i != NOTHING[group]:
                words[group, i] = tokenizer.encode(f" {option}", add_special_tokens=False).ids[0]
    return words


def name_targets(labels: Tensor, words: Tensor, vocabulary: int) -> Tensor:
    """The targets of cells whose patches are labelled `labels` [cells, patches, groups]."""
    targets = torch.zeros(len(labels), vocabulary, device=labels.device)
    for group, name in enumerate(GROUPS):
        label = labels[..., group]
        token = words[group][label.clamp(min=0)]
        said = (label >= 0) & (token >= 0)
        weight = _EVERYWHERE_WEIGHT if name in _EVERYWHERE else 1.0
        there = torch.zeros_like(targets).scatter_add_(1, token.clamp(min=0), said.float())
        targets = torch.maximum(targets, weight * (there > 0))
    return targets / targets.sum(1, keepdim=True).clamp(min=1e-6)


def misnaming(planner: Planner, features: Tensor, targets: Tensor) -> Tensor:
    """How far the words that features [cells, W] look like are from the targets: the
    Kullback-Leibler divergence. The planner's embeddings are not changed by it."""
    hidden = F.rms_norm(features.float(), (features.shape[-1],), eps=1e-6)
    hidden = hidden * planner.norm.weight.detach().float()
    logits = F.linear(hidden, planner.embedding.weight.detach().float())
    return F.kl_div(logits.log_softmax(-1), targets, reduction="batchmean")
