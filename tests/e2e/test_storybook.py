"""The shipped bundle, end to end: caches, sameness, sessions, pictures in prompts, the command."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import runtime
from runtime.engines.base import Array
from runtime.history import PlacedPicture
from runtime.illustrate import Commission, illustrate
from runtime.planner import Planner

PROMPT = "Tell an illustrated story about a red fox who finds a lantern, in 3 pictures."
SHIPPED = Path(runtime.__file__).parent / "bundles" / "storybook"
SMALL = {"size": (128, 128), "max_images": 3}


@pytest.fixture(scope="module")
def rt() -> runtime.Runtime:
    return runtime.load()


class Drawn:
    """A finished session and the commission of each of its pictures, to be drawn again."""

    def __init__(self, rt: runtime.Runtime) -> None:
        self.rt, self.session = rt, rt.session()
        self.commissions: list[Commission] = []
        self.document = self.session.generate(PROMPT, seed=5, **SMALL)

    def draw_again(self, k: int) -> Array:
        """The latent of picture k, from the caches as they are now."""
        pictures = self.session.history.pictures[:k]
        planner, commission = self.session.planner, self.commissions[k]
        return illustrate(self.rt, planner, pictures, commission, lambda: None).latent


@pytest.fixture(scope="module")
def drawn(rt: runtime.Runtime) -> Iterator[Drawn]:
    commissions: list[Commission] = []

    def watched(
        rt: runtime.Runtime,
        planner: Planner,
        pictures: list[PlacedPicture],
        commission: Commission,
        check: Callable[[], None],
    ) -> object:
        commissions.append(commission)
        return illustrate(rt, planner, pictures, commission, check)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("runtime.turn.illustrate", watched)
        result = Drawn(rt)
    result.commissions = commissions
    assert len(commissions) >= 2
    yield result


def relative(one: Array, other: Array) -> float:
    return float(np.linalg.norm(one - other) / np.linalg.norm(other))


def test_planner_cache_equals_one_full_pass_in_every_layer(drawn: Drawn) -> None:
    session = drawn.session
    grown = session.planner
    geometry = drawn.rt.bundle.manifest.cache
    whole = Planner(drawn.rt.engines["planner"], geometry, grown.capacity)
    length = grown.written
    whole.tokens[:], whole.positions[:] = grown.tokens, grown.positions
    whole.features, whole.length = dict(grown.features), length
    whole.logits()
    for name, cache in whole.cache.items():
        assert relative(grown.cache[name][:, :, :length], cache[:, :, :length]) < 1e-4, name


def test_stored_reference_kv_equals_a_new_commit_in_every_layer(drawn: Drawn) -> None:
    picture = drawn.session.history.pictures[0]
    stored = {n: a.copy() for n, a in drawn.rt.references.kv(picture).items()}
    drawn.rt.references.clear()
    for name, array in drawn.rt.references.kv(picture).items():
        np.testing.assert_array_equal(array, stored[name], err_msg=name)


@pytest.mark.parametrize("off", ["reference_kv", "window"])
def test_reuse_off_gives_the_same_document(drawn: Drawn, off: str) -> None:
    plain = runtime.load(reuse=runtime.Reuse(**{off: False}))
    document = plain.generate(PROMPT, seed=5, **SMALL)
    assert document.text == drawn.document.text
    assert widest_gap(document, drawn.document) == 0


def test_planner_kv_off_gives_the_same_document_in_float(float_bundle: Path) -> None:
    """One full pass sums in another order than many short ones: at most a rounding step."""
    kept = runtime.load(float_bundle).generate(PROMPT, seed=5, **SMALL)
    plain = runtime.load(float_bundle, reuse=runtime.Reuse(planner_kv=False))
    document = plain.generate(PROMPT, seed=5, **SMALL)
    assert document.text == kept.text
    assert widest_gap(document, kept) <= 2


def test_planner_kv_off_gives_the_same_picture_in_int8(drawn: Drawn) -> None:
    """Where activations are rounded to 8 bits, a last bit can move a level: 40 dB and more."""
    plain = runtime.load(reuse=runtime.Reuse(planner_kv=False))
    document = plain.generate(PROMPT, seed=5, **SMALL)
    assert document.text == drawn.document.text
    for mine, theirs in zip(document.images, drawn.document.images, strict=True):
        error = np.square(mine.pixels.astype(float) - theirs.pixels).mean()
        assert error <= 255**2 / 10**4


def widest_gap(one: runtime.Document, other: runtime.Document) -> int:
    """The largest difference of any channel of any pixel."""
    return max(
        int(np.abs(a.pixels.astype(int) - b.pixels.astype(int)).max())
        for a, b in zip(one.images, other.images, strict=True)
    )


@pytest.fixture(scope="module")
def float_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped weights in graphs that compute in float."""
    pytest.importorskip("torch", reason="exporting needs the export extra")
    from export.pipeline import Options, export_bundle
    from export.restore import restore_checkpoint

    folder = tmp_path_factory.mktemp("bundles")
    checkpoint = restore_checkpoint(SHIPPED, folder / "checkpoint")
    export_bundle(checkpoint, folder / "float", Options(precisions=("w8",), verify=False))
    return folder / "float"


