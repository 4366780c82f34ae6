"""The service with one key, as plain functions."""

from __future__ import annotations

import logging
import os
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from email.utils import parsedate_to_datetime
from hashlib import blake2b
from threading import Lock
from typing import IO, TYPE_CHECKING, Any, Final, TypeVar

import attrs

from semantic_core_gemini.errors import (
    AnswerInvalid,
    QuotaExhausted,
    RateLimited,
    ServiceDown,
    ServiceTimeout,
    failure_of,
    is_quotable,
    never_arrived,
    was_answered,
)
from semantic_core_gemini.keys import Secret
from semantic_core_gemini.models import Model
from semantic_core_gemini.pacing import Breaker, Clock, Pace, silence_of
from semantic_core_gemini.usage import UsageMeter
from semantic_core_gemini.vectors import vector_of

if TYPE_CHECKING:
    import httpx2
    from google.genai import Client

    from semantic_core.types import Vector


# One call to the service: paced, tried again where that helps, given up in time,
# and with one kind of error.

Answer = TypeVar("Answer")

ATTEMPTS: Final = 5
"""Calls made in vain before a failure is passed on.
Being told to wait is no failure and is not counted.
"""
ANSWER_ATTEMPTS: Final = 2
"""Calls made before an answer that is none is passed on: each may be paid for."""
FIRST_WAIT: Final = 1.0
LONGEST_WAIT: Final = 60.0
"""Seconds between two tries: at random between 0 and a bound that doubles from the first
to the longest.
"""


@attrs.frozen
class Size:
    """How much a call asks for: texts and tokens count against the minute's allowance."""

    texts: int = 0
    tokens: int = 0


class Calls:
    """The calls of one service object.

    clock: what time is. pace, breaker: shared by all these calls.
    """

    def __init__(self, clock: Clock, pace: Pace, breaker: Breaker) -> None:
        self.clock = clock
        self.pace = pace
        self._breaker = breaker

    def run(
        self,
        what: str,
        call: Callable[[], Answer],
        *,
        patience: float,
        size: Size = Size(),
        again: bool = True,
    ) -> Answer:
        """What `call` answers.

        what: subject of the message if it fails. patience: seconds, all waiting taken together.
        A pause the service asks for is waited for where the next call takes its turn.
        again: whether a call that may have been done although it failed is made once more; one that
        never arrived always is.
        Raises classes of `errors`, and whatever is a mistake of ours.
        """
        until = self.clock.now() + patience
        failed = throttled = invalid = 0
        while True:
            self.pace.turn(size.texts, size.tokens, until, what)
            try:
                return self._once(what, call)
            except Exception as raw:
                error = failure_of(raw, what, self.clock.wall())
                if error is None:
                    raise
                if isinstance(error, ServiceDown | ServiceTimeout):
                    failed += 1
                    stop = failed >= ATTEMPTS or not (again or never_arrived(raw))
                    wait = self._backoff(failed)
                    if error.retry_after is not None:
                        wait = max(wait, error.retry_after)
                elif isinstance(error, RateLimited) and not isinstance(error, QuotaExhausted):
                    throttled += 1
                    # What is not to be done twice is refused for what is under way, not for its
                    # pace; if no pause is named, a short one does not help.
                    stop = not again and error.retry_after is None
                    wait = 0.0 if stop else self._pause(error.retry_after, throttled)
                    if not stop and self.clock.now() + wait <= until:
                        continue
                elif isinstance(error, AnswerInvalid):
                    invalid += 1
                    stop = invalid >= ANSWER_ATTEMPTS or not again
                    wait = self._backoff(invalid)
                else:
                    stop = True
                    wait = 0.0
                if stop or self.clock.now() + wait > until:
                    if error is raw:
                        raise
                    raise error from (raw if is_quotable(raw) else None)
            self.clock.sleep(wait)

    def _once(self, what: str, call: Callable[[], Answer]) -> Answer:
        probe = self._breaker.enter(what)
        well: bool | None = None
        try:
            answer = call()
            well = True
            return answer
        except Exception as raw:
            error = failure_of(raw, what, self.clock.wall())
            if error is not None:
                well = not isinstance(error, ServiceDown | ServiceTimeout)
            raise
        finally:
            self._breaker.leave(probe, well)

    def _backoff(self, times: int) -> float:
        """Full jitter: anything from no wait to all of it,
        so that many who failed together do not come back together.
        """
        return self.clock.between(0.0, min(LONGEST_WAIT, FIRST_WAIT * 2.0**times))

    def _pause(self, named: float | None, times: int) -> float:
        """How long everyone with this key waits at least: what the service named and a little more,
        else longer each time.
        """
        seconds = self._backoff(times + 1) if named is None else named + self._backoff(times - 1)
        self.pace.silence.begin(seconds)
        return seconds


