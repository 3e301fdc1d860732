"""One export from start to end: checkpoint → graphs → manifest → verification → bundle folder.

Everything is written to a hidden folder beside the target, which gets its name when it is complete
and verified. A failure of any kind leaves the target as it was.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from export.errors import ExportError, GateError
from export.graphs import Models, build_graphs
from export.manifest import (
    Limits,
    cache_geometry,
    image_geometry,
    make_manifest,
    revision_of,
    special_tokens,
    variant_of,
)
from export.storage import STORAGES
from export.verify import verify
from runtime.bundle import (
    MANIFEST,
    Bundle,
    TokenizerSpec,
    Variant,
    file_of,
    write_manifest,
)
from runtime.interfaces import component_interfaces
from training.checkpoint import TOKENIZER, Checkpoint, load_checkpoint
from training.errors import TrainingError

logger = logging.getLogger(__name__)

TARGETS = ("cpu",)


@dataclass(frozen=True)
class Options:
    """What to export. The first precision is the one a runtime takes."""

    targets: tuple[str, ...] = ("cpu",)
    precisions: tuple[str, ...] = ("w8",)
    verify: bool = True
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        for what, given, known in (
            ("target", self.targets, TARGETS),
            ("precision", self.precisions, tuple(STORAGES)),
        ):
            unknown = [name for name in given if name not in known]
            if unknown or not given or len(set(given)) != len(given):
                raise ExportError(
                    f"{what}: expected one or more of {', '.join(known)}, each once, "
                    f"found {', '.join(given) or 'none'}"
                )


@dataclass(frozen=True)
class Row:
    """One line of the report: a component in one precision."""

    component: str
    precision: str
    bytes: int
    parity: dict[str, float]


@dataclass(frozen=True)
class Report:
    """What was exported, how large and how exact it is."""

    bundle: str
    revision: str
    bytes: int
    seconds: float
    rows: tuple[Row, ...]


def export_bundle(checkpoint: Path | str, out: Path | str, options: Options) -> Report:
    """Exports a complete checkpoint to the bundle folder `out`; raises `ExportError`."""
    started = time.monotonic()
    out = Path(os.path.abspath(out))
    _check_target(out)
    try:
        loaded = load_checkpoint(checkpoint)
    except TrainingError as error:
        raise ExportError(str(error)) from error
    models = _complete(loaded)
    with _beside(out) as folder:
        bundle = _write(folder, loaded, models, options)
        found = {(name, v.precision): v for name, v in _variants(bundle)}
        _publish(folder, out)
    files = {file.path: file.size for file in bundle.files()}
    rows = tuple(
        Row(name, precision, sum(f.size for f in variant.files), dict(variant.parity))
        for (name, precision), variant in found.items()
    )
    total = sum(files.values()) + (out / MANIFEST).stat().st_size
    seconds = round(time.monotonic() - started, 1)
    return Report(str(out), bundle.manifest.model.revision, total, seconds, rows)


def _variants(bundle: Bundle) -> Iterator[tuple[str, Variant]]:
    for name, component in bundle.manifest.components.items():
        for variant in component.variants:
            yield name, variant


def _complete(checkpoint: Checkpoint) -> Models:
    parts = {
        "planner.safetensors": checkpoint.planner,
        "visualizer.safetensors": checkpoint.visualizer,
        "vae.safetensors": checkpoint.vae,
        TOKENIZER: checkpoint.tokenizer_path,
    }
    missing = [name for name, part in parts.items() if part is None]
    if missing:
        raise ExportError(
            f"{checkpoint.folder}: expected a complete checkpoint, {', '.join(missing)} missing; "
            "export the checkpoint of the last stage"
        )
    assert checkpoint.planner and checkpoint.visualizer and checkpoint.vae
    return Models(checkpoint.planner, checkpoint.visualizer, checkpoint.vae)


def _write(folder: Path, checkpoint: Checkpoint, models: Models, options: Options) -> Bundle:
    """Fills `folder`: graphs, tokenizer, manifest; verified where asked."""
    config, limits = checkpoint.config, options.limits
    interfaces = component_interfaces(
        cache_geometry(config, limits), image_geometry(config, limits)
    )
    assert checkpoint.tokenizer_path is not None
    shutil.copyfile(checkpoint.tokenizer_path, folder / TOKENIZER)
    special = special_tokens(folder / TOKENIZER, config.planner.vocab)
    tokenizer = TokenizerSpec(file_of(folder, TOKENIZER), special)
    variants: dict[str, tuple[Variant, ...]] = {name: () for name in interfaces}
    for precision in options.precisions:
        logger.info("building %s graphs", precision)
        written = build_graphs(models, interfaces, folder / precision, precision)
        for name, paths in written.items():
            files = tuple(file_of(folder, f"{precision}/{path}") for path in paths)
            variants[name] += (variant_of(precision, files, {}),)
    manifest = make_manifest(
        config, revision_of(checkpoint.folder), checkpoint.training, limits, tokenizer, variants
    )
    bundle = write_manifest(folder, manifest)
    if not options.verify:
        return bundle
    logger.info("verifying against PyTorch")
    figures, failures = verify(bundle, models)
    for name, component in manifest.components.items():
        verified = tuple(replace(v, parity=figures[name, v.precision]) for v in component.variants)
        manifest.components[name] = replace(component, variants=verified)
    if failures:
        raise GateError("verification failed, no bundle was written: " + "; ".join(failures))
    return write_manifest(folder, manifest)


def _check_target(out: Path) -> None:
    """Refuses to replace anything but a bundle or an empty folder."""
    if not out.exists():
        return
    if not out.is_dir():
        raise ExportError(f"{out}: expected a folder or nothing, found a file; choose another name")
    if any(out.iterdir()) and not (out / MANIFEST).is_file():
        raise ExportError(f"{out}: a folder with other things in it; choose another or empty it")


@contextmanager
def _beside(out: Path) -> Iterator[Path]:
    """A folder beside `out`, gone afterwards; a failing disk is reported as an `ExportError`."""
    folder: Path | None = None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
        yield folder
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        advice = (
            "the disk is full; free some space" if full else "choose a folder that can be written"
        )
        raise ExportError(f"{out}: not written: {error}; {advice}") from error
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _publish(folder: Path, out: Path) -> None:
    """Gives the complete `folder` the name `out`."""
    folder.chmod(0o755)
    if not out.exists():
        os.rename(folder, out)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{out.name}-old-", dir=out.parent))
    os.rename(out, old)
    try:
        os.rename(folder, out)
    except OSError:
        os.rename(old, out)
        raise
    shutil.rmtree(old, ignore_errors=True)
