"""The results of a job, one by one: from the file the service made, or from its answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any, Final

from semantic_core_gemini._lines import read_lines, result_of
from semantic_core_gemini._operations import inlined_in
from semantic_core_gemini.errors import (
    AccessDenied,
    ModelUnknown,
    ResultsGone,
    ResultsUnavailable,
    ServiceDown,
    ServiceResting,
    ServiceTimeout,
)

if TYPE_CHECKING:
    from semantic_core.types import Vector
    from semantic_core_gemini._service import Service
    from semantic_core_gemini._usage import Meter

KEPT_SECONDS: Final = 48 * 3_600.0
"""How long the service keeps files, the results of a job included."""


def read_results(
    service: Service,
    job: str,
    output: Mapping[str, Any],
    dimensions: int,
    meter: Meter,
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
    results: Iterable[Mapping[str, Any]], dimensions: int, job: str, meter: Meter
) -> Iterator[tuple[str, Vector | Exception]]:
    for result in results:
        read = result_of(result, dimensions, job)
        if read is not None:
            key, vector, tokens = read
            if tokens is not None:
                meter.add(job_texts=1, job_tokens=tokens)
            yield key, vector
