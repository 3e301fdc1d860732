"""The window's graph: takes the planner's rows it is told to and the references' rows, and moves
each key to its place relative to the picture being drawn. Values are only gathered.

A shift is a rotation of the cached (already rotated) key by the angle of the shift.
"""

from __future__ import annotations

from typing import Any

from export.components.layers import fetched, rope_tables, rotate, stored
from export.graph import GraphBuilder


def build_window(graph: GraphBuilder, layers: int, rope_table: Any) -> None:
    """Gathers, shifts and joins the rows of a window, layer by layer."""
    with graph.scope("planner"):
        near = rope_tables(graph, "shift", rope_table)
    with graph.scope("reference"):
        far = rope_tables(graph, "reference_shift", rope_table)
    for layer in range(layers):
        with graph.scope(f"layers.{layer}"):
            taken = graph.op("Gather", f"planner.k.{layer}", "index", axis=2)
            pairs = (taken, near), (fetched(graph, f"reference.k.{layer}"), far)
            keys = [rotate(graph, k, rope) for k, rope in pairs]
            taken = graph.op("Gather", f"planner.v.{layer}", "index", axis=2)
            values = taken, fetched(graph, f"reference.v.{layer}")
            for kind, rows in (("k", keys), ("v", values)):
                stored(graph, "Concat", *rows, axis=2, output=f"window.{kind}.{layer}")
