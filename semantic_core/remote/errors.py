"""The errors of embedders that call a service over the network, and what they are made from.

::

    ConfigError
    |-- KeyMissing                    no key was given
    `-- KeyMalformed                  the value cannot be a key
    JobLost
    |-- JobUnknown                    no such job, or it belongs to another account
    `-- ResultsGone                   the service has deleted the results
    EmbedderError
    |-- KeyRefused                    the service does not accept the key
    |   `-- AccessDenied              the key has no permission, or the resource does not exist
    |-- RequestRefused                the service does not accept the request
    |   |-- PassageRefused            some of the texts, named by their positions
    |   |-- PassageTooLong            a text, or all together, have too many tokens
    |   `-- ModelUnknown              no such model or resource, or not for this key
    |-- JobFailed                     a batch job ended without results
    |-- ItemFailed                    one text of a job failed
    `-- EmbedderUnavailable *
        |-- RateLimited *             the limit per minute was exceeded
        |-- QuotaExhausted *          the quota is used up
        |-- ServiceDown *             no connection, or a status 5xx
        |-- ServiceTimeout *          no answer in time
        |-- ServiceResting *          no calls for a while after repeated failures
        |-- ItemUnavailable *         one text of a job failed for a temporary reason
        `-- ResultsUnavailable *      the results of a finished job cannot be fetched now
    EmbeddingInvalid
    `-- AnswerInvalid                 not JSON, a wrong number of vectors, or invalid vectors
    InputError
    `-- JobTooLarge                   more texts or bytes than one job may have

A star marks errors for which the same call may succeed later: ``error.retryable`` is True. No
message contains a key or a passage.

Tested by tests/remote/test_calls.py and plugins/semantic-core-gemini/tests/test_faults.py.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Final

from semantic_core.errors import (
    ConfigError,
    EmbedderError,
    EmbedderThrottled,
    EmbedderUnavailable,
    EmbeddingInvalid,
    InputError,
    JobLost,
    SemanticCoreError,
)


class KeyMissing(ConfigError):
    """No key was given."""


class KeyMalformed(ConfigError):
    """The value cannot be a key. The message does not show it."""


class KeyRefused(EmbedderError):
    """The service does not accept the key: it is unknown, revoked, or lacks the permission."""


class AccessDenied(KeyRefused):
    """The key has no permission, or the resource does not exist: the service answers the same."""


class RequestRefused(EmbedderError):
    """The service does not accept the request as it is."""


class PassageRefused(RequestRefused):
    """The service does not accept some of the texts.

    places: positions of these texts in the list that was passed, from 0. The vectors of the others
    are remembered: asked for again, they cost nothing.
    """

    def __init__(self, message: str, *, hint: str = "", places: Sequence[int] = ()) -> None:
        super().__init__(message, hint=hint)
        self.places = tuple(places)


class PassageTooLong(RequestRefused):
    """A text, or all texts of a call together, have more tokens than the service accepts.

    most, given: tokens that it accepts and that it counted; None if it does not say.
    """

    def __init__(
        self, message: str, *, hint: str = "", most: int | None = None, given: int | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.most = most
        self.given = given


class ModelUnknown(RequestRefused):
    """There is no such model or resource, or the key may not use it."""


class _Later(EmbedderUnavailable):
    """An error with `retry_after`: seconds until the next attempt makes sense; None if unknown."""

    def __init__(self, message: str, *, hint: str = "", retry_after: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class RateLimited(_Later, EmbedderThrottled):
    """The limit per minute was exceeded."""


class QuotaExhausted(_Later):
    """The quota of the day, or of the account, is used up."""


class ServiceDown(_Later):
    """No connection, or a status 5xx."""


class ServiceTimeout(_Later):
    """No answer in time. The request may have been processed all the same."""


class ServiceResting(_Later):
    """The service failed repeatedly; it is called again after `retry_after` seconds, then once."""


class ResultsUnavailable(_Later):
    """The job is finished, but its results cannot be fetched now. They are not retried."""


class AnswerInvalid(EmbeddingInvalid):
    """The answer does not follow the service's interface.

    places: positions of the texts without a valid vector, from 0, if other texts have one; those
    are remembered, and cost nothing when asked for again. Empty: nothing of the answer was used.
    """

    def __init__(self, message: str, *, hint: str = "", places: Sequence[int] = ()) -> None:
        super().__init__(message, hint=hint)
        self.places = tuple(places)


class JobFailed(EmbedderError):
    """A batch job ended without results: failed, expired or cancelled.

    The message contains the reason that the service gives.
    """


class JobUnknown(JobLost):
    """There is no such job for this key, neither by its name nor in the list of all jobs.

    If it belongs to another account or project, a key of that one sees it.
    """


class ResultsGone(JobLost):
    """The service has deleted the results of a finished job, which were paid for."""


class ItemFailed(EmbedderError):
    """One text of a job failed; the message contains the reason that the service gives."""


class ItemUnavailable(_Later):
    """One text of a job failed for a temporary reason; in another job it may succeed."""


class JobTooLarge(InputError):
    """More texts or bytes than one job may have. Nothing was sent."""


# What they are made from

LONGEST_QUOTE: Final = 300
"""Most characters of the service's own message that go into ours."""
LONGEST_WAIT: Final = 86_400.0
"""Seconds; a longer pause that the service asks for counts as a day."""


