"""Command-line arguments shared by `generate` and `chat`; defaults come from `Options`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Literal

from runtime.options import Options

DEFAULTS = Options()


def add_bundle_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that say which bundle runs, and where."""
    group = parser.add_argument_group("bundle")
    group.add_argument("--bundle", type=Path, help="bundle folder (default: the shipped one)")
    group.add_argument("--device", default="auto", help="auto, cpu, cuda, tensorrt-rtx or tensorrt")
    group.add_argument("--threads", type=int, help="CPU threads (default: all cores)")
    group.add_argument("--max-tokens", type=int, help="planner cache size, in tokens")


def add_option_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `Options` that commands share."""
    group = parser.add_argument_group("generation")
    add = group.add_argument
    add("--max-images", type=int, metavar="N", help="draw at most N pictures")
    add("--size", type=parse_size, default=DEFAULTS.size, metavar="WxH",
        help="size of every picture in pixels, such as 256x256 (default: auto)")  # fmt: skip
    add("--steps", type=int, help="denoising steps (default: the bundle's)")
    add("--seed", type=int, default=DEFAULTS.seed, help="same seed, same document (default: 0)")
    add("--temperature", type=float, help="0 is greedy (default: the bundle's)")
    add("--top-p", type=float, help="nucleus sampling (default: the bundle's)")
    add("--think", action=argparse.BooleanOptionalAction, help="plan before answering, or never")
    add("--deadline", type=float, metavar="S", help="stop after S seconds with what is finished")


def parse_size(text: str) -> Literal["auto"] | tuple[int, int]:
    """ "384x256" as (width, height) in pixels."""
    if text == "auto":
        return "auto"
    width, cross, height = text.lower().partition("x")
    if not (cross and width.isdigit() and height.isdigit()):
        raise argparse.ArgumentTypeError(f"expected auto or WIDTHxHEIGHT, found {text!r}")
    return int(width), int(height)


def options_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Keyword options for `generate`."""
    return {
        "max_images": arguments.max_images,
        "size": arguments.size,
        "steps": arguments.steps,
        "seed": arguments.seed,
        "temperature": arguments.temperature,
        "top_p": arguments.top_p,
        "think": arguments.think,
        "deadline_s": arguments.deadline,
    }
