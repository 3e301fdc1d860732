"""`weft`: finds the sub-command, imports it, and turns errors into messages and exit codes.

| exit code | meaning |
| --- | --- |
| 0 | done |
| 1 | made, but not saved where it was asked to be; `export`, `verify`: refused, or a gate failed |
| 2 | the request, the bundle or an option is wrong, or a package is missing |
| 130 | interrupted |
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from runtime.bundle import RUNTIME_VERSION
from runtime.errors import WeftError


@dataclass(frozen=True)
class Command:
    """A sub-command: its `module:function`, what it does, and the extra its packages come in."""

    target: str
    summary: str
    extra: str = ""


COMMANDS = {
    "generate": Command("runtime.cli.generate:main", "write a document with text and pictures"),
    "chat": Command("runtime.cli.chat:main", "talk: each answer may hold pictures"),
    "inspect": Command("runtime.cli.inspect:main", "show what a bundle holds and check it"),
    "export": Command("export.cli:main", "turn a checkpoint into a bundle", "export"),
    "verify": Command(
        "export.verify_bundle:main", "measure a bundle's graphs against its gates", "export"
    ),
    "train": Command("training.cli:main", "run a training recipe", "training"),
    "eval": Command("benchmarks.cli:evaluate", "score a bundle's documents", "eval"),
    "bench": Command("benchmarks.cli:bench", "measure latency and memory"),
    "data": Command("training.data.cli:main", "build training data", "training"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments:
        print(f"weft: expected a command, found none\n\n{_usage()}", file=sys.stderr)
        return 2
    if arguments[0] in ("-h", "--help", "help"):
        print(_usage())
        return 0
    if arguments[0] in ("-V", "--version"):
        print(f"weft {RUNTIME_VERSION}")
        return 0
    name = arguments.pop(0)
    if name not in COMMANDS:
        print(f"weft: unknown command {name!r}\n\n{_usage()}", file=sys.stderr)
        return 2
    command = COMMANDS[name]
    try:
        module_name, _, function = command.target.partition(":")
        run = getattr(importlib.import_module(module_name), function)
        return int(run(arguments) or 0)
    except KeyboardInterrupt:
        print(f"\nweft {name}: interrupted", file=sys.stderr)
        return _failed(arguments, "Interrupted", "interrupted", 130)
    except ImportError as error:
        if not command.extra and not isinstance(error, WeftError):
            raise
        print(f"weft {name}: {_missing(error, command)}", file=sys.stderr)
        return 2
    except WeftError as error:
        print(f"weft {name}: {error}", file=sys.stderr)
        return _failed(arguments, type(error).__name__, str(error), 2)
    except BrokenPipeError:
        # The reader of our output went away; there is nobody left to tell.
        sys.stderr.close()
        return 1
    except OSError as error:
        if error.filename is None:
            raise
        # A path of the command line that nothing has checked before it was used.
        print(
            f"weft {name}: {error.filename}: {error.strerror}; check the path and its permissions",
            file=sys.stderr,
        )
        return 2


def _failed(arguments: Sequence[str], error: str, message: str, code: int) -> int:
    """The exit code; with `--json` the last line says what happened."""
    if "--json" in arguments:
        print(json.dumps({"error": error, "message": message}))
    return code


def _missing(error: ImportError, command: Command) -> str:
    if isinstance(error, WeftError):
        return str(error)
    what = error.name or str(error)
    extra = f"pip install '.[{command.extra}]'"
    return f"{what!r} is missing; install it with: {extra} in a checkout of weft"


def _usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(
        ["usage: weft COMMAND …", "", *lines, "", "weft COMMAND --help tells more about each."]
    )


if __name__ == "__main__":
    raise SystemExit(main())
