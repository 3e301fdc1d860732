"""A checkpoint's facts as the manifest's: geometry, schedule, tokenizer, revision.

| from | comes |
| --- | --- |
| `config.json` | cache and image geometry; `model.config`, whole |
| `tokenizer.json` | ids of the control tokens |
| `training.json` | schedule: `{"schedule": {"4": [1.0, ..., 0.0]}}`; even steps where it has none |
| the storyworld's words | countdown; a planner that does not count never says it |
| all files | revision: the start of their sha256 |
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export.errors import ExportError
from runtime.bundle import (
    ABI,
    LEFT,
    SCHEMA,
    TOKEN_TEXT,
    Manifest,
    Model,
    Requires,
    Schedule,
    SpecialTokens,
    TokenizerSpec,
    Variant,
    Verification,
    check_schedule,
    component_of,
)
from runtime.interfaces import CacheGeometry, ImageGeometry, component_interfaces
from runtime.strict import from_json
from training.models import ModelConfig
from training.storyworld.text import counted_down

RUNTIME = "0.1.0"
PATCH = 16
VISION_CELL = 4
EVEN_STEPS = (2, 4, 8, 16)
NOTED = ("stage", "step")


@dataclass(frozen=True)
class Limits:
    """What the bundle's caches and pictures are made for."""

    capacity: int = 4096
    max_references: int = 9
    max_tokens: int = 512
    max_aspect: float = 8.0
    default_size: tuple[int, int] = (256, 256)


def cache_geometry(config: ModelConfig, limits: Limits) -> CacheGeometry:
    """The caches' sizes, from the configuration and the limits."""
    twin = config.twin
    return CacheGeometry(
        layers=twin.layers,
        kv_heads=twin.kv_heads,
        head_dim=twin.head_dim,
        width=twin.width,
        vocab=config.planner.vocab,
        capacity=limits.capacity,
        max_references=limits.max_references,
        rope_sections=twin.rope_sections,
        rope_theta=twin.rope_theta,
    )


def image_geometry(config: ModelConfig, limits: Limits) -> ImageGeometry:
    """The pictures' sizes, from the configuration and the limits."""
    return ImageGeometry(
        patch=PATCH,
        vision_cell=VISION_CELL,
        max_tokens=limits.max_tokens,
        default_size=limits.default_size,
        max_aspect=limits.max_aspect,
        latent_channels=config.visualizer.latent_channels,
    )


def schedule_of(training: dict[str, Any]) -> Schedule:
    """The student's times; where none were trained, even steps, eight by default."""
    found = training.get("schedule")
    if not found:
        even = {str(n): tuple(1 - i / n for i in range(n + 1)) for n in EVEN_STEPS}
        return Schedule(even, 8)
    try:
        default = training.get("default_steps", max(map(int, found)))
        schedule = from_json(Schedule, {"steps": found, "default_steps": default}, "schedule")
        check_schedule(schedule)
    except (ValueError, TypeError) as error:
        raise ExportError(
            f"training.json: schedule: expected steps with their times, like "
            f'{{"4": [1.0, 0.75, 0.5, 0.25, 0.0]}}, found {found!r}: {error}'
        ) from error
    return schedule


def special_tokens(path: Path, vocab: int) -> SpecialTokens:
    """The ids of the control tokens in a tokenizer.json, which must fit the vocabulary."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        ids = {token["content"]: int(token["id"]) for token in data["added_tokens"]}
        size = max([*data["model"]["vocab"].values(), *ids.values()]) + 1
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ExportError(
            f"{path}: expected a tokenizer.json of the tokenizers library, whose vocab is an "
            f"object of ids, found {error!r}"
        ) from error
    missing = sorted(text for text in TOKEN_TEXT.values() if text not in ids)
    if missing:
        raise ExportError(f"{path}: expected the control tokens {missing}, found none of them")
    if size > vocab:
        raise ExportError(
            f"{path}: {size} tokens, but the planner has {vocab}; export with the tokenizer the "
            "checkpoint was trained with"
        )
    return SpecialTokens(**{name: ids[text] for name, text in TOKEN_TEXT.items()})


def revision_of(folder: Path) -> str:
    """Twelve hex digits that change when any file of the checkpoint does."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.name.startswith("."):
            digest.update(path.name.encode() + b"\0")
            with path.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:12]


def make_manifest(
    config: ModelConfig,
    revision: str,
    training: dict[str, Any],
    limits: Limits,
    tokenizer: TokenizerSpec,
    variants: dict[str, tuple[Variant, ...]],
    verification: dict[str, Verification],
) -> Manifest:
    """The manifest of files that are already in the folder."""
    cache, image = cache_geometry(config, limits), image_geometry(config, limits)
    interfaces = component_interfaces(cache, image)
    notes = {key: str(value) for key, value in training.items() if key in NOTED}
    return Manifest(
        schema=SCHEMA,
        model=Model(config.name, revision, json.dumps(config.to_dict(), separators=(",", ":"))),
        requires=Requires(RUNTIME, ABI),
        tokenizer=tokenizer,
        cache=cache,
        image=image,
        schedule=schedule_of(training),
        components={n: component_of(i, variants[n]) for n, i in interfaces.items()},
        countdown=counted_down("", LEFT).strip(),
        license="Apache-2.0",
        notes=notes,
        verification=verification,
    )
