"""The files of a batch job, and the service's description of a job.

In order: the line of a text, the description of a job, the line of a result, fetching results.

Tested by tests/test_jobs.py.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

from semantic_core.batch import JobState
from semantic_core.remote import (
    AnswerInvalid,
    ItemFailed,
    ItemUnavailable,
    JobResult,
    JobUnknown,
    UsageMeter,
    counted_results,
    fetched_lines,
    quoted,
)
from semantic_core_openai.answers import embeddings_in, vector_in
from semantic_core_openai.errors import counted_tokens, refusal_of

if TYPE_CHECKING:
    from semantic_core.types import Vector
    from semantic_core_openai.service import EmbeddingService

JOB_ITEMS: Final = 50_000
"""Most texts in a job."""
JOB_BYTES: Final = 200_000_000
"""Most bytes in the file of a job."""
KEPT_SECONDS: Final = 30 * 86_400.0
"""How long the service keeps the files of a job."""
TEMPORARY: Final = frozenset({408, 409, 429, 500, 502, 503, 504})
"""Statuses of a result whose text may succeed in another job."""
TEMPORARY_KINDS: Final = frozenset(
    {"batch_expired", "batch_cancelled", "rate_limit_exceeded", "server_error"}
)
"""The same, in the service's words."""
ENQUEUED: Final = "token_limit_exceeded"
"""Why a job failed for which too many tokens of others were in progress."""

logger = logging.getLogger(__name__)


def request_line(request: Mapping[str, Any], key: str, text: str) -> Mapping[str, Any]:
    """The line of a text. request: the body without the text."""
    body = {**request, "input": text}
    return {"custom_id": key, "method": "POST", "url": "/v1/embeddings", "body": body}


# The service's description of a job

Status = Literal["SUBMITTED", "PROCESSING", "COMPLETED", "FAILED"]

STATES: Final[Mapping[str, Status]] = {
    "validating": "SUBMITTED",
    "in_progress": "PROCESSING",
    "finalizing": "PROCESSING",
    "cancelling": "PROCESSING",
    "completed": "COMPLETED",
    "failed": "FAILED",
    "expired": "FAILED",
    "cancelled": "FAILED",
}
"""Our status for each state of the service. An unknown state counts as PROCESSING."""
ENDED: Final = ("COMPLETED", "FAILED")


def job_id(job: str) -> str:
    """The id of a job, checked because it becomes part of an address. Raises JobUnknown."""
    if not isinstance(job, str) or not re.fullmatch(r"[A-Za-z0-9_-]{1,200}", job):
        raise JobUnknown(f"There is no job {quoted(repr(job))}: an id looks like batch_abc123.")
    return job


def name_of(answer: Mapping[str, Any]) -> str:
    """The name that a job was submitted with; "" if it has none."""
    metadata = answer.get("metadata")
    return str(metadata.get("name") or "") if isinstance(metadata, Mapping) else ""


def result_files(answer: Mapping[str, Any]) -> list[str]:
    """The ids of the files of results and of errors of a job, as far as there are any."""
    return _ids(answer, "output_file_id", "error_file_id")


def all_files(answer: Mapping[str, Any]) -> list[str]:
    """The ids of all files of a job, that with the texts first."""
    return _ids(answer, "input_file_id", "output_file_id", "error_file_id")


def _ids(answer: Mapping[str, Any], *names: str) -> list[str]:
    found = [answer.get(name) for name in names]
    return [id for id in found if isinstance(id, str) and re.fullmatch(r"[\w.-]{1,200}", id)]


