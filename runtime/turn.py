"""One turn: the prompt is read, then text and pictures come one after another.

The turn changes its session as it goes and leaves it whole however it ends: what is unfinished when
a deadline passes, the user interrupts or an engine fails is taken back to the last complete text
or picture. The runtime's lock is held for a token or a picture at a time, never across a yield.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from runtime.document import Document, Image, Segment, Text
from runtime.errors import EngineError, Interrupted
from runtime.events import Event, Finished, ImageDone, ImageStarted, TextDelta, ThinkDelta
from runtime.grammar import Mask, Mode, State, forced
from runtime.history import Mark, PlacedPicture
from runtime.illustrate import Commission, illustrate
from runtime.positions import picture_extent, text_positions, vision_positions
from runtime.prompt import GivenPicture
from runtime.request import Request
from runtime.sampling import choose, without_loop
from runtime.stats import PictureStats, Stats, peak_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from runtime.grid import Grid
    from runtime.session import Session


class DeadlinePassed(Exception):
    """Internal: the request's time is over."""


class Turn:
    """A turn of a session that is being generated."""

    def __init__(self, session: Session, request: Request, started: float) -> None:
        self._session, self._request, self._started = session, request, started
        self._runtime, self._planner = session.runtime, session.planner
        self._special = session.runtime.vocabulary.special
        self._state = State()
        self._cut = False
        self._safe: Mark | None = None
        self._segments: list[Segment] = []
        self._text: list[str] = []
        self._plan: list[str] = []
        self._tokens = 0
        self._first_token_s = 0.0
        self._planner_s = 0.0
        self._pictures: list[PictureStats] = []
        self._hits = self._misses = 0

    def events(self) -> Iterator[Event]:
        """Generate; the last event is `Finished`."""
        reason = "stop"
        try:
            with self._counting():
                self._read_prompt()
            yield from self._answer()
            reason = "length" if self._cut or self._state.cut else "stop"
        except DeadlinePassed:
            self._take_back()
            reason = "deadline"
        except KeyboardInterrupt:
            self._take_back()
            raise Interrupted(self.document("interrupted")) from None
        except BaseException:
            self._take_back()
            raise
        yield Finished(self.document(reason))

    def document(self, finish_reason: str) -> Document:
        """What is finished so far."""
        segments = list(self._segments)
        self._close_text(segments)
        model = self._runtime.bundle.manifest.model
        return Document(
            segments=tuple(segments),
            prompt=self._request.text,
            plan="".join(self._plan),
            finish_reason=finish_reason,
            model=f"{model.name} {model.revision}".strip(),
            stats=self._stats(),
        )

    def _stats(self) -> Stats:
        references = self._runtime.references
        memory = self._runtime.memory
        return Stats(
            seed=self._request.seed,
            steps=self._request.steps,
            prompt_tokens=self._request.tokens,
            tokens=self._tokens,
            first_token_s=self._first_token_s,
            planner_s=self._planner_s,
            total_s=time.perf_counter() - self._started,
            cache_hits=self._hits,
            cache_misses=self._misses,
            cache_bytes=memory.planner_bytes + memory.window_bytes + references.bytes,
            peak_bytes=peak_bytes(),
            images=tuple(self._pictures),
        )

    def _read_prompt(self) -> None:
        """Put the user's turn into the planner's sequence; the engine sees it with the first
        token it is asked for."""
        history = self._session.history
        if history.open:
            self._put([self._special.eos])
        history.open = False
        self._put([self._special.user])
        for piece in self._request.pieces:
            if isinstance(piece, GivenPicture):
                self._check_time()
                self._put([self._special.boi])
                features = self._runtime.references.features(piece.pixels)
                self._place(piece.grid, features, pixels=piece.pixels)
            else:
                self._put(list(piece))
        self._put([self._special.assistant])
        self._remember()

    def _answer(self) -> Iterator[Event]:
        decoder = self._runtime.vocabulary.stream()
        dense = range(0)
        while self._state.mode is not Mode.END:
            before = self._state.mode
            token = self._next_token()
            mode = self._state.mode
            if token in (self._special.imagine_open, self._special.think_close):
                yield from self._delta(before, decoder.finish())
            if token == self._special.imagine_open:
                dense = range(self._planner.length, self._planner.length)
            elif mode is Mode.DENSE:
                dense = range(dense.start, self._planner.length)
            elif mode is Mode.DRAW:
                yield from self._draw(dense, self._request.grammar.grid(self._state))
            elif mode in (Mode.TEXT, Mode.THINK):
                yield from self._delta(mode, decoder.push(token))
                if mode is Mode.TEXT:
                    self._remember()
        yield from self._delta(Mode.TEXT, decoder.finish())
        self._remember()

    def _delta(self, mode: Mode, text: str) -> Iterator[Event]:
        if not text:
            return
        if mode is Mode.THINK:
            self._plan.append(text)
            yield ThinkDelta(text)
        else:
            self._text.append(text)
            yield TextDelta(text)

    def _next_token(self) -> int:
        """Decide one token and put it into the sequence (the engine may see it later)."""
        self._check_time()
        started = time.perf_counter()
        room = self._planner.room
        mask = self._request.grammar.allowed(self._state, room)
        with self._runtime.lock:
            token = self._decide(mask)
            self._state = self._request.grammar.advance(self._state, token, room)
            self._put([token])
        self._tokens += 1
        self._planner_s += time.perf_counter() - started
        if self._tokens == 1:
            self._first_token_s = time.perf_counter() - self._started
        return token

    def _decide(self, allowed: Mask) -> int:
        token = forced(allowed)
        if token is not None:
            return token
        logits, request = self._planner.logits(), self._request
        if not np.isfinite(logits).all():
            raise EngineError(
                "planner: expected finite logits, found others; the engine does not fit this "
                "bundle: run `weft verify` on it"
            )
        wanted = int(logits.argmax())
        if self._wants_one_too_many(wanted, allowed):
            self._cut = request.grammar.crowded(self._state, self._planner.room)
            return self._special.eos
        if self._ends_too_early(wanted, allowed):
            if self._state.count:
                return self._special.imagine_open
            allowed = allowed & (np.arange(len(allowed)) != self._special.imagine_open)
        planner = self._planner
        run = planner.tokens[planner.length - self._state.count : planner.length]
        return choose(
            logits,
            without_loop(allowed, run),
            request.temperature,
            request.top_p,
            request.seed,
            self._planner.length,
        )

    def _wants_one_too_many(self, wanted: int, allowed: Mask) -> bool:
        """Whether the planner would begin a picture where none may follow those that are drawn.
        What it writes in its place was never learned, so the turn ends there."""
        begins = wanted == self._special.imagine_open and not allowed[wanted]
        return begins and bool(self._pictures) and bool(allowed[self._special.eos])

    def _ends_too_early(self, wanted: int, allowed: Mask) -> bool:
        """Whether the planner would end where it has promised more pictures. The next one is due
        then, but not without any text before it: it would be the last one again."""
        ends = wanted == self._special.eos and not allowed[wanted]
        return ends and bool(self._pictures) and bool(allowed[self._special.imagine_open])

    def _draw(self, dense: range, grid: Grid) -> Iterator[Event]:
        history, image = self._session.history, self._runtime.bundle.manifest.image
        index = len(self._pictures)
        told = dense[self._request.grammar.counting(self._state) :]
        prompt = self._runtime.vocabulary.decode(list(self._planner.tokens[told])).lstrip()
        self._close_text(self._segments)
        yield ImageStarted(index, grid.pixels(image), prompt)
        dense_end = int(self._planner.positions[dense.stop - 1, 0])
        commission = Commission(
            index, dense, dense_end, grid, self._request.seed, self._request.times
        )
        with self._counting():
            drawing = illustrate(
                self._runtime, self._planner, history.pictures, commission, self._check_time
            )
            self._place(grid, drawing.features, latent=drawing.latent)
            self._state = self._request.grammar.drawn(self._state)
            self._remember()
        self._pictures.append(drawing.stats)
        done = Image(index, drawing.pixels, prompt)
        self._segments.append(done)
        yield ImageDone(done, drawing.stats.total_s)

    @contextmanager
    def _counting(self) -> Iterator[None]:
        """Holds the runtime's lock and counts what of kept references the block uses."""
        with self._runtime.lock:
            counts = self._runtime.references.counts
            hits, misses = counts.hits, counts.misses
            try:
                yield
            finally:
                self._hits += counts.hits - hits
                self._misses += counts.misses - misses

    def _put(self, tokens: list[int]) -> None:
        history = self._session.history
        self._planner.append(tokens, text_positions(history.position, len(tokens)))
        history.position += len(tokens)

    def _place(
        self,
        grid: Grid,
        features: NDArray[np.float32],
        pixels: NDArray[np.uint8] | None = None,
        latent: NDArray[np.float32] | None = None,
    ) -> None:
        """Put a picture's ViT tokens into the sequence and the picture into the history."""
        history, image = self._session.history, self._runtime.bundle.manifest.image
        start = self._planner.append(
            [self._special.image] * len(features),
            vision_positions(grid, history.position, image),
            features,
        )
        slots = range(start, start + len(features))
        history.pictures.append(PlacedPicture(grid, slots, history.position, pixels, latent))
        history.position += picture_extent(grid)

    def _remember(self) -> None:
        """All that stands in the sequence now is complete."""
        self._safe = self._session.mark()

    def _take_back(self) -> None:
        """Leave the session at the last complete text or picture."""
        if self._safe is None:
            self._session.drop_turn()
            return
        self._session.return_to(self._safe)
        self._session.history.open = True

    def _close_text(self, segments: list[Segment]) -> None:
        text = "".join(self._text)
        if segments is self._segments:
            self._text = []
        if text.strip():
            segments.append(Text(text))

    def _check_time(self) -> None:
        limit = self._request.deadline_s
        if limit is not None and time.perf_counter() - self._started > limit:
            raise DeadlinePassed


def consume(
    turn: Turn, events: Generator[Event, None, None], on_event: Callable[[Event], None] | None
) -> Document:
    """Run a turn to its end; raises `Interrupted` with what was finished."""
    document = None
    try:
        with closing(events):
            for event in events:
                if on_event is not None:
                    on_event(event)
                if isinstance(event, Finished):
                    document = event.document
    except Interrupted:
        raise
    except KeyboardInterrupt:
        raise Interrupted(turn.document("interrupted")) from None
    assert document is not None
    return document
