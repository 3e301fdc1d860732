"""Builds one ONNX graph, node by node, with readable and reproducible names.

Values are passed around as their names. The builder knows ONNX and nothing of the models. How a
large weight is stored and multiplied is decided by the `Storage` it is given, and floats are of the
recipe's compute type except inside `exact()`, so the same component code builds every precision.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from export.storage import Storage
from runtime.interfaces import Interface, Tensor

OPSET = 24
IR_VERSION = 11
_TYPES = {
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "int64": TensorProto.INT64,
    "uint8": TensorProto.UINT8,
    "float8e4m3fn": TensorProto.FLOAT8E4M3FN,
}
Array = NDArray[Any]


class GraphBuilder:
    """One graph under construction."""

    def __init__(self, name: str, storage: Storage) -> None:
        self.name = name
        self.storage = storage
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: dict[str, onnx.TensorProto] = {}
        self._functions: dict[str, onnx.FunctionProto] = {}
        self._scope: list[str] = []
        self._counts: dict[str, int] = {}
        self._domains: dict[str, int] = {"": OPSET}
        self._exact = False

    @property
    def half(self) -> bool:
        """Whether floats are float16 here."""
        return self.storage.recipe.compute == "float16" and not self._exact

    @contextmanager
    def exact(self) -> Iterator[None]:
        """Keeps what is made inside float32: positions, times, pixels, the step of the flow."""
        before, self._exact = self._exact, True
        try:
            yield
        finally:
            self._exact = before

    def enter(self, x: str) -> str:
        """A float32 value in the compute type."""
        return self.op("Cast", x, to=TensorProto.FLOAT16) if self.half else x

    def leave(self, x: str) -> str:
        """A value of the compute type in float32."""
        return self.op("Cast", x, to=TensorProto.FLOAT) if self.half else x

    def result(self, kind: str, *inputs: str, output: str, **attributes: Any) -> None:
        """A node whose output leaves the graph as float32 under the name `output`."""
        if self.half:
            y = self.op(kind, *inputs, **attributes)
            self.op("Cast", y, output=output, to=TensorProto.FLOAT)
        else:
            self.op(kind, *inputs, output=output, **attributes)

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Prefixes the names made inside with `name`."""
        self._scope.append(name)
        try:
            yield
        finally:
            self._scope.pop()

    def op(
        self, kind: str, *inputs: str, domain: str = "", output: str = "", **attributes: Any
    ) -> str:
        """Adds a node with one output and returns its name (`output` where given)."""
        output = output or self._unique(kind.lower())
        self._add(kind, inputs, [output], domain, attributes)
        return output

    def ops(self, kind: str, count: int, *inputs: str, **attributes: Any) -> list[str]:
        """Adds a node with `count` outputs and returns their names."""
        outputs = [self._unique(kind.lower()) for _ in range(count)]
        self._add(kind, inputs, outputs, "", attributes)
        return outputs

    def split(self, x: str, sizes: Sequence[int], axis: int) -> list[str]:
        """Parts of `x` of the given sizes along `axis`."""
        return self.ops("Split", len(sizes), x, self.ints(sizes), axis=axis)

    def reshape(self, x: str, shape: Sequence[int]) -> str:
        """`shape` as in ONNX: 0 keeps a size, -1 is inferred."""
        return self.op("Reshape", x, self.ints(shape))

    def linear(self, x: str, weight: Array, name: str, bias: Array | None = None) -> str:
        """x [..., in] times `weight` [in, out]."""
        y = self.storage.matmul(self, x, np.ascontiguousarray(weight), name)
        return y if bias is None else self.op("Add", y, self.tensor(bias, f"{name}.bias"))

    def path(self, name: str) -> str:
        """`name` in the current scope."""
        return "/".join([*self._scope, name])

    def tensor(self, array: Array | float, name: str) -> str:
        """An initializer named in the current scope; float32 becomes the compute type."""
        return self._initializer(self._typed(np.asarray(array)), self.path(name))

    def ints(self, values: Sequence[int]) -> str:
        """A shape, axes or sizes as an int64 vector."""
        name = "ints." + "_".join(map(str, values))
        return self._initializer(np.array(values, np.int64), name)

    def index(self, value: int) -> str:
        """An int64 scalar."""
        return self._initializer(np.array(value, np.int64), f"index.{value}")

    def number(self, value: float) -> str:
        """A scalar of the compute type."""
        name = f"number.{value!r}" + (".half" if self.half else "")
        return self._initializer(self._typed(np.array(value, np.float32)), name)

    def function(self, function: onnx.FunctionProto) -> None:
        """Makes a model-local function available."""
        self._functions[function.name] = function
        self._domains[function.domain] = 1

    def model(
        self, interface: Interface, dtypes: Mapping[str, str], sizes: Mapping[str, int]
    ) -> onnx.ModelProto:
        """The finished model; the interface's outputs must have been made under their names.
        `dtypes` gives the types of tensors that differ from the interface's, `sizes` the values of
        free sizes that are fixed."""
        graph = helper.make_graph(
            self._nodes,
            self.name,
            [_value(tensor, dtypes, sizes) for tensor in interface.inputs],
            [_value(tensor, dtypes, sizes) for tensor in interface.outputs],
            list(self._initializers.values()),
        )
        return helper.make_model(
            graph,
            ir_version=IR_VERSION,
            opset_imports=[helper.make_opsetid(d, v) for d, v in sorted(self._domains.items())],
            functions=list(self._functions.values()),
            producer_name="weft",
        )

    def _typed(self, array: Array) -> Array:
        return array.astype(np.float16) if self.half and array.dtype == np.float32 else array

    def _initializer(self, array: Array, name: str) -> str:
        if name not in self._initializers:
            self._initializers[name] = self.storage.tensor(name, array)
        return name

    def _unique(self, name: str) -> str:
        path = "/".join([*self._scope, name])
        count = self._counts.get(path, 0)
        self._counts[path] = count + 1
        return f"{path}.{count}" if count else path

    def _add(
        self,
        kind: str,
        inputs: Sequence[str],
        outputs: list[str],
        domain: str,
        attributes: dict[str, Any],
    ) -> None:
        self._nodes.append(
            helper.make_node(
                kind, list(inputs), outputs, name=f"node/{outputs[0]}", domain=domain, **attributes
            )
        )


def _value(
    tensor: Tensor, dtypes: Mapping[str, str], sizes: Mapping[str, int]
) -> onnx.ValueInfoProto:
    kind = _TYPES[dtypes.get(tensor.name, tensor.dtype)]
    shape = [sizes.get(size, size) if isinstance(size, str) else size for size in tensor.shape]
    return helper.make_tensor_value_info(tensor.name, kind, shape)
