"""The embedder: turns texts into vectors with a service, and pays for each text once.

Tested by tests/test_embedder.py and tests/test_contract.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

from semantic_core.errors import ConfigError
from semantic_core.remote import (
    PassageTooLong,
    Price,
    RemoteBatchEmbedder,
    cut_to_fit,
    positive_seconds,
    whole_number,
)
from semantic_core_openai.batches import OpenAIBatchClient
from semantic_core_openai.job_lines import JOB_ITEMS, KEPT_SECONDS
from semantic_core_openai.models import RULE
from semantic_core_openai.options import (
    BATCH_SIZE,
    CALL_TOKENS,
    JOB_TOKENS,
    MAX_CHARS,
    MODEL,
    OPEN_TOKENS,
    common,
    pacing_of,
)
from semantic_core_openai.service import PLUGIN, EmbeddingService

if TYPE_CHECKING:
    from semantic_core.remote import Clock
    from semantic_core.types import Vector
    from semantic_core_openai.keys import OpenAIKeyring

__all__ = ["OpenAIEmbedder"]

MOST_TEXTS: Final = 2_048
"""Most texts in a call at OpenAI."""
JOB_SECONDS: Final = 25 * 3_600.0
"""After so many seconds a job is late: OpenAI ends each within 24 hours by itself."""
QUERY_CUTS: Final = 12
"""Most times that a query is cut before it counts as refused."""


class OpenAIEmbedder(RemoteBatchEmbedder):
    """Turns text into vectors with OpenAI, or any server with the same interface, normalised to
    length 1.

    Passages are sent in calls of at most `batch_size` texts and about 100,000 tokens; equal
    passages are sent once. Calls stay within the rate limit, wait if the service asks for it, and
    are retried where that helps. A call that is too long is split; a single text that is too long
    is cut. A text that the service refuses is found by splitting the call in halves; the vectors of
    the other texts are remembered, so that a second attempt costs nothing. Query vectors are
    remembered, too.

    The options are described by ``semantic-core plugins show openai``. Raises ConfigError for an
    invalid option, KeyMissing without a key.

    Safe to use from several threads. Nothing is imported or connected before the first text. It
    also has the methods of a batch embedder (submit, find, state, results, cancel, clean_up), and
    knows its prices.
    """

    def __init__(
        self,
        keyring: Annotated[
            OpenAIKeyring | None, "the keys; without it, those in the environment"
        ] = None,
        *,
        base_url: Annotated[
            str, "address of the service, up to /v1; default: OPENAI_BASE_URL, else OpenAI's"
        ] = "",
        model: Annotated[str, "name of the model, as the service has it"] = MODEL,
        dimensions: Annotated[
            int | None,
            "numbers per vector; needed for a model that is not OpenAI's, else the whole vector",
        ] = None,
        key_variable: Annotated[
            str,
            (
                "environment variable with the key; default: OPENAI_API_KEY for OpenAI, and no key "
                "for this machine"
            ),
        ] = "",
        batch_key_variable: Annotated[
            str, "environment variable with another key for batch jobs; default: the same key"
        ] = "",
        query_prefix: Annotated[str, "what is put before each query, such as 'query: '"] = "",
        document_prefix: Annotated[
            str, "what is put before each passage, such as 'passage: '"
        ] = "",
        query_fields: Annotated[
            Mapping[str, Any] | None,
            "further fields of a request for a query, such as {input_type = 'query'}",
        ] = None,
        document_fields: Annotated[
            Mapping[str, Any] | None, "further fields of a request for passages"
        ] = None,
        send_dimensions: Annotated[
            bool | None,
            "whether requests say the dimensions; default: where they shorten a model of OpenAI",
        ] = None,
        max_chars: Annotated[
            int,
            (
                "longest passage, in characters; documents are split into passages of at most this "
                "length"
            ),
        ] = MAX_CHARS,
        max_tokens: Annotated[
            int | None,
            (
                "tokens that the model reads; longer texts are cut. Unknown for other models: the "
                "service says it"
            ),
        ] = None,
        batch_size: Annotated[int, "passages in one call, at most 2048"] = BATCH_SIZE,
        call_tokens: Annotated[int, "tokens in one call, as estimated"] = CALL_TOKENS,
        requests_per_minute: Annotated[
            int | None,
            "limit of requests per minute; 0 for none; default: 3000 for OpenAI, elsewhere none",
        ] = None,
        tokens_per_minute: Annotated[
            int | None, "the same for tokens; default: 1000000 for OpenAI, elsewhere none"
        ] = None,
        open_tokens: Annotated[int, "tokens in all batch jobs that have not ended"] = OPEN_TOKENS,
        encoding: Annotated[str, "float or base64, which is shorter on the wire"] = "float",
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
        api_version: Annotated[
            str, "version of Azure's interface, such as 2024-10-21; only for Azure"
        ] = "",
        clock: Annotated[Clock | None, "the clock that tells the time and waits; for tests"] = None,
    ) -> None:
        given = common(
            keyring,
            base_url=base_url,
            api_version=api_version,
            key_variable=key_variable,
            batch_key_variable=batch_key_variable,
            model=model,
            dimensions=dimensions,
            send_dimensions=send_dimensions,
            max_tokens=max_tokens,
            encoding=encoding,
            query_prefix=query_prefix,
            document_prefix=document_prefix,
            query_fields=query_fields,
            document_fields=document_fields,
            timeout=timeout,
            patience=patience,
            price=price,
            clock=clock,
        )
        whole_number(PLUGIN, "max_chars", max_chars)
        whole_number(PLUGIN, "batch_size", batch_size)
        if batch_size > MOST_TEXTS:
            raise ConfigError(f"openai: batch_size must be at most {MOST_TEXTS}, got {batch_size}.")
        whole_number(PLUGIN, "remembered_queries", remembered_queries)
        self._given = given
        self._recipe = given.recipe
        self._open_tokens = whole_number(PLUGIN, "open_tokens", open_tokens)
        self._query_timeout = positive_seconds(PLUGIN, "query_timeout", query_timeout)
        pacing = pacing_of(given.reach.endpoint, requests_per_minute, tokens_per_minute)
        self._service = EmbeddingService(
            given.keyring.default_key, given.reach, given.clock, pacing
        )
        most_tokens = whole_number(PLUGIN, "call_tokens", call_tokens)
        burst = self._service.pace.burst_tokens
        super().__init__(
            given.recipe,
            RULE.tokens,
            batch_size=batch_size,
            max_chars=max_chars,
            call_texts=batch_size,
            call_tokens=most_tokens if burst is None else min(most_tokens, int(burst)),
            remembered_queries=remembered_queries,
            price=given.price,
            clock=given.clock,
        )
        self._batches: OpenAIBatchClient | None = None

    @property
    def job_items(self) -> int:
        """Most passages of a job."""
        return JOB_ITEMS

    @property
    def job_tokens(self) -> int:
        """Most tokens that one job should have."""
        return min(JOB_TOKENS, self._open_tokens)

    @property
    def open_tokens(self) -> int:
        """Most tokens in all jobs that have not ended."""
        return self._open_tokens

    @property
    def job_seconds(self) -> float:
        """Seconds after which a job is late."""
        return JOB_SECONDS

    @property
    def results_kept(self) -> float:
        """Seconds for which the service keeps the results of a finished job."""
        return KEPT_SECONDS

    def seconds(self, passages: int, tokens: int) -> float:
        """Minimum seconds for embedding this many in calls, by the rate limit."""
        calls = -(-passages // self._batch_size)
        return self._service.pace.seconds(calls, tokens)

    def batch_client(self) -> OpenAIBatchClient:
        """The client for batch jobs in the same vector space.

        Raises ConfigError where there are no batch jobs.
        """
        if self._batches is None:
            self._batches = OpenAIBatchClient(self._given, self.meter)
        return self._batches

    @property
    def account(self) -> str:
        """A hash of the key for batch jobs; "" without one, and where there are no jobs."""
        if self._given.reach.endpoint.api_version:
            return ""
        return self.batch_client().account

    def close(self) -> None:
        """Close the connections. The next call opens new ones."""
        self._service.close()
        if self._batches is not None:
            self._batches.close()

    def call_query(self, request: str) -> Vector:
        """The vector of one query, in the form in which it is sent; cut if it is too long."""
        text = request
        for _ in range(QUERY_CUTS):
            try:
                return self._embed_query_once(text)
            except PassageTooLong as error:
                if len(text) <= 1:
                    raise
                text = cut_to_fit(text, error)
        return self._embed_query_once(text)

    def _embed_query_once(self, text: str) -> Vector:
        found: dict[int, Vector] = {}
        self._service.embed(
            [text],
            self._recipe.query_request(),
            self._recipe.dimensions,
            tokens=RULE.tokens(text),
            meter=self.meter,
            timeout=min(self._query_timeout, self._given.reach.timeout),
            patience=self._query_timeout,
            found=found,
        )
        return found[0]

    def call_documents(self, texts: list[str], tokens: int, found: dict[int, Vector]) -> None:
        """One call for documents: puts the vectors into `found`, by position."""
        reach = self._given.reach
        self._service.embed(
            texts,
            self._recipe.document_request(),
            self._recipe.dimensions,
            tokens=tokens,
            meter=self.meter,
            timeout=reach.timeout,
            patience=reach.patience,
            found=found,
        )
