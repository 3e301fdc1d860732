"""Sessions on disk: one `session.npz` in a folder, no pickle.

It holds the arrays below and, as `session.json`, the record of what they belong to. A new one takes
the old one's place in one step, so that whatever happens one of the two can be restored.

The K/V bits that the planner wrote are kept as they are, so a restored session continues exactly as
the saved one would have. A session belongs to its bundle: the digest must match.

| array | shape | dtype |
| --- | --- | --- |
| `tokens`, `positions` | [n], [n, 3] | int64, float32 |
| `past.k.0`, … | [1, KV, written, D] | float32 or float16 |
| `features.<slot>` | [v, W] | float32 |
| `latent.<i>`, `pixels.<i>` | [1, T, Z], [H, W, 4] | float32, uint8 |
"""

from __future__ import annotations

import json
import os
import zipfile
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from runtime.bundle import digest_of
from runtime.errors import OutputError, SessionError
from runtime.grid import Grid, allowed
from runtime.history import Mark, PlacedPicture
from runtime.interfaces import cache_names
from runtime.positions import picture_extent
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


def save_session(session: Session, folder: Path) -> Path:
    """Write the session; raises `OutputError`, and then the folder is as it was before."""
    pending, new = folder / (ARRAYS + ".new"), not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            _write(session, pending)
            os.replace(pending, folder / ARRAYS)
        finally:
            pending.unlink(missing_ok=True)
            if new:
                # Goes only where it is empty: nothing was saved.
                with suppress(OSError):
                    folder.rmdir()
        # Left over from a session that had its record beside the arrays.
        (folder / RECORD).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot save the session there: {error}") from error
    return folder


def _write(session: Session, path: Path) -> None:
    with path.open("wb") as stream:
        with zipfile.ZipFile(stream, "w") as archive:
            archive.writestr(RECORD, json.dumps(to_json(_record(session)), indent=1))
            for name, array in _arrays(session).items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)
        stream.flush()
        os.fsync(stream.fileno())


def _record(session: Session) -> SessionRecord:
    history = session.history
    return SessionRecord(
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
    )


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
    path = folder / ARRAYS
    try:
        with zipfile.ZipFile(path) as archive:
            record = _read_record(runtime, archive, folder)
            _check(record, runtime)
            arrays = _read_arrays(record, runtime, archive)
    except SessionError:
        raise
    except FileNotFoundError as error:
        raise SessionError(
            f"{path}: expected a saved session, found none; a new one begins in a folder that is "
            "not there yet"
        ) from error
    except OSError as error:
        raise SessionError(f"{path}: cannot read the session: {error}") from error
    except Exception as error:  # zipfile, numpy and json each raise their own
        found = str(error) if isinstance(error, StrictError) else repr(error)
        raise SessionError(f"{path}: the session is damaged, begin a new one; {found}") from error
    session = runtime.session()
    _fill(session, record, arrays)
    return session


def _read_record(runtime: Runtime, archive: zipfile.ZipFile, folder: Path) -> SessionRecord:
    path = folder / ARRAYS
    # Older sessions have the record beside the arrays, and in it the digest of these.
    beside = RECORD not in archive.namelist()
    data = json.loads((folder / RECORD).read_bytes() if beside else archive.read(RECORD))
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        found = data.get("format") if isinstance(data, dict) else type(data).__name__
        raise SessionError(
            f"{path}: expected a session of format {FORMAT}, found {found!r}; it is of another "
            "version of weft, begin a new one"
        )
    if beside and data.pop("arrays_sha256", None) != digest_of(path):
        raise SessionError(f"{path}: differs from what was saved; the session is damaged")
    record = from_json(SessionRecord, data, "session")
    if record.bundle != runtime.bundle.digest:
        raise SessionError(
            f"{path}: saved with bundle {record.bundle[:12]}…, this runtime has "
            f"{runtime.bundle.digest[:12]}…; load the bundle it was saved with"
        )
    if record.length > runtime.memory.max_tokens:
        raise SessionError(
            f"{path}: the session holds {record.length} tokens, this runtime "
            f"{runtime.memory.max_tokens}; load with max_tokens={record.length} or more"
        )
    return record


