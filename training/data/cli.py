"""`weft data`: builds shards of storyworld documents, or shows what shards hold."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from training.data.reading import load
from training.data.writing import BuildConfig, build
from training.errors import TrainingError


def main(argv: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    try:
        result = options.run(options)
    except TrainingError as error:
        print(f"weft data: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(result))
    else:
        print("\n".join(f"{name}: {value}" for name, value in result.items()))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="weft data", description="Training data.")
    commands = parser.add_subparsers(required=True, metavar="build | inspect")
    make = commands.add_parser("build", help="write storyworld documents as WebDataset shards")
    make.set_defaults(run=_build)
    make.add_argument("out", type=Path, help="the folder for the shards")
    make.add_argument("--count", type=int, default=1000, help="documents in all")
    make.add_argument("--seed", type=int, default=0)
    make.add_argument("--shard-size", type=int, default=500, help="documents per shard")
    make.add_argument("--held-out", action="store_true", help="only held-out characters")
    make.add_argument("--tasks", nargs="*", default=(), help="only these tasks, in turn")
    make.add_argument("--workers", type=int, default=1, help="processes")
    look = commands.add_parser("inspect", help="read shards and count what they hold")
    look.set_defaults(run=_inspect)
    look.add_argument("shards", type=Path, help="a shard, or a folder of shards")
    for command in (make, look):
        command.add_argument("--json", action="store_true", help="one line of JSON")
    return parser


def _build(options: argparse.Namespace) -> dict[str, object]:
    config = BuildConfig(
        options.out, options.count, options.seed, options.shard_size, options.held_out,
        tuple(options.tasks), options.workers,
    )  # fmt: skip
    shards = build(config)
    size = sum(path.stat().st_size for path in shards)
    return {"out": str(options.out), "documents": options.count, "shards": len(shards),
            "bytes": size}  # fmt: skip


def _inspect(options: argparse.Namespace) -> dict[str, object]:
    tasks: Counter[str] = Counter()
    pictures = 0
    for sample in load(options.shards):
        tasks[sample.document.task] += 1
        pictures += len(sample.images)
    return {"documents": tasks.total(), "pictures": pictures, "tasks": dict(tasks)}


if __name__ == "__main__":
    raise SystemExit(main())
