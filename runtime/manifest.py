"""What `bundle.json` says: the dataclasses that exporter and runtime share, and their checks.

Values are checked against each other and against `runtime.interfaces`; files are the business of
`runtime.bundle`. Nothing here touches a disk.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from itertools import pairwise

from runtime.errors import BundleError
from runtime.interfaces import (
    COMPONENTS,
    CacheGeometry,
    ImageGeometry,
    Interface,
    State,
    Tensor,
    component_interfaces,
)
from runtime.variants import File, Gate, Variant, check_variant

ABI = 2


@dataclass(frozen=True)
class Component:
    """A component's typed tensors, its in-place state and its variants, preferred first."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    state: tuple[State, ...]
    variants: tuple[Variant, ...]


@dataclass(frozen=True)
class Verification:
    """A precision's scores by `weft eval` (row → share) on a bundle of its own, and the gates that
    were set on them by those of fp32."""

    figures: dict[str, float]
    gates: tuple[Gate, ...] = ()


@dataclass(frozen=True)
class Model:
    """`config` is the training configuration as JSON, "" where it was not recorded; it is for
    making a checkpoint of the bundle again and not read at run time."""

    name: str
    revision: str
    config: str = ""


@dataclass(frozen=True)
class Requires:
    """What a runtime must offer: its lowest version and the exact ABI (components' interfaces, and
    the positions they are given)."""

    runtime: str
    abi: int


@dataclass(frozen=True)
class SpecialTokens:
    """Ids of the control tokens."""

    pad: int
    user: int
    assistant: int
    think_open: int
    think_close: int
    imagine_open: int
    imagine_close: int
    size_open: int
    size_close: int
    boi: int
    image: int
    eos: int


# The text of each control token in tokenizer.json.
TOKEN_TEXT = {
    "pad": "<|pad|>",
    "user": "<|user|>",
    "assistant": "<|assistant|>",
    "think_open": "<think>",
    "think_close": "</think>",
    "imagine_open": "<imagine>",
    "imagine_close": "</imagine>",
    "size_open": "<size>",
    "size_close": "</size>",
    "boi": "<BOI>",
    "image": "<|image|>",
    "eos": "<EOS>",
}


@dataclass(frozen=True)
class TokenizerSpec:
    """The tokenizer's file and the ids of the control tokens."""

    file: File
    special: SpecialTokens


@dataclass(frozen=True)
class Schedule:
    """`steps["4"]` is the list of 5 times from 1.0 down to 0.0 of the four-step sampler."""

    steps: dict[str, tuple[float, ...]]
    default_steps: int


@dataclass(frozen=True)
class Sampling:
    """Defaults for decoding text."""

    temperature: float = 0.7
    top_p: float = 0.8


# Where the number stands in a manifest's `countdown`.
LEFT = "{left}"


@dataclass(frozen=True)
class AnswerLimits:
    """Most tokens of one run of text, one dense prompt and one plan."""

    text: int = 768
    dense: int = 224
    think: int = 256


@dataclass(frozen=True)
class Manifest:
    """Everything in `bundle.json`. `verification` is keyed by `backend precision`
    ("onnx-cpu int8"). `countdown` is what dense prompts begin with where several pictures are to
    come, `{left}` for their number, this one included: "{left} to go:"; "" where they do not."""

    schema: int
    model: Model
    requires: Requires
    tokenizer: TokenizerSpec
    cache: CacheGeometry
    image: ImageGeometry
    schedule: Schedule
    components: dict[str, Component]
    sampling: Sampling = Sampling()
    limits: AnswerLimits = AnswerLimits()
    countdown: str = ""
    license: str = ""
    notes: dict[str, str] = field(default_factory=dict)
    verification: dict[str, Verification] = field(default_factory=dict)


def component_of(interface: Interface, variants: tuple[Variant, ...]) -> Component:
    """The manifest entry of a component that has this interface."""
    return Component(interface.inputs, interface.outputs, interface.state, variants)


def files_of(manifest: Manifest) -> dict[str, File]:
    """Every listed file by its path; raises `BundleError` where two entries disagree."""
    found = {manifest.tokenizer.file.path: manifest.tokenizer.file}
    for component in manifest.components.values():
        for variant in component.variants:
            for file in variant.files:
                if found.setdefault(file.path, file) != file:
                    raise BundleError(
                        f"bundle.json: {file.path!r} is listed twice with different size or digest"
                    )
    return found


def check_manifest(manifest: Manifest) -> None:
    """Raise `BundleError` where values contradict each other or the component interfaces."""
    _check_sizes(manifest.cache, manifest.image)
    _check_decoding(manifest)
    _check_components(manifest)
    files_of(manifest)


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise BundleError(message)


