"""`BaseORMAdapter` keeps the index of one model in sync with its rows, and searches it;
`bind_declared` binds all declared indexes.

An adapter for an ORM derives from it and supplies what `AdapterContract` leaves open: how the ORM
reads rows, runs statements and reports commits.

Tested by tests/orm/test_base.py, tests/orm/test_adapter_kit.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import attrs

from semantic_core._matches import checked_facets, checked_order
from semantic_core._validation import check_count, clip, did_you_mean
from semantic_core.errors import ConfigError, FilterInvalid, InputError, TenantRequired
from semantic_core.filters import Filter
from semantic_core.orm import maintenance
from semantic_core.orm.agreement import FIRST_TIME
from semantic_core.orm.among import RowKeys, keys_among
from semantic_core.orm.comparison import PAGE, ReindexProgress
from semantic_core.orm.contract import (
    AdapterContract,
    Backfill,
    CaptureMode,
    Strategy,
    in_one_connection,
)
from semantic_core.orm.declaration import Declaration, scalar
from semantic_core.orm.index import SemanticIndex
from semantic_core.orm.leftovers import TABLE, follow_leftovers, forget_gone, warn_of
from semantic_core.orm.log import log
from semantic_core.orm.migrations import (
    NO_TABLE,
    changes_tables,
    has_table,
    make_way,
    remove_triggers,
)
from semantic_core.orm.outbox import TRIGGERS
from semantic_core.orm.pages import ModelPages
from semantic_core.orm.pending import WHOLE_TABLE
from semantic_core.orm.places import project_folder
from semantic_core.orm.results import ModelResults, found_rows
from semantic_core.orm.scan import add_changes
from semantic_core.orm.sync import IndexStatus, SyncCoordinator, coordinator_of
from semantic_core.orm.tables import Execute
from semantic_core.orm.triggers import Capture, trigger_spec
from semantic_core.ranking import RankingOptions
from semantic_core.types import (
    INDEX_FILE,
    WORDS_ONLY,
    Completion,
    IngestReport,
    Mode,
    Passages,
    Ref,
    SearchHit,
    SearchResults,
)

if TYPE_CHECKING:
    from semantic_core._typos import Typos
    from semantic_core.core import SemanticCore
    from semantic_core.query_syntax import Syntax


def checked_where(adapter: AdapterContract, where: Mapping[str, Any] | Filter | None) -> Filter:
    """The filter of a search. Values are converted to the form that metadata has.

    Raises FilterInvalid for a name that is no metadata field of the declaration.
    """
    if isinstance(where, Mapping):
        where = {name: _as_stored(adapter, wanted) for name, wanted in where.items()}
    conditions = Filter.parse(where)
    known = adapter.declaration.metadata_fields
    for condition in conditions.conditions:
        if condition.key not in known:
            raise FilterInvalid(
                f"{condition.key!r} is no metadata field of {adapter}; there are "
                f"{', '.join(known) or 'none'}.{did_you_mean(condition.key, known)}",
                hint=f"Write metadata_fields=[..., {condition.key!r}] in its SemanticIndex.",
            )
    return conditions


def check_fields_of(
    adapter: AdapterContract,
    facets: Sequence[str] | Mapping[str, int] | None,
    order_by: str | None,
) -> None:
    """Raise InputError for a facet or an order by what is no metadata field of the declaration."""
    named = [*checked_facets(facets), *filter(None, [checked_order(order_by).removeprefix("-")])]
    known = adapter.declaration.metadata_fields
    for name in named:
        if name not in known:
            raise InputError(
                f"{name!r} is no metadata field of {adapter}; there are "
                f"{', '.join(known) or 'none'}.{did_you_mean(name, known)}",
                hint=f"Write metadata_fields=[..., {name!r}] in its SemanticIndex.",
            )


def _as_stored(adapter: AdapterContract, wanted: Any) -> Any:
    if isinstance(wanted, Mapping):
        return {operator: _as_stored(adapter, value) for operator, value in wanted.items()}
    if isinstance(wanted, list | tuple | set | frozenset):
        return [_as_stored(adapter, value) for value in wanted]
    if wanted is None or isinstance(wanted, date):  # `Filter` knows what a date means
        return wanted
    return scalar(adapter.related_key(wanted))


CAPTURES: tuple[CaptureMode, ...] = ("triggers", "events")
STRATEGIES: tuple[Strategy, ...] = ("inline", "background", "manual")
BACKFILLS: tuple[Backfill, ...] = ("background", "now", "off")

Where = Mapping[str, Any] | Filter | None


class NoModel:
    """Takes the place of a model in an adapter that only runs statements, see
    `BaseORMAdapter.for_database`.
    """


class BaseORMAdapter(AdapterContract):
    """Keeps the index of one model in sync with its rows, and searches it.

    model: a class of the ORM. core: the core that stores the documents. declaration: which fields
    of a row are indexed.
    capture: how changes are found. "triggers" see every write to the table by any program. "events"
    see what the ORM reports: neither bulk statements nor writes of other programs.
    sync: when pending changes are processed. "inline": right after the commit, in the same thread.
    "background": by a thread of this process. "manual": by `SemanticCore.sync` or
    ``semantic-core worker``. None takes "inline" for an embedder that runs in this process
    (``is_local = True``), and "background" for any other.

    A new adapter changes no database; `install` creates the tables and triggers.
    """

    def __init__(
        self,
        model: type,
        core: SemanticCore,
        declaration: Declaration,
        *,
        capture: CaptureMode | None = None,
        sync: Strategy | None = None,
    ) -> None:
        self._coordinator: SyncCoordinator | None = None
        self.model = model
        if model is NoModel:
            self.strategy = "manual"
            return
        self.core = core
        self.declaration = attrs.evolve(
            declaration.named_after(self.table),
            is_row=self.is_row,
            is_column=self.is_column,
            order_key=self.order_key,
        )
        self.check_fields()
        self._connected = False
        self.backfill = "background"
        self.capture: CaptureMode = _one_of("capture", capture or "triggers", CAPTURES)
        self.strategy = _one_of("sync", sync or self._usual_strategy(), STRATEGIES)
        if (declaration.tenant is not None) != core.store.multi_tenant:
            if core.store.multi_tenant:
                raise ConfigError(
                    f"The store keeps tenants apart, and {self} names no field for the tenant.",
                    hint='Write SemanticIndex(..., tenant="field").',
                )
            raise ConfigError(
                f"{self} names a tenant, and the store has no tenants.",
                hint="Create the store with multi_tenant=True.",
            )

    @classmethod
    def bind(
        cls,
        model: type,
        core: SemanticCore,
        *,
        name: str = "search",
        collection: str | None = None,
        capture: CaptureMode | None = None,
        sync: Strategy | None = None,
        adapter_options: Mapping[str, Any] | None = None,
        **declaration: Any,
    ) -> Self:
        """Create the adapter of a model and add it to the coordinator of its database.

        Changes no database. name: the attribute under which the index is declared. collection:
        None takes the table's name, and "table.name" for an index that is not called "search".
        adapter_options: arguments of the adapter class. declaration: as for `Declaration.of`.
        Raises ConfigError.
        """
        declared = Declaration.of(collection or "", name=name, **declaration)
        adapter = cls(model, core, declared, capture=capture, sync=sync, **(adapter_options or {}))
        adapter.coordinator.add(adapter)
        return adapter

    @classmethod
    def usual_core(cls, *, usually: Any = None, **options: Any) -> SemanticCore:
        """Create the core for declared indexes that name none, from the settings.

        usually: as for `SemanticCore.from_config`. options: arguments of the adapter class.
        """
        from semantic_core.core import SemanticCore

        return SemanticCore.from_config(usually=usually)

    @classmethod
    def bind_all(
        cls,
        core: SemanticCore | None = None,
        *,
        install: bool = True,
        backfill: Backfill | None = None,
        **options: Any,
    ) -> list[BaseORMAdapter]:
        """Bind every declared index whose model this adapter serves: what an adapter's
        `init_database` calls.

        The parameters are those of `bind_declared`. Where no index is declared any more, an empty
        list is returned, and what former indexes left in the database is logged and can be removed
        with ``semantic-core outbox forget``; see `follow_leftovers`. For that, `execute`, `dialect`
        and `database` must not need a model, see `for_database`. Raises ConfigError, and what the
        database raises.
        """
        bound = bind_declared(cls, core, install=install, backfill=backfill, **options)
        if bound or not install:
            return bound
        database = cls.for_database(**options)

        def usual_path() -> dict[str, Any]:
            return {"path": Path.cwd() / INDEX_FILE}  # no model says where the project is

        def usual_core() -> SemanticCore:
            return cls.usual_core(usually=usual_path, **options)

        return follow_leftovers(
            core or usual_core,
            database.execute,
            database.dialect,
            database=database.database,
            placeholder=database.placeholder,
        )

    @classmethod
    def for_database(cls, **options: Any) -> Self:
        """An adapter without a model and a core, that only runs statements on a database.

        `execute`, `dialect` and `database` work, nothing else does. options: of the adapter class.
        """
        nothing: Any = None
        return cls(NoModel, nothing, nothing, **options)

    # --- what every adapter can do ----------------------------------------------------------------

    @in_one_connection
    def search(
        self,
        query: str,
        *,
        limit: int = 10,
        mode: Mode = "hybrid",
        where: Where = None,
        offset: int = 0,
        tenant: str | None = None,
        fresh: bool = False,
        timeout: float = 5.0,
        context: Mapping[str, Any] | None = None,
        among: object = None,
        total: bool = False,
        facets: Sequence[str] | Mapping[str, int] | None = None,
        order_by: str | None = None,
        passages: Passages = "best",
        min_score: float = 0.0,
        ranking: RankingOptions | Mapping[str, Any] | None = None,
        syntax: Syntax = "plain",
        typos: Typos = "suggest",
    ) -> ModelResults[Any]:
        """Search this index: the best `limit` rows after the first `offset`, best first.

        Each instance has its `SearchHit` as ``search_hit``. where: conditions on metadata_fields,
        see `semantic_core.filters`; an instance of a related model stands for its key. tenant: the
        tenant whose rows are searched, for an index with tenants. fresh: first process pending
        changes, for at most `timeout` seconds; the text of committed rows is found even while the
        embedder is unavailable. context: for the plugins, such as ``{"user": request.user}``, see
        `SemanticCore.search`. min_score, ranking, syntax, typos: see there. Weights of fields in a
        declaration are boosts, unless `ranking` names others; the metadata_fields may stand before
        a colon.
        Rows that were deleted, or no longer belong into the index, are skipped, and the next best
        rows fill the limit.

        among: only these rows, however many: a query of the ORM, with any join and condition; or
        instances, or primary keys. total, facets, order_by, passages: see `SemanticCore.search`;
        facets and order_by name metadata_fields. With passages="all" a row is given once for each
        of its passages that is found.

        Raises what `SemanticCore.search` raises, and what the ORM raises.
        """
        size = check_count("limit", limit, 1) + check_count("offset", offset)
        conditions = checked_where(self, where)
        check_fields_of(self, facets, order_by)
        within = self.keys_among(among)
        waiting, reasons = self._before_search(fresh=fresh, timeout=timeout)
        core = self._core_of(tenant)
        collection = self.declaration.collection

        def find(page: int, seen: int) -> SearchResults:
            return core.search(
                query,
                limit=page,
                mode=mode,
                where=conditions,
                offset=seen,
                collections=[collection],
                context=context,
                among=None if within is None else {collection: within},
                total=total and not seen,
                facets=None if seen else facets,
                order_by=order_by,
                passages=passages,
                min_score=min_score,
                ranking=self.declaration.ranking(ranking),
                syntax=syntax,
                fields=tuple(self.declaration.metadata_fields),
                typos="ignore" if seen and typos == "suggest" else typos,
            )

        found = found_rows(find, {collection: self._live}, size)
        self._report_gone(found.gone)
        return found.results(offset, reasons, waiting)

    __call__ = search

    def _before_search(self, *, fresh: bool, timeout: float) -> tuple[int, list[str]]:
        """Bring the index up to date as far as a search does. Returns the number of pending changes
        and why the answer may be incomplete.
        """
        if self.same_transaction and self.in_transaction:
            self.coordinator.index_text()
        coordinator = self._checked_coordinator()
        try:
            if fresh:
                waiting = coordinator.freshen(self.declaration.collection, timeout)
            else:
                waiting = coordinator.waiting(self)
        except Exception:
            if not coordinator.is_gone():
                raise
            waiting = 0  # `behind` gives the reason
        behind = coordinator.behind(self)
        if behind:
            coordinator.compare_in_background()
        reasons = [behind]
        if waiting and coordinator.last_error:
            reasons.append(f"the latest changes could not be indexed: {coordinator.last_error}")
        return waiting, reasons

    def pages(self, query: str, **options: Any) -> ModelPages:
        """All rows that a search finds, read page by page: for Django's ``Paginator`` and others.

        options: of `search`, without limit, offset and total. Nothing is searched yet.
        """
        wrong = options.keys() & {"limit", "offset", "total", "passages", "facets"}
        if wrong:
            raise InputError(
                f"pages takes no {', '.join(sorted(wrong))}.",
                hint="Slice the pages, or use search(...).",
            )
        return ModelPages(self, query, **options)

    @in_one_connection
    def keys_among(self, among: object) -> RowKeys | None:
        """The keys of the rows that `among` of a search names, as their documents have them; None
        for None. Raises InputError, and what the ORM raises.
        """
        return keys_among(self, among)

    def count_documents(
        self,
        *,
        where: Where = None,
        among: object = None,
        tenant: str | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> int:
        """The number of documents of this index that a search with these arguments looks at."""
        collection = self.declaration.collection
        keys = self.keys_among(among)
        page = self._core_of(tenant).documents(
            limit=0,
            where=checked_where(self, where),
            collections=[collection],
            context=context,
            among=None if keys is None else {collection: keys},
        )
        return page.total

    def finds_words_only(self, mode: Mode) -> bool:
        """Whether a search in this mode lists the rows that hold a word of the query and no
        others.
        """
        words_only = self.core.embedder.space.model == WORDS_ONLY
        return mode == "text" or (mode == "hybrid" and words_only)

    def complete(
        self,
        text: str,
        *,
        limit: int = 10,
        where: Where = None,
        tenant: str | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> tuple[Completion, ...]:
        """What somebody who has typed this text may want to type, from the titles and words of this
        index. where, tenant, context: as for `search`. Else as `SemanticCore.complete`.
        """
        return self._core_of(tenant).complete(
            text,
            limit=limit,
            where=checked_where(self, where),
            collections=[self.declaration.collection],
            context=context,
        )

    @in_one_connection
    def similar(
        self,
        row: Any,
        *,
        limit: int = 10,
        where: Where = None,
        context: Mapping[str, Any] | None = None,
    ) -> ModelResults[Any]:
        """The rows of this index that are most like one of its rows, without itself; of a row with
        a tenant, rows of that tenant.

        No embedder is asked. where, context: as for `search`. Raises InputError if the row is not
        in the index, or is not shown to whoever asks; else as `SemanticCore.similar`.
        """
        check_count("limit", limit, 1)
        conditions = checked_where(self, where)
        waiting, reasons = self._before_search(fresh=False, timeout=0.0)
        collection = self.declaration.collection
        tenant = self.tenant_of(row)
        core = self.core.tenant(tenant) if tenant else self.core
        ref = Ref(collection, self.key_of(row), tenant)

        def find(page: int, seen: int) -> SearchResults:
            return core.similar(
                ref,
                limit=page,
                offset=seen,
                where=conditions,
                collections=[collection],
                context=context,
            )

        found = found_rows(find, {collection: self._live}, limit)
        self._report_gone(found.gone)
        return found.results(0, reasons, waiting)

    @in_one_connection
    def install(self, *, backfill: Backfill | None = None) -> bool:
        """Create what the index needs in the application's database: the outbox, and the triggers
        (or event listeners). Idempotent; returns whether anything changed.

        Existing rows are indexed. So are all rows if index or database turn out to be restored,
        copied or new. backfill: when that happens. "background": by a thread of this process (with
        sync="manual", by whoever processes the pending changes). "now": before this returns. "off":
        when `reindex`, `SemanticCore.sync` or a worker runs. None keeps the present value, which is
        "background" at first. Until then answers are ``degraded`` and give the reason.
        While the model has no table, nothing is done; the index is installed at the next commit
        after the table was created. Raises what the database raises.
        """
        if backfill is not None:
            self.backfill = _one_of("backfill", backfill, BACKFILLS)
        coordinator = self.coordinator
        if not has_table(self):
            coordinator.reinstall.later(self)
            log.info("%s: %s; the index is installed when it is.", self, NO_TABLE)
            return False
        if self.capture == "triggers":
            self._capture.refuse_views()
        self.uninstalled = False
        with coordinator.at_work():
            coordinator.outbox.create()
        if coordinator.move_if_foreign(self):
            coordinator = self.coordinator
        coordinator.owners_checked = True
        coordinator.agree()
        with coordinator.at_work():  # these commits are no changes of the application
            changed = self._set_up()
        comparison = coordinator.comparison(self)
        if self.backfill == "now" and comparison.wanted:
            coordinator.sync(None, collections={self.declaration.collection})
        coordinator.compare_in_background()
        coordinator.waiting(self)  # wakes the worker thread if changes are pending
        if coordinator.outbox.get_state(self.declaration.collection, TABLE) != self.table.name:
            coordinator.outbox.set_state(self.declaration.collection, TABLE, self.table.name)
        forget_gone(self.coordinator)
        coordinator.reinstall.done(self)
        self.installed = True
        return changed

    def _set_up(self) -> bool:
        """Install triggers or event listeners, and request the comparison of rows that is due.
        Returns whether anything changed.
        """
        coordinator = self.coordinator
        changed = False
        if self.capture == "triggers":
            changed = self._install_triggers()
        else:
            self._capture.remove()
            coordinator.outbox.set_state(self.declaration.collection, TRIGGERS, "")
        if self.capture == "events" and not self._connected:
            self.connect()
            self._connected = True
        comparison = coordinator.comparison(self)
        if comparison.wanted or comparison.is_of_another:
            changed = True
            first = comparison.state is None
            another = comparison.is_of_another
            if not comparison.settle_if_empty() and (first or another):
                comparison.begin(
                    FIRST_TIME if first else "what its documents are made of has changed"
                )
        return changed

    def _install_triggers(self) -> bool:
        """Install the triggers; return whether anything changed.

        If triggers disappeared since the last installation (a migration recreated a table, and
        SQLite dropped them with the old one), changes in between were not captured. Then every
        index of this collection compares all rows.
        """
        outbox = self.coordinator.outbox
        name = self.declaration.collection
        known = outbox.get_state(name, TRIGGERS)
        before = (known or "").split()
        lost = known is None or not set(before) <= self._capture.existing()
        changed = self._capture.install()
        now = " ".join(sorted(self._capture.existing()))
        comparison = self.coordinator.comparison(self)
        if lost:
            state = comparison.state
            if state is not None:  # rows compared so far may have changed unnoticed
                finished = state.phase == "done"
                comparison.begin(
                    "triggers were gone for a while, and changes went unseen"
                    if finished
                    else state.why
                )
                self.coordinator.agreement.leave_copies_behind()
            for other in self.coordinator.agreement.consumers.every():
                if other.consumer != outbox.consumer:
                    outbox.add(name, [WHOLE_TABLE], consumer=other.consumer)
        if now != known:
            outbox.set_state(name, TRIGGERS, now)
        return changed

    @in_one_connection
    def uninstall(self, *, forget: bool = True) -> None:
        """Remove the triggers (or event listeners) of this index, its pending changes and its state
        in the outbox. Its documents stay.

        forget: False removes the triggers alone, for a migration that recreates tables: SQLite
        renames no table while a trigger of another table refers to it. `install` then compares all
        rows again.
        """
        self.installed = False
        self.coordinator.reinstall.done(self)
        if self._connected:
            self.disconnect()
            self._connected = False
        self.uninstalled = True
        if self.coordinator.outbox.exists():
            self._capture.remove()
            if forget:
                self.coordinator.outbox.forget(self.declaration.collection)
                self.coordinator.agreement.collections.discard(self.declaration.collection)
                if not self.coordinator.outbox.collections():  # nobody reads it any more
                    self.coordinator.agreement.consumers.drop(self.coordinator.outbox.consumer)
                if not self.coordinator.closed:
                    self.coordinator.agreement.forget(self.declaration.collection)

    def before_statement(self, sql: str) -> None:
        """For adapters: report a statement that is about to run on the connection of `execute` and
        may be DDL.

        If the statement conflicts with triggers, they are dropped first, see
        `semantic_core.orm.migrations`. At the next commit they are created again, and all rows are
        compared.
        """
        removed = make_way(sql, self.execute, self.dialect)
        if self.coordinator.closed or not (removed or changes_tables(sql)):
            return
        for adapter in self._captured_by_triggers():
            # Another core of this process may have dropped them.
            if removed or (adapter.installed and not adapter.capturing):
                self.coordinator.reinstall.later(adapter)

    def before_commit(self) -> None:
        """For adapters: a transaction of this database is about to be committed.

        Indexes whose triggers made way for a migration, or whose table did not exist yet, are
        installed within that transaction. Optional: otherwise the next `wake` installs them. Never
        raises.
        """
        self.coordinator.install_waiting()

    @property
    def processing(self) -> bool:
        """For adapters: whether this thread is processing pending changes right now.

        What it writes then is no change to process, and `wake` does nothing.
        """
        return self.coordinator.working

    def _captured_by_triggers(self) -> list[BaseORMAdapter]:
        """The indexes of this database that are bound in this core and have triggers."""
        found: list[BaseORMAdapter] = []
        for adapter in self.coordinator.adapters.values():
            if isinstance(adapter, BaseORMAdapter) and adapter.capture == "triggers":
                found.append(adapter)
        return found

    @contextmanager
    def migrating(self) -> Iterator[None]:
        """A block in which a migration may change tables: the triggers of all indexes of this
        database are dropped.

        At its end the triggers of the indexes that are bound here are created again, and all rows
        and documents are compared. On MySQL, DDL commits an open transaction: use the block outside
        of one.
        """
        remove_triggers(self.execute, self.dialect)
        try:
            yield
        finally:
            for adapter in self._captured_by_triggers():
                adapter.install()

    @in_one_connection
    def changed(self, *instances: Any, execute: Execute | None = None) -> None:
        """Add a pending change for each of these rows, which were or will be written or deleted.

        execute: of the transaction that writes them; None uses the adapter's own.
        """
        by_tenant: dict[str, list[str]] = {}
        for instance in instances:
            tenant = "" if self.places_rows else self.tenant_of(instance)
            by_tenant.setdefault(tenant, []).append(self.key_of(instance))
        for tenant, keys in by_tenant.items():
            self.coordinator.outbox.add(self.declaration.collection, keys, tenant, execute=execute)

    @in_one_connection
    def freshen(self, timeout: float = 5.0) -> int:
        """Process pending changes of this index for at most `timeout` seconds, as a search with
        ``fresh=True`` does. Returns how many are pending afterwards: 0 if the index has all rows
        that are committed, including those of other programs.

        Within a transaction nothing is processed, since the transaction may be rolled back. While
        the embedder is unavailable, the text of rows is found, and their vectors are pending.
        """
        coordinator = self._checked_coordinator()
        if coordinator.closed:  # a core that processes changes itself before it answers
            self.core.sync()
            return 0
        return coordinator.freshen(self.declaration.collection, timeout)

    def sync(self, limit: int | None = None) -> IngestReport:
        """Process up to `limit` pending changes of this index now; None processes all."""
        return self.coordinator.sync(limit, collections={self.declaration.collection})

    @in_one_connection
    def reindex(
        self,
        *,
        progress: Callable[[ReindexProgress], None] | None = None,
        resume: bool = True,
        batch: int = PAGE,
    ) -> IngestReport:
        """Compare all rows with the index, index what differs, and remove documents without a row.

        Search works meanwhile. Unchanged rows cost a comparison and are never embedded again.
        progress: called after each batch of rows. resume: continue where an interrupted run ended,
        whether of this method or of the background thread. False begins at the first row and
        overwrites documents even if their stamps are newer. batch: rows read at a time.
        While another process compares the rows of this index, this call waits for it.
        """
        return maintenance.reindex(
            self, self._checked_coordinator(), progress, resume=resume, batch=batch
        )

    @in_one_connection
    def verify(self) -> maintenance.VerifyReport:
        """Compare all rows with the index and report the differences; changes nothing.

        Rows with pending changes do not count as different.
        """
        return maintenance.verify(self, self._checked_coordinator())

    @in_one_connection
    def repair(self) -> IngestReport:
        """Index the rows and remove the documents that `verify` finds different, even if their
        stamps are newer. What still differs afterwards is a failure in the report.
        """
        return maintenance.repair(self, self._checked_coordinator())

    @in_one_connection
    def status(self) -> IndexStatus:
        """How many changes are pending, how many failed, and why."""
        status = self.coordinator.status_of(self, capturing=self.capturing)
        return status if has_table(self) else attrs.evolve(status, last_error=NO_TABLE)

    @contextmanager
    def pause(self) -> Iterator[None]:
        """A block in which this process processes no pending changes of this index by itself.
        Changes are captured as usual, and processed after the block.
        """
        with self.coordinator.paused(self.declaration.collection):
            yield
        self.coordinator.wake()

    @property
    def coordinator(self) -> SyncCoordinator:
        """The sync coordinator of this database, which processes the pending changes."""
        if self._coordinator is None or self._coordinator.core is not self.core:
            self._coordinator = coordinator_of(self.core, self)
        return self._coordinator

    @cached_property
    def _capture(self) -> Capture:
        return Capture(self.sql, trigger_spec(self))

    @property
    def capturing(self) -> bool:
        """Whether changes are captured: all triggers of this version exist, or, with
        ``capture="events"``, the adapter listens to the ORM's events.
        """
        return self._capture.installed() if self.capture == "triggers" else self._connected

    def _checked_coordinator(self) -> SyncCoordinator:
        """The coordinator, once it is certain that the index belongs to this database."""
        coordinator = self.coordinator
        coordinator.check_agreement()
        if self.coordinator is not coordinator:  # the index is in memory from now on
            self.coordinator.check_agreement()
        return self.coordinator

    def _live(self, hits: Sequence[SearchHit], unreadable: dict[str, Exception]) -> dict[Ref, Any]:
        """The rows of these hits, as far as they exist and belong into the index.

        unreadable: receives the keys of rows that the ORM fails to read, each with its error.
        """
        refs = {hit.ref.key: hit.ref for hit in hits}
        live: dict[Ref, Any] = {}
        for key, instance in self.rows(refs, unreadable.__setitem__):
            ref = refs.get(key)
            if ref is None or not self.declaration.wants(instance):
                continue
            if self.declaration.tenant is None or self.tenant_of(instance) == ref.tenant:
                live[ref] = instance
        return live

    def _report_gone(self, gone: Sequence[Ref]) -> None:
        """Add a pending change for each document that was found without a row, unless a transaction
        or a run of the coordinator is under way.
        """
        coordinator = self.coordinator
        if (
            not gone
            or coordinator.closed
            or coordinator.working
            or self.in_transaction
            or not coordinator.outbox.exists()
        ):
            return
        with coordinator.at_work():
            pending = set(coordinator.outbox.keys(self.declaration.collection))
            missing = [ref for ref in gone if ref.key not in pending]
            add_changes(self, coordinator.outbox, missing)
        coordinator.catch_up()

    def _core_of(self, tenant: str | None) -> SemanticCore:
        if self.declaration.tenant is None:
            return self.core if tenant is None else self.core.tenant(tenant)
        if tenant is None:
            raise TenantRequired(
                f"{self} keeps tenants apart.", hint='Name the tenant: search(..., tenant="...").'
            )
        return self.core.tenant(self.tenant_name(self.related_key(tenant)))

    def _usual_strategy(self) -> Strategy:
        return "inline" if getattr(self.core.embedder, "is_local", False) else "background"


def bind_declared(
    adapter_class: type[BaseORMAdapter],
    core: SemanticCore | None = None,
    *,
    install: bool = True,
    backfill: Backfill | None = None,
    **options: Any,
) -> list[BaseORMAdapter]:
    """Bind all declared indexes whose models the adapter class serves. Call it once at start-up.

    core: for the indexes that name none. None takes the core that they are bound to already, or
    creates one with `BaseORMAdapter.usual_core`. If the settings give no path, its file is
    "semantic-core.db" beside the package of the models. install: create tables and triggers as
    well. backfill: when existing rows are indexed, see `BaseORMAdapter.install`. options: arguments
    of the adapter class. Binding again to the same core changes nothing.
    """
    served: list[type] = []
    for model, _ in SemanticIndex.declared():
        if adapter_class.serves(model, **options):
            served.append(model)

    def usual_place() -> dict[str, Any]:
        return {"path": project_folder(served) / INDEX_FILE}

    bound: list[BaseORMAdapter] = []
    for model, index in SemanticIndex.declared():
        if not adapter_class.serves(model, **options):
            continue
        if core is None and index._core is None and not any(index._parts.values()):
            core = index.bound_core(model) or adapter_class.usual_core(
                usually=usual_place, **options
            )
        if index.belongs_to_parent(model, adapter_class, core, **options):
            continue
        adapter = index.bind_to(model, adapter_class, core, **options)
        if install:
            adapter.install(backfill=backfill)
        bound.append(adapter)
    if install:
        coordinators = dict.fromkeys(adapter.coordinator for adapter in bound)
        for coordinator in coordinators:
            warn_of(coordinator)
    return bound


def _one_of(what: str, value: str, known: Sequence[str]) -> Any:
    if value not in known:
        raise ConfigError(f"{what} must be one of {', '.join(known)}, got {clip(value)}.")
    return value
