"""The lines of a job: written one by one into a file, read one by one from another.

Never all of them in memory.
"""

from __future__ import annotations

import json
import logging
from array import array
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
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
"""Largest job sent within the request itself; the service takes 20 MB,
and the results come back the same way.
"""
INLINE_ITEMS: Final = 100
MOST_BYTES: Final = 2_000_000_000
"""Largest file of a job."""
MOST_ITEMS: Final = 1_000_000
"""Texts in a job; more are better put into several, of which each can fail alone."""
LONGEST_LINE: Final = 4 * 1024 * 1024
"""Bytes; a vector of the largest size takes about 70 kB."""
PASSING: Final = frozenset({4, 8, 10, 13, 14, 408, 429, 500, 503, 504})
"""Codes of what passes: deadline exceeded, resource exhausted, aborted, internal, unavailable; as
google.rpc.Code, and as HTTP statuses.
"""

logger = logging.getLogger(__name__)


@attrs.frozen
class Lines:
    """The requests of a job in a temporary file. digest: names keys and texts,
    in whatever order they came.
    """

    file: IO[bytes]
    items: int
    size: int
    digest: str

    @property
    def inline(self) -> bool:
        """Whether they are few enough to be sent within the request."""
        return self.items <= INLINE_ITEMS and self.size <= INLINE_BYTES

    def requests(self) -> list[dict[str, Any]]:
        """The requests as they are sent within one; each with its key as metadata,
        which comes back with its result.
        """
        self.file.seek(0)
        found = [json.loads(line) for line in self.file]
        return [{"request": one["request"], "metadata": {"key": one["key"]}} for one in found]


def pairs_of(chunks: Any) -> Iterator[tuple[str, str]]:
    """(key, text) of what a job may be made of. Raises InputError for anything else."""
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
    """A file of one request per (key, text). request: what all have in common.

    The caller closes the file.

    Raises InputError for no texts, a key that is none or is there twice; JobTooLarge.
    """
    # The caller closes it.
    file: IO[bytes] = SpooledTemporaryFile(max_size=INLINE_BYTES)  # noqa: SIM115
    try:
        digest = 0
        hashes = array("Q")
        size = 0
        for key, text in texts:
            if not isinstance(key, str) or not key:
                raise InputError(f"The key of a text must be a str and not empty, got {key!r}.")
            content = {"role": "user", "parts": [{"text": text}]}
            line = (
                json.dumps(
                    {"key": key, "request": {**request, "content": content}}, ensure_ascii=False
                ).encode()
                + b"\n"
            )
            size += len(line)
            if len(hashes) == most_items or size > most_bytes:
                raise JobTooLarge(
                    (
                        f"A job takes at most {most_items:,} texts and {most_bytes:,} "
                        "bytes; there are more."
                    ),
                    hint="Make several jobs.",
                )
            hashes.append(int.from_bytes(blake2b(key.encode(), digest_size=8).digest()))
            digest += int.from_bytes(blake2b(line, digest_size=16).digest())
            file.write(line)
        if not hashes:
            raise InputError("A job needs at least one text.")
        _no_key_twice(hashes)
    except OSError as error:
        _closed(file)
        told = f"The texts of a job cannot be kept in the temporary folder: {error}."
        raise EmbedderError(told, hint="Make room, or set TMPDIR.") from error
    except BaseException:
        file.close()
        raise
    return Lines(file, len(hashes), size, f"{digest % (1 << 128):032x}")


def _closed(file: IO[bytes]) -> None:
    with suppress(OSError):  # what could not be written cannot be flushed either
        file.close()


def _no_key_twice(hashes: array[int]) -> None:
    import numpy as np

    if np.unique(np.frombuffer(hashes, dtype=np.uint64)).size != len(hashes):
        raise InputError(
            "Two texts of a job have one key.", hint="The key is what a result is found by."
        )


def read_lines(file: IO[bytes], job: str) -> Iterator[Mapping[str, Any]]:
    """Every result that can be read.

    What cannot (a line that is cut, not JSON, endless) is counted and logged.
    """
    broken = 0
    file.seek(0)
    while line := file.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
            broken += 1
            while (rest := file.readline(LONGEST_LINE)) and not rest.endswith(b"\n"):
                pass
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


