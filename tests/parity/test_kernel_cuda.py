"""What can be said of the CUDA kernel without a GPU: it compiles for every architecture without
register spills, and its own source, run on the CPU by the native tests, gives the right values.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
KERNELS = REPOSITORY / "kernels"
# float32 and float16, head dimensions 32, 64 and 128.
VARIANTS = 6


def run(*command: object) -> str:
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def architectures() -> list[str]:
    listed = re.search(r"WEFT_CUDA_ARCHITECTURES \"([\d;]+)\"", _text(REPOSITORY))
    assert listed is not None
    return listed[1].split(";")


def _text(folder: Path) -> str:
    return (folder / "CMakeLists.txt").read_text(encoding="utf-8")


@pytest.mark.slow
def test_compiles_without_spills(tmp_path: Path) -> None:
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        pytest.skip("nvcc is not here")
    known = run(nvcc, "--list-gpu-code").split()
    targets = [a for a in architectures() if f"sm_{a}" in known]
    assert targets, f"nvcc knows none of {architectures()}"
    codes = [f"-gencode=arch=compute_{a},code=sm_{a}" for a in targets]
    report = run(
        nvcc, "-std=c++17", "-O3", "-Xptxas", "-v", *codes, "-I", KERNELS / "include",
        "-I", KERNELS, "-c", KERNELS / "cuda" / "dpcw.cu", "-o", tmp_path / "dpcw.o",
    )  # fmt: skip
    compiled = re.findall(r"Compiling entry function '\w+' for 'sm_(\d+)\w*'", report)
    assert {a: compiled.count(a) for a in targets} == dict.fromkeys(targets, VARIANTS)
    usage = re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+)", report)
    assert len(usage) == len(compiled)
    assert set(usage) == {("0", "0", "0")}, report


def test_native_tests_pass(tmp_path: Path) -> None:
    missing = [tool for tool in ("cmake", "ctest", "c++") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"building the native tests needs {' and '.join(missing)}")
    run("cmake", "-S", REPOSITORY, "-B", tmp_path)
    run("cmake", "--build", tmp_path)
    run("ctest", "--test-dir", tmp_path, "--output-on-failure", "--no-tests=error")


@pytest.mark.parametrize("option", ["WEFT_TENSORRT", "WEFT_ORT"])
def test_an_option_without_its_code_is_refused_by_name(option: str, tmp_path: Path) -> None:
    if shutil.which("cmake") is None or shutil.which("c++") is None:
        pytest.skip("cmake or a C++ compiler is not here")
    done = subprocess.run(
        ["cmake", "-S", str(REPOSITORY), "-B", str(tmp_path), f"-D{option}=ON"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert f"-D{option}=OFF" in done.stderr
