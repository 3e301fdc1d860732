"""Sizes and variants of the three models, by name; no tensors here."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from training.errors import TrainingError
from training.strict import build


@dataclass(frozen=True)
class TwinConfig:
    """What planner and visualizer share, so that one can read the other's keys and values."""

    layers: int
    width: int
    heads: int
    kv_heads: int
    head_dim: int
    rope_sections: tuple[int, int, int]
    rope_theta: float = 10000.0

    def __post_init__(self) -> None:
        if self.heads % self.kv_heads:
            raise TrainingError(
                f"{self.heads} query heads do not divide into {self.kv_heads} groups"
            )
        if 2 * sum(self.rope_sections) != self.head_dim:
            raise TrainingError(
                f"rope sections {self.rope_sections} sum to {sum(self.rope_sections)} pairs, "
                f"expected {self.head_dim // 2} for head dimension {self.head_dim}"
            )


@dataclass(frozen=True)
class VisionConfig:
    """The planner's eyes: patches of `patch` half-size pixels, merged two by two. `stem` are the
    channels of convolutions that halve the whole picture down to one place a patch but for the
    last halving, whose channels are `width`; none where it is empty."""

    layers: int
    width: int
    heads: int
    ffn: int
    patch: int = 16
    merge: int = 2
    stem: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.stem and 2 ** (len(self.stem) + 1) != 2 * self.patch:
            raise TrainingError(
                f"a stem of {len(self.stem)} convolutions and a last one halves "
                f"{len(self.stem) + 1} times, which is not a patch of {2 * self.patch} pixels"
            )


@dataclass(frozen=True)
class PlannerConfig:
    """`image_token` stands in the sequence wherever the planner sees a piece of a picture."""

    vocab: int
    ffn: int
    vision: VisionConfig
    qk_norm: bool = True
    norm_eps: float = 1e-6
    image_token: int = 10


@dataclass(frozen=True)
class VisualizerConfig:
    """`timestep`: "adaptive" (shared modulation + a table per layer) or "additive" (BAGEL's).
    `window`: "dpcw", the only one that is built. With `overview` every noise token also sees the
    mean over all of them, which decides what nothing else settles (`training.coupling`)."""

    ffn: int
    latent_channels: int = 48
    timestep: str = "adaptive"
    window: str = "dpcw"
    time_features: int = 256
    position_features: int = 16
    overview: bool = False

    def __post_init__(self) -> None:
        if self.timestep not in ("adaptive", "additive"):
            raise TrainingError(f"timestep is {self.timestep!r}, expected 'adaptive' or 'additive'")
        if self.window != "dpcw":
            raise TrainingError(f"window is {self.window!r}, expected 'dpcw', the only one built")


@dataclass(frozen=True)
class VAEConfig:
    """`widths` are the channels at 1/2, 1/4, 1/8 and 1/16 of the picture's edge."""

    widths: tuple[int, int, int, int]
    blocks: tuple[int, int, int, int] = (0, 1, 2, 2)
    latent_channels: int = 48


@dataclass(frozen=True)
class ModelConfig:
    name: str
    twin: TwinConfig
    planner: PlannerConfig
    visualizer: VisualizerConfig
    vae: VAEConfig

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def config_from_dict(data: dict[str, Any]) -> ModelConfig:
    """The inverse of `ModelConfig.to_dict`; unknown keys are errors."""
    return build(ModelConfig, data, "model configuration")


_STORYBOOK_VAE = VAEConfig((32, 64, 128, 224), (0, 2, 3, 2))

CONFIGS: dict[str, ModelConfig] = {
    "storybook": ModelConfig(
        name="storybook",
        twin=TwinConfig(8, 384, 6, 3, 64, (8, 12, 12)),
        planner=PlannerConfig(2048, 512, VisionConfig(4, 192, 3, 512, stem=(16, 32, 64, 128))),
        visualizer=VisualizerConfig(1280, overview=True),
        vae=_STORYBOOK_VAE,
    ),
    # Small enough to compare ways of training on a CPU; its autoencoder is the storybook's.
    "sketch": ModelConfig(
        name="sketch",
        twin=TwinConfig(6, 192, 3, 3, 64, (8, 12, 12)),
        planner=PlannerConfig(2048, 384, VisionConfig(2, 96, 3, 256, stem=(8, 16, 32, 64))),
        visualizer=VisualizerConfig(640, overview=True),
        vae=_STORYBOOK_VAE,
    ),
    "tiny": ModelConfig(
        name="tiny",
        twin=TwinConfig(2, 64, 2, 1, 32, (4, 6, 6)),
        planner=PlannerConfig(2048, 128, VisionConfig(1, 32, 1, 64, stem=(4, 4, 8, 8))),
        visualizer=VisualizerConfig(128, time_features=32, overview=True),
        vae=VAEConfig((8, 8, 16, 16), (0, 0, 1, 1)),
    ),
}


def named_config(name: str) -> ModelConfig:
    """The configuration called `name`."""
    if name not in CONFIGS:
        raise TrainingError(f"no model configuration {name!r}; there are {', '.join(CONFIGS)}")
    return CONFIGS[name]
