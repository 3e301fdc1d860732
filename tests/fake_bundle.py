"""A small bundle whose engines are a few lines of numpy, deterministic and torch-free.

The fake planner keeps everything it knows in the KV cache it is given: token ids stand in the
values, keys are rotated by their positions. A wrong offset, a stale slot or a mixed-up session
therefore changes what it says. The fake visualizer attends to its window for real, so everything
the window holds reaches the picture.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from runtime.bundle import (
    ABI,
    SCHEMA,
    TOKEN_TEXT,
    Bundle,
    Manifest,
    Model,
    Requires,
    Sampling,
    Schedule,
    SpecialTokens,
    TokenizerSpec,
    Variant,
    component_of,
    file_of,
    read_bundle,
    write_manifest,
)
from runtime.engines import Engine, Engines
from runtime.engines.base import Arrays
from runtime.interfaces import CacheGeometry, ImageGeometry, component_interfaces
from runtime.loading import Runtime
from runtime.memory import plan_memory
from runtime.options import Reuse

WORDS = (
    "A small red fox walks through the quiet forest and finds a golden lantern. "
    "The owl waves from a tall tree at night. A blue bear sits by the lake, wearing a scarf. "
    "flat illustration: one fox, red, standing, facing left; forest, evening, clear. 0123456789*"
)
LAYERS, HEADS, DIM, WIDTH, CHANNELS = 2, 1, 32, 64, 48
SECTIONS = (4, 6, 6)
THETA = 10000.0
IMAGE = ImageGeometry(
    patch=16, vision_cell=4, max_tokens=64, default_size=(64, 64), max_aspect=8.0,
    latent_channels=CHANNELS, max_pixels=1_000_000,
)  # fmt: skip
SPECIAL = SpecialTokens(*range(len(TOKEN_TEXT)))


@cache
def make_tokenizer() -> Tokenizer:
    """A small byte-level BPE tokenizer with the control tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=list(TOKEN_TEXT.values()),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([WORDS] * 3, trainer)
    return tokenizer


def make_manifest(folder: Path, capacity: int = 1024, max_references: int = 3) -> Manifest:
    """Write the bundle's files and describe them."""
    folder.mkdir(parents=True, exist_ok=True)
    make_tokenizer().save(str(folder / "tokenizer.json"))
    vocab = int(make_tokenizer().get_vocab_size())
    cache = CacheGeometry(
        LAYERS, HEADS, DIM, WIDTH, vocab, capacity, max_references, SECTIONS, THETA
    )
    components = {}
    for name, interface in component_interfaces(cache, IMAGE).items():
        (folder / f"{name}.onnx").write_bytes(f"fake {name}".encode())
        files = (file_of(folder, f"{name}.onnx"),)
        variant = Variant("onnxruntime", "CPUExecutionProvider", "fp32", files)
        components[name] = component_of(interface, (variant,))
    return Manifest(
        schema=SCHEMA,
        model=Model("fake", "1"),
        requires=Requires("0.1", ABI),
        tokenizer=TokenizerSpec(file_of(folder, "tokenizer.json"), SPECIAL),
        cache=cache,
        image=IMAGE,
        schedule=Schedule({"1": (1.0, 0.0), "4": (1.0, 0.75, 0.5, 0.25, 0.0)}, 4),
        components=components,
        sampling=Sampling(0.8, 0.95),
        license="Apache-2.0",
    )


def make_bundle(folder: Path, **sizes: int) -> Bundle:
    """A complete bundle folder."""
    return write_manifest(folder, make_manifest(folder, **sizes))


def fake_runtime(folder: Path, reuse: Reuse | None = None, **sizes: Any) -> Runtime:
    """A runtime over the fake engines; makes the bundle where there is none."""
    if not (folder / "bundle.json").is_file():
        make_bundle(folder)
    bundle = read_bundle(folder)
    memory = plan_memory(bundle.manifest, **sizes)
    return Runtime(bundle, fake_engines(bundle), memory, reuse or Reuse())


def fake_engines(bundle: Bundle, *_: object) -> Engines:
    """Engines of a fake bundle; takes the place of `runtime.engines.open_engines`."""
    names = tuple(bundle.manifest.components)
    return Engines(names, lambda name: ENGINES[name](name, bundle.manifest.components[name]))


