"""Saving and the command line: pages that stand alone, and nothing made is lost."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import PIL.Image
import pytest

from runtime import Document, Image, Interrupted, OptionError, OutputError, Stats, Text, loading
from runtime.cli import chat, generate
from runtime.cli.main import COMMANDS, main
from runtime.session import Session
from runtime.writers import check_output
from tests.fake_bundle import fake_engines, make_bundle

REPOSITORY = Path(__file__).resolve().parents[2]
HOSTILE = '<script>alert("x")</script> & [a](b) *b* `c`'


def picture(index: int, width: int = 32, alpha: int = 255) -> Image:
    pixels = np.random.default_rng(index).integers(0, 255, (32, width, 4), dtype=np.uint8)
    pixels[..., 3] = alpha
    return Image(index, pixels, f"a fox {HOSTILE}")


@pytest.fixture
def document() -> Document:
    segments = (
        Text("Once there was a fox.\n"), picture(0), Text(f"{HOSTILE}\n1. not a list\n"),
        picture(1, 64), picture(2, alpha=0), Text("The end.\n"),
    )  # fmt: skip
    return Document(segments, f"A story {HOSTILE}", model="fake 1", stats=Stats(seed=7))


class Page(HTMLParser):
    """Collects tags, attributes and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.words = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [v or "" for k, v in attrs if k in ("src", "href", "srcset")]

    def handle_data(self, data: str) -> None:
        self.words += data


def test_a_page_is_self_contained_and_escaped(document: Document, tmp_path: Path) -> None:
    path = document.save(tmp_path / "story.html")
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert page.tags.count("img") == 3
    assert "script" not in page.tags
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert not re.search(r"https?://|url\(|@import", text)
    assert HOSTILE in page.words
    assert "The end." in page.words
    assert text.count('class="cutout"') == 1
    assert [p.name for p in tmp_path.iterdir()] == ["story.html"]


def test_markdown_has_its_pictures_beside_it(document: Document, tmp_path: Path) -> None:
    document.save(tmp_path / "my tale.md")
    text = (tmp_path / "my tale.md").read_text(encoding="utf-8")
    assert re.search(r"(?<!\\)<script", text) is None
    assert "\n1\\. not a list\n" in text
    names = re.findall(r"\]\((my%20tale-\d\.png)\)", text)
    assert len(names) == 3
    with PIL.Image.open(tmp_path / "my tale-2.png") as opened:
        assert np.array_equal(np.array(opened), document.images[1].pixels)


def test_markdown_reads_as_it_was_written(tmp_path: Path) -> None:
    document = Document((Text("---\nAT&amp;T\n== x\n- y\n"), picture(0)))
    document.save(tmp_path / "part#1 (50%).md")
    text = (tmp_path / "part#1 (50%).md").read_text(encoding="utf-8")
    assert text.startswith("--\\-\n\nAT\\&amp;T\n\n=\\= x\n\n\\- y\n\n")
    (link,) = re.findall(r"\]\(([^()\s]+)\)\n", text)
    assert (tmp_path / unquote(link)).is_file()


def test_a_folder_holds_everything(document: Document, tmp_path: Path) -> None:
    document.save(tmp_path / "out")
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == [
        "story-1.png", "story-2.png", "story-3.png", "story.html", "story.json", "story.md",
    ]  # fmt: skip
    record = json.loads((tmp_path / "out/story.json").read_text())
    assert record["digest"] == document.digest()
    assert [s["type"] for s in record["segments"]] == [
        "text", "image", "text", "image", "image", "text",
    ]  # fmt: skip


def test_bad_places_are_named(document: Document, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"\.html or \.md"):
        document.save(tmp_path / "story.pdf")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write there"):
        document.save(tmp_path / "file" / "story.html")
    for name in ("x" * 300, "x" * 300 + ".html"):
        with pytest.raises(OutputError, match="cannot write there"):
            document.save(tmp_path / name)
        with pytest.raises(OutputError, match="cannot write there"):
            check_output(tmp_path / name / "story.html")


def test_digests_tell_documents_apart(document: Document) -> None:
    other = Document((*document.segments[:-1], Text("The End.\n")))
    assert document.digest() != other.digest()
    assert document.digest() == Document(document.segments).digest()


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(loading, "open_engines", fake_engines)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return make_bundle(tmp_path / "bundle").folder


