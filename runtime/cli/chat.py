"""`weft chat`: a conversation in the terminal; every answer is saved as it is finished."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from runtime.cli.arguments import add_bundle_arguments, add_option_arguments, options_of
from runtime.cli.progress import Progress
from runtime.cli.saving import save_all
from runtime.document import Document, Text
from runtime.errors import Interrupted, OptionError, PictureError, WeftError
from runtime.loading import load
from runtime.session import Session
from runtime.writers import check_folder

COMMAND = "weft chat"
HELP = """\
Type what you want. Commands:
  /image FILE   show a picture with the next message
  /rewind       take the last turn back
  /help         this text
  /quit         leave (or Ctrl-D)"""


def main(argv: Sequence[str]) -> int:
    """Run the command; the exit code."""
    parser = argparse.ArgumentParser(prog=COMMAND, description="Talk; answers may hold pictures.")
    parser.add_argument("-o", "--output", type=Path, default=Path("out/chat"), metavar="FOLDER",
                        help="where answers are saved (default: out/chat)")  # fmt: skip
    parser.add_argument("--session", type=Path, metavar="FOLDER",
                        help="continue a saved session, and save it on leaving")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the result as the last line")
    add_option_arguments(parser)
    add_bundle_arguments(parser)
    arguments = parser.parse_args(argv)
    kept = arguments.session
    for folder in (arguments.output, kept):
        if folder is not None:
            check_folder(folder)
    runtime = load(
        arguments.bundle,
        device=arguments.device,
        threads=arguments.threads,
        max_tokens=arguments.max_tokens,
    )
    restored = kept is not None and kept.exists()
    session = runtime.restore(kept) if restored else runtime.session()
    chat = Chat(session, arguments)
    try:
        chat.run()
    finally:
        if kept is not None:
            print(f"session saved to {session.save(kept)}", file=sys.stderr)
    if arguments.json:
        print(json.dumps({"turns": session.turns, "files": [str(file) for file in chat.files]}))
    return 0 if chat.saved else 1


class Chat:
    """The read–answer loop."""

    def __init__(self, session: Session, arguments: argparse.Namespace) -> None:
        self._session = session
        self._options = options_of(arguments)
        self._folder: Path = arguments.output
        self._images: list[Path] = []
        self.files: list[Path] = []
        self.saved = True
        """Whether every answer went where it should."""
        self._interactive = sys.stdin.isatty()

    def run(self) -> None:
        """Reads lines until /quit or the end of the input."""
        if self._interactive:
            print(HELP, file=sys.stderr)
        while True:
            try:
                line = input("> " if self._interactive else "").strip()
            except EOFError:
                return
            except UnicodeDecodeError as error:
                raise OptionError(f"expected text on standard input: {error}") from error
            if line in ("/quit", "/exit"):
                return
            try:
                self._handle(line)
            except WeftError as error:
                print(f"{COMMAND}: {error}", file=sys.stderr)

    def _handle(self, line: str) -> None:
        if line == "/help":
            print(HELP, file=sys.stderr)
        elif line == "/rewind":
            self._session.rewind()
            print(f"{self._session.turns} turn(s) left", file=sys.stderr)
        elif line.split()[:1] == ["/image"]:
            self._images += map(Path, _file_names(line))
        elif line.startswith("/"):
            print(f"unknown command {line.split()[0]!r}\n{HELP}", file=sys.stderr)
        elif line:
            self._answer(line)

    def _answer(self, line: str) -> None:
        progress = Progress()
        images, self._images = self._images, []
        try:
            document = self._session.generate(
                line, references=images, on_event=progress, **self._options
            )
        except Interrupted as stop:
            print(f"\n{COMMAND}: interrupted", file=sys.stderr)
            document = stop.document
        except WeftError as error:
            # Pictures that are not to blame wait for the next message.
            self._images = [] if isinstance(error, PictureError) else images
            raise
        folder = self._folder / f"turn-{self._session.turns}"
        files, saved = save_all(document, [folder], COMMAND) if document.segments else ([], True)
        self.files += files
        self.saved &= saved
        _show(document, files, quiet=progress.on)


def _show(document: Document, files: Sequence[Path], quiet: bool) -> None:
    if not quiet:
        for segment in document.segments:
            shown = segment.text.strip() if isinstance(segment, Text) else f"[{segment.prompt}]"
            print(shown)
    for file in files:
        if file.suffix in (".html", ".png"):
            print(file)


def _file_names(line: str) -> list[str]:
    """What follows `/image`; names with spaces or apostrophes stand in double quotes."""
    try:
        return shlex.split(line)[1:]
    except ValueError as error:
        raise OptionError(
            f"/image: expected file names, found {line!r} ({error}); put a name with spaces or "
            "apostrophes in double quotes"
        ) from error
