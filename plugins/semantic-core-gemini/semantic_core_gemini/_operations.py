"""What the service tells of a job, read: where it is, why it failed, where its results are."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, Literal

from semantic_core.batch import JobState
from semantic_core_gemini._failures import quoted
from semantic_core_gemini.errors import JobUnknown

logger = logging.getLogger(__name__)

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
"""Ours for each state of the service. One it adds later counts as PROCESSING:
it is looked at again.
"""


def job_name(job: str) -> str:
    """The name of a job, if it is one; names go into an address."""
    bare = job.removeprefix("batches/") if isinstance(job, str) else ""
    if not bare or not all(mark.isalnum() or mark in "-_" for mark in bare) or not bare.isascii():
        raise JobUnknown(f"There is no job {quoted(repr(job))}: a name looks like batches/abc123.")
    return f"batches/{bare}"


def bare_state(state: str) -> str:
    return state.removeprefix("BATCH_STATE_").removeprefix("JOB_STATE_")


def metadata_of(told: Mapping[str, Any]) -> Mapping[str, Any]:
    metadata = told.get("metadata")
    return metadata if isinstance(metadata, Mapping) else {}


def output_of(told: Mapping[str, Any]) -> Mapping[str, Any]:
    """Where the results are: a file, or themselves; {} if there are none."""
    for place in (metadata_of(told).get("output"), told.get("response")):
        if isinstance(place, Mapping) and (place.get("responsesFile") or inlined_in(place)):
            return place
    return {}


def inlined_in(output: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    for name in ("inlinedEmbedContentResponses", "inlinedResponses"):
        inside = output.get(name)
        found = inside.get("inlinedResponses") if isinstance(inside, Mapping) else None
        if isinstance(found, list):
            return [one for one in found if isinstance(one, Mapping)]
    return []


def input_file_of(told: Mapping[str, Any]) -> object:
    config = metadata_of(told).get("inputConfig")
    return (
        (config.get("fileName") or config.get("file_name")) if isinstance(config, Mapping) else None
    )


def state_of(told: Mapping[str, Any]) -> JobState:
    metadata = metadata_of(told)
    word = bare_state(str(metadata.get("state") or ""))
    status = STATES.get(word, "PROCESSING")
    error = told.get("error") or metadata.get("error")
    if error and word not in STATES:
        status = "FAILED"
    if word not in STATES and not error:
        logger.warning(
            "A job is in a state nobody here knows, %r; it is looked at again.", quoted(word)
        )
    stats = metadata.get("batchStats")
    counts = stats if isinstance(stats, Mapping) else {}
    reason = (
        (error.get("message") or error.get("code") or "")
        if isinstance(error, Mapping)
        else (error or "")
    )
    return JobState(
        status=status,
        told=quoted(word) or "unknown",
        reason=quoted(reason),
        sent=_number(counts.get("requestCount")),
        succeeded=_number(counts.get("successfulRequestCount")),
        failed=_number(counts.get("failedRequestCount")),
        has_results=bool(output_of(told)),
        name=str(metadata.get("displayName") or ""),
    )


def ended_at(told: Mapping[str, Any]) -> float | None:
    """When the job ended, as the service says, in seconds since 1970; None if it does not."""
    metadata = metadata_of(told)
    for name in ("endTime", "updateTime"):
        with suppress(ValueError):
            return datetime.fromisoformat(str(metadata.get(name))).timestamp()
    return None


def _number(value: object) -> int | None:
    """The service writes numbers of 64 bits as text."""
    return int(value) if isinstance(value, int | str) and str(value).isdecimal() else None


def ending_of(state: JobState) -> str:
    verb = {"CANCELLED": "was cancelled", "EXPIRED": "expired"}.get(state.told, "failed")
    return f"{verb}: {state.reason}" if state.reason else f"{verb}; the service gave no reason"
