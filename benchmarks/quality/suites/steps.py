"""Accuracy and time by the number of denoising steps, on the first text-to-image prompts.

Text and dense prompts are the same for every number of steps: the same seed decides them.
"""

from __future__ import annotations

from benchmarks.quality.evaluation import Evaluation, Result, Sample, first_picture
from benchmarks.quality.report import Row, seconds_row, share_row
from benchmarks.quality.sheet import Panel
from benchmarks.quality.suites.text_to_image import generate_samples
from training.storyworld.facts import judge, total, wanted_from_dense

CANDIDATES = (1, 2, 4, 8, 50)
SHARE = 0.25


def step_counts(evaluation: Evaluation) -> list[int]:
    """Few, the default and many, as far as the bundle has schedules for them."""
    schedule = evaluation.runtime.bundle.manifest.schedule
    wanted = {*CANDIDATES, schedule.default_steps}
    return sorted(n for n in wanted if str(n) in schedule.steps)


def steps(evaluation: Evaluation) -> Result:
    count = evaluation.count(SHARE)
    result = Result(columns=count if count <= 8 else 8)
    for number in step_counts(evaluation):
        samples = generate_samples(evaluation.with_steps(number), count)
        result.rows += _rows(number, samples)
        result.panels += [
            Panel(first_picture(s.document), f"{_name(number)}: {s.example.words}")
            for s in samples[: result.columns]
        ]
    return result


def _name(number: int) -> str:
    return f"{number} step{'s' if number > 1 else ''}"


def _rows(number: int, samples: list[Sample]) -> list[Row]:
    asked = total([judge(s.asked, s.seen) for s in samples])
    dense = total([judge(wanted_from_dense(s.dense), s.seen) for s in samples if s.dense])
    seconds = [picture.total_s for s in samples for picture in s.document.stats.images]
    name = _name(number)
    return [
        share_row("steps", f"{name}: slots right, by the prompt", asked),
        share_row("steps", f"{name}: slots right, by the dense prompt", dense),
        seconds_row("steps", f"{name}: time of a picture, median", seconds),
    ]
