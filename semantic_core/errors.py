"""Every error that this product raises on purpose, as one tree.

::

    SemanticCoreError
    |-- ConfigError                 a setting is unknown, missing or of the wrong kind
    |   `-- ExtraMissing (ImportError)    a part needs packages that are not installed
    |-- InputError (ValueError)     an argument cannot be used
    |   |-- TextInvalid             text that cannot be stored: lone surrogates, too long, not text
    |   |-- VectorInvalid           wrong size, not finite, or of length 0
    |   |-- FilterInvalid           a ``where`` that is not valid
    |   |-- QueryTooLarge           a query, or a page of results, that is too large
    |   `-- FileUnreadable          a file that is missing, binary or in an unknown encoding
    |-- TenantRequired              a multi-tenant store was called without a tenant
    |-- TenantRefused               a single-tenant store was called with one
    |-- AccessRefused             a plugin does not show anything to whoever asks
    |-- BudgetSpent *               the budget is spent
    |-- StoreError
    |   |-- StoreBusy *             another writer holds the store
    |   |-- StoreFull               no space left for the write
    |   |-- StoreReadOnly           the file or its folder cannot be written
    |   |-- StoreUnavailable        the store cannot be opened
    |   |-- StoreForeign            the file belongs to another program
    |   |-- StoreVersion            the file was written by a newer release
    |   |-- StoreCorrupt            the content contradicts itself
    |   |-- StoreMisuse             used in a way that would damage it
    |   |-- SpaceMismatch           the vectors in it come from another embedder
    |   `-- AnalyserMismatch        its full-text index was made with another analyser
    |-- EmbedderError
    |   |-- EmbedderUnavailable *   it does not answer at the moment
    |   |   `-- EmbedderThrottled * it accepts no more at the moment
    |   |-- JobLost                 a batch job that its provider does not know
    |   `-- EmbeddingInvalid        its answer breaks its contract
    `-- PluginError
        |-- PluginBroken            it could not be loaded
        |-- PluginConflict          two have the same name
        |-- ProviderNotFound        no plugin offers that name
        `-- HookFailed              a hook raised, or its answer breaks its contract

A star marks errors that may pass: the same call may succeed later, and ``error.retryable`` is True.

Tested by tests/kernel/test_core.py and tests/plugins/test_host.py.
"""

from __future__ import annotations

import signal
from types import CodeType
from typing import ClassVar


class SemanticCoreError(Exception):
    """The base class of all errors of this product.

    message: what was wanted and what was given, in one sentence. hint: what to do about it; "" if
    there is no general advice. It is shown after the message.
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
    """A part of the product needs packages that an extra installs."""


class InputError(SemanticCoreError, ValueError):
    """An argument cannot be used. Nothing was changed."""


class TextInvalid(InputError):
    """Text that cannot be stored exactly as it is."""


class VectorInvalid(InputError):
    """A vector of the wrong size, with a value that is not finite, or of length 0."""


class FilterInvalid(InputError):
    """A ``where`` that is not valid."""


class QueryTooLarge(InputError):
    """A query, or a page of results, that is too large for one search."""


class FileUnreadable(InputError):
    """A file that is missing, damaged, encrypted, too large, in an unknown encoding, or binary
    without a plugin that reads it.
    """


class TenantRequired(SemanticCoreError):
    """A multi-tenant store was called without a tenant."""


class TenantRefused(SemanticCoreError):
    """A single-tenant store was called with a tenant."""


class AccessRefused(SemanticCoreError):
    """A plugin does not show anything to whoever asks, or was not told who asks."""


class BudgetSpent(SemanticCoreError):
    """The budget is spent. Texts are stored, and get vectors when the budget allows it again."""

    retryable = True


class StoreError(SemanticCoreError):
    """The store failed. A write that raises has changed nothing."""


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
    """The file is no store: it has another format, or is another program's database."""


class StoreVersion(StoreError):
    """The store was written by a newer release, or is an incomplete copy."""


class StoreCorrupt(StoreError):
    """The content contradicts itself. Nothing was deleted or rebuilt."""


class StoreMisuse(StoreError):
    """Refused because it would damage the store, or because the store is closed."""


class SpaceMismatch(StoreError):
    """The vectors in the store come from another embedder than the current one."""


class AnalyserMismatch(StoreError):
    """The full-text index was made with another analyser than the current one."""


class EmbedderError(SemanticCoreError):
    """The embedder failed."""


class EmbedderUnavailable(EmbedderError):
    """The embedder is unavailable at the moment: offline, throttled, overloaded."""

    retryable = True


class EmbedderThrottled(EmbedderUnavailable):
    """The embedder accepts no more calls, texts or tokens at the moment. Nothing was embedded."""


class JobLost(EmbedderError):
    """The provider does not know a batch job, or has deleted its results.

    They may have been paid for.
    """


class EmbeddingInvalid(EmbedderError):
    """The answer of the embedder breaks its contract: wrong count or size, NaN, length 0."""


class PluginError(SemanticCoreError):
    """A plugin cannot take part."""


class PluginBroken(PluginError):
    """The plugin asked for could not be loaded; the message carries the cause."""


class PluginConflict(PluginError):
    """Two plugins, or two providers, have the same name."""


class ProviderNotFound(PluginError):
    """No plugin offers a store or embedder of that name."""


class HookFailed(PluginError):
    """A hook raised, or its answer breaks its contract."""


def is_interruption(error: BaseException) -> bool:
    """Whether a signal handler of this process raised the error; always True for
    KeyboardInterrupt.

    Such an error, for example a time limit, is no failure of the plugin or provider that it
    interrupted: code that continues after errors must raise it again.
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
    """The code of every signal handler that is written in Python."""
    codes = set()
    for number in signal.valid_signals():
        handler = signal.getsignal(number)
        called: object = handler
        if not hasattr(handler, "__code__"):
            called = getattr(handler, "__call__", None)  # noqa: B004
        code = getattr(getattr(called, "__func__", called), "__code__", None)
        if isinstance(code, CodeType):
            codes.add(code)
    return codes
