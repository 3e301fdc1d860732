"""Bundles: what is written is what is read, and everything that is wrong is refused by name."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import load
from runtime.bundle import Manifest, Model, Schedule, confined, read_bundle, write_manifest
from runtime.errors import BundleError, BundleMissing, BundleTampered, BundleTooNew
from runtime.integrity import verify_once
from runtime.strict import from_json, to_json
from tests.fake_bundle import make_bundle, make_manifest

Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return make_manifest(tmp_path_factory.mktemp("manifest"))


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return make_bundle(tmp_path / "bundle").folder


def edit(folder: Path, change: Change) -> None:
    path = folder / "bundle.json"
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


words = st.text(max_size=12)


@settings(max_examples=40, deadline=None)
@given(
    name=words,
    revision=words,
    notes=st.dictionaries(words, words, max_size=3),
    capacity=st.integers(64, 10**6),
    parity=st.dictionaries(words, st.floats(0, 1), max_size=3),
    inner=st.lists(st.floats(0.01, 0.99), min_size=1, max_size=9, unique=True),
)
def test_round_trip(
    manifest: Manifest,
    name: str,
    revision: str,
    notes: dict[str, str],
    capacity: int,
    parity: dict[str, float],
    inner: list[float],
) -> None:
    times = (1.0, *sorted(inner, reverse=True), 0.0)
    planner = manifest.components["planner"]
    variants = (replace(planner.variants[0], parity=parity),)
    changed = replace(
        manifest,
        model=Model(name, revision),
        notes=notes,
        cache=replace(manifest.cache, capacity=capacity),
        schedule=Schedule({str(len(times) - 1): times}, len(times) - 1),
        components={**manifest.components, "planner": replace(planner, variants=variants)},
    )
    assert from_json(Manifest, json.loads(json.dumps(to_json(changed)))) == changed


def test_writer_and_reader_agree(bundle: Path) -> None:
    found = read_bundle(bundle, verify=True)
    assert write_manifest(bundle, found.manifest) == found
    assert found.path(found.files()[0]).is_file()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(color="red"), r"unknown key.*color"),
        (lambda d: d["cache"].update(heads=3), r"bundle\.json\.cache: unknown key.*heads"),
        (lambda d: d.pop("image"), r"missing key.*image"),
        (lambda d: d["cache"].update(layers="2"), r"cache\.layers: expected int, found '2'"),
        (lambda d: d["cache"].update(layers=0), r"cache\.layers: expected a positive"),
        (lambda d: d["cache"].update(rope_sections=[1, 1, 1]), "rope_sections"),
        (lambda d: d["image"].update(default_size=[100, 100]), "default_size: expected multiples"),
        (lambda d: d["schedule"].update(default_steps=9), "default_steps: expected one of"),
        (lambda d: d["schedule"]["steps"].update({"2": [1.0, 0.0]}), r"steps\.2"),
        (lambda d: d["tokenizer"]["special"].update(eos=0), "distinct ids"),
        (lambda d: d["components"].pop("window"), "components: expected"),
        (lambda d: d["components"]["commit"].update(variants=[]), "at least one variant"),
        (lambda d: d["components"]["commit"]["inputs"][0].update(name="x"), "commit.inputs"),
        (lambda d: d["components"]["planner"].update(state=[]), "planner.state: missing"),
        (lambda d: d["requires"].update(abi=0), "expected ABI 2, found 0"),
        (lambda d: d.update(schema="1"), "integer 'schema'"),
        (lambda d: d.update(schema=0), "schema 1 or newer"),
    ],
)
def test_wrong_values_are_named(bundle: Path, change: Change, message: str) -> None:
    edit(bundle, change)
    with pytest.raises(BundleError, match=message):
        read_bundle(bundle)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(schema=2, future="x"),
        lambda d: d["requires"].update(abi=7),
        lambda d: d["requires"].update(runtime="99.1"),
    ],
)
def test_newer_bundles_ask_for_an_update(bundle: Path, change: Change) -> None:
    edit(bundle, change)
    with pytest.raises(BundleTooNew, match="update weft"):
        read_bundle(bundle)


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../x", "a/../../x", "a\\b", "C:/x", "./a", "", "a//b", "a/./b", "x\0"]
)
def test_paths_are_confined(bundle: Path, path: str) -> None:
    edit(bundle, lambda d: d["tokenizer"]["file"].update(path=path))
    with pytest.raises(BundleError, match="relative path"):
        read_bundle(bundle)


def test_links_do_not_lead_out(bundle: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes((bundle / "vision.onnx").read_bytes())
    (bundle / "vision.onnx").unlink()
    (bundle / "vision.onnx").symlink_to(secret)
    with pytest.raises(BundleError, match="out of the bundle"):
        read_bundle(bundle)
    (bundle / "inside").symlink_to(bundle / "window.onnx")
    assert confined(bundle, "inside").is_file()


def test_missing_truncated_and_tampered_files(bundle: Path) -> None:
    path = bundle / "planner.onnx"
    original = path.read_bytes()
    path.write_bytes(b"X" + original[1:])
    read_bundle(bundle)
    with pytest.raises(BundleTampered, match="sha256"):
        read_bundle(bundle, verify=True)
    path.write_bytes(original[:-2])
    with pytest.raises(BundleTampered, match="truncated"):
        read_bundle(bundle)
    path.write_bytes(original + b"+")
    with pytest.raises(BundleTampered, match="too long"):
        read_bundle(bundle)
    path.unlink()
    with pytest.raises(BundleMissing, match="planner"):
        read_bundle(bundle)


def test_missing_and_broken_manifests(tmp_path: Path) -> None:
    with pytest.raises(BundleMissing, match="bundle folder"):
        read_bundle(tmp_path / "nothing")
    with pytest.raises(BundleMissing, match="manifest"):
        read_bundle(tmp_path)
    manifest = tmp_path / "bundle.json"
    broken = [("{", "syntax"), ("[" * 100_000, "syntax"), ("[]", "object")]
    for text, message in (*broken, ('{"schema": 1.5}', "integer")):
        manifest.write_text(text)
        with pytest.raises(BundleError, match=message):
            read_bundle(tmp_path)


def test_a_bundle_is_found_wherever_the_process_goes(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bundle.parent)
    found = read_bundle(bundle.name)
    monkeypatch.chdir(tmp_path)
    found.verify()


def test_a_closed_cache_folder_means_checking_again(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(_: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    found = read_bundle(bundle)
    monkeypatch.setattr("pathlib.Path.is_file", closed)
    assert verify_once(found) and verify_once(found)


def test_digests_are_checked_on_first_load(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = read_bundle(bundle)
    assert verify_once(found)
    assert not verify_once(found)
    path = bundle / "window.onnx"
    path.write_bytes(b"Y" + path.read_bytes()[1:])
    os.utime(path, ns=(1, 1))
    with pytest.raises(BundleTampered):
        load(bundle)
    assert load(bundle, verify=False).bundle.digest == found.digest
