"""`weft export`: a checkpoint to a verified bundle, or with `--restore` a bundle to a checkpoint.

It exits with 0 only when every gate held.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from runtime.errors import WeftError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if (arguments.checkpoint is None) == (arguments.restore is None):
        parser.error("expected either a checkpoint to export or --restore BUNDLE")
    if arguments.config is not None and arguments.restore is None:
        parser.error("--config goes with --restore; a checkpoint holds its own")
    logging.basicConfig(
        level=logging.INFO if sys.stderr.isatty() and not arguments.quiet else logging.WARNING,
        format="%(message)s",
    )
    try:
        (_export if arguments.restore is None else _restore)(arguments)
    except WeftError as error:
        print(f"weft export: {error}", file=sys.stderr)
        if arguments.json:
            print(json.dumps({"error": str(error)}))
        return 1
    return 0


def _restore(arguments: argparse.Namespace) -> None:
    from export.restore import restore_checkpoint

    folder = restore_checkpoint(arguments.restore, arguments.output, arguments.config)
    print(f"{folder}: checkpoint of {arguments.restore}")
    if arguments.json:
        print(json.dumps({"checkpoint": str(folder)}))


def _export(arguments: argparse.Namespace) -> None:
    from export.manifest import Limits
    from export.pipeline import Options, export_bundle

    options = Options(
        targets=_names(arguments.target),
        precisions=_names(arguments.precision),
        verify=arguments.verify,
        limits=Limits(capacity=arguments.capacity, max_references=arguments.max_references),
    )
    report = export_bundle(arguments.checkpoint, arguments.output, options)
    for row in report.rows:
        figures = "  ".join(f"{name} {value:.1e}" for name, value in row.parity.items())
        print(f"{row.component:<11} {row.precision:<5} {row.bytes / 1e6:7.2f} MB  {figures}")
    print(f"{report.bundle}: {report.bytes / 1e6:.2f} MB in {report.seconds:.1f} s")
    if arguments.json:
        print(json.dumps(asdict(report)))


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="weft export", description="Turn a checkpoint into a verified bundle, or back."
    )
    parser.add_argument("checkpoint", type=Path, nargs="?", help="folder of a complete checkpoint")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="folder to write: a bundle or checkpoint"
    )
    parser.add_argument(
        "--restore", type=Path, metavar="BUNDLE", help="write the checkpoint of this bundle instead"
    )
    parser.add_argument(
        "--config", metavar="NAME", help="with --restore: configuration of a bundle without its own"
    )
    parser.add_argument("--target", default="cpu", help="comma-separated targets: cpu")
    parser.add_argument(
        "--precision", default="w8", help="comma-separated, preferred first: fp32, w8"
    )
    parser.add_argument(
        "--verify",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="compare every component with PyTorch (default) or do not",
    )
    parser.add_argument(
        "--capacity", type=int, default=4096, help="planner cache slots (default 4096)"
    )
    parser.add_argument(
        "--max-references", type=int, default=3, help="pictures in a window (default 3)"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress")
    parser.add_argument("--json", action="store_true", help="print the result as the last line")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
