"""Shapes that compiled engines are made for: static ones for common sizes, and one for any.

| component | profiles |
| --- | --- |
| planner | `decode` (one token), `prefill` (a chunk) |
| vision, vae_encode, vae_decode | one per common size, `any` |
| denoise, commit | one per common size (a window of any length), `any` |
| window | `any` |

The planner's cache has the bundle's capacity: its update in place needs a length known ahead. A
free size is known by its name in `runtime.interfaces`; P = N + M counts the window's rows.
"""

from __future__ import annotations

from runtime.bundle import AnswerLimits, Profile
from runtime.interfaces import CACHE_STEP, CHUNK, CacheGeometry, ImageGeometry

Range = tuple[int, int, int]
Sizes = dict[str, Range]
# Most tokens of a dense prompt.
DENSE = AnswerLimits().dense


def profiles_of(name: str, cache: CacheGeometry, image: ImageGeometry) -> tuple[Profile, ...]:
    """The profiles of component `name`, in the order they have in its engine."""
    if name == "planner":
        made = {
            "decode": {"S": (1, 1, 1), "C": (cache.capacity,) * 3},
            "prefill": {"S": (1, 128, CHUNK), "C": (cache.capacity,) * 3},
        }
    elif name == "window":
        rows = cache.max_references * _vision_tokens(image)
        made = {
            "any": {
                "C": _slots(cache),
                "N": (1, min(128, DENSE + rows), DENSE + rows),
                "M": (0, *_references(cache, image)),
            }
        }
    else:
        made = {
            f"{width}x{height}": _fixed(name, width, height, cache, image)
            for width, height in common_sizes(image)
        }
        made["any"] = _any(name, cache, image)
    return tuple(Profile(key, i, sizes) for i, (key, sizes) in enumerate(made.items()))


def graph_profiles(sizes: dict[str, int]) -> tuple[Profile, ...]:
    """The profile of a planner's graph whose cache has a fixed length; none for other graphs."""
    if "C" not in sizes:
        return ()
    capacity = sizes["C"]
    ranges = {"S": (1, min(128, capacity), capacity), "C": (capacity,) * 3}
    return (Profile("cache", 0, ranges),)


def common_sizes(image: ImageGeometry) -> list[tuple[int, int]]:
    """The default size, and a landscape and a portrait of about its area: (width, height)."""
    width, height = image.default_size
    patch = image.patch
    wide = max(patch, round(width * 1.25 / patch) * patch)
    flat = max(patch, round(height * 0.75 / patch) * patch)
    sizes = [(width, height), (wide, flat), (flat, wide)]
    return list(dict.fromkeys(sizes))


def _slots(cache: CacheGeometry) -> Range:
    return (min(CACHE_STEP, cache.capacity), min(1024, cache.capacity), cache.capacity)


def _vision_tokens(image: ImageGeometry) -> int:
    """The most vision tokens of one picture: partial cells count."""
    return 2 * -(-image.max_tokens // image.vision_cell**2)


def _references(cache: CacheGeometry, image: ImageGeometry) -> tuple[int, int]:
    """Usual and largest number of clean rows in a window."""
    width, height = image.default_size
    tokens = (width // image.patch) * (height // image.patch)
    largest = max(1, cache.max_references) * image.max_tokens
    return min(tokens, largest), largest


def _rows(cache: CacheGeometry, image: ImageGeometry) -> Range:
    usual, largest = _references(cache, image)
    most = DENSE + cache.max_references * _vision_tokens(image) + largest
    return (1, min(usual + 96, most), most)


def _fixed(name: str, width: int, height: int, cache: CacheGeometry, image: ImageGeometry) -> Sizes:
    rows, columns = height // image.patch, width // image.patch
    exact = {"T": rows * columns, "H": height, "W": width, "h": rows, "w": columns}
    sizes = {key: (exact[key],) * 3 for key in _FREE[name]}
    if name == "denoise":
        sizes["P"] = _rows(cache, image)
    return sizes


def _any(name: str, cache: CacheGeometry, image: ImageGeometry) -> Sizes:
    width, height = image.default_size
    rows, columns = height // image.patch, width // image.patch
    # The longer side of the flattest picture of the most tokens.
    side = int((image.max_tokens * image.max_aspect) ** 0.5)
    patch = image.patch
    usual = {"T": rows * columns, "H": height, "W": width, "h": rows, "w": columns}
    least = {"T": 1, "H": patch, "W": patch, "h": 1, "w": 1}
    most = {"T": image.max_tokens, "H": side * patch, "W": side * patch, "h": side, "w": side}
    sizes = {key: (least[key], min(usual[key], most[key]), most[key]) for key in _FREE[name]}
    if name == "denoise":
        sizes["P"] = _rows(cache, image)
    return sizes


_FREE = {
    "vision": ("H", "W"),
    "vae_encode": ("H", "W"),
    "vae_decode": ("h", "w"),
    "denoise": ("T",),
    "commit": ("T",),
}
