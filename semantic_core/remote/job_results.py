"""The results of batch jobs: fetched as a file, read line by line, and counted.

Tested by tests/remote/test_job_results.py and the tests of the plugins for Gemini and OpenAI.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any

from semantic_core.remote.errors import (
    AccessDenied,
    ModelUnknown,
    ResultsGone,
    ResultsUnavailable,
    ServiceDown,
    ServiceResting,
    ServiceTimeout,
)
from semantic_core.remote.json_lines import read_lines
from semantic_core.remote.usage import UsageMeter

if TYPE_CHECKING:
    from semantic_core.types import Vector

JobResult = tuple[str, "Vector | Exception", int | None]
"""Key of a text; its vector, or the error in place of it; and the tokens it cost, None if it is not
known to have cost any.
"""


def fetched_lines(
    download: Callable[[IO[bytes]], None], job: str, is_gone: Callable[[], bool]
) -> Iterator[Mapping[str, Any]]:
    """Every line of a file of results, which is downloaded completely before the first is read.

    download: writes the content of the file. is_gone: whether the service has deleted it; asked
    if it answers that there is no such file. Raises ResultsUnavailable, ResultsGone, KeyRefused.
    """
    with TemporaryFile() as content:
        _fetch(download, content, job, is_gone)
        yield from read_lines(content, job)


def counted_results(
    results: Iterable[JobResult | None], meter: UsageMeter
) -> Iterator[tuple[str, Vector | Exception]]:
    """(key, vector or error) of each result that can be told, counted as used before it is given.

    None stands for one that cannot be told.
    """
    for result in results:
        if result is None:
            continue
        key, vector, tokens = result
        if tokens is not None:
            meter.add(job_texts=1, job_tokens=tokens)
        yield key, vector


def _fetch(
    download: Callable[[IO[bytes]], None],
    into: IO[bytes],
    job: str,
    is_gone: Callable[[], bool],
) -> None:
    try:
        download(into)
    except (ModelUnknown, AccessDenied) as error:  # what services answer for a missing file
        if is_gone():
            message = f"The results of job {job!r} are gone: {error.message}"
            raise ResultsGone(message, hint="Submit its texts again.") from error
        raise ResultsUnavailable(
            f"The results of job {job!r} cannot be fetched now: {error.message}",
            hint="They are paid for; try again later, with a key that may see the job.",
        ) from error
    except (ServiceDown, ServiceTimeout, ServiceResting) as error:
        message = f"The results of job {job!r} cannot be fetched now: {error.message}"
        raise ResultsUnavailable(message, hint="They are paid for; try again later.") from error
    except OSError as error:
        message = f"The results of job {job!r} cannot be written to the temporary folder: {error}."
        hint = "Free disk space, or set TMPDIR; then try again."
        raise ResultsUnavailable(message, hint=hint) from error
