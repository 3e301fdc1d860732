"""The CUDA sources compile for every architecture, and no hot kernel spills or uses stack."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("ml_dtypes", reason="the kernels' test helpers need the export extra")

from tests.native_kernels import KERNELS, REPOSITORY, configure, run

NVCC = shutil.which("nvcc")
needs_nvcc = pytest.mark.skipif(NVCC is None, reason="nvcc is not here")
# Three head dimensions by four pairs of types: wide and narrow attention and the row mover; and
# the float32 attention.
VARIANTS = 3 * 4 * 3 + 3


def architectures() -> list[str]:
    listed = re.search(
        r"WEFT_CUDA_ARCHITECTURES \"([\d;]+)\"", (REPOSITORY / "CMakeLists.txt").read_text()
    )
    assert listed is not None
    return listed[1].split(";")


@pytest.mark.slow
@needs_nvcc
def test_compiles_for_every_architecture_without_spills_or_stack(tmp_path: Path) -> None:
    known = run(NVCC, "--list-gpu-code").split()
    targets = [a for a in architectures() if f"sm_{a}" in known]
    assert targets, f"nvcc knows none of {architectures()}"
    codes = ",".join(f"sm_{a}" for a in targets)
    report = run(
        NVCC, "-std=c++17", "-O3", "--threads=2", "-Xptxas=-v,-warn-spills,-warn-lmem-usage",
        "--gpu-architecture=compute_80", f"--gpu-code={codes}", "-I", KERNELS / "include",
        "-I", KERNELS, "-c", KERNELS / "cuda/dpcw.cu", "-o", tmp_path / "dpcw.o",
    )  # fmt: skip
    compiled = re.findall(r"Compiling entry function '\w+' for 'sm_(\d+)\w*'", report)
    assert {a: compiled.count(a) for a in targets} == dict.fromkeys(targets, VARIANTS)
    usage = re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+)", report)
    assert len(usage) == len(compiled)
    assert set(usage) == {("0", "0", "0")}, report


@pytest.mark.slow
@needs_nvcc
def test_ahead_of_time_entries_take_what_the_plugin_gives(tmp_path: Path) -> None:
    ptx = tmp_path / "dpcw.ptx"
    run(
        NVCC, "-std=c++17", "-O1", "--ptx", "--gpu-architecture=compute_80", "-I",
        KERNELS / "include", "-I", KERNELS, KERNELS / "cuda/ahead_of_time.cu", "-o", ptx,
    )  # fmt: skip
    plugin = runpy.run_path(str(KERNELS / "plugins/ahead_of_time.py"))
    text = ptx.read_text()
    assert plugin["entries"](text.encode()) == {
        plugin["entry"](kind, *variant) for kind in ("half", "bfloat")
        for variant in plugin["VARIANTS"]
    }  # fmt: skip
    for parameters in re.findall(r"\.entry \w+\(([^)]*)\)", text):
        kinds = re.findall(r"\.param \.(\w+)", parameters)
        assert kinds == ["u64"] * 5 + ["u32"] * 4 + ["u64"]


def test_native_tests_pass(tmp_path: Path) -> None:
    missing = [tool for tool in ("cmake", "ctest", "c++") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"building the native tests needs {' and '.join(missing)}")
    run("cmake", "-S", REPOSITORY, "-B", tmp_path)
    run("cmake", "--build", tmp_path)
    run("ctest", "--test-dir", tmp_path, "--output-on-failure", "--no-tests=error")


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        (("-DWEFT_ORT=ON", "-DORT_INCLUDE=ORT_INCLUDE-NOTFOUND"), "-DORT_ROOT=…"),
        (("-DWEFT_TENSORRT=ON",), "-DWEFT_CUDA=ON"),
        (("-DWEFT_HIGHWAY=ON", "-DHWY_INCLUDE=HWY_INCLUDE-NOTFOUND"), "-DHWY_ROOT=…"),
    ],
)
def test_a_missing_dependency_is_named_with_its_remedy(
    options: tuple[str, ...], remedy: str, tmp_path: Path
) -> None:
    if shutil.which("cmake") is None or shutil.which("c++") is None:
        pytest.skip("cmake or a C++ compiler is not here")
    nowhere = ("-DCMAKE_FIND_ROOT_PATH=/nowhere", "-DCMAKE_FIND_ROOT_PATH_MODE_INCLUDE=ONLY")
    with pytest.raises(AssertionError, match=remedy):
        run("cmake", "-S", REPOSITORY, "-B", tmp_path, *nowhere, *options)


@needs_nvcc
def test_an_architecture_that_nvcc_lacks_is_named_with_the_remedy(tmp_path: Path) -> None:
    options = ("-DWEFT_CUDA=ON", "-DWEFT_CUDA_ARCHITECTURES=80;999")
    with pytest.raises(AssertionError, match=r"found 999(.|\n)*-DWEFT_CUDA_ARCHITECTURES=…"):
        configure(tmp_path, *options)


def test_the_benchmark_says_what_is_missing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.kernels", "--library", str(tmp_path / "none.so")]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "cmake --preset cuda" in done.stderr
