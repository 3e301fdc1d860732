"""Sessions over the fake engines: same seed, same bits; reuse, rewind, restore, stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from runtime import (
    CapacityError,
    Document,
    Event,
    Finished,
    Image,
    ImageDone,
    ImageStarted,
    Interrupted,
    OptionError,
    Reuse,
    Runtime,
    SessionError,
    Text,
    TextDelta,
    ThinkDelta,
    load,
)
from runtime.bundle import write_manifest
from runtime.cache import PlannerCache
from runtime.errors import EngineError
from runtime.grid import Grid
from runtime.history import Mark
from runtime.interfaces import CacheGeometry
from runtime.visualizer import draw, picture_noise
from tests.fake_bundle import FakePlanner, fake_runtime, make_manifest

PROMPT = "Tell a story about a small red fox."
PICTURE = np.random.default_rng(5).integers(0, 255, (96, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bundle")


@pytest.fixture
def rt(folder: Path) -> Runtime:
    return fake_runtime(folder)


def same(one: Document, other: Document) -> bool:
    return one.digest() == other.digest()


def test_a_document_alternates_and_its_events_add_up(rt: Runtime) -> None:
    events = list(rt.stream(PROMPT, seed=3))
    assert isinstance(events[-1], Finished)
    document = events[-1].document
    assert document.finish_reason == "stop"
    assert len(document.images) == 3
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == document.text
    started = [e for e in events if isinstance(e, ImageStarted)]
    done = [e.image for e in events if isinstance(e, ImageDone)]
    assert tuple(done) == document.images
    assert [(e.index, e.size, e.prompt) for e in started] == [
        (i.index, i.size, i.prompt) for i in done
    ]
    stats = document.stats
    assert [p.references for p in stats.images] == [0, 1, 2]
    assert stats.tokens > 0 and stats.prompt_tokens > 0 and stats.cache_misses > 0
    assert 0 < stats.first_token_s <= stats.total_s
    assert same(document, rt.generate(PROMPT, seed=3))
    assert not same(document, rt.generate(PROMPT, seed=4))


def test_same_seed_same_bits_whatever_came_before(rt: Runtime, folder: Path) -> None:
    fresh = fake_runtime(folder).generate(PROMPT, seed=9)
    rt.generate("Something else entirely.", seed=1)
    rt.generate([PICTURE, "and a picture"], seed=2)
    assert same(rt.generate(PROMPT, seed=9), fresh)


@pytest.mark.parametrize(
    "reuse",
    [Reuse(planner_kv=False), Reuse(reference_kv=False), Reuse(window=False)],
    ids=["planner", "reference", "window"],
)
def test_reuse_changes_nothing_but_time(rt: Runtime, folder: Path, reuse: Reuse) -> None:
    def talk(runtime: Runtime) -> list[Document]:
        chat = runtime.session()
        first = chat.generate(["Look at", PICTURE, "and draw it."], seed=1)
        return [first, chat.generate("Now make it night.", seed=2, max_images=1)]

    kept, again = talk(rt), talk(fake_runtime(folder, reuse))
    assert all(same(a, b) for a, b in zip(kept, again, strict=True))
    if not reuse.reference_kv:
        assert again[0].stats.cache_hits == 0 < kept[0].stats.cache_hits


def test_interleaved_sessions_give_what_each_gives_alone(rt: Runtime, folder: Path) -> None:
    prompts = {3: PROMPT, 4: "Another one, with a bear."}
    alone = {s: fake_runtime(folder).generate(p, seed=s) for s, p in prompts.items()}
    streams = {seed: rt.stream(prompt, seed=seed) for seed, prompt in prompts.items()}
    found: dict[int, Document] = {}
    while len(found) < len(streams):
        for seed, stream in streams.items():
            event = next(stream, None)
            if isinstance(event, Finished):
                found[seed] = event.document
    assert all(same(found[seed], alone[seed]) for seed in prompts)


def test_threads_share_a_runtime(rt: Runtime) -> None:
    alone = {seed: rt.generate(PROMPT, seed=seed) for seed in range(4)}
    found: dict[int, Document] = {}
    threads = [
        threading.Thread(target=lambda s=seed: found.update({s: rt.generate(PROMPT, seed=s)}))
        for seed in alone
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(same(found[seed], alone[seed]) for seed in alone)


def test_later_turns_see_earlier_pictures(rt: Runtime) -> None:
    chat = rt.session()
    first = chat.generate(PROMPT, seed=1, max_images=1)
    length = chat.planner.length
    second = chat.generate("Now make it night.", seed=1, max_images=1)
    assert second.stats.images[0].references == len(first.images)
    assert chat.planner.length > length
    assert chat.turns == 2


def test_rewind_crosses_pictures(rt: Runtime) -> None:
    chat = rt.session()
    chat.generate(PROMPT, seed=1)
    second = chat.generate([PICTURE, "Now make it night."], seed=2, max_images=1)
    chat.generate("Once more.", seed=3, max_images=1)
    chat.rewind(turns=2)
    assert chat.turns == 1
    assert len(chat.history.pictures) == 3
    again = chat.generate([PICTURE, "Now make it night."], seed=2, max_images=1)
    assert same(second, again)
    for turns in (0, 3):
        with pytest.raises(SessionError, match="expected 1 to 2 turns"):
            chat.rewind(turns)


def test_a_restored_session_continues_bit_for_bit(
    rt: Runtime, folder: Path, tmp_path: Path
) -> None:
    chat = rt.session()
    chat.generate(["See", PICTURE], seed=1, max_images=2)
    saved = chat.save(tmp_path / "saved")
    expected = chat.generate("Go on.", seed=2)
    restored = fake_runtime(folder).restore(saved)
    assert same(restored.generate("Go on.", seed=2), expected)
    restored.rewind(2)
    assert restored.planner.length == 0


def test_given_pictures_are_seen_and_referenced(rt: Runtime) -> None:
    with_picture = rt.generate([PICTURE, "Draw it again."], seed=1, max_images=1)
    referenced = rt.generate("Draw it again.", references=[PICTURE], seed=1, max_images=1)
    without = rt.generate("Draw it again.", seed=1, max_images=1)
    assert with_picture.stats.images[0].references == 1
    assert same(with_picture, referenced)
    assert not same(with_picture, without)


def test_a_picture_goes_through_the_autoencoder_and_back(rt: Runtime) -> None:
    back = rt.reconstruct(np.full((32, 64, 4), 128, np.uint8))
    assert back.shape == (32, 64, 4) and back.dtype == np.uint8
    with pytest.raises(OptionError, match="size"):
        rt.reconstruct(np.zeros((30, 64, 4), np.uint8))


def test_options_are_kept(rt: Runtime) -> None:
    document = rt.generate(PROMPT, size=(128, 64), steps=1, max_images=2)
    assert [i.size for i in document.images] == [(128, 64)] * 2
    assert document.stats.images[0].steps == 1
    assert not rt.generate(PROMPT, max_images=0).images
    events = list(rt.stream(PROMPT, think=True, max_images=0))
    assert isinstance(events[0], ThinkDelta)
    finished = events[-1]
    assert isinstance(finished, Finished) and finished.document.plan
    greedy = [rt.generate(PROMPT, temperature=0, seed=s, max_images=0).text for s in (1, 2)]
    assert greedy[0] == greedy[1]


def test_the_oldest_references_but_the_first_leave(folder: Path) -> None:
    chat = fake_runtime(folder, max_references=2).session()
    chat.generate(PROMPT, seed=1)
    later = chat.generate("More.", seed=1)
    assert [p.references for p in later.stats.images] == [2, 2, 2]


def test_a_small_reference_store_evicts_and_agrees(rt: Runtime, folder: Path) -> None:
    small = fake_runtime(folder, reference_bytes=60_000)
    assert same(small.generate(PROMPT, seed=3), rt.generate(PROMPT, seed=3))
    assert small.references.bytes <= 60_000


def test_a_full_cache_ends_the_document_well(folder: Path) -> None:
    chat = fake_runtime(folder, max_tokens=300).session()
    document = chat.generate(PROMPT, seed=1)
    while document.finish_reason == "stop":
        try:
            document = chat.generate("More.", seed=1, max_images=0)
        except CapacityError as error:
            assert "free" in str(error)
            break
    assert chat.planner.length <= 300


@pytest.mark.parametrize("stop", ["deadline", "interrupt", "failure", "close"])
def test_a_stopped_turn_keeps_what_is_finished(
    rt: Runtime, stop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = rt.session()
    chat.generate("First.", seed=1, max_images=1)
    engine = rt.engines["denoise"]
    original = engine.run
    calls = 0
    late = 0.0
    clock = SimpleNamespace(perf_counter=lambda: time.perf_counter() + late)
    monkeypatch.setattr("runtime.turn.time", clock)

    def run(*args: object, **kwargs: object) -> dict[str, np.ndarray]:
        nonlocal calls, late
        calls += 1
        if calls == 6:
            if stop == "interrupt":
                raise KeyboardInterrupt
            if stop == "failure":
                raise EngineError("no")
            if stop == "deadline":
                late = 7200.0
        return original(*args, **kwargs)

    monkeypatch.setattr(engine, "run", run)
    document = stopped(stop, lambda **o: chat.stream(PROMPT, seed=3, **o),
                       lambda **o: chat.generate(PROMPT, seed=3, **o))  # fmt: skip
    if document is not None:
        assert len(document.images) == 1
        assert document.finish_reason in ("deadline", "interrupted")
    monkeypatch.undo()
    assert len(chat.history.pictures) == 2
    assert chat.history.open
    chat.generate("Go on.", seed=1, max_images=1)
    chat.rewind(2)
    assert same(chat.generate(PROMPT, seed=3), clean(rt))


def stopped(
    stop: str, stream: Callable[..., object], generate: Callable[..., Document]
) -> Document | None:
    """Run into the stop; the document that came out of it."""
    if stop == "deadline":
        return generate(deadline_s=3600)
    if stop == "interrupt":
        with pytest.raises(Interrupted) as caught:
            generate()
        return caught.value.document
    if stop == "failure":
        with pytest.raises(EngineError):
            generate()
        return None
    events = stream()
    for event in events:  # type: ignore[attr-defined]
        if isinstance(event, ImageDone):
            break
    events.close()  # type: ignore[attr-defined]
    return None


def clean(rt: Runtime) -> Document:
    chat = rt.session()
    chat.generate("First.", seed=1, max_images=1)
    return chat.generate(PROMPT, seed=3)


def test_an_interrupt_in_the_callback_keeps_the_document(rt: Runtime) -> None:
    def on_event(event: Event) -> None:
        if isinstance(event, ImageDone):
            raise KeyboardInterrupt

    chat = rt.session()
    with pytest.raises(Interrupted) as caught:
        chat.generate(PROMPT, seed=3, on_event=on_event)
    assert len(caught.value.document.images) == 1
    chat.generate("Still there?", max_images=0)


def test_a_session_answers_one_request_at_a_time(rt: Runtime) -> None:
    chat = rt.session()
    stream = chat.stream(PROMPT, max_images=0)
    next(stream)
    with pytest.raises(SessionError, match="still answering"):
        chat.generate("And?")
    list(stream)
    chat.generate("And?", max_images=0)


def test_a_session_stopped_before_it_began_answers_the_next_request(
    rt: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mark() -> Mark:
        raise KeyboardInterrupt

    chat = rt.session()
    with monkeypatch.context() as patch:
        patch.setattr(chat, "mark", mark)
        with pytest.raises(Interrupted):
            chat.generate(PROMPT, seed=3)
    assert chat.turns == 0
    assert same(chat.generate(PROMPT, seed=3), rt.generate(PROMPT, seed=3))


def test_a_deadline_before_the_first_word_leaves_the_session_as_it_was(rt: Runtime) -> None:
    chat = rt.session()
    document = chat.generate([PICTURE, "x"], deadline_s=1e-9)
    assert document.finish_reason == "deadline"
    assert document.segments == ()
    assert chat.turns <= 1
    assert isinstance(chat.generate(PROMPT, seed=3).segments[0], Text)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"colour": 1}, OptionError, "unknown option 'colour'"),
        ({"sise": "auto"}, OptionError, "did you mean 'size'"),
        ({"size": (100, 64)}, OptionError, r"multiples of 16.*nearest that works is 96x64"),
        ({"size": (1024, 1024)}, OptionError, "at most 64 tokens.*128x128"),
        ({"size": (160, 16)}, OptionError, "8:1"),
        ({"size": "big"}, OptionError, "size: expected"),
        ({"size": (0, 16)}, OptionError, "size: expected"),
        ({"steps": 3}, OptionError, "schedules for 1, 4, found 3"),
        ({"steps": 2.5}, OptionError, "steps: expected a whole number"),
        ({"seed": -1}, OptionError, "seed: expected"),
        ({"seed": None}, OptionError, "seed: expected"),
        ({"temperature": float("nan")}, OptionError, "temperature: expected"),
        ({"top_p": 0}, OptionError, "top_p: expected"),
        ({"deadline_s": 0}, OptionError, "deadline_s: expected a number, more than 0, found 0"),
        ({"think": "yes"}, OptionError, "think: expected"),
        ({"on_event": 3}, OptionError, "on_event: expected"),
        ({"references": "a.png"}, OptionError, "references: expected a list"),
        ({"references": [PICTURE] * 4}, ValueError, "at most 3 pictures, found 4"),
        ({"max_images": 400}, CapacityError, "pictures would fit"),
        ({"max_images": -1}, OptionError, "max_images: expected"),
    ],
)
def test_wrong_options_are_named_before_any_work(
    rt: Runtime, options: dict[str, object], error: type[Exception], message: str
) -> None:
    chat = rt.session()
    with pytest.raises(error, match=message):
        chat.generate(PROMPT, **options)  # type: ignore[arg-type]
    assert chat.planner.length == 0


def test_capacities_are_checked_when_loading(folder: Path) -> None:
    with pytest.raises(OptionError, match="max_tokens"):
        fake_runtime(folder, max_tokens=3)
    with pytest.raises(OptionError, match="max_references"):
        fake_runtime(folder, max_references=9)
    with pytest.raises(OptionError, match="reference_bytes"):
        fake_runtime(folder, reference_bytes=-1)
    with pytest.raises(OptionError, match="threads: expected a whole number, 1 or more, found 0"):
        load(folder, threads=0)


def test_a_prompt_that_does_not_fit_says_what_is_free(folder: Path) -> None:
    rt = fake_runtime(folder, max_tokens=256)
    with pytest.raises(CapacityError, match=r"256 are free"):
        rt.generate("long words " * 200)


def test_cache_rows_survive_growing_and_shrinking() -> None:
    geometry = CacheGeometry(1, 3, 4, 8, 64, 1000, 1, (1, 1, 0), 10.0)
    cache = PlannerCache(geometry, 1000)
    rows = np.random.default_rng(0).standard_normal((1, 3, 1000, 4)).astype(np.float32)
    written = 0
    for end in (5, 250, 256, 257, 600, 999, 1000, 300, 299, 513, 10, 700):
        written = min(written, end)
        cache.fit(end, written)
        for name, view in cache.views.items():
            sign = 1 if ".k." in name else -1
            assert view.flags.c_contiguous
            assert view.shape[2] in (256, 512, 768, 1000)
            assert np.array_equal(view[:, :, :written], sign * rows[:, :, :written])
            view[:, :, written:end] = sign * rows[:, :, written:end]
        written = end


def test_a_planner_in_a_loop_gets_out_of_it(rt: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    steer = FakePlanner._steer
    stuck = rt.vocabulary.digits[7]

    def looping(logits: np.ndarray, tokens: list[int]) -> None:
        steer(logits, tokens)
        logits[stuck] = 1000.0

    monkeypatch.setattr(FakePlanner, "_steer", staticmethod(looping))
    document = rt.generate(PROMPT, seed=3, max_images=0)
    assert "7" * 12 in document.text and "7" * 13 not in document.text


def test_a_series_is_drawn_in_one_pass_and_its_pictures_see_one_another(rt: Runtime) -> None:
    grids = [Grid(4, 4), Grid(2, 6)]
    noise = [picture_noise(1, index, grid, 48) for index, grid in enumerate(grids)]
    empty = {
        f"window.{kind}.{layer}": np.zeros((1, 1, 0, 32), np.float32)
        for kind in "kv"
        for layer in range(2)
    }
    engine, times = rt.engines["denoise"], (1.0, 0.5, 0.0)
    series = draw(engine, grids, noise, times, lambda: empty)
    alone = [
        draw(engine, [grid], [own], times, lambda: empty)[0]
        for grid, own in zip(grids, noise, strict=True)
    ]
    assert [latent.shape for latent in series] == [(1, 16, 48), (1, 12, 48)]
    assert not np.allclose(series[0], alone[0])
    assert not np.allclose(series[1], alone[1])


def test_a_promised_picture_is_drawn_with_words_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planner promises two pictures and wants to end after the first."""
    write_manifest(tmp_path, replace(make_manifest(tmp_path), countdown="{left} to go:"))
    rt = fake_runtime(tmp_path)
    promise, steer = rt.vocabulary.encode("2 to go:"), FakePlanner._steer
    special = rt.vocabulary.special

    def promising(logits: np.ndarray, tokens: list[int]) -> None:
        steer(logits, tokens)
        answer = tokens[len(tokens) - tokens[::-1].index(special.assistant) :]
        if special.boi in answer:
            logits[special.eos] = 100.0
        elif special.imagine_open in answer:
            said = len(answer) - 1 - answer.index(special.imagine_open)
            if said < len(promise):
                logits[promise[said]] = 100.0

    monkeypatch.setattr(FakePlanner, "_steer", staticmethod(promising))
    document = rt.generate(PROMPT, seed=3)
    assert [type(segment) for segment in document.segments] == [Text, Image, Text, Image]
    assert document.finish_reason == "stop"
    assert not any("to go" in image.prompt for image in document.images)
    assert document.segments[2].text
    assert len(rt.generate(PROMPT, seed=3, max_images=1).images) == 1
