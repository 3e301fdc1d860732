"""What a person sees while a document is made; nothing when nobody watches."""

from __future__ import annotations

import sys
from typing import TextIO

from runtime.document import Document
from runtime.events import Event, Finished, ImageDone, ImageStarted, TextDelta, ThinkDelta

DIM, PLAIN = "\x1b[2m", "\x1b[0m"


class Progress:
    """Writes events to a terminal as they come."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self.on = self._stream.isatty()
        self._fresh = True

    def __call__(self, event: Event) -> None:
        if not self.on:
            return
        if isinstance(event, TextDelta):
            self._write(event.text)
        elif isinstance(event, ThinkDelta):
            self._write(f"{DIM}{event.text}{PLAIN}")
        elif isinstance(event, ImageStarted):
            self._line(f"{DIM}picture {event.index + 1}: {event.prompt}{PLAIN}")
        elif isinstance(event, ImageDone):
            width, height = event.image.size
            self._line(f"{DIM}picture {event.image.index + 1}: {width}x{height}, "
                       f"{event.seconds:.1f} s{PLAIN}\n")  # fmt: skip
        elif isinstance(event, Finished):
            self._line("")

    def _line(self, text: str) -> None:
        self._write(("" if self._fresh else "\n") + text + ("\n" if text else ""))

    def _write(self, text: str) -> None:
        if text:
            self._stream.write(text)
            self._stream.flush()
            self._fresh = text.endswith(("\n", f"\n{PLAIN}"))


def timing_table(document: Document) -> str:
    """How long each part took."""
    stats = document.stats
    rows = [("first word", stats.first_token_s, f"prompt of {stats.prompt_tokens} tokens")]
    rows.append(("planner", stats.planner_s, f"{stats.tokens} tokens"))
    for number, picture in enumerate(stats.images, 1):
        parts = {
            "denoise": picture.denoise_s,
            "decode": picture.decode_s,
            "references": picture.commit_s,
            "window": picture.window_s,
            "vision": picture.vision_s,
        }
        detail = ", ".join(f"{name} {seconds:.2f}" for name, seconds in parts.items())
        rows.append((f"picture {number}", picture.total_s, detail))
    peak = f", peak memory {stats.peak_bytes / 2**20:.0f} MiB" if stats.peak_bytes else ""
    rows.append(("total", stats.total_s, f"{document.finish_reason}{peak}"))
    return "\n".join(f"{name:<11} {seconds:7.2f} s   {detail}" for name, seconds, detail in rows)