def test_a_story_with_too_few_pictures_is_the_beginning_of_the_whole(rt: runtime.Runtime) -> None:
    prompt = "Tell an illustrated story about a red fox who finds a lantern."
    whole = rt.generate(prompt, seed=7, size=(256, 256), steps=2)
    part = rt.generate(prompt, seed=7, size=(256, 256), steps=2, max_images=2)
    assert len(whole.images) > len(part.images) == 2
    assert whole.text.startswith(part.text.rstrip())
    assert part.finish_reason == "stop"


@pytest.mark.parametrize("pictures", [2, 5])
def test_as_many_pictures_as_asked_for(rt: runtime.Runtime, pictures: int) -> None:
    prompt = (
        f"Tell an illustrated story about a red fox who finds a lantern, in {pictures} pictures."
    )
    document = rt.generate(prompt, seed=2, size=(64, 64), steps=2)
    assert len(document.images) == pictures and document.finish_reason == "stop"
    for image in document.images:
        assert image.prompt[0].isalpha() and "to go" not in image.prompt


def test_same_seed_same_bits_after_other_documents(rt: runtime.Runtime, drawn: Drawn) -> None:
    rt.generate("Draw a blue owl.", seed=1, size=(128, 128))
    again = rt.generate(PROMPT, seed=5, **SMALL)
    assert again.digest() == drawn.document.digest()
    assert rt.generate(PROMPT, seed=6, **SMALL).digest() != again.digest()


def test_same_seed_same_bits_in_another_process(drawn: Drawn) -> None:
    code = f"import json, runtime;print(runtime.generate({PROMPT!r}, seed=5, **{SMALL!r}).digest())"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert found == [drawn.document.digest()]


def test_a_restored_session_goes_on_with_the_same_bits(rt: runtime.Runtime, tmp_path: Path) -> None:
    chat = rt.session()
    chat.generate("Draw a green frog with a red hat on the beach.", seed=3, size=(128, 128))
    chat.save(tmp_path / "chat")
    here = chat.generate("Now make it night.", seed=4, size=(128, 128))
    there = runtime.load().restore(tmp_path / "chat")
    assert there.generate("Now make it night.", seed=4, size=(128, 128)).digest() == here.digest()


def test_two_interleaved_sessions_give_what_each_gives_alone(rt: runtime.Runtime) -> None:
    prompts = ("Draw a red fox in the forest.", "Draw a white bear in the snowfield.")
    alone = [rt.generate(p, seed=2, size=(128, 128)).digest() for p in prompts]
    streams = [rt.session().stream(p, seed=2, size=(128, 128)) for p in prompts]
    found: dict[int, str] = {}
    while len(found) < len(streams):
        for i, stream in enumerate(streams):
            event = next(stream, None)
            if isinstance(event, runtime.Finished):
                found[i] = event.document.digest()
    assert [found[0], found[1]] == alone


def test_a_picture_in_the_prompt_is_seen_and_referenced(rt: runtime.Runtime) -> None:
    picture = rt.generate("Draw a pink cat with a blue bow.", seed=2, size=(128, 128)).images[0]
    order = "Now make it night."
    seen = rt.generate([picture.pixels, order], seed=3)
    assert seen.stats.images[0].references == 1
    other = rt.generate([np.zeros_like(picture.pixels), order], seed=3)
    assert other.digest() != seen.digest()


def test_the_command_writes_the_page_and_says_so_in_json(tmp_path: Path) -> None:
    command = [
        sys.executable, "-c", "import sys; from runtime.cli.main import main; sys.exit(main())",
        "generate", "--seed", "5", "--size", "128x128",
        "--max-images", "1", "--output", str(tmp_path / "out"), "--json", PROMPT,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["images"]
    assert (tmp_path / "out" / "story.html").read_text().lower().startswith("<!doctype html>")
    assert list((tmp_path / "out").glob("*.png"))
