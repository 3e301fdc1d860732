"""One export from start to end: checkpoint → graphs → engines → verification → bundle folder.

Everything is written to a hidden folder beside the target, which gets its name when it is complete
and verified. A failure of any kind leaves the target as it was.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from export.assembly import Assembly
from export.errors import ExportError, GateError
from export.graphs import Models
from export.manifest import Limits
from export.report import Report, row_of
from export.session import one_thread
from export.targets import CAPABILITIES, Plan, check_names, make_plan
from runtime.bundle import MANIFEST, read_bundle, write_manifest
from runtime.errors import BundleError
from runtime.interfaces import SMALLEST_CACHE
from training.checkpoint import TOKENIZER, Checkpoint, load_checkpoint, replacing
from training.errors import TrainingError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """What to export. The first precision of a target is the one a runtime takes.

    `calibrate` is a folder of WebDataset shards, None for the storyworld; `samples` is how many
    documents are looked at. `eval_samples` 0 leaves `weft eval` out. `cache` keeps engines between
    exports, None where none is kept; `plugin` is a library whose kernel engines take instead of the
    body of `weft::DPCWAttention`.
    """

    targets: tuple[str, ...] = ("cpu",)
    precisions: tuple[str, ...] = ("int8",)
    verify: bool = True
    limits: Limits = field(default_factory=Limits)
    calibrate: Path | None = None
    samples: int = 4
    eval_samples: int = 0
    capabilities: tuple[str, ...] = CAPABILITIES
    kv: str = "float16"
    cache: Path | None = None
    plugin: Path | None = None

    def __post_init__(self) -> None:
        plan = self.plan
        check_names("compute capability", self.capabilities, CAPABILITIES)
        if "tensorrt-rtx" in self.targets:
            plan.check_engines("tensorrt-rtx", self.capabilities)
        if self.kv not in ("float16", "float8e4m3fn"):
            raise ExportError(f"kv: expected float16 or float8e4m3fn, found {self.kv}")
        limits = self.limits
        if limits.capacity < SMALLEST_CACHE or limits.max_references < 0:
            raise ExportError(
                f"capacity: expected {SMALLEST_CACHE} or more, found {limits.capacity}; "
                f"max references: expected 0 or more, found {limits.max_references}"
            )
        if self.samples < 1 or self.eval_samples < 0:
            raise ExportError(
                f"samples: expected 1 or more, found {self.samples}; eval samples: expected 0 or "
                f"more, found {self.eval_samples}"
            )
        if self.eval_samples and not self.verify:
            raise ExportError(
                "eval: scores are part of the verification, which is switched off; verify, or "
                "leave the scores out"
            )

    @property
    def plan(self) -> Plan:
        """What is made; raises `ExportError` for names that are unknown or do not go together."""
        return make_plan(self.targets, self.precisions)


@one_thread()
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
    with _written(out) as folder:
        assembly = _assemble(folder, loaded, models, options)
        bundle = write_manifest(folder, assembly.manifest(assembly.variants()))
        total = sum(file.size for file in bundle.files()) + (folder / MANIFEST).stat().st_size
        report = Report(
            str(out),
            bundle.manifest.model.revision,
            total,
            round(time.monotonic() - started, 1),
            tuple(row_of(b.component, b.variant, b.seconds, b.reused) for b in assembly.built),
            {name: dict(v.figures) for name, v in assembly.verification.items()},
            tuple(assembly.left_out),
        )
        failures = assembly.failures()
        if failures:
            problems = "; ".join(failures)
            raise GateError(f"verification failed, no bundle was written: {problems}", report)
    return report


def _assemble(folder: Path, loaded: Checkpoint, models: Models, options: Options) -> Assembly:
    """Every variant of every component, in `folder`, verified where asked."""
    assert loaded.tokenizer_path is not None
    shutil.copyfile(loaded.tokenizer_path, folder / TOKENIZER)
    assembly = Assembly(folder, loaded, models, options)
    assembly.choose()
    assembly.write_graphs()
    if options.verify:
        assembly.verify()
    assembly.build_engines()
    if options.verify and options.eval_samples:
        assembly.score()
    return assembly


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


def _check_target(out: Path) -> None:
    """Refuses to replace anything but a bundle with nothing else in it or an empty folder."""
    if not out.exists():
        return
    if not out.is_dir():
        raise ExportError(f"{out}: expected a folder or nothing, found a file; choose another name")
    if not any(out.iterdir()):
        return
    if not (out / MANIFEST).is_file():
        raise ExportError(f"{out}: a folder with other things in it; choose another or empty it")
    if others := _others(out):
        raise ExportError(
            f"{out}: a bundle with other things in it: {', '.join(map(str, others[:3]))}"
            f"{', …' if len(others) > 3 else ''}; move them elsewhere or choose another folder"
        )


def _others(out: Path) -> list[Path]:
    """What stands in the folder of a bundle and is none of it."""
    try:
        files = read_bundle(out).files()
    except (BundleError, OSError) as error:
        raise ExportError(f"{error}; to export to this folder, empty it") from error
    known = {Path(MANIFEST), *(Path(file.path) for file in files)}
    known |= {parent for path in known for parent in path.parents}
    return sorted({path.relative_to(out) for path in out.rglob("*")} - known)


@contextmanager
def _written(out: Path) -> Iterator[Path]:
    """The folder that becomes `out`; a failing disk is reported as an `ExportError`."""
    try:
        with replacing(out) as folder:
            yield folder
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        advice = (
            "the disk is full; free some space" if full else "choose a folder that can be written"
        )
        raise ExportError(f"{out}: not written: {error}; {advice}") from error