BASE_URL: Final = "https://generativelanguage.googleapis.com"
CLIENT_LOGGER: Final = "google_genai._api_client"
BASE_URL_VARIABLE: Final = "GOOGLE_GEMINI_BASE_URL"
"""Environment variable google-genai reads for another address; it means the same here."""
API_VERSION: Final = "v1beta"
"""Batch jobs of embeddings are in this version; v1 is google-genai's own default."""
_GENERATED: Final = "GENERATED"
"""Source of a file the service made itself."""
PAGE: Final = 100
"""Jobs, or files, asked for at once."""
LONGEST_PATIENCE: Final = 120.0
"""Seconds anything about jobs waits, all waiting taken together:
who looks after jobs comes again.
"""
PIECE: Final = 5
"""How many times longer than an answer a piece (8 MB) of an upload or a download may take."""


@attrs.frozen
class Reach:
    """Where the service is and how long it may take.

    timeout: seconds for one answer. patience: seconds for a call with all its waiting.
    """

    base_url: str = BASE_URL
    api_version: str = API_VERSION
    timeout: float = 60.0
    patience: float = 600.0


def base_url_in_use(given: str = "") -> str:
    """The address given, else the one in the environment, else Google's."""
    return (given or os.environ.get(BASE_URL_VARIABLE, "") or BASE_URL).rstrip("/")


