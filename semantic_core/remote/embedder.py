"""`RemoteEmbedder` and `RemoteBatchEmbedder`: what the embedders of a paid service have in common.

A plugin derives its embedder from one of them, checks its own options, and makes the calls.

Tested by tests/remote/test_embedder.py and the tests of the plugins for Gemini and OpenAI.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from decimal import Decimal
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, Protocol

from semantic_core.errors import InputError, TextInvalid
from semantic_core.remote.clock import Clock
from semantic_core.remote.passages import PassageBatches
from semantic_core.remote.prices import MILLION, Price
from semantic_core.remote.recent import Queries
from semantic_core.remote.usage import Usage, UsageMeter

if TYPE_CHECKING:
    from semantic_core._jobs import JobState, PriceTier
    from semantic_core._metering import Spent
    from semantic_core.types import Space, Vector, Vectors

BLANK: Final = "-"
"""What is sent for a blank text: services refuse an empty one."""


def text_to_send(text: str) -> str:
    """The text as it may be sent; "-" for a blank one.

    Raises TextInvalid for what is not text, or cannot be encoded.
    """
    if not isinstance(text, str):
        raise TextInvalid(f"A text to embed must be a str, got {type(text).__name__}.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise TextInvalid(
            f"A text to embed contains a lone surrogate at character {error.start}.",
            hint='Decode the source with errors="replace".',
        ) from error
    return text if text.strip() else BLANK


class TextForms(Protocol):
    """How texts are sent to a service. The same text and the same space give the same vector."""

    @property
    def space(self) -> Space:
        """Identity of the vectors. It differs wherever a text would be sent differently."""
        ...

    def query(self, text: str) -> str:
        """The text that is sent for a query. See `text_to_send` for what it should refuse."""
        ...

    def document(self, text: str) -> str:
        """The text that is sent for a passage."""
        ...


class BatchJobs(Protocol):
    """A client for the batch jobs of a service; see `semantic_core.protocols.BatchEmbedder`."""

    def submit(self, passages: Mapping[str, str], name: str) -> str:
        """Create a job with this name; returns the service's id of it.

        Call `find` first: an existing job is not searched for here.
        """
        ...

    def find(self, name: str) -> str | None:
        """The job that was submitted with this name; None if there is none."""
        ...

    def state(self, job: str) -> JobState:
        """The state of the job. Raises JobUnknown."""
        ...

    def results(self, job: str) -> Iterator[tuple[str, Vector | Exception]]:
        """(key, vector) or (key, error) for each result, in any order, one by one."""
        ...

    def cancel(self, job: str) -> None:
        """Ask the service to cancel the job. Raises JobUnknown."""
        ...

    def clean_up(self, job: str) -> None:
        """Delete the job and its files from the service. It is no error if they do not exist."""
        ...

    def now(self) -> float | None:
        """Seconds since 1970 by the service's clock; None before its first answer."""
        ...


