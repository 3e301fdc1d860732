"""The graphs of a bundle, one module per model; `export.graphs` builds them all."""
