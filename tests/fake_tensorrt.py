"""TensorRT over `tests.fake_cuda`: engines are JSON, and compute what the fake bundle's do.

A plan holds the component's name, its tensors with their types, and the shapes of its profiles. A
context checks what the library would check: shapes inside the profile, an address for every tensor,
one address for state, scratch memory that was given to it. A plugin library is a text that names
its creator.
"""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from runtime.bundle import Component, Variant
from runtime.engines.elements import FLOAT8, Element
from tests.fake_bundle import ENGINES
from tests.fake_cuda import STREAM, FakeCudart, view

INPUT, OUTPUT, DEVICE, HOST = "input", "output", "device", "host"
VERSION = "1.7.1"
SCRATCH = 4096
OPERATOR = "DPCWAttention"
DTYPES = {"float32": "FLOAT", "float16": "HALF", FLOAT8: "FP8", "int64": "INT64", "uint8": "UINT8"}
Sizes = dict[str, tuple[int, int, int]]


def plan(
    name: str, component: Component, variant: Variant, profiles: list[Sizes], **more: Any
) -> bytes:
    """A serialized engine whose free sizes have these bounds."""

    def bounds(shape: tuple[int | str, ...], sizes: Sizes) -> list[list[int]]:
        return [[sizes[e][i] if isinstance(e, str) else e for e in shape] for i in range(3)]

    sides = ((INPUT, component.inputs), (OUTPUT, component.outputs))
    record = {
        "name": name,
        "version": VERSION,
        "kv_scale": variant.kv_scale,
        "tensors": {
            t.name: [mode, t.dtype, t.shape] for mode, side in sides for t in variant.tensors(side)
        },
        "state": {s.past: s.present for s in component.state},
        "profiles": [
            {t.name: bounds(t.shape, sizes) for t in component.inputs} for sizes in profiles
        ],
        **more,
    }
    return json.dumps(record).encode()


class FakeTensorRT:
    """The module."""

    __name__ = "tensorrt_rtx"
    __version__ = VERSION
    TensorIOMode = SimpleNamespace(INPUT=INPUT, OUTPUT=OUTPUT)
    TensorLocation = SimpleNamespace(DEVICE=DEVICE, HOST=HOST)
    ExecutionContextAllocationStrategy = SimpleNamespace(USER_MANAGED="user")
    EngineValidity = SimpleNamespace(VALID=0, INVALID=2)
    EngineInvalidityDiagnostics = SimpleNamespace(
        __members__={"VERSION_MISMATCH": 1, "UNSUPPORTED_CC": 2}
    )

    NetworkDefinitionCreationFlag = SimpleNamespace(STRONGLY_TYPED=0)
    OnnxParserFlag = SimpleNamespace(ENABLE_PLUGIN_OVERRIDE=3)
    LayerType = Enum("LayerType", ("PLUGIN_V3", "CONCATENATION", "ATTENTION_INPUT"))

    class ILogger:
        INTERNAL_ERROR, ERROR, WARNING, INFO = range(4)
        Severity = SimpleNamespace(INTERNAL_ERROR=0, ERROR=1, WARNING=2, INFO=3)

        def __init__(self) -> None:
            self.ready = True

    def __init__(self, cudart: FakeCudart) -> None:
        self.cudart = cudart
        self.contexts: list[FakeContext] = []
        self.executed: list[str] = []
        self.plugins: list[str] = []

    def Builder(self, logger: Any) -> FakeBuilder:
        return FakeBuilder(self, logger)

    def OnnxParser(self, network: FakeNetwork, logger: Any) -> FakeParser:
        return FakeParser(network)

    def Runtime(self, logger: Any) -> FakeRuntime:
        assert logger.ready, "the base class was not initialised"
        return FakeRuntime(self, logger)


