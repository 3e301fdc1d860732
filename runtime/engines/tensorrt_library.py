"""TensorRT and TensorRT for RTX: one Python interface, two packages.

Reads a serialized engine and says in the library's own words why it cannot. The calls that only one
of the packages has are looked up by name.
"""

from __future__ import annotations

import importlib
import logging
import os
from pathlib import Path
from typing import Any

from runtime.bundle import digest_of
from runtime.errors import DependencyError, EngineError

logger = logging.getLogger(__name__)

# backend → (module, how to get it)
MODULES = {
    "tensorrt-rtx": ("tensorrt_rtx", "pip install tensorrt-rtx-cu13"),
    "tensorrt": ("tensorrt", "install NVIDIA TensorRT with its Python package"),
}
# Names the plugin library that engines may need: a bundle brings no native code.
PLUGIN_VARIABLE = "WEFT_TENSORRT_PLUGIN"
_DTYPES = {
    "FLOAT": "float32",
    "HALF": "float16",
    "FP8": "float8e4m3fn",
    "INT64": "int64",
    "INT32": "int32",
    "UINT8": "uint8",
    "BOOL": "bool",
}


class Library:
    """One of the two packages, with a logger that remembers what it complained about."""

    def __init__(self, backend: str) -> None:
        name, remedy = MODULES[backend]
        try:
            self.module: Any = importlib.import_module(name)
        except (ImportError, OSError) as error:
            raise DependencyError(f"{name} cannot be imported ({error}); {remedy}") from error
        self.name = name
        self.complaints: list[str] = []
        self._logger = _make_logger(self.module, self.complaints)
        self._runtime = self.module.Runtime(self._logger)
        self._plugins: set[str] = set()

    @property
    def version(self) -> str:
        """The library's version, as in "1.4.0"."""
        return str(self.module.__version__)

    def load(self, path: Path, plugin: str = "") -> Any:
        """The engine in a file, with the plugin it requires; raises `EngineError`."""
        data = path.read_bytes()
        self.complaints.clear()
        if plugin and plugin not in self._plugins:
            self._load_plugin(find_plugin(plugin))
            self._plugins.add(plugin)
        problem = self._problem(data)
        engine = None if problem else self._runtime.deserialize_cuda_engine(data)
        if engine is None:
            reasons = "; ".join(filter(None, [problem, *self.complaints[:3]])) or "no reason given"
            raise EngineError(
                f"{path}: {self.name} {self.version} cannot open this engine: {reasons}; export "
                "the bundle with this version for this GPU"
            )
        return engine

    def dtype(self, found: Any) -> str:
        """The name of one of the library's types."""
        return _DTYPES.get(found.name, str(found.name))

    def _load_plugin(self, path: Path) -> None:
        if self._runtime.get_plugin_registry().load_library(str(path)) is None:
            reasons = "; ".join(self.complaints[:3]) or "no reason given"
            raise EngineError(
                f"{PLUGIN_VARIABLE}: expected a plugin that {self.name} {self.version} can load, "
                f"found {path}: {reasons}; build it for this version and export the bundle with it"
            )

    def _problem(self, data: bytes) -> str:
        """What TensorRT for RTX says of an engine before it is opened; "" where it is fine."""
        ask = getattr(self._runtime, "get_engine_validity", None)
        if ask is None:
            return ""
        validity, diagnostics = ask(data)
        if validity != self.module.EngineValidity.INVALID:
            return ""
        known = getattr(self.module.EngineInvalidityDiagnostics, "__members__", {})
        found = [n.lower().replace("_", " ") for n, v in known.items() if int(v) & diagnostics]
        return ", ".join(found) or "it is not valid here"


def find_plugin(wanted: str) -> Path:
    """The library that the user names for a variant's plugin, "name sha256"; raises `EngineError`
    where it is not the very file the engine was built with."""
    name, _, digest = wanted.rpartition(" ")
    expected = f"{PLUGIN_VARIABLE}: expected the TensorRT plugin {name} with sha256 {digest[:12]}…"
    remedy = f"set {PLUGIN_VARIABLE} to the library that the bundle was exported with"
    given = os.environ.get(PLUGIN_VARIABLE)
    if not given:
        raise EngineError(f"{expected}, found nothing; {remedy}")
    # Absolute, because the loader searches the system's folders for a bare name.
    path = Path(given).absolute()
    try:
        found = digest_of(path)
    except OSError as error:
        raise EngineError(f"{expected}, found {path}: {error.strerror}; {remedy}") from error
    if found != digest:
        raise EngineError(
            f"{expected}, found {path} with {found[:12]}…; {remedy}, or export it with this one"
        )
    return path


def _make_logger(module: Any, complaints: list[str]) -> Any:
    """Errors are kept for the message of an `EngineError`; the rest goes to logging."""
    severity = module.ILogger.Severity
    levels = {
        severity.INTERNAL_ERROR: logging.ERROR,
        severity.ERROR: logging.ERROR,
        severity.WARNING: logging.DEBUG,
        severity.INFO: logging.DEBUG,
    }

    class Recorder(module.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            module.ILogger.__init__(self)

        def log(self, level: Any, text: str) -> None:
            found = levels.get(level, 0)
            if found >= logging.ERROR:
                complaints.append(text)
            if found:
                logger.debug("%s: %s", module.__name__, text)

    return Recorder()
