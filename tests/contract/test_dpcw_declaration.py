"""The C header of DPCW attention says what the operator's one declaration says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("torch")

from training.models.dpcw import OPERATOR

HEADER = Path(__file__).resolve().parents[2] / "kernels/include/weft/dpcw.h"


@pytest.fixture(scope="module")
def header() -> str:
    return HEADER.read_text(encoding="utf-8")


def test_name_domain_and_version(header: str) -> None:
    found = dict(re.findall(r"#define WEFT_DPCW_(\w+) \"?(\w+)\"?", header))
    assert found == {
        "DOMAIN": OPERATOR.domain,
        "NAME": OPERATOR.name,
        "VERSION": str(OPERATOR.version),
    }


def test_tensors_stand_in_the_operators_order(header: str) -> None:
    body = re.search(r"typedef struct Weft(\w+) \{(.*?)\}", header, re.DOTALL)
    assert body is not None
    assert body[1] == OPERATOR.name
    inputs = re.findall(r"const void \*(\w+);", body[2])
    outputs = re.findall(r"^\s*void \*(\w+);", body[2], re.MULTILINE)
    assert (tuple(inputs), tuple(outputs)) == (OPERATOR.inputs, OPERATOR.outputs)
