"""Errors of the exporter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.errors import WeftError

if TYPE_CHECKING:
    from export.report import Report


class ExportError(WeftError, ValueError):
    """The checkpoint cannot be exported as asked; says what was expected, found and what to do."""


class GateError(ExportError):
    """A component of the bundle is further from PyTorch than its gate allows; `report` says by
    how much, of all of them."""

    def __init__(self, message: str, report: Report) -> None:
        super().__init__(message)
        self.report = report
