"""The shortest way in: one call from prompt to document.

The bundle stays loaded for the next call (`runtime.kept`); who wants to decide how long keeps what
`runtime.load` returns.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.document import Document
from runtime.events import Event
from runtime.kept import KEPT

if TYPE_CHECKING:
    from typing import Unpack

    from runtime.options import GenerateOptions
    from runtime.prompt import Prompt


def generate(
    prompt: Prompt,
    *,
    bundle: str | Path | None = None,
    device: str = "auto",
    **options: Unpack[GenerateOptions],
) -> Document:
    """A document from a prompt.

    `prompt` is a string, or a list of strings and pictures (path, PIL image or uint8 array
    [H, W, 3 or 4]). `bundle` is a folder (default: the shipped `storybook`), `device` "auto",
    "cpu", "cuda", "tensorrt-rtx" or "tensorrt" (see `runtime.load`). Further options: max_images,
    size, steps, seed, temperature, top_p, think, references, deadline_s, on_event; see
    `runtime.Options`. Raises `WeftError`s that say what to do.
    """
    return KEPT.get(bundle, device).generate(prompt, **options)


def stream(
    prompt: Prompt,
    *,
    bundle: str | Path | None = None,
    device: str = "auto",
    **options: Unpack[GenerateOptions],
) -> Iterator[Event]:
    """The same, as events: `TextDelta`, `ImageStarted`, `ImageDone`, …, `Finished`."""
    return KEPT.get(bundle, device).stream(prompt, **options)
