"""The bundle: a folder with `bundle.json` and the files it lists.

The dataclasses here are both what the exporter writes and what the runtime reads. The reader is
strict: unknown keys, paths that leave the folder, wrong sizes, components whose tensors differ
from `runtime.interfaces`, and anything written for a newer runtime are refused with a message.
Nothing is unpickled. The module does not know how components are run.

Write a bundle with `write_manifest(folder, manifest)` after the files are in place (`file_of`
makes a file's entry); read it with `read_bundle(folder)`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from dataclasses import dataclass, field, fields
from itertools import pairwise
from pathlib import Path, PurePosixPath, PureWindowsPath

from runtime.errors import BundleError, BundleMissing, BundleTampered, BundleTooNew
from runtime.interfaces import (
    COMPONENTS,
    CacheGeometry,
    ImageGeometry,
    Interface,
    State,
    Tensor,
    component_interfaces,
)
from runtime.strict import StrictError, from_json, to_json

logger = logging.getLogger(__name__)

SCHEMA = 1
ABI = 1
RUNTIME_VERSION = "0.1.0"
MANIFEST = "bundle.json"
MANIFEST_LIMIT = 4 << 20


@dataclass(frozen=True)
class File:
    """A file of the bundle: relative POSIX path, size in bytes, lower-case hex sha256."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Variant:
    """One compiled form of a component.

    `files[0]` is the graph or engine; the others are the data it refers to. `parity` holds figures
    from verification (name → value, such as `relative_error`). `compute_capability` is "" where
    any device will do.
    """

    engine: str
    provider: str
    precision: str
    files: tuple[File, ...]
    compute_capability: str = ""
    parity: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Component:
    """A component's typed tensors, its in-place state and its variants, preferred first."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    state: tuple[State, ...]
    variants: tuple[Variant, ...]


@dataclass(frozen=True)
class Model:
    name: str
    revision: str


@dataclass(frozen=True)
class Requires:
    """What a runtime must offer: its lowest version and the exact ABI (component interfaces)."""

    runtime: str
    abi: int


@dataclass(frozen=True)
class SpecialTokens:
    """Ids of the control tokens."""

    pad: int
    user: int
    assistant: int
    think_open: int
    think_close: int
    imagine_open: int
    imagine_close: int
    size_open: int
    size_close: int
    boi: int
    image: int
    eos: int


# The text of each control token in tokenizer.json.
TOKEN_TEXT = {
    "pad": "<|pad|>",
    "user": "<|user|>",
    "assistant": "<|assistant|>",
    "think_open": "<think>",
    "think_close": "</think>",
    "imagine_open": "<imagine>",
    "imagine_close": "</imagine>",
    "size_open": "<size>",
    "size_close": "</size>",
    "boi": "<BOI>",
    "image": "<|image|>",
    "eos": "<EOS>",
}


@dataclass(frozen=True)
class TokenizerSpec:
    file: File
    special: SpecialTokens


@dataclass(frozen=True)
class Schedule:
    """`steps["4"]` is the list of 5 times from 1.0 down to 0.0 of the four-step sampler."""

    steps: dict[str, tuple[float, ...]]
    default_steps: int


@dataclass(frozen=True)
class Sampling:
    """Defaults for decoding text."""

    temperature: float = 0.7
    top_p: float = 0.95


@dataclass(frozen=True)
class Manifest:
    """Everything in `bundle.json`."""

    schema: int
    model: Model
    requires: Requires
    tokenizer: TokenizerSpec
    cache: CacheGeometry
    image: ImageGeometry
    schedule: Schedule
    components: dict[str, Component]
    sampling: Sampling = Sampling()
    license: str = ""
    notes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Bundle:
    """A manifest that passed every check, with the folder it came from.

    `digest` is the sha256 of the manifest file, which names every other file's digest.
    """

    folder: Path
    manifest: Manifest
    digest: str

    def path(self, file: File) -> Path:
        return confined(self.folder, file.path)

    def files(self) -> tuple[File, ...]:
        """Every listed file once, in order of path."""
        return tuple(sorted(_files(self.manifest).values(), key=lambda file: file.path))

    def variant(self, component: str, engine: str, provider: str) -> Variant | None:
        for variant in self.manifest.components[component].variants:
            if (variant.engine, variant.provider) == (engine, provider):
                return variant
        return None

    def verify(self) -> None:
        """Compare every file's sha256 with the manifest's."""
        for file in self.files():
            found = digest_of(self.path(file))
            if found != file.sha256:
                raise BundleTampered(
                    f"{self.folder / file.path}: expected sha256 {file.sha256[:16]}…, found "
                    f"{found[:16]}…; the file was changed or damaged, get the bundle again"
                )


def component_of(interface: Interface, variants: tuple[Variant, ...]) -> Component:
    """The manifest entry of a component that has this interface."""
    return Component(interface.inputs, interface.outputs, interface.state, variants)


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
    folder = Path(folder)
    path = folder / MANIFEST
    if not folder.is_dir():
        raise BundleMissing(f"{folder}: expected a bundle folder, found none; check the path")
    if not path.is_file():
        raise BundleMissing(f"{path}: expected a manifest, found none; is this a bundle folder?")
    if path.stat().st_size > MANIFEST_LIMIT:
        raise BundleError(f"{path}: expected at most {MANIFEST_LIMIT} bytes")
    raw = path.read_bytes()
    try:
        data = json.loads(raw)
    except ValueError as error:
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
        raise BundleError(f"{path}: expected an object with an integer 'schema'")
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


def _files(manifest: Manifest) -> dict[str, File]:
    found = {manifest.tokenizer.file.path: manifest.tokenizer.file}
    for component in manifest.components.values():
        for variant in component.variants:
            for file in variant.files:
                if found.setdefault(file.path, file) != file:
                    raise BundleError(
                        f"bundle.json: {file.path!r} is listed twice with different size or digest"
                    )
    return found


def _check(folder: Path, manifest: Manifest) -> None:
    try:
        _check_values(manifest)
        _check_components(manifest)
        files = _files(manifest)
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


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise BundleError(message)


def _check_values(manifest: Manifest) -> None:
    cache, image, schedule = manifest.cache, manifest.image, manifest.schedule
    _require(manifest.requires.abi == ABI, f"expected ABI {ABI}, found {manifest.requires.abi}")
    for name in ("layers", "kv_heads", "head_dim", "width", "vocab", "capacity"):
        _require(getattr(cache, name) > 0, f"cache.{name}: expected a positive number")
    _require(cache.max_references >= 0, "cache.max_references: expected 0 or more")
    _require(
        2 * sum(cache.rope_sections) == cache.head_dim and min(cache.rope_sections) >= 0,
        f"cache.rope_sections: expected a sum of {cache.head_dim // 2}",
    )
    _require(cache.rope_theta > 1, "cache.rope_theta: expected more than 1")
    for name in ("patch", "vision_cell", "max_tokens", "latent_channels", "max_pixels"):
        _require(getattr(image, name) > 0, f"image.{name}: expected a positive number")
    width, height = image.default_size
    on_grid = min(width, height) > 0 and width % image.patch == 0 and height % image.patch == 0
    _require(on_grid, f"image.default_size: expected multiples of {image.patch}")
    tokens = (width // image.patch) * (height // image.patch)
    _require(tokens <= image.max_tokens, "image.default_size: more than image.max_tokens")
    _require(image.max_aspect >= 1, "image.max_aspect: expected 1 or more")
    for steps, times in schedule.steps.items():
        falling = all(a > b for a, b in pairwise(times))
        _require(
            steps == str(len(times) - 1) and falling and (times[0], times[-1]) == (1.0, 0.0),
            f"schedule.steps.{steps}: expected {steps} + 1 times falling from 1.0 to 0.0",
        )
    _require(
        str(schedule.default_steps) in schedule.steps,
        f"schedule.default_steps: expected one of {sorted(schedule.steps)}",
    )
    ids = [getattr(manifest.tokenizer.special, f.name) for f in fields(SpecialTokens)]
    _require(
        len(set(ids)) == len(ids) and min(ids) >= 0 and max(ids) < cache.vocab,
        "tokenizer.special: expected distinct ids inside the vocabulary",
    )
    for file in _files(manifest).values():
        _require(
            file.size >= 0 and re.fullmatch(r"[0-9a-f]{64}", file.sha256) is not None,
            f"{file.path}: expected a size and a lower-case hex sha256",
        )


def _check_components(manifest: Manifest) -> None:
    expected = component_interfaces(manifest.cache, manifest.image)
    names = sorted(manifest.components)
    _require(
        names == sorted(COMPONENTS), f"components: expected {sorted(COMPONENTS)}, found {names}"
    )
    for name, component in manifest.components.items():
        found = Interface(component.inputs, component.outputs, component.state)
        for part in ("inputs", "outputs", "state"):
            want, have = set(getattr(expected[name], part)), set(getattr(found, part))
            _require(
                want == have,
                f"components.{name}.{part}: missing {_names(want - have)}, "
                f"unexpected {_names(have - want)}",
            )
        _require(bool(component.variants), f"components.{name}: expected at least one variant")
        for variant in component.variants:
            _require(bool(variant.files), f"components.{name}: a variant without files")


def _names(items: set[Tensor] | set[State]) -> str:
    return ", ".join(sorted(str(item) for item in items)) or "none"
