"""Adapters that are broken on purpose, and the check that catches each."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest import SkipTest

import attrs
import pytest
from mini_harness import MiniHarness, MiniKitAdapter, Rows
from mutants import CaughtBy, opener, unshrunk

from semantic_core import SemanticCore
from semantic_core._memory.store import MemoryStore
from semantic_core.errors import InputError
from semantic_core.orm import ModelResults, SqlOutbox, VerifyReport
from semantic_core.orm.among import RowKeys
from semantic_core.orm.comparison import RowComparison
from semantic_core.orm.declaration import uuid_text
from semantic_core.orm.dialects import OUTBOX
from semantic_core.orm.migrations import make_way
from semantic_core.orm.paging import KeysetPages
from semantic_core.orm.sync import SyncCoordinator, coordinator_of
from semantic_core.orm.triggers import Capture, trigger_spec
from semantic_core.testing import Check, adapter_checks
from semantic_core.testing.adapters import trees

caught_by = CaughtBy()


class OtherOutbox(MiniKitAdapter):
    """An adapter whose outbox is of another class."""

    outbox: type[SqlOutbox] = SqlOutbox
    coordinator_class: type[SyncCoordinator] = SyncCoordinator

    @cached_property
    def coordinator(self):
        coordinator = coordinator_of(self.core, self)
        coordinator.__class__, coordinator.outbox.__class__ = self.coordinator_class, self.outbox
        return coordinator


class OtherCapture(MiniKitAdapter):
    """An adapter whose triggers are of another class, or listen to something else."""

    capture_class: type[Capture] = Capture

    def listens_to(self):
        return trigger_spec(self)

    @cached_property
    def _capture(self):
        return self.capture_class(self.sql, self.listens_to())


class OnlyEvents(MiniKitAdapter):
    """An adapter that notices what the ORM reports and nothing else, whatever `capture` is."""

    def __init__(self, *args: Any, capture: Any = None, **options: Any) -> None:
        super().__init__(*args, capture="events", **options)


# --- when pending changes are written -------------------------------------------------------------


class Queueing(MiniKitAdapter):
    """Changes are noted in memory first."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.queue: list[Any] = []
        super().__init__(*args, **options)

    def connect(self) -> None:
        self.model.heard.append(self.queue.append)

    def disconnect(self) -> None:
        self.model.heard.clear()

    def flush(self) -> None:
        while self.queue:
            self.changed(self.queue.pop(0))


@caught_by("a_rollback_is_heard_too")
class ChangesOutsideTheTransaction(Queueing):
    """Written when the transaction has ended, even by a rollback."""

    def connect(self) -> None:
        super().connect()
        block = self.model.db.transaction

        def watched():
            from contextlib import contextmanager

            @contextmanager
            def both() -> Iterator[None]:
                try:
                    with block():
                        yield
                finally:
                    if not self.model.db.raw.in_transaction:
                        self.flush()

            return both()

        self.model.db.transaction = watched


@caught_by("a_restart_changes_nothing")
class ChangesInMemory(Queueing):
    """Noted in the process, written when it has time: what it had not written is gone with it."""

    def __init__(self, *args: Any, capture: Any = None, **options: Any) -> None:
        super().__init__(*args, capture="events", **options)

    def sync(self, limit=None):
        self.flush()
        return super().sync(limit)


@caught_by("rows_inserted_in_bulk_are_seen")
class BulkUnseen(OnlyEvents):
    pass


@caught_by("sql_past_the_orm_is_seen")
class PlainStatementsUnseen(OnlyEvents):
    pass


@caught_by("a_row_comes_and_goes_with_its_condition")
class ConditionAskedWhenNoted(OnlyEvents):
    """A row that does not qualify any more is not noted, so it stays."""

    def changed(self, *instances, execute=None):
        super().changed(
            *(each for each in instances if self.declaration.wants(each)), execute=execute
        )


