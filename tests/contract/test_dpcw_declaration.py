"""Everything that names the operator's inputs and attributes says what its declaration says."""

from __future__ import annotations

import dataclasses
import re
import runpy
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch")

import torch

from training.models.dpcw import OPERATOR, attend

KERNELS = Path(__file__).resolve().parents[2] / "kernels"
INPUTS = OPERATOR.inputs + OPERATOR.optional
ATTRIBUTES = tuple(name for name, _ in OPERATOR.attributes)


def text(path: str) -> str:
    return (KERNELS / path).read_text(encoding="utf-8")


def camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def test_c_header_has_name_domain_and_version() -> None:
    found = dict(re.findall(r"#define WEFT_DPCW_(\w+) \"?(\w+)\"?", text("include/weft/dpcw.h")))
    assert found == {
        "DOMAIN": OPERATOR.domain,
        "NAME": OPERATOR.name,
        "VERSION": str(OPERATOR.version),
    }


def test_c_structure_has_the_tensors_and_attributes_in_order() -> None:
    body = re.search(r"typedef struct Weft(\w+) \{(.*?)\}", text("include/weft/dpcw.h"), re.DOTALL)
    assert body is not None
    assert body[1] == OPERATOR.name
    fields = re.findall(r"^\s*(?:const )?\w+ \*?(\w+);", body[2], re.MULTILINE)
    expected = OPERATOR.inputs + OPERATOR.outputs + OPERATOR.optional + ATTRIBUTES
    assert tuple(fields[: len(expected)]) == expected
    assert re.findall(r"^\s*void \*(\w+);", body[2], re.MULTILINE) == list(OPERATOR.outputs)


def test_torch_operator() -> None:
    schema = torch.ops.weft.dpcw_attention.default._schema
    assert schema.name == "weft::dpcw_attention"
    arguments = {a.name: a for a in schema.arguments}
    assert tuple(arguments) == INPUTS + ATTRIBUTES
    for name in OPERATOR.inputs:
        assert str(arguments[name].type) == "Tensor"
    for name in OPERATOR.optional:
        assert str(arguments[name].type) == "Optional[Tensor]"
    for name, default in OPERATOR.attributes:
        assert arguments[name].default_value == default
    assert tuple(attend.__code__.co_varnames[: len(arguments)]) == tuple(arguments)


def test_onnx_function_takes_the_required_inputs() -> None:
    pytest.importorskip("onnx")
    from export.components.visualizer import dpcw_function

    function = dpcw_function()
    assert (function.domain, function.name) == (OPERATOR.domain, OPERATOR.name)
    assert tuple(function.input) == OPERATOR.inputs
    assert tuple(function.output) == OPERATOR.outputs


def test_numpy_reference() -> None:
    from tests.dpcw_reference import Call

    defaults = {field.name: field.default for field in dataclasses.fields(Call)}
    assert tuple(defaults) == INPUTS + ATTRIBUTES
    for name, default in OPERATOR.attributes:
        assert defaults[name] == default


def test_onnxruntime_operator() -> None:
    source = text("ort/operator.h")
    listed = re.search(r"enum Input \{(.*?)\}", source, re.DOTALL)
    assert listed is not None
    assert tuple(re.findall(r"\w+", listed[1])) == tuple("k" + camel(name) for name in INPUTS)
    assert f"kRequired = {len(OPERATOR.inputs)};" in source
    assert f"kInputs = {len(INPUTS)};" in source
    assert tuple(re.findall(r"read\(given, \"(\w+)\"", source)) == ATTRIBUTES


def test_tensorrt_plugin_fields() -> None:
    source = text("plugins/attributes.h")
    names = re.search(r"field_names\(\) \{.*?\n\}", source, re.DOTALL)
    assert names is not None
    # "optional" is the plugin's own: it says which optional inputs are connected.
    assert tuple(re.findall(r"\{\"(\w+)\"", names[0])) == (*ATTRIBUTES, "optional")
    assert f"kRequiredInputs = {len(OPERATOR.inputs)};" in source
    assert f"kOptionalInputs = {len(OPERATOR.optional)};" in source
    plugin = text("plugins/dpcw_plugin.cpp")
    connected = re.findall(r"call\.(\w+) = static_cast<const \w+ \*>\(optional\((\d)\)\)", plugin)
    assert connected == [(name, str(i)) for i, name in enumerate(OPERATOR.optional)]
    required = re.findall(r"call\.(\w+) = data\[(\d)\]", plugin)
    assert required == [(name, str(i)) for i, name in enumerate(OPERATOR.inputs)]


def test_ahead_of_time_plugin() -> None:
    module = runpy.run_path(str(KERNELS / "plugins/ahead_of_time.py"))
    assert module["PLUGIN"] == f"{OPERATOR.domain}::{OPERATOR.name}"
    assert module["INPUTS"] == OPERATOR.inputs
    source = text("cuda/ahead_of_time.cu")
    entries = re.findall(r"^WEFT_ENTRY\((\w+),", source, re.MULTILINE)
    kinds = [(kind, dim, tactic) for kind in ("half", "bfloat") for dim, tactic in
             module["VARIANTS"]]  # fmt: skip
    assert set(entries) == {module["entry"](*kind) for kind in kinds}


class Size(int):
    """A dimension as TensorRT's shape expressions give it."""

    def constant_value(self) -> int:
        return int(self)


def test_ahead_of_time_plugin_launches_what_the_shapes_need(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The functions that the plugin registers, called as TensorRT calls them."""
    registered: dict[str, Any] = {}

    def keep(kind: str) -> Any:
        return lambda plugin: lambda function: registered.setdefault(f"{kind} {plugin}", function)

    plugin = ModuleType("tensorrt.plugin")
    plugin.__dict__.update(
        register=keep("register"), autotune=keep("autotune"), aot_impl=keep("launch"),
        TensorDesc=object, AutoTuneCombination=lambda *given: given,
        KernelLaunchParams=SimpleNamespace, SymIntExprs=lambda count: [None] * count,
        SymInt32=int, cdiv=lambda a, b: -(-a // b),
    )  # fmt: skip
    tensorrt = ModuleType("tensorrt")
    tensorrt.__dict__.update(plugin=plugin, float16="float16")
    monkeypatch.setitem(sys.modules, "tensorrt", tensorrt)
    monkeypatch.setitem(sys.modules, "tensorrt.plugin", plugin)
    runpy.run_path(str(KERNELS / "plugins/ahead_of_time.py"))["register"](b"ptx")

    name = f"{OPERATOR.domain}::{OPERATOR.name}"
    assert set(registered) == {f"{kind} {name}" for kind in ("register", "autotune", "launch")}
    q = SimpleNamespace(shape_expr=[Size(n) for n in (2, 6, 256, 64)], dtype="float16")
    other = SimpleNamespace(shape_expr=[Size(n) for n in (2, 3, 320, 64)], dtype="float16")
    kernel, ptx, launch, integers = registered[f"launch {name}"](q, *[other] * 4, (q,), 1)
    assert (kernel, ptx) == ("weft_dpcw_half_64_128_49152", b"ptx")
    assert vars(launch) == {"grid_x": 4, "grid_y": 6, "block_x": 128, "shared_mem": 49152}
    assert integers == [6, 3, 256, 320]
