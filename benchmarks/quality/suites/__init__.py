"""The suites by name; each takes an `Evaluation` and returns a `Result`."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.quality.evaluation import Evaluation, Result
from benchmarks.quality.suites.reference import reference
from benchmarks.quality.suites.steps import steps
from benchmarks.quality.suites.story import story
from benchmarks.quality.suites.text_to_image import text_to_image

SUITES: dict[str, Callable[[Evaluation], Result]] = {
    "t2i": text_to_image,
    "reference": reference,
    "story": story,
    "steps": steps,
}
USUAL = ("t2i", "reference", "story")