def _check(record: SessionRecord, runtime: Runtime) -> None:
    """Refuse a record whose numbers do not fit together; raises `StrictError`."""
    image, length, pictures = runtime.bundle.manifest.image, record.length, record.pictures
    _need(0 <= record.written <= length, "session.written", f"0 to {length}", record.written)
    for i, p in enumerate(pictures):
        name, (start, stop) = f"session.pictures[{i}]", p.slots
        _need(p.kind in ("pixels", "latent"), f"{name}.kind", "pixels or latent", repr(p.kind))
        _need(allowed(p.grid, image), f"{name}.grid", "a grid that the bundle takes", p.grid)
        count = p.grid.vision_tokens(image)
        good = stop - start == count and stop <= length
        _need(good, f"{name}.slots", f"{count} slots of {length}", p.slots)
    lengths = [turn.length for turn in record.turns]
    _need(lengths == sorted(lengths), "session.turns", "one after another", lengths)
    # Between picture k - 1 and picture k are the slots from stops[k] to starts[k]; the position of
    # a token there is its slot plus ahead[k].
    stops = [0, *(p.slots[1] for p in pictures)]
    starts = [*(p.slots[0] for p in pictures), length]
    steps = (picture_extent(p.grid) - p.grid.vision_tokens(image) for p in pictures)
    ahead = [0, *accumulate(steps)]
    marks = {f"session.turns[{i}]": turn for i, turn in enumerate(record.turns)}
    for i, p in enumerate(pictures):
        marks[f"session.pictures[{i}]"] = Mark(p.slots[0], p.position, i)
    marks["session"] = Mark(length, record.position, len(pictures))
    for name, mark in marks.items():
        k = mark.pictures
        _need(0 <= k <= len(pictures), f"{name}.pictures", f"0 to {len(pictures)}", k)
        between = f"a slot from {stops[k]} to {starts[k]}"
        _need(stops[k] <= mark.length <= starts[k], name, between, mark.length)
        position = mark.length + ahead[k]
        _need(mark.position == position, f"{name}.position", f"{position}", mark.position)


def _read_arrays(
    record: SessionRecord, runtime: Runtime, archive: zipfile.ZipFile
) -> dict[str, NDArray[Any]]:
    """The arrays that a checked record needs; raises `StrictError` and what reading raises."""
    cache, image = runtime.bundle.manifest.cache, runtime.bundle.manifest.image
    arrays: dict[str, NDArray[Any]] = {}

    def read(name: str, shape: tuple[int, ...], *dtypes: str) -> None:
        with archive.open(f"{name}.npy") as member:
            array = np.lib.format.read_array(member, allow_pickle=False)
        good = str(array.dtype) in dtypes and array.shape == shape
        expected = f"{' or '.join(dtypes)} {list(shape)}"
        _need(good, name, expected, f"{array.dtype} {list(array.shape)}")
        odd = array[~np.isfinite(array)]
        _need(not odd.size, name, "finite numbers", odd[:3].tolist())
        arrays[name] = np.ascontiguousarray(array)

    read("tokens", (record.length,), "int64")
    odd = arrays["tokens"][(arrays["tokens"] < 0) | (arrays["tokens"] >= cache.vocab)]
    _need(not odd.size, "tokens", f"ids from 0 to {cache.vocab - 1}", odd[:3].tolist())
    read("positions", (record.length, 3), "float32")
    for name in cache_names("past", cache.layers):
        read(name, (1, cache.kv_heads, record.written, cache.head_dim), "float32", "float16")
    for i, p in enumerate(record.pictures):
        read(f"features.{p.slots[0]}", (p.grid.vision_tokens(image), cache.width), "float32")
        if p.kind == "latent":
            read(f"latent.{i}", (1, p.grid.tokens, image.latent_channels), "float32")
        else:
            width, height = p.grid.pixels(image)
            read(f"pixels.{i}", (height, width, 4), "uint8")
    return arrays


def _need(good: bool, where: str, expected: str, found: object) -> None:
    if not good:
        shown = found if isinstance(found, str) else repr(found)
        raise StrictError(f"{where}: expected {expected}, found {shown[:60]}")


def _fill(session: Session, record: SessionRecord, arrays: dict[str, NDArray[Any]]) -> None:
    planner, history = session.planner, session.history
    planner.restore(record.length, record.written)
    planner.tokens[: record.length] = arrays["tokens"]
    planner.positions[: record.length] = arrays["positions"]
    for name, cache in planner.cache.items():
        cache[:, :, : record.written] = arrays[name]
    history.position, history.open = record.position, record.open
    history.turns = list(record.turns)
    for i, p in enumerate(record.pictures):
        planner.features[p.slots[0]] = arrays[f"features.{p.slots[0]}"]
        history.pictures.append(
            PlacedPicture(
                p.grid,
                range(*p.slots),
                p.position,
                pixels=arrays[f"pixels.{i}"] if p.kind == "pixels" else None,
                latent=arrays[f"latent.{i}"] if p.kind == "latent" else None,
            )
        )