def state_of(answer: Mapping[str, Any]) -> JobState:
    """The state of a job."""
    word = str(answer.get("status") or "")
    if word not in STATES:
        logger.warning(
            "A job has an unknown state, %r; it counts as being processed.", quoted(word)
        )
    counts = answer.get("request_counts")
    counted = counts if isinstance(counts, Mapping) else {}
    errors = _errors_of(answer)
    messages = [str(error.get("message") or error.get("code") or "") for error in errors]
    codes = {error.get("code") for error in errors}
    return JobState(
        status=STATES.get(word, "PROCESSING"),
        told=quoted(word).upper() or "UNKNOWN",
        reason=quoted(next(filter(None, messages), "")),
        sent=_number(counted.get("total")),
        succeeded=_number(counted.get("completed")),
        failed=_number(counted.get("failed")),
        has_results=word in ("completed", "expired", "cancelled") and bool(result_files(answer)),
        name=name_of(answer),
        throttled=word == "failed" and ENQUEUED in codes,
    )


def _errors_of(answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    errors = answer.get("errors")
    listed = errors.get("data") if isinstance(errors, Mapping) else None
    if not isinstance(listed, list):
        return []
    return [error for error in listed if isinstance(error, Mapping)]


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def ended_at(answer: Mapping[str, Any]) -> float | None:
    """When the job ended, in seconds since 1970; None if the service does not report it."""
    for name in ("completed_at", "expired_at", "cancelled_at", "failed_at"):
        value = answer.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    return None


def ending_of(state: JobState) -> str:
    """How a job ended without results, as the end of a sentence."""
    verb = {"CANCELLED": "was cancelled", "EXPIRED": "expired"}.get(state.told, "failed")
    return f"{verb}: {state.reason}" if state.reason else f"{verb}; the service gave no reason"


# The line of a result


def result_of(line: Mapping[str, Any], dimensions: int, job: str) -> JobResult | None:
    """(key, vector or error, tokens) of one result; None if the result has no key.

    Tokens are None for a text that was not embedded.
    """
    key = line.get("custom_id")
    if not isinstance(key, str) or not key:
        logger.warning(
            "A result of %s has no custom_id and is ignored: results are not matched by position.",
            job,
        )
        return None
    what = f"A result of {job}"
    response = line.get("response")
    if line.get("error") or not isinstance(response, Mapping):
        return key, _failure(line.get("error"), None, what), None
    status = response.get("status_code")
    body = response.get("body")
    if status != 200:
        return key, _failure(body, status, what), None
    tokens = counted_tokens(body.get("usage") if isinstance(body, Mapping) else None) or 0
    try:
        embedding = embeddings_in(body, 1, what)[0]
        return key, vector_in(embedding, dimensions, what), tokens
    except AnswerInvalid as invalid:
        return key, invalid, tokens


def _failure(body: object, status: object, what: str) -> Exception:
    """The error of one text."""
    code = status if isinstance(status, int) else 0
    refusal = refusal_of(code, {}, body)
    words = refusal.message or ", ".join(sorted(refusal.kinds)) or "neither a vector nor an error"
    passing = code in TEMPORARY or refusal.kinds & TEMPORARY_KINDS
    kind = ItemUnavailable if passing else ItemFailed
    return kind(f"{what}: {words}")


# Fetching results


def read_results(
    service: EmbeddingService,
    job: str,
    answer: Mapping[str, Any],
    dimensions: int,
    meter: UsageMeter,
) -> Iterator[tuple[str, Vector | Exception]]:
    """(key, vector or error) of each result, counted as used.

    answer: the description of the job. Raises ResultsUnavailable, ResultsGone, KeyRefused.
    """
    for file in result_files(answer):
        lines = fetched_lines(
            partial(service.download, file),
            job,
            partial(_is_gone, service, file, ended_at(answer)),
        )
        yield from counted_results((result_of(line, dimensions, job) for line in lines), meter)


def _is_gone(service: EmbeddingService, file: str, ended: float | None) -> bool:
    """Whether a file of results is gone, and not only unavailable for a while. ended: when the job
    ended, in seconds since 1970.
    """
    if ended is None or service.clock.wall() - ended < KEPT_SECONDS:
        return False
    return not service.has_file(file)
