"""The files of a batch job (JSON lines), and the service's description of a job.

Lines are written and read one by one, so that a job never is in memory as a whole. In order: the
lines of a new job, the lines of results, the description of a job, fetching results.

Tested by tests/test_jobs.py and tests/test_streaming.py.
"""

from __future__ import annotations

import json
import logging
import re
from array import array
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from functools import partial
from hashlib import blake2b
from tempfile import SpooledTemporaryFile, TemporaryFile
from typing import IO, TYPE_CHECKING, Any, Final, Literal

import attrs

from semantic_core import Chunk, Entry
from semantic_core.batch import JobState
from semantic_core.errors import EmbedderError, InputError
from semantic_core_gemini.errors import (
    AccessDenied,
    AnswerInvalid,
    ItemFailed,
    ItemUnavailable,
    JobTooLarge,
    JobUnknown,
    ModelUnknown,
    ResultsGone,
    ResultsUnavailable,
    ServiceDown,
    ServiceResting,
    ServiceTimeout,
    quoted,
)
from semantic_core_gemini.vectors import vector_of

if TYPE_CHECKING:
    from semantic_core.types import Vector
    from semantic_core_gemini.service import Service
    from semantic_core_gemini.usage import UsageMeter


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
LONGEST_LINE: Final = 4 * 1024 * 1024
"""Most bytes of a line of results; a vector of the largest size takes about 70 kB."""
TEMPORARY: Final = frozenset({4, 8, 10, 13, 14, 408, 429, 500, 503, 504})
"""Codes of temporary failures, as google.rpc.Code and as HTTP statuses: deadline exceeded, resource
exhausted, aborted, internal, unavailable.
"""

logger = logging.getLogger(__name__)


@attrs.frozen
class Lines:
    """The requests of a job in a temporary file. digest: of keys and texts, in any order."""

    file: IO[bytes]
    items: int
    size: int
    digest: str

    @property
    def inline(self) -> bool:
        """Whether the job is small enough to be sent within a request."""
        return self.items <= INLINE_ITEMS and self.size <= INLINE_BYTES

    def requests(self) -> list[dict[str, Any]]:
        """The requests for a job within a request; each has its key as metadata."""
        self.file.seek(0)
        requests = []
        for line in self.file:
            entry = json.loads(line)
            requests.append({"request": entry["request"], "metadata": {"key": entry["key"]}})
        return requests


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


def write_lines(
    texts: Iterable[tuple[str, str]], request: Mapping[str, Any], most_items: int, most_bytes: int
) -> Lines:
    """Write a file with one request per (key, text). The caller closes the file.

    request: the fields that all requests have in common. Raises InputError if there is no text, or
    a key is invalid or occurs twice; JobTooLarge.
    """
    file: IO[bytes] = SpooledTemporaryFile(max_size=INLINE_BYTES)  # noqa: SIM115
    try:
        digest = 0
        hashes = array("Q")
        size = 0
        for key, text in texts:
            if not isinstance(key, str) or not key:
                raise InputError(f"The key of a text must be a str and not empty, got {key!r}.")
            content = {"role": "user", "parts": [{"text": text}]}
            entry = {"key": key, "request": {**request, "content": content}}
            line = json.dumps(entry, ensure_ascii=False).encode() + b"\n"
            size += len(line)
            if len(hashes) == most_items or size > most_bytes:
                raise JobTooLarge(
                    f"A job may have at most {most_items:,} texts and {most_bytes:,} bytes.",
                    hint="Submit several jobs.",
                )
            hashes.append(int.from_bytes(blake2b(key.encode(), digest_size=8).digest()))
            digest += int.from_bytes(blake2b(line, digest_size=16).digest())
            file.write(line)
        if not hashes:
            raise InputError("A job needs at least one text.")
        _no_key_twice(hashes)
    except OSError as error:
        _close(file)
        message = f"The texts of a job cannot be written to the temporary folder: {error}."
        raise EmbedderError(message, hint="Free disk space, or set TMPDIR.") from error
    except BaseException:
        file.close()
        raise
    return Lines(file, len(hashes), size, f"{digest % (1 << 128):032x}")


