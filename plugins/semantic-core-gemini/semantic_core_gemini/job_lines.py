"""The files of a batch job (JSON lines), and the service's description of a job.

Lines are written and read one by one, so that a job never is in memory as a whole. In order: the
lines of a new job, the lines of results, the description of a job, fetching results.

Tested by tests/test_jobs.py and tests/test_streaming.py.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

from semantic_core import Chunk, Entry
from semantic_core.batch import JobState
from semantic_core.errors import InputError
from semantic_core.remote import (
    JobLines,
    JobResult,
    UsageMeter,
    counted_results,
    fetched_lines,
    quoted,
    vector_of,
)
from semantic_core_gemini.errors import (
    AnswerInvalid,
    ItemFailed,
    ItemUnavailable,
    JobUnknown,
)

if TYPE_CHECKING:
    from semantic_core.types import Vector
    from semantic_core_gemini.service import Service


INLINE_BYTES: Final = 4 * 1024 * 1024
"""Most bytes of a job that is sent within a request; the limit of the service is 20 MB.

The results of such a job come within an answer, too.
"""
INLINE_ITEMS: Final = 100
"""Most texts of a job that is sent within a request."""
MOST_BYTES: Final = 2_000_000_000
"""Most bytes in the file of a job."""
MOST_ITEMS: Final = 1_000_000
"""Most texts in a job."""
TEMPORARY: Final = frozenset({4, 8, 10, 13, 14, 408, 429, 500, 503, 504})
"""Codes of temporary failures, as google.rpc.Code and as HTTP statuses: deadline exceeded, resource
exhausted, aborted, internal, unavailable.
"""

logger = logging.getLogger(__name__)


def sent_inline(lines: JobLines) -> bool:
    """Whether the job is small enough to be sent within a request."""
    return lines.items <= INLINE_ITEMS and lines.size <= INLINE_BYTES


def inline_requests(lines: JobLines) -> list[dict[str, Any]]:
    """The requests for a job within a request; each has its key as metadata."""
    return [
        {"request": entry["request"], "metadata": {"key": entry["key"]}}
        for entry in lines.entries()
    ]


def pairs_of(chunks: Any) -> Iterator[tuple[str, str]]:
    """(key, text) of everything a job can contain. Raises InputError for anything else."""
    for one in chunks.items() if isinstance(chunks, Mapping) else chunks:
        if isinstance(one, Entry):
            yield one.fingerprint, one.passage
        elif isinstance(one, Chunk):
            yield str(one.id), one.text
        elif isinstance(one, tuple) and len(one) == 2:
            yield one
        else:
            raise InputError(
                f"A job takes pairs of (key, text), entries or chunks, got {type(one).__name__}."
            )


def request_line(request: Mapping[str, Any], key: str, text: str) -> Mapping[str, Any]:
    """The line of a text. request: the fields that all requests have in common."""
    content = {"role": "user", "parts": [{"text": text}]}
    return {"key": key, "request": {**request, "content": content}}


def result_of(result: Mapping[str, Any], dimensions: int, job: str) -> JobResult | None:
    """(key, vector or error, tokens) of one result; None if the result has no key.

    Tokens are None for a text that was not embedded.
    """
    metadata = result.get("metadata")
    key = result.get("key") or (metadata.get("key") if isinstance(metadata, Mapping) else None)
    if not isinstance(key, str) or not key:
        logger.warning(
            "A result of %s has no key and is ignored: results are not matched by position.",
            job,
        )
        return None
    what = f"A result of {job}"
    error = result.get("error")
    response = result.get("response")
    if error:
        code = error.get("code") if isinstance(error, Mapping) else None
        reason = error.get("message") or code if isinstance(error, Mapping) else error
        kind = ItemUnavailable if isinstance(code, int) and code in TEMPORARY else ItemFailed
        return key, kind(f"{what}: {quoted(reason)}"), None
    if not isinstance(response, Mapping):
        return key, AnswerInvalid(f"{what}: neither a vector nor an error."), None
    embedding = response.get("embedding")
    values = embedding.get("values") if isinstance(embedding, Mapping) else None
    tokens = _counted_tokens(response)
    try:
        return key, vector_of(values, dimensions, what), tokens
    except AnswerInvalid as invalid:
        return key, invalid, tokens


def _counted_tokens(response: Mapping[str, Any]) -> int:
    """The tokens of one text as the service counted them; 0 if it did not report them.

    ``usageMetadata.promptTokenCount`` is a number, ``tokenCount`` the same as text.
    """
    usage = response.get("usageMetadata")
    counted = usage.get("promptTokenCount") if isinstance(usage, Mapping) else None
    text = str(response.get("tokenCount", "") if counted is None else counted)
    return int(text) if text.isascii() and text.isdecimal() else 0


# The service's description of a job

Status = Literal["SUBMITTED", "PROCESSING", "COMPLETED", "FAILED"]

STATES: Final[Mapping[str, Status]] = {
    "PENDING": "SUBMITTED",
    "QUEUED": "SUBMITTED",
    "PAUSED": "SUBMITTED",
    "RUNNING": "PROCESSING",
    "UPDATING": "PROCESSING",
    "CANCELLING": "PROCESSING",
    "SUCCEEDED": "COMPLETED",
    "PARTIALLY_SUCCEEDED": "COMPLETED",
    "FAILED": "FAILED",
    "CANCELLED": "FAILED",
    "EXPIRED": "FAILED",
}
"""Our status for each state of the service. An unknown state counts as PROCESSING."""


def job_name(job: str) -> str:
    """The name of a job, checked because it becomes part of a URL. Raises JobUnknown."""
    bare = job.removeprefix("batches/") if isinstance(job, str) else ""
    if not re.fullmatch("[A-Za-z0-9_-]+", bare):
        raise JobUnknown(f"There is no job {quoted(repr(job))}: a name looks like batches/abc123.")
    return f"batches/{bare}"


def bare_state(state: str) -> str:
    """A state of the service without its prefix, such as "RUNNING"."""
    return state.removeprefix("BATCH_STATE_").removeprefix("JOB_STATE_")


def metadata_of(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """The metadata of a job; {} if there is none."""
    metadata = answer.get("metadata")
    return metadata if isinstance(metadata, Mapping) else {}


def output_of(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part that names the file of results, or contains the results; {} if there is none."""
    for place in (metadata_of(answer).get("output"), answer.get("response")):
        if isinstance(place, Mapping) and (place.get("responsesFile") or inlined_in(place)):
            return place
    return {}


