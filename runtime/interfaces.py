"""The component interfaces: every tensor name, dtype and shape that crosses an engine boundary.

`component_interfaces(geometry, image)` is the one place where the names are written down. The
exporter builds graphs to it, the bundle reader checks manifests against it, engines check inputs
against it. It does not know how a component computes anything.

Batch is always 1. L layers, KV heads, D head dim, C capacity, W width, V vocab, Z latent channels;
symbolic sizes are strings.

| component  | inputs                                                       | outputs             |
| ---------- | ------------------------------------------------------------ | ------------------- |
| planner    | tokens i64 [1,S]; features f32 [1,S,W]; positions f32 [S,3]; | logits f32 [1,V];   |
|            | offset i64 [1]; past.{k,v}.{l} f32 [1,KV,C,D]                | present.{k,v}.{l}   |
| vision     | image u8 [H,W,4]                                             | features f32 [n,W]  |
| window     | planner.{k,v}.{l} f32 [1,KV,C,D]; index i64 [N]; shift f32   | window.{k,v}.{l}    |
|            | [N,3]; reference.{k,v}.{l} f32 [1,KV,M,D]; reference_shift   | f32 [1,KV,N+M,D]    |
|            | f32 [M,3]                                                    |                     |
| denoise    | latent f32 [1,T,Z]; positions f32 [T,3]; t f32 [1]; t_next   | next f32 [1,T,Z]    |
|            | f32 [1]; window.{k,v}.{l} f32 [1,KV,P,D]                     |                     |
| commit     | latent f32 [1,T,Z]; positions f32 [T,3]                      | reference.{k,v}.{l} |
|            |                                                              | f32 [1,KV,T,D]      |
| vae_decode | latent f32 [1,Z,h,w]                                         | image u8 [H,W,4]    |
| vae_encode | image u8 [H,W,4]                                             | latent [1,Z,h,w]    |
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

COMPONENTS = ("planner", "vision", "window", "denoise", "commit", "vae_decode", "vae_encode")
# A planner's cache has a multiple of so many slots; a prompt goes through it in chunks of so many
# tokens; and the least that a runtime loads.
CACHE_STEP, CHUNK, SMALLEST_CACHE = 256, 512, 64
_CACHE_NAME = re.compile(r"(past|present|planner|reference|window)\.[kv]\.\d+")


@dataclass(frozen=True)
class Tensor:
    """A typed tensor; a shape entry is a number or the name of a size known at run time."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class State:
    """An input and an output that are one buffer, updated in place."""

    past: str
    present: str


@dataclass(frozen=True)
class Interface:
    """What one component takes, gives and keeps."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    state: tuple[State, ...] = field(default=())


@dataclass(frozen=True)
class CacheGeometry:
    """Planner and KV-cache sizes shared by planner and visualizer.

    `capacity` is the number of planner slots; `rope_sections` counts the frequency pairs of the
    (t, h, w) axes and sums to head_dim / 2.
    """

    layers: int
    kv_heads: int
    head_dim: int
    width: int
    vocab: int
    capacity: int
    max_references: int
    rope_sections: tuple[int, int, int]
    rope_theta: float


@dataclass(frozen=True)
class ImageGeometry:
    """Picture sizes. `patch` pixels per latent token side, `vision_cell` latent tokens per ViT
    token side, `max_tokens` latent tokens per picture at most, `max_aspect` the longer side over
    the shorter, `default_size` (width, height) in pixels, `max_pixels` the largest given picture
    that is opened at all."""

    patch: int
    vision_cell: int
    max_tokens: int
    default_size: tuple[int, int]
    max_aspect: float
    latent_channels: int
    max_pixels: int = 64_000_000


def cache_names(prefix: str, layers: int) -> tuple[str, ...]:
    """`prefix.k.0, prefix.v.0, prefix.k.1, …`: the order used everywhere."""
    return tuple(f"{prefix}.{kind}.{layer}" for layer in range(layers) for kind in ("k", "v"))


def is_cache(name: str) -> bool:
    """Whether a tensor of this name holds keys or values."""
    return _CACHE_NAME.fullmatch(name) is not None


def _cache(prefix: str, geometry: CacheGeometry, tokens: int | str) -> tuple[Tensor, ...]:
    shape = (1, geometry.kv_heads, tokens, geometry.head_dim)
    return tuple(Tensor(n, "float32", shape) for n in cache_names(prefix, geometry.layers))


def component_interfaces(geometry: CacheGeometry, image: ImageGeometry) -> dict[str, Interface]:
    """The interface every component of a bundle with these sizes must have."""
    z, width, layers = image.latent_channels, geometry.width, geometry.layers
    latent = Tensor("latent", "float32", (1, "T", z))
    grid_latent = Tensor("latent", "float32", (1, z, "h", "w"))
    grid_positions = Tensor("positions", "float32", ("T", 3))
    pixels = Tensor("image", "uint8", ("H", "W", 4))
    state = tuple(
        State(past, present)
        for past, present in zip(
            cache_names("past", layers), cache_names("present", layers), strict=True
        )
    )
    planner = Interface(
        (
            Tensor("tokens", "int64", (1, "S")),
            Tensor("features", "float32", (1, "S", width)),
            Tensor("positions", "float32", ("S", 3)),
            Tensor("offset", "int64", (1,)),
            *_cache("past", geometry, "C"),
        ),
        (
            Tensor("logits", "float32", (1, geometry.vocab)),
            *_cache("present", geometry, "C"),
        ),
        state,
    )
    window = Interface(
        (
            *_cache("planner", geometry, "C"),
            Tensor("index", "int64", ("N",)),
            Tensor("shift", "float32", ("N", 3)),
            *_cache("reference", geometry, "M"),
            Tensor("reference_shift", "float32", ("M", 3)),
        ),
        _cache("window", geometry, "P"),
    )
    denoise = Interface(
        (
            latent,
            grid_positions,
            Tensor("t", "float32", (1,)),
            Tensor("t_next", "float32", (1,)),
            *_cache("window", geometry, "P"),
        ),
        (Tensor("next", "float32", (1, "T", z)),),
    )
    return {
        "planner": planner,
        "vision": Interface((pixels,), (Tensor("features", "float32", ("n", width)),)),
        "window": window,
        "denoise": denoise,
        "commit": Interface((latent, grid_positions), _cache("reference", geometry, "T")),
        "vae_decode": Interface((grid_latent,), (pixels,)),
        "vae_encode": Interface((pixels,), (grid_latent,)),
    }
