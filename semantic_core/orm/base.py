"""What an adapter is: `BaseORMAdapter`.

A subclass says how its ORM reads, writes and commits; everything else is here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from time import perf_counter
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, overload

import attrs

from semantic_core._search import MAX_LIMIT
from semantic_core._validation import check_count, clip, did_you_mean, one_line
from semantic_core.errors import ConfigError, FilterInvalid, TenantRequired
from semantic_core.filters import Filter
from semantic_core.orm import maintenance
from semantic_core.orm.agreement import FIRST_TIME
from semantic_core.orm.comparison import PAGE, ReindexProgress, note
from semantic_core.orm.contract import (
    AdapterContract,
    Backfill,
    CaptureMode,
    Strategy,
    in_one_connection,
)
from semantic_core.orm.declaration import Declaration, scalar
from semantic_core.orm.leftovers import TABLE, forget_gone
from semantic_core.orm.migrations import (
    NO_TABLE,
    changes_tables,
    is_there,
    make_way,
    remove_triggers,
)
from semantic_core.orm.outbox import TRIGGERS
from semantic_core.orm.pending import WHOLE
from semantic_core.orm.sync import IndexStatus, SyncCoordinator, coordinator_of
from semantic_core.orm.tables import Execute
from semantic_core.orm.triggers import Capture, watch
from semantic_core.types import IngestReport, Mode, Ref, SearchHit

if TYPE_CHECKING:
    from semantic_core.core import SemanticCore


# ``where`` of a model's search: names are checked against the declaration,
# values are written as metadata keeps them.


def checked_where(adapter: AdapterContract, where: Mapping[str, Any] | Filter | None) -> Filter:
    """The filter that is meant. Raises FilterInvalid for a name that is no metadata field."""
    if isinstance(where, Mapping):
        where = {name: _written(adapter, wanted) for name, wanted in where.items()}
    asked = Filter.parse(where)
    known = adapter.declaration.metadata_fields
    for condition in asked.conditions:
        if condition.key not in known:
            raise FilterInvalid(
                f"{condition.key!r} is no metadata field of {adapter}; there are "
                f"{', '.join(known) or 'none'}.{did_you_mean(condition.key, known)}",
                hint=f"Write metadata_fields=[..., {condition.key!r}] in its SemanticIndex.",
            )
    return asked


def _written(adapter: AdapterContract, wanted: Any) -> Any:
    if isinstance(wanted, Mapping):
        return {word: _written(adapter, value) for word, value in wanted.items()}
    if isinstance(wanted, list | tuple | set | frozenset):
        return [_written(adapter, value) for value in wanted]
    return wanted if wanted is None else scalar(adapter.related_key(wanted))


# Rows that were found, in the order of the ranking, each with the passage that was found in it.

T = TypeVar("T")

HIT = "search_hit"
"""The attribute of a found instance that holds its `SearchHit`."""


@attrs.frozen
class ModelResults(Sequence[T], Generic[T]):
    """Instances, best first; each has its `SearchHit` as ``search_hit``,
    and ``hits`` has them in the same order.

    mode, degraded, reason, timings: of the search, as `SearchResults` has them; timings holds
    "rows" as well, the milliseconds spent reading rows. waiting: changes of these rows that the
    index had not processed when the search began (0 after ``fresh=True`` that succeeded).
    """

    query: str
    rows: tuple[T, ...]
    hits: tuple[SearchHit, ...]
    mode: Mode
    degraded: bool = False
    reason: str = ""
    waiting: int | None = None
    timings: Mapping[str, float] = attrs.field(factory=dict, hash=False)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...
    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        return self.rows[index]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[T]:
        return iter(self.rows)


def with_hit(instance: Any, hit: SearchHit) -> Any:
    """The instance, with its hit.

    One that has no room for attributes stays as it is: `ModelResults.hits` has it.
    """
    try:
        setattr(instance, HIT, hit)
    except Exception:  # noqa: BLE001
        # A model that is frozen, or takes its own fields only, says so as it likes.
        with suppress(AttributeError, TypeError):  # slots
            object.__setattr__(instance, HIT, hit)
    return instance


_log = logging.getLogger("semantic_core.orm")

CAPTURES: tuple[CaptureMode, ...] = ("triggers", "events")
STRATEGIES: tuple[Strategy, ...] = ("inline", "background", "manual")
BACKFILLS: tuple[Backfill, ...] = ("background", "now", "off")

MOST_GONE = 2_000
"""Documents without a row that a search goes past to fill its limit;
an answer that meets more says so.
"""
LEAST_PAGE = 200
"""Hits asked for at least, once it turns out that rows are gone."""

Where = Mapping[str, Any] | Filter | None


class BaseORMAdapter(AdapterContract):
    """Keeps one index of one model in step with its rows, and searches it.

    model: a class of the ORM. core: where documents go. declaration: what of a row is indexed.
    capture: "triggers" sees every write to the table, whoever makes it; "events" sees what the ORM
    tells, and never bulk statements or other programs. sync: when changes are worked off: "inline"
    right after the commit, in the same thread; "background" by a thread of this process; "manual"
    by `SemanticCore.sync` or ``semantic-core worker``. None takes "inline" for an embedder that
    runs in this process (it says so with ``is_local = True``), "background" for others.

    A new adapter touches nothing; `install` sets up its tables and triggers.
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
        self.core = core
        self.declaration = attrs.evolve(declaration.named_after(self.table), is_row=self.is_row)
        self.check_fields()
        self._connected = False
        self.backfill = "background"
        self.capture: CaptureMode = _one_of("capture", capture or "triggers", CAPTURES)
        self.strategy: Strategy = _one_of("sync", sync or self._usual_strategy(), STRATEGIES)
        if (declaration.tenant is not None) != core.store.multi_tenant:
            if core.store.multi_tenant:
                raise ConfigError(
                    f"The index keeps tenants apart, and {self} does not say whose its rows are.",
                    hint='Write SemanticIndex(..., tenant="field").',
                )
            raise ConfigError(
                f"{self} names a tenant, and the index keeps none.",
                hint="Create it with multi_tenant=True.",
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
        """An adapter for this model, which joins the others of its database. Touches no database.

        name: of the attribute it is declared as. collection: None names it like the table, and
        "table.name" for an index that is not called "search". adapter_options: of the adapter
        class. declaration: as for `Declaration.of`. Raises ConfigError.
        """
        said = Declaration.of(collection or "", name=name, **declaration)
        adapter = cls(model, core, said, capture=capture, sync=sync, **(adapter_options or {}))
        adapter.coordinator.add(adapter)
        return adapter

    @classmethod
    def usual_core(cls, *, usually: Any = None, **options: Any) -> SemanticCore:
        """The core of declared indexes that name none: as the settings say.

        usually: as for `SemanticCore.from_config`. options: of the adapter class.
        """
        from semantic_core.core import SemanticCore

        return SemanticCore.from_config(usually=usually)

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
    ) -> ModelResults[Any]:
        """The best `limit` rows, after `offset` better ones;
        each instance has its `SearchHit` as ``search_hit``.

        where: conditions on metadata_fields, see `semantic_core.filters`; an instance stands for
        its key. tenant: whose rows, for an index that keeps tenants. fresh: work off waiting
        changes first, for `timeout` seconds at most; words of what was just committed are found
        even when the embedder is away. Rows that are gone, or no longer belong into the index, are
        left out, and the limit is filled with the next best. Raises InputError, FilterInvalid,
        TenantRequired, StoreError.
        """
        size = check_count("limit", limit, 1) + check_count("offset", offset)
        asked = checked_where(self, where)
        if self.same_transaction and self.in_transaction:
            self.coordinator.write_words()
        coordinator = self._coordinator_at_home()
        core = self._core_of(tenant)
        try:
            waiting = (
                coordinator.freshen(self.declaration.collection, timeout)
                if fresh
                else coordinator.waiting(self)
            )
        except Exception:
            if not coordinator.is_gone():
                raise
            waiting = 0  # `behind` says why
        behind = coordinator.behind(self)
        if behind:
            coordinator.compare_in_background()
        reasons = [behind]
        if waiting and coordinator.last_error:
            reasons.append(f"the latest changes could not be indexed: {coordinator.last_error}")
        rows: list[Any] = []
        hits: list[SearchHit] = []
        gone: list[Ref] = []
        unreadable: dict[str, Exception] = {}
        spent = {"rows": 0.0}
        seen = 0
        page = size
        while True:
            found = core.search(
                query,
                limit=page,
                mode=mode,
                where=asked,
                offset=seen,
                collections=[self.declaration.collection],
            )
            started = perf_counter()
            live = self._live(found.hits, unreadable)
            spent["rows"] += (perf_counter() - started) * 1000
            for name, value in found.timings.items():
                spent[name] = spent.get(name, 0.0) + value
            rows += [instance for instance, _ in live]
            hits += [hit for _, hit in live]
            there = {hit.ref for _, hit in live}
            gone += [
                hit.ref
                for hit in found.hits
                if hit.ref not in there and hit.ref.key not in unreadable
            ]
            seen += len(found)
            if len(rows) >= size or len(found) < page:
                break
            # Rows are gone: look further, in growing steps.
            page = min(max(page * 4, LEAST_PAGE), MAX_LIMIT - seen)
            if page < 1 or len(gone) >= MOST_GONE:
                reasons.append(
                    f"more than {len(gone):,} documents found have no row any more, "
                    "so fewer rows are given"
                )
                break
        if unreadable:
            error = next(iter(unreadable.values()))
            counted = "1 row" if len(unreadable) == 1 else f"{len(unreadable):,} rows"
            reasons.append(f"{counted} found cannot be read: {one_line(error)}")
        self._report_gone(gone)
        rows = rows[offset:size]
        hits = hits[offset:size]
        for instance, hit in zip(rows, hits, strict=True):
            with_hit(instance, hit)
        reason = "; ".join(each for each in (*reasons, found.reason) if each)
        return ModelResults(
            query,
            tuple(rows),
            tuple(hits),
            found.mode,
            bool(reason),
            reason,
            waiting=waiting,
            timings=spent,
        )

    __call__ = search

    @in_one_connection
    def install(self, *, backfill: Backfill | None = None) -> bool:
        """Create what the index needs in the application's database: its outbox,
        and its triggers (or events).

        Rows that are there already are brought into the index, and so are all rows if index or
        database turn out to be restored, copied or new. backfill: when; "background": by a thread
        of this process (of an index with sync="manual", by whoever works its changes off); "now":
        before this returns; "off": when `reindex`, `SemanticCore.sync` or a worker is called; None
        leaves it as it was, "background" at first. Until then answers are ``degraded`` and say so.
        While the model has no table, nothing is done; it is made up for at the next commit that is
        heard. Idempotent; True if anything changed. Raises what the database raises.
        """
        if backfill is not None:
            self.backfill = _one_of("backfill", backfill, BACKFILLS)
        coordinator = self.coordinator
        if not is_there(self):
            coordinator.reinstall.later(self)
            _log.info("%s: %s; the index is installed when it is.", self, NO_TABLE)
            return False
        if self.capture == "triggers":
            self._capture.refuse_views()
        self.uninstalled = False
        with coordinator.at_work():
            coordinator.outbox.create()
        if coordinator.keep_own(self):
            coordinator = self.coordinator
        coordinator.at_home = True
        coordinator.agree()
        with coordinator.at_work():  # what is committed here is no change
            changed = self._set_up()
        comparison = coordinator.comparison(self)
        if self.backfill == "now" and comparison.wanted:
            coordinator.sync(None, collections={self.declaration.collection})
        coordinator.compare_in_background()
        coordinator.waiting(self)  # and whoever works for it is told
        if coordinator.outbox.get_state(self.declaration.collection, TABLE) != self.table.name:
            coordinator.outbox.set_state(self.declaration.collection, TABLE, self.table.name)
        forget_gone(self.coordinator)
        coordinator.reinstall.done(self)
        self.installed = True
        return changed

    def _set_up(self) -> bool:
        """Triggers, or events; and the comparison of rows that is due. Whether that was new."""
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
        """Whether anything changed. Where some went since the last time (a migration made a table
        anew, and SQLite dropped them with the old one), what happened meanwhile was not seen: so
        every index compares every row."""
        outbox = self.coordinator.outbox
        name = self.declaration.collection
        known = outbox.get_state(name, TRIGGERS)
        before = (known or "").split()
        went = known is None or not set(before) <= self._capture.there()
        changed = self._capture.install()
        now = " ".join(sorted(self._capture.there()))
        comparison = self.coordinator.comparison(self)
        if went:
            state = comparison.state
            if state is not None:  # what it has looked at so far may have changed unseen
                finished = state.phase == "done"
                comparison.begin(
                    "triggers were gone for a while, and changes went unseen"
                    if finished
                    else state.why
                )
                self.coordinator.agreement.leave_copies_behind()
            for other in self.coordinator.agreement.consumers.every():
                if other.consumer != outbox.consumer:
                    outbox.add(name, [WHOLE], consumer=other.consumer)
        if now != known:
            outbox.set_state(name, TRIGGERS, now)
        return changed

    @in_one_connection
    def uninstall(self, *, forget: bool = True) -> None:
        """Remove the triggers (or events) of this index, and what is noted of it.

        Its documents stay.

        forget: False takes only the triggers away, for a migration that makes tables anew: SQLite
        renames none while a trigger of another table speaks of it. `install` then looks at every
        row again.
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
        """For adapters: tell of a statement that is about to run on the connection `execute` uses,
        and may be DDL.

        Where it would break a trigger or be broken by one, triggers make way, see
        `semantic_core.orm.migrations`; at the next commit that is heard they come back, and every
        row is looked at again.
        """
        went = make_way(sql, self.execute, self.dialect)
        if self.coordinator._closed or not (went or changes_tables(sql)):
            return
        for adapter in self._captured_by_triggers():
            # Another core of this process made way.
            if went or (adapter.installed and not adapter.capturing):
                self.coordinator.reinstall.later(adapter)

    def _captured_by_triggers(self) -> list[BaseORMAdapter]:
        """The indexes of this database that are bound in this core and have triggers."""
        mine = [
            each for each in self.coordinator.adapters.values() if isinstance(each, BaseORMAdapter)
        ]
        return [each for each in mine if each.capture == "triggers"]

    @contextmanager
    def migrating(self) -> Iterator[None]:
        """Within it, tables may be changed however a migration likes:
        no trigger of this database is in its way.

        Afterwards the triggers of all indexes of the database that are bound here are put back, and
        every row and document is looked at again. Not within a transaction on MySQL, which commits
        it.
        """
        remove_triggers(self.execute, self.dialect)
        try:
            yield
        finally:
            for adapter in self._captured_by_triggers():
                adapter.install()

    @in_one_connection
    def changed(self, *instances: Any, execute: Execute | None = None) -> None:
        """Note that these rows were written or deleted, or are about to be. execute: of the
        transaction that does it.
        """
        by_tenant: dict[str, list[str]] = {}
        for instance in instances:
            tenant = "" if self.places_rows else self.tenant_of(instance)
            by_tenant.setdefault(tenant, []).append(self.key_of(instance))
        for tenant, keys in by_tenant.items():
            self.coordinator.outbox.add(self.declaration.collection, keys, tenant, execute=execute)

    def sync(self, limit: int | None = None) -> IngestReport:
        """Work off up to `limit` waiting changes of this index now; None works off all."""
        return self.coordinator.sync(limit, collections={self.declaration.collection})

    @in_one_connection
    def reindex(
        self,
        *,
        progress: Callable[[ReindexProgress], None] | None = None,
        resume: bool = True,
        batch: int = PAGE,
    ) -> IngestReport:
        """Bring every row into the index again, and take out what has no row.

        Search works meanwhile, with no gap.

        progress: called after each batch of rows. resume: go on where an interrupted run ended, be
        it of this method or in the background; False begins at the first row, and writes what the
        rows say whatever the index says of its age. What has not changed costs a comparison and is
        never embedded again. Where another process is comparing the rows of this index already, it
        is waited for.
        """
        return maintenance.reindex(
            self, self._coordinator_at_home(), progress, resume=resume, batch=batch
        )

    @in_one_connection
    def verify(self) -> maintenance.VerifyReport:
        """Compare every row with the index; changes that wait to be worked off are no difference.

        Changes nothing.
        """
        return maintenance.verify(self, self._coordinator_at_home())

    @in_one_connection
    def repair(self) -> IngestReport:
        """Mend what `verify` finds, whatever the index says of its age.

        What still differs is a failure in the report.
        """
        return maintenance.repair(self, self._coordinator_at_home())

    @in_one_connection
    def status(self) -> IndexStatus:
        """What waits, what failed, and why."""
        status = self.coordinator.status_of(self, capturing=self.capturing)
        waits = self in self.coordinator.reinstall and not is_there(self)
        return attrs.evolve(status, last_error=NO_TABLE) if waits else status

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Within it, this process works nothing off by itself; changes are noted as ever,
        and worked off afterwards.
        """
        with self.coordinator.paused(self.declaration.collection):
            yield
        self.coordinator.wake()

    @property
    def coordinator(self) -> SyncCoordinator:
        """Where the indexes of this database are worked off."""
        if self._coordinator is None or self._coordinator.core is not self.core:
            self._coordinator = coordinator_of(self.core, self)
        return self._coordinator

    @cached_property
    def _capture(self) -> Capture:
        return Capture(self.execute, self.dialect, watch(self), placeholder=self.placeholder)

    @property
    def capturing(self) -> bool:
        """Whether its triggers, all of this version, are there; for events,
        whether it hears them.
        """
        return self._capture.installed() if self.capture == "triggers" else self._connected

    def _coordinator_at_home(self) -> SyncCoordinator:
        """The coordinator, once it is certain that the index belongs to this database."""
        coordinator = self.coordinator
        coordinator.look()
        if (
            self.coordinator is not coordinator
        ):  # it was another's: from now on this one's is in memory
            self.coordinator.look()
        return self.coordinator

    def _live(
        self, hits: Sequence[SearchHit], unreadable: dict[str, Exception]
    ) -> list[tuple[Any, SearchHit]]:
        """Hits with their rows, as far as these exist and belong into the index.

        unreadable: gets the keys of rows the ORM fails on, each with its error.
        """
        by_key = {hit.ref.key: hit for hit in hits}
        live = {
            key: instance
            for key, instance in self.rows(by_key, unreadable.__setitem__)
            if key in by_key
            and self.declaration.wants(instance)
            and (
                self.declaration.tenant is None
                or self.tenant_of(instance) == by_key[key].ref.tenant
            )
        }
        return [(live[hit.ref.key], hit) for hit in hits if hit.ref.key in live]

    def _report_gone(self, gone: Sequence[Ref]) -> None:
        """Have documents that were found without a row looked at again,
        where nobody is in the middle of something.
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
            waiting = set(coordinator.outbox.keys(self.declaration.collection))
            note(self, coordinator.outbox, [ref for ref in gone if ref.key not in waiting])
        coordinator.catch_up()

    def _core_of(self, tenant: str | None) -> SemanticCore:
        if self.declaration.tenant is None:
            return self.core if tenant is None else self.core.tenant(tenant)
        if tenant is None:
            raise TenantRequired(
                f"{self} keeps tenants apart.", hint='Say whose rows: search(..., tenant="...").'
            )
        return self.core.tenant(self.tenant_name(self.related_key(tenant)))

    def _usual_strategy(self) -> Strategy:
        return "inline" if getattr(self.core.embedder, "is_local", False) else "background"


def _one_of(what: str, value: str, known: Sequence[str]) -> Any:
    if value not in known:
        raise ConfigError(f"{what} must be one of {', '.join(known)}, got {clip(value)}.")
    return value
