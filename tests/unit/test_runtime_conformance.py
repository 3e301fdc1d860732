"""Tags without constraints: a planner that knows the format keeps to it, another does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from runtime import EngineError, Runtime, SessionError
from runtime.manifest import TOKEN_TEXT
from tests.fake_bundle import SPECIAL, FakePlanner, fake_runtime

PROMPT = "Tell a story about a small red fox."
SEED = 3


@pytest.fixture
def rt(tmp_path: Path) -> Runtime:
    return fake_runtime(tmp_path)


def knows_the_format(rt: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on the fake planner wants a tag where one is due, and words elsewhere."""
    steer, vocabulary = FakePlanner._steer, rt.vocabulary
    size = [SPECIAL.size_open, vocabulary.digits[4], vocabulary.times, vocabulary.digits[4]]
    due = [SPECIAL.imagine_close, *size, SPECIAL.size_close, SPECIAL.boi]

    def knowing(logits: np.ndarray, tokens: list[int]) -> None:
        steer(logits, tokens)
        for done in range(len(due) - 1, 0, -1):
            if tokens[-done:] == due[:done]:
                logits[due[done]] = 100.0
                return
        answer = tokens[len(tokens) - tokens[::-1].index(SPECIAL.assistant) :]
        drawn = answer.count(SPECIAL.boi)
        inside = answer.count(SPECIAL.imagine_open) > drawn
        may = {SPECIAL.imagine_close} if inside else {SPECIAL.imagine_open}
        if drawn >= 3:
            may.add(SPECIAL.eos)
        logits[[tag for tag in range(len(TOKEN_TEXT)) if tag not in may]] = -100.0

    monkeypatch.setattr(FakePlanner, "_steer", staticmethod(knowing))


def test_a_planner_that_knows_the_format_keeps_to_it(
    rt: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    knows_the_format(rt, monkeypatch)
    session = rt.session()
    document = session.generate(PROMPT, seed=SEED)
    assert len(document.images) == 3
    kept = session.tag_choices(SEED)
    # <imagine> </imagine> <size> 4 * 4 </size> <BOI> of each picture, and the end.
    assert all(kept) and len(kept) == 8 * 3 + 1


def test_one_that_does_not_breaks_it(rt: Runtime) -> None:
    session = rt.session()
    session.generate(PROMPT, seed=SEED)
    kept = session.tag_choices(SEED)
    assert len(kept) >= 8 * 3 + 1 and kept.count(False) >= 3


def test_looking_leaves_the_session_as_it_was(rt: Runtime) -> None:
    looked, other = rt.session(), rt.session()
    for session in (looked, other):
        session.generate([np.zeros((64, 64, 3), np.uint8), PROMPT], seed=SEED)
    looked.tag_choices(SEED)
    assert looked.planner.length == other.planner.length
    assert np.array_equal(looked.planner.tokens, other.planner.tokens)
    again = [session.generate("Once more.", seed=4).digest() for session in (looked, other)]
    assert again[0] == again[1]


def test_a_failing_engine_leaves_the_session_whole(
    rt: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = rt.session()
    session.generate(PROMPT, seed=SEED)
    tokens = session.planner.tokens[: session.planner.length].copy()

    def failing(*_: object) -> None:
        raise EngineError("out of order")

    with monkeypatch.context() as patched, pytest.raises(EngineError):
        patched.setattr(FakePlanner, "_execute", failing)
        session.tag_choices(SEED)
    assert np.array_equal(session.planner.tokens[: session.planner.length], tokens)
    assert session.generate("Once more.", seed=4).images


def test_there_must_be_an_answer_to_look_at(rt: Runtime) -> None:
    with pytest.raises(SessionError, match="expected a session with an answer"):
        rt.session().tag_choices(SEED)


def test_a_session_whose_answer_is_gone_is_refused(rt: Runtime) -> None:
    session = rt.session()
    session.generate(PROMPT, seed=SEED)
    tokens = session.planner.tokens
    tokens[tokens == SPECIAL.assistant] = SPECIAL.eos
    with pytest.raises(SessionError, match="expected an answer in the last turn"):
        session.tag_choices(SEED)
