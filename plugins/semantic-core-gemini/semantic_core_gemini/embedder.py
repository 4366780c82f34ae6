"""The embedder: turns texts into vectors with Google's service, and pays for each text once.

Tested by tests/test_embedder.py, tests/test_estimate.py and tests/test_contract.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from decimal import Decimal
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Annotated, Final

from semantic_core.errors import InputError
from semantic_core.remote import (
    PassageBatches,
    Queries,
    Usage,
    UsageMeter,
    positive_seconds,
    whole_number,
)
from semantic_core_gemini.batches import GeminiBatchClient
from semantic_core_gemini.job_lines import KEPT_SECONDS
from semantic_core_gemini.models import MOST_TEXTS
from semantic_core_gemini.options import (
    MAX_CHARS,
    MODEL,
    PLUGIN,
    SIZE,
    TASK,
    TEXTS_PER_MINUTE,
    TOKENS_PER_MINUTE,
    common,
    passage_limits,
)
from semantic_core_gemini.pricing import MILLION, Price, PriceEstimate, PriceTier
from semantic_core_gemini.service import API_VERSION, Service
from semantic_core_gemini.tokens import RULE, Sample

if TYPE_CHECKING:
    from semantic_core import Space
    from semantic_core.batch import JobState, Spent
    from semantic_core.remote import Clock
    from semantic_core.types import Vector, Vectors
    from semantic_core_gemini.keys import GoogleKeyring

__all__ = ["GeminiEmbedder"]

CALL_TOKENS: Final = 20_000
"""Most tokens in a call, so that a call that fails loses little and an answer comes in seconds."""
JOB_TOKENS: Final = 100_000
"""Most tokens in one job: users of the first paid tier report that larger jobs are refused."""


class GeminiEmbedder:
    """Turns text into Gemini vectors, normalised to length 1 in every size.

    Passages are sent in calls of at most 100 texts and about 20,000 tokens; equal passages are sent
    once. Calls stay within the rate limit, wait if the service asks for it, and are retried where
    that helps. A text that the service refuses is found by splitting the call in halves; the
    vectors of the other texts are remembered, so that a second attempt costs nothing. Query vectors
    are remembered, too.

    keyring: the keys; without it, those in GEMINI_API_KEY and GEMINI_BATCH_KEY are used. The other
    options are described by ``semantic-core plugins show gemini``. Raises ConfigError for an
    invalid option, KeyMissing without a key.

    Safe to use from several threads. Nothing is imported or connected before the first text. It
    also has the methods of a batch embedder (submit, find, state, results, cancel, clean_up), and
    knows its prices.
    """

    def __init__(
        self,
        keyring: Annotated[
            GoogleKeyring | None, "the keys; without it, GEMINI_API_KEY and GEMINI_BATCH_KEY"
        ] = None,
        *,
        model: Annotated[
            str, "gemini-embedding-001 or gemini-embedding-2; their vectors cannot be compared"
        ] = MODEL,
        dimensions: Annotated[
            int, "numbers per vector, 128 to 3072; Google recommends 768, 1536 and 3072"
        ] = SIZE,
        task: Annotated[
            str,
            (
                "retrieval, question_answering, fact_checking, code_retrieval, similarity, "
                "classification or clustering"
            ),
        ] = TASK,
        max_chars: Annotated[
            int,
            (
                "longest passage, in characters; documents are split into passages of at most this "
                "length"
            ),
        ] = MAX_CHARS,
        batch_size: Annotated[int, "passages in one call, at most 100"] = MOST_TEXTS,
        texts_per_minute: Annotated[
            int,
            (
                "share of the project's limit of texts per minute that this embedder may use; 0 "
                "for no limit"
            ),
        ] = TEXTS_PER_MINUTE,
        tokens_per_minute: Annotated[
            int, "the same for tokens per minute; 0 for no limit"
        ] = TOKENS_PER_MINUTE,
        timeout: Annotated[float, "maximum seconds to wait for an answer"] = 60.0,
        patience: Annotated[
            float, "maximum seconds a call for documents may take, including all waiting"
        ] = 600.0,
        query_timeout: Annotated[
            float,
            (
                "maximum seconds a query may take, including all waiting; after that, full-text "
                "search answers"
            ),
        ] = 10.0,
        remembered_queries: Annotated[int, "number of query vectors held in memory"] = 1_000,
        price: Annotated[
            Price | Mapping[str, object] | None,
            "your own price per million tokens: interactive, batch, currency, as_of, source",
        ] = None,
        base_url: Annotated[
            str, "address of the service; default: GOOGLE_GEMINI_BASE_URL, else Google's"
        ] = "",
        api_version: Annotated[str, "version of the service's interface"] = API_VERSION,
        clock: Annotated[Clock | None, "the clock that tells the time and waits; for tests"] = None,
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
            price=price,
            clock=clock,
        )
        passage_limits(given.recipe, max_chars, batch_size)
        whole_number(PLUGIN, "remembered_queries", remembered_queries)
        whole_number(PLUGIN, "texts_per_minute", texts_per_minute, least=0)
        whole_number(PLUGIN, "tokens_per_minute", tokens_per_minute, least=0)
        self._given = given
        self._recipe = given.recipe
        self._max_chars = max_chars
        self._batch_size = batch_size
        self._query_timeout = positive_seconds(PLUGIN, "query_timeout", query_timeout)
        self._service = Service(
            given.keyring.default_key, given.reach, given.clock, texts_per_minute, tokens_per_minute
        )
        pace = self._service.pace
        self._meter = UsageMeter()
        self._queries = Queries(remembered_queries)
        self._passages = PassageBatches(
            self._call,
            RULE.tokens,
            max(1, int(min(batch_size, pace.burst_requests or batch_size))),
            int(min(CALL_TOKENS, pace.burst_tokens or CALL_TOKENS)),
            given.clock.now,
        )
        self._batches: GeminiBatchClient | None = None

    def __repr__(self) -> str:
        return f"GeminiEmbedder({self.space})"

    @property
    def space(self) -> Space:
        """Identity of the vectors: model, dimensions, task and the form of the requests."""
        return self._recipe.space

    @property
    def batch_size(self) -> int:
        """Number of passages that a call should contain; more are allowed."""
        return self._batch_size

    @property
    def job_tokens(self) -> int:
        """Most tokens that one job should have.

        Many projects may not have more tokens in progress, whatever the size of a file.
        """
        return JOB_TOKENS

    @property
    def results_kept(self) -> float:
        """Seconds for which the service keeps the results of a finished job."""
        return KEPT_SECONDS

    @property
    def max_chars(self) -> int:
        """Longest passage a splitter should make, in characters.

        A longer text is cut at the model's limit.
        """
        return self._max_chars

    @property
    def usage(self) -> Usage:
        """Texts and tokens used since this embedder was created."""
        return self._meter.read()

    @property
    def prices(self) -> Price:
        """The price per million tokens, with the date and the source of the figures."""
        return self._given.price

    @property
    def currency(self) -> str:
        """The currency of the prices, such as "USD"."""
        return self._given.price.currency

    def price(self, tier: PriceTier) -> Decimal:
        """The price per million tokens: "interactive" for calls, "batch" for jobs."""
        return self._given.price.of(MILLION, tier)

    def tokens(self, passages: Sequence[str]) -> int:
        """Estimated number of tokens of all these passages together.

        Nothing is sent, and it costs nothing; see `estimate` for an exact count of a sample.
        """
        return sum(RULE.tokens(self._recipe.document(passage)) for passage in passages)

    def seconds(self, passages: int, tokens: int) -> float:
        """Minimum seconds for embedding this many in calls, by the rate limit."""
        return self._service.pace.seconds(passages, tokens)

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
        rows = self._passages.run([self._recipe.document(passage) for passage in passages])
        vectors = np.empty((len(rows), self._recipe.dimensions), dtype=np.float32)
        for place, row in enumerate(rows):
            vectors[place] = row
        return vectors

    def embed_query(self, text: str) -> Vector:
        """The vector as float32 of shape (dimensions,), of length 1.

        A text longer than the model's limit is cut. A remembered query is answered from memory.
        A call takes at most `query_timeout` seconds, including all waiting.
        """
        request = self._recipe.query(text)
        key = blake2b(f"{self.space!r}\x1e{request}".encode(), digest_size=16).hexdigest()
        return self._queries.get(key, partial(self._embed_request, request))

    def estimate(self, passages: Iterable[str], *, ask: bool = True) -> PriceEstimate:
        """Estimate the cost of embedding these passages. Nothing is embedded.

        Equal passages count once. ask: let the service count the tokens of a sample of at most 100
        passages, in one call that is free, to correct the estimate; otherwise tokens are estimated
        by kind of character. Passages are read once, one by one.
        """
        sample = Sample()
        for passage in passages:
            sample.add(self._recipe.document(passage))
        counted = None
        if ask and sample.texts:
            counted = self._service.count(self._recipe.model, sample.texts)
        tokens = sample.tokens(counted)
        return PriceEstimate(
            texts=sample.count,
            tokens=tokens,
            counted=len(sample.texts) if counted is not None else 0,
            price=self.prices,
            seconds=self.seconds(sample.count, tokens),
        )

    def batch_client(self) -> GeminiBatchClient:
        """The client for batch jobs in the same vector space, with the key for batches.

        Raises BatchKeyMissing if there is none.
        """
        if self._batches is None:
            self._batches = GeminiBatchClient.of(self._given, self._meter)
        return self._batches

    def submit(self, passages: Mapping[str, str], name: str) -> str:
        """See `GeminiBatchClient.submit`.

        Raises BatchKeyMissing before anything is read or sent.
        """
        return self.batch_client().submit(passages, name)

    def find(self, name: str) -> str | None:
        """See `GeminiBatchClient.find`."""
        return self.batch_client().find(name)

    def state(self, job: str) -> JobState:
        """See `GeminiBatchClient.state`."""
        return self.batch_client().state(job)

    def results(self, job: str) -> Iterator[tuple[str, Vector | Exception]]:
        """See `GeminiBatchClient.retrieve_results`."""
        return self.batch_client().retrieve_results(job)

    @property
    def account(self) -> str:
        """See `GeminiBatchClient.account`; "" without a key for batches."""
        return self.batch_client().account if self._given.keyring.batch_key is not None else ""

    def now(self) -> float | None:
        """See `GeminiBatchClient.now`. Raises BatchKeyMissing."""
        return self.batch_client().now()

    def metered(self) -> AbstractContextManager[Spent]:
        """See `semantic_core.protocols.Metered`: texts and tokens as the service counts them."""
        return self._meter.blocks.metered()

    def cancel(self, job: str) -> None:
        """See `GeminiBatchClient.cancel`."""
        self.batch_client().cancel(job)

    def clean_up(self, job: str) -> None:
        """See `GeminiBatchClient.clean_up`."""
        self.batch_client().clean_up(job)

    def close(self) -> None:
        """Close the connections. The next call opens new ones."""
        self._service.close()
        if self._batches is not None:
            self._batches.close()

    def _embed_request(self, request: str) -> Vector:
        """The vector of one query, in the form in which it is sent."""
        found: dict[int, Vector] = {}
        reach = self._given.reach
        self._service.embed(
            self._recipe.model,
            [request],
            self._recipe.form.query_task,
            self._recipe.dimensions,
            tokens=RULE.tokens(request),
            meter=self._meter,
            timeout=min(self._query_timeout, reach.timeout),
            patience=self._query_timeout,
            found=found,
        )
        return found[0]

    def _call(self, texts: list[str], tokens: int, found: dict[int, Vector]) -> None:
        """One call for documents: puts the vectors into `found`, by position."""
        reach = self._given.reach
        self._service.embed(
            self._recipe.model,
            texts,
            self._recipe.form.document_task,
            self._recipe.dimensions,
            tokens=tokens,
            meter=self._meter,
            timeout=reach.timeout,
            patience=reach.patience,
            found=found,
        )
