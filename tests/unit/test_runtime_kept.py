"""The runtime that repeated calls of `runtime.generate` share."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import runtime
from runtime.errors import BundleMissing
from runtime.kept import KEPT, KeptRuntimes
from tests.fake_bundle import fake_engines, fake_runtime, make_bundle


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    KEPT.clear()
    yield
    KEPT.clear()


class Loader:
    """Loads fake runtimes and counts."""

    def __init__(self) -> None:
        self.loads: list[tuple[Any, str]] = []

    def __call__(self, bundle: Any, device: str) -> runtime.Runtime:
        time.sleep(0.01)
        self.loads.append((bundle, device))
        return fake_runtime(Path(bundle))


def test_the_same_bundle_is_loaded_once(tmp_path: Path) -> None:
    loader = Loader()
    kept = KeptRuntimes(load_one=loader)
    first = kept.get(tmp_path / "a", "auto")
    assert kept.get(str(tmp_path / "a"), "auto") is first
    assert len(loader.loads) == 1


def test_another_device_or_bundle_takes_its_place(tmp_path: Path) -> None:
    loader = Loader()
    kept = KeptRuntimes(load_one=loader)
    first = kept.get(tmp_path / "a", "auto")
    assert kept.get(tmp_path / "a", "cpu") is not first
    kept.get(tmp_path / "b", "cpu")
    assert kept.get(tmp_path / "a", "auto") is not first
    assert len(loader.loads) == 4, "only the last one is kept"


@pytest.mark.parametrize("file", ["bundle.json", "planner.onnx", "tokenizer.json"])
def test_a_bundle_that_changed_on_disk_is_loaded_again(tmp_path: Path, file: str) -> None:
    kept = KeptRuntimes(load_one=Loader())
    first = kept.get(tmp_path / "a", "auto")
    path = tmp_path / "a" / file
    if file == "bundle.json":
        path.write_text(path.read_text() + "\n")
    else:
        os.utime(path, ns=(1, 1))
    second = kept.get(tmp_path / "a", "auto")
    assert second is not first
    assert kept.get(tmp_path / "a", "auto") is second


def test_many_threads_share_one_load(tmp_path: Path) -> None:
    loader = Loader()
    kept = KeptRuntimes(load_one=loader)
    found: list[runtime.Runtime] = []
    threads = [
        threading.Thread(target=lambda: found.append(kept.get(tmp_path / "a", "auto")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and len(set(map(id, found))) == 1 and len(loader.loads) == 1


def test_nothing_is_kept_of_a_load_that_failed(tmp_path: Path) -> None:
    with pytest.raises(BundleMissing):
        runtime.generate("A fox.", bundle=tmp_path / "none")
    with pytest.raises(runtime.OptionError, match="device"):
        runtime.generate("A fox.", bundle=tmp_path / "none", device="abacus")


def test_repeated_calls_give_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_bundle(tmp_path)
    opened = []

    def engines(bundle: Any, *rest: object) -> Any:
        opened.append(bundle)
        return fake_engines(bundle)

    monkeypatch.setattr("runtime.loading.open_engines", engines)
    options: dict[str, Any] = {"bundle": tmp_path, "size": (64, 64), "steps": 1, "max_images": 1}
    first = runtime.generate("A fox.", seed=2, **options)
    runtime.generate("An owl.", seed=3, **options)
    assert runtime.generate("A fox.", seed=2, **options).digest() == first.digest()
    *_, last = runtime.stream("A fox.", seed=2, **options)
    assert last.document.digest() == first.digest()  # type: ignore[union-attr]
    assert len(opened) == 1
