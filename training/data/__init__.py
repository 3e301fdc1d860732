"""Training data on disk: WebDataset shards of documents with their pictures.

`build` writes storyworld documents; `load` and `Library` read shards of that format, the project's
or one's own, in order and at random.
"""

from __future__ import annotations

from training.data.library import Library
from training.data.reading import Sample, load
from training.data.writing import BuildConfig, build

__all__ = ["BuildConfig", "Library", "Sample", "build", "load"]
