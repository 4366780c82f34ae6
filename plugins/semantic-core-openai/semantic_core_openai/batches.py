"""Batch jobs at half the price, which may take up to a day.

Texts are uploaded as a file, and vectors are matched by the keys of the texts. The service cannot
delete a job. A job whose files are all deleted counts as removed here.

Tested by tests/test_jobs.py, tests/test_kernel.py and tests/test_crashes.py.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from semantic_core.batch import JobState
from semantic_core.errors import ConfigError, EmbedderError, EmbedderUnavailable
from semantic_core.remote import (
    JobFailed,
    JobLines,
    JobUnknown,
    ModelUnknown,
    QuotaExhausted,
    RateLimited,
    ResultsUnavailable,
    ServiceDown,
    ServiceTimeout,
    UsageMeter,
    write_lines,
)
from semantic_core_openai.job_lines import (
    ENDED,
    JOB_BYTES,
    JOB_ITEMS,
    KEPT_SECONDS,
    all_files,
    ending_of,
    job_id,
    name_of,
    read_results,
    request_line,
    result_files,
    state_of,
)
from semantic_core_openai.service import EmbeddingService, Pacing

if TYPE_CHECKING:
    from semantic_core.types import Vector
    from semantic_core_openai.options import SharedOptions

__all__ = ["OpenAIBatchClient"]

logger = logging.getLogger(__name__)


class OpenAIBatchClient:
    """Creates, checks and collects batch jobs; `OpenAIEmbedder.batch_client` returns the one of an
    embedder. Vectors have the same space as those of the embedder. Safe to use from several
    threads. Raises ConfigError where there are no batch jobs, otherwise classes of
    `semantic_core.remote`.
    """

    def __init__(self, given: SharedOptions, meter: UsageMeter) -> None:
        if given.reach.endpoint.api_version:
            raise ConfigError(
                "openai: there are no batch jobs with api_version.",
                hint="Use the address of Azure that ends with /openai/v1, which needs none.",
            )
        secret = given.keyring.for_batches()
        self._service = EmbeddingService(secret, given.reach, given.clock, Pacing(0, 0))
        self._recipe = given.recipe
        self._meter = meter

    def submit(self, passages: Mapping[str, str], name: str) -> str:
        """Create a job with this name; returns the service's id of it.

        Call `find` first: an existing job is not searched for here.
        """
        recipe = self._recipe
        pairs = ((key, recipe.document(text)) for key, text in passages.items())
        line_of = partial(request_line, recipe.document_request())
        lines = write_lines(pairs, line_of, JOB_ITEMS, JOB_BYTES)
        with lines.file:
            return self._created(lines, name)

    def find(self, name: str) -> str | None:
        """The job that was submitted with this name; None if there is none.

        If there are several, one that has not failed takes precedence. A job without files was
        removed. Jobs that are older than their files can be are not looked at.
        """
        failed = None
        oldest = self._service.clock.wall() - KEPT_SECONDS
        for job in self._jobs():
            if _created_at(job) < oldest:
                break
            if name_of(job) != name or self._is_removed(job):
                continue
            if state_of(job).status != "FAILED":
                return str(job["id"])
            failed = failed or str(job["id"])
        return failed

    def state(self, job: str) -> JobState:
        """The state of the job.

        Raises JobUnknown if this key sees it neither by its id nor in the list of all jobs, or if
        it was removed. KeyRefused does not mean that the job is gone.
        """
        return state_of(self._job(job))

    def results(self, job: str) -> Iterator[tuple[str, Vector | Exception]]:
        """(key, vector) or (key, error) for each result, in any order, one by one.

        A result may come twice, and keys may be missing. Raises JobFailed for a job that ended
        without results, ResultsUnavailable while it runs or if its results cannot be fetched,
        ResultsGone if the service no longer has them, JobUnknown.
        """
        answer = self._job(job)
        state = state_of(answer)
        if state.has_results:
            return read_results(self._service, job, answer, self._recipe.dimensions, self._meter)
        if state.status == "FAILED":
            raise JobFailed(f"Job {job!r} {ending_of(state)}.", hint="Submit its texts again.")
        what = "is finished, but the service names no results"
        if state.status != "COMPLETED":
            what = f"is not finished: {state.told}"
        raise ResultsUnavailable(f"Job {job!r} {what}.", hint="Ask again later.")

    def cancel(self, job: str) -> None:
        """Ask the service to cancel the job; what it has done so far is billed.

        A job that has ended does not change. Raises JobUnknown.
        """
        if state_of(self._job(job)).status in ENDED:
            return
        try:
            self._service.cancel_job(job_id(job))
        except ModelUnknown as error:
            raise self._missing(job) from error
        except EmbedderError:
            if state_of(self._job(job)).status not in ENDED:  # it may have ended meanwhile
                raise

    def clean_up(self, job: str) -> None:
        """Delete the files of the job from the service, those with the texts first; then it counts
        as removed. It is no error if something does not exist any more.
        """
        try:
            answer = self._job(job)
        except JobUnknown:
            return
        for file in all_files(answer):
            with suppress(ModelUnknown):
                self._service.delete_file(file)

    @property
    def account(self) -> str:
        """A hash of the key, to detect a change of the key; "" without one."""
        return self._service.account

    def now(self) -> float | None:
        """Seconds since 1970 by the service's clock; None before its first answer."""
        return self._service.clock.time()

    def close(self) -> None:
        """Close the connections. The next call opens new ones."""
        self._service.close()

    def _created(self, lines: JobLines, name: str) -> str:
        """Upload the lines and create the job; returns its id."""
        file = self._service.upload(lines.file, name)
        try:
            return str(self._service.create_job(file, name)["id"])
        except (ServiceDown, ServiceTimeout) as error:
            # The job may exist even without an answer. It is searched for once, and never created
            # a second time here.
            with suppress(EmbedderUnavailable):
                existing = self.find(name)
                if existing is not None:
                    return existing
            raise error
        except EmbedderError as error:
            with suppress(EmbedderError):
                self._service.delete_file(file)
            if isinstance(error, RateLimited) and not isinstance(error, QuotaExhausted):
                error.hint = (
                    "The account has reached its limit of jobs, or of tokens in jobs: wait until a "
                    "job has ended, or submit smaller jobs."
                )
            raise

    def _jobs(self) -> Iterator[Mapping[str, Any]]:
        """All jobs, the newest first. Raises ConfigError for a service without batch jobs."""
        try:
            yield from self._service.jobs()
        except ModelUnknown as error:
            raise ConfigError(
                f"openai: the service has no batch jobs: {error.message}",
                hint="Embed at once instead: ingest without async, or embed_pending().",
            ) from error

    def _job(self, job: str) -> Mapping[str, Any]:
        """The job as the service describes it. Raises JobUnknown."""
        id = job_id(job)
        try:
            answer = self._service.job(id)
        except ModelUnknown as error:
            raise self._missing(id) from error
        # Without results nothing of it was lost, and nothing paid: its state is the better answer.
        if result_files(answer) and self._is_removed(answer):
            raise JobUnknown(f"Job {id!r} was removed: none of its files exists.")
        return answer

    def _is_removed(self, answer: Mapping[str, Any]) -> bool:
        """Whether all files of an ended job are deleted."""
        files = all_files(answer)
        if state_of(answer).status not in ENDED or not files:
            return False
        return not any(self._service.has_file(file) for file in files)

    def _missing(self, job: str) -> EmbedderError:
        """The error for a job that the service does not know, after a check of the list of jobs."""
        if any(listed.get("id") == job for listed in self._jobs()):
            return ServiceDown(
                f"The service lists job {job!r}, but answers that it does not exist.",
                hint="Ask again later.",
            )
        return JobUnknown(
            f"This key sees no job {job!r}: it belongs to another account.",
            hint="Use a key of the account in which it was created.",
        )


def _created_at(job: Mapping[str, Any]) -> float:
    value = job.get("created_at")
    return float(value) if isinstance(value, int | float) else float("inf")
