"""A loaded bundle: engines, caches and tokenizer, ready for sessions."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from runtime.bundle import Bundle, read_bundle
from runtime.document import Document
from runtime.engines import DeviceReport, Engines, check_device, open_engines
from runtime.errors import BundleMissing, OptionError
from runtime.events import Event
from runtime.grid import all_grids, grid_of_size
from runtime.integrity import verify_once
from runtime.memory import MemoryPlan, plan_memory
from runtime.options import Reuse
from runtime.pixels import decode, encode
from runtime.references import References
from runtime.request import alphabet_of, countdown_of
from runtime.session import Session
from runtime.tokenizer import Vocabulary
from runtime.window import WindowBuilder

if TYPE_CHECKING:
    from typing import Unpack

    import numpy as np
    from numpy.typing import NDArray

    from runtime.options import GenerateOptions
    from runtime.prompt import Prompt

DEFAULT_BUNDLE = "storybook"


def default_bundle() -> Path:
    """The folder of the bundle that ships with the package."""
    return Path(__file__).parent / "bundles" / DEFAULT_BUNDLE


def load(
    bundle: str | Path | None = None,
    *,
    device: str = "auto",
    max_tokens: int | None = None,
    max_references: int | None = None,
    reference_bytes: int | None = None,
    threads: int | None = None,
    reuse: Reuse | None = None,
    verify: bool | None = None,
) -> Runtime:
    """Load a bundle (the shipped one by default).

    `device` is "auto" (the best variant of each component that this machine can run), "cpu",
    "cuda", "tensorrt-rtx" or "tensorrt"; `Runtime.device_report` says what was chosen and why.
    `max_tokens` and `max_references` size the caches (the manifest's capacities by default),
    `reference_bytes` bounds the store of reference K/V. `threads` are those of the CPU (all cores
    by default). `verify` True checks digests, False does
    not, None does the first time. Raises `BundleError`, `OptionError`, or `EngineError` where the
    device cannot be had.
    """
    check_device(device)
    _check_threads(threads)
    found = read_bundle(_folder(bundle))
    if verify:
        found.verify()
    elif verify is None:
        verify_once(found)
    memory = plan_memory(found.manifest, max_tokens, max_references, reference_bytes)
    engines = open_engines(found, device, threads, memory.max_tokens)
    return Runtime(found, engines, memory, reuse or Reuse())


def _check_threads(threads: int | None) -> None:
    if threads is not None and (type(threads) is not int or threads < 1):
        raise OptionError(
            f"threads: expected a whole number, 1 or more, found {threads!r}; "
            "without it all cores are used"
        )


def _folder(bundle: str | Path | None) -> Path:
    if bundle is not None:
        return Path(bundle)
    folder = default_bundle()
    if not folder.is_dir():
        raise BundleMissing(
            f"{folder}: the shipped bundle is missing; install weft again or pass bundle="
        )
    return folder


class Runtime:
    """A bundle in memory. Safe to use from several threads: one engine call runs at a time.

    Sessions have their own planner caches; the reference store and the window's buffers are shared.
    """

    def __init__(self, bundle: Bundle, engines: Engines, memory: MemoryPlan, reuse: Reuse) -> None:
        self.bundle, self.engines, self.memory, self.reuse = bundle, engines, memory, reuse
        self.lock = threading.RLock()
        # A window that is rebuilt for every step needs steps to be rebuilt for.
        engines.chained = reuse.window
        self.grids = all_grids(bundle.manifest.image)
        tokenizer = bundle.manifest.tokenizer
        self.vocabulary = Vocabulary(bundle.path(tokenizer.file), tokenizer.special)
        self.alphabet = alphabet_of(bundle.manifest, self.vocabulary)
        self.countdown = countdown_of(bundle.manifest, self.vocabulary)
        self.references = References(engines, memory.reference_bytes, reuse.reference_kv)
        self.window_builder = _window_builder(bundle, engines, memory)

    @property
    def device_report(self) -> DeviceReport:
        """Which variant of every component runs, and why; `str()` of it is for people."""
        return self.engines.report

    def session(self) -> Session:
        """A new conversation; takes `memory.planner_bytes`."""
        return Session(self)

    def restore(self, folder: str | Path) -> Session:
        """A session from `Session.save`."""
        from runtime.archive import restore_session

        return restore_session(self, Path(folder))

    def reconstruct(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A picture through the autoencoder and back, straight RGBA [H, W, 4]: what its latent
        keeps. Raises `OptionError` where the bundle has no pictures of its size."""
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 4:
            found = f"{pixels.dtype} {list(pixels.shape)}"
            raise OptionError(f"pixels: expected a uint8 array [H, W, 4], found {found}")
        grid = grid_of_size((pixels.shape[1], pixels.shape[0]), self.bundle.manifest.image)
        with self.lock:
            latent = encode(self.engines["vae_encode"], np.ascontiguousarray(pixels))
            return decode(self.engines["vae_decode"], latent, grid)

    def generate(self, prompt: Prompt, **options: Unpack[GenerateOptions]) -> Document:
        """One document in a session of its own."""
        return self.session().generate(prompt, **options)

    def stream(self, prompt: Prompt, **options: Unpack[GenerateOptions]) -> Iterator[Event]:
        """One document as events, in a session of its own."""
        return self.session().stream(prompt, **options)

    def prewarm(self) -> None:
        """Open all engines now instead of on first use."""
        self.engines.open_all()


def _window_builder(bundle: Bundle, engines: Engines, memory: MemoryPlan) -> WindowBuilder:
    """Buffers in the memory of the window's engine."""
    sizes = memory.window_planner_tokens, memory.window_clean_tokens
    if not engines.on_device("window"):
        return WindowBuilder(bundle.manifest.cache, *sizes)
    engine = engines["window"]
    return WindowBuilder(bundle.manifest.cache, *sizes, engine.memory, engine.elements)
