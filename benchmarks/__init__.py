"""Measurements: quality by exact scores (`weft eval`), latency and memory (`weft bench`)."""
