"""Which folder may import what: the table of the design, enforced on the syntax trees.

Every import counts, those inside functions too. `importlib.import_module("name")` with a literal
counts as an import. Subprocesses then show what importing really loads.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = ("runtime", "export", "training", "benchmarks")
ENGINES = {"onnxruntime", "onnxruntime_ep_nv_tensorrt_rtx", "tensorrt", "tensorrt_rtx", "cuda"}
HEAVY = ("torch", "transformers", "diffusers")
# What `export` may take from the runtime outside its verification modules.
CONTRACT = ("runtime.bundle", "runtime.errors", "runtime.interfaces")


@dataclass(frozen=True)
class Import:
    """One imported name: where, what, whether it waits until a function runs, or never does."""

    path: str
    line: int
    name: str
    lazy: bool
    for_types: bool = False

    @property
    def top(self) -> str:
        return self.name.partition(".")[0]

    def within(self, *modules: str) -> bool:
        return any(self.name == m or self.name.startswith(m + ".") for m in modules)

    def __str__(self) -> str:
        return f"{self.path}:{self.line} imports {self.name}"


def _names(node: ast.AST, path: Path) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        if node.level:
            folder = path.relative_to(REPOSITORY).parts[: -node.level]
            base = ".".join((*folder, *filter(None, (node.module,))))
        else:
            base = node.module or ""
        return [f"{base}.{alias.name}" for alias in node.names]
    if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        called = node.func
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        if name in ("import_module", "__import__"):
            return [str(node.args[0].value)]
    return []


def _walk(node: ast.AST, path: Path, lazy: bool, for_types: bool = False) -> Iterator[Import]:
    where = str(path.relative_to(REPOSITORY))
    for child in ast.iter_child_nodes(node):
        for name in _names(child, path):
            yield Import(where, getattr(child, "lineno", 0), name, lazy or for_types, for_types)
        types = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)
        inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from _walk(child, path, lazy or inside, for_types or types)


def imports(folder: str) -> list[Import]:
    found: list[Import] = []
    for path in sorted((REPOSITORY / folder).rglob("*.py")):
        found += _walk(ast.parse(path.read_text(encoding="utf-8")), path, lazy=False)
    return found


def broken(found: list[Import]) -> str:
    return "\n".join(map(str, found))


def test_runtime_needs_only_its_four_packages() -> None:
    allowed = {*sys.stdlib_module_names, "numpy", "PIL", "tokenizers", "runtime"}

    def may(i: Import) -> bool:
        if i.path.startswith("runtime/engines/") and i.top in ENGINES:
            return i.lazy
        if i.path.startswith("runtime/cli/") and i.top in PACKAGES:
            return i.lazy or i.top == "runtime"
        # The type checker brings its own copy of this one.
        return i.top in allowed or (i.for_types and i.top == "typing_extensions")

    assert not broken([i for i in imports("runtime") if not may(i)])


def test_training_stands_alone() -> None:
    others = {"runtime", "export", "benchmarks"}
    assert not broken([i for i in imports("training") if i.top in others])


def test_storyworld_is_free_of_torch_and_of_the_models() -> None:
    def may(i: Import) -> bool:
        if i.top == "training":
            return i.within("training.storyworld", "training.errors")
        return i.top not in (*HEAVY, "torchvision", "safetensors")

    assert not broken([i for i in imports("training/storyworld") if not may(i)])


def test_export_takes_models_and_the_contract() -> None:
    def may(i: Import) -> bool:
        verifies = Path(i.path).stem.startswith("verif") or "/verif" in i.path
        if i.top == "runtime":
            return (
                verifies or i.within(*CONTRACT, "runtime.strict") or i.name == "runtime.__version__"
            )
        return i.top != "benchmarks" or verifies

    assert not broken([i for i in imports("export") if not may(i)])


def test_benchmarks_use_the_public_api_and_the_storyworld() -> None:
    def may(i: Import) -> bool:
        if i.top == "training":
            return i.within("training.storyworld", "training.errors")
        if i.top == "runtime":
            return i.name.count(".") <= 1 or i.within(*CONTRACT)
        return i.top != "export" and (i.lazy or i.top not in (*HEAVY, *ENGINES))

    assert not broken([i for i in imports("benchmarks") if not may(i)])


def test_every_folder_with_code_is_a_package_and_kernels_is_none() -> None:
    for package in PACKAGES:
        folders = {path.parent for path in (REPOSITORY / package).rglob("*.py")}
        assert [str(f) for f in folders if not (f / "__init__.py").is_file()] == []
    assert not (REPOSITORY / "kernels/__init__.py").exists()


def loaded_after(code: str) -> set[str]:
    """Top-level names in `sys.modules` of a fresh interpreter after `code`."""
    script = f"import json, sys\n{code}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return {name.partition(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


@pytest.mark.parametrize("module", ["runtime", "runtime.cli.main", "runtime.bundle"])
def test_importing_the_runtime_loads_no_engine_and_no_framework(module: str) -> None:
    unwanted = {*HEAVY, *ENGINES, "tokenizers", "export", "training", "benchmarks"}
    assert loaded_after(f"import {module}") & unwanted == set()


def test_importing_the_whole_storyworld_loads_no_torch() -> None:
    folder = REPOSITORY / "training/storyworld"
    modules = [
        ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted(folder.rglob("*.py"))
        if path.name != "__main__.py"
    ]
    assert loaded_after("\n".join(f"import {m}" for m in modules)) & set(HEAVY) == set()


@pytest.mark.parametrize(
    ("source", "name", "lazy"),
    [
        ("import torch", "torch", False),
        ("def f():\n    import torch.nn", "torch.nn", True),
        ("class A:\n    from torch import nn", "torch.nn", False),
        ("from ..bundle import Bundle", "runtime.bundle.Bundle", False),
        ("from . import cpu", "runtime.engines.cpu", False),
        ("from importlib import import_module as m\nimport_module('export')", "export", False),
        ("if TYPE_CHECKING:\n    import onnxruntime", "onnxruntime", True),
    ],
)
def test_the_walk_sees_every_kind_of_import(source: str, name: str, lazy: bool) -> None:
    path = REPOSITORY / "runtime/engines/sample.py"
    found = {(i.name, i.lazy) for i in _walk(ast.parse(source), path, lazy=False)}
    assert (name, lazy) in found
