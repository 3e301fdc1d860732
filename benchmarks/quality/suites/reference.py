"""References: a character that a picture shows, drawn again from that picture.

Each prompt is drawn twice: with the picture, and again from the same dense prompt without it. What
the text names can be right both times; the markings, which no text names, only with the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.quality.evaluation import (
    Evaluation,
    Result,
    first_dense,
    first_picture,
    told,
)
from benchmarks.quality.examples import Example, reference_examples
from benchmarks.quality.report import Row, share_row
from benchmarks.quality.sheet import Panel
from runtime import Document
from training.storyworld.facts import Tally, identities, judge, read_character, total
from training.storyworld.reader import ReadCharacter, Reading
from training.storyworld.scoring import wanted_from_scene

SHARE = 0.5
ROWS = {
    "markings": "markings kept (all four)", "form": "markings' form", "hue": "markings' colour",
    "scale": "markings' scale", "angle": "markings' angle", "named": "named attributes",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Sample:
    """A prompt with a picture; drawn with it, without it, and as it should be."""

    example: Example
    document: Document
    seen: Reading | None
    alone: Document
    seen_alone: Reading | None
    true: Reading | None

    @property
    def wanted(self) -> ReadCharacter:
        """The character as it should be, markings included."""
        return read_character(self.example.drawn[0].characters[0])


def reference(evaluation: Evaluation) -> Result:
    examples = reference_examples(evaluation.count(SHARE))
    documents, alone = [], []
    for number, example in enumerate(examples):
        evaluation.say(f"reference {number + 1}/{len(examples)}")
        drawn = evaluation.generate(example.prompt, number)
        documents.append(drawn)
        words = first_dense(drawn) or example.words
        alone.append(evaluation.generate([words], number, max_images=1))
    seen = evaluation.read([first_picture(d) for d in documents])
    seen_alone = evaluation.read([first_picture(d) for d in alone])
    true = evaluation.read_scenes([e.drawn[0] for e in examples])
    samples = [
        Sample(*parts)
        for parts in zip(examples, documents, seen, alone, seen_alone, true, strict=True)
    ]
    return Result(_rows(samples), _panels(samples), 6, [_to_dict(s) for s in samples])


def kept(wanted: ReadCharacter, seen: Reading | None) -> Tally:
    """Identity of the figure that is most likely the wanted one."""
    return identities([wanted], seen)


def _rows(samples: Sequence[Sample]) -> list[Row]:
    known = [s for s in samples if s.true is not None]
    with_it = total([kept(s.wanted, s.seen) for s in samples])
    without = total([kept(s.wanted, s.seen_alone) for s in samples])
    best = total([kept(s.wanted, s.true) for s in known])
    rows = []
    for slot, name in ROWS.items():
        rows.append(share_row("reference", f"{name}, with the picture", with_it, best, slot))
        rows.append(share_row("reference", f"{name}, without it", without, best, slot))
    asked = total([judge(wanted_from_scene(s.example.drawn[0]), s.seen) for s in samples])
    ceiling = total([judge(wanted_from_scene(s.example.drawn[0]), s.true) for s in known])
    rows.append(share_row("reference", "slots right, changed and kept", asked, ceiling))
    return rows


def _panels(samples: Sequence[Sample]) -> list[Panel]:
    panels = []
    for sample in samples:
        given = next(p for p in sample.example.prompt if not isinstance(p, str))
        found = kept(sample.wanted, sample.seen)
        panels += [
            Panel(given, "given"),
            Panel(
                first_picture(sample.document),
                sample.example.words,
                " ".join(found.wrong),
            ),
            Panel(first_picture(sample.alone), "the same without the picture"),
        ]
    return panels


def _to_dict(sample: Sample) -> dict[str, object]:
    found = kept(sample.wanted, sample.seen)
    return {
        "id": sample.example.document.id,
        "prompt": sample.example.words,
        "dense": first_dense(sample.document),
        "read": told(sample.seen),
        "right": dict(found.right),
        "judged": dict(found.judged),
    }
