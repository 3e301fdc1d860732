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
            print(json.dumps({"error": type(error).__name__, "message": str(error)}))
        return 1
    return 0


def _restore(arguments: argparse.Namespace) -> None:
    from export.restore import restore_checkpoint

    folder = restore_checkpoint(arguments.restore, arguments.output, arguments.config)
    print(f"{folder}: checkpoint of {arguments.restore}")
    if arguments.json:
        print(json.dumps({"checkpoint": str(folder)}))


def _export(arguments: argparse.Namespace) -> None:
    from export.errors import GateError
    from export.manifest import Limits
    from export.pipeline import Options, export_bundle
    from export.report import check_report, table, write_json

    options = Options(
        targets=_names(arguments.target),
        precisions=_names(arguments.precision),
        verify=arguments.verify,
        limits=Limits(capacity=arguments.capacity, max_references=arguments.max_references),
        calibrate=arguments.calibrate,
        samples=arguments.samples,
        eval_samples=arguments.eval,
        capabilities=_names(arguments.compute_capability),
        kv=arguments.kv,
        cache=arguments.cache,
        plugin=arguments.plugin,
    )
    check_report(arguments.report)
    try:
        report = export_bundle(arguments.checkpoint, arguments.output, options)
    except GateError as error:
        print(table(error.report))
        write_json(asdict(error.report), arguments.report, False)
        raise
    print(table(report))
    write_json(asdict(report), arguments.report, arguments.json)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="weft export", description="Turn a checkpoint into a verified bundle, or back."
    )
    add = parser.add_argument
    add("checkpoint", type=Path, nargs="?", help="folder of a complete checkpoint")
    add("-o", "--output", type=Path, required=True, help="folder to write: a bundle or checkpoint")
    add("--restore", type=Path, metavar="BUNDLE",
        help="write the checkpoint of this bundle instead")  # fmt: skip
    add("--config", metavar="NAME",
        help="with --restore: configuration of a bundle without its own")  # fmt: skip
    add("--target", default="cpu",
        help="comma-separated, preferred first: cpu, cuda, tensorrt-rtx, tensorrt")  # fmt: skip
    add("--precision", default="int8",
        help="comma-separated, preferred first: fp32, w8, int8 (cpu), fp32, fp16 (cuda), "
             "fp16, fp8 (tensorrt-rtx, tensorrt)")  # fmt: skip
    add("--calibrate", type=Path, metavar="DATA",
        help="WebDataset shards to calibrate and verify on (default: storyworld)")  # fmt: skip
    add("--samples", type=int, default=4, metavar="N", help="documents looked at (default 4)")
    add("--verify", action=argparse.BooleanOptionalAction, default=True,
        help="compare every component with PyTorch (default) or do not")  # fmt: skip
    add("--eval", type=int, default=0, metavar="N",
        help="also score every precision but fp16 with weft eval on N prompts, against "
             "fp32")  # fmt: skip
    add("--compute-capability", default="8.6,8.9,12.0,12.1", metavar="CC",
        help="of tensorrt-rtx engines, fp8 from 8.9 on "
             "(default: RTX 30, 40, 50 and GB10)")  # fmt: skip
    add("--kv", default="float16", choices=("float16", "float8e4m3fn"),
        help="keys and values of fp8 variants")  # fmt: skip
    add("--cache", type=Path, metavar="FOLDER", help="keep engines here and use them again")
    add("--plugin", type=Path, metavar="LIBRARY",
        help="TensorRT plugin with weft::DPCWAttention that engines call; running them needs "
             "the same file")  # fmt: skip
    add("--capacity", type=int, default=4096, help="planner cache slots (default 4096)")
    add("--max-references", type=int, default=9, help="pictures in a window (default 9)")
    add("--report", type=Path, metavar="FILE", help="write the report as JSON")
    add("--quiet", action="store_true", help="no progress")
    add("--json", action="store_true", help="print the result as the last line")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