@caught_by("nothing_is_indexed_before_the_commit")
class WakesWithinTheTransaction(MiniKitAdapter):
    """After every statement."""

    def on_commit(self, wake):
        run = self.model.db.run

        def noisy(sql, params=()):
            rows = run(sql, params)
            if "kit_" in sql and not sql.startswith(("SELECT", "CREATE")):
                wake()
            return rows

        self.model.db.run = noisy
        super().on_commit(wake)


@caught_by("a_released_savepoint_is_no_commit")
class WakesAfterSavepoints(MiniKitAdapter):
    def on_commit(self, wake):
        block = self.model.db.transaction

        class Told:
            def __enter__(self):
                self.block = block()
                return self.block.__enter__()

            def __exit__(self, *error):
                done = self.block.__exit__(*error)
                wake()
                return done

        self.model.db.transaction = Told
        super().on_commit(wake)


@caught_by("a_saved_row_is_indexed_after_its_commit")
class NeverWakes(MiniKitAdapter):
    def on_commit(self, wake):
        return


@caught_by("a_commit_does_not_fail_because_of_the_index")
class ErrorsRaisedIntoTheCommit(MiniKitAdapter):
    def on_commit(self, wake):
        def work():
            if self.strategy == "inline" and not self.coordinator.working:
                self.coordinator.sync(None)

        super().on_commit(work)


# --- what triggers see ----------------------------------------------------------------------------


@caught_by("an_edit_of_another_field_costs_nothing")
class ListensToEverything(OtherCapture):
    def listens_to(self):
        return attrs.evolve(trigger_spec(self), everything=True)


@caught_by("a_foreign_key_that_changes_is_seen")
class ForeignKeyMoveUnseen(OtherCapture):
    def listens_to(self):
        heard = trigger_spec(self)
        return attrs.evolve(
            heard, columns=tuple(name for name in heard.columns if name != "author_id")
        )


@caught_by("a_related_row_that_changes_reaches_its_own")
class RelatedRowsUnseen(OtherCapture):
    def listens_to(self):
        return attrs.evolve(trigger_spec(self), related=())


@caught_by("what_is_tagged_or_no_longer_is_indexed_again")
class TableBetweenUnheard(OtherCapture):
    class capture_class(Capture):
        def _of_related(self, what, way, columns):
            return () if way[-1].table == "kit_tagging" else super()._of_related(what, way, columns)


@caught_by("a_tag_that_changes_reaches_what_it_is_on")
class TheFarSideUnheard(OtherCapture):
    class capture_class(Capture):
        def _of_related(self, what, way, columns):
            return () if way[-1].table == "kit_tag" else super()._of_related(what, way, columns)


@caught_by("a_path_leads_through_a_table_between")
class ManyTagsTakenForOne(MiniKitAdapter):
    """Fetched along with its article, as a foreign key's row is."""

    @cached_property
    def related(self):
        return tuple(path.rpartition(".")[0] for path in self.declaration.paths if "." in path)


@caught_by("a_related_row_is_one_thing_though_it_can_be_iterated_over")
class WhateverCanBeIteratedOverIsMany(MiniKitAdapter):
    def is_row(self, value):
        return False


@caught_by("a_related_row_is_no_manager_though_it_has_the_methods_of_one")
class WhateverHasAllIsAManager(MiniKitAdapter):
    def is_row(self, value):
        return not hasattr(value, "all") and super().is_row(value)


@caught_by("a_query_is_read_as_people_type_it")
class SyntaxWithoutFields(MiniKitAdapter):
    def search(self, query, **options):
        plain = query.replace(":", " ")
        return super().search(plain, **options)


@caught_by("rows_like_a_row_are_found")
class SimilarWithoutSpareRows(MiniKitAdapter):
    def similar(self, row, *, limit=10, **options):
        found = super().similar(row, limit=limit + 1, **options)
        rows = [each for each in found.rows if each.id != 9][:limit]
        return attrs.evolve(found, rows=tuple(rows), hits=found.hits[: len(rows)])


