"""Engine variants of a bundle: for each compute capability, built or taken from the cache."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from export.engine_cache import EngineCache, Key
from export.errors import ExportError
from export.manifest import RUNTIME
from export.profiles import profiles_of
from export.tensorrt import Library, build_engine, device_capability, has_operator, open_library
from runtime.bundle import PLUGIN, Variant, digest_of, file_of, has_precision
from runtime.interfaces import CacheGeometry, ImageGeometry, Tensor

if TYPE_CHECKING:
    from export.pipeline import Options

logger = logging.getLogger(__name__)


def capabilities_of(target: str, options: Options) -> tuple[str, ...]:
    """The GPUs that a target's engines are for: those asked for, or the one that is there."""
    return options.capabilities if target == "tensorrt-rtx" else (device_capability(),)


@dataclass(frozen=True)
class Made:
    """An engine's variant, how long it took, whether it was in the cache."""

    variant: Variant
    seconds: float
    reused: bool


class Maker:
    """Builds engines into the bundle `folder`."""

    def __init__(
        self, folder: Path, cache: CacheGeometry, image: ImageGeometry, options: Options
    ) -> None:
        self._folder, self._cache, self._image, self._options = folder, cache, image, options
        self._kept = EngineCache(options.cache)
        self._libraries: dict[str, Library] = {}
        self._plugin_digest = ""
        if options.plugin is not None:
            if not options.plugin.is_file():
                raise ExportError(f"{options.plugin}: expected a plugin library, found none")
            self._plugin_digest = digest_of(options.plugin)

    def make(self, name: str, graph: Variant, inputs: tuple[Tensor, ...]) -> Iterator[Made]:
        """Engines of component `name`, for the GPUs that have its precision. `graph` is the variant
        as it will be, with the files of its graph; `inputs` are the component's with the types they
        really have."""
        library = self._library(graph.engine)
        ahead = graph.engine == "tensorrt-rtx"
        profiles = profiles_of(name, self._cache, self._image)
        source = self._folder / graph.files[0].path
        plugin = self._options.plugin
        if plugin is not None and not has_operator(source):
            plugin = None
        requires, made_with = {library.module.__name__: library.version}, ""
        if plugin is not None:
            requires[PLUGIN] = f"{plugin.name} {self._plugin_digest}"
            # Marked, because a digest alone does not say that the engine calls the plugin.
            made_with = f"called {self._plugin_digest}"
        for capability in capabilities_of(graph.engine, self._options):
            if not has_precision(capability, graph.precision):
                continue
            key = Key(
                graph.engine, library.version, RUNTIME, graph.precision, capability, graph.files,
                profiles, made_with,
            )  # fmt: skip
            started = time.perf_counter()
            engine = self._kept.get(key)
            reused = engine is not None
            if engine is None:
                engine = build_engine(
                    library, source, inputs, profiles, capability if ahead else "", plugin,
                )  # fmt: skip
                self._kept.put(key, engine)
            path = f"{graph.engine}/{name}.{graph.precision}.sm{capability.replace('.', '')}.engine"
            (self._folder / path).parent.mkdir(exist_ok=True)
            (self._folder / path).write_bytes(engine)
            variant = replace(
                graph,
                files=(file_of(self._folder, path),),
                compute_capability=capability,
                profiles=profiles,
                requires=requires,
                digest=key.digest(),
            )
            seconds = time.perf_counter() - started
            logger.info("%s %s: %.1f s", name, path, seconds)
            yield Made(variant, seconds, reused)

    def _library(self, target: str) -> Library:
        if target not in self._libraries:
            self._libraries[target] = open_library(target)
        return self._libraries[target]
