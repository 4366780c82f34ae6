"""Calls to the Gemini service with one key: embedding, counting tokens, and everything about batch
jobs. Rate limit, retries and circuit breaker are those of `semantic_core.remote`.

Tested by tests/test_faults.py, tests/test_embedder.py and tests/test_jobs.py.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import attrgetter
from typing import IO, TYPE_CHECKING, Any, Final, TypeVar

import attrs

from semantic_core.remote import (
    Breaker,
    Calls,
    Clock,
    Pace,
    PerProcess,
    Secret,
    ServiceClock,
    Size,
    UsageMeter,
    never_arrived,
    silence_of,
    vector_of,
)
from semantic_core_gemini.errors import (
    AccessDenied,
    AnswerInvalid,
    ModelUnknown,
    failure_of,
    was_answered,
)
from semantic_core_gemini.models import Model

if TYPE_CHECKING:
    import httpx2
    from google.genai import Client

    from semantic_core.types import Vector


Answer = TypeVar("Answer")

BASE_URL: Final = "https://generativelanguage.googleapis.com"
CLIENT_LOGGER: Final = "google_genai._api_client"
BASE_URL_VARIABLE: Final = "GOOGLE_GEMINI_BASE_URL"
"""Environment variable for another address; google-genai reads it, too."""
API_VERSION: Final = "v1beta"
"""The version that has batch jobs of embeddings; the default of google-genai is v1."""
_GENERATED: Final = "GENERATED"
"""Source of a file that the service created."""
PACE_HINT: Final = (
    "Embed less at a time, or raise texts_per_minute and tokens_per_minute if the key allows more."
)
PAGE: Final = 100
"""Jobs or files per page of a list."""
LONGEST_PATIENCE: Final = 120.0
"""Most seconds for an operation on jobs, including all waiting; jobs are checked again later."""
PIECE: Final = 5
"""The timeout for a piece (8 MB) of an upload or download, as a multiple of that for an answer."""


@attrs.frozen
class Reach:
    """The address of the service, and timeouts.

    timeout: most seconds for one answer. patience: most seconds for a call, including all waiting.
    """

    base_url: str = BASE_URL
    api_version: str = API_VERSION
    timeout: float = 60.0
    patience: float = 600.0


def base_url_in_use(given: str = "") -> str:
    """The given address, else the one in the environment, else Google's."""
    return (given or os.environ.get(BASE_URL_VARIABLE, "") or BASE_URL).rstrip("/")


