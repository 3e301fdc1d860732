"""Every stage learns from shards of one's own data, of which only texts and pixels are known."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="training needs the training extra")

from training import cli  # noqa: E402
from training.commissions import DrawingOptions  # noqa: E402
from training.data import Library, load  # noqa: E402
from training.data.cli import main as data_cli  # noqa: E402
from training.data.reading import read_document  # noqa: E402
from training.drawing import DrawingBatches  # noqa: E402
from training.errors import TrainingError  # noqa: E402
from training.labels import CLASSES  # noqa: E402
from training.reading import PlannerBatches, PlannerOptions  # noqa: E402
from training.stages.vae import VAEBatches, VAEOptions  # noqa: E402
from training.tokenizer import train_tokenizer  # noqa: E402

WIDE = (480, 160)
# Noise, so that a picture is known again.
PIXELS = np.random.default_rng(0).integers(0, 256, (4, 160, 480, 4), dtype=np.uint8)


def text(words: str) -> dict[str, str]:
    return {"type": "text", "text": words}


def picture(dense: str = "") -> dict[str, str]:
    return {"type": "picture", "dense": dense}


def turn(role: str, *parts: dict[str, str]) -> dict[str, object]:
    return {"role": role, "parts": list(parts)}


DOCUMENTS = {
    "a": [turn("user", text("Wolkenkuckucksheim, please.")),
          turn("assistant", text("Here."), picture("a castle on clouds"),
               text("And again."), picture("the castle from below"))],
    "b": [turn("user", picture(), text("By night.")),
          turn("assistant", picture("the same castle by night"))],
    "c": [turn("user", picture(), text("What is this?")),
          turn("assistant", text("A castle."))],
}  # fmt: skip


def write_shard(path: Path, documents: dict[str, list[dict[str, object]]], mode: str = "w") -> None:
    with tarfile.open(path, mode) as tar:

        def add(name: str, data: bytes) -> None:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))

        for key, turns in documents.items():
            add(f"{key}.json", json.dumps({"turns": turns}).encode())
            parts = [part for t in turns for part in t["parts"]]  # type: ignore[attr-defined]
            for index in range(sum(part["type"] == "picture" for part in parts)):
                stream = io.BytesIO()
                Image.fromarray(PIXELS[index]).save(stream, "PNG")
                add(f"{key}.{index}.png", stream.getvalue())


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    write_shard(folder / "0.tar", {k: DOCUMENTS[k] for k in "ab"})
    write_shard(folder / "1.tar", {"c": DOCUMENTS["c"]})
    return folder


@pytest.fixture(scope="module")
def tokenizer(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokens") / "tokenizer.json"
    train_tokenizer(path, data=str(shards))
    return path


def test_a_library_holds_what_the_shards_hold_in_any_order(shards: Path) -> None:
    library, ordered = Library(shards), list(load(shards))
    assert len(library) == len(ordered) == 3
    for index in (2, 0, 1):
        found, wanted = library[index], ordered[index]
        assert found.document == wanted.document
        assert [*map(np.array_equal, found.images, wanted.images)] == [True] * len(wanted.images)
        told = library.document(index)
        assert told.id == wanted.document.id and len(told.turns) == len(wanted.document.turns)


def test_a_library_needs_plain_tars_with_samples(tmp_path: Path) -> None:
    write_shard(tmp_path / "packed.tar", DOCUMENTS, "w:gz")
    with pytest.raises(TrainingError, match=r"packed\.tar: expected a plain tar"):
        Library(tmp_path)
    write_shard(tmp_path / "packed.tar", {})
    with pytest.raises(TrainingError, match="expected samples in the shards"):
        Library(tmp_path)


def test_a_shard_that_is_cut_off_is_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shard = tmp_path / "cut.tar"
    write_shard(shard, DOCUMENTS)
    shard.write_bytes(shard.read_bytes()[:2000])
    assert data_cli(["inspect", str(shard)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "expected whole shards" in line and "cut.tar" in line


def asking(*parts: object) -> list[object]:
    """A document whose first turn has these parts."""
    return [{"role": "user", "parts": list(parts)}, turn("assistant", text("Yes."))]


def answering(*parts: object, **more: object) -> list[object]:
    return [turn("user", text("Hello.")), {"role": "assistant", "parts": list(parts), **more}]


@pytest.mark.parametrize(
    ("turns", "message"),
    [
        (None, "turns is None, expected a list"),
        ([], "expected text or a picture of the assistant to learn, found none; turns: 0"),
        ([turn("user", text("Hello."))], "found none; turns: 1"),
        (answering(text("")), "found none; turns: 2"),
        (["hello"], "turn 0 is 'hello', expected an object"),
        ([{"parts": []}], "turn 0: role is None, expected 'user' or 'assistant'"),
        ([{"role": "user", "parts": "hello"}], "turn 0: parts is 'hello', expected a list"),
        (asking("hello"), "turn 0, part 0 is 'hello', expected an object"),
        (asking({"type": "sound"}), "turn 0, part 0: type is 'sound', expected 'text' or"),
        (asking({"type": "text", "text": None}), "turn 0, part 0: text is None, expected a string"),
        (answering(text("A"), {"type": "text", "text": 5}), "turn 1, part 1: text is 5, expected"),
        (answering(text("\ud83d")), "turn 1, part 0: text has '.ud83d', half a character"),
        (answering({"type": "picture", "dense": 5}), "turn 1, part 0: dense is 5, expected a str"),
        (answering(picture()), "turn 1, part 0: dense is missing, expected what"),
        (asking(picture("a castle")), "turn 0, part 0: dense is 'a castle', expected none"),
        (asking({**picture(), "size": [1]}), r"part 0: size is \[1\], expected \[width, height\]"),
        (asking({**picture(), "size": ["a", "b"]}), "expected .width, height. in pixels"),
        (asking({**picture(), "scene": {"place": "moon"}}), "expected a scene of the storyworld"),
        (answering(text("A"), think=["plan"]), "turn 1: think is .'plan'., expected a string"),
        ([{**turn("user"), "think": "plan"}], "turn 0: think is 'plan', expected none"),
        (answering(text("A"), asked=None), "turn 1: asked is None, expected an object"),
    ],
)
def test_what_is_wrong_with_a_document_is_named(turns: object, message: str) -> None:
    raw = {"__key__": "mine", "json": json.dumps({"turns": turns}).encode()}
    with pytest.raises(TrainingError, match=rf"sample mine: mine\.json is not .*{message}"):
        read_document(raw)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], r"the document is \[\], expected an object"),
        ({"turns": DOCUMENTS["a"], "task": ["own"]}, "task is .'own'., expected a string"),
    ],
)
def test_a_document_is_an_object(document: object, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        read_document({"json": json.dumps(document).encode()})


def test_the_tokenizer_knows_ones_own_words(tokenizer: Path) -> None:
    words = json.loads(tokenizer.read_text(encoding="utf-8"))["model"]["vocab"]
    assert any("castle" in word for word in words) and not any("hedgehog" in w for w in words)


def test_the_planner_reads_ones_own_documents(shards: Path, tokenizer: Path) -> None:
    options = PlannerOptions(documents=12, data=str(shards))
    batches = PlannerBatches(options, 0, tokenizer)
    (micro,) = batches(0).documents
    assert len(micro.tokens) == 12 and micro.weight.sum() > 0
    (group,) = micro.pictures
    assert group.pixels.shape[1:] == (160, 480, 4)
    seen = {bytes(pixels.numpy().tobytes()) for pixels in group.pixels}
    assert seen <= {PIXELS[i].tobytes() for i in range(2)}
    assert torch.equal(batches(0).documents[0].tokens, micro.tokens)


def test_the_visualizer_draws_ones_own_pictures(shards: Path, tokenizer: Path) -> None:
    options = DrawingOptions(pictures=9, data=str(shards), base=(64, 64), other_sizes=0.0)
    first, *others = DrawingBatches(options, 0, tokenizer)(0)
    assert others and first.target.shape[1:] == (64, 64, 4)
    for drawing in (first, *others):
        assert (drawing.labels == -1).all() and drawing.labels.shape[-1] == len(CLASSES)
        assert (drawing.weight == 1).all() and drawing.settled.all()


def test_batches_take_the_shapes_of_ones_own_pictures(shards: Path, tokenizer: Path) -> None:
    sizes = ((160, 64), (64, 160))
    options = DrawingOptions(
        pictures=2, data=str(shards), base=(64, 64), sizes=sizes, other_sizes=1.0
    )
    batches = DrawingBatches(options, 0, tokenizer)
    assert {tuple(batches(i)[0].target.shape[1:3]) for i in range(4)} == {(64, 160)}


def test_crops_are_of_ones_own_pictures(shards: Path) -> None:
    options = VAEOptions(batch=4, crop=160, data=str(shards))
    crops = VAEBatches(options, 0)(0)
    whole = np.concatenate(list(PIXELS), axis=1)
    for crop in crops.numpy():
        column = crop[0, 0]
        places = np.flatnonzero((whole[0] == column).all(-1))
        assert any(np.array_equal(whole[:160, x : x + 160], crop) for x in places)
    larger = VAEBatches(VAEOptions(batch=1, crop=192, data=str(shards)), 0)(0)
    assert larger.shape == (1, 192, 192, 4)


@pytest.mark.parametrize("wanted", ["draws pictures", "with pictures"])
def test_data_that_a_stage_cannot_learn_from_is_named(
    wanted: str, tmp_path: Path, tokenizer: Path
) -> None:
    plain = {"c": DOCUMENTS["c"]} if wanted == "draws pictures" else {
        "d": [turn("user", text("Hello.")), turn("assistant", text("Hello!"))]
    }  # fmt: skip
    write_shard(tmp_path / "0.tar", plain)
    with pytest.raises(TrainingError, match=wanted):
        if wanted == "draws pictures":
            DrawingBatches(DrawingOptions(data=str(tmp_path)), 0, tokenizer)(0)
        else:
            VAEBatches(VAEOptions(data=str(tmp_path)), 0)(0)


def test_every_stage_trains_on_ones_own_data(
    shards: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """From nothing to a student, by the command."""
    loop = "loop: {steps: 1, warmup: 1, workers: 0, save_every: 1, sample_every: 1, log_every: 1}"
    drawing = "drawing: {pictures: 3, base: [64, 64], other_sizes: 0.0}"
    needs = {
        "vae": "options: {batch: 2, crop: 64}",
        "planner": "options: {documents: 3}",
        "visualizer": "needs: {planner: planner, vae: vae}\n"
        f"options: {{sample_steps: 1, {drawing}}}",
        "distill": f"needs: {{teacher: visualizer}}\noptions: {{teacher_steps: 1, {drawing}}}",
    }  # fmt: skip
    runs = tmp_path / "runs"
    for stage, rest in needs.items():
        recipe = tmp_path / f"{stage}.yaml"
        recipe.write_text(f"stage: {stage}\nmodel: tiny\n{loop}\n{rest}\n")
        command = [str(recipe), "--runs", str(runs), "--data", str(shards), "--device", "cpu"]
        assert cli.main(command) == 0
        assert (runs / stage / "checkpoint" / "config.json").is_file()
        assert list((runs / stage / "samples").iterdir())
    asked = (runs / "planner/samples/0000001.txt").read_text(encoding="utf-8")
    assert "# Wolkenkuckucksheim, please." in asked
