"""The variants of a bundle while it is made: recipes, graphs, figures, engines.

The steps are called in order by `export.pipeline`; each adds to what the one before left.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from export.graphs import Graph, GraphWriter, Models, check_graph
from export.manifest import (
    cache_geometry,
    image_geometry,
    make_manifest,
    revision_of,
    schedule_of,
    special_tokens,
)
from export.precision import RECIPES, Recipe
from export.profiles import graph_profiles
from export.targets import COMPILED, GRAPHS, LeftOut
from runtime.bundle import (
    File,
    Gate,
    Manifest,
    TokenizerSpec,
    Variant,
    Verification,
    file_of,
)
from runtime.interfaces import COMPONENTS, Interface, component_interfaces
from training.checkpoint import TOKENIZER, Checkpoint

if TYPE_CHECKING:
    from export.pipeline import Options
    from export.verify_subject import Subject

logger = logging.getLogger(__name__)

ONNX = "onnx"
# Precisions that are chosen layer by layer, by what a layer's error does to the result.
CHOSEN = ("int8", "fp8")


@dataclass(frozen=True)
class Built:
    """A variant, how long it took, and whether it came out of the engine cache."""

    component: str
    variant: Variant
    seconds: float
    reused: bool = False


class Assembly:
    """One export under way. `built` are the variants so far, `left_out` the engines there will be
    none of, `verification` the end-to-end figures by `backend precision`."""

    def __init__(self, folder: Path, loaded: Checkpoint, models: Models, options: Options) -> None:
        self.folder, self.models, self.options = folder, models, options
        self._loaded = loaded
        self.built: list[Built] = []
        self.left_out: list[LeftOut] = []
        self.verification: dict[str, Verification] = {}
        self._plan = options.plan
        config, limits = loaded.config, options.limits
        self.cache = cache_geometry(config, limits)
        self.image = image_geometry(config, limits)
        self.interfaces: dict[str, Interface] = component_interfaces(self.cache, self.image)
        self.schedule = schedule_of(loaded.training)
        steps = self.schedule.steps.values()
        self._times = sorted({t for times in steps for t in times[:-1]})
        self._failed: list[str] = []
        self._small = config.twin.width**2 // 4
        self._recipes: dict[tuple[str, str], Recipe] = {}
        self._graphs: dict[tuple[str, str], tuple[Graph, float]] = {}
        self._figures: dict[tuple[str, str], dict[str, float]] = {}
        self._gates: dict[tuple[str, str], tuple[Gate, ...]] = {}

    @cached_property
    def subject(self) -> Subject:
        """Models, times and documents; needs the packages that draw or read documents."""
        from export.samples import make_examples, storyworld_documents, user_documents
        from export.verify_subject import Subject

        options = self.options
        if options.calibrate is None:
            documents = storyworld_documents(options.samples, held_out=False)
        else:
            documents = user_documents(
                options.calibrate, options.samples, options.limits.max_tokens
            )
        examples = make_examples(
            self.models, self.folder / TOKENIZER, documents, options.limits.max_references
        )
        times = self.schedule.steps[str(self.schedule.default_steps)]
        return Subject(self.models, times, tuple(examples))

    def choose(self) -> None:
        """A recipe for every component in every precision; what is missing is said here."""
        for target in dict.fromkeys(target for target, _ in self._plan.compiled()):
            from export.engines import capabilities_of
            from export.tensorrt import open_library

            open_library(target)
            capabilities = capabilities_of(target, self.options)
            self.left_out += self._plan.left_out(target, capabilities)
        if self.options.calibrate is not None or set(CHOSEN) & set(self._plan.precisions):
            logger.info("%d documents to look at", len(self.subject.examples))
        for precision in self._plan.precisions:
            base = replace(RECIPES[precision], small_size=self._small)
            if precision in CHOSEN:
                from export.choice import choose_layers

                chosen = choose_layers(self.subject, base, self.options.kv)
            else:
                chosen = dict.fromkeys(COMPONENTS, base)
            for name, recipe in chosen.items():
                self._recipes[name, precision] = recipe

    def write_graphs(self) -> None:
        """Every component's graph in every precision, each file once."""
        folder, capacity = self.folder / ONNX, self.cache.capacity
        with GraphWriter(self.models, self.interfaces, self._times, capacity, folder) as writer:
            for (name, precision), recipe in self._recipes.items():
                started = time.perf_counter()
                graph = writer.write(name, recipe)
                self._graphs[name, precision] = graph, time.perf_counter() - started
        for path in sorted({graph.files[0] for graph, _ in self._graphs.values()}):
            check_graph(self.folder / ONNX / path)
        files: dict[str, File] = {}
        for target, precision in self._plan.pairs:
            if target in GRAPHS:
                for name in COMPONENTS:
                    self._add_graph(name, target, precision, files)

    def _add_graph(self, name: str, target: str, precision: str, files: dict[str, File]) -> None:
        graph, seconds = self._graphs[name, precision]
        recipe = self._recipes[name, precision]
        for path in graph.files:
            if path not in files:
                files[path] = file_of(self.folder, f"{ONNX}/{path}")
        variant = Variant(
            *GRAPHS[target],
            precision,
            tuple(files[path] for path in graph.files),
            layers=graph.layers,
            profiles=graph_profiles(graph.sizes),
            dtypes=graph.dtypes,
            kv_scale=recipe.kv_scale,
        )
        self.built.append(Built(name, variant, seconds))

    def verify(self) -> None:
        """Figures and gates of every variant, from its graph on the CPU."""
        from export.verify import figures_of, gates_of

        known: dict[tuple[str, Path], dict[str, float]] = {}
        for (name, precision), (graph, _) in self._graphs.items():
            path = self.folder / ONNX / graph.files[0]
            figures = known.get((name, path))
            if figures is None:
                scale = self._recipes[name, precision].kv_scale
                figures = figures_of(name, path, self.interfaces[name], self.subject, scale)
                known[name, path] = figures
            self._figures[name, precision] = figures
            self._gates[name, precision] = gates_of(precision, figures)
        for index, built in enumerate(self.built):
            key = built.component, built.variant.precision
            variant = replace(
                built.variant, parity=dict(self._figures[key]), gates=self._gates[key]
            )
            self.built[index] = replace(built, variant=variant)

    def build_engines(self) -> None:
        """Engines of the compiled targets, from the graphs."""
        from export.engines import Maker

        maker = Maker(self.folder, self.cache, self.image, self.options)
        for target, precision in self._plan.compiled():
            graphs = {name: self._graphs[name, precision][0] for name in COMPONENTS}
            for name, graph in graphs.items():
                files = tuple(file_of(self.folder, f"{ONNX}/{path}") for path in graph.files)
                figures = self._figures.get((name, precision), {})
                simulated = {f"simulated_{figure}": v for figure, v in figures.items()}
                variant = Variant(
                    target,
                    "",
                    precision,
                    files,
                    parity=simulated,
                    gates=tuple(
                        replace(gate, figure=f"simulated_{gate.figure}")
                        for gate in self._gates.get((name, precision), ())
                    ),
                    layers=graph.layers,
                    dtypes=graph.dtypes,
                    kv_scale=self._recipes[name, precision].kv_scale,
                )
                inputs = variant.tensors(self.interfaces[name].inputs)
                for made in maker.make(name, variant, inputs):
                    self.built.append(Built(name, made.variant, made.seconds, made.reused))
        self._drop_graphs()

    def _drop_graphs(self) -> None:
        """Removes graphs and data that only engines were made from."""
        listed = {file.path for built in self.built for file in built.variant.files}
        for path in (self.folder / ONNX).iterdir():
            if f"{ONNX}/{path.name}" not in listed:
                path.unlink()

    def score(self) -> None:
        """`weft eval` of every precision but fp16 on the CPU."""
        from export.verify_scores import failures, score_precisions

        def open_writer(folder: Path) -> GraphWriter:
            return GraphWriter(
                self.models, self.interfaces, self._times, self.cache.capacity, folder
            )

        samples = self.options.eval_samples
        self.verification = score_precisions(
            self.folder, open_writer, self._recipes, self.manifest, samples
        )
        self._failed += failures(self.verification)

    def manifest(self, variants: dict[str, tuple[Variant, ...]]) -> Manifest:
        """The manifest of a bundle of this checkpoint with these variants."""
        special = special_tokens(self.folder / TOKENIZER, self._loaded.config.planner.vocab)
        tokenizer = TokenizerSpec(file_of(self.folder, TOKENIZER), special)
        return make_manifest(
            self._loaded.config,
            revision_of(self._loaded.folder),
            self._loaded.training,
            self.options.limits,
            tokenizer,
            variants,
            self.verification,
        )

    def failures(self) -> list[str]:
        """A sentence for every gate that failed."""
        found = [
            f"{b.component} {b.variant.precision}: {sentence}"
            for b in self.built
            for sentence in b.variant.failures()
        ]
        return list(dict.fromkeys([*found, *self._failed]))

    def variants(self) -> dict[str, tuple[Variant, ...]]:
        """By component, in the order of targets and precisions."""
        return {name: tuple(self._of(name)) for name in COMPONENTS}

    def _of(self, name: str) -> Iterator[Variant]:
        """Engines stand before the graphs of the same target."""
        order = {pair: index for index, pair in enumerate(self._plan.pairs)}
        mine = [b.variant for b in self.built if b.component == name]

        def rank(variant: Variant) -> tuple[int, bool]:
            target = variant.engine
            if target not in COMPILED:
                target = next(t for t, (_, p) in GRAPHS.items() if p == variant.provider)
            return order[target, variant.precision], variant.engine not in COMPILED

        yield from sorted(mine, key=rank)
