"""`weft eval` and `weft bench`: counting slots, following characters, and both commands."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

pytest.importorskip("skia")

import runtime.loading
from benchmarks import cli
from benchmarks.quality import readings
from benchmarks.quality.examples import reference_examples, story_examples, text_examples
from benchmarks.quality.narration import contradictions
from benchmarks.quality.report import Row, table
from benchmarks.quality.suites import SUITES, USUAL
from benchmarks.quality.suites.reference import kept
from benchmarks.quality.suites.story import Page, heeded, pages_of_truth, recurring, restated
from tests.fake_bundle import fake_engines, make_bundle
from training.storyworld.facts import (
    identity,
    judge,
    pair,
    read_dense,
    read_scene,
    says_everything,
    wanted_from_dense,
)
from training.storyworld.reader import ReadCharacter, Reading
from training.storyworld.sampling import sample_scene
from training.storyworld.scene import Accessory, Prop, Scene, is_held_out
from training.storyworld.scoring import wanted_from_asked
from training.storyworld.text import describe

SCENES = [sample_scene(np.random.default_rng(i), held_out=True) for i in range(20)]


def figure(kind: str, color: str, **slots: Any) -> ReadCharacter:
    return ReadCharacter(0.5, kind, color, slots.get("accessory"), "running", "left", None)


@pytest.mark.parametrize("scene", SCENES[:8], ids=range(8))
def test_a_scene_fits_its_own_dense_prompt(scene: Scene) -> None:
    dense = describe(scene)
    assert says_everything(dense)
    assert judge(wanted_from_dense(dense), read_scene(scene)).all_right
    assert judge(wanted_from_dense(dense), read_dense(dense)).all_right


def test_every_wrong_slot_is_counted_once() -> None:
    scene = next(s for s in SCENES if len(s.characters) == 1 and s.props and s.place != "desert")
    other = replace(read_scene(scene), place="desert", props=())
    tally = judge(wanted_from_dense(describe(scene)), other)
    assert sorted(tally.wrong) == ["place", "props"]
    assert tally.total - tally.right.total() == 1 + len(scene.props)


def test_no_picture_has_nothing_right() -> None:
    tally = judge(wanted_from_dense(describe(SCENES[0])), None)
    assert tally.total > 5 and tally.right.total() == 0


def test_a_dense_prompt_that_names_no_accessory_means_none() -> None:
    scene = next(s for s in SCENES if s.characters[0].accessory is None)
    seen = read_scene(scene)
    dressed = replace(seen.characters[0], accessory=Accessory("bow", "red"))
    spoilt = replace(seen, characters=(dressed, *seen.characters[1:]))
    assert judge(wanted_from_dense(describe(scene)), spoilt).wrong == ["accessory"]


def test_a_prompt_leaves_slots_free() -> None:
    asked = {"characters": [{"kind": "fox", "accessory": "red bow"}], "place": "lake"}
    fox = figure("fox", "blue", accessory=Accessory("bow", "red"))
    seen = Reading((256, 256), False, "lake", None, None, None, (fox,))
    tally = judge(wanted_from_asked(asked), seen)
    assert set(tally.judged) == {"count", "kind", "accessory", "accessory_color", "place"}
    assert tally.all_right


def test_figures_are_paired_by_what_they_look_like() -> None:
    fox, owl = figure("fox", "red"), figure("owl", "blue")
    assert pair([fox, owl], [owl, fox]) == [(fox, fox), (owl, owl)]
    assert pair([fox, owl], [owl]) == [(fox, None), (owl, owl)]
    red, green = figure("fox", "red"), figure("fox", "green")
    assert pair([red, green], [green, red]) == [(red, red), (green, green)]


def test_nonsense_with_many_animals_is_judged_at_once() -> None:
    dense = "flat picture, lake at night, clear: " + "; ".join(["a red fox"] * 40)
    assert judge(wanted_from_dense(dense), read_dense(dense)).total > 0
    assert pair(read_dense(dense).characters, read_dense(dense).characters)


def test_identity_needs_the_right_figure() -> None:
    scene = next(s for s in SCENES if len(s.characters) == 2)
    seen = read_scene(scene)
    first, second = seen.characters
    assert kept(second, seen).all_right
    assert "markings" in kept(second, replace(seen, characters=(first,))).wrong
    assert kept(first, None).right.total() == 0
    assert identity(first, None).right.total() == 0


def test_examples_are_fixed_held_out_and_full() -> None:
    first, again = text_examples(3), text_examples(4)
    assert [e.words for e in first] == [e.words for e in again[:3]]
    assert all(is_held_out(c) for e in again for c in e.drawn[0].characters)
    for example in reference_examples(2):
        assert len(example.given) == len(example.drawn) == 1
        assert example.given[0].characters[0].markings == example.drawn[0].characters[0].markings
        assert any(isinstance(part, np.ndarray) for part in example.prompt)
    assert [len(e.drawn) for e in story_examples(2)] == [4, 4]


def test_a_true_story_agrees_with_itself() -> None:
    for example in story_examples(3):
        pages = pages_of_truth(example, [read_scene(scene) for scene in example.drawn])
        for page in pages:
            assert contradictions(page.text, page.described).all_right
        assert recurring(pages).total and recurring(pages).all_right
        assert restated(pages).all_right


def test_a_changed_character_is_noticed() -> None:
    example = story_examples(1)[0]
    pages = pages_of_truth(example, [read_scene(scene) for scene in example.drawn])
    seen = pages[-1].seen
    assert seen is not None
    changed = tuple(replace(c, color=None, markings=None) for c in seen.characters)
    spoilt = [*pages[:-1], replace(pages[-1], seen=replace(seen, characters=changed))]
    tally = recurring(spoilt)
    assert tally.right["named"] < tally.judged["named"]
    assert tally.right["markings"] < tally.judged["markings"]


def test_stories_show_what_their_prompts_ask_for() -> None:
    for example in story_examples(6):
        pages = pages_of_truth(example, [None] * 12)
        assert heeded(example.asked, pages).all_right
    (kind, *_) = example.asked["characters"]
    other = [replace(p, dense=p.dense.replace(kind["kind"], "unicorn")) for p in pages]
    assert "kind" in heeded(example.asked, other).wrong
    assert heeded({"place": "moon", "style": "oil", "props": ["sword"]}, pages).wrong == [
        "place", "props", "style",
    ]  # fmt: skip
    assert heeded({"style": "ink"}, []).wrong == ["style"]
    assert heeded({"time": "night"}, []).wrong == ["time"]


def test_a_story_begins_when_it_was_asked_to() -> None:
    night, rain = (
        Page("", f"flat picture, lake {backdrop}: a fox", None)
        for backdrop in ("at night, clear", "by day, rain")
    )
    asked = {"time": "night", "weather": "rain"}
    assert heeded(asked, [night, rain]).all_right
    assert heeded(asked, [rain, night]).wrong == ["time"]
    assert heeded(asked, [night, night]).wrong == ["weather"]


def test_what_was_never_said_is_not_restated() -> None:
    fox, red = Page("", "a fox, standing, facing left", None), Page("", "a red fox", None)
    assert restated([fox, fox]).wrong == restated([fox, red]).wrong == ["color"]
    assert restated([red, red]).all_right


def test_narration_is_held_against_the_picture() -> None:
    props = (Prop("lantern", 0),)
    seen = Reading((0, 0), False, "beach", "night", "clear", "flat", (figure("fox", "red"),), props)
    text = "One morning, a blue fox went into the forest with a lantern in the rain."
    tally = contradictions(text, seen)
    assert tally.judged == {"place": 1, "time": 1, "weather": 1, "color": 1, "kind": 1, "props": 1}
    assert {slot for slot in tally.judged if tally.right[slot]} == {"kind", "props"}


def test_two_of_a_kind_may_differ_in_colour() -> None:
    foxes = (figure("fox", "red"), figure("fox", "blue"))
    seen = Reading((0, 0), False, "beach", "night", "clear", "flat", foxes)
    assert contradictions("A red fox met a blue fox.", seen).all_right
    assert contradictions("A red fox met a green fox.", seen).wrong == ["color"]


def test_readings_survive_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    def read(pixels: Any) -> Reading:
        calls.append(pixels)
        return read_scene(SCENES[len(calls)])

    monkeypatch.setattr(readings, "read_picture", read)
    pictures = [np.full((64, 64, 4), value, np.uint8) for value in (1, 2, 1)]
    found = readings.Readings(1, tmp_path, lambda _: None)([*pictures, None])
    assert found[0] == found[2] == read_scene(SCENES[1]) and found[3] is None
    again = readings.Readings(1, tmp_path, lambda _: None)(pictures)
    assert again == found[:3] and len(calls) == 2


def test_the_table_is_aligned() -> None:
    rows = [Row("t2i", "kind", 0.9, 10, 1.0), Row("t2i", "time, median", 1.5, 3, unit="s")]
    text = table([*rows, Row("story", "x", None, 0)])
    lines = text.splitlines()
    assert len({len(line) for line in lines}) == 1
    assert "90.0 %" in lines[2] and "100.0 %" in lines[2] and "1.50 s" in lines[3]


@pytest.fixture
def fake_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle folder that loads with the fake engines, and a reader that sees one scene."""
    folder = tmp_path / "bundle"
    make_bundle(folder)
    monkeypatch.setattr(runtime.loading, "open_engines", fake_engines)
    monkeypatch.setattr(readings, "read_picture", lambda pixels: read_scene(SCENES[0]))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def last_line(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    return json.loads(capsys.readouterr().out.splitlines()[-1])  # type: ignore[no-any-return]


def run(command: Sequence[str], *, bench: bool = False) -> int:
    return (cli.bench if bench else cli.evaluate)(list(command))


def test_eval_scores_a_bundle(
    fake_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    suites = "t2i,reference,story,steps"
    options = ["--samples", "2", "--jobs", "1", "--suite", suites, "--out", str(out), "--json"]
    assert run([str(fake_bundle), *options]) == 0
    data = last_line(capsys)
    assert data["bundle"]["name"] == "fake" and len(data["bundle"]["digest"]) == 64
    assert data["environment"]["python"]
    rows = {(row["suite"], row["name"]): row for row in data["rows"]}
    assert rows["t2i", "slots right"]["n"] > 10
    assert rows["t2i", "slots right"]["ceiling"] is not None
    assert {suite for suite, _ in rows} >= {"t2i", "visualizer", "planner", "reference", "story"}
    assert ("steps", "1 step: slots right, by the prompt") in rows
    assert json.loads((out / "eval.json").read_text(encoding="utf-8"))["rows"] == data["rows"]
    assert PIL.Image.open(out / "t2i.png").width > 500


@pytest.mark.parametrize("suite", [name for name in SUITES if name not in (*USUAL, "steps")])
def test_every_suite_runs(
    suite: str, fake_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--samples", "4", "--jobs", "1", "--suite", suite, "--out", str(tmp_path), "--json"]
    assert run([str(fake_bundle), *options]) == 0
    data = last_line(capsys)
    assert data["rows"] and data["samples"][suite]
    assert {row["suite"] for row in data["rows"]} == {suite}
    assert any(row["n"] for row in data["rows"])
    shares = [row["score"] for row in data["rows"] if row["unit"] == "share" and row["n"]]
    assert all(0 <= share <= 1 for share in shares)


def test_a_suite_survives_requests_that_fail(
    fake_bundle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = runtime.Session.generate
    calls: list[int] = []

    def failing(self: runtime.Session, *args: Any, **options: Any) -> runtime.Document:
        calls.append(len(calls))
        if len(calls) % 2:
            raise runtime.EngineError("out of order")
        return answer(self, *args, **options)

    monkeypatch.setattr(runtime.Session, "generate", failing)
    suites = ",".join(name for name in SUITES if name != "steps")
    options = ["--samples", "4", "--jobs", "1", "--suite", suites, "--json"]
    assert run([str(fake_bundle), *options]) == 0
    rows = {(row["suite"], row["name"]): row for row in last_line(capsys)["rows"]}
    assert rows["t2i", "requests that failed"]["score"] == 0.5
    assert rows["edit", "requests that failed"]["n"] == 2


def test_a_runtime_that_always_fails_is_an_error(
    fake_bundle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*args: Any, **options: Any) -> runtime.Document:
        raise runtime.EngineError("out of order")

    monkeypatch.setattr(runtime.Session, "generate", failing)
    options = ["--samples", "1", "--jobs", "1", "--suite", "edit", "--no-ceiling", "--json"]
    assert run([str(fake_bundle), *options]) == 2
    assert "out of order" in capsys.readouterr().err


def test_bench_measures_a_bundle(fake_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([str(fake_bundle), "--repeats", "1", "--warmup", "0", "--json"], bench=True) == 0
    data = last_line(capsys)
    assert len(data["growth"]["picture_s"]) == 8
    assert data["growth"]["late_over_early"] > 0
    assert data["requests"]["picture"]["denoise_s"]["p50"] > 0
    assert data["peak_bytes"] >= 0 and data["environment"]["cores"] >= 1


@pytest.mark.parametrize("bench", [False, True])
def test_a_missing_bundle_is_one_clear_line(
    bench: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([str(tmp_path / "none"), "--json"], bench=bench) == 2
    captured = capsys.readouterr()
    assert json.loads(captured.out.splitlines()[-1])["error"] == "BundleMissing"
    assert "expected a bundle folder" in captured.err


def test_an_unknown_suite_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(["--suite", "t2i,nothing"])
    assert "expected any of t2i,reference,story,steps" in capsys.readouterr().err


def test_all_means_every_suite() -> None:
    assert cli._suites(("t2i", "story"))("all") == ("t2i", "story")
    assert cli._suites(("t2i", "story"))("story,story") == ("story",)


def test_pages_without_a_reading_are_not_judged() -> None:
    dense = describe(SCENES[0])
    assert recurring([Page("", dense, None), Page("", dense, None)]).total == 0
