"""Every error the runtime raises on purpose.

Each message says what was expected, what was found and what to do. Each class also derives from
the built-in error a caller would expect (`ValueError`, `OSError`, …), so `except ValueError` works
without importing this module.

Knows nothing of the rest of the package, so that any module can import it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runtime.document import Document


class WeftError(Exception):
    """Base of all errors of the project."""


class BundleError(WeftError, ValueError):
    """The bundle folder or its manifest is not usable as it is."""


class BundleMissing(BundleError):
    """A bundle, its manifest or one of its files is not there."""


class BundleTampered(BundleError):
    """A file's size or digest differs from the manifest's."""


class BundleTooNew(BundleError):
    """The bundle was written for a newer schema, ABI or runtime than this one."""


class PromptError(WeftError, ValueError):
    """The prompt cannot be used: empty, too long, or it contains control tags."""


class PictureError(PromptError):
    """A picture in the prompt cannot be used."""


class OptionError(WeftError, ValueError):
    """An option is unknown or out of range."""


class CapacityError(WeftError, ValueError):
    """The request cannot fit into the caches; raised before any work is done."""


class EngineError(WeftError, RuntimeError):
    """An engine could not be built or refused its inputs."""


class GrammarError(WeftError, ValueError):
    """A token sequence breaks the document grammar."""


class SessionError(WeftError, ValueError):
    """A saved session cannot be restored, or a session was used in the wrong order."""


class OutputError(WeftError, OSError):
    """A document could not be written where it was asked to be."""


class DependencyError(WeftError, ImportError):
    """An optional package is missing; the message names the extra to install."""


class Interrupted(WeftError, KeyboardInterrupt):
    """Generation was interrupted (Ctrl-C). `document` holds what was finished before that."""

    def __init__(self, document: Document) -> None:
        pictures = len(document.images)
        super().__init__(
            f"interrupted; {pictures} finished picture(s) are in the `document` attribute"
        )
        self.document = document
