"""Stickers: pictures on a transparent background, with clean edges.

| rows | meaning |
| --- | --- |
| transparent background | the reader takes the picture for a sticker |
| half transparent away from the edge | mean `haze` of the stickers; lower is better, 0 is clean |
| slots right, all slots right | what the prompt names, the transparency included |
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from benchmarks.quality.evaluation import (
    MOST_OF_ONE,
    Evaluation,
    Result,
    Sample,
    first_picture,
    known_ceiling,
    told,
)
from benchmarks.quality.examples import sticker_examples
from benchmarks.quality.readings import Pixels
from benchmarks.quality.report import Row, mean_row, share_row, verdict_row
from benchmarks.quality.sheet import Panel
from training.storyworld.facts import Tally, judge, total
from training.storyworld.render import render

SHARE = 0.3
CLEAR, SOLID = 0.02, 0.98
EDGE = 2


def sticker(evaluation: Evaluation) -> Result:
    examples = sticker_examples(evaluation.count(SHARE))
    samples = evaluation.samples("sticker", examples, max_images=MOST_OF_ONE)
    judged = [judge(s.asked, s.seen) for s in samples]
    rows = [*_edge_rows(samples), *_slot_rows(samples, judged)]
    panels = [
        Panel(first_picture(s.document), s.example.words, " ".join(t.wrong))
        for s, t in zip(samples, judged, strict=True)
    ]
    found = [_to_dict(*parts) for parts in zip(samples, judged, strict=True)]
    return Result(rows, panels, 5, found)


def haze(pixels: Pixels) -> float:
    """The share of half-transparent pixels away from the edge of the silhouette.

    With a(p) the opacity in [0, 1], the silhouette is S = {p : a(p) >= 0.5}. A pixel lies at the
    edge when the square of 5 x 5 pixels around it holds pixels of S and pixels outside; with A the
    pixels of the picture that do not, haze = |{p in A : 0.02 < a(p) < 0.98}| / |A|, 0 without A.
    """
    opacity = pixels[..., 3] / 255
    away = ~_edge(opacity >= 0.5)
    half = (opacity > CLEAR) & (opacity < SOLID)
    return float(half[away].mean()) if away.any() else 0.0


def _edge(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels with both inside and outside at most `EDGE` rows and columns away."""
    padded = np.pad(inside, EDGE, mode="edge")
    around = sliding_window_view(padded, (2 * EDGE + 1, 2 * EDGE + 1))
    return np.asarray(around.any((2, 3)) & ~around.all((2, 3)))


def _edge_rows(samples: Sequence[Sample]) -> list[Row]:
    known = known_ceiling(samples)
    drawn = [_haze(s) for s in samples]
    return [
        verdict_row(
            "sticker",
            "transparent background",
            [s.seen is not None and s.seen.sticker for s in samples],
            [s.true is not None and s.true.sticker for s in known],
        ),
        mean_row(
            "sticker",
            "half transparent away from the edge",
            [value for value in drawn if value is not None],
            [haze(render(s.example.drawn[0])) for s in known],
            unit="share",
        ),
    ]


def _haze(sample: Sample) -> float | None:
    """Of a sticker; None where there is none."""
    pixels = first_picture(sample.document)
    if pixels is None or sample.seen is None or not sample.seen.sticker:
        return None
    return haze(pixels)


def _slot_rows(samples: Sequence[Sample], judged: Sequence[Tally]) -> list[Row]:
    best = [judge(s.asked, s.true) for s in known_ceiling(samples)]
    return [
        share_row("sticker", "slots right", total(judged), total(best)),
        verdict_row(
            "sticker",
            "all slots right",
            [t.all_right for t in judged],
            [t.all_right for t in best],
        ),
        verdict_row("sticker", "pictures asked = drawn", [s.counted for s in samples]),
    ]


def _to_dict(sample: Sample, judged: Tally) -> dict[str, object]:
    return {
        "id": sample.example.document.id,
        "prompt": sample.example.words,
        "dense": sample.dense,
        "read": told(sample.seen),
        "haze": _haze(sample),
        "wrong": judged.wrong,
    }
