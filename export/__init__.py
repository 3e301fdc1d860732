"""Checkpoint to bundle: ONNX graphs and engines in the precisions asked for, verified.

    weft export CHECKPOINT -o BUNDLE [--target cpu,cuda,tensorrt-rtx,tensorrt]
        [--precision int8,w8,fp32,fp16,fp8] [--calibrate DATA] [--eval N] [--report FILE] [--json]
    weft export --restore BUNDLE -o CHECKPOINT [--config NAME] [--json]

| module | what it does |
| --- | --- |
| `pipeline`, `assembly` | one export from start to end; the variants while they are made |
| `targets`, `precision` | what can be made for which target; what a precision does to a layer |
| `samples`, `layer_groups`, `choice`, `calibration` | documents, and the precision of every layer |
| `components/`, `graph`, `graphs`, `storage` | the graphs and their weights |
| `profiles`, `tensorrt`, `engines`, `engine_cache` | engines ahead of time |
| `verify*`, `session`, `report` | figures, gates and scores; what is told of them |
| `manifest` | the checkpoint's facts as the bundle's |
| `restore`, `initializers` | a bundle as a checkpoint again |

The graphs, batch 1 everywhere. L layers, KV key/value heads, D head dimension, C cache slots,
W width, V vocabulary, Z latent channels; S, T, N, M, P, n, H, W, h, w are free at run time, and
N, M and P may be 0. Names and types are those of `runtime.interfaces`, where they are written down;
keys and values of fp16 and fp8 graphs are float16 (or float8e4m3fn). `t` is one of the schedule's.

| graph | input | type | shape | output | type | shape |
| --- | --- | --- | --- | --- | --- | --- |
| `planner` | tokens | int64 | [1, S] | logits (last token) | float32 | [1, V] |
| | features | float32 | [1, S, W] | present.{k,v}.{l}, in the | float32 | [1, KV, C, D] |
| | positions | float32 | [S, 3] | buffers of past | | |
| | offset | int64 | [1] | | | |
| | past.{k,v}.{l} | float32 | [1, KV, C, D] | | | |
| `vision` | image, straight RGBA | uint8 | [H, W, 4] | features | float32 | [n, W] |
| `window` | planner.{k,v}.{l} | float32 | [1, KV, C, D] | window.{k,v}.{l}, planner | | |
| | index | int64 | [N] | rows first, P = N + M | float32 | [1, KV, P, D] |
| | shift | float32 | [N, 3] | | | |
| | reference.{k,v}.{l} | float32 | [1, KV, M, D] | | | |
| | reference_shift | float32 | [M, 3] | | | |
| `denoise` | latent | float32 | [1, T, Z] | next | float32 | [1, T, Z] |
| | positions | float32 | [T, 3] | | | |
| | t, t_next | float32 | [1] | | | |
| | window.{k,v}.{l} | float32 | [1, KV, P, D] | | | |
| `commit` | latent | float32 | [1, T, Z] | reference.{k,v}.{l} | float32 | [1, KV, T, D] |
| | positions | float32 | [T, 3] | | | |
| `vae_decode` | latent | float32 | [1, Z, h, w] | image, straight RGBA | uint8 | [16 h, 16 w, 4] |
| `vae_encode` | image, straight RGBA | uint8 | [H, W, 4] | latent | float32 | [1, Z, h, w] |

Nothing is imported here, so that `import export` needs none of the extra's packages.
"""

from __future__ import annotations

from pathlib import Path


def build_tiny_bundle(folder: Path | str, seed: int = 0) -> Path:
    """A bundle of a tiny random model in `folder`, for tests; takes a few seconds."""
    from export.tiny import build_tiny_bundle as build

    return build(folder, seed)
