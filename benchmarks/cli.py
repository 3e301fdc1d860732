"""`weft eval` and `weft bench`: arguments in, a table and JSON out."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import runtime
from runtime import OutputError, WeftError


def evaluate(argv: Sequence[str] | None = None) -> int:
    """`weft eval`; the exit code."""
    from benchmarks.quality.run import run_suites
    from benchmarks.quality.suites import SUITES, USUAL

    parser = argparse.ArgumentParser(
        prog="weft eval",
        description="Score a bundle: held-out prompts are generated and the pictures read back.",
    )
    _add_common(parser)
    add = parser.add_argument
    add("--samples", type=_positive, default=40, metavar="N",
        help="prompts for one picture; other suites take a share (default: 40)")  # fmt: skip
    add("--suite", type=_suites(tuple(SUITES)), default=USUAL, metavar="A,B",
        help=f"any of {','.join(SUITES)}, or all (default: {','.join(USUAL)})")  # fmt: skip
    add("--jobs", type=_positive, metavar="N", help="processes that read (default: all cores)")
    add("--no-ceiling", action="store_true", help="do not read true renders beside")
    add("--no-cache", action="store_true", help="do not remember readings")
    arguments = parser.parse_args(argv)
    return _guarded(lambda: run_suites(arguments, _load(arguments), _say), arguments, "eval")


def bench(argv: Sequence[str] | None = None) -> int:
    """`weft bench`; the exit code."""
    from benchmarks.latency import run_bench

    parser = argparse.ArgumentParser(
        prog="weft bench", description="Measure a bundle's latency and memory."
    )
    _add_common(parser)
    add = parser.add_argument
    add("--repeats", type=_positive, default=5, metavar="N", help="documents (default: 5)")
    add("--warmup", type=_natural, default=1, metavar="N", help="unmeasured first (default: 1)")
    arguments = parser.parse_args(argv)

    def measure() -> tuple[str, dict[str, Any]]:
        started = time.perf_counter()
        loaded = _load(arguments)
        loaded.prewarm()
        return run_bench(arguments, loaded, time.perf_counter() - started, _say)

    return _guarded(measure, arguments, "bench")


def _add_common(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("bundle", nargs="?", type=Path, help="bundle folder (default: the shipped one)")
    add("--steps", type=_positive, help="denoising steps (default: the bundle's)")
    add("--seed", type=_natural, default=0, help="seed of the first sample (default: 0)")
    add("--threads", type=_positive, help="CPU threads (default: all cores)")
    add("--device", default="auto", help="auto, cpu, cuda, tensorrt-rtx or tensorrt")
    add("--out", type=Path, metavar="FOLDER", help="also write the JSON and the sheets there")
    add("--json", action="store_true", help="print the result as the last line")


def _load(arguments: argparse.Namespace) -> runtime.Runtime:
    return runtime.load(arguments.bundle, device=arguments.device, threads=arguments.threads)


def _guarded(
    work: Callable[[], tuple[str, dict[str, Any]]], arguments: argparse.Namespace, name: str
) -> int:
    """Print what `work` gives: a text, and data for JSON."""
    try:
        if arguments.out is not None and arguments.out.is_file():
            raise OutputError(f"{arguments.out}: expected a folder, found a file; name another")
        text, data = work()
        if arguments.out is not None:
            path = _write(arguments.out, name, data)
            text += f"\n{path}"
    except WeftError as error:
        if arguments.json:
            print(json.dumps({"error": type(error).__name__, "message": str(error)}))
        print(f"weft {name}: {error}", file=sys.stderr)
        return 2
    print(text)
    if arguments.json:
        print(json.dumps(data))
    return 0


def _write(folder: Path, name: str, data: dict[str, Any]) -> Path:
    path = folder / f"{name}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise runtime.OutputError(f"{path}: cannot write the result: {error}") from error
    return path


def _say(text: str) -> None:
    """Progress, on a terminal only."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _positive(text: str) -> int:
    number = _natural(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number, 1 or more, found {text!r}")
    return number


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number, 0 or more, found {text!r}")
    return int(text)


def _suites(known: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    """Suites by name, separated by commas; "all" is every one."""

    def parse(text: str) -> tuple[str, ...]:
        if text == "all":
            return tuple(known)
        names = tuple(dict.fromkeys(text.split(",")))
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(
                    f"expected any of {','.join(known)}, or all, found {name!r}"
                )
        return names

    return parse