class Service:
    """Everything asked of the service with one key.

    Safe to use from several threads, and after a fork.

    Raises classes of `errors` only. Nothing is imported or connected before the first call.
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
        pace = Pace(clock, texts_per_minute, tokens_per_minute, silence)
        self._calls = Calls(clock, pace, Breaker(clock))
        self._lock = Lock()
        self._owner = 0
        self._client: Client | None = None
        self._http: httpx2.Client | None = None
        self._closing: Callable[[], object] = lambda: None
        self._heard: tuple[float, float] | None = None

    @property
    def _milliseconds(self) -> int:
        return max(1, round(self.reach.timeout * 1000))

    @property
    def account(self) -> str:
        """A hash of the key."""
        key = self._secret.reveal().encode()
        return blake2b(key, digest_size=8, person=b"sc-gemini-key").hexdigest()

    def told_now(self) -> float | None:
        """Seconds since 1970 by the service's clock; None while it has not answered yet."""
        if self._heard is None:
            return None
        told, at = self._heard
        return told + self._calls.clock.now() - at

    def wall(self) -> float:
        """Seconds since 1970, by the service's clock as soon as it is known."""
        told = self.told_now()
        return self._calls.clock.wall() if told is None else told

    def _hear(self, response: httpx2.Response) -> None:
        """Note what time it is at the service."""
        with suppress(ValueError, TypeError):
            told = parsedate_to_datetime(response.headers.get("Date", "")).timestamp()
            self._heard = told, self._calls.clock.now()

    @property
    def pace(self) -> Pace:
        """When the next call may go out."""
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
        """Put one vector per text, of length 1, into `found`, by its place.

        What came is there whatever is raised later, and is not asked for again: of an answer with a
        vector that does not count, the others do. tokens: of all texts, about.
        """
        what = f"Embedding {len(texts)} texts with {model.name}"

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
            client = self._connected()[0]
            try:
                answer = client.models.embed_content(
                    model=model.name, contents=contents, config=config
                )
            except Exception as error:
                # It came, and cannot be read.
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
                    hint="Vectors are never matched by guess; nothing of this answer was used.",
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
        """How many tokens the texts have, all together, as the service counts. It costs nothing."""
        what = f"Counting the tokens of {len(texts)} texts"

        def call() -> int:
            from google.genai import types

            contents: Any = [
                types.Content(role="user", parts=[types.Part(text=text)]) for text in texts
            ]
            total = (
                self._connected()[0]
                .models.count_tokens(model=model.name, contents=contents)
                .total_tokens
            )
            if not isinstance(total, int) or total < 1:
                raise AnswerInvalid(f"{what}: wanted a number of tokens, got {total!r}.")
            return total

        return self._run(what, call)

    def upload(self, file: IO[bytes], name: str) -> str:
        """The name the service gave to a file of JSON lines. name: what it is shown as."""
        what = f"Uploading the texts of job {name!r}"

        def call() -> str:
            from google.genai import types

            file.seek(0)
            config = types.UploadFileConfig(
                display_name=name,
                mime_type="application/jsonl",
                # With the address, so that the pieces go where the key belongs, whatever address
                # the service names.
                http_options=types.HttpOptions(
                    base_url=self.reach.base_url, timeout=self._milliseconds * PIECE
                ),
            )
            stored = self._connected()[0].files.upload(file=file, config=config).name  # type: ignore[arg-type]
            if not stored:
                raise AnswerInvalid(f"{what}: wanted the name of the file, got none.")
            return stored

        return self._run(what, call)

    def create_job(self, model: Model, source: Mapping[str, Any], name: str) -> str:
        """The name of a new job.

        Never tried twice by itself: it may be there although there was no answer.

        source: ``{"file_name": ...}`` or ``{"requests": [...]}``, each request with its key as
        metadata.
        """
        what = f"Creating the batch job {name!r}"

        def call() -> str:
            from google.genai import types

            options: dict[str, Any] = {}
            src: dict[str, Any] = dict(source)
            if "requests" in src:
                # google-genai has no place for the key of a request; the body it makes is replaced
                # by ours.
                requests = src.pop("requests")
                src["inlined_requests"] = {
                    "contents": [request["request"]["content"] for request in requests[:1]]
                }
                options["extra_body"] = {
                    "batch": {"inputConfig": {"requests": {"requests": requests}}}
                }
            config = types.CreateEmbeddingsBatchJobConfig(
                display_name=name, http_options=types.HttpOptions(**options)
            )
            warnings.filterwarnings("ignore", r"batches\.create_embeddings\(\) is experimental")
            created = (
                self._connected()[0]
                .batches.create_embeddings(model=model.name, src=src, config=config)  # type: ignore[arg-type]
                .name
            )
            if not created:
                raise AnswerInvalid(f"{what}: wanted the name of the job, got none.")
            return created

        return self._run(what, call, again=False)

    def job(self, job: str) -> Mapping[str, Any]:
        """The job as the service tells it.

        Asked for directly: google-genai leaves out the reason of a failure.
        """
        what = f"Looking at job {job!r}"

        def call() -> Mapping[str, Any]:
            from google.genai.errors import APIError

            http = self._connected()[1]
            address = f"{self.reach.base_url}/{self.reach.api_version}/{job}"
            response = http.get(address, timeout=self.reach.timeout)
            APIError.raise_for_response(response)
            told = response.json()
            if not isinstance(told, Mapping) or not isinstance(told.get("metadata", {}), Mapping):
                raise AnswerInvalid(f"{what}: wanted an operation, got something else.")
            return told

        return self._run(what, call)

    def jobs(self) -> Iterator[tuple[str, str, str]]:
        """Every job of the key's project as (name, shown name, state in the words of google-genai),
        in the service's order.
        """
        for one in self._listed("Listing the batch jobs", lambda client: client.batches):
            if one.name:
                yield (
                    one.name,
                    one.display_name or "",
                    str(getattr(one.state, "value", one.state) or ""),
                )

    def uploads(self) -> Iterator[tuple[str, str]]:
        """Every file that was put there as (name, shown name); none the service made."""
        for one in self._listed("Listing the files", lambda client: client.files):
            if one.name and getattr(one.source, "value", one.source) != _GENERATED:
                yield one.name, one.display_name or ""

    def look_at_file(self, name: str) -> None:
        """Raises ModelUnknown or AccessDenied for a file that is not there."""
        self._run(f"Looking at {name!r}", lambda: self._connected()[0].files.get(name=name))

    def cancel_job(self, job: str) -> None:
        """Ask for the job to end."""
        self._run(f"Cancelling job {job!r}", lambda: self._connected()[0].batches.cancel(name=job))

    def delete_job(self, job: str) -> None:
        """Remove the job."""
        self._run(f"Deleting job {job!r}", lambda: self._connected()[0].batches.delete(name=job))

    def delete_file(self, name: str) -> None:
        """Remove the file."""
        self._run(f"Deleting {name!r}", lambda: self._connected()[0].files.delete(name=name))

    def download(self, name: str, into: IO[bytes]) -> None:
        """Write the content of a file the service made, from the beginning;
        it passes through in pieces of a megabyte.
        """

        def call() -> None:
            from google.genai import types

            into.seek(0)
            into.truncate()
            config = types.DownloadFileConfig(
                http_options=types.HttpOptions(timeout=self._milliseconds * PIECE)
            )
            self._connected()[0].files.download(file=name, destination=into, config=config)  # type: ignore[call-overload]

        self._run(f"Fetching the results in {name!r}", call)

    def close(self) -> None:
        """Let go of the connections; the next call makes new ones."""
        with self._lock:
            self._closing()
            self._client = self._http = None

    def _run(self, what: str, call: Callable[[], Answer], *, again: bool = True) -> Answer:
        return self._calls.run(
            what, call, patience=min(self.reach.patience, LONGEST_PATIENCE), again=again
        )

    def _listed(self, what: str, part: Callable[[Client], Any]) -> Iterator[Any]:
        pager = self._run(what, lambda: part(self._connected()[0]).list(config={"page_size": PAGE}))
        yield from pager.page
        while pager.config.get("page_token"):
            yield from self._run(what, pager.next_page)

    def _connected(self) -> tuple[Client, httpx2.Client]:
        """The client, made when first needed, and made anew in a forked process:
        connections have one owner.
        """
        if self._client is None or self._http is None or self._owner != os.getpid():
            with self._lock:
                if self._client is None or self._http is None or self._owner != os.getpid():
                    self._client, self._http = self._connect()
                    self._owner = os.getpid()
                    self._closing = weakref.finalize(self, _close, self._http, self._owner)
        return self._client, self._http

    def _connect(self) -> tuple[Client, httpx2.Client]:
        import httpx2
        from google.genai import Client, types

        from semantic_core_gemini.wire import PLACEHOLDER, http_client

        http = http_client(self._secret, self.reach.base_url, self._hear)
        options = types.HttpOptions(
            base_url=self.reach.base_url,
            api_version=self.reach.api_version,
            # Without one it sets none, whatever the HTTP client was made with.
            timeout=self._milliseconds,
            httpx_client=http,
            # Never used. Given, it keeps google-genai from making clients of its own, with
            # certificates to load.
            httpx_async_client=httpx2.AsyncClient(transport=httpx2.AsyncBaseTransport()),
            async_client_args={"ssl": True},
        )
        with _unsaid():
            return Client(api_key=PLACEHOLDER, vertexai=False, http_options=options), http


@contextmanager
def _unsaid() -> Iterator[None]:
    """What google-genai says of keys in the environment is not logged:
    it does not get the one that is used.
    """
    logger = logging.getLogger(CLIENT_LOGGER)

    def silent(record: logging.LogRecord) -> bool:
        return record.levelno > logging.WARNING

    logger.addFilter(silent)
    try:
        yield
    finally:
        logger.removeFilter(silent)


def _close(http: httpx2.Client, owner: int) -> None:
    """Close the connections, in the process that made them:
    a fork would take leave in its parent's name.
    """
    if os.getpid() == owner:
        http.close()
