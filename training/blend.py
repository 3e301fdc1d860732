"""`python -m training.blend`: one checkpoint from the models of several, or from their means.

What was trained on from the same weights lies close enough to them that the mean of both is a model
too (Wortsman et al. 2022, "Model soups"): it keeps most of what a short run has learned and loses
less of what that run was not about. So are joined a planner, a visualizer and an autoencoder that
were trained in different runs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from training.errors import TrainingError
from training.frozen import model_of
from training.models import ModelConfig

# The models of a checkpoint; the first of them that is asked for says what it was trained for.
MODELS = ("visualizer", "planner", "vae")


@dataclass(frozen=True)
class Part:
    """The folder of a checkpoint and its share of a model."""

    folder: Path
    share: float


def parse_parts(texts: Sequence[str]) -> list[Part]:
    """The parts of a model from "FOLDER", which is the whole of it, or "FOLDER=SHARE"."""
    parts = []
    for text in texts:
        folder, _, share = text.rpartition("=") if "=" in text else (text, "", "1")
        try:
            parts.append(Part(Path(folder), float(share)))
        except ValueError as error:
            raise TrainingError(
                f"expected FOLDER or FOLDER=SHARE, such as runs/distill/checkpoint=0.8, found "
                f"{text!r}"
            ) from error
    whole = sum(part.share for part in parts)
    if not abs(whole - 1) < 1e-6:
        raise TrainingError(f"expected shares that add up to 1, found {whole:g}: {' '.join(texts)}")
    return parts


@torch.no_grad()
def blend(parts: dict[str, list[Part]], output: Path) -> Path:
    """Writes to `output` a checkpoint of the models that `parts` names, each the mean of that model
    in its parts, by their shares.

    All have to be of one configuration, the planners have to share their tokenizer and the
    visualizers their schedule. Raises `TrainingError`.
    """
    named = [name for name in MODELS if parts.get(name)]
    if not named:
        raise TrainingError(f"expected --{', --'.join(MODELS)} or several of them, found none")
    folders = dict.fromkeys(part.folder for name in named for part in parts[name])
    opened = {folder: load_checkpoint(folder) for folder in folders}
    lead = opened[parts[named[0]][0].folder]
    _check_schedules([opened[part.folder] for part in parts.get("visualizer", [])])
    return save_checkpoint(
        output,
        lead.config,
        tokenizer_path=_tokenizer([opened[part.folder] for part in parts.get("planner", [])]),
        training=lead.training,
        **{
            name: _mean(name, [(opened[p.folder], p.share) for p in parts[name]], lead.config)
            for name in named
        },
    )


def _check_schedules(checkpoints: Sequence[Checkpoint]) -> None:
    for checkpoint in checkpoints:
        found, expected = (c.training.get("schedule") for c in (checkpoint, checkpoints[0]))
        if found != expected:
            raise TrainingError(
                f"{checkpoint.folder}: expected the schedule of {checkpoints[0].folder}, found "
                f"{found}; blend what was trained for the same steps"
            )


def _mean(name: str, parts: Sequence[tuple[Checkpoint, float]], config: ModelConfig) -> Any:
    """The model `name` whose every weight is the mean of the parts', by their shares."""
    models = [model_of(checkpoint, name, config) for checkpoint, _ in parts]
    shares = [share for _, share in parts]
    states = [model.state_dict() for model in models]
    mean = {
        key: sum(share * state[key] for share, state in zip(shares, states, strict=True))
        for key in states[0]
    }
    models[0].load_state_dict(mean)
    return models[0]


def _tokenizer(checkpoints: Sequence[Checkpoint]) -> Path | None:
    """The tokenizer that all checkpoints have."""
    words = [c.tokenizer_path and c.tokenizer_path.read_bytes() for c in checkpoints]
    for checkpoint, found in zip(checkpoints, words, strict=True):
        if found != words[0]:
            raise TrainingError(
                f"{checkpoint.folder}: expected the tokenizer of {checkpoints[0].folder}, found "
                "another one; its planner reads other words"
            )
    return checkpoints[0].tokenizer_path if checkpoints else None


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m training.blend", description=__doc__)
    for name in MODELS:
        parser.add_argument(
            f"--{name}", nargs="+", default=[], metavar="CHECKPOINT[=SHARE]",
            help=f"whose {name} it has, or by what shares whose",
        )  # fmt: skip
    parser.add_argument("-o", "--output", type=Path, required=True, help="the new checkpoint")
    options = vars(parser.parse_args(argv))
    output = options.pop("output")
    try:
        blend({name: parse_parts(texts) for name, texts in options.items() if texts}, output)
    except (TrainingError, OSError) as error:
        print(f"python -m training.blend: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
