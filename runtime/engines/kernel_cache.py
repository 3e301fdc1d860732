"""Execution contexts, and the kernels TensorRT for RTX compiles when it first runs.

An RTX engine is finished on the machine it runs on: kernels are compiled when a shape first comes.
They are kept in a file in the user's cache folder, so that the next process finds them. The library
itself refuses a file from another GPU, driver or version. TensorRT has no such step.
"""

from __future__ import annotations

import logging
import os
from typing import Any

from runtime.bundle import Variant
from runtime.engines.tensorrt_library import Library
from runtime.user_cache import cache_folder

logger = logging.getLogger(__name__)


class KernelCache:
    """Makes an engine's contexts; the scratch memory is the caller's."""

    def __init__(self, engine: Any, library: Library, variant: Variant) -> None:
        self._engine = engine
        strategy = library.module.ExecutionContextAllocationStrategy.USER_MANAGED
        self._strategy = strategy
        self._config: Any = None
        self._cache: Any = None
        self._runs = 0
        file = variant.files[0]
        self._path = cache_folder("kernels") / f"{file.sha256}-{library.name}-{library.version}.bin"
        if hasattr(engine, "create_runtime_config"):
            self._config = engine.create_runtime_config()
            self._config.set_execution_context_allocation_strategy(strategy)
            if hasattr(self._config, "create_runtime_cache"):
                self._cache = self._config.create_runtime_cache()
                self._read()
                self._config.set_runtime_cache(self._cache)

    def context(self) -> Any:
        """A new execution context that needs `set_device_memory`."""
        if self._config is None:
            return self._engine.create_execution_context(self._strategy)
        return self._engine.create_execution_context(self._config)

    def ran(self) -> None:
        """Something new was run: the file is written after 1, 2, 4, 8, … of these."""
        self._runs += 1
        if self._cache is None or self._runs & (self._runs - 1):
            return
        data = bytes(self._cache.serialize())
        pending = self._path.with_suffix(f".{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            pending.write_bytes(data)
            os.replace(pending, self._path)
        except OSError as error:
            logger.debug("cannot keep compiled kernels in %s: %s", self._path, error)

    def _read(self) -> None:
        try:
            data = self._path.read_bytes()
        except OSError:
            return
        if not self._cache.deserialize(data):
            logger.debug("%s: compiled for another GPU, driver or version", self._path)