class FakeRegistry:
    """Where plugin libraries are loaded, each once."""

    def __init__(self, module: FakeTensorRT, logger: Any) -> None:
        self.module, self.logger = module, logger
        self.creators: list[str] = []

    def load_library(self, path: str) -> object | None:
        assert Path(path).is_absolute(), "a bare name is searched in the system's folders"
        text = Path(path).read_text()
        if not text or text in self.creators:
            self.logger.log(1, "getCreators could not be loaded")
            return None
        self.creators.append(text)
        self.module.plugins.append(path)
        return self


class FakeBuilder:
    """Builds engines that hold the names of their layers."""

    def __init__(self, module: FakeTensorRT, logger: Any) -> None:
        self.registry = FakeRegistry(module, logger)

    def get_plugin_registry(self) -> FakeRegistry:
        return self.registry

    def create_network(self, flags: int) -> FakeNetwork:
        return FakeNetwork(self.registry)

    def create_builder_config(self) -> SimpleNamespace:
        return SimpleNamespace(add_optimization_profile=lambda profile: None)

    def create_optimization_profile(self) -> SimpleNamespace:
        return SimpleNamespace()

    def build_serialized_network(self, network: FakeNetwork, config: Any) -> bytes:
        return " ".join(network.layers).encode()


class FakeNetwork:
    def __init__(self, registry: FakeRegistry) -> None:
        self.registry = registry
        self.layers: list[str] = []

    @property
    def num_layers(self) -> int:
        return len(self.layers)

    def get_layer(self, index: int) -> SimpleNamespace:
        return SimpleNamespace(type=FakeTensorRT.LayerType[self.layers[index]])


class FakeParser:
    """Every graph is one node of the operator: the plugin's, or the function's body."""

    def __init__(self, network: FakeNetwork) -> None:
        self.network = network
        self.override = False

    def set_flag(self, flag: int) -> None:
        self.override = flag == FakeTensorRT.OnnxParserFlag.ENABLE_PLUGIN_OVERRIDE

    def parse_from_file(self, path: str) -> bool:
        taken = self.override and OPERATOR in self.network.registry.creators
        self.network.layers += ["PLUGIN_V3"] if taken else ["CONCATENATION", "ATTENTION_INPUT"]
        return True


class FakeRuntime:
    def __init__(self, module: FakeTensorRT, logger: Any) -> None:
        self.module, self.logger = module, logger
        self.registry = FakeRegistry(module, logger)

    def get_plugin_registry(self) -> FakeRegistry:
        return self.registry

    def get_engine_validity(self, data: bytes) -> tuple[int, int]:
        wrong = b"{" in data and json.loads(data)["version"] != VERSION
        return (2, 1) if wrong else (0, 0)

    def deserialize_cuda_engine(self, data: bytes) -> FakeEngine | None:
        try:
            record = json.loads(data)
        except ValueError:
            self.logger.log(1, "magic tag does not match")
            return None
        if "plugin" in record and record["plugin"] not in self.registry.creators:
            self.logger.log(1, f"cannot find plugin {record['plugin']}")
            return None
        return FakeEngine(self.module, self.logger, record)


class FakeEngine:
    device_memory_size_v2 = SCRATCH

    def __init__(self, module: FakeTensorRT, logger: Any, record: dict[str, Any]) -> None:
        self.module, self.logger, self.record = module, logger, record
        self.tensors = record["tensors"]
        self.num_io_tensors = len(self.tensors)
        self.num_optimization_profiles = len(record["profiles"])

    def get_tensor_name(self, index: int) -> str:
        return list(self.tensors)[index]

    def get_tensor_mode(self, name: str) -> str:
        return str(self.tensors[name][0])

    def get_tensor_dtype(self, name: str) -> SimpleNamespace:
        return SimpleNamespace(name=DTYPES[self.tensors[name][1]])

    def get_tensor_shape(self, name: str) -> list[int]:
        return [-1 if isinstance(extent, str) else extent for extent in self.tensors[name][2]]

    def get_tensor_location(self, name: str) -> str:
        return HOST if name in self.record.get("host", ()) else DEVICE

    def get_tensor_profile_shape(self, name: str, index: int) -> list[list[int]]:
        found: list[list[int]] = self.record["profiles"][index][name]
        return found

    def create_execution_context(self, strategy: Any) -> FakeContext:
        assert strategy == "user"
        return FakeContext(self)


