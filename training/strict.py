"""Frozen dataclasses from plain data, strictly: what a recipe or a configuration file holds."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, get_type_hints

from training.errors import TrainingError

T = TypeVar("T")


def build(kind: type[T], data: dict[str, Any], where: str) -> T:
    """The dataclass `kind` from `data`, nested ones included, lists as tuples.

    Unknown or missing keys are errors that name `where`.
    """
    known = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    if unknown := set(data) - known:
        raise TrainingError(f"{where}: unknown keys {sorted(unknown)}; known are {sorted(known)}")
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    for name, value in data.items():
        if is_dataclass(hints[name]) and isinstance(value, dict):
            value = build(hints[name], value, f"{where}: {name}")  # type: ignore[arg-type]
        values[name] = tuple(value) if isinstance(value, list) else value
    try:
        return kind(**values)
    except TypeError as error:
        raise TrainingError(f"{where}: {error}") from error
