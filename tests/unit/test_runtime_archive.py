"""Saved sessions: what is damaged is refused when it is restored, and saving loses nothing."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime import OutputError, Runtime, SessionError
from tests.fake_bundle import fake_runtime

PICTURE = np.random.default_rng(5).integers(0, 255, (96, 64, 3), dtype=np.uint8)
Record = dict[str, Any]
Arrays = dict[str, Any]


@pytest.fixture(scope="module")
def rt(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    return fake_runtime(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def kept(rt: Runtime, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two turns: a given picture and two drawn ones, then one more."""
    chat = rt.session()
    chat.generate(["See", PICTURE], seed=1, max_images=2)
    chat.generate("Go on.", seed=2, max_images=1)
    return chat.save(tmp_path_factory.mktemp("saved"))


@pytest.fixture
def saved(kept: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(kept, tmp_path / "saved"))


def read(saved: Path) -> tuple[Record, Arrays]:
    with np.load(saved / "session.npz") as file:
        arrays = {name: file[name] for name in file.files}
    return json.loads(arrays.pop("session.json")), arrays


def write(saved: Path, record: str, arrays: Arrays) -> None:
    np.savez(saved / "session.npz", **arrays)
    with zipfile.ZipFile(saved / "session.npz", "a") as archive:
        archive.writestr("session.json", record)


def digest(rt: Runtime, saved: Path) -> str:
    """What the session says next."""
    return rt.restore(saved).generate("And?", seed=3, max_images=1).digest()


def put(array: np.ndarray, value: float) -> np.ndarray:
    """The array with its last number replaced."""
    array.flat[-1] = value
    return array


RECORDS: dict[str, tuple[Callable[[Record], object], str]] = {
    "kind": (lambda r: r["pictures"][0].update(kind="x"), "expected pixels or latent, found 'x'"),
    "other kind": (lambda r: r["pictures"][0].update(kind="latent"), "latent.0"),
    "grid": (lambda r: r["pictures"][1]["grid"].update(rows=6), "latent.1: expected float32"),
    "no grid": (lambda r: r["pictures"][1]["grid"].update(rows=0), "grid: expected"),
    "large grid": (lambda r: r["pictures"][1]["grid"].update(rows=10**9), "grid: expected"),
    "slots": (lambda r: r["pictures"][0].update(slots=[0, 5000]), r"found \(0, 5000\)"),
    "negative slots": (lambda r: r["pictures"][0].update(slots=[-2, 0]), "expected a slot from 0"),
    "far slots": (lambda r: r["pictures"][0].update(slots=[10**9, 10**9 + 2]), "slots: expected"),
    "two in one place": (lambda r: r["pictures"][2].update(slots=[36, 40]), "pictures.2."),
    "picture's position": (lambda r: r["pictures"][1].update(position=-(10**30)), "position: exp"),
    "position": (lambda r: r.update(position=-(10**30)), "session.position: expected"),
    "written": (lambda r: r.update(written=r["length"] + 1), "written: expected 0 to"),
    "negative written": (lambda r: r.update(written=-1), "written: expected 0 to"),
    "negative length": (lambda r: r.update(length=-1), "written: expected 0 to -1"),
    "length": (lambda r: r.update(length=r["length"] + 1), "position: expected"),
    "huge length": (lambda r: r.update(length=10**6), "max_tokens=1000000"),
    "turn's length": (lambda r: r["turns"][1].update(length=10**6), "expected a slot from"),
    "turn in a picture": (lambda r: r["turns"][1].update(length=37, pictures=1), "turns.1."),
    "turn's pictures": (lambda r: r["turns"][1].update(pictures=-1), "pictures: expected 0 to 4"),
    "turn's position": (lambda r: r["turns"][1].update(position=0), r"turns\[1\].position"),
    "turns' order": (lambda r: r["turns"].reverse(), "turns: expected one after another"),
    "text": (lambda r: r.update(length="9"), "length: expected int"),
}


@pytest.mark.parametrize("what", RECORDS)
def test_a_record_that_does_not_fit_is_refused(rt: Runtime, saved: Path, what: str) -> None:
    change, message = RECORDS[what]
    record, arrays = read(saved)
    change(record)
    write(saved, json.dumps(record), arrays)
    with pytest.raises(SessionError, match=message):
        rt.restore(saved)


