"""The judging of each suite of `weft eval`: right answers score 1, wrong ones less by slot."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

pytest.importorskip("skia")

from benchmarks.quality import examples as held_out
from benchmarks.quality.changes import CHANGES, KEPT, change_of, judge_change
from benchmarks.quality.examples import Example
from benchmarks.quality.fidelity import MOST_DB, premultiplied, psnr
from benchmarks.quality.report import mean_row, seconds_row, verdict_row
from benchmarks.quality.suites.chat import Reply, judge_turn
from benchmarks.quality.suites.compose import same_cast
from benchmarks.quality.suites.diversity import different, likeness
from benchmarks.quality.suites.edit import change_rows, edit_of, judge_dense, judge_edit
from benchmarks.quality.suites.enhance import asked_kept, true_dense
from benchmarks.quality.suites.palette import POINTS, matches
from benchmarks.quality.suites.plan import off_by, plan_counts
from benchmarks.quality.suites.series import judge_pages
from benchmarks.quality.suites.size import meant, shape
from benchmarks.quality.suites.sticker import haze
from benchmarks.quality.suites.story import pages_of_truth, recurring
from benchmarks.quality.suites.understand import SUBJECTS, subject, words_in
from benchmarks.quality.suites.understand import Reply as Answer
from runtime import Document
from training.storyworld.documents.dice import Dice
from training.storyworld.documents.thinking import plan_of
from training.storyworld.documents.understanding import ASKERS
from training.storyworld.facts import (
    Tally,
    identities,
    judge,
    read_dense,
    read_scene,
    same_shape,
    total,
)
from training.storyworld.reader import Reading, read
from training.storyworld.render import render
from training.storyworld.sampling import sample_scene
from training.storyworld.scene import Accessory, Prop, Scene, Swatch, is_held_out
from training.storyworld.scoring import Wanted, wanted_from_asked
from training.storyworld.text import describe

EDITS = held_out.edit_examples(len(CHANGES))
Changer = Callable[[Scene], Scene]


def scene(**slots: Any) -> Scene:
    """A scarfed and a bare figure by day, with a lantern between them."""
    rng = np.random.default_rng(3)
    first, second = sample_scene(rng, characters=2).characters
    first = replace(first, kind="fox", color="red", accessory=Accessory("scarf", "blue"))
    second = replace(second, kind="owl", color="gray", accessory=None)
    first, second = (replace(c, action="sitting", facing="left") for c in (first, second))
    plain = Scene((first, second), "lake", "day", "clear", "flat", (Prop("lantern", 1),))
    return replace(plain, **slots)


def with_first(base: Scene, **slots: Any) -> Scene:
    first, *others = base.characters
    return replace(base, characters=(replace(first, **slots), *others))


PLAIN = scene()
ONE_CHANGE: dict[str, Changer] = {
    "time": lambda s: replace(s, time="night"),
    "place": lambda s: replace(s, place="beach"),
    "weather": lambda s: replace(s, weather="snow"),
    "style": lambda s: replace(s, style="ink"),
    "color": lambda s: with_first(s, color="green"),
    "action": lambda s: with_first(s, action="running"),
    "facing": lambda s: with_first(s, facing="right"),
    "accessory": lambda s: with_first(s, accessory=Accessory("hat", "pink")),
    "accessory_color": lambda s: with_first(s, accessory=Accessory("scarf", "pink")),
    "accessory_removed": lambda s: with_first(s, accessory=None),
    "prop_added": lambda s: replace(s, props=(*s.props, Prop("cake", 2))),
    "prop_removed": lambda s: replace(s, props=()),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_a_change_is_made_or_not_and_nothing_else_is_touched(kind: str) -> None:
    after = ONE_CHANGE[kind](PLAIN)
    change = change_of(PLAIN, after)
    assert change.slots == {kind}
    made, kept = judge_change(change, read_scene(PLAIN), read_scene(after))
    assert made.total and made.all_right and set(made.judged) == {kind}
    assert kept.total and kept.all_right
    made, kept = judge_change(change, read_scene(PLAIN), read_scene(PLAIN))
    assert made.wrong == [kind]
    assert kept.all_right


@pytest.mark.parametrize("kind", [k for k in CHANGES if k != "time"])
def test_what_nobody_asked_for_is_not_kept(kind: str) -> None:
    """Night is asked for; the picture shows another change beside."""
    asked = change_of(PLAIN, replace(PLAIN, time="night"))
    spoilt = ONE_CHANGE[kind](replace(PLAIN, time="night"))
    made, kept = judge_change(asked, read_scene(PLAIN), read_scene(spoilt))
    assert made.all_right
    expected = {
        "accessory": ["accessory", "accessory_color"], "prop_added": ["extra"],
        "accessory_removed": ["accessory", "accessory_color"], "prop_removed": ["props"],
    }  # fmt: skip
    wrong = [slot for slot in kept.wrong if slot not in ("hue", "markings")]
    assert wrong == expected.get(kind, [kind])


def test_markings_count_on_the_new_coat() -> None:
    after = with_first(PLAIN, color="green")
    change = change_of(PLAIN, after)
    _, kept = judge_change(change, read_scene(PLAIN), read_scene(after))
    assert kept.judged["markings"] == 2 and kept.right["markings"] == 2
    other = replace(after.characters[0].markings, form="dots", scale=0.99, angle=0.5)
    if other.form == after.characters[0].markings.form:
        other = replace(other, form="halves")
    spoilt = with_first(after, markings=other)
    made, kept = judge_change(change, read_scene(PLAIN), read_scene(spoilt))
    assert made.all_right and kept.right["markings"] == 1 and "form" in kept.wrong


def test_no_picture_makes_and_keeps_nothing() -> None:
    for change in ONE_CHANGE.values():
        made, kept = judge_change(change_of(PLAIN, change(PLAIN)), read_scene(PLAIN), None)
        assert made.total and not made.right.total()
        assert kept.total and not kept.right.total()


def test_somebody_who_left_is_missed() -> None:
    change = change_of(PLAIN, replace(PLAIN, time="night"))
    seen = read_scene(replace(PLAIN, time="night"))
    alone = replace(seen, characters=seen.characters[:1])
    _, kept = judge_change(change, read_scene(PLAIN), alone)
    assert kept.right["count"] == 0 and kept.right["kind"] == 1 and kept.judged["kind"] == 2


def test_the_picture_before_decides_what_is_kept() -> None:
    """The scene has a scarf and a lantern, the picture before had a hat and no lantern."""
    drawn = with_first(replace(PLAIN, props=()), accessory=Accessory("hat", "blue"))
    removed = change_of(PLAIN, ONE_CHANGE["prop_removed"](PLAIN))
    made, kept = judge_change(removed, read_scene(drawn), read_scene(drawn))
    assert made.total == 0 and kept.all_right
    pink = change_of(PLAIN, ONE_CHANGE["accessory_color"](PLAIN))
    seen = read_scene(with_first(drawn, accessory=Accessory("hat", "pink")))
    made, kept = judge_change(pink, read_scene(drawn), seen)
    assert made.judged == {"accessory_color": 1} and made.all_right and kept.all_right


def test_without_a_picture_before_only_the_change_is_judged() -> None:
    after = ONE_CHANGE["action"](PLAIN)
    change = change_of(PLAIN, after)
    made, kept = judge_change(change, None, read_scene(after))
    assert made.judged == {"action": 1} and made.all_right and kept.total == 0
    made, _ = judge_change(change, None, read_scene(PLAIN))
    assert made.wrong == ["action"]


def test_unread_slots_of_the_picture_before_are_not_judged() -> None:
    known = read_scene(PLAIN)
    blur = replace(known.characters[0], kind=None, color=None, accessory=None, markings=None)
    known = replace(known, place=None, characters=(blur, *known.characters[1:]))
    change = change_of(PLAIN, replace(PLAIN, time="night"))
    made, kept = judge_change(change, known, read_scene(replace(PLAIN, time="night")))
    assert made.all_right and kept.all_right
    assert "place" not in kept.judged and kept.judged["kind"] == kept.judged["markings"] == 1


def test_edits_take_every_kind_in_turn() -> None:
    for kind, example in zip(CHANGES, EDITS, strict=True):
        assert kind in edit_of(example).slots
        made, kept = judge_edit(example, read_scene(example.drawn[0]))
        assert made.all_right and kept.all_right and made.total and kept.total
        made, kept = judge_dense(example, describe(example.drawn[0]))
        assert made.all_right and kept.all_right and not kept.judged["markings"]
        assert not judge_dense(example, "")[0].right.total()


def test_edit_rows_name_kinds_and_what_was_kept() -> None:
    judged = [judge_edit(e, read_scene(e.given[0])) for e in EDITS]
    rows = {r.name: r for r in change_rows("edit", judged, [])}
    assert rows["asked change made"].score == 0 and rows["asked change made"].ceiling is None
    assert rows["everything else kept"].score == 1
    assert rows["all changed and all kept"].score == 0
    assert {f"kept: {name}" for name in KEPT} <= set(rows)
    assert rows["change made: prop removed"].n >= 1
    assert change_rows("edit", [], [])[0].score is None


def test_chats_are_conversations_about_one_picture() -> None:
    for example in held_out.chat_examples(3):
        replies = [Reply(e, Document(())) for e in example.exchanges]
        truth = [replace(r, seen=read_scene(r.scene)) for r in replies]
        assert len(truth) >= 2
        for before, after in pairwise(truth):
            made, kept = judge_turn(before, after)
            assert made.total and made.all_right and kept.all_right
            made, kept = judge_turn(before, replace(after, seen=None))
            assert not made.right.total() and not kept.right.total()
            change = change_of(before.scene, after.scene)
            made, kept = judge_change(change, before.true_described, after.true_described)
            assert made.all_right and kept.all_right


def test_compositions_bring_several_characters() -> None:
    two, three = (held_out.compose_examples(2, 3)[i] for i in (1, 0))
    assert [len(two.given), len(three.given)] == [2, 3]
    assert len(held_out.compose_examples(1, 1)[0].given) == 1
    many = held_out.compose_examples(2, 9)
    assert [len(example.given) for example in many] == [3, 2, 9]
    assert 2 <= len(many[-1].drawn[0].characters) <= 3
    seen = read_scene(three.drawn[0])
    assert same_cast(three, seen).all_right
    one_less = replace(seen, characters=seen.characters[:-1])
    tally = same_cast(three, one_less)
    assert tally.judged["markings"] == 3 and tally.right["markings"] == 2
    assert tally.right["named"] == 8
    assert not identities([seen.characters[0]], None).right.total()


def test_sizes_are_those_of_the_word() -> None:
    assert meant("Draw a panoramic picture of a fox.") == {(384, 160), (512, 160)}
    assert meant("A very tall picture") == {(192, 384)} and meant("A fox.") == set()
    assert [shape((256, 256)), shape((384, 160)), shape((192, 384))] == ["square", "wide", "tall"]
    assert same_shape((384, 256), (320, 224)) and not same_shape((384, 256), (256, 384))
    for example in held_out.size_examples(6):
        assert example.drawn[0].size in meant(example.words)
        assert tuple(example.asked["size"]) == example.drawn[0].size


def poster(*swatches: Swatch) -> Reading:
    return replace(read_scene(PLAIN), palette=swatches)


def test_colours_are_held_against_the_nearest() -> None:
    wanted = Wanted(palette=(("#FF0000", 0.6), ("#0000FF", 0.4)))
    right = matches(wanted, poster(Swatch("#0000FF", 0.45), Swatch("#FF0000", 0.55)))
    assert all(m is not None and m.difference == 0 for m in right)
    assert [round(m.share_off, 2) for m in right if m is not None] == [0.05, 0.05]
    one = matches(wanted, poster(Swatch("#FE0000", 0.6), Swatch("#00FF00", 0.4)))
    assert one[0] is not None and one[0].difference < 1 and one[0].share_off == 0
    assert one[1] is not None and one[1].difference > 50
    assert matches(wanted, read_scene(PLAIN)) == matches(wanted, None) == [None, None]


def test_haze_is_what_is_half_there_away_from_the_edge() -> None:
    pixels = np.zeros((40, 40, 4), np.uint8)
    pixels[10:30, 10:30, 3] = 255
    assert haze(pixels) == 0
    pixels[9, 10:30, 3] = 128
    assert haze(pixels) == 0
    pixels[18:22, 18:22, 3] = 120
    spoilt = pixels.copy()
    spoilt[18:22, 18:22, 3] = 200
    assert 0 < haze(spoilt) < 0.02
    assert haze(np.full((40, 40, 4), 128, np.uint8)) == 1
    assert haze(np.full((40, 40, 4), 255, np.uint8)) == 0
    for example in held_out.sticker_examples(3):
        assert haze(render(example.drawn[0])) < 0.002


def test_psnr_knows_equal_and_opposite_pictures() -> None:
    black = np.zeros((4, 4, 4), np.uint8)
    white = np.full((4, 4, 4), 255, np.uint8)
    assert psnr(black, black) == MOST_DB and psnr(black, white) == 0
    assert likeness([black, None, white, black]) == [0, MOST_DB, 0]
    assert likeness([black, np.zeros((4, 8, 4), np.uint8)]) == likeness([None]) == []
    assert different(["a", "b", "a"]) == 0.5 and different(["a", "a"]) == 0
    assert different(["a", ""]) is None


def test_transparent_pixels_do_not_count() -> None:
    clear, other = np.zeros((4, 4, 4), np.uint8), np.full((4, 4, 4), 200, np.uint8)
    other[..., 3] = 0
    assert psnr(premultiplied(clear), premultiplied(other)) == MOST_DB
    other[..., 3] = 255
    assert np.array_equal(premultiplied(other), other[..., :3])


def test_scenes_to_encode_are_held_out_and_some_are_stickers() -> None:
    scenes = held_out.plain_scenes(8)
    assert scenes == held_out.plain_scenes(9)[:8] and len(set(scenes)) == 8
    assert [s.sticker for s in scenes] == [False, False, False, True] * 2
    assert all(is_held_out(c) for s in scenes for c in s.characters)


def test_vague_prompts_have_many_right_answers() -> None:
    for example in held_out.vague_examples(2):
        scenes = held_out.vague_answers(example, 2)
        wanted = wanted_from_asked(example.asked)
        assert scenes[0] != scenes[1] and len(example.words.split()) < 12
        assert all(judge(wanted, read_scene(s)).all_right for s in scenes)


def test_a_dense_prompt_keeps_what_was_asked() -> None:
    for example in held_out.terse_examples(3):
        assert len(example.words.split()) <= held_out.TERSE_WORDS
        dense = true_dense(example)
        assert asked_kept(example, dense).all_right
        assert not asked_kept(example, "").right.total()
        kind = example.drawn[0].characters[0].kind
        other = re.sub(kind, "lion" if kind != "lion" else "fox", dense)
        assert "kind" in asked_kept(example, other).wrong


def test_stories_are_asked_for_in_two_to_twelve_pictures() -> None:
    lengths = held_out.STORY_LENGTHS
    assert sorted(lengths) == list(range(2, 13))
    for number, example in zip(lengths, held_out.counted_stories(len(lengths)), strict=True):
        assert example.asked["pictures"] == number
        assert len(example.drawn) == number
    assert all(e.asked["pictures"] for e in held_out.counted_guides(2))
    asking = zip(held_out.plain_examples(2), held_out.thinking_examples(2), strict=True)
    assert all(more.words.startswith(plain.words) for plain, more in asking)
    example = held_out.counted_stories(1)[0]
    assert off_by([(example, Document(()))]) == [4]


def test_a_plan_says_how_many() -> None:
    assert plan_counts(Document((), plan=plan_of([PLAIN]))) is False
    assert plan_counts(Document((), plan="0 pictures")) and not plan_counts(Document(()))


def test_the_grammars_own_answers_are_right() -> None:
    examples: list[Example] = [*held_out.caption_examples(4), *held_out.question_examples(8)]
    for example in examples:
        for exchange in example.exchanges:
            reply = Answer(example, exchange, Document(()))
            assert all(reply.found(reply.true_text)) and not any(reply.found(""))
    assert words_in("There is SNOW, no rain.", ["no", "now", "snow"]) == [True, False, True]


def test_every_question_has_its_subject() -> None:
    dice = Dice(np.random.default_rng(5))
    subjects: dict[str, set[str]] = {}
    for number in range(300):
        base = sample_scene(np.random.default_rng(number))
        for asker in ASKERS:
            answer = asker(dice, base)
            if answer is not None:
                subjects.setdefault(asker.__name__, set()).add(subject(answer[0]))
    assert all(len(found) == 1 and found <= set(SUBJECTS) for found in subjects.values()), subjects
    assert subjects["where"] == {"place"} and subjects["prop_where"] == {"things"}


def test_rows_of_nothing_have_no_score() -> None:
    rows = (
        verdict_row("s", "n", []),
        mean_row("s", "n", [], unit="dB"),
        seconds_row("s", "n", [0.0]),
    )
    assert [(row.score, row.n, row.ceiling) for row in rows] == [(None, 0, None)] * 3
    assert verdict_row("s", "n", [True, False], [True]).score == 0.5


def test_a_part_of_a_tally() -> None:
    tally = Tally()
    for slot, right in (("a", True), ("b", False), ("a", False)):
        tally.add(slot, right)
    assert tally.part(["a", "c"]).judged == {"a": 2} and tally.part(["a"]).share() == 0.5


def judged_render(suite: str) -> list[Tally]:
    """What the reader finds in a true render, judged as the suite judges pictures."""
    if suite == "edit":
        return list(judge_edit(EDITS[0], read(render(EDITS[0].drawn[0]))))
    make = {
        "compose": lambda: held_out.compose_examples(2, 3)[1],
        "palette": lambda: held_out.palette_examples(2)[1],
        "sticker": lambda: held_out.sticker_examples(1)[0],
    }[suite]
    example = make()
    seen = read(render(example.drawn[0]))
    if suite == "compose":
        return [same_cast(example, seen)]
    wanted = wanted_from_asked(example.asked)
    near = [m for m in matches(wanted, seen) if m is not None and m.difference < 5]
    assert len(near) == len(wanted.palette) and all(m.share_off < POINTS for m in near)
    return [judge(wanted, seen)]


@pytest.mark.slow
@pytest.mark.parametrize("suite", ["edit", "compose", "palette", "sticker"])
def test_true_renders_reach_the_ceiling(suite: str) -> None:
    tallies = judged_render(suite)
    assert total(tallies).total > 1
    assert all(tally.all_right for tally in tallies), [tally.wrong for tally in tallies]


def test_a_dense_prompt_is_a_reading_without_markings() -> None:
    assert read_dense(describe(PLAIN)).characters[0].markings is None


def test_a_series_is_judged_picture_by_picture() -> None:
    for example in held_out.series_examples(4):
        pages = pages_of_truth(example, [read_scene(s) for s in example.drawn])
        differs, everything = judge_pages(example.asked, pages)
        assert differs.all_right and differs.total == example.asked["pictures"]
        assert everything.all_right and everything.total > differs.total
        assert recurring(pages).all_right
        swapped, _ = judge_pages(example.asked, pages[::-1])
        assert not swapped.all_right
        fewer, _ = judge_pages(example.asked, pages[:1])
        assert fewer.total == 1