def _check_sizes(cache: CacheGeometry, image: ImageGeometry) -> None:
    for name in ("layers", "kv_heads", "head_dim", "width", "vocab", "capacity"):
        _positive(f"cache.{name}", getattr(cache, name))
    _require(
        cache.max_references >= 0,
        f"cache.max_references: expected 0 or more, found {cache.max_references}",
    )
    _require(
        2 * sum(cache.rope_sections) == cache.head_dim and min(cache.rope_sections) >= 0,
        f"cache.rope_sections: expected a sum of {cache.head_dim // 2}, "
        f"found {cache.rope_sections}",
    )
    _require(
        cache.rope_theta > 1, f"cache.rope_theta: expected more than 1, found {cache.rope_theta}"
    )
    for name in ("patch", "vision_cell", "max_tokens", "latent_channels", "max_pixels"):
        _positive(f"image.{name}", getattr(image, name))
    width, height = image.default_size
    on_grid = min(width, height) > 0 and width % image.patch == 0 and height % image.patch == 0
    _require(
        on_grid,
        f"image.default_size: expected multiples of {image.patch}, found {width}x{height}",
    )
    tokens = (width // image.patch) * (height // image.patch)
    _require(
        tokens <= image.max_tokens,
        f"image.default_size: expected at most {image.max_tokens} tokens, found {tokens}",
    )
    _require(
        image.max_aspect >= 1, f"image.max_aspect: expected 1 or more, found {image.max_aspect}"
    )


def _positive(name: str, value: float) -> None:
    _require(value > 0, f"{name}: expected a positive number, found {value}")


def check_schedule(schedule: Schedule) -> None:
    """Raise `BundleError` where times do not fall from 1 to 0 in so many steps."""
    for steps, times in schedule.steps.items():
        falling = all(a > b for a, b in pairwise(times))
        _require(
            steps == str(len(times) - 1) and falling and {*times[:1], *times[-1:]} == {0.0, 1.0},
            f"schedule.steps.{steps}: expected {steps} + 1 times falling from 1.0 to 0.0",
        )
    _require(
        str(schedule.default_steps) in schedule.steps,
        f"schedule.default_steps: expected one of {sorted(schedule.steps)}, found "
        f"{schedule.default_steps}",
    )


def _check_decoding(manifest: Manifest) -> None:
    _require(manifest.requires.abi == ABI, f"expected ABI {ABI}, found {manifest.requires.abi}")
    check_schedule(manifest.schedule)
    sampling = manifest.sampling
    _require(
        sampling.temperature >= 0 and 0 < sampling.top_p <= 1,
        "sampling: expected a temperature of 0 or more and a top_p in (0, 1], found "
        f"{sampling.temperature:g} and {sampling.top_p:g}",
    )
    for f in fields(AnswerLimits):
        _positive(f"limits.{f.name}", getattr(manifest.limits, f.name))
    _require(
        not manifest.countdown or manifest.countdown.count(LEFT) == 1,
        f"countdown: expected a text with {LEFT} once, or none, found {manifest.countdown!r}",
    )
    ids = [getattr(manifest.tokenizer.special, f.name) for f in fields(SpecialTokens)]
    _require(
        len(set(ids)) == len(ids) and min(ids) >= 0 and max(ids) < manifest.cache.vocab,
        "tokenizer.special: expected distinct ids inside the vocabulary",
    )
    for file in files_of(manifest).values():
        _require(
            file.size >= 0 and re.fullmatch(r"[0-9a-f]{64}", file.sha256) is not None,
            f"{file.path}: expected a size and a lower-case hex sha256",
        )


def _check_components(manifest: Manifest) -> None:
    expected = component_interfaces(manifest.cache, manifest.image)
    names = sorted(manifest.components)
    _require(
        names == sorted(COMPONENTS), f"components: expected {sorted(COMPONENTS)}, found {names}"
    )
    for name, component in manifest.components.items():
        found = Interface(component.inputs, component.outputs, component.state)
        for part in ("inputs", "outputs", "state"):
            want, have = set(getattr(expected[name], part)), set(getattr(found, part))
            _require(
                want == have,
                f"components.{name}.{part}: missing {_names(want - have)}, "
                f"unexpected {_names(have - want)}",
            )
        _require(bool(component.variants), f"components.{name}: expected at least one variant")
        for index, variant in enumerate(component.variants):
            where = f"components.{name}.variants[{index}]"
            check_variant(where, variant, (*component.inputs, *component.outputs))


def _names(items: set[Tensor] | set[State]) -> str:
    return ", ".join(sorted(str(item) for item in items)) or "none"