@caught_by("a_row_that_takes_its_own_fields_only_has_its_hit")
class HitsAreSetAsOthersAre(MiniKitAdapter):
    def search(self, *args, **options):
        found = super().search(*args, **options)
        for row, hit in zip(found.rows, found.hits, strict=True):
            row.search_hit = hit
        return found


@caught_by("a_path_may_have_two_steps")
class OneStepIsEnough(OtherCapture):
    def listens_to(self):
        heard = trigger_spec(self)
        return attrs.evolve(
            heard, related=tuple(each for each in heard.related if len(each.joins) < 2)
        )


@caught_by("a_change_in_the_parents_table_is_seen")
class ParentsTableUnseen(OtherCapture):
    def listens_to(self):
        heard = trigger_spec(self)
        return attrs.evolve(
            heard,
            related=tuple(each for each in heard.related if each.joins[0].table != "kit_media"),
        )


class OnlyTheNewAddress(OtherCapture):
    class capture_class(Capture):
        def _own(self):
            for trigger in super()._own():
                yield attrs.evolve(trigger, body=trigger.body[-1:])


caught_by("a_row_that_changes_hands_leaves_the_old_ones")(
    type("TenantOfOldForgotten", (OnlyTheNewAddress,), {})
)
caught_by("a_document_goes_with_its_key")(type("OldKeyForgotten", (OnlyTheNewAddress,), {}))


@caught_by("a_save_without_a_change_costs_nothing")
class SameValuesNoted(OtherCapture):
    class capture_class(Capture):
        def _own(self):
            for trigger in super()._own():
                yield attrs.evolve(trigger, when="")


@caught_by("a_change_of_letter_case_is_a_change")
class ComparesAsTheCollationDoes(OtherCapture):
    class capture_class(Capture):
        def _own(self):
            for trigger in super()._own():
                yield attrs.evolve(
                    trigger, when=trigger.when.replace("COLLATE BINARY", "COLLATE NOCASE")
                )


@caught_by("deleting_an_author_takes_its_articles_along")
class DeletesUnseen(OtherCapture):
    class capture_class(Capture):
        def _own(self):
            return (trigger for trigger in super()._own() if trigger.event != "DELETE")


@caught_by("a_related_edit_of_another_field_costs_nothing")
class RelatedRowsHeardWhole(OtherCapture):
    class capture_class(Capture):
        def _of_related(self, what, way, columns):
            return (attrs.evolve(each, when="") for each in super()._of_related(what, way, columns))


# --- how pending changes are processed ------------------------------------------------------------


@caught_by("a_change_made_during_the_work_is_not_lost")
class DoneByAddress(OtherOutbox):
    class outbox(SqlOutbox):
        def done(self, changes):
            for number in changes:
                self.sql.execute(
                    (
                        f"DELETE FROM {OUTBOX} WHERE row_key IN (SELECT row_key "
                        f"FROM {OUTBOX} WHERE id = ?)"
                    ),
                    [number],
                )


@caught_by("a_row_that_failed_is_tried_again")
class CursorAfterTheLastSeen(OtherOutbox):
    class outbox(SqlOutbox):
        seen = 0

        def _claim(self, *args, **options):
            changes = [
                change for change in super()._claim(*args, **options) if change.number > self.seen
            ]
            self.seen = max((change.number for change in changes), default=self.seen)
            return changes


@caught_by("the_pending_changes_of_a_dead_worker_come_back")
class LeasesNeverEnd(OtherOutbox):
    class outbox(SqlOutbox):
        def _due(self):
            return "claim = ''", []


@caught_by("what_another_worker_holds_is_left_to_it")
class NoLeases(OtherOutbox):
    class outbox(SqlOutbox):
        def _claim_in_turns(self, where, params, limit, token):
            self.sql.execute(f"UPDATE {OUTBOX} SET ready_at = 0 WHERE aborted = 0", ())
            return super()._claim_in_turns(where, params, limit, token)