ARRAYS: dict[str, tuple[str, Callable[[np.ndarray], object], str]] = {
    "one number for all": ("tokens", lambda a: a[0], r"expected int64 \[\d+\], found int64 \[\]"),
    "type": ("tokens", lambda a: a.astype(np.float32), "found float32"),
    "id": ("tokens", lambda a: put(a, 10**6), r"ids from 0 to \d+, found \[1000000\]"),
    "negative id": ("tokens", lambda a: put(a, -1), r"ids from 0 to \d+, found \[-1\]"),
    "position": ("positions", lambda a: put(a, np.nan), r"finite numbers, found \[nan\]"),
    "nan": ("past.k.0", lambda a: a * np.nan, r"past.k.0: expected finite numbers, found \[nan"),
    "infinity": ("past.v.1", lambda a: put(a, np.inf), r"expected finite numbers, found \[inf\]"),
    "rows": ("past.v.1", lambda a: a[:, :, :-1], "past.v.1: expected float32 or float16"),
    "one row for all": ("past.k.1", lambda a: a[0, 0, 0, 0], r"found float32 \[\]"),
    "width": ("features.5", lambda a: a[:, :-1], r"\[2, 64\], found float32 \[2, 63\]"),
    "latent": ("latent.1", lambda a: put(a, np.nan), "finite numbers"),
    "double": ("latent.1", lambda a: a.astype(np.float64), "found float64"),
    "pixels": ("pixels.0", lambda a: a[..., :3], "pixels.0: expected uint8"),
    "pickle": ("pixels.0", lambda a: a.astype(object), "allow_pickle"),
    "no array": ("pixels.0", lambda a: None, "no item named"),
}


@pytest.mark.parametrize("what", ARRAYS)
def test_an_array_that_does_not_fit_is_refused(rt: Runtime, saved: Path, what: str) -> None:
    name, change, message = ARRAYS[what]
    record, arrays = read(saved)
    changed = change(arrays.pop(name))
    write(saved, json.dumps(record), arrays if changed is None else {**arrays, name: changed})
    with pytest.raises(SessionError, match=message):
        rt.restore(saved)


@pytest.mark.parametrize("record", ["", "{", "[]", "[" * 10**5, '{"format": 2}', "\ud800"])
def test_a_record_that_is_none_is_refused(rt: Runtime, saved: Path, record: str) -> None:
    text = record.encode("utf-8", "surrogatepass")
    write(saved, text, read(saved)[1])  # type: ignore[arg-type]
    with pytest.raises(SessionError, match=r"damaged|of format 1"):
        rt.restore(saved)


def test_a_damaged_file_is_refused(rt: Runtime, saved: Path) -> None:
    path = saved / "session.npz"
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    header = whole.replace(b"{'descr'", b"{{descr'")
    for found in (b"", b"text", whole[:-9], whole[: len(whole) // 2], bytes(flipped), header):
        path.write_bytes(found)
        with pytest.raises(SessionError, match="damaged"):
            rt.restore(saved)
    with path.open("wb") as stream:
        np.save(stream, np.zeros(3))
    with pytest.raises(SessionError, match="damaged"):
        rt.restore(saved)


def test_a_session_of_another_kind_is_refused(rt: Runtime, saved: Path, tmp_path: Path) -> None:
    with pytest.raises(SessionError, match=r"load with max_tokens=\d+ or more"):
        fake_runtime(rt.bundle.folder, max_tokens=64).restore(saved)
    with pytest.raises(SessionError, match="expected a saved session, found none"):
        rt.restore(tmp_path / "nothing")
    record, arrays = read(saved)
    write(saved, json.dumps({**record, "bundle": "0" * 64}), arrays)
    with pytest.raises(SessionError, match="load the bundle it was saved with"):
        rt.restore(saved)


def test_an_empty_session_comes_back(rt: Runtime, tmp_path: Path) -> None:
    assert rt.restore(rt.session().save(tmp_path)).turns == 0


def test_a_record_beside_the_arrays_is_read(rt: Runtime, kept: Path, saved: Path) -> None:
    """As older sessions have it; saving again leaves one file."""
    record, arrays = read(saved)
    np.savez(saved / "session.npz", **arrays)
    record["arrays_sha256"] = hashlib.sha256((saved / "session.npz").read_bytes()).hexdigest()
    (saved / "session.json").write_text(json.dumps(record))
    assert digest(rt, saved) == digest(rt, kept)
    (saved / "session.json").write_text(json.dumps({**record, "arrays_sha256": "0" * 64}))
    with pytest.raises(SessionError, match="damaged"):
        rt.restore(saved)
    rt.restore(kept).save(saved)
    assert [file.name for file in saved.iterdir()] == ["session.npz"]
    assert digest(rt, saved) == digest(rt, kept)


@pytest.mark.parametrize("stop", [OSError(errno.ENOSPC, "disk full"), KeyboardInterrupt()])
@pytest.mark.parametrize(
    "step",
    [
        "pathlib.Path.open",
        "zipfile.ZipFile.writestr",
        "numpy.lib.format.write_array",
        "zipfile.ZipFile.close",
        "os.fsync",
        "os.replace",
    ],
)
def test_a_save_that_fails_leaves_what_there_was(
    rt: Runtime, saved: Path, step: str, stop: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = rt.restore(saved)
    before = digest(rt, saved)
    chat.generate("More.", seed=7, max_images=1)

    def fail(*_: object, **__: object) -> None:
        raise stop

    first = saved.parent / "first"
    for folder in (saved, first):
        with monkeypatch.context() as patch:
            patch.setattr(step, fail)
            with pytest.raises(OutputError if isinstance(stop, OSError) else KeyboardInterrupt):
                chat.save(folder)
    assert not first.exists()
    assert [file.name for file in saved.iterdir()] == ["session.npz"]
    assert digest(rt, saved) == before
    assert rt.restore(chat.save(saved)).turns == 3