class FakeContext:
    """Keeps what it is told, and looks at it when it queues."""

    def __init__(self, engine: FakeEngine) -> None:
        self.engine = engine
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.places: dict[str, int] = {}
        self.profile = -1
        self.scratch = 0
        engine.module.contexts.append(self)

    def set_device_memory(self, address: int, size: int) -> None:
        assert size >= SCRATCH and self.engine.module.cudart.on_device(address, size)
        self.scratch = address

    def set_optimization_profile_async(self, index: int, stream: int) -> bool:
        assert stream == STREAM
        self.profile = index
        return index < self.engine.num_optimization_profiles

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        low, _, high = self.engine.get_tensor_profile_shape(name, self.profile)
        self.shapes[name] = tuple(shape)
        return all(a <= b <= c for a, b, c in zip(low, shape, high, strict=True))

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.places[name] = address
        return (name in self.engine.tensors and address % 256 == 0) or name in self.hosts

    @property
    def hosts(self) -> list[str]:
        return list(self.engine.record.get("host", ()))

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        sizes = self._sizes()
        return tuple(sizes[e] if isinstance(e, str) else e for e in self.engine.tensors[name][2])

    def _sizes(self) -> dict[str, int]:
        sizes: dict[str, int] = {}
        for name, shape in self.shapes.items():
            for extent, found in zip(self.engine.tensors[name][2], shape, strict=True):
                if isinstance(extent, str):
                    sizes[extent] = found
        sizes.setdefault("P", sizes.get("N", 0) + sizes.get("M", 0))
        if "h" in sizes:
            sizes |= {"H": 16 * sizes["h"], "W": 16 * sizes["w"]}
        elif "H" in sizes:
            sizes |= {"h": sizes["H"] // 16, "w": sizes["W"] // 16}
            sizes["n"] = -(-sizes["H"] // 64) * -(-sizes["W"] // 64)
        return sizes

    def execute_async_v3(self, stream: int) -> bool:
        assert stream == STREAM and self.scratch
        module, record = self.engine.module, self.engine.record
        arrays: dict[str, np.ndarray] = {}
        for name, (_, dtype, _) in self.engine.tensors.items():
            shape = self.shapes.get(name) or self.get_tensor_shape(name)
            kind = Element(dtype).stored
            size = int(np.prod(shape)) * kind.itemsize
            if name not in self.hosts and not module.cudart.on_device(self.places[name], size):
                self.engine.logger.log(1, f"{name} is not on the device")
                return False
            arrays[name] = view(self.places[name], size).view(kind).reshape(shape)
        for past, present in record["state"].items():
            assert self.places[past] == self.places[present], "state moved"

        def work() -> None:
            module.executed.append(record["name"])
            tensors, scale = self.engine.tensors, record["kv_scale"]
            kinds = {n: Element(t[1], scale if t[1] == FLOAT8 else 1.0) for n, t in tensors.items()}
            inputs = {n: kinds[n].decode(a) for n, a in arrays.items() if tensors[n][0] == INPUT}
            for name, array in compute(record["name"], tensors, inputs).items():
                arrays[name][...] = kinds[name].encode(array)

        module.cudart.submit(work)
        return True


def compute(
    name: str, tensors: dict[str, Any], inputs: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """What the fake bundle's engine gives for these inputs; its state is changed in place."""
    engine = ENGINES[name].__new__(ENGINES[name])
    outputs = [SimpleNamespace(name=n, shape=t[2]) for n, t in tensors.items() if t[0] == OUTPUT]
    engine.component = SimpleNamespace(outputs=outputs)  # type: ignore[assignment]
    return engine._execute(inputs, {})
