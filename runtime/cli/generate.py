"""`weft generate`: one document from a prompt."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runtime.cli.arguments import add_bundle_arguments, add_option_arguments, options_of
from runtime.cli.progress import Progress, timing_table
from runtime.cli.saving import save_all
from runtime.document import Document
from runtime.errors import Interrupted, OptionError
from runtime.loading import load
from runtime.writers import check_output

COMMAND = "weft generate"
DEFAULT_OUTPUT = Path("out")


def main(argv: Sequence[str]) -> int:
    """Run the command; the exit code."""
    arguments = _parser().parse_args(argv)
    if arguments.verbose:
        logging.basicConfig(level=logging.DEBUG, format="%(name)s %(message)s")
    return _run(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=COMMAND, description="Write a document in which text and pictures alternate."
    )
    parser.add_argument("prompt", help="what to make; - reads it from standard input")
    parser.add_argument("-i", "--image", type=Path, action="append", default=[], metavar="FILE",
                        help="a picture to put before the prompt (may be repeated)")  # fmt: skip
    parser.add_argument("-o", "--output", type=Path, action="append", metavar="PATH",
                        help="x.html, x.md or a folder for everything (may be repeated; "
                             "default: out)")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the result as the last line")
    parser.add_argument("-v", "--verbose", action="store_true", help="log what happens")
    add_option_arguments(parser)
    add_bundle_arguments(parser)
    return parser


def _run(arguments: argparse.Namespace) -> int:
    outputs = arguments.output or [DEFAULT_OUTPUT]
    for output in outputs:
        check_output(output)
    runtime = load(
        arguments.bundle,
        device=arguments.device,
        threads=arguments.threads,
        max_tokens=arguments.max_tokens,
    )
    options: dict[str, Any] = options_of(arguments)
    options |= {"references": arguments.image, "on_event": Progress()}
    code = 0
    try:
        document = runtime.generate(_prompt(arguments.prompt), **options)
    except Interrupted as stop:
        if not stop.document.segments:
            raise
        print(f"\n{COMMAND}: interrupted", file=sys.stderr)
        document, code = stop.document, 130
    files, saved = save_all(document, outputs, COMMAND)
    _report(document, files, arguments.json)
    return code or (0 if saved else 1)


def _prompt(text: str) -> str:
    if text != "-":
        return text
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        raise OptionError(f"prompt: expected text on standard input: {error}") from error


def _report(document: Document, files: Sequence[Path], as_json: bool) -> None:
    for file in files:
        print(file)
    print(timing_table(document))
    if as_json:
        result = {
            "files": [str(file) for file in files],
            "finish_reason": document.finish_reason,
            "images": len(document.images),
            "digest": document.digest(),
            "model": document.model,
            "stats": document.stats.to_dict(),
        }
        print(json.dumps(result))
