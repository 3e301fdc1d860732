"""Strict conversion between JSON values and frozen dataclasses.

Unknown keys, missing keys and values of the wrong type are errors that name the path to the value.
Supports str, int, float, bool, dataclasses, `tuple[X, ...]`, fixed tuples, `dict[str, X]` and
unions. Knows nothing of what the dataclasses mean, and never constructs anything but them.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from typing import Any, TypeVar

T = TypeVar("T")


class StrictError(ValueError):
    """A value does not have the shape its dataclass asks for."""


def to_json(value: Any) -> Any:
    """Dataclasses become dicts and tuples become lists, recursively."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    if isinstance(value, dict):
        return {str(key): to_json(item) for key, item in value.items()}
    return value


def from_json(cls: type[T], value: Any, where: str = "") -> T:
    """Build `cls` from a parsed JSON value or raise `StrictError` naming the place."""
    return typing.cast(T, _convert(cls, value, where or cls.__name__))


def _fail(where: str, expected: str, value: Any) -> StrictError:
    shown = repr(value)
    return StrictError(f"{where}: expected {expected}, found {shown[:60]}")


def _convert(kind: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, value, where)
    origin = typing.get_origin(kind)
    if origin is tuple:
        return _tuple(typing.get_args(kind), value, where)
    if origin is dict:
        if not isinstance(value, dict):
            raise _fail(where, "an object", value)
        item = typing.get_args(kind)[1]
        return {key: _convert(item, entry, f"{where}.{key}") for key, entry in value.items()}
    if origin in (typing.Union, types.UnionType):
        return _union(typing.get_args(kind), value, where)
    return _scalar(kind, value, where)


def _dataclass(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise _fail(where, "an object", value)
    hints = typing.get_type_hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind)}
    unknown = sorted(set(value) - set(fields))
    if unknown:
        raise StrictError(f"{where}: unknown key(s) {unknown}; known are {sorted(fields)}")
    missing = sorted(
        name
        for name, f in fields.items()
        if name not in value
        and f.default is dataclasses.MISSING
        and f.default_factory is dataclasses.MISSING
    )
    if missing:
        raise StrictError(f"{where}: missing key(s) {missing}")
    return kind(
        **{name: _convert(hints[name], item, f"{where}.{name}") for name, item in value.items()}
    )


def _tuple(args: tuple[Any, ...], value: Any, where: str) -> Any:
    if not isinstance(value, (list, tuple)):
        raise _fail(where, "a list", value)
    if len(args) == 2 and args[1] is Ellipsis:
        return tuple(_convert(args[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if len(value) != len(args):
        raise _fail(where, f"a list of {len(args)}", value)
    pairs = zip(args, value, strict=True)
    return tuple(_convert(arg, item, f"{where}[{i}]") for i, (arg, item) in enumerate(pairs))


def _union(args: tuple[Any, ...], value: Any, where: str) -> Any:
    for arg in args:
        try:
            return _convert(arg, value, where)
        except StrictError:
            continue
    names = " or ".join(getattr(arg, "__name__", str(arg)) for arg in args)
    raise _fail(where, names, value)


def _scalar(kind: Any, value: Any, where: str) -> Any:
    if kind is type(None):
        if value is not None:
            raise _fail(where, "null", value)
        return None
    if kind is Any:
        return value
    if kind is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise _fail(where, "a finite number", value)
        return float(value)
    if kind is int and isinstance(value, bool):
        raise _fail(where, "int", value)
    if not isinstance(value, kind):
        raise _fail(where, kind.__name__, value)
    return value
