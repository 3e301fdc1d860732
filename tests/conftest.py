"""Shared by all tests: numerics that do not depend on the machine's core count."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

# Two threads are what continuous integration has; more only makes small graphs slower. Set before
# numpy or torch start their pools.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "2")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked `gpu` run where an NVIDIA driver is."""
    if shutil.which("nvidia-smi") is not None:
        return
    skip = pytest.mark.skip(reason="no NVIDIA GPU here")
    for item in items:
        if item.get_closest_marker("gpu") is not None:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A read-only bundle folder of a tiny random model, exported once per test run."""
    pytest.importorskip("torch", reason="exporting needs the export extra")
    from export import build_tiny_bundle

    return build_tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny")
