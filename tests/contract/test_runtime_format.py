"""The runtime and the training code build the same sequences: ids, positions, windows' rows."""

from __future__ import annotations

from functools import cache
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import Session
from runtime.bundle import TOKEN_TEXT, SpecialTokens
from runtime.grid import Grid, all_grids
from runtime.history import PlacedPicture
from runtime.interfaces import ImageGeometry
from runtime.positions import latent_positions, picture_extent, vision_positions
from runtime.window import choose_references, plan_window
from tests.fake_bundle import SPECIAL, fake_runtime

sequence = pytest.importorskip("training.sequence")
documents = pytest.importorskip("training.storyworld.documents.document")
IMAGE = ImageGeometry(16, 4, 512, (256, 256), 8.0, 48)
PICTURE = np.random.default_rng(5).integers(0, 255, (96, 64, 3), dtype=np.uint8)


@settings(deadline=None)
@given(st.sampled_from(all_grids(IMAGE)), st.integers(0, 5000))
def test_positions_agree(grid: Grid, start: int) -> None:
    h, w = grid.rows, grid.columns
    assert np.array_equal(latent_positions(grid), sequence.grid_positions(h, w))
    assert np.array_equal(
        vision_positions(grid, start, IMAGE), sequence.vision_positions(h, w, start)
    )
    assert picture_extent(grid) == sequence.picture_extent(h, w)
    assert grid.vision(IMAGE) == sequence.vision_grid(h, w)


def test_control_tokens_agree() -> None:
    assert tuple(TOKEN_TEXT.values()) == sequence.SPECIAL_TOKENS
    assert SpecialTokens(*range(12)) == SPECIAL


@settings(deadline=None)
@given(st.lists(st.booleans(), max_size=12), st.integers(0, 6))
def test_the_same_references_are_kept(given_ones: list[bool], limit: int) -> None:
    pictures = [
        PlacedPicture(Grid(1, 1), range(i, i + 1), i, pixels=PICTURE if mark else None)
        for i, mark in enumerate(given_ones)
    ]
    kept = [len(pictures) - r.distance for r in choose_references(pictures, limit)]
    assert kept == from_training("commissions").reference_window(given_ones, limit)


@cache
def from_training(name: str) -> ModuleType:
    """A module that takes a while to import, and may need torch."""
    module: ModuleType = pytest.importorskip(f"training.{name}")
    return module


class Pieces:
    """Takes a session's tokens apart into a document of the training code, and stands in for its
    tokenizer: every text is a key for the ids that were really written."""

    def __init__(self, session: Session) -> None:
        self.ids: dict[str, list[int]] = {}
        self.grids = [p.grid for p in session.history.pictures]
        self.turns: list[object] = []
        role, think = "", ""
        parts: list[object] = []
        run: list[int] = []
        dense = ""
        names = {SPECIAL.user: "user", SPECIAL.assistant: "assistant"}
        for token in [*map(int, session.planner.tokens[: session.planner.length]), SPECIAL.user]:
            if token >= len(TOKEN_TEXT):
                run.append(token)
                continue
            text = self.key(run)
            if token == SPECIAL.think_close:
                think = text
            elif token == SPECIAL.imagine_close:
                dense = text
            elif token == SPECIAL.boi:
                parts += [documents.Text(text)] if text and not dense else []
                grid = self.grids.pop(0)
                parts.append(documents.Picture(None, dense, grid.pixels(IMAGE)))
                dense = ""
            elif token != SPECIAL.size_close and text:
                parts.append(documents.Text(text))
            run = []
            if token in names:
                if role:
                    self.turns.append(documents.Turn(role, tuple(parts), think))
                role, think, parts = names[token], "", []

    def key(self, run: list[int]) -> str:
        name = f"text {len(self.ids)}" if run else ""
        self.ids[name] = list(run)
        return name

    def encode(self, text: str, add_special_tokens: bool) -> SimpleNamespace:
        if "*" in text:
            return SimpleNamespace(ids=self.vocabulary_encode(text))
        return SimpleNamespace(ids=self.ids[text])

    vocabulary_encode = staticmethod(lambda text: [])


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """Two turns with a plan, given pictures and drawn ones of several sizes."""
    runtime = fake_runtime(tmp_path_factory.mktemp("bundle"))
    chat = runtime.session()
    chat.generate(["Look at", PICTURE, "and go on."], seed=1, think=True)
    chat.generate([PICTURE[:64], "Now make it night."], seed=2, think=False)
    return chat


def test_a_session_is_what_training_would_have_built(session: Session) -> None:
    pieces = Pieces(session)
    pieces.vocabulary_encode = session.runtime.vocabulary.encode
    document = documents.Document("x", "chat", tuple(pieces.turns))
    built = sequence.build_sequence(document, pieces)
    planner, count = session.planner, session.planner.length
    assert np.array_equal(built.tokens, planner.tokens[:count])
    assert np.array_equal(built.positions, planner.positions[:count])
    assert len(built.pictures) == len(session.history.pictures) == 8
    for span, placed in zip(built.pictures, session.history.pictures, strict=True):
        assert span.image_tokens == (placed.slots.start, placed.slots.stop)
        assert span.start_position == placed.position
        assert span.grid == (placed.grid.rows, placed.grid.columns)
        assert span.given == placed.given


def test_windows_have_the_same_rows(session: Session) -> None:
    pieces = Pieces(session)
    pieces.vocabulary_encode = session.runtime.vocabulary.encode
    document = documents.Document("x", "chat", tuple(pieces.turns))
    built = sequence.build_sequence(document, pieces)
    for k, span in enumerate(built.pictures):
        if span.given:
            continue
        references = choose_references(session.history.pictures[:k], 3)
        end = int(built.positions[span.dense[1] - 1, 0])
        plan = plan_window(range(*span.dense), end, references)
        kept = from_training("commissions").reference_window(
            [p.given for p in built.pictures[:k]], 3
        )
        index, shift = from_training("drawing").planner_rows(built, k, kept)
        assert np.array_equal(plan.index, index)
        assert np.array_equal(plan.shift, shift)
