"""Training data on disk: WebDataset shards of documents with their pictures.

`build` writes storyworld documents; `load` reads shards of that format, the project's or one's own.
"""

from __future__ import annotations

from training.data.reading import Sample, load
from training.data.writing import BuildConfig, build

__all__ = ["BuildConfig", "Sample", "build", "load"]