@caught_by("a_row_that_keeps_failing_is_given_up_and_listed")
class AbortedTicketsLost(OtherOutbox):
    class outbox(SqlOutbox):
        def failed(self, changes, reason):
            super().failed(changes, reason)
            self.sql.execute(f"DELETE FROM {OUTBOX} WHERE aborted = 1", ())


@caught_by("a_row_that_keeps_failing_is_given_up_and_listed")
class TriedForEver(OtherOutbox):
    class outbox(SqlOutbox):
        def failed(self, changes, reason):
            super().failed(changes, reason)
            self.sql.execute(f"UPDATE {OUTBOX} SET attempts = 0", ())


@caught_by("an_aborted_change_can_be_retried_or_dropped")
class DropTakesAll(OtherOutbox):
    class outbox(SqlOutbox):
        def drop(self, numbers=None, collections=None):
            return super().drop(None, collections)


@caught_by("a_store_that_fails_loses_nothing")
class DoneBeforeItIsDone(OtherOutbox):
    class outbox(SqlOutbox):
        def claim(self, limit, **options):
            changes = super().claim(limit, **options)
            self.done([change.number for change in changes])
            return changes


class OtherComparison(OtherOutbox):
    """An adapter whose rows are compared otherwise."""

    comparison: type[RowComparison] = RowComparison

    class coordinator_class(SyncCoordinator):
        def comparison(self, adapter):
            return adapter.comparison(adapter, self.outbox, self.agreement)


class OtherPages(OtherOutbox):
    """An adapter whose rows are paged otherwise when they are compared."""

    pages: type[KeysetPages] = KeysetPages

    class coordinator_class(SyncCoordinator):
        def comparison(self, adapter):
            comparison = super().comparison(adapter)
            comparison._pages.__class__ = adapter.pages
            return comparison


@caught_by("changes_go_before_the_backfill")
class BackfillFirst(OtherOutbox):
    class coordinator_class(SyncCoordinator):
        def _process(self, wanted, limit, mode, until):
            compared = self._compare(wanted, limit, mode, None, until)
            left = None if limit is None else limit - compared.added
            report, left = super()._process(wanted, left, mode, until)
            return report, left


@caught_by("a_row_that_fails_stops_no_other")
class PoisonedRowBlocksOthers(MiniKitAdapter):
    def documents(self, refs):
        found = [self.document(key, row) for key, row in self.rows([ref.key for ref in refs])]
        return [document for document in found if document is not None]


@caught_by("a_pause_holds_changes_back")
class PauseIgnored(OtherOutbox):
    class coordinator_class(SyncCoordinator):
        def paused(self, collection):
            from contextlib import nullcontext

            return nullcontext()


@caught_by("a_row_that_changes_hands_by_a_callable_leaves_the_old_ones")
class PlacesForgotten(OtherOutbox):
    class outbox(SqlOutbox):
        def places(self, collection, keys):
            found = super().places(collection, keys)
            return {
                key: dict([max(there.items(), key=lambda item: item[1])])
                for key, there in found.items()
            }


class Careless(MiniHarness):
    """A harness whose store is broken."""

    store: type[MemoryStore] = MemoryStore

    def make_core(self, embedder: Any, *, multi_tenant: bool) -> SemanticCore:
        store = self.store(embedder.space, multi_tenant=multi_tenant)
        return SemanticCore(store=store, embedder=embedder, plugins=[])


@caught_by("an_older_state_never_wins")
class StampIgnored(Careless):
    class store(MemoryStore):
        def replace(self, batch, stamps=None):
            return super().replace(batch)


@caught_by("a_row_that_came_back_is_not_removed")
class StampOfRemovalsIgnored(Careless):
    class store(MemoryStore):
        def remove(self, refs, stamps=None):
            return super().remove(refs)


# --- what of a row is indexed ---------------------------------------------------------------------


