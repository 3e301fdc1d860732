"""`weft train`: runs a recipe, or all of them."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from training.errors import TrainingError


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="weft train", description="Train a stage from a recipe.")
    parser.add_argument("recipe", help="a shipped recipe's name, a .yaml file, or 'all'")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where runs are kept")
    parser.add_argument("--steps", type=int, help="train to this step instead of the recipe's")
    parser.add_argument("--threads", type=int, help="CPU threads for PyTorch")
    parser.add_argument("--json", action="store_true", help="print the result as the last line")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    import torch

    from training import pipeline

    if options.threads:
        torch.set_num_threads(options.threads)
    overrides = {"steps": options.steps} if options.steps else None
    try:
        if options.recipe == "all":
            checkpoint = pipeline.run_all(options.runs)
        else:
            checkpoint = pipeline.run(options.recipe, options.runs, overrides)
    except TrainingError as error:
        print(f"weft train: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps({"checkpoint": str(checkpoint)}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
