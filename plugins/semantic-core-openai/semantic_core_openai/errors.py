"""From an answer of the service to one of the errors of `semantic_core.remote`.

Servers with OpenAI's interface agree on the status of an error and not on its form, so its message
is searched for in every form that is known.

Tested by tests/test_faults.py and tests/test_leaks.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from semantic_core.errors import EmbedderError, SemanticCoreError
from semantic_core.remote import (
    AccessDenied,
    KeyRefused,
    ModelUnknown,
    PassageTooLong,
    QuotaExhausted,
    RateLimited,
    RequestRefused,
    ServiceDown,
    ServiceTimeout,
    bounded_wait,
    connection_failure,
    quoted,
    seconds_named,
)

_TOO_LONG = re.compile(
    r"maximum (context|input) length|max_tokens_per_request|tokens per request|too many tokens"
    r"|exceeds? (the )?(available |maximum )?(context|input|allowed) (length|size|tokens)"
    r"|too large to process|must have less than \d+ tokens|longer than the maximum",
    re.I,
)
"""How services say that a text, or all texts of a call together, have too many tokens."""
_TOO_LONG_STATUSES: Final = frozenset({400, 413, 422, 500})
"""Statuses that this comes with; the server of llama.cpp answers 500."""
_MOST = re.compile(
    r"(?:maximum context length is|max|maximum input length of|less than|context size)"
    r"\D{0,20}(\d+)",
    re.I,
)
_GIVEN = re.compile(r"(?:you requested|requested|given:?|got|has|request \()\D{0,12}(\d+)", re.I)
"""Numbers of tokens in such a message: those that are accepted, and those that were counted."""
_AGAIN_IN = re.compile(r"try again in (?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)(ms|s))?", re.I)
_QUOTA: Final = frozenset(
    {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"}
)
_KEY_HINT: Final = "Check the key and its permissions; it is not shown here."


class Refusal(Exception):
    """An answer with a status other than 2xx.

    headers: with names in lower case. message: of the service, in one line. kinds: its words for
    the kind of the error.
    """

    def __init__(
        self, status: int, headers: Mapping[str, str], message: str, kinds: frozenset[str]
    ) -> None:
        super().__init__(status, message)
        self.status = status
        self.headers = headers
        self.message = message
        self.kinds = kinds

    def __str__(self) -> str:
        return f"{self.status} {self.message}".strip()


def refusal_of(status: int, headers: Mapping[str, str], body: object) -> Refusal:
    """The refusal in an answer. body: its JSON; None if it is none."""
    names = {name.lower(): value for name, value in headers.items()}
    return Refusal(status, names, quoted(_message_in(body)), _kinds_in(body))


def _message_in(body: object) -> str:
    """The message of an error in any form that is known; "" if there is none."""
    if isinstance(body, str):
        return body
    if isinstance(body, list):
        return _message_in(body[0]) if body else ""
    if isinstance(body, Mapping):
        for name in ("error", "message", "detail", "msg"):
            found = _message_in(body.get(name))
            if found:
                return found
    return ""


def _kinds_in(body: object) -> frozenset[str]:
    """The type and the code of an error."""
    error = body.get("error", body) if isinstance(body, Mapping) else None
    if not isinstance(error, Mapping):
        return frozenset()
    return frozenset(str(error[name]) for name in ("type", "code") if error.get(name))


def failure_of(error: Exception, what: str, wall: float) -> SemanticCoreError | None:
    """Our error for one that a call raised; None for any other, which is a bug of ours.

    what: what was being done, as the subject of a sentence. wall: seconds since 1970.
    """
    if isinstance(error, SemanticCoreError):
        return error
    if isinstance(error, Refusal):
        return _by_status(error, what, wall)
    return connection_failure(error, what)


def was_answered(error: Exception) -> bool:
    """Whether the service answered with an error: then nothing was done or billed."""
    return isinstance(error, Refusal)


def _by_status(error: Refusal, what: str, wall: float) -> SemanticCoreError:
    status = error.status
    message = f"{what}: {error}"
    wait = _wait_named(error, wall)
    if status == 401:
        return KeyRefused(message, hint=_KEY_HINT)
    if status == 403:
        return AccessDenied(message, hint=_KEY_HINT)
    if status == 429:
        return _throttled(error, message, wait)
    if status in _TOO_LONG_STATUSES and _is_too_long(error):
        return PassageTooLong(
            message,
            hint="Use a smaller max_chars, or fewer texts in a call.",
            most=_number(_MOST, error.message),
            given=_number(_GIVEN, error.message),
        )
    if status in (408, 504):
        return ServiceTimeout(message, hint="Try again later.", retry_after=wait)
    if 300 <= status < 400:
        return ServiceDown(
            message, hint="Redirects are not followed: set base_url to the final address."
        )
    if status >= 500:
        return ServiceDown(message, hint="Try again later.", retry_after=wait)
    if status == 404:
        return ModelUnknown(message, hint="Check model and base_url.")
    if 400 <= status < 500:
        return RequestRefused(message)
    return EmbedderError(message)


def _throttled(error: Refusal, message: str, wait: float | None) -> SemanticCoreError:
    if error.kinds & _QUOTA:
        return QuotaExhausted(
            message, hint="The account has no credit left; see its page of billing."
        )
    return RateLimited(
        message, hint="Lower requests_per_minute and tokens_per_minute.", retry_after=wait
    )


def _is_too_long(error: Refusal) -> bool:
    kinds = " ".join(error.kinds)
    return bool(_TOO_LONG.search(error.message) or _TOO_LONG.search(kinds))


def _number(pattern: re.Pattern[str], text: str) -> int | None:
    match = pattern.search(text.replace(",", ""))
    return int(match[1]) if match else None


def _wait_named(error: Refusal, wall: float) -> float | None:
    """The seconds that the service asks to wait, in a header or in its message; else None."""
    named = error.headers.get("retry-after-ms", "")
    if re.fullmatch(r"\d+(\.\d+)?", named):
        return bounded_wait(float(named) / 1_000)
    seconds = seconds_named(error.headers, wall)
    if seconds is not None:
        return seconds
    match = _AGAIN_IN.search(error.message)
    if match is None or not any(match.groups()):
        return None
    hours, minutes, number, unit = match.groups()
    rest = float(number or 0) / (1_000 if unit == "ms" else 1)
    return bounded_wait(int(hours or 0) * 3_600 + int(minutes or 0) * 60 + rest)


def counted_tokens(usage: Any) -> int | None:
    """The tokens of an answer as the service counted them; None if it does not report them."""
    if not isinstance(usage, Mapping):
        return None
    for name in ("prompt_tokens", "total_tokens"):
        value = usage.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return None
