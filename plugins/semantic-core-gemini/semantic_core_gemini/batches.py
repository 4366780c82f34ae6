"""Batch jobs: half the price, up to a day.

Texts go up as a file, vectors come back by their keys.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from semantic_core import Chunk, Entry
from semantic_core.batch import JobState
from semantic_core.errors import EmbedderError, EmbedderUnavailable
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
    Lines,
    Status,
    bare_state,
    ended_at,
    ending_of,
    input_file_of,
    job_name,
    metadata_of,
    output_of,
    pairs_of,
    read_results,
    state_of,
    write_lines,
)
from semantic_core_gemini.options import MODEL, SIZE, TASK, common
from semantic_core_gemini.service import API_VERSION, Service
from semantic_core_gemini.usage import Usage, UsageMeter

if TYPE_CHECKING:
    from semantic_core.types import Vector
    from semantic_core_gemini.keys import GoogleKeyring
    from semantic_core_gemini.options import Common
    from semantic_core_gemini.pacing import Clock

__all__ = ["GeminiBatchClient"]

logger = logging.getLogger(__name__)


class GeminiBatchClient:
    """Batch jobs with the key for batches: BatchKeyMissing (a ValueError,
    too) if the keyring has none.

    Its vectors are those of a `GeminiEmbedder` with the same options: one space.
    `GeminiEmbedder.batch_client` gives the one that belongs to an embedder. Raises classes of
    `errors`. Safe to use from several threads.
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
        """One with options that were checked, counting into this meter. Raises BatchKeyMissing."""
        made = cls.__new__(cls)
        made._set_up(given, meter)
        return made

    def _set_up(self, given: Common, meter: UsageMeter) -> None:
        self._service = Service(given.keyring.for_batches(), given.reach, given.clock, 0, 0)
        self._recipe = given.recipe
        self._meter = meter

    @property
    def usage(self) -> Usage:
        """What was used; shared with the embedder it belongs to."""
        return self._meter.read()

    def create_embedding_job(
        self,
        chunks: Mapping[str, str] | Iterable[tuple[str, str] | Entry | Chunk],
        name: str | None = None,
        *,
        most_items: int = MOST_ITEMS,
        most_bytes: int = MOST_BYTES,
    ) -> str:
        """The name of the job that embeds these texts as documents.

        chunks: texts by key, or pairs of (key, text), or entries (their fingerprint and passage),
        or chunks (their id and text). They are read once and never held all together. A job of the
        same name and the same texts that has not failed is used instead of a new one, so that they
        are not paid for twice, in whatever order they come. Other texts are another job, under the
        same name or none.
        Raises InputError, JobTooLarge, TextInvalid before anything is sent.
        """
        lines = self._written(chunks, most_items, most_bytes)
        with lines.file:
            shown = f"{name} sc-{lines.digest}" if name else f"sc-{lines.digest}"
            there = self._standing(shown)
            return there or self._created(lines, shown)

    def get_job_status(self, job: str) -> Status:
        """SUBMITTED, PROCESSING, COMPLETED or FAILED. `state` tells more. Raises JobUnknown."""
        return self.state(job).status

    def retrieve_results(self, job: str) -> Iterator[tuple[str, Vector | Exception]]:
        """(key, vector) or (key, why there is none) for each result, in any order, one by one.

        ``dict(...)`` if few.

        A result may be there twice, and keys may be missing: whoever submitted them knows. Raises
        JobFailed for a job that ended without results, ResultsUnavailable while it runs or its
        results cannot be fetched, ResultsGone once the service need not keep them any longer and
        does not have them, JobUnknown.
        """
        told = self._told(job)
        state = state_of(told)
        if state.status == "FAILED" and not state.has_results:
            raise JobFailed(f"Job {job!r} {ending_of(state)}.", hint="Submit its texts again.")
        if state.status != "COMPLETED" and not state.has_results:
            raise ResultsUnavailable(
                f"Job {job!r} is not finished: {state.told}.", hint="Ask again later."
            )
        if not state.has_results:
            raise ResultsUnavailable(
                f"Job {job!r} is finished, and the service names no results.",
                hint="Ask again later.",
            )
        return read_results(
            self._service,
            job,
            output_of(told),
            self._recipe.dimensions,
            self._meter,
            ended=ended_at(told),
        )

    def submit(self, passages: Mapping[str, str], name: str) -> str:
        """A new job under that name.

        Ask `find` first: what was submitted before is not looked for here.
        """
        lines = self._written(passages, MOST_ITEMS, MOST_BYTES)
        with lines.file:
            return self._created(lines, name)

    def find(self, name: str) -> str | None:
        """The job submitted under that name, one that has not failed before one that has;
        None if there is none.
        """
        ended = None
        for job, shown, state in self._service.jobs():
            if _is_called(shown, name):
                if STATES.get(bare_state(state)) != "FAILED":
                    return job
                ended = ended or job
        return ended

    def state(self, job: str) -> JobState:
        """Where the job is.

        Raises JobUnknown if this key sees it neither by its name nor in the list of all jobs: it
        was removed, or is another project's. KeyRefused says nothing about the job.
        """
        return state_of(self._told(job))

    def results(self, job: str) -> Iterator[tuple[str, Vector | Exception]]:
        """`retrieve_results`, under the name of the protocol."""
        return self.retrieve_results(job)

    def cancel(self, job: str) -> None:
        """Ask the service to end the job; what it has done until then may be paid for.

        Raises JobUnknown.
        """
        name = job_name(job)
        try:
            self._service.cancel_job(name)
        except ModelUnknown as error:
            raise self._missing(name) from error

    def clean_up(self, job: str) -> None:
        """Remove the job and its files from the service, those with the texts first.

        What is gone already is no error; may be called twice. A file of results the service does
        not let go of is left to it: it keeps none for more than 48 hours.
        """
        try:
            told = self._told(job)
        except JobUnknown:
            return
        for file in self._files_of(job_name(job), told):
            try:
                self._service.delete_file(file)
            except (RequestRefused, AccessDenied) as error:  # not there, or not to be removed
                logger.debug("%s is left to the service: %s", file, error)
        self.delete(job)

    def delete(self, job: str) -> None:
        """Remove the job from the service, not its files. One that is gone already is no error."""
        with suppress(ModelUnknown):
            self._service.delete_job(job_name(job))

    @property
    def account(self) -> str:
        """A hash of the key: it tells whether another one is used, and nothing of the key."""
        return self._service.account

    def now(self) -> float | None:
        """Seconds since 1970 by the service's clock; None while it has not answered yet."""
        return self._service.told_now()

    def close(self) -> None:
        """Let go of the connections. It can be used again; then they are made anew."""
        self._service.close()

    def _written(self, chunks: Any, most_items: int, most_bytes: int) -> Lines:
        recipe = self._recipe
        pairs = ((key, recipe.document(text)) for key, text in pairs_of(chunks))
        return write_lines(
            pairs, recipe.job_request(), min(most_items, MOST_ITEMS), min(most_bytes, MOST_BYTES)
        )

    def _files_of(self, job: str, told: Mapping[str, Any]) -> list[str]:
        """The files of a job, its texts before its results.

        The service need not tell which file the texts are in: it is one that was uploaded under the
        job's name, unless another job has that name, too.
        """
        shown = metadata_of(told).get("displayName")
        files = [input_file_of(told)]
        if isinstance(shown, str) and shown and not self._has_namesake(job, shown):
            files += [file for file, label in self._service.uploads() if label == shown]
        files.append(output_of(told).get("responsesFile"))
        return list(dict.fromkeys(file for file in files if isinstance(file, str) and file))

    def _has_namesake(self, job: str, shown: str) -> bool:
        return any(label == shown and one != job for one, label, _ in self._service.jobs())

    def _standing(self, name: str) -> str | None:
        job = self.find(name)
        return job if job is not None and self.state(job).status != "FAILED" else None

    def _created(self, lines: Lines, name: str) -> str:
        model = self._recipe.model
        service = self._service
        file = None if lines.inline else service.upload(lines.file, name)
        try:
            return service.create_job(
                model, {"requests": lines.requests()} if file is None else {"file_name": file}, name
            )
        except (ServiceDown, ServiceTimeout) as error:
            # The job may be there although the answer is not. It is looked for once, and never
            # created twice from here.
            with suppress(EmbedderUnavailable):
                there = self.find(name)
                if there is not None:
                    return there
            raise error
        except EmbedderError as error:
            if file is not None:
                with suppress(EmbedderError):
                    service.delete_file(file)
            if isinstance(error, RateLimited) and not isinstance(error, QuotaExhausted):
                error.hint = (
                    "Its project has as many jobs, or tokens in jobs, under way as it may: wait "
                    "until one has ended, or make smaller jobs."
                )
            raise

    def _told(self, job: str) -> Mapping[str, Any]:
        name = job_name(job)
        try:
            return self._service.job(name)
        except ModelUnknown as error:
            raise self._missing(name) from error

    def _missing(self, job: str) -> EmbedderError:
        """What it means that the service does not know a job: the list of all is asked, too."""
        if any(one == job for one, _, _ in self._service.jobs()):
            return ServiceDown(
                f"The service lists job {job!r}, and says that it does not know it.",
                hint="Ask again later.",
            )
        return JobUnknown(
            f"This key sees no job {job!r}: it was removed, or belongs to another project.",
            hint="Use a key of the project it was made in.",
        )


def _is_called(shown: str, name: str) -> bool:
    """Whether a job shown like that was made under that name: alone, or with what it holds."""
    rest = shown.removeprefix(name)
    return shown.startswith(name) and (not rest or bool(re.fullmatch(" sc-[0-9a-f]{32}", rest)))
