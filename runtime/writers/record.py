"""`story.json`: the document without pixels, with everything about how it came about."""

from __future__ import annotations

import json
from typing import Any

from runtime.document import Document, Text


def document_record(document: Document) -> dict[str, Any]:
    """A JSON-ready description; pictures by size and dense prompt."""
    segments: list[dict[str, Any]] = []
    for segment in document.segments:
        if isinstance(segment, Text):
            segments.append({"type": "text", "text": segment.text})
        else:
            segments.append(
                {
                    "type": "image",
                    "index": segment.index,
                    "size": list(segment.size),
                    "prompt": segment.prompt,
                }
            )
    return {
        "prompt": document.prompt,
        "plan": document.plan,
        "finish_reason": document.finish_reason,
        "model": document.model,
        "digest": document.digest(),
        "segments": segments,
        "stats": document.stats.to_dict(),
    }


def record_json(document: Document) -> str:
    """The document without its pixels, as JSON text."""
    return json.dumps(document_record(document), indent=1, ensure_ascii=False) + "\n"
