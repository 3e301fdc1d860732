"""`weft verify`: every graph of a bundle against float32, as it was verified when it was exported.

    weft verify BUNDLE [--calibrate DATA] [--samples N] [--report FILE] [--json]

Digests are checked first. The reference is PyTorch with the bundle's own weights, those of its
most exact graphs: a bundle that holds only int8 weights is compared with these in float32, so its
figures are those of the arithmetic. Engines are not run here: their gates were set on their graphs.
Exits with 0 only when every gate of the manifest holds.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from export.errors import ExportError
from export.report import check_report, write_json
from runtime.bundle import Bundle, Variant, read_bundle
from runtime.errors import WeftError
from runtime.interfaces import Interface
from runtime.variants import failed_gates


@dataclass(frozen=True)
class Check:
    """A variant that was measured again, or, where `ran` is false, only its recorded figures."""

    component: str
    backend: str
    precision: str
    compute_capability: str
    ran: bool
    figures: dict[str, float]
    failures: tuple[str, ...]
    seconds: float


def verify_bundle(
    folder: Path, samples: int = 2, calibrate: Path | None = None, config: str | None = None
) -> list[Check]:
    """A check of every variant; raises `WeftError` where the bundle cannot be measured."""
    from export.restore import restored_models
    from export.samples import make_examples, storyworld_documents, user_documents
    from export.verify_subject import Subject

    if samples < 1:
        raise ExportError(f"samples: expected 1 or more, found {samples}")
    bundle = read_bundle(folder, verify=True)
    manifest = bundle.manifest
    models = restored_models(bundle, config)
    if calibrate is None:
        documents = storyworld_documents(samples, held_out=True)
    else:
        documents = user_documents(calibrate, samples, manifest.image.max_tokens)
    tokenizer = bundle.path(manifest.tokenizer.file)
    examples = make_examples(models, tokenizer, documents, manifest.cache.max_references)
    times = manifest.schedule.steps[str(manifest.schedule.default_steps)]
    subject = Subject(models, times, tuple(examples))
    return [
        _check(bundle, name, variant, subject)
        for name, component in manifest.components.items()
        for variant in component.variants
    ]


def _check(bundle: Bundle, name: str, variant: Variant, subject: object) -> Check:
    from export.verify import figures_of
    from export.verify_subject import Subject

    assert isinstance(subject, Subject)
    started = time.perf_counter()
    ran = variant.engine == "onnxruntime"
    figures = dict(variant.parity)
    if ran:
        component = bundle.manifest.components[name]
        interface = Interface(component.inputs, component.outputs, component.state)
        graph = bundle.path(variant.files[0])
        figures = figures_of(name, graph, interface, subject, variant.kv_scale)
    return Check(
        name,
        variant.backend,
        variant.precision,
        variant.compute_capability,
        ran,
        figures,
        tuple(failed_gates(figures, variant.gates)),
        round(time.perf_counter() - started, 2),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    parser = argparse.ArgumentParser(
        prog="weft verify", description="Measure every graph of a bundle against its gates."
    )
    add = parser.add_argument
    add("bundle", type=Path, help="bundle folder")
    add("--calibrate", type=Path, metavar="DATA", help="WebDataset shards (default: storyworld)")
    add("--samples", type=int, default=2, metavar="N", help="documents looked at (default 2)")
    add("--config", metavar="NAME", help="configuration of a bundle without its own")
    add("--report", type=Path, metavar="FILE", help="write the result as JSON")
    add("--json", action="store_true", help="print the result as the last line")
    arguments = parser.parse_args(argv)
    try:
        check_report(arguments.report)
        checks = verify_bundle(
            arguments.bundle, arguments.samples, arguments.calibrate, arguments.config
        )
        _report(checks, arguments)
    except WeftError as error:
        print(f"weft verify: {error}", file=sys.stderr)
        if arguments.json:
            print(json.dumps({"error": type(error).__name__, "message": str(error)}))
        return 1
    return int(any(check.failures for check in checks))


def _report(checks: list[Check], arguments: argparse.Namespace) -> None:
    for check in checks:
        name = f"{check.backend} {check.precision} {check.compute_capability}".strip()
        figures = "  ".join(f"{figure} {value:.4g}" for figure, value in check.figures.items())
        state = "FAILED" if check.failures else "ok" if check.ran else "as exported"
        print(f"{check.component:<11} {name:<24} {state:<11} {figures}")
        for sentence in check.failures:
            print(f"  {sentence}")
    data = {"checks": [asdict(check) for check in checks]}
    write_json(data, arguments.report, arguments.json)


if __name__ == "__main__":
    raise SystemExit(main())
