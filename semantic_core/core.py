"""`SemanticCore`, the client: it opens store, embedder and plugins, and passes every call on.

Tested by tests/kernel/test_core.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import attrs

from semantic_core._among import keys_among
from semantic_core._announcer import Announcer
from semantic_core._config import (
    DEFAULT_ANALYSER,
    DEFAULT_EMBEDDER,
    DEFAULT_STORE,
    SEARCH_TIMEOUT,
    read_config,
)
from semantic_core._files import keep_closed, release
from semantic_core._ingest import Ingest, IngestProgress
from semantic_core._interruption import cut_cleanly
from semantic_core._matches import checked_facets, checked_order
from semantic_core._no_embedder import WordsOnly
from semantic_core._parts import Together, with_obsolete
from semantic_core._plugins.host import Plugins
from semantic_core._search import DEPTHS, QueryReading, Search
from semantic_core._similar import likeness_of
from semantic_core._sync import merged, sync
from semantic_core._typos import completions
from semantic_core._validation import (
    check_count,
    check_languages,
    check_name,
    check_seconds,
    check_unicode,
    clip,
)
from semantic_core.analysis import WORD_ANALYSER
from semantic_core.batch import (
    BatchManager,
    BatchRules,
    Budget,
    SeparateLedger,
    freshness_goals,
)
from semantic_core.errors import (
    ConfigError,
    InputError,
    ProviderNotFound,
    SpaceMismatch,
    TenantRefused,
    TenantRequired,
)
from semantic_core.filters import Filter
from semantic_core.protocols import (
    AnalysesText,
    BatchEmbedder,
    BatchQueue,
    Priced,
    TextSearch,
    VectorQueue,
)
from semantic_core.ranking import RankingOptions
from semantic_core.types import (
    INGEST_MODES,
    PASSAGES,
    WORDS_ONLY,
    Among,
    ChunkId,
    Completion,
    Document,
    IngestMode,
    IngestReport,
    Mode,
    Page,
    Passages,
    Ref,
    Scope,
    SearchHit,
    SearchRequest,
    SearchResults,
    StoredChunk,
    StoreStats,
    Where,
)

if TYPE_CHECKING:
    from semantic_core._plugins.records import PluginInfo
    from semantic_core._typos import Typos
    from semantic_core.protocols import Analyser, Embedder, Follower, Outbox, Source, Store
    from semantic_core.query_syntax import Syntax


class _Unset(str):
    """The name of a default, which was not given by the caller."""

    __slots__ = ()


_UNSET_EMBEDDER: str = _Unset(DEFAULT_EMBEDDER)
KEYRING = "keyring"
"""The option by which an embedder takes its keys."""
LEAST_CHARS = 50
"""Smallest `max_chars`, in characters: a shorter passage has too little content."""
_LANGUAGES = re.compile(r"(?:^| )languages=([\w-]+(?:,[\w-]+)*)(?: |$)", re.ASCII)
"""Where the identity of an analyser names its languages."""
MOST_COMPLETIONS = 100
"""Most completions of one text."""
LONGEST_COMPLETED = 1_000
"""Longest text that is completed, in characters: nobody types more into a search box."""
MOST_NEIGHBOURS = 1_000
"""Most passages that `context_window` returns on either side."""


class SemanticCore:
    """A client of one index for semantic search and full-text search.

    store, embedder: the name of an installed one, or an object that implements `protocols.Store` /
    `protocols.Embedder`. embedder=None, or "none" where None means "not given", creates an index
    without vectors: documents are found by full-text search only, no passage waits for a vector,
    and ``mode="hybrid"`` is ``"text"``.
    analyser: the name of an installed one, or an object that implements `protocols.Analyser`. It
    splits texts and queries into the terms of full-text search. None uses "languages" if its plugin
    is installed, else "words".
    languages: ISO codes of the languages that texts and queries are in, for a named analyser; () if
    they are not known. An index keeps the analyser and the languages it was made with: without
    both arguments they are used, others raise AnalyserMismatch. ``semantic-core doctor`` compares
    them with those that the embedder was made for. reanalyse: make the full-text index anew with
    these, now.
    path: of the named store. multi_tenant: whether a new store separates tenants; None uses the
    setting of the store, False for a new one. store_options, embedder_options: for the named ones,
    see ``semantic-core plugins show NAME``. max_chars: longest chunk in characters; None uses the
    embedder's own.
    plugins: None uses all that are installed; a sequence of names or objects uses exactly these,
    where "*" stands for all that are installed.
    plugin_options: ``{plugin: {option: value}}``, see ``semantic-core plugins show NAME``.
    search_timeout: seconds that the retriever of each plugin, or a reranker that only reorders, may
    take in one search; 0: no limit.
    freshness: how long texts may wait for their vectors ("now", "1h", "24h"), for all collections
    or by collection; see `ingest`. budget: the most to spend,
    ``{"soft": 5, "hard": 10, "per": "day"}``. batch: sizes and deadlines of batch jobs, the fields
    of `BatchRules`. ledger: for a store that keeps no ledger of batch jobs and costs, the file of
    one, or a store object that does; None uses the file PATH.ledger beside the `path` of the named
    store, if the embedder costs money or takes batch jobs. keys: the keyring of the named embedder;
    if none is named, of the one installed embedder that takes such keys. ranking: how candidates
    are ranked in every search that does not say otherwise, a `RankingOptions` or a mapping with
    some of its fields.

    Use it in a ``with`` block, or `close` it. One per process is enough; it is safe to share
    between threads. Raises PluginError, ConfigError, StoreError, SpaceMismatch, AnalyserMismatch.
    """

    def __init__(
        self,
        *,
        store: str | Store = DEFAULT_STORE,
        embedder: str | Embedder | None = _UNSET_EMBEDDER,
        analyser: str | Analyser | None = None,
        languages: Sequence[str] = (),
        path: str | Path | None = None,
        multi_tenant: bool | None = None,
        store_options: Mapping[str, Any] | None = None,
        embedder_options: Mapping[str, Any] | None = None,
        max_chars: int | None = None,
        plugins: Sequence[object | str] | None = None,
        plugin_options: Mapping[str, Mapping[str, Any]] | None = None,
        search_timeout: float = SEARCH_TIMEOUT,
        freshness: str | Mapping[str, str] | None = None,
        budget: Mapping[str, Any] | Budget | None = None,
        batch: Mapping[str, Any] | BatchRules | None = None,
        ledger: str | Path | Store | None = None,
        keys: object | None = None,
        reanalyse: bool = False,
        ranking: RankingOptions | Mapping[str, Any] | None = None,
    ) -> None:
        self.languages = check_languages(languages)
        goals = freshness_goals(freshness)
        spendable = Budget.of(budget)
        rules = BatchRules.of(batch)
        if not isinstance(multi_tenant, bool | None):
            raise InputError(f"multi_tenant must be True, False or None, got {clip(multi_tenant)}.")
        limit = check_seconds("search_timeout", search_timeout)
        self._ranking = RankingOptions.of(ranking)
        self._plugins = Plugins.load(plugins, plugin_options, search_timeout=limit)
        given = {"path": path, "multi_tenant": multi_tenant, **(store_options or {})}
        options = {name: value for name, value in given.items() if value is not None}
        if not isinstance(store, str) and options:
            raise InputError(
                f"The store is given as an object; {', '.join(options)} can only be set for a "
                "store that is given by its name."
            )
        named, settings = self._with_keys(embedder, embedder_options or {}, keys)
        self.embedder = self._embedder_of(named, settings)
        self._max_chars = self._limit(max_chars)
        self.analyser = self._analyser_of(analyser, self.languages)
        self.store = self._store_of(store, options)
        self._announcer = Announcer(self._plugins, self.store)
        self._rules: dict[str, Any] = {"goals": goals, "budget": spendable, "rules": rules}
        with ExitStack() as opened:
            if self.store is not store:
                opened.callback(self.store.close)
            self._hand_over(is_named=analyser is not None, anew=reanalyse)
            self._separate = self._ledger_beside(ledger, options.get("path"))
            self._batches = BatchManager(
                self.store,
                self.embedder,
                ledger=self._separate,
                filled=_filled(self._announcer, self.embedder),
                **self._rules,
            )
            self.followers: tuple[Follower, ...] = ()
            self._owner = True
            self._opens_plugins = True
            self._tenant = ""
            self._restricted = True
            opened.callback(self._batches.close)
            self._plugins.open(self)
            opened.pop_all()  # from here on, `close` closes it
        keep_closed(self)

    @classmethod
    def from_config(
        cls,
        config: str | Path | None = None,
        *,
        usually: Mapping[str, Any] | Callable[[], Mapping[str, Any]] | None = None,
        keys: object | None = None,
        reanalyse: bool = False,
        **overrides: Any,
    ) -> Self:
        """Create a client from settings: argument > ``SEMANTIC_CORE_*`` > semantic-core.toml or
        [tool.semantic-core] > default.

        config: the file to read; None searches for it from the working folder upward. usually:
        settings that apply if no setting names the store or its path; a function is called only
        then. keys, reanalyse, overrides: as for the class; None is "not given", so an index without
        embedder is ``embedder="none"``. Raises ConfigError for an unknown key or a value of the
        wrong kind.
        """
        settings = read_config(config, overrides)
        unsaid = settings.sources["store"] == settings.sources["path"] == "default"
        if usually and unsaid and "path" not in settings.values["store_options"]:
            wanted = usually() if callable(usually) else usually
            settings = read_config(config, {**wanted, **overrides})
        values = dict(settings.values)
        if settings.sources["embedder"] == "default":
            del values["embedder"]
        return cls(**values, keys=keys, reanalyse=reanalyse)

    def tenant(self, name: str) -> Self:
        """A client of the same index that is restricted to one tenant.

        Refs need not name the tenant, and documents of other tenants cannot be reached. It is cheap
        and need not be closed.
        """
        if not self.store.multi_tenant:
            raise TenantRefused(
                f"This store is single-tenant, so there is no client for tenant {clip(name)}.",
                hint="Create a new one with multi_tenant=True.",
            )
        if self._tenant and self._tenant != name:
            raise TenantRefused(
                f"This client is restricted to tenant {self._tenant!r}, not {clip(name)}."
            )
        scoped = type(self).__new__(type(self))
        scoped.__dict__.update(self.__dict__)
        scoped._tenant = check_name("A tenant", name)
        scoped._owner = False
        return scoped

    def unrestricted(self) -> Self:
        """A client of the same index that reads everything, whatever plugins show to whom; for
        maintenance, not for what users see. A client of one tenant stays restricted to that tenant.
        """
        everything = type(self).__new__(type(self))
        everything.__dict__.update(self.__dict__)
        everything._restricted = False
        everything._owner = False
        return everything

    def in_memory(self) -> Self:
        """A client like this one with an empty index in memory: same embedder, plugins and rules.

        `sync` and `close` of this client reach it too.
        """
        from semantic_core._memory.store import MemoryStore

        twin = type(self).__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin.store = MemoryStore(self.embedder.space, multi_tenant=self.store.multi_tenant)
        twin.store.use_analyser(self.analyser)
        twin._separate = None
        twin._announcer = Announcer(self._plugins, twin.store)
        twin._batches = BatchManager(
            twin.store, self.embedder, filled=_filled(twin._announcer, self.embedder), **self._rules
        )
        twin.followers = ()
        twin._owner = True
        twin._opens_plugins = False
        twin._tenant = ""
        self.follow(_Twin(twin))
        return twin

    @cut_cleanly
    def ingest(
        self,
        *documents: Document | Iterable[Document | Together],
        mode: IngestMode = "sync",
        progress: Callable[[IngestProgress], None] | None = None,
    ) -> IngestReport:
        """Store documents and index them for search. A document replaces the one with the same ref;
        an unchanged document costs nothing.

        mode: "sync" embeds now; "async" stores the text, which full-text search finds at once, and
        leaves the vectors to `embed_pending` or `batch_manager`; "auto" chooses for each document,
        by the freshness of its collection, and without one by size: passages after the first
        thousand wait for a batch job, if the embedder supports batch jobs. A passage that a job or
        another process is embedding is left to it. progress: called after each group of documents.
        A document that fails stays as it was and is listed in the report; if the embedder is
        unavailable or the budget is spent, vectors are pending. Raises StoreError, TenantRequired,
        TenantRefused; groups finished before that stay.
        """
        if mode not in INGEST_MODES:
            raise InputError(f'mode must be "sync", "async" or "auto", got {clip(mode)}.')
        return self._ingest(mode, progress).run(
            self._with_tenant(document) for document in _flat(documents)
        )

    @cut_cleanly
    def ingest_file(
        self,
        path: str | Path,
        *,
        collection: str = "files",
        key: str | None = None,
        media_type: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        mode: IngestMode = "sync",
    ) -> IngestReport:
        """Ingest one file, with the reader that a plugin offers for its media type or suffix; a
        file that no plugin reads is read as text.

        key: "" or None uses the path as given. media_type: None chooses by suffix alone. metadata:
        of all its documents. A file with parts, such as an e-mail with attachments, is several
        documents with the keys KEY and KEY#PART; they are written together or not at all, and
        parts that the file has no longer are removed.

        Raises FileUnreadable, HookFailed for a reader that fails, PluginConflict if more than one
        plugin reads such files, InputError if a document of another file would be replaced by a
        part or is a part, and the errors of `ingest`.
        """
        ref = Ref(collection, key or Path(path).as_posix(), self._tenant)
        given = check_name("media_type", media_type or "", empty=True)
        with self._announcer.failures("ingest", str(ref)):
            documents = self._plugins.read(Path(path), ref, media_type=given, metadata=metadata)
            together = with_obsolete(self.store, documents)
        return self.ingest([together], mode=mode)

    @cut_cleanly
    def search(
        self,
        query: str,
        *,
        limit: int = 10,
        mode: Mode = "hybrid",
        where: Where = None,
        offset: int = 0,
        collections: Sequence[str] | None = None,
        context: Mapping[str, Any] | None = None,
        among: Among = None,
        total: bool = False,
        facets: Sequence[str] | Mapping[str, int] | None = None,
        order_by: str | None = None,
        passages: Passages = "best",
        min_score: float = 0.0,
        ranking: RankingOptions | Mapping[str, Any] | None = None,
        syntax: Syntax = "plain",
        fields: Sequence[str] = (),
        typos: Typos = "suggest",
    ) -> SearchResults:
        """The best passage of each of the `limit` best documents, after `offset` better ones.

        mode: "hybrid" combines vector search and full-text search; "vector" and "text" use only
        one. where: conditions on metadata, see `semantic_core.filters`. collections: only these;
        None means all. context: for the plugins, such as ``{"user": "ann"}``, which get it in every
        hook of the search; the kernel does not read it. If the embedder fails, full-text search
        answers alone and the results are ``degraded``.

        among: only these documents, however many: refs, ``{collection: keys}``, or keys if
        `collections` names one collection; None means all, [] none. total: whether to count all
        documents that match, see `SearchResults.total`. facets: metadata fields whose values are
        counted over all documents that match; ``{field: number}`` says how many values, 20
        otherwise. order_by: a metadata field, ``"-created"`` for the largest first: then all
        documents that hold a word of the query are listed in this order, those without the field
        last, and their meaning has no say. passages: "best" gives the best passage of each
        document, "all" every passage as a hit of its own, like `search_chunks`.

        min_score: hits with a lower score are left out; 0 shows all. See `SearchHit.score`.
        ranking: what to change of how the index ranks, a mapping with fields of `RankingOptions`,
        such as ``{"boosts": {"title": 3}}``.

        syntax: "plain" reads the query as words, whatever is in it; "query" reads what people type
        into a search box: ``"exact words"``, ``word*``, ``-word``, ``field:word``, ``OR``, see
        `semantic_core.query_syntax`; no text is an error. fields: the metadata keys that may stand
        before a colon. typos: "suggest" tells in ``did_you_mean`` if a word is in no document and
        one that is near is; "correct" searches for that at once and tells in ``corrected``;
        "ignore" does neither.

        Raises InputError, FilterInvalid, TenantRequired, StoreError; AccessRefused if a plugin
        shows nothing to whoever asks; HookFailed for a plugin that fails and might have hidden
        hits.
        """
        per_document = _per_document(passages, order_by)
        with self._announcer.failures("search", query):
            reading = QueryReading(syntax, fields, typos)
            scope = self._scope(where, collections, context, among)
            request = SearchRequest(
                query,
                scope,
                mode,
                limit,
                offset,
                DEPTHS[0],
                context=_checked_context(context),
                total=_checked_flag("total", total),
                facets=checked_facets(facets),
                order_by=checked_order(order_by),
                min_score=min_score,
                ranking=RankingOptions.of(ranking, self._ranking),
            )
            return self._search(request, reading, per_document=per_document)

    @cut_cleanly
    def search_chunks(
        self,
        query: str,
        *,
        limit: int = 10,
        mode: Mode = "hybrid",
        where: Where = None,
        offset: int = 0,
        collections: Sequence[str] | None = None,
        context: Mapping[str, Any] | None = None,
        among: Among = None,
        min_score: float = 0.0,
        ranking: RankingOptions | Mapping[str, Any] | None = None,
        syntax: Syntax = "plain",
        fields: Sequence[str] = (),
        typos: Typos = "suggest",
    ) -> SearchResults:
        """The best passages, however many of them are of one document. Otherwise like `search`."""
        with self._announcer.failures("search", query):
            reading = QueryReading(syntax, fields, typos)
            scope = self._scope(where, collections, context, among)
            request = SearchRequest(
                query,
                scope,
                mode,
                limit,
                offset,
                DEPTHS[0],
                context=_checked_context(context),
                min_score=min_score,
                ranking=RankingOptions.of(ranking, self._ranking),
            )
            return self._search(request, reading, per_document=False)

    @cut_cleanly
    def complete(
        self,
        text: str,
        *,
        limit: int = 10,
        where: Where = None,
        collections: Sequence[str] | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> tuple[Completion, ...]:
        """What somebody who has typed this text may want to type: titles that begin so, and the
        text with its last word completed, the most frequent word first.

        Only documents in scope count, and only such as whoever asks may see. where, collections,
        context: as for `search`. A store that does not know its words offers titles alone. () for
        a text without words. Raises InputError, FilterInvalid, TenantRequired, StoreError.
        """
        check_unicode("The text", text)
        most = check_count("limit", limit, 1, MOST_COMPLETIONS)
        if len(text) > LONGEST_COMPLETED:
            return ()
        scope = self._scope(where, collections, context)
        with self.store.snapshot():
            return completions(text, most, self.store, scope, self.analyser)

    @cut_cleanly
    def similar(
        self,
        ref: Ref | SearchHit,
        *,
        limit: int = 10,
        where: Where = None,
        offset: int = 0,
        collections: Sequence[str] | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> SearchResults:
        """The documents that are most like this one, without itself: near to its vectors, and with
        its rarest words.

        No embedder is asked: the vectors are those that are stored; if there are none, the words
        decide alone. The query of the results is these words. where, collections, context: as for
        `search`. Raises InputError if there is no such document, or it is not shown to whoever
        asks; else as `search`.
        """
        wanted = self._scoped(ref.ref if isinstance(ref, SearchHit) else ref)
        check_count("limit", limit, 1)
        check_count("offset", offset)
        with self._announcer.failures("search", str(wanted)):
            scope = self._scope(where, collections, context)
            shown = self._restriction(context)
            likeness = likeness_of(
                wanted, self.store, Scope(wanted.tenant, filter=shown), self.analyser
            )
            if likeness is None:
                raise InputError(
                    f"There is no document {wanted}.", hint="Give the Ref of one that is indexed."
                )
            if not likeness.words:
                return SearchResults("", (), "text")
            vector = None if self._words_only else likeness.vector
            request = SearchRequest(
                likeness.words,
                scope,
                "text" if vector is None else "hybrid",
                limit + offset + 1,
                0,
                DEPTHS[0],
                vector=vector,
                context=_checked_context(context),
                ranking=self._ranking,
            )
            found = self._search(request, QueryReading(typos="ignore"), per_document=True)
            others = [hit for hit in found.hits if hit.ref != wanted]
            return attrs.evolve(found, hits=tuple(others[offset : offset + limit]))

    @cut_cleanly
    def context_window(
        self,
        hit: SearchHit | ChunkId,
        *,
        before: int = 1,
        after: int = 1,
        context: Mapping[str, Any] | None = None,
    ) -> list[StoredChunk]:
        """A passage with its neighbours, in the order of the document; [] if it does not exist, or
        is not shown to whoever asks. context: as for `search`.
        """
        for name, count in (("before", before), ("after", after)):
            check_count(name, count, 0, MOST_NEIGHBOURS)
        id = hit.id if isinstance(hit, SearchHit) else hit
        if not isinstance(id, ChunkId):
            raise InputError(f"Wanted a hit or a ChunkId, got {clip(id)}.")
        ref = self._scoped(id.ref)
        places = range(max(0, id.position - before), id.position + after + 1)
        shown = self._restriction(context)
        stored = self.store.fetch([ChunkId(ref, place) for place in places])
        stored = [chunk for chunk in stored if shown.matches(chunk.metadata)]
        return stored if any(chunk.chunk.id.position == id.position for chunk in stored) else []

    @cut_cleanly
    def get(self, ref: Ref, *, context: Mapping[str, Any] | None = None) -> Document | None:
        """The document as it was ingested; None if there is none, or it is not shown to whoever
        asks. context: as for `search`.
        """
        shown = self._restriction(context)
        document = self.store.get(self._scoped(ref))
        return document if document is not None and shown.matches(document.metadata) else None

    @cut_cleanly
    def remove(self, *refs: Ref) -> int:
        """Remove documents with their passages and vectors. Returns how many existed."""
        wanted = [self._scoped(ref) for ref in refs]
        existing = self._announcer.removing(wanted)
        removed = self.store.remove(wanted)
        self._announcer.removed(existing)
        return removed

    @cut_cleanly
    def documents(
        self,
        *,
        offset: int = 0,
        limit: int = 100,
        where: Where = None,
        collections: Sequence[str] | None = None,
        context: Mapping[str, Any] | None = None,
        among: Among = None,
    ) -> Page:
        """A slice of the documents in order of (collection, key), with the total. context, among:
        as for `search`; documents that are not shown to whoever asks are not counted either.
        """
        scope = self._scope(where, collections, context, among)
        return self.store.documents(
            scope, check_count("offset", offset), check_count("limit", limit)
        )

    @cut_cleanly
    def stats(self, *, all_tenants: bool = False) -> StoreStats:
        """Count documents, chunks and pending vectors. all_tenants: of the whole store, for its
        operator; otherwise a multi-tenant store needs a tenant.
        """
        if self.store.multi_tenant and not self._tenant and not all_tenants:
            raise TenantRequired(
                "This store is multi-tenant: stats need a tenant.",
                hint=(
                    'Use core.tenant("...").stats(), or '
                    "stats(all_tenants=True) for the whole store."
                ),
            )
        return self.store.stats(self._tenant or None)

    @cut_cleanly
    def embed_pending(self, limit: int | None = None, *, from_jobs: bool = False) -> int:
        """Embed passages that were stored without a vector, of all tenants;
        how many chunks were filled. None: all.

        Passages of a batch job are left to it. from_jobs: embed those too; the results of the job
        are then paid for in vain. Raises EmbedderError as soon as the embedder fails, BudgetSpent;
        vectors stored until then stay.
        """
        most = None if limit is None else check_count("limit", limit)
        with self._announcer.failures("embed", "pending passages"):
            return self._batches.embed(most, from_jobs=from_jobs)

    @property
    def ledger(self) -> BatchQueue | None:
        """Where batch jobs and costs are recorded: the store itself, or a `SeparateLedger` beside
        it; None if nowhere.

        Raises TenantRefused for a client that is restricted to a tenant.
        """
        return self.batch_manager.ledger

    @property
    def batch_manager(self) -> BatchManager:
        """The queue of passages without a vector, and the batch jobs, of all tenants.

        Raises TenantRefused for a client that is restricted to a tenant.
        """
        if self._tenant:
            raise TenantRefused(
                f"This client is restricted to tenant {self._tenant!r}; batch jobs are of all "
                "tenants.",
                hint="Use the client of the whole index.",
            )
        return self._batches

    @cut_cleanly
    def sync(
        self,
        outbox: Outbox | None = None,
        sources: Mapping[str, Source] | None = None,
        *,
        limit: int | None = None,
        mode: IngestMode = "sync",
        progress: Callable[[Any], None] | None = None,
    ) -> IngestReport:
        """Process pending changes: each row is read as it is now, and ingested or removed.

        Without arguments: the pending changes of everything bound to this client (see `bind`), then
        the passages without a vector; an unavailable embedder is a failure in the report. limit:
        changes of each database; None processes all.
        outbox, sources: up to `limit` changes (None: 1,000) of this outbox; per collection a
        callable that returns the documents which exist among the given refs. mode: as for `ingest`.
        progress: called after each page of rows that are compared with the index, with a
        `semantic_core.orm.ReindexProgress`. An outbox has the changes of all tenants, so a client
        that is restricted to a tenant raises TenantRefused. Raises InputError for a limit that is
        no whole number from 1.
        """
        if self._tenant:
            raise TenantRefused(
                f"This client is restricted to tenant {self._tenant!r}; an outbox has the changes "
                "of all tenants.",
                hint="Call sync on the client of the whole index.",
            )
        if limit is not None:
            check_count("limit", limit, 1)
        if outbox is None:
            reports = []
            for follower in self.followers:
                reports.append(follower.sync(limit, pending=True, progress=progress))
            return merged(*reports)

        def ingest(documents: Iterable[Document], stamps: Mapping[Ref, int]) -> IngestReport:
            # A run of its own, so its report counts nothing else.
            return self._ingest(mode, None).run(documents, stamps)

        return sync(
            outbox, sources or {}, self.store, ingest, self._announcer, limit=limit or 1_000
        )

    def bind(
        self,
        model: type,
        *,
        adapter: type[Any] | None = None,
        install: bool = True,
        **declaration: Any,
    ) -> Any:
        """Index the rows of an ORM's model. Returns its adapter, ready to `search`, with its tables
        and triggers installed.

        adapter: a subclass of `semantic_core.orm.BaseORMAdapter`; None asks the installed plugins.
        install: False touches no database; call `install` of the adapter once the model's table is
        there. declaration: as for `semantic_core.orm.SemanticIndex`. Raises ProviderNotFound if no
        plugin knows the model's ORM, ConfigError.
        """
        chosen = adapter or self._plugins.orm_adapter(model)
        if chosen is None:
            raise ProviderNotFound(
                f"No installed plugin serves {model.__module__}.{model.__qualname__}.",
                hint='For Peewee: pip install "semantic-core-kernel[local]". For another ORM pass '
                "adapter=YourAdapter.",
            )
        bound = chosen.bind(model, self, **declaration)
        if install:
            try:
                bound.install()
            except BaseException:
                bound.coordinator.leave(bound)  # so that a corrected one finds its place free
                raise
        return bound

    def follow(self, follower: Follower) -> None:
        """Call `sync` and `close` of this object along with those of the client."""
        self.followers = (*self.followers, follower)

    def plugins(self) -> tuple[PluginInfo, ...]:
        """Every plugin that was found, with its status; the broken ones with their cause."""
        return self._plugins.reported()

    def close(self) -> None:
        """Close the plugins, then the store, and end its threads.

        May be called twice; for a client that is restricted to a tenant it does nothing.
        """
        if self._owner:
            for follower in self.followers:
                follower.close()
            if self._opens_plugins:
                self._plugins.close()
            self._batches.close()
            if self._separate is not None:
                self._separate.close()
            self.store.close()
            release(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        tenant = f", tenant={self._tenant!r}" if self._tenant else ""
        return f"<SemanticCore {type(self.store).__name__}, {self.embedder.space}{tenant}>"

    def _with_keys(
        self, embedder: str | Embedder | None, options: Mapping[str, Any], keys: object | None
    ) -> tuple[str | Embedder | None, Mapping[str, Any]]:
        """The embedder that is to be made, and its options, the keys among them."""
        if keys is None:
            return embedder, options
        if not isinstance(embedder, str) or embedder == WORDS_ONLY:
            raise ConfigError(
                "keys are for an embedder that is given by its name; here "
                + ("is none." if embedder in (None, WORDS_ONLY) else "it is given as an object."),
                hint='Leave keys out, or name an embedder: embedder="gemini".',
            )
        takers = [name for name in self._plugins.embedders if self._takes_keys(name)]
        if isinstance(embedder, _Unset) and len(takers) > 1:
            takers = [name for name in takers if self._takes_keys(name, type(keys).__name__)]
            if len(takers) != 1:
                raise ConfigError(
                    f"Several embedders take keys, and {type(keys).__name__} does not tell which.",
                    hint="Name the embedder, too.",
                )
        if isinstance(embedder, _Unset) and takers:
            embedder = takers[0]
        elif embedder in self._plugins.embedders and embedder not in takers:
            raise ConfigError(
                f"The embedder {str(embedder)!r} takes no keys; of those installed "
                f"{', '.join(takers) or 'none'} does.",
                hint="Name an embedder that does, or leave keys out.",
            )
        if KEYRING in options:
            raise ConfigError(
                f"Both keys and a {KEYRING} in embedder_options are given.",
                hint="Leave one of the two out.",
            )
        return embedder, {**options, KEYRING: keys}

    def _takes_keys(self, embedder: str, kind: str = "") -> bool:
        """Whether an embedder has an option for keys. kind: of keys of this class; "" for any."""
        options = self._plugins.options_of("embedder", embedder)
        return any(option.name == KEYRING and kind in option.type for option in options)

    def _embedder_of(self, embedder: str | Embedder | None, options: Mapping[str, Any]) -> Embedder:
        if embedder is None or embedder == WORDS_ONLY:
            if options:
                raise InputError(
                    "embedder_options are given, and there is no embedder.",
                    hint="Leave them out.",
                )
            return WordsOnly()
        if isinstance(embedder, str):
            return self._plugins.create_embedder(embedder, options)
        if options:
            raise InputError(
                "The embedder is given as an object; embedder_options can only be set for an "
                "embedder that is given by its name."
            )
        return embedder

    def _analyser_of(self, analyser: str | Analyser | None, languages: Sequence[str]) -> Analyser:
        if analyser is None:
            offered = DEFAULT_ANALYSER in self._plugins.analysers
            analyser = DEFAULT_ANALYSER if offered or languages else WORD_ANALYSER
        if isinstance(analyser, str):
            return self._plugins.create_analyser(analyser, languages)
        if languages:
            raise InputError(
                "The analyser is given as an object; languages can only be set for an analyser "
                "that is given by its name."
            )
        return analyser

    def _hand_over(self, *, is_named: bool, anew: bool) -> None:
        """Let the store use the analyser. is_named: whether the user named it. anew: whether the
        full-text index is made anew. Languages alone are no reason to refuse a store that takes no
        analyser: they are said for the embedder, too.
        """
        if not isinstance(self.store, AnalysesText):
            if is_named or anew:
                raise ConfigError(
                    f"{type(self.store).__name__} splits texts into words itself, so it takes no "
                    "analyser.",
                    hint="Leave analyser out, or use another store.",
                )
            return
        if anew:
            self.store.reanalyse(self.analyser)
            return
        made_with = self.store.text_analyser
        is_chosen = is_named or bool(self.languages)
        if not is_chosen and made_with is not None and made_with != self.analyser.identity:
            for other in self._other_analysers(made_with):
                if other.identity == made_with:
                    self.analyser = other
        self.store.use_analyser(self.analyser)

    def _other_analysers(self, made_with: str) -> Iterator[Analyser]:
        """Analysers that an index may have been made with. made_with: the identity of its own."""
        yield self._plugins.create_analyser(WORD_ANALYSER, ())
        named = _LANGUAGES.search(made_with)
        if named is not None and DEFAULT_ANALYSER in self._plugins.analysers:
            yield self._plugins.create_analyser(DEFAULT_ANALYSER, named[1].split(","))

    def _store_of(self, store: str | Store, options: Mapping[str, Any]) -> Store:
        try:
            if isinstance(store, str):
                opened = self._plugins.create_store(store, self.embedder.space, options)
            else:
                opened = store
        except SpaceMismatch as error:
            if not self._words_only:
                raise
            what = str(error).partition(". ")[0]
            raise SpaceMismatch(
                f"{what}: it was created with an embedder, and none is in use.",
                hint='Name that embedder and search with mode="text"; or use another path.',
            ) from error
        if self._words_only and not isinstance(opened, TextSearch):
            raise ConfigError(
                f"{type(opened).__name__} has no full-text search, and there is no embedder for "
                "vector search.",
                hint="Name an embedder, or another store.",
            )
        return opened

    def _ledger_beside(
        self, given: str | Path | Store | None, place: object
    ) -> SeparateLedger | None:
        """The ledger of a store that keeps none; None if it keeps one, or needs none. place: the
        path of the store.
        """
        if isinstance(self.store, BatchQueue):
            if given is not None:
                raise ConfigError(
                    f"{type(self.store).__name__} keeps its ledger itself.",
                    hint="Leave ledger out.",
                )
            return None
        if given is None:
            needed = isinstance(self.embedder, Priced | BatchEmbedder)
            able = isinstance(self.store, VectorQueue) and DEFAULT_STORE in self._plugins.stores
            if not needed or not able or not isinstance(place, str | Path):
                return None
            if not Path(place).exists():
                return None
            given = f"{place}.ledger"
        if isinstance(given, str | Path):
            options = {"path": given, "multi_tenant": self.store.multi_tenant}
            given = self._plugins.create_store(DEFAULT_STORE, self.embedder.space, options)
        return SeparateLedger(self.store, given)

    @property
    def _words_only(self) -> bool:
        return isinstance(self.embedder, WordsOnly)

    def _limit(self, max_chars: int | None) -> int:
        most = self.embedder.max_chars
        if max_chars is None:
            return most
        return check_count("max_chars", max_chars, LEAST_CHARS, most)

    def _ingest(
        self, mode: IngestMode, progress: Callable[[IngestProgress], None] | None
    ) -> Ingest:
        if self._words_only:  # there are no vectors to embed later or to pay for
            return Ingest(
                self._plugins,
                self.store,
                self.embedder,
                self._announcer,
                max_chars=self._max_chars,
                progress=progress,
            )
        return Ingest(
            self._plugins,
            self.store,
            self.embedder,
            self._announcer,
            max_chars=self._max_chars,
            metered=self._batches.metered_embedder(),
            later=self._batches.leaves(mode),
            progress=progress,
        )

    def _search(
        self, request: SearchRequest, reading: QueryReading, *, per_document: bool
    ) -> SearchResults:
        search = Search(
            self._plugins,
            self.store,
            self.embedder,
            self._batches.cost_tracker,
            self.analyser,
            per_document=per_document,
        )
        results = search.read(request, reading)
        self._announcer.searched(request, results)
        return results

    def _restriction(self, context: Mapping[str, Any] | None) -> Filter:
        """What plugins show to whoever asks."""
        given = _checked_context(context)
        return self._plugins.restriction(given) if self._restricted else Filter()

    def _scope(
        self,
        where: Where,
        collections: Sequence[str] | None,
        context: Mapping[str, Any] | None = None,
        among: Among = None,
    ) -> Scope:
        if isinstance(collections, str):
            raise InputError(f"collections must be a list of names, got the str {collections!r}.")
        if self.store.multi_tenant and not self._tenant:
            raise TenantRequired("This store is multi-tenant.", hint='Use core.tenant("...").')
        names = None
        if collections is not None:
            names = tuple(check_name("A collection", name) for name in collections)
        wanted = Filter.parse(where)
        shown = self._restriction(context)
        conditions = dict.fromkeys([*wanted.conditions, *shown.conditions])
        keys = keys_among(among, names, self._scoped)
        return Scope(self._tenant, names, Filter(tuple(conditions)), keys)

    def _scoped(self, ref: Ref) -> Ref:
        if not isinstance(ref, Ref):
            raise InputError(f'Wanted a Ref such as Ref("notes", "1"), got {clip(ref)}.')
        if not self._tenant or ref.tenant == self._tenant:
            return ref
        if ref.tenant:
            raise TenantRefused(
                f"This client is restricted to tenant {self._tenant!r}; the ref is of another."
            )
        return attrs.evolve(ref, tenant=self._tenant)

    def _with_tenant(self, document: Document | Together) -> Document | Together:
        if isinstance(document, Together):  # whoever read the file knows the tenant
            for each in document.documents:
                self._scoped(each.ref)
            return document
        if not isinstance(document, Document):
            raise InputError(
                f"ingest takes Documents, got {type(document).__name__}: {clip(document)}."
            )
        ref = self._scoped(document.ref)
        return document if ref is document.ref else attrs.evolve(document, ref=ref)


class _Twin:
    """Passes `sync` and `close` of a client on to its twin in memory."""

    def __init__(self, core: SemanticCore) -> None:
        self._core = core

    def sync(
        self,
        limit: int | None = None,
        *,
        pending: bool = False,
        progress: Callable[[Any], None] | None = None,
    ) -> IngestReport:
        """See `Follower.sync`."""
        return self._core.sync(limit=limit, progress=progress)

    def close(self) -> None:
        """See `Follower.close`."""
        self._core.close()


def _filled(announcer: Announcer, embedder: Embedder) -> Callable[[int], None]:
    """Announces how many passages that were pending got a vector."""
    return partial(announcer.embedded, space=embedder.space)


def _per_document(passages: str, order_by: str | None) -> bool:
    """Whether a search gives one hit of each document. Raises InputError."""
    if passages not in PASSAGES:
        raise InputError(f'passages must be "best" or "all", got {clip(passages)}.')
    if passages == "all" and order_by:
        raise InputError(
            'order_by lists documents, so it goes with passages="best" only.',
            hint="Leave one of them out.",
        )
    return passages == "best"


def _checked_flag(what: str, flag: object) -> bool:
    if not isinstance(flag, bool):
        raise InputError(f"{what} must be True or False, got {clip(flag)}.")
    return flag


def _checked_context(context: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """What plugins get as context: {} for None. Raises InputError."""
    if context is None:
        return {}
    if not isinstance(context, Mapping) or not all(isinstance(name, str) for name in context):
        raise InputError(
            f'context must be a mapping such as {{"user": "ann"}}, got {type(context).__name__}.'
        )
    return dict(context)


def _flat(
    documents: Iterable[Document | Iterable[Document | Together]],
) -> Iterator[Document | Together]:
    for item in documents:
        if isinstance(item, Document):
            yield item
        elif isinstance(item, str | bytes | Mapping) or not isinstance(item, Iterable):
            raise InputError(f"ingest takes Documents, got {type(item).__name__}: {clip(item)}.")
        else:
            yield from item