class RemoteEmbedder(ABC):
    """The embedder of a service that is paid by tokens.

    A subclass defines `call_documents`, `call_query`, `seconds` and `close`. Everything else that
    an embedder with prices needs is here: passages are packed into calls, equal ones are sent once,
    one that the service refuses is found by splitting a call, the vectors of the others are
    remembered, and so are those of queries. Safe to use from several threads if the calls are.

    forms: how texts are sent. estimate: tokens of a text in the form in which it is sent.
    batch_size: passages that a caller should give at a time. max_chars: longest passage, in
    characters. call_texts, call_tokens: most texts and tokens of a call. remembered_queries: number
    of query vectors held in memory. price: per million tokens.

    meter: counts the usage. The calls of the subclass add what each answer cost:
    ``self.meter.add(requests=1, texts=2, tokens=37)``.
    """

    def __init__(
        self,
        forms: TextForms,
        estimate: Callable[[str], int],
        *,
        batch_size: int,
        max_chars: int,
        call_texts: int,
        call_tokens: int,
        remembered_queries: int,
        price: Price,
        clock: Clock,
    ) -> None:
        self._forms = forms
        self._estimate = estimate
        self._batch_size = batch_size
        self._max_chars = max_chars
        self._price = price
        self.meter = UsageMeter()
        self._queries = Queries(remembered_queries)
        self._passages = PassageBatches(
            self.call_documents, estimate, call_texts, call_tokens, clock.now
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.space})"

    @abstractmethod
    def call_documents(self, texts: list[str], tokens: int, found: dict[int, Vector]) -> None:
        """Send one call for passages, and put each vector into `found` by the position of its text.

        texts: in the form in which they are sent. tokens: of all of them, as estimated. Vectors
        that came before an error are to be in `found`, too.
        """

    @abstractmethod
    def call_query(self, request: str) -> Vector:
        """Send one call for a query, in the form in which it is sent; returns its vector."""

    @abstractmethod
    def seconds(self, passages: int, tokens: int) -> float:
        """Minimum seconds for embedding this many in calls, by the rate limit."""

    @abstractmethod
    def close(self) -> None:
        """Close the connections. The next call opens new ones."""

    @property
    def space(self) -> Space:
        """Identity of the vectors: the model, and all that decides how a text is sent."""
        return self._forms.space

    @property
    def batch_size(self) -> int:
        """Number of passages that a call should contain; more are allowed."""
        return self._batch_size

    @property
    def max_chars(self) -> int:
        """Longest passage a splitter should make, in characters.

        A longer text is cut at the model's limit.
        """
        return self._max_chars

    @property
    def usage(self) -> Usage:
        """Texts and tokens used since this embedder was created."""
        return self.meter.read()

    @property
    def prices(self) -> Price:
        """The price per million tokens, with the date and the source of the figures."""
        return self._price

    @property
    def currency(self) -> str:
        """The currency of the prices, such as "USD"."""
        return self._price.currency

    def price(self, tier: PriceTier) -> Decimal:
        """The price per million tokens: "interactive" for calls, "batch" for jobs."""
        return self._price.of(MILLION, tier)

    def tokens(self, passages: Sequence[str]) -> int:
        """Estimated number of tokens of all these passages together. Nothing is sent."""
        return sum(self._estimate(self._forms.document(passage)) for passage in passages)

    def metered(self) -> AbstractContextManager[Spent]:
        """See `semantic_core.protocols.Metered`: texts and tokens as the service counts them."""
        return self.meter.blocks.metered()

    def embed_documents(self, passages: Sequence[str]) -> Vectors:
        """Vectors as float32 of shape (len(passages), dimensions), rows of length 1, in order.

        [] gives shape (0, dimensions).

        Raises PassageRefused with the positions of texts that the service refuses, and
        AnswerInvalid with the positions of texts without a valid vector, after all others are done;
        EmbedderUnavailable, with the vectors so far remembered; TextInvalid before anything is
        sent.
        """
        import numpy as np

        if isinstance(passages, str):
            raise InputError(
                "passages must be a sequence of str, got one str.", hint="Pass a list of str."
            )
        rows = self._passages.run([self._forms.document(passage) for passage in passages])
        vectors = np.empty((len(rows), self.space.dimensions), dtype=np.float32)
        for place, row in enumerate(rows):
            vectors[place] = row
        return vectors

    def embed_query(self, text: str) -> Vector:
        """The vector as float32 of shape (dimensions,), of length 1.

        A text longer than the model's limit is cut. A remembered query is answered from memory, and
        threads that ask for the same one at the same time share one call.
        """
        request = self._forms.query(text)
        key = blake2b(request.encode(), digest_size=16).hexdigest()
        return self._queries.get(key, partial(self.call_query, request))


class RemoteBatchEmbedder(RemoteEmbedder):
    """The embedder of a service that also takes batch jobs.

    A subclass defines `batch_client`, too.
    """

    @abstractmethod
    def batch_client(self) -> BatchJobs:
        """The client for batch jobs in the same vector space.

        Raises ConfigError where there are no batch jobs.
        """

    def submit(self, passages: Mapping[str, str], name: str) -> str:
        """See `BatchJobs.submit`."""
        return self.batch_client().submit(passages, name)

    def find(self, name: str) -> str | None:
        """See `BatchJobs.find`."""
        return self.batch_client().find(name)

    def state(self, job: str) -> JobState:
        """See `BatchJobs.state`."""
        return self.batch_client().state(job)

    def results(self, job: str) -> Iterator[tuple[str, Vector | Exception]]:
        """See `BatchJobs.results`."""
        return self.batch_client().results(job)

    def cancel(self, job: str) -> None:
        """See `BatchJobs.cancel`."""
        self.batch_client().cancel(job)

    def clean_up(self, job: str) -> None:
        """See `BatchJobs.clean_up`."""
        self.batch_client().clean_up(job)

    def now(self) -> float | None:
        """See `BatchJobs.now`."""
        return self.batch_client().now()
