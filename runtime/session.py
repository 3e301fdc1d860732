"""A session: one conversation with its own planner cache.

Turns follow one another in the same cache; pictures of earlier turns are references of later ones.
The session can go back by whole turns, and `runtime.archive` saves and restores it.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.document import Document
from runtime.errors import SessionError
from runtime.events import Event
from runtime.history import History, Mark
from runtime.options import Options, parse_options
from runtime.planner import Planner
from runtime.request import make_request
from runtime.turn import Turn, consume

if TYPE_CHECKING:
    from typing import Unpack

    from runtime.loading import Runtime
    from runtime.options import GenerateOptions
    from runtime.prompt import Prompt


class Session:
    """One conversation. Use it from one thread at a time; several sessions may interleave."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.planner = Planner(
            runtime.engines["planner"],
            runtime.bundle.manifest.cache,
            runtime.memory.max_tokens,
            runtime.reuse.planner_kv,
        )
        self.history = History()
        self._busy = False

    @property
    def turns(self) -> int:
        """How many turns the session holds."""
        return len(self.history.turns)

    def generate(self, prompt: Prompt, **options: Unpack[GenerateOptions]) -> Document:
        """Answer the prompt; see `runtime.options.Options`.

        Raises `PromptError`, `OptionError` or `CapacityError` before any work, and `Interrupted`
        (with the document so far) on Ctrl-C.
        """
        turn, parsed = self._begin(prompt, dict(options))
        return consume(turn, self._run(turn), parsed.on_event)

    def stream(self, prompt: Prompt, **options: Unpack[GenerateOptions]) -> Iterator[Event]:
        """Like `generate`, as events; closing the iterator early takes back what is unfinished.

        The prompt and the options are checked now and time counts from now; work starts with the
        first event asked for.
        """
        turn, parsed = self._begin(prompt, dict(options))
        return self._watched(self._run(turn), parsed)

    def rewind(self, turns: int = 1) -> None:
        """Forget the last turns, their pictures included."""
        self._check_idle()
        if not self.turns:
            raise SessionError("rewind: expected a session with a turn to take back, found none")
        if type(turns) is not int or not 1 <= turns <= self.turns:
            raise SessionError(f"rewind: expected 1 to {self.turns} turns, found {turns!r}")
        for _ in range(turns):
            self.drop_turn()

    def save(self, folder: str | Path) -> Path:
        """Write the session to a folder; `Runtime.restore` brings it back bit for bit."""
        from runtime.archive import save_session

        self._check_idle()
        return save_session(self, Path(folder))

    def tag_choices(self, seed: int) -> list[bool]:
        """How well the planner knows the token format: for every tag of the last answer, and every
        other place where it would have broken the format, whether it keeps to it when it may
        choose from all tokens, at the bundle's temperature. `seed` is that of the answer.

        Every token of the answer is run again; the session is left as it was.
        """
        from runtime.conformance import tag_choices

        self._check_idle()
        if not self.turns:
            raise SessionError("tag_choices: expected a session with an answer, found none")
        with self.runtime.lock:
            return tag_choices(self, seed)

    def mark(self) -> Mark:
        """The present place."""
        history = self.history
        return Mark(self.planner.length, history.position, len(history.pictures), history.open)

    def return_to(self, mark: Mark) -> None:
        """Forget everything after a mark."""
        self.planner.rewind(mark.length)
        self.history.position = mark.position
        del self.history.pictures[mark.pictures :]
        self.history.open = mark.open

    def drop_turn(self) -> None:
        """Forget the last turn."""
        self.return_to(self.history.turns.pop())

    def _begin(self, prompt: Prompt, options: dict[str, Any]) -> tuple[Turn, Options]:
        started = time.perf_counter()
        self._check_idle()
        parsed = parse_options(options)
        request = make_request(
            prompt,
            parsed,
            self.runtime.bundle.manifest,
            self.runtime.vocabulary,
            self.runtime.alphabet,
            self.runtime.countdown,
            self.runtime.grids,
            self.planner.room,
            self.runtime.memory.max_references,
        )
        return Turn(self, request, started), parsed

    def _run(self, turn: Turn) -> Generator[Event, None, None]:
        self._check_idle()
        try:
            self._busy = True
            self.history.turns.append(self.mark())
            yield from turn.events()
        finally:
            self._busy = False

    def _watched(self, events: Generator[Event, None, None], options: Options) -> Iterator[Event]:
        with closing(events):
            for event in events:
                if options.on_event is not None:
                    options.on_event(event)
                yield event

    def _check_idle(self) -> None:
        if self._busy:
            raise SessionError(
                "the session is still answering; finish or close that stream first, or open "
                "another session"
            )
