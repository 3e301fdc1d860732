"""Conversations: one session, a picture first, then "make it night", "give her a scarf" …

Every later turn is judged as an edit of the picture that the turn before really drew, by the
readings of the two pictures, and again by their two dense prompts (the planner alone). The rows are
those of `edit`; a turn after one without a picture has nothing to keep.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from benchmarks.quality.changes import change_of, judge_change, told_wrong
from benchmarks.quality.evaluation import MOST_OF_ONE, Evaluation, Result, told
from benchmarks.quality.examples import Example, Exchange, chat_examples
from benchmarks.quality.report import Row, verdict_row
from benchmarks.quality.sheet import Panel
from benchmarks.quality.suites.edit import Judged, change_rows, planner_rows
from runtime import Document, Image
from training.storyworld.facts import read_dense
from training.storyworld.reader import Reading
from training.storyworld.scene import Scene

SHARE = 0.3


@dataclass(frozen=True, eq=False)
class Reply:
    """A turn with its answer; `seen` is the reading of the picture drawn last, None without one.

    `true` is the reading of the right answer's picture, None where no ceiling is wanted.
    """

    exchange: Exchange
    document: Document
    seen: Reading | None = None
    true: Reading | None = None

    @property
    def image(self) -> Image | None:
        """The picture that the next turn is about."""
        return self.document.images[-1] if self.document.images else None

    @property
    def described(self) -> Reading | None:
        """What the dense prompt says."""
        return read_dense(self.image.prompt) if self.image is not None else None

    @property
    def scene(self) -> Scene:
        """The right answer's scene."""
        picture = self.exchange.picture
        assert picture is not None and picture.scene is not None
        return picture.scene

    @property
    def true_described(self) -> Reading:
        """What the right answer's dense prompt says."""
        picture = self.exchange.picture
        assert picture is not None
        return read_dense(picture.dense)


Talk = list[Reply]


def chat(evaluation: Evaluation) -> Result:
    examples = chat_examples(evaluation.count(SHARE))
    talks = []
    for number, example in enumerate(examples):
        evaluation.say(f"chat {number + 1}/{len(examples)}")
        talks.append(_talk(evaluation, example, number))
    talks = _read(evaluation, talks)
    turns = [pair for talk in talks for pair in pairwise(talk)]
    judged = [judge_turn(*pair) for pair in turns]
    known = [(before, after) for before, after in turns if after.true is not None]
    rows = change_rows("chat", judged, [_best(*pair) for pair in known])
    rows += planner_rows(
        "chat", [_described(*pair) for pair in turns], [_best_described(*pair) for pair in known]
    )
    rows += _count_rows([reply for talk in talks for reply in talk])
    panels = [p for pair, j in zip(turns, judged, strict=True) for p in _panels(*pair, j)]
    samples = [_to_dict(*parts) for parts in zip(examples, talks, strict=True)]
    return Result(rows, panels, 6, samples)


def _talk(evaluation: Evaluation, example: Example, number: int) -> Talk:
    """The whole conversation, in one session."""
    session = evaluation.runtime.session()
    return [
        Reply(
            exchange,
            evaluation.answer(session, exchange.prompt, number, max_images=MOST_OF_ONE),
        )
        for exchange in example.exchanges
    ]


def _read(evaluation: Evaluation, talks: Sequence[Talk]) -> list[Talk]:
    """The conversations with their pictures read."""
    replies = [reply for talk in talks for reply in talk]
    seen = evaluation.read([r.image.pixels if r.image is not None else None for r in replies])
    true = evaluation.read_scenes([r.scene for r in replies])
    parts = zip(replies, seen, true, strict=True)
    done = (Reply(r.exchange, r.document, found, best) for r, found, best in parts)
    return [[next(done) for _ in talk] for talk in talks]


def judge_turn(before: Reply, after: Reply) -> Judged:
    """What a turn's picture made of the request, and what it kept of the picture before."""
    return judge_change(change_of(before.scene, after.scene), before.seen, after.seen)


def _best(before: Reply, after: Reply) -> Judged:
    return judge_change(change_of(before.scene, after.scene), before.true, after.true)


def _described(before: Reply, after: Reply) -> Judged:
    """The same by the dense prompts."""
    change = change_of(before.scene, after.scene)
    return judge_change(change, before.described, after.described)


def _best_described(before: Reply, after: Reply) -> Judged:
    change = change_of(before.scene, after.scene)
    return judge_change(change, before.true_described, after.true_described)


def _count_rows(replies: Sequence[Reply]) -> list[Row]:
    exact = [len(r.document.images) == r.exchange.asked["pictures"] for r in replies]
    ended = [r.document.finish_reason == "stop" for r in replies]
    return [
        verdict_row("chat", "pictures asked = drawn", exact),
        verdict_row("chat", "answer ends by itself", ended),
    ]


def _panels(before: Reply, after: Reply, judged: Judged) -> list[Panel]:
    wrong = told_wrong(*judged)
    pixels = [r.image.pixels if r.image is not None else None for r in (before, after)]
    return [
        Panel(pixels[0], before.exchange.words),
        Panel(pixels[1], after.exchange.words, wrong),
    ]


def _to_dict(example: Example, talk: Talk) -> dict[str, object]:
    judged = [judge_turn(*pair) for pair in pairwise(talk)]
    return {
        "id": example.document.id,
        "turns": [
            {
                "prompt": reply.exchange.words,
                "text": reply.document.text,
                "dense": reply.image.prompt if reply.image is not None else "",
                "read": told(reply.seen),
            }
            for reply in talk
        ],
        "not made": [made.wrong for made, _ in judged],
        "not kept": [kept.wrong for _, kept in judged],
    }
