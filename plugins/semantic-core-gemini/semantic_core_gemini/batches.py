"""Batch jobs at half the price, which may take up to a day.

Texts are uploaded as a file, and vectors are matched by the keys of the texts.

Tested by tests/test_jobs.py and tests/test_kernel.py.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from semantic_core import Chunk, Entry
from semantic_core.batch import JobState
from semantic_core.errors import EmbedderError, EmbedderUnavailable
from semantic_core.remote import JobLines, Usage, UsageMeter, write_lines
from semantic_core_gemini.errors import (
    AccessDenied,
    JobFailed,
    JobUnknown,
    ModelUnknown,
    QuotaExhausted,
    RateLimited,
    RequestRefused,
    ResultsUnavailable,
    ServiceDown,
    ServiceTimeout,
)
from semantic_core_gemini.job_lines import (
    MOST_BYTES,
    MOST_ITEMS,
    STATES,
    Status,
    bare_state,
    ended_at,
    ending_of,
    inline_requests,
    input_file_of,
    job_name,
    metadata_of,
    output_of,
    pairs_of,
    read_results,
    request_line,
    sent_inline,
    state_of,
)
from semantic_core_gemini.options import MODEL, SIZE, TASK, common
from semantic_core_gemini.service import API_VERSION, Service

if TYPE_CHECKING:
    from semantic_core.remote import Clock
    from semantic_core.types import Vector
    from semantic_core_gemini.keys import GoogleKeyring
    from semantic_core_gemini.options import Common

__all__ = ["GeminiBatchClient"]

logger = logging.getLogger(__name__)


class GeminiBatchClient:
    """Creates, checks and collects batch jobs, with the key for batches.

    Vectors have the same space as those of a `GeminiEmbedder` with the same options;
    `GeminiEmbedder.batch_client` returns the client of an embedder. Raises BatchKeyMissing (also a
    ValueError) if the keyring has no batch key, otherwise classes of `errors`. Safe to use from
    several threads.
    """

    def __init__(
        self,
        keyring: GoogleKeyring | None = None,
        *,
        model: str = MODEL,
        dimensions: int = SIZE,
        task: str = TASK,
        timeout: float = 60.0,
        patience: float = 120.0,
        base_url: str = "",
        api_version: str = API_VERSION,
        clock: Clock | None = None,
    ) -> None:
        given = common(
            keyring,
            model=model,
            dimensions=dimensions,
            task=task,
            timeout=timeout,
            patience=patience,
            base_url=base_url,
            api_version=api_version,
            price=None,
            clock=clock,
        )
        self._set_up(given, UsageMeter())

    @classmethod
    def of(cls, given: Common, meter: UsageMeter) -> GeminiBatchClient:
        """A client with checked options that counts into this meter. Raises BatchKeyMissing."""
        made = cls.__new__(cls)
        made._set_up(given, meter)
        return made

    def _set_up(self, given: Common, meter: UsageMeter) -> None:
        self._service = Service(given.keyring.for_batches(), given.reach, given.clock, 0, 0)
        self._recipe = given.recipe
        self._meter = meter

    @property
    def usage(self) -> Usage:
        """The usage so far, shared with the embedder that the client belongs to."""
        return self._meter.read()

    def create_embedding_job(
        self,
        chunks: Mapping[str, str] | Iterable[tuple[str, str] | Entry | Chunk],
        name: str | None = None,
        *,
        most_items: int = MOST_ITEMS,
        most_bytes: int = MOST_BYTES,
    ) -> str:
        """Create a job that embeds these texts as documents; returns its name.

        chunks: texts by key, or pairs of (key, text), or entries (their fingerprint and passage),
        or chunks (their id and text). They are read once and never held in memory all together. If
        a job with the same name and the same texts, in any order, exists and has not failed, its
        name is returned instead, so that the texts are not paid for twice. Raises InputError,
        JobTooLarge and TextInvalid before anything is sent.
        """
        lines = self._written(chunks, most_items, most_bytes)
        with lines.file:
            display_name = f"{name} sc-{lines.digest}" if name else f"sc-{lines.digest}"
            existing = self.find(display_name)
            if existing is not None and self.state(existing).status != "FAILED":
                return existing
            return self._created(lines, display_name)

    def get_job_status(self, job: str) -> Status:
        """SUBMITTED, PROCESSING, COMPLETED or FAILED; `state` has details. Raises JobUnknown."""
        return self.state(job).status

    def retrieve_results(self, job: str) -> Iterator[tuple[str, Vector | Exception]]:
        """(key, vector) or (key, error) for each result, in any order, one by one.

        A result may come twice, and keys may be missing; the caller knows which were submitted.
        Raises JobFailed for a job that ended without results, ResultsUnavailable while it runs or
        if its results cannot be fetched, ResultsGone if the service no longer has to store them and
        does not have them, JobUnknown.
        """
        answer = self._job(job)
        state = state_of(answer)
        if state.status == "FAILED" and not state.has_results:
            raise JobFailed(f"Job {job!r} {ending_of(state)}.", hint="Submit its texts again.")
        if state.status != "COMPLETED" and not state.has_results:
            raise ResultsUnavailable(
                f"Job {job!r} is not finished: {state.told}.", hint="Ask again later."
            )
        if not state.has_results:
            raise ResultsUnavailable(
                f"Job {job!r} is finished, but the service names no results.",
                hint="Ask again later.",
            )
        return read_results(
            self._service,
            job,
            output_of(answer),
            self._recipe.dimensions,
            self._meter,
            ended=ended_at(answer),
        )

    def submit(self, passages: Mapping[str, str], name: str) -> str:
        """Create a job with this name; returns the service's name of it.

        Call `find` first: an existing job is not searched for here.
        """
        lines = self._written(passages, MOST_ITEMS, MOST_BYTES)
        with lines.file:
            return self._created(lines, name)

    def find(self, name: str) -> str | None:
        """The job that was submitted with this name; None if there is none.

        If there are several, one that has not failed takes precedence.
        """
        failed = None
        for job, display_name, state in self._service.jobs():
            if _has_name(display_name, name):
                if STATES.get(bare_state(state)) != "FAILED":
                    return job
                failed = failed or job
        return failed

    def state(self, job: str) -> JobState:
        """The state of the job.

        Raises JobUnknown if this key sees it neither by its name nor in the list of all jobs: it
        was deleted, or belongs to another project. KeyRefused does not mean that the job is gone.
        """
        return state_of(self._job(job))

    def results(self, job: str) -> Iterator[tuple[str, Vector | Exception]]:
        """The same as `retrieve_results`, with the name of the protocol."""
        return self.retrieve_results(job)

    def cancel(self, job: str) -> None:
        """Ask the service to cancel the job; what it has done so far may be billed.

        Raises JobUnknown.
        """
        name = job_name(job)
        try:
            self._service.cancel_job(name)
        except ModelUnknown as error:
            raise self._missing(name) from error

    def clean_up(self, job: str) -> None:
        """Delete the job and its files from the service, the files with the texts first.

        It is no error if something does not exist any more. A file of results that cannot be
        deleted is left to the service, which keeps none for more than 48 hours.
        """
        try:
            answer = self._job(job)
        except JobUnknown:
            return
        for file in self._files_of(job_name(job), answer):
            try:
                self._service.delete_file(file)
            except (RequestRefused, AccessDenied) as error:
                logger.debug("%s does not exist, or cannot be deleted: %s", file, error)
        self.delete(job)

    def delete(self, job: str) -> None:
        """Delete the job, but not its files. It is no error if it does not exist any more."""
        with suppress(ModelUnknown):
            self._service.delete_job(job_name(job))

    @property
    def account(self) -> str:
        """A hash of the key, to detect a change of the key."""
        return self._service.account

    def now(self) -> float | None:
        """Seconds since 1970 by the service's clock; None before its first answer."""
        return self._service.clock.time()

    def close(self) -> None:
        """Close the connections. The next call opens new ones."""
        self._service.close()

    def _written(self, chunks: Any, most_items: int, most_bytes: int) -> JobLines:
        recipe = self._recipe
        pairs = ((key, recipe.document(text)) for key, text in pairs_of(chunks))
        line_of = partial(request_line, recipe.job_request())
        return write_lines(pairs, line_of, min(most_items, MOST_ITEMS), min(most_bytes, MOST_BYTES))

    def _files_of(self, job: str, answer: Mapping[str, Any]) -> list[str]:
        """The files of a job, those with the texts first.

        The service need not name the file with the texts. It is the one that was uploaded with the
        display name of the job, unless another job has the same display name.
        """
        display_name = metadata_of(answer).get("displayName")
        files = [input_file_of(answer)]
        if not isinstance(display_name, str):
            display_name = ""
        if display_name and not self._has_namesake(job, display_name):
            for file, file_name in self._service.uploads():
                if file_name == display_name:
                    files.append(file)
        files.append(output_of(answer).get("responsesFile"))
        names = [file for file in files if isinstance(file, str) and file]
        return list(dict.fromkeys(names))

    def _has_namesake(self, job: str, display_name: str) -> bool:
        """Whether another job has this display name."""
        for other, other_name, _ in self._service.jobs():
            if other_name == display_name and other != job:
                return True
        return False

    def _created(self, lines: JobLines, name: str) -> str:
        """Submit a job; returns the service's name of it."""
        service = self._service
        file = None
        source: dict[str, Any]
        if sent_inline(lines):
            source = {"requests": inline_requests(lines)}
        else:
            file = service.upload(lines.file, name)
            source = {"file_name": file}
        try:
            return service.create_job(self._recipe.model, source, name)
        except (ServiceDown, ServiceTimeout) as error:
            # The job may exist even without an answer. It is searched for once, and never created
            # a second time here.
            with suppress(EmbedderUnavailable):
                existing = self.find(name)
                if existing is not None:
                    return existing
            raise error
        except EmbedderError as error:
            if file is not None:
                with suppress(EmbedderError):
                    service.delete_file(file)
            if isinstance(error, RateLimited) and not isinstance(error, QuotaExhausted):
                error.hint = (
                    "The project has reached its limit of jobs, or of tokens in jobs: wait until "
                    "a job has ended, or submit smaller jobs."
                )
            raise

    def _job(self, job: str) -> Mapping[str, Any]:
        """The job as the service describes it. Raises JobUnknown."""
        name = job_name(job)
        try:
            return self._service.job(name)
        except ModelUnknown as error:
            raise self._missing(name) from error

    def _missing(self, job: str) -> EmbedderError:
        """The error for a job that the service does not know, after a check of the list of jobs."""
        if any(name == job for name, _, _ in self._service.jobs()):
            return ServiceDown(
                f"The service lists job {job!r}, but answers that it does not exist.",
                hint="Ask again later.",
            )
        return JobUnknown(
            f"This key sees no job {job!r}: it was deleted, or belongs to another project.",
            hint="Use a key of the project in which it was created.",
        )


def _has_name(display_name: str, name: str) -> bool:
    """Whether a display name is this name, possibly followed by a digest of the texts."""
    rest = display_name.removeprefix(name)
    if not display_name.startswith(name):
        return False
    return not rest or bool(re.fullmatch(" sc-[0-9a-f]{32}", rest))
