"""The package as it is described, and what may not be in the repository."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
BUNDLES = REPOSITORY / "runtime/bundles"
MEGABYTE = 1_000_000

# Single-letter classes, so that this file does not contain what it looks for.
MACHINE_PATH = re.compile(r"(?<![\w.~$}])/(?:hom[e]|roo[t]|User[s]|wor[k]|far[m])/[\w.]")
REGISTRY = re.compile(
    r"pyp[i]\.org|python[h]osted|download\.pytor[c]h|registry\.npm[j]s|pyp[i]/simple", re.IGNORECASE
)


@pytest.fixture(scope="module")
def project() -> dict:
    with open(REPOSITORY / "pyproject.toml", "rb") as file:
        return tomllib.load(file)


def repository_files() -> list[Path]:
    """Files that are or would be committed."""
    if shutil.which("git") is None or not (REPOSITORY / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
    )
    paths = [REPOSITORY / name for name in listed.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file()]


def text_files() -> list[tuple[Path, str]]:
    found = []
    for path in repository_files():
        data = path.read_bytes()
        if b"\0" not in data[:4096] and len(data) < 2 * MEGABYTE:
            found.append((path.relative_to(REPOSITORY), data.decode("utf-8", errors="replace")))
    return found


def requirement_names(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=!~;\[ ]", item, maxsplit=1)[0] for item in requirements}


def test_the_runtime_needs_four_packages(project: dict) -> None:
    names = requirement_names(project["project"]["dependencies"])
    assert names == {"numpy", "onnxruntime", "pillow", "tokenizers"}


def test_torch_is_pinned_wherever_it_is_named(project: dict) -> None:
    named = [
        item
        for extra in project["project"]["optional-dependencies"].values()
        for item in extra
        if requirement_names([item]) == {"torch"}
    ]
    assert named
    assert set(named) == {"torch==2.13.0"}


def test_the_makefile_installs_the_pinned_torch_first() -> None:
    lines = (REPOSITORY / "Makefile").read_text(encoding="utf-8").splitlines()
    installs = [line for line in lines if "$(TEST_ENV)/bin/python -m pip install" in line]
    assert installs[0].endswith("torch==2.13.0")


def test_the_command_exists(project: dict) -> None:
    module, _, function = project["project"]["scripts"]["weft"].partition(":")
    assert callable(getattr(__import__(module, fromlist=[function]), function))


def test_no_machine_path_and_no_registry_host_is_written_down() -> None:
    found = [
        f"{path}:{text.count(chr(10), 0, match.start()) + 1}: {match.group()}"
        for path, text in text_files()
        for pattern in (MACHINE_PATH, REGISTRY)
        for match in pattern.finditer(text)
    ]
    assert found == []


def test_bundles_stay_small_and_no_other_file_is_large() -> None:
    sizes = {path: path.stat().st_size for path in repository_files()}
    bundled = sum(size for path, size in sizes.items() if BUNDLES in path.parents)
    assert bundled <= 40 * MEGABYTE
    large = {p: s for p, s in sizes.items() if BUNDLES not in p.parents and s > 2 * MEGABYTE}
    assert large == {}


def test_the_patterns_find_what_they_are_for() -> None:
    assert MACHINE_PATH.search("open('{}')".format("/".join(("", "home", "someone", "x"))))
    assert MACHINE_PATH.search("cd " + "/".join(("", "work", "main")))
    assert not MACHINE_PATH.search("export/home/x ~/home/x docs/work/x")
    assert REGISTRY.search("https://" + ".".join(("pypi", "org")))


def test_every_data_file_of_a_package_is_shipped(project: dict) -> None:
    shipped = {
        path
        for package, patterns in project["tool"]["setuptools"]["package-data"].items()
        for pattern in patterns
        for path in (REPOSITORY / package).glob(pattern)
    }
    tops = {"runtime", "export", "training", "benchmarks"}
    data = {
        path
        for path in repository_files()
        if path.relative_to(REPOSITORY).parts[0] in tops and path.suffix not in (".py", ".pyc")
    }
    assert sorted(data - shipped) == []


@pytest.mark.parametrize(
    "prompt",
    [
        "A fox, a lantern.",
        "say \"hello\" and 'goodbye'",
        "it costs $5, or $(shell touch made), or $$x",
        "`touch made`; $(touch made) && touch made | touch made",
        "--seed 3",
        "# not a comment \\\\ 100%",
        "zwei Zeilen:\nein Bär",
    ],
)
def test_make_story_hands_the_prompt_over_as_typed(tmp_path: Path, prompt: str) -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not here")
    shutil.copy(REPOSITORY / "Makefile", tmp_path)
    (tmp_path / "pyproject.toml").touch()
    command = tmp_path / ".venv/bin/weft"
    command.parent.mkdir(parents=True)
    command.write_text("#!/bin/sh\nprintf '%s\\0' \"$@\"\n")
    command.chmod(0o755)
    (tmp_path / ".venv/.installed").touch()
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    made = subprocess.run(
        ["make", "--silent", "story", f"PROMPT={prompt}", "SEED=3"],
        cwd=tmp_path,
        env=inherited,
        capture_output=True,
        text=True,
        check=True,
    )
    arguments = made.stdout.split("\0")[:-1]
    assert arguments == ["generate", "--seed", "3", "--output", "out", "--", prompt]
    assert not (tmp_path / "made").exists()


def test_the_licence_is_whole() -> None:
    text = (REPOSITORY / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text
