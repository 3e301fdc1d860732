"""Errors of training and of its data."""

from __future__ import annotations


class TrainingError(Exception):
    """Says what was expected, what was found and what to do."""