def inlined_in(output: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The results that the answer itself contains."""
    for name in ("inlinedEmbedContentResponses", "inlinedResponses"):
        inside = output.get(name)
        found = inside.get("inlinedResponses") if isinstance(inside, Mapping) else None
        if isinstance(found, list):
            return [result for result in found if isinstance(result, Mapping)]
    return []


def input_file_of(answer: Mapping[str, Any]) -> object:
    """The file with the texts; None if the service does not name it."""
    config = metadata_of(answer).get("inputConfig")
    if not isinstance(config, Mapping):
        return None
    return config.get("fileName") or config.get("file_name")


def state_of(answer: Mapping[str, Any]) -> JobState:
    """The state of a job. A state that is not known counts as FAILED if there is an error."""
    metadata = metadata_of(answer)
    word = bare_state(str(metadata.get("state") or ""))
    status = STATES.get(word, "PROCESSING")
    error = answer.get("error") or metadata.get("error")
    if error and word not in STATES:
        status = "FAILED"
    if word not in STATES and not error:
        logger.warning(
            "A job has an unknown state, %r; it counts as being processed.", quoted(word)
        )
    stats = metadata.get("batchStats")
    counts = stats if isinstance(stats, Mapping) else {}
    reason = error or ""
    if isinstance(error, Mapping):
        reason = error.get("message") or error.get("code") or ""
    return JobState(
        status=status,
        told=quoted(word) or "unknown",
        reason=quoted(reason),
        sent=_number(counts.get("requestCount")),
        succeeded=_number(counts.get("successfulRequestCount")),
        failed=_number(counts.get("failedRequestCount")),
        has_results=bool(output_of(answer)),
        name=str(metadata.get("displayName") or ""),
    )


def ended_at(answer: Mapping[str, Any]) -> float | None:
    """When the job ended, in seconds since 1970; None if the service does not report it."""
    metadata = metadata_of(answer)
    for name in ("endTime", "updateTime"):
        with suppress(ValueError):
            return datetime.fromisoformat(str(metadata.get(name))).timestamp()
    return None


def _number(value: object) -> int | None:
    """A number of the service, which writes 64-bit numbers as text; None if it is none."""
    return int(value) if isinstance(value, int | str) and str(value).isdecimal() else None


def ending_of(state: JobState) -> str:
    """How a job ended without results, as the end of a sentence."""
    verb = {"CANCELLED": "was cancelled", "EXPIRED": "expired"}.get(state.told, "failed")
    return f"{verb}: {state.reason}" if state.reason else f"{verb}; the service gave no reason"


# Fetching results

KEPT_SECONDS: Final = 48 * 3_600.0
"""How long the service keeps files, including the results of a job."""


def read_results(
    service: Service,
    job: str,
    output: Mapping[str, Any],
    dimensions: int,
    meter: UsageMeter,
    *,
    ended: float | None,
) -> Iterator[tuple[str, Vector | Exception]]:
    """(key, vector or error) of each result, counted as used.

    output: from `output_of`. ended: when the job ended, in seconds since 1970. Raises
    ResultsUnavailable, ResultsGone, KeyRefused.
    """
    file = output.get("responsesFile")
    lines: Iterable[Mapping[str, Any]]
    if isinstance(file, str):
        lines = fetched_lines(
            partial(service.download, file), job, partial(_is_gone, service, file, ended)
        )
    else:
        lines = inlined_in(output)
    yield from counted_results((result_of(line, dimensions, job) for line in lines), meter)


def _is_gone(service: Service, file: str, ended: float | None) -> bool:
    """Whether a file of results is gone, and not only unavailable for a while.

    It is gone if the service no longer has to keep it, and does not find it when asked once more.
    """
    if ended is None or service.clock.wall() - ended < KEPT_SECONDS:
        return False
    return not service.has_file(file)
