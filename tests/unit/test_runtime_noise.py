"""Noise and sampling come from counters: known answers, and independence of everything else."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.noise import STREAM_IMAGE, STREAM_TEXT, normal, random_words, rounds, uniform
from runtime.sampling import choose


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ((0, 0, 0, 0), (0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
def test_philox_gives_the_known_answers_of_its_authors(
    counter: tuple[int, ...], key: tuple[int, int], expected: str
) -> None:
    a, b, c, d = counter
    assert " ".join(f"{word:08x}" for word in rounds((a, b, c, d), key)) == expected
    arrays = [np.array([word, 0], np.uint64) for word in counter]
    blocks = rounds((arrays[0], arrays[1], arrays[2], arrays[3]), key)
    assert " ".join(f"{int(words[0]):08x}" for words in blocks) == expected


def test_normals_are_the_same_bits_everywhere() -> None:
    digest = hashlib.sha256(normal(7, STREAM_IMAGE, 3, 10_001).tobytes()).hexdigest()
    assert digest == "2f2e00c69b53185ff8c5cb1b11f3afcefab677ceee6ed216c3c3d546b98da15b"


def test_normals_are_normal() -> None:
    values = normal(1, STREAM_IMAGE, 0, 1 << 18).astype(np.float64)
    assert abs(values.mean()) < 0.01
    assert abs(values.std() - 1) < 0.01
    assert abs((values**4).mean() - 3) < 0.1


@settings(deadline=None)
@given(st.integers(0, 2**63 - 1), st.integers(0, 2**40), st.integers(1, 50), st.integers(1, 50))
def test_a_value_depends_on_its_place_alone(seed: int, item: int, few: int, more: int) -> None:
    short, long = sorted((few, more))
    assert np.array_equal(
        normal(seed, STREAM_IMAGE, item, long)[:short], normal(seed, STREAM_IMAGE, item, short)
    )
    words = random_words(seed, STREAM_IMAGE, item, 8)
    assert not np.array_equal(words, random_words(seed, STREAM_TEXT, item, 8))
    assert not np.array_equal(words, random_words(seed, STREAM_IMAGE, item + 1, 8))
    high, low = (int(word) for word in random_words(seed, STREAM_TEXT, item, 2))
    assert uniform(seed, STREAM_TEXT, item) == ((high << 32 | low) >> 11) / 2**53 < 1


@settings(deadline=None)
@given(
    st.lists(st.floats(-20, 20, width=32), min_size=4, max_size=40),
    st.integers(0, 1000),
    st.floats(0, 3),
    st.floats(0.01, 1),
    st.data(),
)
def test_a_choice_is_allowed_and_repeatable(
    logits: list[float], index: int, temperature: float, top_p: float, data: st.DataObject
) -> None:
    kept = data.draw(st.sets(st.integers(0, len(logits) - 1), min_size=1))
    mask = np.zeros(len(logits), bool)
    mask[sorted(kept)] = True
    values = np.array(logits, np.float32)
    found = choose(values, mask, temperature, top_p, 5, index)
    assert mask[found]
    assert found == choose(values, mask, temperature, top_p, 5, index)
    if temperature == 0:
        assert values[found] == values[mask].max()


def test_sampling_follows_the_distribution_and_the_nucleus() -> None:
    logits = np.log(np.array([0.5, 0.3, 0.15, 0.05], np.float32))
    mask = np.ones(4, bool)
    drawn = [choose(logits, mask, 1.0, 1.0, 0, i) for i in range(1500)]
    shares = np.bincount(drawn, minlength=4) / 1500
    assert np.allclose(shares, [0.5, 0.3, 0.15, 0.05], atol=0.05)
    nucleus = {choose(logits, mask, 1.0, 0.79, 0, i) for i in range(300)}
    assert nucleus == {0, 1}