@caught_by("soft_deleted_rows_leave_and_come_back")
class SoftDeletedRowsKept(MiniKitAdapter):
    def document(self, key, instance):
        return attrs.evolve(self.declaration, soft_delete=None).document(
            key, instance, self.read_metadata
        )


@caught_by("a_default_filter_hides_no_row")
class LoadHidesRows(MiniKitAdapter):
    def load(self, keys):
        return [row for row in super().load(keys) if not getattr(row, "hidden", False)]


@caught_by("a_change_of_many_rows_is_processed_whole")
class LoadTakesAThousandAtMost(MiniKitAdapter):
    def load(self, keys):
        return super().load(keys[:999])


@caught_by("a_composite_key_is_one_address")
class CompositeKeySwapped(MiniKitAdapter):
    def inspect(self, model):
        table = super().inspect(model)
        return attrs.evolve(table, key=dict(reversed(table.key.items())))


@caught_by("text_keys_are_compared_to_the_letter")
class KeysOfDigitsAreNumbers(MiniKitAdapter):
    def inspect(self, model):
        table = super().inspect(model)
        return attrs.evolve(
            table,
            key={name: lambda text: int(text) if text.isdigit() else text for name in table.key},
        )


@caught_by("a_uuid_is_a_key")
class UuidWithoutDashes(MiniKitAdapter):
    def key_text(self, values):
        return super().key_text([str(value).replace("-", "") for value in values])


@caught_by("text_title_and_metadata_come_from_their_fields")
class ForeignKeyAsText(MiniKitAdapter):
    def read_metadata(self, instance, field):
        return [str(value) for value in super().read_metadata(instance, field)]


@caught_by("two_databases_are_two_worlds")
class OneOutboxForAll(MiniKitAdapter):
    database = "the database"


# --- what search gives ----------------------------------------------------------------------------


@caught_by("the_limit_is_filled_though_rows_are_gone")
class LimitNotFilled(MiniKitAdapter):
    def search(self, query, *, limit=10, offset=0, **options):
        found = self.core.search(
            query, limit=limit, offset=offset, collections=[self.declaration.collection]
        )
        live = self._live(found.hits, {})
        return ModelResults(
            query, tuple(row for row, _ in live), tuple(hit for _, hit in live), found.mode
        )


# --- what a search is limited to, and what it tells of all rows -----------------------------------


@caught_by("among_a_query_are_its_rows")
class QueryAfterTheLimit(MiniKitAdapter):
    def search(self, query, *, among=None, **options):
        found = super().search(query, **options)
        keys = self.keys_among(among)
        if keys is None:
            return found
        pairs = zip(found.rows, found.hits, strict=True)
        inside = [pair for pair in pairs if pair[1].ref.key in keys]
        return attrs.evolve(
            found,
            rows=tuple(row for row, _ in inside),
            hits=tuple(hit for _, hit in inside),
        )


@caught_by("among_rows_and_keys_are_those")
class NoRowsAreAllRows(MiniKitAdapter):
    def keys_among(self, among):
        return super().keys_among(among) or None


@caught_by("among_what_is_no_row_is_refused")
class AnythingIsAKey(MiniKitAdapter):
    def keys_among(self, among):
        try:
            return super().keys_among(among)
        except InputError:
            return RowKeys(map(str, among))


@caught_by("among_a_query_of_another_model_is_refused")
class QueriesOfAnyModel(MiniKitAdapter):
    def keys_of_query(self, query):
        if not isinstance(query, Rows):
            return None
        return [row.id for row in query]


@caught_by("among_follows_the_database")
class QueriesAreReadOnce(MiniKitAdapter):
    def keys_of_query(self, query):
        if not isinstance(query, Rows):
            return None
        known = self.__dict__.setdefault("known", {})
        place = str(sorted(query._values))
        if place not in known:
            known[place] = super().keys_of_query(query)
        return known[place]


@caught_by("among_takes_composite_keys")
class TheFirstPartOfAKey(MiniKitAdapter):
    def keys_of_query(self, query):
        keys = super().keys_of_query(query)
        return keys and [(key[0], key[0]) if isinstance(key, tuple) else key for key in keys]


