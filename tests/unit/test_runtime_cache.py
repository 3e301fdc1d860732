"""Ctrl-C inside a cache: what is half done is never taken for done."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime import Interrupted
from runtime.engines.memory import HostMemory
from runtime.references import References
from tests.fake_bundle import fake_runtime

PROMPT = "Tell a story about a small red fox and a golden lantern. " * 4


def interrupted(call: Callable[..., Any], at: int) -> Callable[..., Any]:
    """`call`, with Ctrl-C in place of the `at`th time."""
    calls = 0

    def counted(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == at:
            raise KeyboardInterrupt
        return call(*arguments)

    return counted


def scramble(memory: HostMemory, source: np.ndarray, target: np.ndarray, count: int) -> None:
    """Rows on their way overwrite one another."""
    target[:, :, :count] = 1.0


@pytest.mark.parametrize("step", ["prefix", "move_rows"])
def test_a_session_goes_on_after_its_cache_was_interrupted_while_growing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    rt = fake_runtime(tmp_path)
    chat, taken_back, undisturbed = rt.session(), rt.session(), rt.session()
    for session in (chat, taken_back, undisturbed):
        session.generate(PROMPT, seed=1, max_images=1)
    start = undisturbed.planner.length
    call = HostMemory.prefix if step == "prefix" else scramble
    for session in (chat, taken_back):
        with monkeypatch.context() as patch:
            patch.setattr(HostMemory, step, interrupted(call, 2))
            with pytest.raises(Interrupted):
                session.generate(PROMPT, seed=2)
    end = chat.planner.length
    assert start < 256 < end, "the cache had to grow"
    taken_back.rewind()
    found, wanted = (s.generate("Well.", seed=3, max_images=1) for s in (taken_back, undisturbed))
    assert found.digest() == wanted.digest()
    undisturbed.rewind()
    tokens, positions = chat.planner.tokens[start:end], chat.planner.positions[start:end]
    undisturbed.planner.append(tokens.tolist(), positions)
    assert np.array_equal(chat.planner.logits(), undisturbed.planner.logits())


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_an_interrupted_store_keeps_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    pictures = [np.full((64, 64, 4), shade, np.uint8) for shade in range(9)]
    size = 64 * 4
    store = References(fake_runtime(tmp_path).engines, 2 * size)
    for index, picture in enumerate(pictures):
        with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
            if index in (2, 3, 4):
                sizes = interrupted(lambda entry: sum(a.nbytes for a in entry.values()), at)
                patch.setattr("runtime.references._size", sizes)
            store.features(picture)
        assert store.bytes <= store.limit_bytes
    assert store.bytes == 2 * size