def test_generate_writes_and_reports(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = ["-o", str(tmp_path / "a/story.html"), "-o", str(tmp_path / "a/story.md")]
    code = main(["generate", "A fox.", "--bundle", str(bundle), "--seed", "3", "--json", *outputs])
    shown = capsys.readouterr()
    assert code == 0
    assert shown.err == ""
    result = json.loads(shown.out.splitlines()[-1])
    assert result["images"] == 3
    assert result["stats"]["seed"] == 3
    assert all(Path(file).is_file() for file in result["files"])
    assert len(result["files"]) == 5
    assert re.search(r"picture 3 +\d", shown.out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["", "-o", "x.html"], "found nothing"),
        (["a <BOI> fox"], "control tag"),
        (["a fox", "--size", "100x100"], "multiples of 16"),
        (["a fox", "--steps", "7"], "schedules"),
        (["a fox", "--image", "none.png"], "found none at"),
        (["a fox", "-o", "story.pdf"], "html or .md"),
        (["a fox", "--device", "tpu"], "device: expected one of"),
        (["a fox", "--bundle", "/nonexistent"], "bundle folder"),
    ],
)
def test_bad_requests_exit_with_two(
    bundle: Path,
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    code = main(["generate", "--bundle", str(bundle), "--json", *arguments])
    shown = capsys.readouterr()
    assert code == 2
    assert message in shown.err
    assert message in json.loads(shown.out.splitlines()[-1])["message"]


def test_a_document_that_cannot_be_saved_is_rescued(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out/story.md/taken").mkdir(parents=True)
    code = main(["generate", "A fox.", "--bundle", str(bundle), "-o", str(tmp_path / "out")])
    shown = capsys.readouterr()
    assert code == 1
    assert "cannot write there" in shown.err
    rescued = Path(re.search(r"saved to (\S+) instead", shown.err)[1])  # type: ignore[index]
    assert (rescued / "story.html").is_file()


@pytest.mark.parametrize(
    "arguments",
    [
        ["generate", "A fox.", "-o", "closed/out"],
        ["generate", "A fox.", "-o", "closed/story.html"],
        ["chat", "-o", "closed"],
        ["chat", "--session", "closed/kept"],
    ],
)
def test_a_place_that_cannot_be_is_refused_before_any_work(
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("closed").write_text("a file, so no folder can be made below it")
    monkeypatch.setattr(loading, "open_engines", None)
    assert main(arguments) == 2
    assert re.search("cannot write there .*closed is a file", capsys.readouterr().err)


def test_an_interrupt_saves_what_was_drawn(
    bundle: Path, tmp_path: Path, document: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> Document:
        raise Interrupted(document)

    monkeypatch.setattr(loading.Runtime, "generate", stop)
    code = main(["generate", "A fox.", "--bundle", str(bundle), "-o", str(tmp_path / "out")])
    assert code == 130
    assert (tmp_path / "out/story.html").is_file()


def test_chat_saves_every_turn_and_the_session(
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    typed = ["/help", "A fox.", "/nonsense", "/image it's.png", "a <think> b", "More.", "/rewind"]
    lines = iter([*typed, "Less."])

    def read(_: str) -> str:
        try:
            return next(lines)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("builtins.input", read)
    arguments = ["--bundle", str(bundle), "-o", str(tmp_path / "chat"), "--max-images", "1"]
    kept = ["--session", str(tmp_path / "kept")]
    assert chat.main([*arguments, *kept]) == 0
    assert sorted(p.name for p in (tmp_path / "chat").iterdir()) == ["turn-1", "turn-2"]
    told = capsys.readouterr().err
    assert "control tag" in told and "put a name with spaces or apostrophes in double" in told
    lines = iter(["Again."])
    assert chat.main([*arguments, *kept, "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["turns"] == 3
    assert (tmp_path / "chat/turn-3/story.html").is_file()


def test_chat_keeps_pictures_for_the_next_message_and_tells_what_was_not_saved(
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "fox.png"
    PIL.Image.new("RGB", (64, 64), "red").save(path)
    lines = iter([f"/image {path}", "a <think> b", "Draw it."])
    asked: list[list[Path]] = []
    generate = Session.generate

    def watch(self: Session, prompt: str, **options: object) -> Document:
        asked.append(options["references"])  # type: ignore[arg-type]
        return generate(self, prompt, **options)  # type: ignore[arg-type]

    def read(_: str) -> str:
        line = next(lines, None)
        if line is None:
            raise EOFError
        if line == "Draw it.":
            (tmp_path / "chat").write_text("in the way")
        return line

    monkeypatch.setattr(Session, "generate", watch)
    monkeypatch.setattr("builtins.input", read)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    arguments = ["--bundle", str(bundle), "-o", str(tmp_path / "chat"), "--max-images", "1"]
    assert main(["chat", *arguments]) == 1
    assert asked == [[path], [path]]
    assert "was saved to" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["generate", "chat", "inspect"])
def test_the_last_line_of_json_tells_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    missing = str(tmp_path / "none")
    arguments = [missing] if command == "inspect" else ["--bundle", missing]
    prompt = ["A fox."] if command == "generate" else []
    assert main([command, *prompt, *arguments, "--json"]) == 2
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["error"] == "BundleMissing" and missing in told["message"]


def test_inspect_shows_the_bundle(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(bundle), "--verify", "--json"]) == 0
    shown = capsys.readouterr().out
    result = json.loads(shown.splitlines()[-1])
    assert result["manifest"]["model"]["name"] == "fake"
    assert "digests checked" in shown
    (bundle / "window.onnx").write_bytes(b"fake windoX")
    assert main(["inspect", str(bundle), "--verify"]) == 2


def test_the_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    usage = capsys.readouterr().out
    assert all(name in usage for name in COMMANDS)
    assert main([]) == 2
    assert "expected a command" in capsys.readouterr().err
    assert main(["nonsense"]) == 2
    assert main(["--version"]) == 0
    assert Path("out") == generate.DEFAULT_OUTPUT


def test_a_missing_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "training.cli", None)
    assert main(["train", "x"]) == 2
    assert "pip install '.[training]'" in capsys.readouterr().err


def test_a_path_that_a_command_trips_over_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = tmp_path / "taken"
    taken.write_text("")
    monkeypatch.setattr("runtime.cli.inspect.main", lambda _: taken.mkdir())
    assert main(["inspect"]) == 2
    assert f"weft inspect: {taken}: File exists" in capsys.readouterr().err


def test_importing_the_runtime_loads_numpy_only() -> None:
    code = (
        "import sys, runtime, runtime.cli.main\n"
        "third = {m.partition('.')[0] for m in sys.modules} - set(sys.stdlib_module_names)\n"
        "print(sorted(m for m in third if not m.startswith('_')))"
    )
    found = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(REPOSITORY)!r})\n{code}"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    loaded = set(ast.literal_eval(found)) - {"sitecustomize", "usercustomize"}
    assert loaded == {"numpy", "runtime"}
