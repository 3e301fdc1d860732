"""Sessions on disk: `session.json` and `session.npz` in a folder, no pickle.

The K/V bits that the planner wrote are kept as they are, so a restored session continues exactly as
the saved one would have. A session belongs to its bundle: the digest must match.

| array | shape | dtype |
| --- | --- | --- |
| `tokens`, `positions` | [n], [n, 3] | int64, float32 |
| `past.k.0`, … | [1, KV, written, D] | float32 |
| `features.<slot>` | [v, W] | float32 |
| `latent.<i>`, `pixels.<i>` | [1, T, Z], [H, W, 4] | float32, uint8 |
"""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from runtime.bundle import digest_of
from runtime.errors import OutputError, SessionError
from runtime.grid import Grid
from runtime.history import Mark, PlacedPicture
from runtime.strict import StrictError, from_json, to_json

if TYPE_CHECKING:
    from runtime.loading import Runtime
    from runtime.session import Session

FORMAT = 1
RECORD, ARRAYS = "session.json", "session.npz"


@dataclass(frozen=True)
class PictureRecord:
    """A picture of a saved session: its grid, planner slots and text position, and what it is."""

    grid: Grid
    slots: tuple[int, int]
    position: int
    kind: str


@dataclass(frozen=True)
class SessionRecord:
    """`session.json`."""

    format: int
    bundle: str
    length: int
    written: int
    position: int
    open: bool
    turns: tuple[Mark, ...]
    pictures: tuple[PictureRecord, ...]
    arrays_sha256: str


def save_session(session: Session, folder: Path) -> Path:
    """Write the session; raises `OutputError`."""
    history = session.history
    try:
        folder.mkdir(parents=True, exist_ok=True)
        pending = folder / (ARRAYS + ".new")
        with pending.open("wb") as stream:
            np.savez(stream, allow_pickle=False, **_arrays(session))
        record = SessionRecord(
            format=FORMAT,
            bundle=session.runtime.bundle.digest,
            length=session.planner.length,
            written=session.planner.written,
            position=history.position,
            open=history.open,
            turns=tuple(history.turns),
            pictures=tuple(
                PictureRecord(
                    p.grid,
                    (p.slots.start, p.slots.stop),
                    p.position,
                    "pixels" if p.given else "latent",
                )
                for p in history.pictures
            ),
            arrays_sha256=digest_of(pending),
        )
        os.replace(pending, folder / ARRAYS)
        (folder / RECORD).write_text(json.dumps(to_json(record), indent=1), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{folder}: cannot save the session there: {error}") from error
    return folder


def _arrays(session: Session) -> dict[str, NDArray[Any]]:
    planner = session.planner
    arrays: dict[str, NDArray[Any]] = {
        "tokens": planner.tokens[: planner.length],
        "positions": planner.positions[: planner.length],
        **{name: a[:, :, : planner.written] for name, a in planner.cache.items()},
        **{f"features.{start}": block for start, block in planner.features.items()},
    }
    for i, picture in enumerate(session.history.pictures):
        if picture.pixels is not None:
            arrays[f"pixels.{i}"] = picture.pixels
        if picture.latent is not None:
            arrays[f"latent.{i}"] = picture.latent
    return arrays


def restore_session(runtime: Runtime, folder: Path) -> Session:
    """A session as it was saved; raises `SessionError`."""
    record = _read_record(runtime, folder)
    session = runtime.session()
    if record.length > session.planner.capacity:
        raise SessionError(
            f"{folder}: the session holds {record.length} tokens, this runtime "
            f"{session.planner.capacity}; load with max_tokens={record.length} or more"
        )
    path = folder / ARRAYS
    try:
        if digest_of(path) != record.arrays_sha256:
            raise SessionError(f"{path}: differs from what was saved; the session is damaged")
        with np.load(path, allow_pickle=False) as arrays:
            _fill(session, record, {name: arrays[name] for name in arrays.files})
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        if isinstance(error, SessionError):
            raise
        raise SessionError(f"{path}: cannot restore the session: {error}") from error
    return session


def _read_record(runtime: Runtime, folder: Path) -> SessionRecord:
    path = folder / RECORD
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SessionError(
            f"{path}: expected a saved session, found none; a new one begins in a folder that is "
            "not there yet"
        ) from error
    except (OSError, ValueError) as error:
        raise SessionError(f"{path}: expected a saved session: {error}") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        found = data.get("format") if isinstance(data, dict) else type(data).__name__
        raise SessionError(
            f"{path}: expected a session of format {FORMAT}, found {found!r}; it is of another "
            "version of weft, begin a new one"
        )
    try:
        record = from_json(SessionRecord, data, "session")
    except StrictError as error:
        raise SessionError(f"{path}: {error}") from error
    if record.bundle != runtime.bundle.digest:
        raise SessionError(
            f"{path}: saved with bundle {record.bundle[:12]}…, this runtime has "
            f"{runtime.bundle.digest[:12]}…; load the bundle it was saved with"
        )
    return record


def _fill(session: Session, record: SessionRecord, arrays: dict[str, NDArray[Any]]) -> None:
    planner, history = session.planner, session.history
    planner.restore(record.length, record.written)
    planner.tokens[: record.length] = arrays["tokens"]
    planner.positions[: record.length] = arrays["positions"]
    for name, cache in planner.cache.items():
        cache[:, :, : record.written] = arrays[name]
    for name, block in arrays.items():
        if name.startswith("features."):
            planner.features[int(name.partition(".")[2])] = block
    history.position, history.open = record.position, record.open
    history.turns = list(record.turns)
    for i, p in enumerate(record.pictures):
        history.pictures.append(
            PlacedPicture(
                p.grid,
                range(*p.slots),
                p.position,
                pixels=arrays[f"pixels.{i}"] if p.kind == "pixels" else None,
                latent=arrays[f"latent.{i}"] if p.kind == "latent" else None,
            )
        )