@caught_by("among_takes_text_keys")
class KeysInLowerCase(MiniKitAdapter):
    def keys_among(self, among):
        keys = super().keys_among(among)
        return None if keys is None else RowKeys(key.lower() for key in keys)


@caught_by("among_takes_uuids")
class UuidsAsTheyAreSpelled(MiniKitAdapter):
    def keys_among(self, among):
        if isinstance(among, list):
            return RowKeys(map(str, among))
        return super().keys_among(among)


@caught_by("among_keeps_tenants_apart")
class TotalsOfAllTenants(MiniKitAdapter):
    def search(self, query, *, tenant=None, **options):
        found = super().search(query, tenant=tenant, **options)
        if tenant is None or found.total is None:
            return found
        core = self.core
        every = sum(core.stats(all_tenants=True).collections.values())
        return attrs.evolve(found, total=every)


@caught_by("totals_and_facets_are_of_all_pages")
class TotalsOfThePage(MiniKitAdapter):
    def search(self, query, *, total=False, **options):
        found = super().search(query, total=total, **options)
        return attrs.evolve(found, total=len(found)) if total else found


@caught_by("totals_and_facets_are_of_all_pages")
class FacetsOfAnyField(MiniKitAdapter):
    def search(self, query, *, facets=None, order_by=None, **options):
        known = [name for name in facets or () if name in self.declaration.metadata_fields]
        return super().search(query, facets=known or None, **options)


@caught_by("an_order_by_a_field_is_of_all_rows")
class SortsThePage(MiniKitAdapter):
    def search(self, query, *, order_by=None, **options):
        found = super().search(query, **options)
        if not order_by:
            return found
        name = order_by.removeprefix("-")
        rows = sorted(found.rows, key=lambda row: getattr(row, name), reverse=name != order_by)
        return attrs.evolve(found, rows=tuple(rows))


@caught_by("pages_fit_together")
class PagesOfAllRows(MiniKitAdapter):
    def count_documents(self, *, among=None, **options):
        return super().count_documents(**options)


class Remembering(MiniKitAdapter):
    """Gives the rows it has seen before when somebody searches."""

    searching = False

    def load(self, keys):
        self.known = {
            **{self.key_of(row): row for row in super().load(keys)},
            **getattr(self, "known", {}),
        }
        known = (self.known.get(self.key_text((key,))) for key in keys)
        return [row for row in known if row is not None] if self.searching else super().load(keys)

    def search(self, query, **options):
        self.searching = True
        try:
            return super().search(query, **options)
        finally:
            self.searching = False


caught_by("an_index_of_no_rows_finds_nothing")(type("DeadRowsNotDropped", (Remembering,), {}))
caught_by("rows_come_as_they_are_now")(type("OldInstances", (Remembering,), {}))


@caught_by("rows_come_back_in_the_order_of_the_ranking")
class OrderOfTheTable(MiniKitAdapter):
    def _live(self, hits, unreadable):
        return sorted(super()._live(hits, unreadable), key=lambda pair: pair[1].ref.key)


@caught_by("rows_that_no_longer_qualify_are_left_out")
class ConditionOnlyWhenIndexed(MiniKitAdapter):
    def _live(self, hits, unreadable):
        there = dict(self.rows([hit.ref.key for hit in hits]))
        return [(there[hit.ref.key], hit) for hit in hits if hit.ref.key in there]


@caught_by("where_takes_a_key_or_an_instance")
class InstancesAskedForAsText(MiniKitAdapter):
    def related_key(self, value):
        return value


class DeafToEvictions(Capture):
    def _of_evicted(self, what, way, columns):
        return iter(())


caught_by("rows_that_replace_evicts_are_seen")(
    type("EvictedRowsStay", (OtherCapture,), {"capture_class": DeafToEvictions})
)


