"""Stories: the same characters from picture to picture, and words that agree with the pictures.

A character is followed by its kind through the dense prompts; in each picture the figure that fits
its description best is taken to be it. Identity is judged against the character's first picture,
not against a text, so what is drawn wrongly but stays the same counts as the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.quality.evaluation import Evaluation, Result
from benchmarks.quality.examples import Example, story_examples
from benchmarks.quality.narration import contradictions
from benchmarks.quality.report import Row, seconds_row, share_row, slot_rows, verdict_row
from benchmarks.quality.sheet import Panel
from runtime import Document, Image, Text
from training.storyworld.documents import Picture
from training.storyworld.documents import Text as Words
from training.storyworld.facts import (
    SLOTS,
    Tally,
    identity,
    judge,
    pair,
    read_dense,
    total,
    wanted_from_dense,
)
from training.storyworld.reader import ReadCharacter, Reading

SHARE = 0.15
PICTURES = 4
# Enough to tell that too many were drawn.
MOST = PICTURES + 2


@dataclass(frozen=True)
class Page:
    """The text before a picture, its dense prompt, and what was read from it."""

    text: str
    dense: str
    seen: Reading | None

    @property
    def described(self) -> Reading:
        return read_dense(self.dense)


Pages = Sequence[Page]


def story(evaluation: Evaluation) -> Result:
    examples = story_examples(evaluation.count(SHARE), PICTURES)
    documents = evaluation.documents("story", examples, max_images=MOST)
    told, best = told_and_true(evaluation, examples, documents)
    rows = [*_count_rows(examples, documents), _asked_row(examples, told, best)]
    rows += _identity_rows(told, best)
    rows += [*_text_rows(told, best), *_picture_rows(told, best)]
    panels = [
        Panel(image.pixels, page.text.strip(), "")
        for d, pages in zip(documents, told, strict=True)
        for image, page in list(zip(d.images, pages, strict=True))[:PICTURES]
    ]
    samples = [_to_dict(*parts) for parts in zip(examples, documents, told, strict=True)]
    return Result(rows, panels, PICTURES, samples)


def told_and_true(
    evaluation: Evaluation, examples: Sequence[Example], documents: Sequence[Document]
) -> tuple[list[list[Page]], list[list[Page]]]:
    """Every document's pages and its example's, with all of their pictures read together."""
    seen = evaluation.read([image.pixels for d in documents for image in d.images])
    true = evaluation.read_scenes([scene for e in examples for scene in e.drawn])
    drawn = _split(seen, [len(d.images) for d in documents])
    right = _split(true, [len(e.drawn) for e in examples])
    told = [pages_of(d, s) for d, s in zip(documents, drawn, strict=True)]
    return told, [pages_of_truth(e, s) for e, s in zip(examples, right, strict=True)]


def _split(items: Sequence[Reading | None], counts: Sequence[int]) -> list[list[Reading | None]]:
    rest = iter(items)
    return [[next(rest) for _ in range(count)] for count in counts]


def pages_of(document: Document, seen: Sequence[Reading | None]) -> list[Page]:
    """A generated document, page by page."""
    pages: list[Page] = []
    text = ""
    for segment in document.segments:
        if isinstance(segment, Text):
            text += segment.text
        elif isinstance(segment, Image):
            pages.append(Page(text, segment.prompt, seen[len(pages)]))
            text = ""
    return pages


def pages_of_truth(example: Example, seen: Sequence[Reading | None]) -> list[Page]:
    """The right answer to an example, page by page."""
    pages: list[Page] = []
    text = ""
    for part in example.document.turns[1].parts:
        if isinstance(part, Words):
            text += part.text
        elif isinstance(part, Picture):
            pages.append(Page(text, part.dense, seen[len(pages)]))
            text = ""
    return pages


@dataclass(frozen=True)
class Appearance:
    """A character in one picture: as described, and as seen if it was; `read` says whether the
    picture was read at all."""

    described: ReadCharacter
    seen: ReadCharacter | None
    read: bool


def _followed(pages: Pages) -> list[list[Appearance]]:
    """The appearances of each character, by its kind."""
    found: dict[str, list[Appearance]] = {}
    for page in pages:
        seen = page.seen.characters if page.seen is not None else ()
        for described, figure in pair(page.described.characters, seen):
            if described.kind is not None:
                here = Appearance(described, figure, page.seen is not None)
                found.setdefault(described.kind, []).append(here)
    return list(found.values())


def recurring(pages: Pages) -> Tally:
    """Identity of later pictures of a character with its first."""
    return total(
        [
            identity(first.seen, later.seen)
            for first, *others in _followed(pages)
            for later in others
            if first.read and later.read
        ]
    )


def restated(pages: Pages) -> Tally:
    """Lasting attributes that later dense prompts say again as the first one did.

    Every coat has a colour, so one that the first does not say is not said again; a missing
    accessory is none.
    """
    tally = Tally()
    for first, *others in _followed(pages):
        for later in others:
            color = first.described.color
            tally.add("color", color is not None and later.described.color == color)
            tally.add("accessory", later.described.accessory == first.described.accessory)
    return tally


def heeded(asked: Mapping[str, Any], pages: Pages) -> Tally:
    """What the prompt asks for, looked for in the dense prompts: characters, the place, the weather
    and things somewhere, the time at the beginning, the style everywhere."""
    tally, told = Tally(), [page.described for page in pages]
    everybody = [c for page in told for c in page.characters]
    for character in asked.get("characters", ()):
        named = [c for c in everybody if c.kind == character["kind"]]
        tally.add("kind", bool(named))
        if "color" in character:
            tally.add("color", any(c.color == character["color"] for c in named))
        if character.get("accessory"):
            tally.add("accessory", any(_worn(c) == character["accessory"] for c in named))
    if "place" in asked:
        tally.add("place", any(page.place == asked["place"] for page in told))
    if "time" in asked:
        tally.add("time", any(page.time == asked["time"] for page in told[:1]))
    if "weather" in asked:
        tally.add("weather", any(page.weather == asked["weather"] for page in told))
    for kind in asked.get("props", ()):
        tally.add("props", any(prop.kind == kind for page in told for prop in page.props))
    if "style" in asked:
        tally.add("style", bool(told) and all(page.style == asked["style"] for page in told))
    return tally


def _worn(character: ReadCharacter) -> str:
    worn = character.accessory
    return f"{worn.color} {worn.kind}" if worn else ""


def _asked_row(examples: Sequence[Example], told: Sequence[Pages], best: Sequence[Pages]) -> Row:
    found, ceiling = (
        total([heeded(e.asked, pages) for e, pages in zip(examples, stories, strict=True)])
        for stories in (told, best)
    )
    return share_row("story", "what the prompt asks for is in the dense prompts", found, ceiling)


def _identity_rows(told: Sequence[Pages], best: Sequence[Pages]) -> list[Row]:
    found, ceiling = total([recurring(p) for p in told]), total([recurring(p) for p in best])
    names = {
        "named": "identity: named attributes",
        "markings": "identity: markings (all four)",
        "form": "identity: markings' form",
        "hue": "identity: markings' colour",
        "scale": "identity: markings' scale",
        "angle": "identity: markings' angle",
    }
    return [share_row("story", name, found, ceiling, slot) for slot, name in names.items()]


def _text_rows(told: Sequence[Pages], best: Sequence[Pages]) -> list[Row]:
    """Shares of checks that agree; the rest are contradictions."""
    checks = {}
    for which, stories in (("told", told), ("best", best)):
        pages = [page for story_pages in stories for page in story_pages]
        checks[which] = (
            total([contradictions(p.text, p.described) for p in pages]),
            total([contradictions(p.text, p.seen) for p in pages if p.seen is not None]),
            total([restated(story_pages) for story_pages in stories]),
        )
    names = (
        "narration's words agree with the dense prompt",
        "narration's words agree with the picture",
        "lasting attributes restated",
    )
    rows = zip(names, checks["told"], checks["best"], strict=True)
    return [share_row("story", name, found, ceiling) for name, found, ceiling in rows]


def _picture_rows(told: Sequence[Pages], best: Sequence[Pages]) -> list[Row]:
    """The pictures against their dense prompts."""
    found, ceiling = (
        total(
            [
                judge(wanted_from_dense(p.dense), p.seen)
                for pages in stories
                for p in pages
                if p.seen
            ]
        )
        for stories in (told, best)
    )
    return [
        share_row("story", "slots right, by the dense prompt", found, ceiling),
        *slot_rows("story", found, ceiling, SLOTS),
    ]


def _count_rows(examples: Sequence[Example], documents: Sequence[Document]) -> list[Row]:
    pairs = list(zip(examples, documents, strict=True))
    exact = [len(d.images) == e.asked["pictures"] for e, d in pairs]
    named = Tally()
    for example, document in pairs:
        for name in example.asked.get("names", ()):
            named.add("name", name in document.text)
    ended = [d.finish_reason == "stop" for d in documents]
    seconds = [d.stats.total_s for d in documents if len(d.images) == PICTURES]
    return [
        verdict_row("story", "pictures asked = drawn", exact),
        verdict_row("story", "answer ends by itself", ended),
        share_row("story", "names asked for are used", named),
        seconds_row("story", f"time of {PICTURES} pictures, median", seconds),
    ]


def _to_dict(example: Example, document: Document, pages: Pages) -> dict[str, object]:
    found = recurring(pages)
    return {
        "id": example.document.id,
        "prompt": example.words,
        "seconds": document.stats.total_s,
        "pages": [{"text": p.text, "dense": p.dense} for p in pages],
        "right": dict(found.right),
        "judged": dict(found.judged),
    }
