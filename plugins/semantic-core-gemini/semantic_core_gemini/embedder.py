"""The embedder: turns texts into vectors with Google's service, and pays for each text once.

Tested by tests/test_embedder.py, tests/test_estimate.py and tests/test_contract.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Final

from semantic_core.remote import (
    RemoteBatchEmbedder,
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
from semantic_core_gemini.pricing import Price, PriceEstimate
from semantic_core_gemini.service import API_VERSION, Service
from semantic_core_gemini.tokens import RULE, Sample

if TYPE_CHECKING:
    from semantic_core.remote import Clock
    from semantic_core.types import Vector
    from semantic_core_gemini.keys import GoogleKeyring

__all__ = ["GeminiEmbedder"]

CALL_TOKENS: Final = 20_000
"""Most tokens in a call, so that a call that fails loses little and an answer comes in seconds."""
JOB_TOKENS: Final = 100_000
"""Most tokens in one job: users of the first paid tier report that larger jobs are refused."""


class GeminiEmbedder(RemoteBatchEmbedder):
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
        self._query_timeout = positive_seconds(PLUGIN, "query_timeout", query_timeout)
        self._service = Service(
            given.keyring.default_key, given.reach, given.clock, texts_per_minute, tokens_per_minute
        )
        pace = self._service.pace
        super().__init__(
            given.recipe,
            RULE.tokens,
            batch_size=batch_size,
            max_chars=max_chars,
            call_texts=max(1, int(min(batch_size, pace.burst_requests or batch_size))),
            call_tokens=int(min(CALL_TOKENS, pace.burst_tokens or CALL_TOKENS)),
            remembered_queries=remembered_queries,
            price=given.price,
            clock=given.clock,
        )
        self._batches: GeminiBatchClient | None = None

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

    def seconds(self, passages: int, tokens: int) -> float:
        """Minimum seconds for embedding this many in calls, by the rate limit."""
        return self._service.pace.seconds(passages, tokens)

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
            self._batches = GeminiBatchClient.of(self._given, self.meter)
        return self._batches

    @property
    def account(self) -> str:
        """See `GeminiBatchClient.account`; "" without a key for batches."""
        return self.batch_client().account if self._given.keyring.batch_key is not None else ""

    def close(self) -> None:
        """Close the connections. The next call opens new ones."""
        self._service.close()
        if self._batches is not None:
            self._batches.close()

    def call_query(self, request: str) -> Vector:
        """The vector of one query, in the form in which it is sent."""
        found: dict[int, Vector] = {}
        reach = self._given.reach
        self._service.embed(
            self._recipe.model,
            [request],
            self._recipe.form.query_task,
            self._recipe.dimensions,
            tokens=RULE.tokens(request),
            meter=self.meter,
            timeout=min(self._query_timeout, reach.timeout),
            patience=self._query_timeout,
            found=found,
        )
        return found[0]

    def call_documents(self, texts: list[str], tokens: int, found: dict[int, Vector]) -> None:
        """One call for documents: puts the vectors into `found`, by position."""
        reach = self._given.reach
        self._service.embed(
            self._recipe.model,
            texts,
            self._recipe.form.document_task,
            self._recipe.dimensions,
            tokens=tokens,
            meter=self.meter,
            timeout=reach.timeout,
            patience=reach.patience,
            found=found,
        )
