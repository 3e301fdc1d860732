"""Shards: what is written is read back, the same bytes for any number of workers."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import webdataset as wds
from PIL import Image

from training.commissions import Commissions, DrawingOptions
from training.data import BuildConfig, build, load
from training.data.reading import fit
from training.errors import TrainingError
from training.storyworld.documents import sample_document
from training.storyworld.render import render
from training.tokenizer import load_tokenizer

TOKENIZER = Path(__file__).parents[2] / "runtime/bundles/storybook/tokenizer.json"


def test_round_trip(tmp_path) -> None:
    config = BuildConfig(tmp_path, count=5, seed=4, shard_size=3, tasks=("t2i", "edit"))
    shards = build(config)
    assert [p.name for p in shards] == ["shard-000000.tar", "shard-000001.tar"]
    samples = list(load(tmp_path))
    assert [s.document.task for s in samples] == ["t2i", "edit", "t2i", "edit", "t2i"]
    assert samples[0].document == sample_document(np.random.default_rng([4, 0]), "t2i")
    for sample in samples:
        pictures = list(sample.document.pictures())
        assert len(pictures) == len(sample.images)
        for picture, image in zip(pictures, sample.images, strict=True):
            np.testing.assert_array_equal(image, render(picture.scene))


def test_workers_do_not_change_the_bytes(tmp_path) -> None:
    one = build(BuildConfig(tmp_path / "a", count=2, shard_size=1, tasks=("t2i",)))
    two = build(BuildConfig(tmp_path / "b", count=2, shard_size=1, tasks=("t2i",), workers=2))
    assert [p.read_bytes() for p in one] == [p.read_bytes() for p in two]


def test_a_folder_that_holds_shards_is_not_built_into(tmp_path) -> None:
    (old,) = build(BuildConfig(tmp_path, count=1, tasks=("caption",)))
    before = old.read_bytes()
    with pytest.raises(TrainingError, match=r"without shards, found 1, such as shard-000000\.tar"):
        build(BuildConfig(tmp_path, count=1, tasks=("t2i",)))
    assert old.read_bytes() == before
    for path in (old, old / "shards"):
        with pytest.raises(TrainingError, match="expected a folder for the shards, found a file"):
            build(BuildConfig(path, count=1))


def test_nothing_is_printed_off_a_terminal(tmp_path, capfd) -> None:
    build(BuildConfig(tmp_path, count=1, tasks=("caption",)))
    assert capfd.readouterr().err == ""


def png(size: tuple[int, int], mode: str = "RGB") -> bytes:
    stream = io.BytesIO()
    Image.new(mode, size, 90).save(stream, "PNG")
    return stream.getvalue()


def own_shard(path, sample: dict) -> None:
    with wds.TarWriter(str(path)) as tar:
        tar.write({"__key__": "mine", **sample})


OWN = {
    "turns": [
        {"role": "user", "parts": [{"type": "text", "text": "A house."}]},
        {"role": "assistant", "parts": [{"type": "picture", "dense": "a house by the sea"}]},
    ]
}


def test_own_data_needs_only_dense_text_and_a_picture(tmp_path) -> None:
    path = tmp_path / "own.tar"
    own_shard(path, {"json": json.dumps(OWN).encode(), "0.png": png((250, 130))})
    (sample,) = load(path)
    (picture,) = sample.document.pictures()
    assert picture.scene is None and picture.size == (256, 128)
    assert sample.images[0].shape == (128, 256, 4)
    assert sample.document.id == "mine"


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        ({"0.png": png((16, 16))}, "expected mine.json"),
        ({"json": b"{}"}, "not a document"),
        ({"json": json.dumps(OWN).encode()}, "expected mine.0.png"),
        ({"json": json.dumps(OWN).encode(), "0.png": b"no picture"}, "not readable"),
    ],
)
def test_broken_samples_are_named(tmp_path, sample, message) -> None:
    own_shard(tmp_path / "own.tar", sample)
    with pytest.raises(TrainingError, match=message):
        list(load(tmp_path))


def test_missing_shards_are_named(tmp_path) -> None:
    with pytest.raises(TrainingError, match="shards"):
        list(load(tmp_path))
    with pytest.raises(TrainingError, match=r"found no .*gone\.tar"):
        list(load(tmp_path / "gone.tar"))

    plain = tmp_path / "plain.tar"
    plain.write_text("no archive")
    with pytest.raises(TrainingError, match=r"plain\.tar, which is no tar archive"):
        next(iter(load(plain)))


@pytest.mark.parametrize("size", [(5, 5), (256, 256), (3000, 100), (2000, 2000), (17, 900)])
def test_pictures_are_fitted_to_the_grid(size) -> None:
    height, width, channels = fit(Image.new("RGBA", size)).shape
    assert channels == 4 and height % 16 == 0 and width % 16 == 0
    assert height * width <= 512 * 256


@pytest.mark.parametrize("change", [{"count": 0}, {"workers": 0}, {"tasks": ("poem",)}])
def test_bad_configurations_are_refused(tmp_path, change) -> None:
    with pytest.raises(TrainingError):
        BuildConfig(tmp_path, **change)


def test_command_builds_and_inspects(tmp_path, capsys) -> None:
    from training.data.cli import main

    out = str(tmp_path / "shards")
    assert main(["build", out, "--count", "3", "--tasks", "t2i", "caption", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["documents"] == 3
    assert main(["inspect", out, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tasks"] == {"t2i": 2, "caption": 1}
    assert main(["inspect", str(tmp_path / "none")]) == 2
    assert "shards" in capsys.readouterr().err


def test_names_stay_where_the_window_has_no_picture_of_the_character() -> None:
    """With one reference that is the picture before, whoever was in those before that."""
    options = DrawingOptions(tasks=("story",), weights=(1.0,), hide=1.0, max_references=1)
    commissions, tokenizer = Commissions(options, 0, TOKENIZER), load_tokenizer(TOKENIZER)
    absent = 0
    for seed in range(20):
        found = commissions.commission(np.random.default_rng(seed), (256, 256))
        start, end = found.sequence.pictures[found.picture].dense
        dense = tokenizer.decode(found.sequence.tokens[start:end].tolist())
        known = [
            {(c.kind, c.markings) for c in scene.characters} for scene in found.earlier if scene
        ]
        shown = known[-1] if known else set()
        drawn = [(c.kind, c.markings) for c in found.target.characters]
        assert dense.count("the same character") <= sum(c in shown for c in drawn)
        absent += sum(c not in shown and any(c in k for k in known) for c in drawn)
    assert absent, "no story left a character out of the picture before"
