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

from training.checkpoint import TOKENIZER, load_checkpoint, save_checkpoint
from training.errors import TrainingError
from training.frozen import load_model
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
    lead = load_checkpoint(parts[named[0]][0].folder)
    for part in parts.get("visualizer", []):
        found = load_checkpoint(part.folder).training.get("schedule")
        if found != lead.training.get("schedule"):
            raise TrainingError(
                f"{part.folder}: expected the schedule of {lead.folder}, found {found}; blend what "
                "was trained for the same steps"
            )
    return save_checkpoint(
        output,
        lead.config,
        tokenizer_path=_tokenizer(parts.get("planner", [])),
        training=lead.training,
        **{name: _mean(name, parts[name], lead.config) for name in named},
    )


def _mean(name: str, parts: Sequence[Part], config: ModelConfig) -> Any:
    """The model `name` whose every weight is the mean of the parts', by their shares."""
    models = [load_model(part.folder, name, config) for part in parts]
    states = [model.state_dict() for model in models]
    mean = {
        key: sum(part.share * state[key] for part, state in zip(parts, states, strict=True))
        for key in states[0]
    }
    models[0].load_state_dict(mean)
    return models[0]


def _tokenizer(parts: Sequence[Part]) -> Path | None:
    """The tokenizer that all parts have."""
    if not parts:
        return None
    first, *others = [part.folder / TOKENIZER for part in parts]
    for other in others:
        if other.read_bytes() != first.read_bytes():
            raise TrainingError(
                f"{other}: expected the tokenizer of {first}, found another one; its planner reads "
                "other words"
            )
    return first


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
