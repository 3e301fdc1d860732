"""Stage `planner`: next-token loss on documents and understanding data.

Loss on the assistant's tokens only. Beside the documents the planner's eyes look at pictures of
their own, and a probe names what each part shows; where a text tells a palette, another one reads
it off the values that the visualizer will see. Probes are not saved.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.checkpoint import save_checkpoint
from training.data.library import Library
from training.device import mixed_precision
from training.errors import TrainingError
from training.frozen import load_model
from training.labels import CLASSES, NOTHING, PATCHES
from training.models import ModelConfig, Planner
from training.models.probe import Probe
from training.models.vision import premultiply
from training.models.visualizer import Cache
from training.naming import misnaming, name_targets, name_tokens
from training.pictures import place_features
from training.reading import Looks, MicroBatch, PlannerBatch, PlannerBatches, PlannerOptions
from training.storyworld.documents import Text
from training.swatches import SwatchProbe
from training.tokenizer import load_tokenizer, train_tokenizer
from training.workers import Workers
from training.writing import write

logger = logging.getLogger(__name__)

# How much the words that pictures look like count beside what the probe reads.
NAMING = 0.2
# How many of one's own documents are read for prompts.
MOST_READ = 100
PROMPTS = (
    "Tell an illustrated story about a red fox who finds a lantern.",
    "Draw a blue owl with a yellow crown in the forest at night.",
    "How do I fly a kite? Show me in 3 pictures.",
)


def read(planner: Planner, batch: MicroBatch) -> tuple[Tensor, Cache]:
    """The hidden states of a micro-batch, and each layer's keys and values."""
    features = place_features(
        planner.vision, batch.pictures, *batch.tokens.shape, planner.config.twin.width
    )
    hidden, cache = planner(batch.tokens, batch.positions, features)
    return hidden, cache


def next_token_loss(planner: Planner, hidden: Tensor, batch: MicroBatch) -> tuple[Tensor, int, int]:
    """The summed cross-entropy by the tokens' weights, the number of predicted tokens, and how many
    were right."""
    weight = batch.weight[:, 1:]
    wanted = weight > 0
    logits = planner.logits(hidden[:, :-1][wanted]).float()
    targets = batch.tokens[:, 1:][wanted]
    right = int((logits.detach().argmax(-1) == targets).sum())
    errors = F.cross_entropy(logits, targets, reduction="none")
    return (errors * weight[wanted]).sum(), len(targets), right


def _prompts(data: str) -> tuple[str, ...]:
    """The first prompts of one's own documents that are words alone."""
    library, found = Library(data), []
    for index in range(min(len(library), MOST_READ)):
        parts = library.document(index).turns[0].parts
        if all(isinstance(part, Text) for part in parts):
            found.append(" ".join(part.text for part in parts if isinstance(part, Text)))
        if len(found) == len(PROMPTS):
            break
    return tuple(found)


class PlannerStage:
    """Starts from the checkpoint `start` with its tokenizer, or from nothing with the tokenizer in
    the file `tokenizer`, which is trained first where there is none."""

    def __init__(
        self,
        config: ModelConfig,
        options: PlannerOptions,
        seed: int,
        start: Path | None = None,
        tokenizer: Path | None = None,
    ) -> None:
        self.config, self.options = config, options
        planner = Planner(config) if start is None else load_model(start, "planner", config)
        self.planner = planner
        self.probe = Probe(config.twin.width, PATCHES * CLASSES, PATCHES * NOTHING)
        twin = config.twin
        # The first layers' values are made of what has hardly seen other tokens.
        later = range(twin.layers // 4, twin.layers)
        self.swatches = nn.ModuleDict(
            {str(i): SwatchProbe(twin.kv_heads, twin.head_dim) for i in later}
        )
        parts = {"planner": planner, "probe": self.probe, "swatches": self.swatches}
        self.model = nn.ModuleDict(parts)
        if start is not None:
            tokenizer = start / "tokenizer.json"
        if tokenizer is None:
            raise TrainingError("the planner needs a checkpoint to start from, or a tokenizer file")
        workers = Workers.join()
        if not workers.rank and not tokenizer.is_file():
            logger.info("training the tokenizer on up to %d documents", options.tokenizer_documents)
            train_tokenizer(tokenizer, options.tokenizer_documents, seed, options.data)
        workers.wait()
        self.tokenizer_path = tokenizer
        self.words = name_tokens(load_tokenizer(tokenizer))
        self.prompts = _prompts(options.data) if options.data else PROMPTS
        self.batches = PlannerBatches(options, seed, tokenizer)

    def to(self, device: torch.device) -> None:
        self.model.to(device)
        self.words = self.words.to(device)

    def losses(self, batch: PlannerBatch, step: int) -> Iterator[tuple[Tensor, dict[str, float]]]:
        total = sum(int((micro.weight[:, 1:] > 0).sum()) for micro in batch.documents)
        for micro in batch.documents:
            with mixed_precision(micro.tokens.device):
                hidden, cache = read(self.planner, micro)
                loss, count, right = next_token_loss(self.planner, hidden, micro)
                misread = None
                if micro.swatches is not None:
                    misread = self._swatches_misread(cache, micro.swatches)
            metrics = {
                "loss": loss.item() / count,
                "accuracy": right / count,
                "tokens": float(micro.tokens.numel()),
            }
            if misread is None:
                yield loss / total, metrics
            else:
                metrics["swatches"] = misread.item()
                share = count / total
                yield loss / total + self.options.probe_weight * misread * share, metrics
        if batch.looks is not None:
            reading, naming = self._reading(batch.looks)
            metrics = {"probe": reading.item(), "naming": naming.item()}
            yield self.options.probe_weight * (reading + NAMING * naming), metrics

    def _swatches_misread(self, cache: Cache, swatches: Tensor) -> Tensor:
        """The mean error over the layers that tell swatches."""
        errors = [probe(cache[int(i)][1], swatches) for i, probe in self.swatches.items()]
        return torch.stack(errors).mean()

    def _reading(self, looks: Looks) -> tuple[Tensor, Tensor]:
        """The probe's error on the pictures looked at, and that of the words they look like."""
        labels = looks.labels.flatten(0, 1)
        targets = name_targets(labels, self.words, self.config.planner.vocab)
        with mixed_precision(looks.pixels.device):
            features = self.planner.vision(premultiply(looks.pixels))
            reading = self.probe(features, looks.labels.flatten(2))
            return reading, misnaming(self.planner, features.flatten(0, 1), targets)

    def save(self, folder: Path, step: int) -> None:
        save_checkpoint(
            folder / "checkpoint",
            self.config,
            planner=self.planner,
            tokenizer_path=self.tokenizer_path,
            training={"stage": "planner", "step": step},
        )

    @torch.no_grad()
    def sample(self, folder: Path, step: int) -> None:
        """Answers to the same prompts every time."""
        tokenizer = load_tokenizer(self.tokenizer_path)
        (folder / "samples").mkdir(exist_ok=True)
        with (folder / "samples" / f"{step:07d}.txt").open("w") as file:
            for prompt in self.prompts:
                file.write(f"# {prompt}\n{write(self.planner, tokenizer, prompt)}\n\n")
