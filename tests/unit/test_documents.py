"""The grammar: its documents are whole, honour their prompts, and never contradict a picture."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest

from training.storyworld.documents import (
    MAKERS,
    TASKS,
    UNDERSTANDING,
    Document,
    Picture,
    Text,
    document_from_dict,
    requested,
    sample_document,
)
from training.storyworld.documents.dice import Dice
from training.storyworld.documents.edits import Edit, sample_edit
from training.storyworld.documents.plots import PLOTS
from training.storyworld.documents.references import GIVEN, ORDINALS
from training.storyworld.documents.stories import choose_beats
from training.storyworld.documents.wording import NUMBERS
from training.storyworld.sampling import sample_scene
from training.storyworld.scene import (
    ACCESSORIES,
    COLORS,
    FORMS,
    KINDS,
    MAX_CHARACTERS,
    PLACES,
    PROPS,
    Scene,
    Swatch,
    is_held_out,
)
from training.storyworld.text import describe, parse, same_named

WORDS = re.compile(r"[a-z]+")


def documents(task: str | None, count: int, seed: int = 0, held_out: bool = False):
    rng = np.random.default_rng(seed)
    return [sample_document(rng, task, held_out) for _ in range(count)]


def drawn(document: Document) -> list[Scene]:
    return [p.scene for p in document.pictures() if not p.given and p.scene is not None]


def test_parse_inverts_every_wording_of_describe() -> None:
    rng = np.random.default_rng(0)
    for seed in range(500):
        scene = sample_scene(rng)
        if seed % 5 == 0:
            scene = scene.with_(palette=(Swatch("#A0B1C2", 0.65), Swatch("#0F1E2D", 0.35)))
        if seed % 7 == 0:
            scene = scene.with_(sticker=True)
        dense = describe(scene, random.Random(seed))
        assert same_named(scene, parse(dense)), dense
        assert not any(form in dense.split() for form in FORMS)


def test_parse_returns_what_it_finds() -> None:
    found = parse("a red fox running in the snow, with a lantern")
    assert [c.kind for c in found.characters] == ["fox"]
    assert found.characters[0].color == "red"
    assert found.props[0].kind == "lantern"
    assert found.weather == "snow"
    assert found.style is None
    assert parse("") == parse("nothing here")


@pytest.mark.parametrize("task", MAKERS)
def test_every_task_makes_whole_documents(task: str) -> None:
    for document in documents(task, 60):
        assert document.task == task
        assert [t.role for t in document.turns] == ["user", "assistant"] * (
            len(document.turns) // 2
        )
        for turn in document.turns:
            assert turn.parts
            for part in turn.parts:
                if isinstance(part, Text):
                    assert part.text.strip()
                    assert not re.search(r"[{}\[\]|]| {2}|,,|\.\.\.\.", part.text), part.text
                else:
                    assert part.given == (turn.role == "user")
                    assert part.scene is not None and part.size == part.scene.size
                    assert part.size[0] * part.size[1] <= 512 * 256
        has_picture = bool(drawn(document))
        assert has_picture == (task not in UNDERSTANDING)


def test_the_same_state_gives_the_same_document() -> None:
    assert documents(None, 40, seed=5) == documents(None, 40, seed=5)


def test_documents_survive_json() -> None:
    import json

    for document in documents(None, 40):
        assert document_from_dict(json.loads(json.dumps(document.to_dict()))) == document


@pytest.mark.parametrize("held_out", [False, True])
def test_held_out_combinations_are_kept_apart(held_out: bool) -> None:
    for task in MAKERS:
        for document in documents(task, 25, held_out=held_out):
            for picture in document.pictures():
                assert picture.scene is not None
                assert all(is_held_out(c) == held_out for c in picture.scene.characters)


def test_generation_outweighs_understanding_five_to_one() -> None:
    understanding = sum(TASKS[t] for t in UNDERSTANDING)
    assert sum(TASKS.values()) - understanding == 5 * understanding


def test_what_is_asked_holds() -> None:
    for task in ("t2i", "story", "guide", "series", "compose", "sticker", "palette", "edit"):
        for document in documents(task, 120, seed=2):
            asked, scenes = requested(document)[0], drawn(document)
            if asked["pictures"] is not None:
                assert asked["pictures"] == len(scenes)
            for name in ("place", "time", "weather", "style"):
                if name in asked:
                    assert asked[name] in [getattr(s, name) for s in scenes]
            shown = {p.kind for s in scenes for p in s.props}
            assert shown.issuperset(asked.get("props", []))
            for slots in asked.get("characters", []):
                assert any(_has(c, slots) for s in scenes for c in s.characters), (asked, scenes)
            if "size" in asked:
                assert all(list(s.size) == asked["size"] for s in scenes)
            text = " ".join(p.text for p in document.turns[1].parts if isinstance(p, Text))
            assert all(name in text for name in asked.get("names", []))


def _has(character, slots) -> bool:
    worn = character.accessory
    have = {"accessory": f"{worn.color} {worn.kind}" if worn else None}
    return all(have.get(k, getattr(character, k, None)) == v for k, v in slots.items())


def test_stories_keep_their_characters() -> None:
    for document in documents("story", 150):
        looks: dict[tuple[str, str], set] = {}
        for scene in drawn(document):
            for c in scene.characters:
                looks.setdefault((c.kind, c.color), set()).add((c.accessory, c.markings))
        assert all(len(v) == 1 for v in looks.values())
        assert len({s.style for s in drawn(document)}) == 1


def test_of_many_given_pictures_the_words_say_which_are_drawn() -> None:
    numbers = set()
    for seed in range(300):
        document = sample_document(np.random.default_rng(seed), "compose")
        *given, drawn = document.pictures()
        numbers.add(len(given))
        cast = [picture.scene.characters[0] for picture in given]
        together = {(c.kind, c.color, c.markings) for c in drawn.scene.characters}
        chosen = [i for i, c in enumerate(cast) if (c.kind, c.color, c.markings) in together]
        assert len(chosen) == len(drawn.scene.characters) <= MAX_CHARACTERS
        if len(chosen) == len(given):
            continue
        words = next(p.text for p in document.turns[0].parts if isinstance(p, Text)).lower()
        by_place = [i for i, ordinal in enumerate(ORDINALS) if f"the {ordinal}" in words]
        kinds = [c.kind for c in cast]
        for i in chosen:
            color = f"{cast[i].color} " * (len(set(kinds)) < len(kinds))
            assert by_place == chosen or f"the {color}{cast[i].kind}" in words
    assert numbers == set(GIVEN)


def test_edits_keep_markings_and_places() -> None:
    for document in documents("edit", 200):
        before, after = (p.scene for p in document.pictures())
        assert [(c.kind, c.markings, c.x) for c in before.characters] == [
            (c.kind, c.markings, c.x) for c in after.characters
        ]
        assert before != after and before.size == after.size


@pytest.mark.parametrize("task", ["story", "guide", "series"])
def test_a_number_that_is_asked_is_said(task: str) -> None:
    for document in documents(task, 400):
        prompt = " ".join(p.text for p in document.turns[0].parts if isinstance(p, Text))
        count = requested(document)[0]["pictures"]
        if count is not None:
            assert re.search(rf"\b({count}|{NUMBERS[count]})\b", prompt, re.IGNORECASE), prompt


def edits(count: int) -> Iterator[tuple[Scene, Edit]]:
    rng = np.random.default_rng(0)
    dice = Dice(rng)
    for _ in range(count):
        scene = sample_scene(rng)
        yield scene, sample_edit(dice, scene)


def slots(scene: Scene) -> dict[str, object]:
    """What an edit may change, by name."""
    found = {n: getattr(scene, n) for n in ("place", "time", "weather", "style", "props")}
    for name in ("color", "accessory", "action", "facing"):
        found[name] = [getattr(c, name) for c in scene.characters]
    return found


def test_two_edits_at_once_change_two_slots() -> None:
    twice = 0
    for scene, edit in edits(2000):
        before, after = slots(scene), slots(edit.scene)
        changed = [name for name in before if before[name] != after[name]]
        assert len(changed) == 1 + (" and " in edit.instruction), edit.instruction
        twice += len(changed) == 2
    assert twice > 100


def test_edits_leave_no_doubt_whom_they_mean() -> None:
    things = "|".join(ACCESSORIES)
    for scene, edit in edits(3000):
        order, figures = edit.instruction, scene.characters
        worn = [c.accessory.kind for c in figures if c.accessory]
        for thing in re.findall(rf"swap the ({things})\b", order):
            assert worn.count(thing) == 1, order
        if re.search(rf"\badd an? \w+ ({things})\b", order):
            assert len(figures) == 1, order
        for thing, who in re.findall(r"put an? (\w+) next to the ([\w ]+?)(?: and |$)", order):
            gap = next(p.gap for p in edit.scene.props if p.kind == thing)
            beside = edit.scene.characters[max(gap - 1, 0) : gap + 1]
            assert any(who in (c.kind, f"{c.color} {c.kind}") for c in beside), order


def contradictions(text: str, scene: Scene) -> set[str]:
    """Words of the storyworld in `text` that the picture does not show."""
    words = set(WORDS.findall(text.lower()))
    worn = [c.accessory for c in scene.characters if c.accessory]
    colors = {c.color for c in scene.characters} | {a.color for a in worn}
    wrong = words & set(KINDS) - {c.kind for c in scene.characters}
    wrong |= words & set(COLORS) - colors
    wrong |= words & set(PROPS) - {p.kind for p in scene.props}
    wrong |= words & set(PLACES) - {scene.place}
    wrong |= words & {"morning", "evening", "night"} - {scene.time}
    wrong |= words & {"rain", "snow"} - {scene.weather}
    done = {"walked": "walking", "ran": "running", "jumped": "jumping", "sat": "sitting",
            "waved": "waving", "slept": "sleeping", "cheered": "cheering"}  # fmt: skip
    shown = {c.action for c in scene.characters}
    return wrong | {w for w in words & set(done) if done[w] not in shown}


@pytest.mark.parametrize("task", ["story", "guide", "series"])
def test_narration_never_contradicts_its_picture(task: str) -> None:
    for document in documents(task, 400):
        parts = document.turns[1].parts
        for text, picture in pairwise(parts):
            if isinstance(text, Text) and isinstance(picture, Picture):
                assert picture.scene is not None
                assert not contradictions(text.text, picture.scene), text.text


@pytest.mark.parametrize("plot", PLOTS, ids=lambda p: p.name)
def test_every_plot_can_be_told_in_two_to_twelve_pictures(plot) -> None:
    dice = Dice(np.random.default_rng(0))
    for count in range(2, 13):
        for _ in range(10):
            assert len(choose_beats(dice, plot, count)) == count


def test_what_is_lost_and_found_is_lost_before_it_is_searched() -> None:
    plot = next(p for p in PLOTS if p.name == "lost and found")
    search = re.compile("could not find it|not seen it|searched|forgotten|give up|it was,|saw it")
    dice = Dice(np.random.default_rng(0))
    for count in [*range(2, 13)] * 20:
        texts = [beat.text for beat in choose_beats(dice, plot, count)]
        told = next(i for i, text in enumerate(texts) if "it was gone" in text)
        assert not any(search.search(text) for text in texts[:told]), texts
        assert search.search(texts[-1])


def test_it_is_late_only_in_the_evening_and_at_night() -> None:
    late = 0
    for document in documents("story", 1000):
        for text, picture in pairwise(document.turns[1].parts):
            if isinstance(text, Text) and re.search(r"\blate\b|time to go home", text.text):
                assert isinstance(picture, Picture) and picture.scene is not None
                assert picture.scene.time in ("evening", "night"), text.text
                late += 1
    assert late > 10


def test_pictures_of_one_turn_are_counted_down() -> None:
    for task in ("story", "guide", "series", "chat", "t2i"):
        for document in documents(task, 20):
            for turn in document.turns:
                drawn = [p for p in turn.parts if isinstance(p, Picture) and not p.given]
                numbers = [re.match(r"(\d+) to go: ", p.dense) for p in drawn]
                if len(drawn) < 2:
                    assert not any(numbers)
                    continue
                found = [int(n[1]) for n in numbers if n]
                assert found == list(range(len(drawn), 0, -1))
                for picture in drawn:
                    assert picture.scene is not None
                    assert same_named(picture.scene, parse(picture.dense))
