"""The bundle: a folder with `bundle.json` and the files it lists.

The dataclasses of `runtime.manifest` are both what the exporter writes and what the runtime reads.
The reader is strict: unknown keys, paths that leave the folder, wrong sizes, components whose
tensors differ from `runtime.interfaces`, and anything written for a newer runtime are refused with
a message. Nothing is unpickled. The module does not know how components are run.

Write a bundle with `write_manifest(folder, manifest)` after the files are in place (`file_of`
makes a file's entry); read it with `read_bundle(folder)`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from runtime.errors import BundleError, BundleMissing, BundleTampered, BundleTooNew
from runtime.manifest import (
    ABI,
    LEFT,
    TOKEN_TEXT,
    AnswerLimits,
    Component,
    Manifest,
    Model,
    Requires,
    Sampling,
    Schedule,
    SpecialTokens,
    TokenizerSpec,
    Verification,
    check_manifest,
    check_schedule,
    component_of,
    files_of,
)
from runtime.strict import StrictError, from_json, to_json
from runtime.variants import FIRST_FP8, PLUGIN, File, Gate, Profile, Variant, has_precision

__all__ = [
    "ABI",
    "FIRST_FP8",
    "LEFT",
    "MANIFEST",
    "PLUGIN",
    "RUNTIME_VERSION",
    "SCHEMA",
    "TOKEN_TEXT",
    "AnswerLimits",
    "Bundle",
    "Component",
    "File",
    "Gate",
    "Manifest",
    "Model",
    "Profile",
    "Requires",
    "Sampling",
    "Schedule",
    "SpecialTokens",
    "TokenizerSpec",
    "Variant",
    "Verification",
    "check_schedule",
    "component_of",
    "confined",
    "digest_of",
    "file_of",
    "has_precision",
    "read_bundle",
    "write_manifest",
]

logger = logging.getLogger(__name__)

SCHEMA = 1
RUNTIME_VERSION = "0.1.0"
MANIFEST = "bundle.json"
MANIFEST_LIMIT = 4 << 20


@dataclass(frozen=True)
class Bundle:
    """A manifest that passed every check, with the folder it came from.

    `digest` is the sha256 of the manifest file, which names every other file's digest.
    """

    folder: Path
    manifest: Manifest
    digest: str

    def path(self, file: File) -> Path:
        """Where `file` is; never outside the bundle's folder."""
        return confined(self.folder, file.path)

    def files(self) -> tuple[File, ...]:
        """Every listed file once, in order of path."""
        return tuple(sorted(files_of(self.manifest).values(), key=lambda file: file.path))

    def fingerprint(self) -> str:
        """Changes with the size or the modification time of any listed file; raises `OSError` where
        one is gone."""
        digest = hashlib.sha256()
        for file in self.files():
            status = self.path(file).stat()
            digest.update(f"{file.path} {status.st_size} {status.st_mtime_ns}".encode())
        return digest.hexdigest()

    def verify(self) -> None:
        """Compare every file's sha256 with the manifest's."""
        for file in self.files():
            found = digest_of(self.path(file))
            if found != file.sha256:
                raise BundleTampered(
                    f"{self.folder / file.path}: expected sha256 {file.sha256[:16]}…, found "
                    f"{found[:16]}…; the file was changed or damaged, get the bundle again"
                )


