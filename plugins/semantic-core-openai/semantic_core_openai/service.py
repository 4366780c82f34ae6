"""Calls to the service with one key: embedding, and everything about files and batch jobs.

Rate limit, retries and circuit breaker are those of `semantic_core.remote`.

Tested by tests/test_faults.py, tests/test_embedder.py and tests/test_jobs.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import IO, TYPE_CHECKING, Any, Final, TypeVar

import attrs

from semantic_core.remote import (
    AnswerInvalid,
    Breaker,
    Calls,
    Clock,
    ModelUnknown,
    Pace,
    PerProcess,
    Secret,
    ServiceClock,
    Size,
    UsageMeter,
    never_arrived,
    silence_of,
)
from semantic_core_openai.answers import embeddings_in, vector_in
from semantic_core_openai.endpoint import Endpoint
from semantic_core_openai.errors import counted_tokens, failure_of, refusal_of, was_answered

if TYPE_CHECKING:
    import httpx2

    from semantic_core.types import Vector

Answer = TypeVar("Answer")

PLUGIN: Final = "openai"
PAGE: Final = 100
"""Jobs per page of a list."""
LONGEST_PATIENCE: Final = 120.0
"""Most seconds for an operation on jobs, including all waiting; jobs are checked again later."""
PIECE: Final = 5
"""The timeout of an upload or download, as a multiple of that for an answer."""
DOWNLOAD_BYTES: Final = 1 << 20
PACE_HINT: Final = (
    "Embed less at a time, or raise requests_per_minute and tokens_per_minute if the account "
    "allows more."
)


@attrs.frozen
class ServiceReach:
    """The address of the service, and timeouts.

    timeout: most seconds for one answer. patience: most seconds for a call, including all waiting.
    """

    endpoint: Endpoint
    timeout: float
    patience: float


@attrs.frozen
class Pacing:
    """Requests and tokens per minute; 0 for no limit."""

    requests: int
    tokens: int


def is_download(path: str) -> bool:
    """Whether an answer to a request of this path is the content of a file."""
    return path.endswith("/content")


class EmbeddingService:
    """The operations of the service, with one key.

    secret: None for a server without keys. Safe to use from several threads, and after a fork.
    Raises classes of `semantic_core.remote`. Nothing is imported or connected before the first
    call.
    """

    def __init__(
        self, secret: Secret | None, reach: ServiceReach, clock: Clock, pacing: Pacing
    ) -> None:
        self._secret = secret
        self.reach = reach
        silence = silence_of(secret, reach.endpoint.base_url, clock)
        pace = Pace(clock, pacing.requests, pacing.tokens, silence, PACE_HINT)
        self._calls = Calls(clock, pace, Breaker(clock), failure_of)
        self.clock = ServiceClock(clock)
        self._http: PerProcess[httpx2.Client] = PerProcess(self._connect, _close)

    @property
    def account(self) -> str:
        """A hash of the key; "" without one."""
        return "" if self._secret is None else self._secret.account("sc-openai-key")

    @property
    def pace(self) -> Pace:
        """The rate limit of these calls."""
        return self._calls.pace

    def embed(
        self,
        texts: Sequence[str],
        request: Mapping[str, Any],
        dimensions: int,
        *,
        tokens: int,
        meter: UsageMeter,
        timeout: float,
        patience: float,
        found: dict[int, Vector],
    ) -> None:
        """Put one vector per text, of length 1, into `found`, by position.

        request: the body without the texts. Vectors that came stay in `found` even if an error is
        raised, and are not requested again. If one vector of an answer is invalid, the others are
        used. tokens: estimate for all texts.
        """
        number = "a text" if len(texts) == 1 else f"{len(texts)} texts"
        what = f"Embedding {number} with {request.get('model')}"

        def call() -> None:
            missing = [place for place in range(len(texts)) if place not in found]
            estimate = tokens * len(missing) // len(texts)
            body = {**request, "input": [texts[place] for place in missing]}
            try:
                answer = self._request("POST", "embeddings", what, json=body, timeout=timeout)
            except AnswerInvalid:  # an answer came, and cannot be read
                meter.add(requests=1, texts=len(missing), tokens=estimate)
                raise
            except Exception as error:
                if not (was_answered(error) or never_arrived(error)):
                    meter.add(lost_texts=len(missing))
                raise
            usage = answer.get("usage") if isinstance(answer, Mapping) else None
            counted = counted_tokens(usage)
            meter.add(
                requests=1, texts=len(missing), tokens=estimate if counted is None else counted
            )
            invalid = None
            embeddings = embeddings_in(answer, len(missing), what)
            for place, embedding in zip(missing, embeddings, strict=True):
                try:
                    found[place] = vector_in(embedding, dimensions, f"{what}, text {place}")
                except AnswerInvalid as error:
                    invalid = invalid or error
            if invalid is not None:
                raise invalid

        self._calls.run(what, call, patience=patience, size=Size(1, tokens))

    def upload(self, file: IO[bytes], name: str) -> str:
        """Upload a file of JSON lines for a batch job; returns the service's id of it."""
        what = f"Uploading the texts of job {name!r}"

        def call() -> str:
            file.seek(0)
            form = {"purpose": "batch"}
            files = {"file": (f"{name}.jsonl", file, "application/jsonl")}
            answer = self._request(
                "POST", "files", what, data=form, files=files, timeout=self.reach.timeout * PIECE
            )
            return _id_in(answer, what)

        return self._run(what, call)

    def create_job(self, file: str, name: str) -> Mapping[str, Any]:
        """Create a job; returns it.

        This call is not repeated, because the job may exist even if there was no answer.
        """
        what = f"Creating the batch job {name!r}"
        body = {
            "input_file_id": file,
            "endpoint": "/v1/embeddings",
            "completion_window": "24h",
            "metadata": {"name": name},
        }

        def call() -> Mapping[str, Any]:
            answer = self._request("POST", "batches", what, json=body)
            _id_in(answer, what)
            return _mapping(answer, what)

        return self._run(what, call, again=False)

    def job(self, job: str) -> Mapping[str, Any]:
        """The job as the service describes it."""
        what = f"Looking at job {job!r}"

        def call() -> Mapping[str, Any]:
            return _mapping(self._request("GET", f"batches/{job}", what), what)

        return self._run(what, call)

    def jobs(self) -> Iterator[Mapping[str, Any]]:
        """Every job of the account, the newest first."""
        what = "Listing the batch jobs"
        after = ""
        while True:
            asked = {"limit": str(PAGE), **({"after": after} if after else {})}
            page = self._run(what, partial(self._page, what, asked))
            yield from page["data"]
            if not page.get("has_more") or not page["data"]:
                return
            after = str(page["data"][-1]["id"])

    def has_file(self, file: str) -> bool:
        """Whether the service has this file."""
        what = f"Looking at {file!r}"
        try:
            self._run(what, lambda: self._request("GET", f"files/{file}", what))
        except ModelUnknown:
            return False
        return True

    def cancel_job(self, job: str) -> None:
        """Ask the service to cancel the job."""
        what = f"Cancelling job {job!r}"
        self._run(what, lambda: self._request("POST", f"batches/{job}/cancel", what))

    def delete_file(self, file: str) -> None:
        """Delete the file."""
        what = f"Deleting {file!r}"
        self._run(what, lambda: self._request("DELETE", f"files/{file}", what))

    def download(self, file: str, into: IO[bytes]) -> None:
        """Write the content of a file of the service to `into`, in pieces."""
        what = f"Fetching the results in {file!r}"

        def call() -> None:
            into.seek(0)
            into.truncate()
            address = self.reach.endpoint.address(f"files/{file}/content")
            timeout = self.reach.timeout * PIECE
            with self._http.get().stream("GET", address, timeout=timeout) as response:
                if not response.is_success:
                    response.read()
                    raise refusal_of(response.status_code, response.headers, _json_of(response))
                for piece in response.iter_bytes(DOWNLOAD_BYTES):
                    into.write(piece)

        self._run(what, call)

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        self._http.close()

    def _page(self, what: str, asked: Mapping[str, str]) -> Mapping[str, Any]:
        page = _mapping(self._request("GET", "batches", what, parameters=asked), what)
        data = page.get("data")
        if not isinstance(data, list) or not all(_has_id(one) for one in data):
            raise AnswerInvalid(f"{what}: wanted a list of jobs, got something else.")
        return page

    def _run(self, what: str, call: Callable[[], Answer], *, again: bool = True) -> Answer:
        patience = min(self.reach.patience, LONGEST_PATIENCE)
        return self._calls.run(what, call, patience=patience, again=again)

    def _request(
        self,
        method: str,
        path: str,
        what: str,
        *,
        parameters: Mapping[str, str] = {},
        timeout: float | None = None,
        **content: Any,
    ) -> Any:
        """The JSON of an answer. Raises Refusal, AnswerInvalid, and what the HTTP client raises."""
        address = self.reach.endpoint.address(path, parameters)
        seconds = self.reach.timeout if timeout is None else timeout
        response = self._http.get().request(method, address, timeout=seconds, **content)
        body = _json_of(response)
        if not response.is_success:
            raise refusal_of(response.status_code, response.headers, body)
        if body is None:
            raise AnswerInvalid(f"{what}: the answer is not JSON.", hint="Nothing of it was used.")
        return body

    def _connect(self) -> httpx2.Client:
        from semantic_core.remote import http_client  # it loads the HTTP client

        endpoint = self.reach.endpoint
        return http_client(
            self._secret,
            endpoint.base_url,
            endpoint.key_place,
            plugin=PLUGIN,
            heard=self.clock.hear,
            is_download=is_download,
        )


def _json_of(response: httpx2.Response) -> Any:
    """The JSON of an answer; None if it is none. NaN and infinity are numbers here."""
    try:
        return json.loads(response.content)
    except ValueError:  # not JSON, or not in UTF-8
        return None


def _has_id(answer: object) -> bool:
    return isinstance(answer, Mapping) and isinstance(answer.get("id"), str) and bool(answer["id"])


def _id_in(answer: object, what: str) -> str:
    if not isinstance(answer, Mapping) or not _has_id(answer):
        raise AnswerInvalid(f"{what}: wanted an answer with an id, got one without.")
    return str(answer["id"])


def _mapping(answer: object, what: str) -> Mapping[str, Any]:
    if not isinstance(answer, Mapping):
        raise AnswerInvalid(f"{what}: wanted an object, got something else.")
    return answer


def _close(http: httpx2.Client) -> None:
    http.close()
