"""Everything that can go wrong with Gemini, below the classes of `semantic_core.errors`.

::

    ConfigError
    |-- KeyMissing                    there is no key to use
    |-- KeyMalformed                  what was given cannot be a key
    `-- BatchKeyMissing (ValueError)  a batch was asked for without a key of its own
    JobLost
    |-- JobUnknown                    there is no such job, or it is another project's
    `-- ResultsGone                   the service has thrown the results away
    EmbedderError
    |-- KeyRefused                    the service does not accept the key
    |   `-- AccessDenied              the key has no right to a thing, or the thing is not there
    |-- RequestRefused                the service does not accept the request
    |   |-- PassageRefused            some of the texts, named by their places
    |   `-- ModelUnknown              no such model, or not for this key
    |-- JobFailed                     a batch job ended without results; the message says why
    |-- ItemFailed                    one text of a job failed; the others did not
    `-- EmbedderUnavailable *
        |-- RateLimited *             too much in a minute
        |-- QuotaExhausted *          too much in a day
        |-- ServiceDown *             no connection, or an answer of the 5xx kind
        |-- ServiceTimeout *          no answer in time
        |-- ServiceResting *          it failed again and again and is left alone for a while
        |-- ItemUnavailable *         one text of a job failed for a reason that passes
        `-- ResultsUnavailable *      a finished job whose results cannot be fetched now
    EmbeddingInvalid
    `-- AnswerInvalid                 not JSON, too many or too few vectors, or none that count
    InputError
    `-- JobTooLarge                   more than one job may carry

A star marks errors worth trying again unchanged: ``error.retryable`` is True for them. No message
holds a key or a passage.
"""

from __future__ import annotations

from collections.abc import Sequence

from semantic_core.errors import (
    ConfigError,
    EmbedderError,
    EmbedderThrottled,
    EmbedderUnavailable,
    EmbeddingInvalid,
    InputError,
    JobLost,
)

__all__ = [
    "AccessDenied",
    "AnswerInvalid",
    "BatchKeyMissing",
    "ItemFailed",
    "ItemUnavailable",
    "JobFailed",
    "JobTooLarge",
    "JobUnknown",
    "KeyMalformed",
    "KeyMissing",
    "KeyRefused",
    "ModelUnknown",
    "PassageRefused",
    "QuotaExhausted",
    "RateLimited",
    "RequestRefused",
    "ResultsGone",
    "ResultsUnavailable",
    "ServiceDown",
    "ServiceResting",
    "ServiceTimeout",
]


class KeyMissing(ConfigError):
    """There is no key to use."""


class KeyMalformed(ConfigError):
    """What was given cannot be a key. It is not shown."""


class BatchKeyMissing(ConfigError, ValueError):
    """A batch was asked for, and the keyring has no key for batches. Nothing was sent."""


class KeyRefused(EmbedderError):
    """The service does not accept the key: unknown, revoked, or without the right to do this."""


class AccessDenied(KeyRefused):
    """The key has no right to a thing, or the thing is not there: the service says both alike."""


class RequestRefused(EmbedderError):
    """The service does not accept the request as it is."""


class PassageRefused(RequestRefused):
    """The service does not accept some of the texts.

    places: which ones of those handed over, from 0. The vectors of the others are kept: asked for
    again, they cost nothing.
    """

    def __init__(self, message: str, *, hint: str = "", places: Sequence[int] = ()) -> None:
        super().__init__(message, hint=hint)
        self.places = tuple(places)


class ModelUnknown(RequestRefused):
    """There is no such model, or not for this key."""


class _Later(EmbedderUnavailable):
    """retry_after: seconds until another try makes sense; None if nobody said."""

    def __init__(self, message: str, *, hint: str = "", retry_after: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class RateLimited(_Later, EmbedderThrottled):
    """More than the service takes in a minute. retry_after: seconds; None if it did not say."""


class QuotaExhausted(_Later):
    """More than the service takes in a day. retry_after: seconds; None if it did not say."""


class ServiceDown(_Later):
    """No connection, or an answer of the 5xx kind. retry_after: seconds; None if it did not say."""


class ServiceTimeout(_Later):
    """No answer in time. What was asked may have been done all the same."""


class ServiceResting(_Later):
    """The service failed again and again; it is not asked until `retry_after` seconds have passed,
    then once.
    """


class ResultsUnavailable(_Later):
    """The job is finished, and its results cannot be fetched now.

    They are not asked for a second time by themselves.
    """


class AnswerInvalid(EmbeddingInvalid):
    """The service answered with something that is not its contract.

    places: which of the texts handed over have no vector that counts, from 0, if others have one:
    these are kept, and cost nothing when asked for again. Empty: nothing of the answer was used.
    """

    def __init__(self, message: str, *, hint: str = "", places: Sequence[int] = ()) -> None:
        super().__init__(message, hint=hint)
        self.places = tuple(places)


class JobFailed(EmbedderError):
    """A batch job ended without results: failed, expired or cancelled.

    The message carries the service's reason.
    """


class JobUnknown(JobLost):
    """There is no such job, neither by its name nor in the list of all; or it is another project's.

    A key of that project may still see it.
    """


class ResultsGone(JobLost):
    """The service has thrown away the results of a finished job. They were paid for."""


class ItemFailed(EmbedderError):
    """One text of a job failed, with the service's reason."""


class ItemUnavailable(_Later):
    """One text of a job failed for a reason that passes: in another job it may not."""


class JobTooLarge(InputError):
    """More than one job may carry. Nothing was sent."""
