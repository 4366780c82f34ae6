"""Every error this product raises on purpose, as one tree.

::

    SemanticCoreError
    |-- ConfigError                 a setting is unknown, missing or of the wrong kind
    |   `-- ExtraMissing (ImportError)    a part needs packages that are not installed
    |-- InputError (ValueError)     what the caller handed over cannot be used
    |   |-- TextInvalid             text that cannot be stored: lone surrogates, too long, not text
    |   |-- VectorInvalid           wrong size, not finite, or of no length
    |   |-- FilterInvalid           a ``where`` that cannot be understood
    |   |-- QueryTooLarge           more query than a search may carry
    |   `-- FileUnreadable          a file that is missing, binary or in an unknown encoding
    |-- TenantRequired              a multi-tenant store was called without a tenant
    |-- TenantRefused               a single-tenant store was called with one
    |-- BudgetSpent *               what may be spent is spent
    |-- StoreError
    |   |-- StoreBusy *             another writer holds the store
    |   |-- StoreFull               no space left for the write
    |   |-- StoreReadOnly           the file or its folder cannot be written
    |   |-- StoreUnavailable        the store cannot be opened
    |   |-- StoreForeign            the file belongs to something else
    |   |-- StoreVersion            the file was written by a newer release
    |   |-- StoreCorrupt            the content contradicts itself
    |   |-- StoreMisuse             used in a way that would damage it
    |   `-- SpaceMismatch           the vectors in it come from another embedder
    |-- EmbedderError
    |   |-- EmbedderUnavailable *   away for now
    |   |   `-- EmbedderThrottled * takes no more for now
    |   |-- JobLost                 a batch job its provider does not know
    |   `-- EmbeddingInvalid        it answered with something that is not its contract
    `-- PluginError
        |-- PluginBroken            it could not be loaded
        |-- PluginConflict          two claim one name
        |-- ProviderNotFound        no plugin offers that name
        `-- HookFailed              a hook raised or answered with the wrong thing

A star marks errors worth trying again unchanged: ``error.retryable`` is True for them.
"""

from __future__ import annotations

import signal
from types import CodeType
from typing import ClassVar


class SemanticCoreError(Exception):
    """Root of the tree.

    message: what was wanted and what came, in one sentence.
    hint: what to do about it; "" where nothing general can be said. Shown after the message.
    """

    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()

    @property
    def code(self) -> str:
        """The class name, stable between releases; what ``--json`` prints."""
        return type(self).__name__


class ConfigError(SemanticCoreError):
    """A setting is unknown, missing or of the wrong kind."""


class ExtraMissing(ConfigError, ImportError):
    """A part of the product needs packages that only come with one of its extras."""


class InputError(SemanticCoreError, ValueError):
    """What the caller handed over cannot be used. Nothing was changed."""


class TextInvalid(InputError):
    """Text that cannot be stored exactly as it is."""


class VectorInvalid(InputError):
    """A vector of the wrong size, with a value that is not finite, or of no length."""


class FilterInvalid(InputError):
    """A ``where`` that cannot be understood."""


class QueryTooLarge(InputError):
    """More query than one search may carry."""


class FileUnreadable(InputError):
    """A file that is missing, binary, too large or in an unknown encoding."""


class TenantRequired(SemanticCoreError):
    """A multi-tenant store was called without a tenant."""


class TenantRefused(SemanticCoreError):
    """A single-tenant store was called with a tenant."""


class BudgetSpent(SemanticCoreError):
    """What may be spent is spent.

    Texts are stored; their vectors come when there is money again.
    """

    retryable = True


class StoreError(SemanticCoreError):
    """The store could not do what was asked. A write that raises has changed nothing."""


class StoreBusy(StoreError):
    """Another writer held the store for longer than the timeout."""

    retryable = True


class StoreFull(StoreError):
    """No space left for the write. Reading still works."""


class StoreReadOnly(StoreError):
    """The file or its folder cannot be written."""


class StoreUnavailable(StoreError):
    """The store cannot be opened: no such folder, no permission, no server."""


class StoreForeign(StoreError):
    """The file is not one of ours: another format, or another program's database."""


class StoreVersion(StoreError):
    """The store was written by a newer release, or is an incomplete copy."""


class StoreCorrupt(StoreError):
    """The content contradicts itself. Nothing was deleted or rebuilt."""


class StoreMisuse(StoreError):
    """Refused because it would damage the store, or because the store is closed."""


class SpaceMismatch(StoreError):
    """The vectors in the store come from another embedder than the one in use."""


class EmbedderError(SemanticCoreError):
    """The embedder could not do its work."""


class EmbedderUnavailable(EmbedderError):
    """The embedder is away for now: offline, throttled, overloaded."""

    retryable = True


class EmbedderThrottled(EmbedderUnavailable):
    """The embedder is there and takes no more for now: so many calls, texts or tokens.

    Nothing was done.
    """


class JobLost(EmbedderError):
    """The provider does not know a batch job, or has thrown its results away.

    They may have been paid for.
    """


class EmbeddingInvalid(EmbedderError):
    """The embedder answered with something that is not its contract: count, size,
    NaN, no length.
    """


class PluginError(SemanticCoreError):
    """A plugin cannot take part."""


class PluginBroken(PluginError):
    """The plugin asked for could not be loaded; the message carries the cause."""


class PluginConflict(PluginError):
    """Two plugins, or two providers, claim one name."""


class ProviderNotFound(PluginError):
    """No plugin offers a store or embedder of that name."""


class HookFailed(PluginError):
    """A hook raised, or answered with something that is not its contract."""


def is_interruption(error: BaseException) -> bool:
    """Whether a signal handler of this process raised it; KeyboardInterrupt always counts.

    A time limit is meant for whoever set it, and is no failure of the plugin or provider that was
    at work just then: code that keeps going after errors raises it on.
    """
    if isinstance(error, KeyboardInterrupt):
        return True
    handlers = _handlers()
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code in handlers:
            return True
        trace = trace.tb_next
    return False


def _handlers() -> set[CodeType]:
    """The code of every handler that is written in Python."""
    found = set()
    for number in signal.valid_signals():
        handler = signal.getsignal(number)
        called = handler if hasattr(handler, "__code__") else getattr(handler, "__call__", None)  # noqa: B004
        code = getattr(getattr(called, "__func__", called), "__code__", None)
        if isinstance(code, CodeType):
            found.add(code)
    return found
