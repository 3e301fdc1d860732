"""Rule 2 by probes: what a picture may see, and what it may not.

Runs on the fake engines, and on the shipped bundle where there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pytest

from runtime import Runtime, Session, load
from runtime.history import PlacedPicture
from runtime.illustrate import Commission, illustrate
from runtime.loading import default_bundle
from tests.fake_bundle import fake_runtime

PROMPT = "Tell an illustrated story about a red fox who finds a lantern."


@dataclass
class Probe:
    """A session that has told a story, and the commission of its last picture."""

    runtime: Runtime
    session: Session
    commission: Commission
    pictures: list[PlacedPicture]

    def draw(self) -> np.ndarray:
        drawing = illustrate(
            self.runtime, self.session.planner, self.pictures, self.commission, lambda: None
        )
        return drawing.pixels

    def disturbed(self, slots: list[int]) -> np.ndarray:
        """The picture with other K/V in these planner slots."""
        cache = self.session.planner.cache
        kept = {name: array.copy() for name, array in cache.items()}
        for array in cache.values():
            array[:, :, slots] = array[:, :, slots] * -3 + 1
        try:
            return self.draw()
        finally:
            for name, array in cache.items():
                array[:] = kept[name]


def story(runtime: Runtime) -> Session:
    session = runtime.session()
    for seed in range(5):
        document = session.generate(PROMPT, seed=seed, steps=min_steps(runtime))
        if len(document.images) >= 2:
            return session
        session.rewind()
    pytest.fail("no story with two pictures in five tries")


def min_steps(runtime: Runtime) -> int:
    return min(int(steps) for steps in runtime.bundle.manifest.schedule.steps)


@pytest.fixture(scope="module", params=["fake", "storybook"])
def probe(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Probe:
    if request.param == "fake":
        runtime = fake_runtime(tmp_path_factory.mktemp("bundle"))
    else:
        if not (default_bundle() / "bundle.json").is_file():
            pytest.skip("no shipped bundle here")
        runtime = load()
    session = story(runtime)
    planner, special = session.planner, runtime.vocabulary.special
    tokens = planner.tokens[: planner.length]
    start = int(np.flatnonzero(tokens == special.imagine_open)[-1]) + 1
    stop = int(np.flatnonzero(tokens == special.imagine_close)[-1])
    end = int(planner.positions[stop - 1, 0])
    pictures = session.history.pictures
    steps = str(min_steps(runtime))
    commission = Commission(
        index=len(pictures) - 1,
        dense=range(start, stop),
        dense_end=end,
        grid=pictures[-1].grid,
        seed=0,
        times=runtime.bundle.manifest.schedule.steps[steps],
    )
    return Probe(runtime, session, commission, pictures[:-1])


def test_what_is_outside_the_window_does_not_reach_the_picture(probe: Probe) -> None:
    seen = set(probe.commission.dense)
    for picture in probe.pictures:
        seen.update(picture.slots)
    planner = probe.session.planner
    unseen = [slot for slot in range(planner.length) if slot not in seen]
    special = probe.runtime.vocabulary.special
    earlier = np.flatnonzero(planner.tokens[: planner.length] == special.imagine_open)[0] + 1
    assert int(earlier) in unseen, "an earlier dense prompt is among the probes"
    assert np.array_equal(probe.disturbed(unseen), probe.draw())


def test_the_dense_prompt_reaches_the_picture(probe: Probe) -> None:
    assert not np.array_equal(probe.disturbed(list(probe.commission.dense)), probe.draw())


def test_a_reference_reaches_the_picture_by_both_its_tokens(
    probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = probe.draw()
    slots = [slot for picture in probe.pictures for slot in picture.slots]
    assert not np.array_equal(probe.disturbed(slots), before)
    kv: Callable[[PlacedPicture], Mapping[str, np.ndarray]] = probe.runtime.references.kv
    monkeypatch.setattr(
        probe.runtime.references,
        "kv",
        lambda picture: {name: a * -3 + 1 for name, a in kv(picture).items()},
    )
    assert not np.array_equal(probe.draw(), before)


def test_a_reference_is_a_function_of_its_pixels_alone(probe: Probe) -> None:
    picture = probe.pictures[0]
    kept = probe.runtime.references.kv(picture)
    fresh = PlacedPicture(picture.grid, range(0), 0, picture.pixels, picture.latent)
    probe.runtime.references.clear()
    again = probe.runtime.references.kv(fresh)
    assert all(np.array_equal(kept[name], again[name]) for name in kept)
