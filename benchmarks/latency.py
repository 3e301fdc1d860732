"""Latency and memory of a bundle, from the runtime's own statistics.

| part | measured on |
| --- | --- |
| first token, tokens per second, stages | every document below |
| a document of four pictures | a story in 4 pictures of 256×256, generated anew each time |
| picture 8 against picture 2 | a conversation of one picture after another, up to 8 |

The pictures of a conversation have 0, 1, 2, … references, up to the bundle's window. All requests
are the same in every run; document i has seed `seed` + i. A document with another number of
pictures than asked for is reported and left out of the document's time.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Iterable
from statistics import median
from typing import Any

import numpy as np

from benchmarks.environment import bundle_facts, environment
from runtime import CapacityError, Document, PictureStats, Runtime, Stats

logger = logging.getLogger(__name__)

STORY = "Tell an illustrated story about a red fox who finds a lantern, in 4 pictures."
PICTURES = 4
SIZE = (256, 256)
FIRST = "Draw a red fox with a blue scarf in the forest."
CHANGES = (
    "Make it night.", "Now on the beach.", "Make it rain.", "Now in the village.",
    "Let the fox run.", "Now in the mountains.", "Make it morning.",
)  # fmt: skip
EARLY, LATE = 2, 8
STAGES = ("window_s", "commit_s", "denoise_s", "decode_s", "vision_s", "total_s")
PERCENTILES = (50, 90, 99)


def run_bench(
    arguments: argparse.Namespace, loaded: Runtime, load_s: float, say: Callable[[str], None]
) -> tuple[str, dict[str, Any]]:
    """Measure a loaded bundle; a table for people, and everything as data."""
    image = loaded.bundle.manifest.image
    grid_fits = (SIZE[0] // image.patch) * (SIZE[1] // image.patch) <= image.max_tokens
    size = SIZE if grid_fits else image.default_size
    options: dict[str, Any] = {"size": size, "steps": arguments.steps}
    documents, talks = [], []
    for number in range(-arguments.warmup, arguments.repeats):
        say(f"bench {max(number + 1, 0)}/{arguments.repeats}")
        seed = arguments.seed + max(number, 0)
        document = loaded.generate(STORY, seed=seed, max_images=PICTURES, **options)
        talk = _conversation(loaded, seed, options)
        if number >= 0:
            documents.append(document)
            talks.append(talk)
    say("")
    requests = [*(d.stats for d in documents), *(s for talk in talks for s in talk)]
    data = {
        "command": "bench",
        "settings": {
            "size": list(size),
            "steps": arguments.steps or loaded.bundle.manifest.schedule.default_steps,
            "threads": arguments.threads,
            "repeats": arguments.repeats,
            "warmup": arguments.warmup,
            "seed": arguments.seed,
            "max_references": loaded.memory.max_references,
        },
        "load_s": load_s,
        "requests": _requests(requests),
        "document": _document(documents),
        "growth": _growth(talks),
        "peak_bytes": max(stats.peak_bytes for stats in requests),
        "cache_bytes": max(stats.cache_bytes for stats in requests),
        "device": loaded.device_report.to_dict(),
        "bundle": bundle_facts(loaded),
        "environment": environment(),
    }
    return _table(data), data


def _conversation(loaded: Runtime, seed: int, options: dict[str, Any]) -> list[Stats]:
    """One picture after another in one session: every turn changes the picture before it.

    It is shorter where the planner's cache is full before.
    """
    session = loaded.session()
    found = []
    for prompt in (FIRST, *CHANGES):
        try:
            found.append(session.generate(prompt, seed=seed, max_images=1, **options).stats)
        except CapacityError as error:
            logger.warning("the conversation ends after %d turns: %s", len(found), error)
            break
    return found


def percentiles(values: Iterable[float]) -> dict[str, float]:
    """p50, p90, p99 and the number of values; empty where there are none."""
    found = list(values)
    if not found:
        return {}
    marks = np.percentile(found, PERCENTILES)
    named = {f"p{p}": float(v) for p, v in zip(PERCENTILES, marks, strict=True)}
    return {**named, "n": len(found)}


def _requests(requests: list[Stats]) -> dict[str, Any]:
    pictures = [picture for stats in requests for picture in stats.images]
    return {
        "first_token_s": percentiles(s.first_token_s for s in requests),
        "tokens_per_s": percentiles(s.tokens / s.planner_s for s in requests if s.planner_s),
        "picture": {
            stage: percentiles(getattr(picture, stage) for picture in pictures) for stage in STAGES
        },
    }


def _document(documents: list[Document]) -> dict[str, Any]:
    whole = [d.stats for d in documents if len(d.images) == PICTURES]
    return {
        "pictures": [len(d.images) for d in documents],
        "tokens": [d.stats.tokens for d in documents],
        "total_s": percentiles(s.total_s for s in whole),
        "planner_s": percentiles(s.planner_s for s in whole),
        "pictures_s": percentiles(sum(p.total_s for p in s.images) for s in whole),
    }


def _growth(talks: list[list[Stats]]) -> dict[str, Any]:
    """Median time of the n-th picture of a conversation, and how the eighth compares."""
    ordered = [[picture for stats in talk for picture in stats.images] for talk in talks]
    longest = max(map(len, ordered))
    nth = [[pictures[n] for pictures in ordered if len(pictures) > n] for n in range(longest)]
    times = [median(picture.total_s for picture in same) for same in nth]
    enough = longest >= LATE
    return {
        "picture_s": times,
        "references": [_most(same, "references") for same in nth],
        "window_tokens": [_most(same, "window_tokens") for same in nth],
        "late_over_early": times[LATE - 1] / times[EARLY - 1] if enough else None,
        "denoise_late_over_early": (
            median(p.denoise_s for p in nth[LATE - 1]) / median(p.denoise_s for p in nth[EARLY - 1])
            if enough
            else None
        ),
    }


def _most(pictures: list[PictureStats], name: str) -> int:
    return max(int(getattr(picture, name)) for picture in pictures)


def _table(data: dict[str, Any]) -> str:
    requests, document, growth = data["requests"], data["document"], data["growth"]
    lines = [_line("first token", requests["first_token_s"], 1000, "ms")]
    lines.append(_line("tokens per second", requests["tokens_per_s"], 1, "/s"))
    for stage in STAGES:
        name = f"picture: {stage.removesuffix('_s')}"
        lines.append(_line(name, requests["picture"][stage], 1000, "ms"))
    lines.append(_line(f"document of {PICTURES} pictures", document["total_s"], 1, "s"))
    lines.append(_line("  planner", document["planner_s"], 1, "s"))
    lines.append(_line("  pictures", document["pictures_s"], 1, "s"))
    heading = " ".join(f"{f'p{p}':>10}" for p in PERCENTILES)
    ratio = growth["late_over_early"]
    told = "not measured, too few pictures" if ratio is None else f"{ratio:.2f} times as long"
    mib = 2**20
    return "\n".join(
        [
            f"{'':<26} {heading}",
            *lines,
            f"{f'picture {LATE} against {EARLY}':<26} {told}",
            f"{'pictures per document':<26} {', '.join(map(str, document['pictures']))}",
            f"{'runs on':<26} {_places(data['device'])}",
            f"{'load':<26} {data['load_s']:.2f} s",
            f"{'peak memory':<26} {data['peak_bytes'] / mib:.0f} MiB, "
            f"caches {data['cache_bytes'] / mib:.0f} MiB",
        ]
    )


def _places(device: dict[str, Any]) -> str:
    """The backends and precisions in use, and the GPU."""
    choices = device["choices"].values()
    found = dict.fromkeys(f"{choice['backend']} {choice['precision']}" for choice in choices)
    return ", ".join(found) + (f" on {device['gpu']}" if device["gpu"] else "")


def _line(name: str, found: dict[str, float], scale: float, unit: str) -> str:
    if not found:
        return f"{name:<26} not measured"
    numbers = " ".join(f"{scale * found[f'p{p}']:>10.2f}" for p in PERCENTILES)
    return f"{name:<26} {numbers} {unit}"
