"""Diversity: vague prompts ("Draw a fox."), each drawn with several seeds.

Once the planner samples what it adds to the prompt (self-rewriting as it is), once it always takes
the likeliest token, so that only the noise of the picture differs.

| rows | meaning |
| --- | --- |
| PSNR_d | mean PSNR of two pictures of one prompt, over all pairs of seeds; lower is more diverse |
| different dense prompts | new ones among a prompt's dense prompts; 0 says always the same |
| prompt met | the picture shows all that the prompt names |

The ceiling is that of different scenes which all are right answers to the prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from benchmarks.quality.evaluation import (
    MOST_OF_ONE,
    Evaluation,
    Result,
    first_dense,
    first_picture,
)
from benchmarks.quality.examples import Example, vague_answers, vague_examples
from benchmarks.quality.fidelity import psnr
from benchmarks.quality.readings import Pixels
from benchmarks.quality.report import Row, mean_row, verdict_row
from benchmarks.quality.sheet import Panel
from runtime import Document
from training.storyworld.facts import judge
from training.storyworld.reader import Reading
from training.storyworld.render import render
from training.storyworld.scoring import wanted_from_asked

SHARE = 0.1
SEEDS = 4
WAYS: dict[str, dict[str, Any]] = {
    "self-rewriting": {"temperature": 0.8, "top_p": 0.9},
    "greedy dense prompts": {"temperature": 0.0},
}


@dataclass(frozen=True, eq=False)
class Variants:
    """One prompt with the answers to it for all seeds, and readings of their first pictures."""

    example: Example
    documents: list[Document]
    seen: list[Reading | None]

    @property
    def pictures(self) -> list[Pixels | None]:
        return [first_picture(d) for d in self.documents]

    @property
    def met(self) -> list[bool]:
        return _met(self.example, self.seen)


def diversity(evaluation: Evaluation) -> Result:
    examples = vague_examples(evaluation.count(SHARE))
    pictures, met = _ceiling(evaluation, examples)
    result = Result(columns=SEEDS)
    for way, options in WAYS.items():
        variants = _drawn(evaluation, way, examples, options)
        result.rows += _rows(way, variants, pictures, met)
        result.panels += [
            Panel(pixels, f"{way}: {v.example.words}", "" if right else "not met")
            for v in variants
            for pixels, right in zip(v.pictures, v.met, strict=True)
        ]
        result.samples += [_to_dict(way, v) for v in variants]
    return result


def _drawn(
    evaluation: Evaluation, way: str, examples: Sequence[Example], options: dict[str, Any]
) -> list[Variants]:
    # Pictures of one size, so that they can be compared.
    fixed = {"size": evaluation.size, **options}
    found = []
    for number, example in enumerate(examples):
        evaluation.say(f"{way} {number + 1}/{len(examples)}")
        documents = [
            evaluation.generate(
                example.prompt, number * SEEDS + seed, max_images=MOST_OF_ONE, **fixed
            )
            for seed in range(SEEDS)
        ]
        seen = evaluation.read([first_picture(d) for d in documents])
        found.append(Variants(example, documents, seen))
    return found


def _ceiling(
    evaluation: Evaluation, examples: Sequence[Example]
) -> tuple[list[list[Pixels]], list[bool]]:
    """Renders of different right answers, and whether the reader finds them right."""
    if not evaluation.settings.ceiling:
        return [], []
    scenes = [vague_answers(example, SEEDS) for example in examples]
    seen = [evaluation.read_scenes(some) for some in scenes]
    met = [right for e, some in zip(examples, seen, strict=True) for right in _met(e, some)]
    return [[render(scene) for scene in some] for some in scenes], met


def _met(example: Example, seen: Sequence[Reading | None]) -> list[bool]:
    return [judge(wanted_from_asked(example.asked), found).all_right for found in seen]


def likeness(pictures: Sequence[Pixels | None]) -> list[float]:
    """PSNR of every two pictures that can be compared."""
    there = [p for p in pictures if p is not None]
    return [psnr(a, b) for a, b in combinations(there, 2) if a.shape == b.shape]


def different(dense: Sequence[str]) -> float | None:
    """How many of several dense prompts are new, beyond the first; None with fewer than two."""
    said = [text for text in dense if text]
    return (len(set(said)) - 1) / (len(said) - 1) if len(said) > 1 else None


def _rows(
    way: str, variants: Sequence[Variants], pictures: Sequence[Sequence[Pixels]], met: list[bool]
) -> list[Row]:
    alike = [value for v in variants for value in likeness(v.pictures)]
    best = [value for some in pictures for value in likeness(some)]
    new = [different([first_dense(d) for d in v.documents]) for v in variants]
    return [
        mean_row("diversity", f"PSNR_d, {way}", alike, best, unit="dB"),
        mean_row(
            "diversity",
            f"different dense prompts, {way}",
            [share for share in new if share is not None],
            unit="share",
        ),
        verdict_row("diversity", f"prompt met, {way}", [m for v in variants for m in v.met], met),
    ]


def _to_dict(way: str, variants: Variants) -> dict[str, object]:
    return {
        "id": variants.example.document.id,
        "way": way,
        "prompt": variants.example.words,
        "dense": [first_dense(d) for d in variants.documents],
        "met": variants.met,
    }
