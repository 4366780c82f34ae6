"""The errors of this plugin, and the mapping from what google-genai and httpx2 raise.

All but `BatchKeyMissing` are those of `semantic_core.remote`, where their tree is drawn. A star in
the guide marks errors for which the same call may succeed later: ``error.retryable`` is True. No
message contains a key or a passage.

Tested by tests/test_faults.py and tests/test_leaks.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from semantic_core.errors import ConfigError, EmbedderError, SemanticCoreError
from semantic_core.remote import (
    AccessDenied,
    AnswerInvalid,
    ItemFailed,
    ItemUnavailable,
    JobFailed,
    JobTooLarge,
    JobUnknown,
    KeyMalformed,
    KeyMissing,
    KeyRefused,
    ModelUnknown,
    PassageRefused,
    QuotaExhausted,
    RateLimited,
    RequestRefused,
    ResultsGone,
    ResultsUnavailable,
    ServiceDown,
    ServiceResting,
    ServiceTimeout,
    bounded_wait,
    connection_failure,
    quoted,
    raised_in,
    seconds_named,
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


class BatchKeyMissing(ConfigError, ValueError):
    """A batch job needs a batch key, and the keyring has none. Nothing was sent."""


# The mapping

REFUSED_KEY_REASONS: Final = frozenset(
    {"API_KEY_INVALID", "API_KEY_SERVICE_BLOCKED", "API_KEY_EXPIRED", "SERVICE_DISABLED"}
)
"""Reasons that come with status 400 or 403 and concern the key."""
_DAILY: Final = "PerDay"
"""Part of the id of a quota per day."""
_CLIENT = ("google", "pydantic", "json", "httpx2")
"""Packages whose errors mean that an answer cannot be read."""
_KEY_HINT = "Check the key and its permissions in Google AI Studio; it is not shown here."


def failure_of(error: Exception, what: str, wall: float) -> SemanticCoreError | None:
    """Our error for one that google-genai or httpx2 raised; None for any other error.

    Errors are mapped by type, status and reason, never by their wording. None means a bug of ours,
    which has to stay visible. what: what was being done, as the subject of a sentence. wall: the
    present time in seconds since 1970.
    """
    from google.genai.errors import APIError, UnknownApiResponseError

    if isinstance(error, SemanticCoreError):
        return error
    if isinstance(error, APIError):
        return _by_status(error, what, wall)
    failure = connection_failure(error, what)
    if failure is not None:
        return failure
    if isinstance(error, UnknownApiResponseError | ValueError) and raised_in(error, _CLIENT):
        # Only its type is shown, because its text quotes the whole answer.
        return AnswerInvalid(
            f"{what}: the answer cannot be read ({type(error).__name__}).",
            hint="Nothing of it was used.",
        )
    if isinstance(error, KeyError | TypeError | AttributeError) and raised_in(error, _CLIENT):
        return AnswerInvalid(f"{what}: the answer lacks a required field ({type(error).__name__}).")
    return None


def was_answered(error: Exception) -> bool:
    """Whether the service answered with an error: then nothing was done or billed."""
    from google.genai.errors import APIError

    return isinstance(error, APIError)


def _seconds_named(headers: Mapping[str, str], details: object, wall: float) -> float | None:
    """The seconds that the service asks to wait, from Retry-After or its RetryInfo; else None."""
    seconds = seconds_named(headers, wall)
    if seconds is not None:
        return seconds
    for detail in _details(details):
        match = re.fullmatch(r"(\d+(?:\.\d+)?)s", str(detail.get("retryDelay", "")))
        if match:
            seconds = bounded_wait(float(match[1]))
    return seconds


def _by_status(error: Any, what: str, wall: float) -> SemanticCoreError:
    status = int(error.code or 0)
    message = f"{what}: {status} {error.status or ''}".rstrip()
    if error.message:
        message += f", {quoted(error.message)}"
    headers: Mapping[str, str] = getattr(error.response, "headers", None) or {}
    wait = _seconds_named(headers, error.details, wall)
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
