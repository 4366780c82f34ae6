"""The errors of this plugin, and the mapping from what google-genai and httpx2 raise.

::

    ConfigError
    |-- KeyMissing                    no key was given
    |-- KeyMalformed                  the value cannot be a key
    `-- BatchKeyMissing (ValueError)  a batch job needs a batch key
    JobLost
    |-- JobUnknown                    no such job, or it belongs to another project
    `-- ResultsGone                   the service has deleted the results
    EmbedderError
    |-- KeyRefused                    the service does not accept the key
    |   `-- AccessDenied              the key has no permission, or the resource does not exist
    |-- RequestRefused                the service does not accept the request
    |   |-- PassageRefused            some of the texts, named by their positions
    |   `-- ModelUnknown              no such model, or not for this key
    |-- JobFailed                     a batch job ended without results
    |-- ItemFailed                    one text of a job failed
    `-- EmbedderUnavailable *
        |-- RateLimited *             the limit per minute was exceeded
        |-- QuotaExhausted *          the limit per day was exceeded
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

Tested by tests/test_faults.py and tests/test_leaks.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, Final

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
    """No key was given."""


class KeyMalformed(ConfigError):
    """The value cannot be a key. The message does not show it."""


class BatchKeyMissing(ConfigError, ValueError):
    """A batch job needs a batch key, and the keyring has none. Nothing was sent."""


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


class ModelUnknown(RequestRefused):
    """There is no such model, or the key may not use it."""


class _Later(EmbedderUnavailable):
    """An error with `retry_after`: seconds until the next attempt makes sense; None if unknown."""

    def __init__(self, message: str, *, hint: str = "", retry_after: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class RateLimited(_Later, EmbedderThrottled):
    """The limit per minute was exceeded."""


class QuotaExhausted(_Later):
    """The limit per day was exceeded."""


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

    If it belongs to another project, a key of that project sees it.
    """


class ResultsGone(JobLost):
    """The service has deleted the results of a finished job, which were paid for."""


class ItemFailed(EmbedderError):
    """One text of a job failed; the message contains the reason that the service gives."""


class ItemUnavailable(_Later):
    """One text of a job failed for a temporary reason; in another job it may succeed."""


class JobTooLarge(InputError):
    """More texts or bytes than one job may have. Nothing was sent."""


# The mapping

LONGEST_QUOTE: Final = 300
"""Most characters of the service's own message that go into ours."""
REFUSED_KEY_REASONS: Final = frozenset(
    {"API_KEY_INVALID", "API_KEY_SERVICE_BLOCKED", "API_KEY_EXPIRED", "SERVICE_DISABLED"}
)
"""Reasons that come with status 400 or 403 and concern the key."""
LONGEST_WAIT: Final = 86_400.0
"""Seconds; a longer Retry-After counts as a day."""
_DAILY: Final = "PerDay"
"""Part of the id of a quota per day."""
_KEY_HINT = "Check the key and its permissions in Google AI Studio; it is not shown here."

Unmask = Callable[[str], str]


def failure_of(error: Exception, what: str, wall: float) -> SemanticCoreError | None:
    """Our error for one that google-genai or httpx2 raised; None for any other error.

    Errors are mapped by type, status and reason, never by their wording. None means a bug of ours,
    which has to stay visible. what: what was being done, as the subject of a sentence. wall: the
    present time in seconds since 1970.
    """
    import httpx2
    from google.genai.errors import APIError, UnknownApiResponseError

    if isinstance(error, SemanticCoreError):
        return error
    if isinstance(error, APIError):
        return _by_status(error, what, wall)
    if isinstance(error, httpx2.TimeoutException):
        return ServiceTimeout(
            f"{what}: no answer in time ({type(error).__name__}).", hint="Try again later."
        )
    if isinstance(error, httpx2.HTTPError | httpx2.InvalidURL):
        reason = quoted(str(error)) or type(error).__name__
        return ServiceDown(
            f"{what}: no connection ({reason}).", hint="Check the network and base_url."
        )
    if isinstance(error, UnknownApiResponseError | ValueError) and _from_the_client(error):
        # Only its type is shown, because its text quotes the whole answer.
        return AnswerInvalid(
            f"{what}: the answer cannot be read ({type(error).__name__}).",
            hint="Nothing of it was used.",
        )
    if isinstance(error, KeyError | TypeError | AttributeError) and _from_the_client(error):
        return AnswerInvalid(f"{what}: the answer lacks a required field ({type(error).__name__}).")
    return None