@caught_by("triggers_of_the_application_work_as_before")
class TriggersSetThemselvesOff(MiniKitAdapter):
    def install(self, **options):
        self.execute("PRAGMA recursive_triggers = ON", ())
        return super().install(**options)


@caught_by("tenants_are_compared_to_the_letter")
class EveryNameThatCouldBeAUuid(MiniKitAdapter):
    def tenant_name(self, value):
        return uuid_text(super().tenant_name(value))


@caught_by("a_uuid_tenant_is_the_same_in_every_spelling")
class UuidsNotSaid(MiniKitAdapter):
    def inspect(self, model):
        return attrs.evolve(super().inspect(model), uuids=())


@caught_by("a_fresh_search_knows_what_was_committed")
class FreshIgnored(MiniKitAdapter):
    def search(self, query, *, fresh=False, **options):
        return super().search(query, **options)


# --- index and database know each other -----------------------------------------------------------


class Trusting(SyncCoordinator):
    """Takes it that the two belong together, once they have met."""

    def agree(self):
        self.agreement._outbox_id = self.agreement.consumers.outbox_id()
        if self.agreement.consumers.get(self.agreement.consumer) is None:
            return super().agree()
        self.outbox.consumer = self.agreement.consumer
        return ""


caught_by("an_index_put_back_from_a_copy_is_noticed")(
    type("OldIndexTrusted", (OtherOutbox,), {"coordinator_class": Trusting, "outbox": SqlOutbox})
)
caught_by("a_database_put_back_is_noticed")(
    type("OldDatabaseTrusted", (OtherOutbox,), {"coordinator_class": Trusting, "outbox": SqlOutbox})
)


@caught_by("an_index_that_is_lost_is_filled_again")
class NewIndexTakenForFull(OtherOutbox):
    class coordinator_class(SyncCoordinator):
        def behind(self, adapter):
            return ""


@caught_by("two_indexes_get_every_change")
class FirstComeFirstServed(OtherOutbox):
    class outbox(SqlOutbox):
        def _mine(self):
            return "consumer = ''", []

        def distribute(self):
            return


@caught_by("what_the_stamps_say_stops_no_repair")
class StampsWinAlways(OtherOutbox):
    class coordinator_class(SyncCoordinator):
        def _process(self, wanted, limit, mode, until):
            self.agreement.begin_epoch = lambda: None
            return super()._process(wanted, limit, mode, until)


# --- setting up and taking care -------------------------------------------------------------------


@caught_by("reindex_reaches_every_row")
class ReindexSkipsTheLastPage(OtherPages):
    class pages(KeysetPages):
        def page(self, after, limit):
            keys = super().page(after, limit)
            return keys if after is None or len(keys) == limit else []


@caught_by("reindex_reaches_every_row")
class ReindexSkipsTheFirstOfAPage(OtherPages):
    class pages(KeysetPages):
        def _after(self, key):
            where, params = super()._after(key)
            return where.replace("> (?)", "> (? + 1)"), params


@caught_by("reindex_goes_on_where_it_was_interrupted")
class ReindexForgetsItsPlace(OtherComparison):
    class comparison(RowComparison):
        @property
        def wanted(self):
            return super().wanted

        def step(self, limit=500, mode="auto"):
            state = self.state
            if state is not None and state.phase == "rows" and getattr(self, "begun", None) is None:
                self.begin("forgotten")
            self.begun = True
            return super().step(limit, mode)


@caught_by("verify_finds_what_differs")
class VerifyCountsOnly(MiniKitAdapter):
    def verify(self):
        rows = KeysetPages(self.sql, self.table).count()
        there = self.core.documents(collections=[self.declaration.collection]).total
        return VerifyReport(rows, missing=max(0, rows - there), ghosts=max(0, there - rows))


@caught_by("maintenance_covers_every_tenant")
class GhostsOfTenantsUnseen(MiniKitAdapter):
    """Only the rows are looked at, and a document that no row gives is nobody's."""

    def verify(self):
        found = super().verify()
        return found if self.declaration.tenant is None else attrs.evolve(found, ghosts=0)