def result_of(
    result: Mapping[str, Any], dimensions: int, job: str
) -> tuple[str, Vector | Exception, int | None] | None:
    """(key, vector or the reason why not, tokens) of one result;
    None if it does not say whose it is. Tokens are None for a text that was not embedded.
    """
    metadata = result.get("metadata")
    key = result.get("key") or (metadata.get("key") if isinstance(metadata, Mapping) else None)
    if not isinstance(key, str) or not key:
        logger.warning(
            "A result of %s has no key and is left out: results are never matched by their place.",
            job,
        )
        return None
    what = f"A result of {job}"
    error = result.get("error")
    response = result.get("response")
    if error:
        code = error.get("code") if isinstance(error, Mapping) else None
        told = error.get("message") or code if isinstance(error, Mapping) else error
        kind = ItemUnavailable if isinstance(code, int) and code in PASSING else ItemFailed
        return key, kind(f"{what}: {quoted(told)}"), None
    if not isinstance(response, Mapping):
        return key, AnswerInvalid(f"{what}: neither a vector nor an error."), None
    embedding = response.get("embedding")
    values = embedding.get("values") if isinstance(embedding, Mapping) else None
    tokens = _tokens_told(response)
    try:
        return key, vector_of(values, dimensions, what), tokens
    except AnswerInvalid as invalid:
        return key, invalid, tokens


def _tokens_told(response: Mapping[str, Any]) -> int:
    """Tokens of one text as the service counted them; 0 if it does not say.

    ``usageMetadata.promptTokenCount`` is a number, ``tokenCount`` the same as text.
    """
    usage = response.get("usageMetadata")
    counted = usage.get("promptTokenCount") if isinstance(usage, Mapping) else None
    told = str(response.get("tokenCount", "") if counted is None else counted)
    return int(told) if told.isascii() and told.isdecimal() else 0


# What the service tells of a job, read: where it is, why it failed, where its results are.

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


# The results of a job, one by one: from the file the service made, or from its answer.

KEPT_SECONDS: Final = 48 * 3_600.0
"""How long the service keeps files, the results of a job included."""


def read_results(
    service: Service,
    job: str,
    output: Mapping[str, Any],
    dimensions: int,
    meter: UsageMeter,
    *,
    ended: float | None,
) -> Iterator[tuple[str, Vector | Exception]]:
    """(key, vector or why there is none).

    A file is fetched in whole, to disk, before its first line is read.

    output: where the service says the results are. ended: when the job did, in seconds since 1970.
    Raises ResultsUnavailable, ResultsGone, KeyRefused.
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
    except (ModelUnknown, AccessDenied) as error:  # how the service says that a file is not there
        if _expired(service, file, ended):
            told = f"The results of job {job!r} are gone: {error.message}"
            raise ResultsGone(told, hint="Submit its texts again.") from error
        raise ResultsUnavailable(
            f"The results of job {job!r} cannot be fetched now: {error.message}",
            hint="They are paid for; ask again later, with a key of the project the job is of.",
        ) from error
    except (ServiceDown, ServiceTimeout, ServiceResting) as error:
        told = f"The results of job {job!r} cannot be fetched now: {error.message}"
        raise ResultsUnavailable(told, hint="They are paid for; ask again later.") from error
    except OSError as error:
        told = f"The results of job {job!r} cannot be kept in the temporary folder: {error}."
        raise ResultsUnavailable(told, hint="Make room, or set TMPDIR; then ask again.") from error


def _expired(service: Service, file: str, ended: float | None) -> bool:
    """Whether a file that was refused is gone for good: the service need not keep it any longer,
    and does not know it when it is asked once more.

    One refusal by itself says nothing: it may pass.
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
    for result in results:
        read = result_of(result, dimensions, job)
        if read is not None:
            key, vector, tokens = read
            if tokens is not None:
                meter.add(job_texts=1, job_tokens=tokens)
            yield key, vector