def is_quotable(error: Exception) -> bool:
    """Whether an error may be the cause of ours, because it does not contain a whole answer."""
    return not isinstance(error, ValueError | KeyError | TypeError | AttributeError)


def never_arrived(error: Exception) -> bool:
    """Whether the request certainly did not reach the service."""
    import httpx2

    return isinstance(
        error,
        httpx2.ConnectError
        | httpx2.ConnectTimeout
        | httpx2.PoolTimeout
        | httpx2.UnsupportedProtocol,
    )


def was_answered(error: Exception) -> bool:
    """Whether the service answered with an error: then nothing was done or billed."""
    from google.genai.errors import APIError

    return isinstance(error, APIError)


def quoted(text: object) -> str:
    """A text of the service, shortened to one line."""
    line = re.sub(r"\s+", " ", str(text or "")).strip()
    return line if len(line) <= LONGEST_QUOTE else f"{line[:LONGEST_QUOTE]}…"


def seconds_named(headers: Mapping[str, str], details: object, wall: float) -> float | None:
    """The seconds that the service asks to wait, from Retry-After or its RetryInfo; else None."""
    named = headers.get("retry-after", "")
    seconds: float | None = None
    if re.fullmatch(r"\s*\d+(\.\d+)?\s*", named):
        seconds = float(named)
    elif named:
        try:
            seconds = parsedate_to_datetime(named).timestamp() - wall
        except (ValueError, OverflowError):
            seconds = None
    if seconds is None:
        for detail in _details(details):
            match = re.fullmatch(r"(\d+(?:\.\d+)?)s", str(detail.get("retryDelay", "")))
            if match:
                seconds = float(match[1])
    return None if seconds is None else min(max(0.0, seconds), LONGEST_WAIT)


def _by_status(error: Any, what: str, wall: float) -> SemanticCoreError:
    status = int(error.code or 0)
    message = f"{what}: {status} {error.status or ''}".rstrip()
    if error.message:
        message += f", {quoted(error.message)}"
    headers: Mapping[str, str] = getattr(error.response, "headers", None) or {}
    wait = seconds_named(headers, error.details, wall)
    reasons = {str(detail.get("reason", "")) for detail in _details(error.details)}
    if status == 401 or reasons & REFUSED_KEY_REASONS:
        return KeyRefused(message, hint=_KEY_HINT)
    if status == 403:
        return AccessDenied(message, hint=_KEY_HINT)
    if status == 429:
        quotas = [str(violation.get("quotaId", "")) for violation in _violations(error.details)]
        if any(_DAILY in quota for quota in quotas):
            return QuotaExhausted(
                message,
                hint="The quota of the day is used up; it is reset at midnight Pacific time.",
                retry_after=wait,
            )
        return RateLimited(
            message, hint="Lower texts_per_minute and tokens_per_minute.", retry_after=wait
        )
    if status == 408 or status == 504:
        return ServiceTimeout(message, hint="Try again later.", retry_after=wait)
    if status >= 500 or 300 <= status < 400:
        return ServiceDown(message, hint="Try again later.", retry_after=wait)
    if status == 404:
        return ModelUnknown(message, hint="Check the name, and whether the key may use the model.")
    if 400 <= status < 500:
        return RequestRefused(message)
    return EmbedderError(message)


def _details(details: object) -> list[Mapping[str, Any]]:
    """The ``error.details`` of a Google error; [] if the answer has another form."""
    error = details.get("error", details) if isinstance(details, Mapping) else {}
    listed = error.get("details", []) if isinstance(error, Mapping) else []
    if not isinstance(listed, list):
        return []
    return [detail for detail in listed if isinstance(detail, Mapping)]


def _violations(details: object) -> list[Mapping[str, Any]]:
    """The violated quotas that a Google error names."""
    found: list[Mapping[str, Any]] = []
    for detail in _details(details):
        violations = detail.get("violations") or []
        found += [violation for violation in violations if isinstance(violation, Mapping)]
    return found


def _from_the_client(error: Exception) -> bool:
    """Whether an error was raised in google-genai or a library it uses, not in our own code."""
    trace = error.__traceback__
    last = ""
    while trace is not None:
        last = str(trace.tb_frame.f_globals.get("__name__", ""))
        trace = trace.tb_next
    return last.split(".")[0] in ("google", "pydantic", "json", "httpx2")