class Service:
    """The operations of the service, with one key.

    Safe to use from several threads, and after a fork. Raises only classes of `errors`. Nothing is
    imported or connected before the first call.
    """

    def __init__(
        self,
        secret: Secret,
        reach: Reach,
        clock: Clock,
        texts_per_minute: int,
        tokens_per_minute: int,
    ) -> None:
        self._secret = secret
        self.reach = reach
        silence = silence_of(secret, reach.base_url, clock)
        pace = Pace(clock, texts_per_minute, tokens_per_minute, silence, PACE_HINT)
        self._calls = Calls(clock, pace, Breaker(clock), failure_of)
        self.clock = ServiceClock(clock)
        self._clients: PerProcess[tuple[Client, httpx2.Client]] = PerProcess(self._connect, _close)

    @property
    def _milliseconds(self) -> int:
        return max(1, round(self.reach.timeout * 1000))

    @property
    def account(self) -> str:
        """A hash of the key."""
        return self._secret.account("sc-gemini-key")

    @property
    def pace(self) -> Pace:
        """The rate limit of these calls."""
        return self._calls.pace

    def embed(
        self,
        model: Model,
        texts: Sequence[str],
        task: str,
        dimensions: int,
        *,
        tokens: int,
        meter: UsageMeter,
        timeout: float,
        patience: float,
        found: dict[int, Vector],
    ) -> None:
        """Put one vector per text, of length 1, into `found`, by position.

        Vectors that came stay there even if an error is raised, and are not requested again. If one
        vector of an answer is invalid, the others are used. tokens: estimate for all texts.
        """
        number = "a text" if len(texts) == 1 else f"{len(texts)} texts"
        what = f"Embedding {number} with {model.name}"

        def call() -> None:
            from google.genai import types

            missing = [place for place in range(len(texts)) if place not in found]
            estimate = tokens * len(missing) // len(texts)
            contents: Any = [
                types.Content(role="user", parts=[types.Part(text=texts[place])])
                for place in missing
            ]
            options = types.HttpOptions(timeout=round(timeout * 1000))
            config = types.EmbedContentConfig(
                task_type=task or None, output_dimensionality=dimensions, http_options=options
            )
            client = self._clients.get()[0]
            try:
                answer = client.models.embed_content(
                    model=model.name, contents=contents, config=config
                )
            except Exception as error:
                # An answer came, but cannot be read.
                if isinstance(error, ValueError | KeyError | TypeError):
                    meter.add(requests=1, texts=len(missing), tokens=estimate)
                elif not (was_answered(error) or never_arrived(error)):
                    meter.add(lost_texts=len(missing))
                raise
            counted = getattr(getattr(answer, "usage_metadata", None), "prompt_token_count", None)
            meter.add(
                requests=1,
                texts=len(missing),
                tokens=counted if isinstance(counted, int) else estimate,
            )
            given = answer.embeddings or []
            if len(given) != len(missing):
                raise AnswerInvalid(
                    f"{what}: wanted {len(missing)} vectors, got {len(given)}.",
                    hint="Nothing of this answer was used: vectors and texts cannot be matched.",
                )
            invalid = None
            for place, one in zip(missing, given, strict=True):
                try:
                    found[place] = vector_of(one.values, dimensions, f"{what}, text {place}")
                except AnswerInvalid as error:
                    invalid = invalid or error
            if invalid is not None:
                raise invalid

        self._calls.run(what, call, patience=patience, size=Size(len(texts), tokens))

    def count(self, model: Model, texts: Sequence[str]) -> int:
        """The number of tokens of all texts together, counted by the service. This call is free."""
        what = f"Counting the tokens of {len(texts)} texts"

        def call() -> int:
            from google.genai import types

            contents: Any = [
                types.Content(role="user", parts=[types.Part(text=text)]) for text in texts
            ]
            client = self._clients.get()[0]
            total = client.models.count_tokens(model=model.name, contents=contents).total_tokens
            if not isinstance(total, int) or total < 1:
                raise AnswerInvalid(f"{what}: wanted a number of tokens, got {total!r}.")
            return total

        return self._run(what, call)

    def upload(self, file: IO[bytes], name: str) -> str:
        """Upload a file of JSON lines; returns the service's name of it. name: its display name."""
        what = f"Uploading the texts of job {name!r}"

        def call() -> str:
            from google.genai import types

            file.seek(0)
            config = types.UploadFileConfig(
                display_name=name,
                mime_type="application/jsonl",
                # With the address, so that the pieces go to the host of the key, whatever address
                # the service names.
                http_options=types.HttpOptions(
                    base_url=self.reach.base_url, timeout=self._milliseconds * PIECE
                ),
            )
            stored = self._clients.get()[0].files.upload(file=file, config=config).name  # type: ignore[arg-type]
            if not stored:
                raise AnswerInvalid(f"{what}: wanted the name of the file, got none.")
            return stored

        return self._run(what, call)

    def create_job(self, model: Model, source: Mapping[str, Any], name: str) -> str:
        """Create a job; returns its name.

        This call is not repeated, because the job may exist even if there was no answer. source:
        ``{"file_name": ...}`` or ``{"requests": [...]}``, each request with its key as metadata.
        """
        what = f"Creating the batch job {name!r}"

        def call() -> str:
            from google.genai import types

            options: dict[str, Any] = {}
            src: dict[str, Any] = dict(source)
            if "requests" in src:
                # google-genai has no field for the key of a request, so the body it creates is
                # replaced by ours.
                requests = src.pop("requests")
                contents = [request["request"]["content"] for request in requests[:1]]
                src["inlined_requests"] = {"contents": contents}
                body = {"batch": {"inputConfig": {"requests": {"requests": requests}}}}
                options["extra_body"] = body
            config = types.CreateEmbeddingsBatchJobConfig(
                display_name=name, http_options=types.HttpOptions(**options)
            )
            warnings.filterwarnings("ignore", r"batches\.create_embeddings\(\) is experimental")
            batches = self._clients.get()[0].batches
            created = batches.create_embeddings(model=model.name, src=src, config=config).name  # type: ignore[arg-type]
            if not created:
                raise AnswerInvalid(f"{what}: wanted the name of the job, got none.")
            return created

        return self._run(what, call, again=False)

    def job(self, job: str) -> Mapping[str, Any]:
        """The job as the service describes it.

        It is requested without google-genai, which omits the reason of a failure.
        """
        what = f"Looking at job {job!r}"

        def call() -> Mapping[str, Any]:
            from google.genai.errors import APIError

            http = self._clients.get()[1]
            address = f"{self.reach.base_url}/{self.reach.api_version}/{job}"
            response = http.get(address, timeout=self.reach.timeout)
            APIError.raise_for_response(response)
            answer = response.json()
            if not isinstance(answer, Mapping):
                raise AnswerInvalid(f"{what}: wanted an operation, got something else.")
            if not isinstance(answer.get("metadata", {}), Mapping):
                raise AnswerInvalid(f"{what}: wanted an operation, got something else.")
            return answer

        return self._run(what, call)

    def jobs(self) -> Iterator[tuple[str, str, str]]:
        """Every job of the key's project as (name, display name, state), in the service's order."""
        for job in self._listed("Listing the batch jobs", attrgetter("batches")):
            if job.name:
                state = str(getattr(job.state, "value", job.state) or "")
                yield job.name, job.display_name or "", state

    def uploads(self) -> Iterator[tuple[str, str]]:
        """Every uploaded file as (name, display name); not the files that the service created."""
        for file in self._listed("Listing the files", attrgetter("files")):
            if file.name and getattr(file.source, "value", file.source) != _GENERATED:
                yield file.name, file.display_name or ""

    def has_file(self, name: str) -> bool:
        """Whether the service has this file. It answers AccessDenied for one that is missing."""
        try:
            self._run(f"Looking at {name!r}", lambda: self._clients.get()[0].files.get(name=name))
        except (ModelUnknown, AccessDenied):
            return False
        return True

    def cancel_job(self, job: str) -> None:
        """Ask the service to cancel the job."""
        self._run(
            f"Cancelling job {job!r}", lambda: self._clients.get()[0].batches.cancel(name=job)
        )

    def delete_job(self, job: str) -> None:
        """Delete the job."""
        self._run(f"Deleting job {job!r}", lambda: self._clients.get()[0].batches.delete(name=job))

    def delete_file(self, name: str) -> None:
        """Delete the file."""
        self._run(f"Deleting {name!r}", lambda: self._clients.get()[0].files.delete(name=name))

    def download(self, name: str, into: IO[bytes]) -> None:
        """Write the content of a file of the service to `into`, in pieces of a megabyte."""

        def call() -> None:
            from google.genai import types

            into.seek(0)
            into.truncate()
            config = types.DownloadFileConfig(
                http_options=types.HttpOptions(timeout=self._milliseconds * PIECE)
            )
            self._clients.get()[0].files.download(file=name, destination=into, config=config)  # type: ignore[call-overload]

        self._run(f"Fetching the results in {name!r}", call)

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        self._clients.close()

    def _run(self, what: str, call: Callable[[], Answer], *, again: bool = True) -> Answer:
        patience = min(self.reach.patience, LONGEST_PATIENCE)
        return self._calls.run(what, call, patience=patience, again=again)

    def _listed(self, what: str, part: Callable[[Client], Any]) -> Iterator[Any]:
        """All items of a list, page by page. part: batches or files of the client."""

        def first_page() -> Any:
            return part(self._clients.get()[0]).list(config={"page_size": PAGE})

        pager = self._run(what, first_page)
        yield from pager.page
        while pager.config.get("page_token"):
            yield from self._run(what, pager.next_page)

    def _connect(self) -> tuple[Client, httpx2.Client]:
        import httpx2
        from google.genai import Client, types

        from semantic_core_gemini.wire import PLACEHOLDER, keyed_client

        http = keyed_client(self._secret, self.reach.base_url, self.clock.hear)
        options = types.HttpOptions(
            base_url=self.reach.base_url,
            api_version=self.reach.api_version,
            # Without it, google-genai uses no timeout, whatever that of the HTTP client is.
            timeout=self._milliseconds,
            httpx_client=http,
            # Never used. It keeps google-genai from creating clients of its own, which load
            # certificates.
            httpx_async_client=httpx2.AsyncClient(transport=httpx2.AsyncBaseTransport()),
            async_client_args={"ssl": True},
        )
        with _quiet_client_logger():
            return Client(api_key=PLACEHOLDER, vertexai=False, http_options=options), http


@contextmanager
def _quiet_client_logger() -> Iterator[None]:
    """Suppress warnings of google-genai about keys in the environment, which it does not use."""
    logger = logging.getLogger(CLIENT_LOGGER)

    def above_warning(record: logging.LogRecord) -> bool:
        return record.levelno > logging.WARNING

    logger.addFilter(above_warning)
    try:
        yield
    finally:
        logger.removeFilter(above_warning)


def _close(clients: tuple[Client, httpx2.Client]) -> None:
    clients[1].close()
