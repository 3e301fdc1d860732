"""DPCW attention for full TensorRT, ahead of time: the kernel's PTX becomes part of the engine.

    cmake -S . -B build -DWEFT_PTX=ON && cmake --build build      # writes build/dpcw.ptx
    register(Path("build/dpcw.ptx").read_bytes())                 # before the network is parsed

Nothing of this project is then needed where the engine runs. It takes the operator's five required
inputs in float16 or bfloat16, with head dimension 64 or 128; TensorRT measures both variants and
keeps the faster one. TensorRT for RTX has no Python plugins; there the C++ plugin is the way.

Not `from __future__ import annotations`: TensorRT reads the annotations as types.
"""

import re

PLUGIN = "weft::DPCWAttention"
INPUTS = ("q", "k_window", "v_window", "k_self", "v_self")
# Rows of a block and bytes of shared memory, by head dimension and tactic.
VARIANTS = {
    (64, 1): (128, 49152),
    (64, 2): (16, 34816),
    (128, 1): (64, 49152),
    (128, 2): (32, 40960),
}
THREADS = 128


def entry(kind: str, dim: int, tactic: int) -> str:
    """The kernel's name in the PTX; `kind` is "half" or "bfloat"."""
    rows, shared = VARIANTS[dim, tactic]
    return f"weft_dpcw_{kind}_{dim}_{rows}_{shared}"


def entries(ptx: bytes) -> set[str]:
    return {name.decode() for name in re.findall(rb"\.entry (\w+)", ptx)}


def register(ptx: bytes) -> None:
    """Makes `weft::DPCWAttention` known to TensorRT's parser and builder of this process."""
    import tensorrt as trt
    import tensorrt.plugin as trtp

    @trtp.register(PLUGIN)
    def describe(
        q: trtp.TensorDesc,
        k_window: trtp.TensorDesc,
        v_window: trtp.TensorDesc,
        k_self: trtp.TensorDesc,
        v_self: trtp.TensorDesc,
    ) -> trtp.TensorDesc:
        return q.like()

    @trtp.autotune(PLUGIN)
    def variants(
        q: trtp.TensorDesc,
        k_window: trtp.TensorDesc,
        v_window: trtp.TensorDesc,
        k_self: trtp.TensorDesc,
        v_self: trtp.TensorDesc,
        outputs: tuple[trtp.TensorDesc],
    ) -> list[trtp.AutoTuneCombination]:
        same = [", ".join([kind] * (len(INPUTS) + 1)) for kind in ("FP16", "BF16")]
        return [trtp.AutoTuneCombination(types, "LINEAR", [1, 2]) for types in same]

    @trtp.aot_impl(PLUGIN)
    def launch(
        q: trtp.TensorDesc,
        k_window: trtp.TensorDesc,
        v_window: trtp.TensorDesc,
        k_self: trtp.TensorDesc,
        v_self: trtp.TensorDesc,
        outputs: tuple[trtp.TensorDesc],
        tactic: int,
    ) -> tuple[str, bytes, trtp.KernelLaunchParams, trtp.SymIntExprs]:
        batch, heads, tokens, dim = (q.shape_expr[i] for i in range(4))
        kv_heads, window = k_window.shape_expr[1], k_window.shape_expr[2]
        width = dim.constant_value()
        rows, shared = VARIANTS[width, tactic]
        parameters = trtp.KernelLaunchParams()
        parameters.grid_x = trtp.cdiv(heads // kv_heads * tokens, rows)
        parameters.grid_y = batch * kv_heads
        parameters.block_x = THREADS
        parameters.shared_mem = shared
        integers = trtp.SymIntExprs(4)
        for i, size in enumerate((heads, kv_heads, tokens, window)):
            integers[i] = trtp.SymInt32(size)
        kind = "half" if q.dtype == trt.float16 else "bfloat"
        return entry(kind, width, tactic), ptx, parameters, integers