def _close(file: IO[bytes]) -> None:
    with suppress(OSError):  # a file that could not be written cannot be flushed either
        file.close()


def _no_key_twice(hashes: array[int]) -> None:
    import numpy as np

    if np.unique(np.frombuffer(hashes, dtype=np.uint64)).size != len(hashes):
        raise InputError(
            "Two texts of a job have the same key.", hint="Results are matched by their keys."
        )


def read_lines(file: IO[bytes], job: str) -> Iterator[Mapping[str, Any]]:
    """Every result that can be read.

    The number of the others (lines that are cut off, too long, or not JSON) is logged.
    """
    broken = 0
    file.seek(0)
    for line in iter(partial(file.readline, LONGEST_LINE), b""):
        if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
            broken += 1
            _skip_line(file)
            continue
        if not line.strip():
            continue
        try:
            result = json.loads(line)
        except ValueError:
            result = None
        if isinstance(result, Mapping):
            yield result
        else:
            broken += 1
    if broken:
        logger.warning(
            "%d lines of the results of %s cannot be read; their texts count as missing.",
            broken,
            job,
        )


def _skip_line(file: IO[bytes]) -> None:
    """Read to the end of the line, without holding it in memory."""
    while True:
        rest = file.readline(LONGEST_LINE)
        if not rest or rest.endswith(b"\n"):
            return


def result_of(
    result: Mapping[str, Any], dimensions: int, job: str
) -> tuple[str, Vector | Exception, int | None] | None:
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
    """(key, vector or error) of each result.

    A file is downloaded completely before its first line is read. output: from `output_of`. ended:
    when the job ended, in seconds since 1970. Raises ResultsUnavailable, ResultsGone, KeyRefused.
    """
    file = output.get("responsesFile")
    if not isinstance(file, str):
        yield from _checked(inlined_in(output), dimensions, job, meter)
        return
    with TemporaryFile() as content:
        _fetch(service, file, content, job, ended)
        yield from _checked(read_lines(content, job), dimensions, job, meter)


def _fetch(service: Service, file: str, into: IO[bytes], job: str, ended: float | None) -> None:
    try:
        service.download(file, into)
    except (ModelUnknown, AccessDenied) as error:  # the service's answers for a missing file
        if _expired(service, file, ended):
            message = f"The results of job {job!r} are gone: {error.message}"
            raise ResultsGone(message, hint="Submit its texts again.") from error
        raise ResultsUnavailable(
            f"The results of job {job!r} cannot be fetched now: {error.message}",
            hint="They are paid for; try again later, with a key of the project of the job.",
        ) from error
    except (ServiceDown, ServiceTimeout, ServiceResting) as error:
        message = f"The results of job {job!r} cannot be fetched now: {error.message}"
        raise ResultsUnavailable(message, hint="They are paid for; try again later.") from error
    except OSError as error:
        message = f"The results of job {job!r} cannot be written to the temporary folder: {error}."
        hint = "Free disk space, or set TMPDIR; then try again."
        raise ResultsUnavailable(message, hint=hint) from error


def _expired(service: Service, file: str, ended: float | None) -> bool:
    """Whether a file of results is gone, and not only unavailable for a while.

    It is gone if the service no longer has to keep it, and does not find it when asked once more.
    """
    if ended is None or service.wall() - ended < KEPT_SECONDS:
        return False
    try:
        service.look_at_file(file)
    except (ModelUnknown, AccessDenied):
        return True
    return False


def _checked(
    results: Iterable[Mapping[str, Any]], dimensions: int, job: str, meter: UsageMeter
) -> Iterator[tuple[str, Vector | Exception]]:
    """(key, vector or error) of each result that has a key, counted as used."""
    for result in results:
        read = result_of(result, dimensions, job)
        if read is not None:
            key, vector, tokens = read
            if tokens is not None:
                meter.add(job_texts=1, job_tokens=tokens)
            yield key, vector