def rotate(keys: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Multi-axis RoPE of keys [1, KV, T, D] by positions [T, 3]."""
    parts = []
    for axis, pairs in enumerate(SECTIONS):
        frequencies = THETA ** (-np.arange(pairs) / pairs)
        parts.append(positions[:, axis, None].astype(np.float64) * frequencies)
    angle = np.concatenate(parts, axis=1)
    low, high = keys[..., : DIM // 2], keys[..., DIM // 2 :]
    sine, cosine = np.sin(angle), np.cos(angle)
    turned = np.concatenate([low * cosine - high * sine, high * cosine + low * sine], axis=-1)
    return turned.astype(np.float32)


@cache
def table(seed: int, *shape: int) -> np.ndarray:
    """Fixed weights."""
    return np.random.default_rng(seed).standard_normal(shape)


class FakePlanner(Engine):
    """Says a few words, then a picture, three times, then stops."""

    def _execute(self, inputs: Arrays, outputs: Arrays) -> dict[str, np.ndarray]:
        tokens, offset = inputs["tokens"][0], int(inputs["offset"][0])
        end = offset + len(tokens)
        seen = inputs["features"][0] @ table(1, WIDTH, DIM)
        state = 0.0
        for layer in range(LAYERS):
            keys, values = inputs[f"past.k.{layer}"], inputs[f"past.v.{layer}"]
            raw = table(10 + layer, 2048, DIM)[tokens] + seen
            keys[0, 0, offset:end] = rotate(raw[None, None], inputs["positions"])[0, 0]
            values[0, 0, offset:end] = raw
            values[0, 0, offset:end, 0] = tokens
            recency = 0.9 ** np.arange(end)[::-1]
            state = state + recency @ (keys[0, 0, :end] + 0.1 * np.tanh(values[0, 0, :end]))
        vocab = int(self.component.outputs[0].shape[1])
        logits = np.tanh(state * 0.1) @ table(20, DIM, vocab)
        self._steer(logits, [int(t) for t in np.rint(inputs["past.v.0"][0, 0, :end, 0])])
        return {"logits": logits[None].astype(np.float32)}

    @staticmethod
    def _steer(logits: np.ndarray, tokens: list[int]) -> None:
        turn = tokens[len(tokens) - 1 - tokens[::-1].index(SPECIAL.assistant) :]
        drawn = turn.count(SPECIAL.boi)
        marks = [i for i, t in enumerate(turn) if t < len(TOKEN_TEXT)]
        run = len(turn) - 1 - marks[-1]
        logits[SPECIAL.think_open] = -20.0
        logits[SPECIAL.think_close] = 3.0 * (run - 4)
        logits[SPECIAL.imagine_close] = 3.0 * (run - 5)
        logits[SPECIAL.imagine_open] = 3.0 * (run - 6) if drawn < 3 else -20.0
        logits[SPECIAL.eos] = 3.0 * (run - 3) if drawn >= 3 else 3.0 * (run - 24)


class FakeVision(Engine):
    def _execute(self, inputs: Arrays, outputs: Arrays) -> dict[str, np.ndarray]:
        image = inputs["image"].astype(np.float64) / 255
        cells = []
        for top in range(0, image.shape[0], 64):
            for left in range(0, image.shape[1], 64):
                cells.append(image[top : top + 64, left : left + 64].mean(axis=(0, 1)))
        return {"features": (np.stack(cells) @ table(30, 4, WIDTH)).astype(np.float32)}


class FakeWindow(Engine):
    def _execute(self, inputs: Arrays, outputs: Arrays) -> dict[str, np.ndarray]:
        result = {}
        for layer in range(LAYERS):
            for kind in ("k", "v"):
                rows = inputs[f"planner.{kind}.{layer}"][:, :, inputs["index"]]
                clean = inputs[f"reference.{kind}.{layer}"]
                if kind == "k":
                    rows = rotate(rows, inputs["shift"])
                    clean = rotate(clean, inputs["reference_shift"])
                name = f"window.{kind}.{layer}"
                target = outputs.get(name)
                result[name] = np.concatenate([rows, clean], axis=2, out=target)
        return result


class FakeDenoise(Engine):
    def _execute(self, inputs: Arrays, outputs: Arrays) -> dict[str, np.ndarray]:
        latent = inputs["latent"].astype(np.float64)
        velocity = 0.3 * latent
        for layer in range(LAYERS):
            query = rotate((latent @ table(40 + layer, CHANNELS, DIM))[None], inputs["positions"])
            own = rotate((latent @ table(42 + layer, CHANNELS, DIM))[None], inputs["positions"])
            keys = np.concatenate([inputs[f"window.k.{layer}"], own], axis=2)
            values = np.concatenate(
                [inputs[f"window.v.{layer}"], (latent @ table(44, CHANNELS, DIM))[None]], axis=2
            )
            scores = query @ keys.transpose(0, 1, 3, 2) / DIM
            weights = np.exp(scores - scores.max(-1, keepdims=True))
            weights /= weights.sum(-1, keepdims=True)
            velocity = velocity + np.tanh(weights @ values)[0] @ table(46, DIM, CHANNELS) * 0.1
        step = float(inputs["t_next"][0]) - float(inputs["t"][0])
        return {"next": (latent + step * velocity).astype(np.float32)}


class FakeCommit(Engine):
    def _execute(self, inputs: Arrays, outputs: Arrays) -> dict[str, np.ndarray]:
        result = {}
        for layer in range(LAYERS):
            keys = (inputs["latent"] @ table(50 + layer, CHANNELS, DIM))[None]
            values = (inputs["latent"] @ table(52 + layer, CHANNELS, DIM))[None]
            result[f"reference.k.{layer}"] = rotate(keys, inputs["positions"])
            result[f"reference.v.{layer}"] = values.astype(np.float32)
        return result


class FakeDecode(Engine):
    def _execute(self, inputs: Arrays, outputs: Arrays) -> dict[str, np.ndarray]:
        planes = 1 / (1 + np.exp(-inputs["latent"][0, :4].astype(np.float64)))
        planes[3] = 1.0
        image = np.rint(planes * 255).astype(np.uint8).repeat(16, axis=1).repeat(16, axis=2)
        return {"image": np.ascontiguousarray(image.transpose(1, 2, 0))}


class FakeEncode(Engine):
    def _execute(self, inputs: Arrays, outputs: Arrays) -> dict[str, np.ndarray]:
        height, width, _ = inputs["image"].shape
        cells = inputs["image"].reshape(height // 16, 16, width // 16, 16, 4).mean(axis=(1, 3))
        latent = (cells / 128 - 1) @ table(60, 4, CHANNELS)
        return {"latent": np.ascontiguousarray(latent.transpose(2, 0, 1)[None], np.float32)}


ENGINES: dict[str, type[Engine]] = {
    "planner": FakePlanner,
    "vision": FakeVision,
    "window": FakeWindow,
    "denoise": FakeDenoise,
    "commit": FakeCommit,
    "vae_decode": FakeDecode,
    "vae_encode": FakeEncode,
}
