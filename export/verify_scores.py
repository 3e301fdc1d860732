"""`weft eval` of every precision but fp16 on the CPU, against fp32 on the same prompts.

Each precision becomes a bundle of its own for the time of the measurement. float8 is simulated: its
graphs are built to compute in float32 around the same float8 weights and activations, with keys and
values as the runtime keeps them on a CPU. float16 is not scored: its components are within 1e-2 of
fp32, and simulating it costs more than it tells.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import runtime
from export.graphs import GraphWriter
from export.precision import RECIPES, Recipe
from runtime.bundle import Gate, Manifest, Variant, Verification, file_of, write_manifest
from runtime.interfaces import COMPONENTS

logger = logging.getLogger(__name__)

# precision → how far a row of `weft eval` may stand below fp32.
POINTS = {"w8": 0.005, "int8": 0.005, "fp8": 0.01}
BACKENDS = {"fp8": "onnx-cpu simulated"}
Scores = dict[str, tuple[float, int]]
Evaluate = Callable[[Path, int], Scores]


def score_precisions(
    folder: Path,
    open_writer: Callable[[Path], GraphWriter],
    recipes: Mapping[tuple[str, str], Recipe],
    make: Callable[[dict[str, tuple[Variant, ...]]], Manifest],
    samples: int,
    evaluate: Evaluate | None = None,
) -> dict[str, Verification]:
    """Scores and gates by `backend precision`; scratch bundles stand in `folder` meanwhile.

    `make` gives the manifest of a bundle with these variants; `recipes` are by component and
    precision.
    """
    evaluate = evaluate or weft_eval
    wanted = [p for p in dict.fromkeys(p for _, p in recipes) if p in POINTS]
    found: dict[str, Scores] = {}
    for precision in ("fp32", *wanted):
        chosen = {
            name: RECIPES["fp32"] if precision == "fp32" else _on_cpu(recipes[name, precision])
            for name in COMPONENTS
        }
        with tempfile.TemporaryDirectory(dir=folder, prefix=".eval-") as scratch:
            _bundle(Path(scratch), open_writer, chosen, make)
            found[precision] = evaluate(Path(scratch), samples)
            logger.info("weft eval %s: %s", precision, found[precision])
    return {
        f"{BACKENDS.get(precision, 'onnx-cpu')} {precision}": Verification(
            {row: score for row, (score, _) in found[precision].items()},
            gates_of_rows(found["fp32"], POINTS[precision]) if precision in POINTS else (),
        )
        for precision in ("fp32", *wanted)
    }


def gates_of_rows(reference: Scores, points: float) -> tuple[Gate, ...]:
    """A row may stand `points` below the reference, or one judgement where few were made."""
    return tuple(
        Gate(row, round(score - max(points, 1 / n), 6), at_least=True)
        for row, (score, n) in reference.items()
    )


def _on_cpu(recipe: Recipe) -> Recipe:
    """The recipe with everything but its float8 layers in float32."""
    if recipe.compute == "float32":
        return recipe
    return replace(
        recipe,
        compute="float32",
        default="fp32",
        small="fp32",
        kv="float32",
        window_kv="float32",
        kv_scale=1.0,
    )


def _bundle(
    folder: Path,
    open_writer: Callable[[Path], GraphWriter],
    recipes: Mapping[str, Recipe],
    make: Callable[[dict[str, tuple[Variant, ...]]], Manifest],
) -> None:
    variants: dict[str, tuple[Variant, ...]] = {}
    with open_writer(folder / "onnx") as writer:
        graphs = {name: writer.write(name, recipe) for name, recipe in recipes.items()}
    for name, graph in graphs.items():
        files = tuple(file_of(folder, f"onnx/{path}") for path in graph.files)
        precision = recipes[name].precision
        variant = Variant("onnxruntime", "CPUExecutionProvider", precision, files)
        variants[name] = (variant,)
    manifest = make(variants)
    source = folder.parent / manifest.tokenizer.file.path
    (folder / manifest.tokenizer.file.path).write_bytes(source.read_bytes())
    write_manifest(folder, manifest)


def weft_eval(bundle: Path, samples: int) -> Scores:
    """Every row that is a share, as (score, how much was judged)."""
    from benchmarks.quality.run import run_suites
    from benchmarks.quality.suites import USUAL

    arguments = argparse.Namespace(
        samples=samples, seed=0, steps=None, no_ceiling=True, no_cache=True, jobs=1, suite=USUAL,
        out=None,
    )  # fmt: skip
    loaded = runtime.load(bundle, device="cpu", verify=False)
    _, data = run_suites(arguments, loaded, lambda _: None)
    return {
        f"{row['suite']} {row['name']}": (float(row["score"]), int(row["n"]))
        for row in data["rows"]
        if row["score"] is not None and row["n"] and row["unit"] == "share"
    }


def failures(verification: Mapping[str, Verification]) -> list[str]:
    """A sentence for every gate on a score that failed."""
    from runtime.variants import failed_gates

    found: list[Any] = []
    for name, entry in verification.items():
        found += [f"{name} {sentence}" for sentence in failed_gates(entry.figures, entry.gates)]
    return found
