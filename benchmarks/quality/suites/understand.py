"""Understanding: captions of given pictures and questions about them, answered in words.

A right answer contains the words that the grammar's own answer must contain, whole and in any
order. The ceiling is the grammar's own answers, judged the same way.

| rows | meaning |
| --- | --- |
| captions: words right | of the words that a caption must contain |
| captions: every word | captions with all of them |
| captions: words agree | mentions of places, times, props … that the picture bears out |
| questions answered | by what the question is about, below |
| answered in words alone | no picture is drawn |
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.quality.evaluation import Evaluation, Result
from benchmarks.quality.examples import Example, Exchange, caption_examples, question_examples
from benchmarks.quality.narration import contradictions
from benchmarks.quality.report import Row, share_row, verdict_row
from runtime import Document
from training.storyworld.documents import Text
from training.storyworld.facts import Tally, read_scene, total
from training.storyworld.scene import KINDS

CAPTION_SHARE, QUESTION_SHARE = 0.25, 0.75
_KIND = "|".join(KINDS)
# The first that fits decides.
SUBJECTS = {
    "how many": r"^how many|^count ",
    "colours": r"colou?r",
    "clothes": r"wearing",
    "place": rf"^where is (this|the .*({_KIND}))|^where are they|^what place",
    "time of day": r"time of day|day or night|^when ",
    "weather": r"weather|raining",
    "action": r"doing\?$|^what does",
    "facing": r"^which way",
    "things": r"^is there|^do you see|^where is the|^what things|^which objects",
    "who": r"^who|^which animals",
}


@dataclass(frozen=True, eq=False)
class Reply:
    """A turn about a given picture, with its answer."""

    example: Example
    exchange: Exchange
    document: Document

    @property
    def true_text(self) -> str:
        """The grammar's own answer."""
        return "".join(p.text for p in self.exchange.answer.parts if isinstance(p, Text))

    def found(self, text: str) -> list[bool]:
        """For each word of a right answer whether a text contains it."""
        return words_in(text, self.exchange.asked["answer"])


def understand(evaluation: Evaluation) -> Result:
    captions = _replies(evaluation, "captions", caption_examples(evaluation.count(CAPTION_SHARE)))
    questions = _replies(
        evaluation, "questions", question_examples(evaluation.count(QUESTION_SHARE))
    )
    ceiling = evaluation.settings.ceiling
    rows = [*_caption_rows(captions, ceiling), *_question_rows(questions, ceiling)]
    silent = [bool(r.document.text) and not r.document.images for r in (*captions, *questions)]
    rows.append(verdict_row("understand", "answered in words alone", silent))
    return Result(rows, samples=[_to_dict(r) for r in (*captions, *questions)])


def _replies(evaluation: Evaluation, name: str, examples: Sequence[Example]) -> list[Reply]:
    """Every turn of every example, each conversation in a session of its own."""
    replies = []
    for number, example in enumerate(examples):
        evaluation.say(f"{name} {number + 1}/{len(examples)}")
        session = evaluation.runtime.session()
        for exchange in example.exchanges:
            answer = evaluation.answer(
                session, exchange.prompt, number, steps=evaluation.fewest_steps, max_images=1
            )
            replies.append(Reply(example, exchange, answer))
    return replies


def words_in(text: str, words: Sequence[str]) -> list[bool]:
    """For each word whether a text contains it as a whole word."""
    said = set(re.findall(r"[a-z]+", text.lower()))
    return [word.lower() in said for word in words]


def subject(question: str) -> str:
    """What a question is about, one of `SUBJECTS`; "" where it is none of these."""
    asked = question.lower()
    return next((name for name, form in SUBJECTS.items() if re.search(form, asked)), "")


def _caption_rows(replies: Sequence[Reply], ceiling: bool) -> list[Row]:
    told = [(r, r.document.text) for r in replies]
    true = [(r, r.true_text) for r in replies] if ceiling else []
    found, best = ([r.found(text) for r, text in pairs] for pairs in (told, true))
    return [
        verdict_row("understand", "captions: words right", _flat(found), _flat(best)),
        verdict_row("understand", "captions: every word", [*map(all, found)], [*map(all, best)]),
        share_row("understand", "captions: words agree", _agreement(told), _agreement(true)),
    ]


def _flat(found: Sequence[Sequence[bool]]) -> list[bool]:
    return [right for each in found for right in each]


def _agreement(pairs: Sequence[tuple[Reply, str]]) -> Tally:
    """What captions mention, held against the true scenes."""
    return total([contradictions(text, read_scene(r.example.given[0])) for r, text in pairs])


def _question_rows(replies: Sequence[Reply], ceiling: bool) -> list[Row]:
    return [
        _answered("questions answered", replies, ceiling),
        *(
            _answered(f"question: {name}", some, ceiling)
            for name in SUBJECTS
            if (some := [r for r in replies if subject(r.exchange.words) == name])
        ),
    ]


def _answered(name: str, replies: Sequence[Reply], ceiling: bool) -> Row:
    return verdict_row(
        "understand",
        name,
        [all(r.found(r.document.text)) for r in replies],
        [all(r.found(r.true_text)) for r in replies] if ceiling else [],
    )


def _to_dict(reply: Reply) -> dict[str, object]:
    return {
        "id": reply.example.document.id,
        "question": reply.exchange.words,
        "answer": reply.document.text,
        "right": reply.true_text,
        "found": reply.found(reply.document.text),
    }
