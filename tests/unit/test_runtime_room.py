"""Where there is not room for everything: what is refused, what ends, and what it is called."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from runtime import CapacityError, Image, OptionError, Runtime
from runtime.bundle import Sampling, write_manifest
from runtime.errors import BundleError, EngineError
from runtime.grammar import Grammar
from tests.fake_bundle import FakePlanner, fake_runtime, make_manifest

PROMPT = "Tell a story about a small red fox."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bundle")


def longest_picture(rt: Runtime) -> int:
    return Grammar(rt.alphabet, rt.grids, rt.bundle.manifest.image).picture_room


def test_a_picture_that_could_not_be_begun_is_refused_before_any_work(folder: Path) -> None:
    room = longest_picture(fake_runtime(folder))
    for tokens in range(room - 40, room + 120, 8):
        chat = fake_runtime(folder, max_tokens=tokens).session()
        try:
            document = chat.generate(PROMPT, seed=1, max_images=1)
        except CapacityError as error:
            assert f"but {tokens} are free" in str(error)
        else:
            assert len(document.images) == 1
    assert document.images


def test_what_would_fit_is_told_and_fits(folder: Path) -> None:
    rt = fake_runtime(folder)
    with pytest.raises(CapacityError, match=r"max_images=400 takes about \d+ tokens, but") as found:
        rt.session().generate(PROMPT, max_images=400)
    fitting = int(str(found.value).split("; ")[-1].split()[0])
    assert fitting > 1
    assert rt.session().generate(PROMPT, seed=1, max_images=fitting).images
    with pytest.raises(CapacityError):
        rt.session().generate(PROMPT, max_images=fitting + 1)


def test_a_plan_that_is_asked_for_takes_room(folder: Path) -> None:
    rt = fake_runtime(folder)
    plan = rt.bundle.manifest.limits.think
    tight = fake_runtime(folder, max_tokens=longest_picture(rt) + 80)
    assert tight.generate(PROMPT, seed=1, max_images=1).images
    with pytest.raises(CapacityError, match=f"its plan {plan + 4}"):
        tight.generate(PROMPT, seed=1, max_images=1, think=True)


def test_a_story_that_would_go_on_but_has_no_room_ends_by_length(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steer = FakePlanner._steer
    special = fake_runtime(folder).vocabulary.special

    def endless(logits: np.ndarray, tokens: list[int]) -> None:
        steer(logits, tokens)
        if tokens[-1] == special.image:
            logits[special.imagine_open] = 200.0

    monkeypatch.setattr(FakePlanner, "_steer", staticmethod(endless))
    rt = fake_runtime(folder)
    document = rt.generate(PROMPT, seed=1)
    assert len(document.images) > 2 and isinstance(document.segments[-1], Image)
    assert document.finish_reason == "length"
    assert rt.generate(PROMPT, seed=1, max_images=2).finish_reason == "stop"


@pytest.mark.parametrize("component", ["denoise", "planner"])
def test_results_that_are_not_finite_are_an_error_and_no_blank_page(
    folder: Path, monkeypatch: pytest.MonkeyPatch, component: str
) -> None:
    rt = fake_runtime(folder)
    engine = rt.engines[component]
    original = engine.run

    def run(*args: object, **kwargs: object) -> dict[str, np.ndarray]:
        found = original(*args, **kwargs)  # type: ignore[arg-type]
        return {name: np.full_like(array, np.nan) for name, array in found.items()}

    chat = rt.session()
    monkeypatch.setattr(engine, "run", run)
    with pytest.raises(EngineError, match="weft verify"):
        chat.generate(PROMPT, seed=1)
    monkeypatch.undo()
    assert chat.generate(PROMPT, seed=1).images


def test_sampling_that_no_token_could_be_chosen_by_is_refused(tmp_path: Path) -> None:
    manifest = make_manifest(tmp_path)
    for sampling in (Sampling(-1.0, 0.9), Sampling(0.7, 0.0), Sampling(0.7, 1.5)):
        with pytest.raises(BundleError, match="sampling: expected"):
            write_manifest(tmp_path, replace(manifest, sampling=sampling))


@pytest.mark.parametrize("size", ["1GB", float("nan"), True, -1])
def test_memory_for_references_is_a_number_of_bytes(folder: Path, size: object) -> None:
    with pytest.raises(OptionError, match="reference_bytes: expected a whole number"):
        fake_runtime(folder, reference_bytes=size)


@pytest.mark.parametrize(
    ("option", "value"), [("think", 0), ("think", 1), ("size", (10**400, 16)), ("size", (16, 0))]
)
def test_options_of_another_type_or_size_are_named(
    folder: Path, option: str, value: object
) -> None:
    with pytest.raises(OptionError, match=f"{option}: expected"):
        fake_runtime(folder).generate(PROMPT, **{option: value})


def test_only_pictures_are_reconstructed(folder: Path) -> None:
    rt = fake_runtime(folder)
    pixels = np.zeros((32, 64, 4), np.uint8)
    assert rt.reconstruct(pixels[::-1]).shape == (32, 64, 4)
    for wrong in (pixels[..., :3], pixels[0], pixels.astype(np.float32)):
        with pytest.raises(OptionError, match=r"expected a uint8 array \[H, W, 4\]"):
            rt.reconstruct(wrong)


def test_a_session_counts_its_own_references(folder: Path) -> None:
    rt = fake_runtime(folder)
    alone = rt.generate(PROMPT, seed=1).stats
    rt = fake_runtime(folder)
    other = rt.session()
    events = rt.stream(PROMPT, seed=1)
    next(iter(events))
    worker = threading.Thread(target=other.generate, args=("Another fox.",), kwargs={"seed": 2})
    worker.start()
    worker.join()
    *_, last = events
    together = last.document.stats
    assert (together.cache_hits, together.cache_misses) == (alone.cache_hits, alone.cache_misses)