@caught_by("rows_that_were_there_before_wait_to_be_indexed")
class RowsBeforeForgotten(OtherComparison):
    class comparison(RowComparison):
        wanted = False


@caught_by("an_index_that_is_uninstalled_leaves_the_table_alone")
class TriggersStay(MiniKitAdapter):
    def uninstall(self):
        self.coordinator.outbox.forget(self.declaration.collection)


@caught_by("a_declaration_that_changed_is_taken_up")
class OldTriggersAreGoodEnough(OtherCapture):
    class capture_class(Capture):
        version = "00000000"


@caught_by("installing_again_changes_nothing")
class InstallingAgainComparesAllRows(MiniKitAdapter):
    def install(self, **options):
        self.coordinator.outbox.create()
        if self.coordinator.comparison(self).state is not None:
            self.coordinator.comparison(self).begin("for no reason")
        return super().install(**options)


@caught_by("a_write_succeeds_though_the_outbox_was_dropped")
class TriggersStayWithoutTheirOutbox(MiniKitAdapter):
    """It is told of no statement, so a trigger goes on writing to a table that is gone."""

    def before_statement(self, sql: str) -> None:
        return


caught_by("a_table_that_is_rebuilt_is_followed")(
    type("TriggersInTheWayOfMigrations", (TriggersStayWithoutTheirOutbox,), {})
)


@caught_by("a_table_that_is_rebuilt_is_followed")
class TriggersMakeWayForGood(MiniKitAdapter):
    """Taken away before a migration, and never put back."""

    def before_statement(self, sql: str) -> None:
        make_way(sql, self.execute, self.dialect)


@caught_by("missing_triggers_are_reported")
class NeverLooksForTriggers(MiniKitAdapter):
    capturing = True


class TakesItForGranted(SyncCoordinator):
    """Works off an outbox without a look whether there is one."""

    def is_installed(self, *, check_again: bool = False) -> bool:
        return True

    def is_gone(self) -> bool:
        return False


@caught_by("nothing_is_logged_before_there_is_an_outbox")
class ComplainsDuringTheFirstMigration(OtherOutbox):
    coordinator_class = TakesItForGranted


@caught_by("the_status_reports_the_progress")
class AlwaysUpToDate(MiniKitAdapter):
    def status(self):
        return attrs.evolve(super().status(), waiting=0, oldest=None)


# --- the proof ------------------------------------------------------------------------------------


def failure(check: Check, mutant: Any, folder: Path) -> str:
    """Why a check fails on a mutant; "" if it holds."""
    try:
        check(opener(mutant, folder))
    except SkipTest as skipped:
        pytest.fail(f"{check} was skipped: {skipped}")
    except Exception as error:  # noqa: BLE001 - what is broken may break in any way
        return f"{type(error).__name__}: {error}"
    return ""


def name_of(mutant: Any) -> str:
    return str(mutant.__name__)


CHECKS = {str(check): check for check in adapter_checks()}


@pytest.mark.parametrize("mutant", caught_by, ids=name_of)
def test_a_broken_adapter_is_caught(mutant: Any, tmp_path: Path) -> None:
    why = failure(CHECKS[caught_by[mutant]], mutant, tmp_path)
    assert why, f"{caught_by[mutant]} lets {mutant.__name__} pass"


CAUGHT_BY_TREES = [
    mutant
    for mutant in caught_by
    if mutant.__name__
    in (
        "DoneByAddress",
        "StampIgnored",
        "BulkUnseen",
        "OldKeyForgotten",
        "RelatedRowsUnseen",
        "DeletesUnseen",
    )
]


@pytest.mark.slow
@pytest.mark.parametrize("mutant", CAUGHT_BY_TREES, ids=name_of)
def test_random_trees_alone_catch_it(
    mutant: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trees, "examples", unshrunk)
    assert failure(adapter_checks(trees=40)[-1], mutant, tmp_path)
