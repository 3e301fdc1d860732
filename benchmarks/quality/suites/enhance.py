"""Enhancing a prompt: a few words become a dense prompt. The planner alone; pictures are not read.

| rows | meaning |
| --- | --- |
| dense prompt says every slot | of its characters and its backdrop |
| asked slots kept | the dense prompt says what the prompt names |
| words asked, words of the dense prompt | means |

The ceiling is that of the right answers' dense prompts.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.quality.evaluation import MOST_OF_ONE, Evaluation, Result, first_dense
from benchmarks.quality.examples import Example, terse_examples
from benchmarks.quality.report import Row, mean_row, share_row, verdict_row
from runtime import Document
from training.storyworld.facts import Tally, judge, read_dense, says_everything, total
from training.storyworld.scoring import wanted_from_asked

SHARE = 0.5


def enhance(evaluation: Evaluation) -> Result:
    examples = terse_examples(evaluation.count(SHARE))
    options = {"steps": evaluation.fewest_steps, "max_images": MOST_OF_ONE}
    documents = evaluation.documents("enhance", examples, **options)
    dense = [first_dense(d) for d in documents]
    rows = _rows(examples, dense, evaluation.settings.ceiling)
    samples = [_to_dict(*parts) for parts in zip(examples, documents, strict=True)]
    return Result(rows, samples=samples)


def asked_kept(example: Example, dense: str) -> Tally:
    """The asked slots, judged in a dense prompt; "" is none."""
    wanted = wanted_from_asked(example.asked)
    return judge(wanted, read_dense(dense) if dense else None)


def true_dense(example: Example) -> str:
    """The dense prompt of the right answer."""
    return next(p.dense for p in example.document.pictures() if not p.given)


def _rows(examples: Sequence[Example], dense: Sequence[str], ceiling: bool) -> list[Row]:
    true = [(e, true_dense(e)) for e in examples] if ceiling else []
    kept = total([asked_kept(*pair) for pair in zip(examples, dense, strict=True)])
    best = total([asked_kept(*pair) for pair in true])
    return [
        verdict_row(
            "enhance",
            "dense prompt says every slot",
            [says_everything(text) for text in dense],
            [says_everything(text) for _, text in true],
        ),
        share_row("enhance", "asked slots kept", kept, best),
        mean_row("enhance", "words asked", [_length(e.words) for e in examples], unit="words"),
        mean_row(
            "enhance",
            "words of the dense prompt",
            [_length(text) for text in dense],
            [_length(text) for _, text in true],
            unit="words",
        ),
    ]


def _length(text: str) -> int:
    return len(text.split())


def _to_dict(example: Example, document: Document) -> dict[str, object]:
    dense = first_dense(document)
    return {
        "id": example.document.id,
        "prompt": example.words,
        "dense": dense,
        "wrong": asked_kept(example, dense).wrong,
    }
