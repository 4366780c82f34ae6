"""The one mapping from what google-genai and httpx2 raise to our errors: by type, status and
reason, never by wording.

What is none of theirs is not touched: a mistake of ours stays visible as what it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final

from semantic_core.errors import EmbedderError, SemanticCoreError
from semantic_core_gemini.errors import (
    AccessDenied,
    AnswerInvalid,
    KeyRefused,
    ModelUnknown,
    QuotaExhausted,
    RateLimited,
    RequestRefused,
    ServiceDown,
    ServiceTimeout,
)

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
