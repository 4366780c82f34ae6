"""The embedder: texts to vectors by way of the service, each paid for once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from decimal import Decimal
from hashlib import blake2b
from typing import TYPE_CHECKING, Annotated, Final

from semantic_core.errors import InputError
from semantic_core_gemini.batches import GeminiBatchClient
from semantic_core_gemini.job_lines import KEPT_SECONDS
from semantic_core_gemini.models import MOST_TEXTS
from semantic_core_gemini.options import (
    MAX_CHARS,
    MODEL,
    SIZE,
    TASK,
    TEXTS_PER_MINUTE,
    TOKENS_PER_MINUTE,
    common,
    passage_limits,
    seconds,
    whole,
)
from semantic_core_gemini.passages import PassageBatches
from semantic_core_gemini.pricing import MILLION, Price, PriceEstimate, PriceTier
from semantic_core_gemini.service import API_VERSION, Service
from semantic_core_gemini.tokens import Sample, estimated
from semantic_core_gemini.usage import Usage, UsageMeter
from semantic_core_gemini.vectors import Queries

if TYPE_CHECKING:
    from semantic_core import Space
    from semantic_core.batch import JobState, Spent
    from semantic_core.types import Vector, Vectors
    from semantic_core_gemini.keys import GoogleKeyring
    from semantic_core_gemini.pacing import Clock

__all__ = ["GeminiEmbedder"]

JOB_TOKENS: Final = 100_000
"""Users of the first paid tier report that jobs of somewhat more are refused."""


class GeminiEmbedder:
    """Turns text into Gemini vectors, of length 1 in every size.

    Passages are sent in calls of at most 100 texts and about 20,000 tokens, equal ones once. Calls
    keep to its allowance, wait when told to, and are tried again where that helps. A
    text the service refuses is found by halving; the vectors of the others are kept, so that asking
    again costs nothing. Queries are remembered.

    keyring: whose keys; without it those in GEMINI_API_KEY and GEMINI_BATCH_KEY. The other options
    say what they are in ``semantic-core plugins show gemini``. Raises ConfigError on an option it
    cannot work with, KeyMissing without a key.

    Safe to use from several threads; nothing is imported or connected before the first text. It
    also has the methods of a batch embedder (submit, find, state, results, cancel, clean_up) and
    knows what it costs.
    """

    def __init__(
        self,
        keyring: Annotated[
            GoogleKeyring | None, "the keys; without them GEMINI_API_KEY and GEMINI_BATCH_KEY"
        ] = None,
        *,
        model: Annotated[
            str, "gemini-embedding-001 or gemini-embedding-2; their vectors never mix"
        ] = MODEL,
        dimensions: Annotated[
            int, "numbers per vector, 128 to 3072; advised are 768, 1536 and 3072"
        ] = SIZE,
        task: Annotated[
            str,
            (
                "retrieval, question_answering, fact_checking, code_retrieval, similarity, "
                "classification or clustering"
            ),
        ] = TASK,
        max_chars: Annotated[
            int, "longest passage in characters; documents are cut into passages no longer"
        ] = MAX_CHARS,
        batch_size: Annotated[int, "passages in one call, at most 100"] = MOST_TEXTS,
        texts_per_minute: Annotated[
            int, "texts it may embed in a minute, of what its project may; 0: any number"
        ] = TEXTS_PER_MINUTE,
        tokens_per_minute: Annotated[
            int, "tokens it may embed in a minute, likewise; 0: any number"
        ] = TOKENS_PER_MINUTE,
        timeout: Annotated[float, "seconds an answer may take"] = 60.0,
        patience: Annotated[
            float, "seconds a call for documents may take with all its waiting"
        ] = 600.0,
        query_timeout: Annotated[
            float, "seconds a query may take with all its waiting; then words answer"
        ] = 10.0,
        remembered_queries: Annotated[int, "vectors of queries kept in memory"] = 1_000,
        price: Annotated[
            Price | Mapping[str, object] | None,
            "your own price of a million tokens: interactive, batch, currency, as_of, source",
        ] = None,
        base_url: Annotated[
            str, "address of the service; without it GOOGLE_GEMINI_BASE_URL, else Google's"
        ] = "",
        api_version: Annotated[str, "version of the service's interface"] = API_VERSION,
        clock: Annotated[Clock | None, "what tells the time and waits; for tests"] = None,
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
        whole("remembered_queries", remembered_queries)
        for name, limit in (
            ("texts_per_minute", texts_per_minute),
            ("tokens_per_minute", tokens_per_minute),
        ):
            whole(name, limit, least=0)
        self._given = given
        self._recipe = given.recipe
        self._max_chars = max_chars
        self._batch_size = batch_size
        self._query_timeout = seconds("query_timeout", query_timeout)
        self._service = Service(
            given.keyring.default_key, given.reach, given.clock, texts_per_minute, tokens_per_minute
        )
        pace = self._service.pace
        self._meter = UsageMeter()
        self._queries = Queries(remembered_queries)
        self._passages = PassageBatches(
            self._call,
            min(batch_size, pace.burst_texts or batch_size),
            pace.burst_tokens,
            given.clock.now,
        )
        self._batches: GeminiBatchClient | None = None

    def __repr__(self) -> str:
        return f"GeminiEmbedder({self.space})"

    @property
    def space(self) -> Space:
        """Identity of the vectors: model, dimensions, task and the form texts are put into."""
        return self._recipe.space

    @property
    def batch_size(self) -> int:
        """Passages a call should be given; more work as well."""
        return self._batch_size

    @property
    def job_tokens(self) -> int:
        """Tokens one job should have, at most: more of them under way are refused to many
        projects, whatever the size of a file.
        """
        return JOB_TOKENS

    @property
    def results_kept(self) -> float:
        """Seconds the service keeps the results of a job that is done."""
        return KEPT_SECONDS

    @property
    def max_chars(self) -> int:
        """Longest passage worth making, in characters.

        Longer ones are read as far as the model reads.
        """
        return self._max_chars

    @property
    def usage(self) -> Usage:
        """What was used since this embedder was made."""
        return self._meter.read()

    @property
    def prices(self) -> Price:
        """What a million tokens cost, with the day and the source of these numbers."""
        return self._given.price

    @property
    def currency(self) -> str:
        """What prices are in, such as "USD"."""
        return self._given.price.currency

    def price(self, tier: PriceTier) -> Decimal:
        """What a million tokens cost: "interactive", or "batch" in a job."""
        return self._given.price.of(MILLION, tier)

    def tokens(self, passages: Sequence[str]) -> int:
        """How many tokens these passages have, all together, about.

        Asks nobody and costs nothing; see `estimate`.
        """
        return sum(estimated(self._recipe.document(passage)) for passage in passages)

    def seconds(self, passages: int, tokens: int) -> float:
        """How long embedding so many takes interactively, at least:
        what its allowance makes of it.
        """
        return self._service.pace.seconds(passages, tokens)

    def embed_documents(self, passages: Sequence[str]) -> Vectors:
        """float32 of shape (len(passages), dimensions), rows of length 1, in order.

        [] gives (0, dimensions).

        Raises PassageRefused with the places of the texts the service does not take, and
        AnswerInvalid with those it has no vector for that counts, when all others are done;
        EmbedderUnavailable with what was paid for kept; TextInvalid before anything is sent.
        """
        import numpy as np

        if isinstance(passages, str):
            raise InputError(
                "passages must be a sequence of str, got one str.", hint="Put it into a list."
            )
        rows = self._passages.run([self._recipe.document(passage) for passage in passages])
        vectors = np.empty((len(rows), self._recipe.dimensions), dtype=np.float32)
        for place, row in enumerate(rows):
            vectors[place] = row
        return vectors

    def embed_query(self, text: str) -> Vector:
        """float32 of shape (dimensions,), of length 1.

        Of a text longer than the model reads, the beginning.

        A query asked before is answered from memory. It waits `query_timeout` seconds at most, all
        waiting taken together.
        """
        asked = self._recipe.query(text)
        key = blake2b(f"{self.space!r}\x1e{asked}".encode(), digest_size=16).hexdigest()
        return self._queries.get(key, lambda: self._asked(asked))

    def estimate(self, passages: Iterable[str], *, ask: bool = True) -> PriceEstimate:
        """What embedding these passages takes. Nothing is embedded; equal passages count once.

        ask: whether the service may count the tokens of a sample of at most 100 passages, in one
        call that costs nothing, which sets the estimate right. Without it tokens are told by kind
        of character. Passages are read once, one by one.
        """
        sample = Sample()
        for passage in passages:
            sample.add(self._recipe.document(passage))
        counted = (
            self._service.count(self._recipe.model, sample.texts) if ask and sample.texts else None
        )
        tokens = sample.tokens(counted)
        return PriceEstimate(
            texts=sample.count,
            tokens=tokens,
            counted=len(sample.texts) if counted is not None else 0,
            price=self.prices,
            seconds=self.seconds(sample.count, tokens),
        )

    def batch_client(self) -> GeminiBatchClient:
        """Batch jobs in the same space, with the key for batches.

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
        """Let go of the connections. It can be used again; then they are made anew."""
        self._service.close()
        if self._batches is not None:
            self._batches.close()

    def _asked(self, query: str) -> Vector:
        found: dict[int, Vector] = {}
        self._call([query], estimated(query), found, query=True)
        return found[0]

    def _call(
        self, texts: list[str], tokens: int, found: dict[int, Vector], *, query: bool = False
    ) -> None:
        form = self._recipe.form
        self._service.embed(
            self._recipe.model,
            texts,
            form.query_task if query else form.document_task,
            self._recipe.dimensions,
            tokens=tokens,
            meter=self._meter,
            timeout=min(self._query_timeout, self._given.reach.timeout)
            if query
            else self._given.reach.timeout,
            patience=self._query_timeout if query else self._given.reach.patience,
            found=found,
        )
