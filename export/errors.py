"""Errors of the exporter."""

from __future__ import annotations

from runtime.errors import WeftError


class ExportError(WeftError, ValueError):
    """The checkpoint cannot be exported as asked; says what was expected, found and what to do."""


class GateError(ExportError):
    """A component of the bundle is further from PyTorch than its gate allows."""
