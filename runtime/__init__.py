"""Weft's runtime: a prompt becomes a document in which text and pictures alternate.

```python
import runtime

document = runtime.generate("Tell an illustrated story about a red fox.", seed=7)
document.save("story.html")
```

Importing this package loads the standard library and numpy only; the tokenizer, Pillow and the
engines are imported when they are needed.
"""

from __future__ import annotations

from runtime.api import generate, stream
from runtime.bundle import RUNTIME_VERSION as __version__
from runtime.document import Document, Image, Segment, Text
from runtime.errors import (
    BundleError,
    CapacityError,
    EngineError,
    Interrupted,
    OptionError,
    OutputError,
    PictureError,
    PromptError,
    SessionError,
    WeftError,
)
from runtime.events import Event, Finished, ImageDone, ImageStarted, TextDelta, ThinkDelta
from runtime.loading import Runtime, load
from runtime.options import Options, Reuse
from runtime.session import Session
from runtime.stats import PictureStats, Stats

__all__ = [
    "BundleError",
    "CapacityError",
    "Document",
    "EngineError",
    "Event",
    "Finished",
    "Image",
    "ImageDone",
    "ImageStarted",
    "Interrupted",
    "OptionError",
    "Options",
    "OutputError",
    "PictureError",
    "PictureStats",
    "PromptError",
    "Reuse",
    "Runtime",
    "Segment",
    "Session",
    "SessionError",
    "Stats",
    "Text",
    "TextDelta",
    "ThinkDelta",
    "WeftError",
    "__version__",
    "generate",
    "load",
    "stream",
]
