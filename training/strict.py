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
        values[name] = _plain(hints[name], value, f"{where}: {name}")
    try:
        return kind(**values)
    except TypeError as error:
        raise TrainingError(f"{where}: {error}") from error


def _plain(kind: Any, value: Any, where: str) -> Any:
    """`value`, lists as tuples; a number, word or switch must be one where `kind` says so."""
    if isinstance(value, list):
        return tuple(_plain(Any, part, where) for part in value)
    if kind is float and type(value) is int:
        return float(value)
    if kind in (int, float, str, bool) and type(value) is not kind:
        raise TrainingError(f"{where}: expected {kind.__name__}, found {value!r}")
    return value