def digest_of(path: Path) -> str:
    """Lower-case hex sha256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def file_of(folder: Path, path: str) -> File:
    """The entry for a file that is already in the bundle folder."""
    where = confined(folder, path)
    return File(path, where.stat().st_size, digest_of(where))


def confined(folder: Path, path: str) -> Path:
    """`folder / path`, refused unless `path` is a plain relative path that stays inside."""
    posix = PurePosixPath(path)
    bad = (
        not path
        or "\\" in path
        or "\0" in path
        or posix.is_absolute()
        or bool(PureWindowsPath(path).drive)
        or any(part in ("..", ".", "") for part in path.split("/"))
    )
    if bad:
        raise BundleError(
            f"{folder / MANIFEST}: expected a relative path inside the bundle, found {path!r}; "
            "absolute paths, '..' and backslashes are refused"
        )
    target = folder / posix
    if not target.resolve().is_relative_to(folder.resolve()):
        raise BundleError(f"{target}: a link that leads out of the bundle folder is refused")
    return target


def write_manifest(folder: Path, manifest: Manifest) -> Bundle:
    """Check the manifest against the files in `folder`, write `bundle.json`, read it back."""
    _check(folder, manifest)
    text = json.dumps(to_json(manifest), indent=1, ensure_ascii=False) + "\n"
    pending = folder / (MANIFEST + ".new")
    pending.write_text(text, encoding="utf-8")
    os.replace(pending, folder / MANIFEST)
    return read_bundle(folder)


def read_bundle(folder: str | Path, *, verify: bool = False) -> Bundle:
    """Read and check a bundle; sizes always, digests too when `verify` is set.

    Raises `BundleMissing`, `BundleTooNew`, `BundleTampered` or `BundleError`.
    """
    # Files are opened as they are needed, when the process may have moved elsewhere.
    folder = Path(folder).absolute()
    path = folder / MANIFEST
    if not folder.is_dir():
        raise BundleMissing(f"{folder}: expected a bundle folder, found none; check the path")
    if not path.is_file():
        raise BundleMissing(f"{path}: expected a manifest, found none; is this a bundle folder?")
    if path.stat().st_size > MANIFEST_LIMIT:
        raise BundleError(
            f"{path}: expected at most {MANIFEST_LIMIT} bytes, found {path.stat().st_size}; is "
            "this a bundle's manifest?"
        )
    raw = path.read_bytes()
    try:
        data = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path}: expected JSON, found a syntax error: {error}") from error
    _check_age(path, data)
    try:
        manifest = from_json(Manifest, data, "bundle.json")
    except StrictError as error:
        raise BundleError(f"{path}: {error}") from error
    _check(folder, manifest)
    bundle = Bundle(folder, manifest, hashlib.sha256(raw).hexdigest())
    if verify:
        bundle.verify()
    logger.debug("read bundle %s %s", manifest.model.name, manifest.model.revision)
    return bundle


def _check_age(path: Path, data: object) -> None:
    """Refuse a newer bundle before its unknown keys are complained about."""
    if not isinstance(data, dict) or type(data.get("schema")) is not int:
        found = data.get("schema") if isinstance(data, dict) else type(data).__name__
        raise BundleError(
            f"{path}: expected an object with an integer 'schema', found {found!r}; export the "
            "bundle again"
        )
    if data["schema"] > SCHEMA:
        raise BundleTooNew(
            f"{path}: expected schema {SCHEMA} or older, found {data['schema']}; update weft"
        )
    requires = data.get("requires")
    if isinstance(requires, dict):
        abi, needed = requires.get("abi"), requires.get("runtime")
        if type(abi) is int and abi > ABI:
            raise BundleTooNew(f"{path}: expected ABI {ABI}, found {abi}; update weft")
        if isinstance(needed, str) and _version(path, needed) > _version(path, RUNTIME_VERSION):
            raise BundleTooNew(
                f"{path}: needs runtime {needed} or newer, this is {RUNTIME_VERSION}; update weft"
            )
    if data["schema"] < 1:
        raise BundleError(f"{path}: expected schema 1 or newer, found {data['schema']}")


def _version(path: Path, text: str) -> tuple[int, ...]:
    if not re.fullmatch(r"\d+(\.\d+)*", text):
        raise BundleError(f"{path}: requires.runtime: expected a version like 0.1, found {text!r}")
    numbers = [int(part) for part in text.split(".")]
    return tuple(numbers + [0] * (3 - len(numbers)))


def _check(folder: Path, manifest: Manifest) -> None:
    try:
        check_manifest(manifest)
        files = files_of(manifest)
    except BundleError as error:
        raise type(error)(f"{folder}: {error}") from error
    for file in files.values():
        path = confined(folder, file.path)
        if not path.is_file():
            raise BundleMissing(f"{path}: listed in the manifest but missing; get the bundle again")
        size = path.stat().st_size
        if size != file.size:
            what = "truncated" if size < file.size else "too long"
            raise BundleTampered(
                f"{path}: expected {file.size} bytes, found {size} ({what}); get the bundle again"
            )
