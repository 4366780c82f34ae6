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


# The one mapping from what google-genai and httpx2 raise to our errors: by type, status and
# reason, never by wording.
#
# What is none of theirs is not touched: a mistake of ours stays visible as what it is.

LONGEST_QUOTE: Final = 300
"""Characters of the service's own words that go into a message."""
REFUSED_KEY_REASONS: Final = frozenset(
    {"API_KEY_INVALID", "API_KEY_SERVICE_BLOCKED", "API_KEY_EXPIRED", "SERVICE_DISABLED"}
)
"""Reasons that come with status 400 or 403 and mean the key."""
LONGEST_WAIT: Final = 86_400.0
"""Seconds; a Retry-After beyond a day is taken as a day."""
_DAILY: Final = "PerDay"
"""Part of a quota's id that tells the day's from the minute's."""
_KEY_HINT = "Check the key and its rights in Google AI Studio; it is not shown here."

Unmask = Callable[[str], str]


def failure_of(error: Exception, what: str, wall: float) -> SemanticCoreError | None:
    """Our error for one of theirs; None for what is not theirs.

    what: what was being done, as the subject of a sentence. wall: seconds since 1970, now; dates
    are told against it.
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
        told = quoted(str(error)) or type(error).__name__
        return ServiceDown(
            f"{what}: no connection ({told}).", hint="Check the network and base_url."
        )
    if isinstance(error, UnknownApiResponseError | ValueError) and _from_the_client(error):
        # Of its text only the kind is told: it quotes the whole answer.
        return AnswerInvalid(
            f"{what}: the answer cannot be read ({type(error).__name__}).",
            hint="Nothing of it was used.",
        )
    if isinstance(error, KeyError | TypeError | AttributeError) and _from_the_client(error):
        return AnswerInvalid(
            f"{what}: the answer lacks what it must have ({type(error).__name__})."
        )
    return None


def is_quotable(error: Exception) -> bool:
    """Whether an error may be shown as the cause of ours:
    it does not carry a whole answer along.
    """
    return not isinstance(error, ValueError | KeyError | TypeError | AttributeError)


def never_arrived(error: Exception) -> bool:
    """Whether the request surely did not reach the service."""
    import httpx2

    return isinstance(
        error,
        httpx2.ConnectError
        | httpx2.ConnectTimeout
        | httpx2.PoolTimeout
        | httpx2.UnsupportedProtocol,
    )


def was_answered(error: Exception) -> bool:
    """Whether the service answered with an error of its own: then nothing was done,
    and nothing is paid for.
    """
    from google.genai.errors import APIError

    return isinstance(error, APIError)


def quoted(text: object) -> str:
    """What somebody else said, on one line and short."""
    line = re.sub(r"\s+", " ", str(text or "")).strip()
    return line if len(line) <= LONGEST_QUOTE else f"{line[:LONGEST_QUOTE]}…"


def seconds_named(headers: Mapping[str, str], details: object, wall: float) -> float | None:
    """How long the service asks to wait: Retry-After, in seconds or as a date, else its RetryInfo;
    None if it does not.
    """
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
    told = f"{what}: {status} {error.status or ''}".rstrip() + (
        f", {quoted(error.message)}" if error.message else ""
    )
    headers: Mapping[str, str] = getattr(error.response, "headers", None) or {}
    wait = seconds_named(headers, error.details, wall)
    reasons = {str(detail.get("reason", "")) for detail in _details(error.details)}
    if status == 401 or reasons & REFUSED_KEY_REASONS:
        return KeyRefused(told, hint=_KEY_HINT)
    if status == 403:
        return AccessDenied(told, hint=_KEY_HINT)
    if status == 429:
        if any(
            _DAILY in str(violation.get("quotaId", "")) for violation in _violations(error.details)
        ):
            return QuotaExhausted(
                told,
                hint="The day's quota is used up; it is renewed at midnight Pacific time.",
                retry_after=wait,
            )
        return RateLimited(
            told, hint="Ask less often: texts_per_minute, tokens_per_minute.", retry_after=wait
        )
    if status == 408 or status == 504:
        return ServiceTimeout(told, hint="Try again later.", retry_after=wait)
    if status >= 500 or 300 <= status < 400:
        return ServiceDown(told, hint="Try again later.", retry_after=wait)
    if status == 404:
        return ModelUnknown(told, hint="Check the name, and whether the key may use it.")
    if 400 <= status < 500:
        return RequestRefused(told)
    return EmbedderError(told)


def _details(details: object) -> list[Mapping[str, Any]]:
    """The ``error.details`` of a Google error, whatever came."""
    error = details.get("error", details) if isinstance(details, Mapping) else {}
    inside = error.get("details", []) if isinstance(error, Mapping) else []
    return [one for one in inside if isinstance(one, Mapping)] if isinstance(inside, list) else []


def _violations(details: object) -> list[Mapping[str, Any]]:
    found = [
        one
        for detail in _details(details)
        for one in detail.get("violations") or []
        if isinstance(one, Mapping)
    ]
    return found


def _from_the_client(error: Exception) -> bool:
    """Whether it was raised inside google-genai (or what it reads answers with),
    not in our own code.
    """
    trace = error.__traceback__
    last = ""
    while trace is not None:
        last = str(trace.tb_frame.f_globals.get("__name__", ""))
        trace = trace.tb_next
    return last.split(".")[0] in ("google", "pydantic", "json", "httpx2")