def quoted(text: object) -> str:
    """A text of the service, shortened to one line."""
    line = re.sub(r"\s+", " ", str(text or "")).strip()
    return line if len(line) <= LONGEST_QUOTE else f"{line[:LONGEST_QUOTE]}…"


def seconds_named(headers: Mapping[str, str], wall: float) -> float | None:
    """The seconds that the header Retry-After asks to wait, as a number or a date; None without it.

    headers: with names in lower case. wall: the present time in seconds since 1970.
    """
    named = headers.get("retry-after", "")
    if re.fullmatch(r"\s*\d+(\.\d+)?\s*", named):
        return bounded_wait(float(named))
    if not named:
        return None
    try:
        return bounded_wait(parsedate_to_datetime(named).timestamp() - wall)
    except (ValueError, OverflowError):
        return None


def bounded_wait(seconds: float) -> float:
    """A wait that the service asks for, from 0 to LONGEST_WAIT."""
    return min(max(0.0, seconds), LONGEST_WAIT)


def connection_failure(error: Exception, what: str) -> SemanticCoreError | None:
    """Our error for one of the HTTP client, without an answer of the service; None for any other.

    what: what was being done, as the subject of a sentence.
    """
    import httpx2

    if isinstance(error, httpx2.TimeoutException):
        return ServiceTimeout(
            f"{what}: no answer in time ({type(error).__name__}).", hint="Try again later."
        )
    if isinstance(error, httpx2.HTTPError | httpx2.InvalidURL):
        reason = quoted(str(error)) or type(error).__name__
        return ServiceDown(
            f"{what}: no connection ({reason}).", hint="Check the network and base_url."
        )
    return None


def is_quotable(error: Exception) -> bool:
    """Whether an error may be the cause of ours, because it does not contain a whole answer."""
    return not isinstance(error, ValueError | KeyError | TypeError | AttributeError)


def never_arrived(error: BaseException | None) -> bool:
    """Whether the request certainly did not reach the service."""
    import httpx2

    return isinstance(
        error,
        httpx2.ConnectError
        | httpx2.ConnectTimeout
        | httpx2.PoolTimeout
        | httpx2.UnsupportedProtocol,
    )


def raised_in(error: Exception, packages: Collection[str]) -> bool:
    """Whether an error was raised in one of these packages, and not in our own code."""
    trace = error.__traceback__
    last = ""
    while trace is not None:
        last = str(trace.tb_frame.f_globals.get("__name__", ""))
        trace = trace.tb_next
    return last.split(".")[0] in packages
