"""`weft train`: runs a recipe, or all of them."""

from __future__ import annotations

import argparse
import ctypes
import json
import logging
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training.errors import TrainingError


def keep_memory() -> None:
    """Asks glibc to keep freed memory: giving large blocks back and faulting them in again costs a
    training step on a CPU a sixth of its time. Other C libraries are left as they are."""
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(-4, 0)  # M_MMAP_MAX
    libc.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD
    libc.mallopt(-2, 256 << 20)  # M_TOP_PAD


def _parse(text: str) -> tuple[str, Any]:
    """The key and the value, read as YAML, of "KEY=VALUE"."""
    import yaml

    key, equals, value = text.partition("=")
    if not key or not equals:
        raise TrainingError(f"--set {text!r}: expected KEY=VALUE, such as loop.rate=0.0005")
    try:
        return key, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise TrainingError(f"--set {text!r}: the value is not YAML: {error}") from error


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="weft train", description="Train a stage from a recipe.")
    parser.add_argument("recipe", help="a shipped recipe's name, a .yaml file, or 'all'")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where runs are kept")
    parser.add_argument(
        "--data", type=Path, metavar="FOLDER",
        help="WebDataset shards to learn from in place of the storyworld",
    )  # fmt: skip
    parser.add_argument("--steps", type=int, help="train to this step instead of the recipe's")
    parser.add_argument("--threads", type=int, help="CPU threads for PyTorch")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="values",
        help="replace a recipe's value, such as loop.rate=0.0005; may be repeated",
    )  # fmt: skip
    parser.add_argument("--workers", type=int, help="processes that make the data")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    parser.add_argument("--json", action="store_true", help="print the result as the last line")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    keep_memory()
    import torch

    from training import pipeline
    from training.device import choose_device
    from training.workers import Workers

    given = {"loop.steps": options.steps, "loop.workers": options.workers}
    overrides = {name: value for name, value in given.items() if value is not None}
    try:
        if options.threads is not None:
            if options.threads < 1:
                raise TrainingError(f"--threads: expected 1 or more, found {options.threads}")
            torch.set_num_threads(options.threads)
        overrides |= dict(_parse(text) for text in options.values)
        device = choose_device(options.device)
        if options.recipe == "all":
            checkpoint = pipeline.run_all(options.runs, overrides, device, options.data)
        else:
            checkpoint = pipeline.run(options.recipe, options.runs, overrides, device, options.data)
        Workers.join().leave()
    except TrainingError as error:
        print(f"weft train: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps({"checkpoint": str(checkpoint)}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
