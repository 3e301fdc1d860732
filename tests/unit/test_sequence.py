"""Token sequences: ids, loss mask and positions follow the token format exactly."""

from __future__ import annotations

import numpy as np
import pytest

from training import sequence as sq
from training.models.config import CONFIGS
from training.sequence import build_sequence, grid_positions, picture_extent, vision_positions
from training.storyworld.documents import Document, Picture, Text, Turn, sample_document
from training.storyworld.sampling import sample_scene
from training.storyworld.text import describe
from training.tokenizer import load_tokenizer, strings, train_tokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return train_tokenizer(tmp_path_factory.mktemp("tokenizer") / "tokenizer.json", 300)


def example() -> tuple[Document, str]:
    scene = sample_scene(np.random.default_rng(0), characters=1)
    dense = describe(scene)
    user = Turn("user", (Picture(scene), Text("Make it night.")))
    answer = Turn("assistant", (Text("Here.\n"), Picture(scene, dense)), think="One picture.")
    return Document("x", "edit", (user, answer, Turn("user", (Text("Thanks."),)))), dense


def test_layout_of_a_document(tokenizer) -> None:
    document, dense = example()
    built = build_sequence(document, tokenizer)

    def ids(text: str) -> list[int]:
        return tokenizer.encode(text).ids

    expected = [sq.USER, sq.BOI, *[sq.IMAGE] * 16, *ids("Make it night."), sq.ASSISTANT]
    learned = [False] * len(expected)
    answer = [sq.THINK, *ids("One picture."), sq.END_THINK, *ids("Here.\n"), sq.IMAGINE,
              *ids(dense), sq.END_IMAGINE, sq.SIZE, *ids("16*16"), sq.END_SIZE, sq.BOI]  # fmt: skip
    expected += [*answer, *[sq.IMAGE] * 16, sq.EOS, sq.USER, *ids("Thanks.")]
    learned += [True] * len(answer) + [False] * 16 + [True]
    learned += [False] * (len(expected) - len(learned))
    assert built.tokens.tolist() == expected
    assert built.loss_mask.tolist() == learned
    given, drawn = built.pictures
    assert given.given and given.dense is None and given.image_tokens == (2, 18)
    assert not drawn.given and drawn.grid == (16, 16)
    start, end = drawn.dense
    assert built.tokens[start - 1] == sq.IMAGINE and built.tokens[end] == sq.END_IMAGINE
    assert tokenizer.decode(built.tokens[start:end].tolist()) == dense


def test_positions_of_a_document(tokenizer) -> None:
    document, _ = example()
    built = build_sequence(document, tokenizer)
    given = built.pictures[0]
    assert given.start_position == 2
    np.testing.assert_array_equal(built.positions[:2, 0], [0, 1])
    np.testing.assert_allclose(built.positions[2], [2, 4, 4])
    np.testing.assert_allclose(built.positions[17], [2, 16, 16])
    assert built.positions[18].tolist() == [18, 18, 18]
    text = built.tokens != sq.IMAGE
    assert (built.positions[text] == built.positions[text][:, :1]).all()
    assert built.positions.dtype == np.float32 and built.tokens.dtype == np.int64


def test_latent_tokens_are_one_apart_in_every_grid() -> None:
    for h, w in ((16, 16), (10, 24), (24, 12), (4, 32)):
        positions = grid_positions(h, w)
        assert positions.shape == (h * w, 3)
        assert positions[0].tolist() == [0, 0.5, 0.5]
        assert positions[w + 1].tolist() == [0, 1.5, 1.5]
        assert positions[-1].tolist() == [0, h - 0.5, w - 0.5]
        vision = vision_positions(h, w, 7)
        assert len(vision) == -(-h // 4) * -(-w // 4)
        assert (vision[:, 0] == 7).all()
        # A feature of the planner's eyes stands in the middle of the tokens it covers.
        assert vision[0, 1:].tolist() == [9, 9]
    assert picture_extent(16, 16) == 16
    assert picture_extent(10, 24) == 24


def test_any_text_survives(tokenizer) -> None:
    for text in ("naïve ☃ 狐 🦊\n\t", "<EOS> <|image|> <imagine>", "#A1BC09 35%, 1234"):
        ids = tokenizer.encode(text).ids
        assert tokenizer.decode(ids) == text
        assert min(ids) >= len(sq.SPECIAL_TOKENS)


def test_digits_stand_alone(tokenizer) -> None:
    tokens = tokenizer.encode("in 12 pictures, #A1BC09 35%").tokens
    assert all(sum(c.isdigit() for c in t) <= 1 for t in tokens)
    assert "BC" not in tokens


def test_special_tokens_come_first(tokenizer) -> None:
    assert [tokenizer.id_to_token(i) for i in range(12)] == list(sq.SPECIAL_TOKENS)
    assert tokenizer.get_vocab_size() <= 2048


def test_training_the_tokenizer_is_deterministic(tmp_path) -> None:
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    train_tokenizer(first, 50, seed=3)
    train_tokenizer(second, 50, seed=3)
    assert first.read_bytes() == second.read_bytes()
    assert load_tokenizer(first).encode("a red fox").ids


def test_strings_are_all_that_is_encoded(tokenizer) -> None:
    document = sample_document(np.random.default_rng(1), "story")
    built = build_sequence(document, tokenizer)
    text = sum(len(tokenizer.encode(s).ids) for s in strings(document))
    kept = built.tokens[built.tokens >= len(sq.SPECIAL_TOKENS)]
    sizes = len(built.pictures) * len(tokenizer.encode("16*16").ids)
    assert len(kept) == text + sizes


def test_sizes_off_the_grid_are_refused() -> None:
    with pytest.raises(ValueError, match="multiples of 16"):
        sq.latent_grid((250, 256))


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_the_planner_sees_pictures_where_the_sequence_has_them(name: str) -> None:
    assert CONFIGS[name].planner.image_token == sq.IMAGE
