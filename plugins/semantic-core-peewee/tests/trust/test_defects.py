"""A test that has never failed proves nothing: known bugs are put into the store, one by one,
and a check must catch each.

They are the bugs of older systems, those of peers, and those this store had itself. Each is one
deviation, done to the real store: to the statements on their way to SQLite, or to one of its
functions.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from unittest import SkipTest

import apsw
import attrs
import numpy as np
import pytest
from figures import record
from rules import RULES
from samples import quick_folder
from semantic_core_peewee import SqliteStore
from semantic_core_peewee.sqlite import (
    connection,
    filters,
    ids,
    maintenance,
    opening,
    pool,
    quantized,
    records,
    segments,
    selective_scopes,
    store,
    text_index,
    text_scopes,
    text_search,
    text_segments,
    vector_search,
    write,
)

from semantic_core import Filter, Ranking, Ref, Scope
from semantic_core.analysis import WordAnalyser
from semantic_core.errors import StoreForeign
from semantic_core.storage import unit_vectors
from semantic_core.testing import store_checks

CHECKS = {str(check): check for check in store_checks(persistent=True)}
OWN_RULES = {rule.__name__: rule for rule in RULES}
Patch = pytest.MonkeyPatch


@attrs.frozen
class Defect:
    """What is broken, who catches it, and how it is put in."""

    put_in: Callable[[Patch], None]
    catcher: str

    @property
    def name(self) -> str:
        return self.put_in.__name__


DEFECTS: list[Defect] = []


def caught_by(catcher: str) -> Callable[[Callable[[Patch], None]], Callable[[Patch], None]]:
    """Register a defect with the check of the kit, or the rule of this store, that catches it."""

    def register(put_in: Callable[[Patch], None]) -> Callable[[Patch], None]:
        DEFECTS.append(Defect(put_in, catcher))
        return put_in

    return register


applied: list[str] = []
"""The statements that were changed on their way: a defect that changes none is out of date."""

Change = Callable[[str, Any], tuple[str, Any] | None]


def statements(patch: Patch, change: Change) -> None:
    """Let SQL go through `change` on its way to SQLite; None leaves a statement out."""

    class Broken(apsw.Connection):
        def execute(self, sql: str, bindings: Any = None, **options: Any) -> Any:
            changed = change(sql, bindings)
            if changed != (sql, bindings):
                applied.append(sql)
            given, values = changed or ("select 1 where 0", None)
            return super().execute(given, values, **options)

        def executemany(self, sql: str, bindings: Any, **options: Any) -> Any:
            rows = list(bindings)
            changed = change(sql, rows)
            if changed != (sql, rows):
                applied.append(sql)
            return super().executemany(*changed, **options) if changed else None

    patch.setattr(apsw, "Connection", Broken)


def swap(patch: Patch, old: str, new: str | None) -> None:
    """In statements that hold `old`, in one line or several, put `new`; None leaves those out."""

    def change(sql: str, bindings: Any) -> tuple[str, Any] | None:
        on_one_line = " ".join(sql.split())
        if old not in on_one_line:
            return sql, bindings
        return None if new is None else (on_one_line.replace(old, new), bindings)

    statements(patch, change)


def changed(patch: Patch, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    """Put what `make` makes of a function in its place."""
    patch.setattr(owner, name, make(getattr(owner, name)))


# --- words ----------------------------------------------------------------------------------------


@caught_by("what_was_removed_is_nowhere_in_the_files")
def words_of_what_was_removed_stay(patch: Patch) -> None:
    swap(patch, "delete from semantic_index_text_word", None)


@caught_by("changed_words_are_not_found")
def words_are_not_brought_up_by_an_update(patch: Patch) -> None:
    def make(right: Any) -> Any:
        def write(view: Any, analyser: Any, added: Any, dropped: Any) -> None:
            right(view, analyser, () if dropped else added, dropped)

        return write

    changed(patch, text_segments, "write", make)


@caught_by("any_text_is_a_legal_query")
def a_query_has_to_be_unicode(patch: Patch) -> None:
    def make(right: Any) -> Any:
        def query_tokens(self: Any, text: str, language: str | None = None) -> Any:
            return right(self, text.encode().decode(), language)

        return query_tokens

    changed(patch, WordAnalyser, "query_tokens", make)


@caught_by("a_query_asks_for_few_words")
def any_number_of_words_is_looked_for(patch: Patch) -> None:
    patch.setattr(text_search, "MOST_TERMS", 200)
    patch.setattr(text_search, "MOST_REPEATS", 200)


@caught_by("changed_words_are_not_found")
def words_are_remembered_for_ever(patch: Patch) -> None:
    def make(right: Any) -> Any:
        first: list[Any] = []

        def state(view: Any) -> Any:
            seen = right(view)
            if seen.chunks and not first:
                first.append(seen)
            return first[0] if first else seen

        return state

    changed(patch, text_index, "current_state", make)


@caught_by("words_keep_to_their_scope")
def words_know_no_scope(patch: Patch) -> None:
    patch.setattr(text_search, "row_scope", lambda *given: text_scopes.RowScope(None))


@caught_by("words_keep_to_their_scope")
def words_know_no_filter(patch: Patch) -> None:
    def scope(view: Any, version: Any, scope: Any, clause: Any) -> Any:
        return text_scopes.RowScope(text_scopes._in_homes(view, version, scope))

    patch.setattr(text_search, "row_scope", scope)


@caught_by("words_keep_to_their_scope")
def words_are_filtered_after_the_limit(patch: Patch) -> None:
    def make(find: Any) -> Any:
        def words(self: SqliteStore, text: str, limit: int, scope: Scope) -> Ranking:
            return after_the_limit(self, find(self, text, limit, Scope(scope.tenant)), scope)

        return words

    changed(patch, SqliteStore, "words", make)


def after_the_limit(self: SqliteStore, found: Ranking, scope: Scope) -> Ranking:
    inside = {summary.ref for summary in self.documents(scope, 0, 10**6)}
    kept = [
        (id, score) for id, score in zip(found.ids, found.scores, strict=True) if id.ref in inside
    ]
    return Ranking(found.source, tuple(id for id, _ in kept), tuple(score for _, score in kept))


# --- vectors --------------------------------------------------------------------------------------


@caught_by("the_scope_holds_before_the_limit")
def vectors_are_filtered_after_the_limit(patch: Patch) -> None:
    def make(find: Any) -> Any:
        def nearest(self: SqliteStore, vector: Any, limit: int, scope: Scope) -> Ranking:
            return after_the_limit(self, find(self, vector, limit, Scope(scope.tenant)), scope)

        return nearest

    changed(patch, SqliteStore, "nearest", make)


@caught_by("nearest_equals_brute_force")
def distances_are_given_as_scores(patch: Patch) -> None:
    changed(
        patch, vector_search, "cosines", lambda right: lambda rows, query: 1 - right(rows, query)
    )


@caught_by("the_nearest_are_exact_however_near_the_others_are")
def the_rounding_of_codes_is_forgotten(patch: Patch) -> None:
    patch.setattr(quantized.Query, "rough", lambda self, cosine, step: np.inf)


@caught_by("equal_scores_stand_in_the_order_of_ids")
def equal_scores_stand_as_they_come(patch: Patch) -> None:
    def best_first(source: str, ids: Any, scores: Any, limit: int) -> Ranking:
        best = sorted(sorted(ids, reverse=True), key=lambda chunk: -scores[chunk])[:limit]
        return Ranking(
            source, tuple(ids[chunk] for chunk in best), tuple(scores[chunk] for chunk in best)
        )

    assert ids.best_first is vector_search.best_first
    patch.setattr(vector_search, "best_first", best_first)


@caught_by("similarity_is_exact_and_in_order")
def similarity_comes_in_an_order_of_its_own(patch: Patch) -> None:
    changed(
        patch,
        SqliteStore,
        "similarity",
        lambda right: lambda self, ids, vector: right(self, sorted(ids), vector),
    )


@caught_by("a_stored_vector_has_length_one")
def vectors_are_kept_in_any_length(patch: Patch) -> None:
    patch.setattr(unit_vectors, "UNIT_TOLERANCE", np.inf)


@caught_by("vectors_that_mean_nothing_are_refused")
def nan_is_stored(patch: Patch) -> None:
    def make(right: Any) -> Any:
        def lengths(rows: Any) -> Any:
            return np.ones(len(rows)) if not np.isfinite(rows).all() else right(rows)

        return lengths

    changed(patch, unit_vectors, "_lengths", make)


@caught_by("vectors_that_mean_nothing_are_refused")
def a_vector_of_no_length_is_stored(patch: Patch) -> None:
    patch.setattr(unit_vectors, "MIN_NORM", -1.0)


@caught_by("the_write_of_another_handle_is_in_the_next_search")
def what_is_in_memory_is_never_read_again(patch: Patch) -> None:
    def make(right: Any) -> Any:
        def at(self: quantized.CodeCache, view: Any, state: Any) -> Any:
            return self._versions[-1] if self._versions else right(self, view, state)

        return at

    changed(patch, quantized.CodeCache, "at", make)


@caught_by("an_older_search_never_finds_what_is_not_there_yet")
def a_snapshot_is_served_from_newer_memory(patch: Patch) -> None:
    def make(right: Any) -> Any:
        def at(self: quantized.CodeCache, view: Any, state: Any) -> Any:
            newer = [version for version in self._versions if version.state.changes > state.changes]
            return newer[-1] if newer else right(self, view, state)

        return at

    changed(patch, quantized.CodeCache, "at", make)
    changed(
        patch,
        SqliteStore,
        "__init__",
        lambda init: lambda self, *a, **k: (init(self, *a, **k), share(self))[0],
    )


shared: dict[str, Any] = {}


def share(made: SqliteStore) -> None:
    made._vectors = shared.setdefault(str(made.path), made._vectors)


@caught_by("a_write_that_fails_at_any_statement_changes_nothing")
def removed_vectors_keep_their_slots(patch: Patch) -> None:
    patch.setattr(segments, "_give_up", lambda view, dimensions, chunks, touched: 0)


@caught_by("what_was_removed_is_nowhere_in_the_files")
def the_code_of_a_removed_vector_stays(patch: Patch) -> None:
    def make(right: Any) -> Any:
        def give_up(view: Any, dimensions: int, chunks: Any, touched: set[int]) -> Any:
            before = {
                number: slots.copy()
                for number, slots in segments.segments_since(view, dimensions, -1)
            }
            given_up = right(view, dimensions, chunks, touched)
            for number in touched:
                slots = before[number]
                slots["chunk"][np.isin(slots["chunk"], list(chunks))] = 0
                values = (slots.tobytes(), view.generation, number)
                view.raw.execute(
                    """update semantic_index_segment set slots = ? where generation = ?
                        and number = ?""",
                    values,
                )
            return given_up

        return give_up

    changed(patch, segments, "_give_up", make)


# --- writing --------------------------------------------------------------------------------------


@caught_by("replace_leaves_nothing_behind")
def the_tail_of_a_longer_version_stays(patch: Patch) -> None:
    def make(right: Any) -> Any:
        def apply(view: Any, changes: Any, given: Any, *rest: Any) -> Any:
            drop, wanted = changes.drop_chunk, {passage.position for passage in given.passages}
            changes.drop_chunk = lambda row: drop(row) if row.position in wanted else None
            try:
                return right(view, changes, given, *rest)
            finally:
                del changes.drop_chunk

        return apply

    changed(patch, write, "_apply", make)


@caught_by("the_later_of_two_in_a_batch_wins")
def the_earlier_of_two_in_a_batch_wins(patch: Patch) -> None:
    def make(right: Any) -> Any:
        def replace(self: SqliteStore, batch: Any, stamps: Any = None) -> Any:
            firsts: dict[Ref, Any] = {}
            for document, entries in batch:
                firsts.setdefault(document.ref, (document, entries))
            return right(self, firsts.values(), stamps)

        return replace

    changed(patch, SqliteStore, "replace", make)


@caught_by("older_changes_are_left_alone")
def stamps_are_ignored(patch: Patch) -> None:
    patch.setattr(store, "check_stamps", lambda stamps: {})


@caught_by("a_removal_is_remembered")
def a_removal_is_forgotten(patch: Patch) -> None:
    swap(patch, "insert into semantic_index_removal", None)


@caught_by("times_are_reported")
def an_update_makes_it_new(patch: Patch) -> None:
    swap(
        patch,
        "update semantic_index_document set title = ?",
        "update semantic_index_document set created_at = '2999-01-01T00:00:00', title = ?",
    )


@caught_by("filters_see_the_metadata_of_now")
def an_update_keeps_the_old_values_for_filters(patch: Patch) -> None:
    def make(right: Any) -> Any:
        def change(self: Any, *given: Any) -> Any:
            note = self._note
            self._note = lambda sql, *row: None if "attribute" in sql else note(sql, *row)
            try:
                return right(self, *given)
            finally:
                del self._note

        return change

    changed(patch, write.Changes, "change_document", make)


@caught_by("fill_gives_a_vector_to_all_who_wait")
def one_of_many_who_wait_is_filled(patch: Patch) -> None:
    one = """c.vector is null and c.id = (select min(id) from semantic_index_chunk
        where vector is null) and d.id"""
    swap(patch, "c.vector is null and d.id", one)


@caught_by("a_late_vector_changes_nothing")
def a_late_vector_goes_where_its_text_was(patch: Patch) -> None:
    places: dict[str, list[tuple[int, int]]] = {}

    def make_replace(right: Any) -> Any:
        def replace(self: SqliteStore, batch: Any, stamps: Any = None) -> Any:
            report = right(self, batch, stamps)
            sql = """select fingerprint, document, position from semantic_index_chunk
                where vector is null"""
            for name, document, position in self._pool.read(
                lambda view: view.raw.execute(sql).fetchall()
            ):
                places.setdefault(name, []).append((document, position))
            return report

        return replace

    def make_fill(right: Any) -> Any:
        def fill(self: SqliteStore, vectors: Any) -> int:
            sql = """update semantic_index_chunk set vector = ?, vector_crc = 0 where document = ?
                and position = ?"""
            for name, vector in vectors.items():
                blob = np.asarray(vector, dtype="<f4").tobytes()
                for place in places.get(name, ()):
                    self._pool.write(
                        lambda view, row=(blob, *place): view.raw.execute(sql, row).fetchall()
                    )
            return int(right(self, vectors))

        return fill

    changed(patch, SqliteStore, "replace", make_replace)
    changed(patch, SqliteStore, "fill", make_fill)


@caught_by("a_late_vector_changes_nothing")
def a_late_vector_replaces_the_one_that_is_there(patch: Patch) -> None:
    swap(patch, "c.vector is null and d.id", "d.id")


# --- transactions and files -----------------------------------------------------------------------


@caught_by("writers_wait_for_each_other")
def a_write_begins_by_reading(patch: Patch) -> None:
    swap(patch, "begin immediate", "begin")


@caught_by("writers_wait_for_each_other")
def nobody_waits_for_the_lock(patch: Patch) -> None:
    class Impatient(apsw.Connection):
        def set_busy_timeout(self, milliseconds: int) -> None:
            applied.append("busy_timeout")
            super().set_busy_timeout(0)

    patch.setattr(apsw, "Connection", Impatient)


@caught_by("a_write_that_fails_at_any_statement_changes_nothing")
def what_failed_half_way_is_committed(patch: Patch) -> None:
    swap(patch, "rollback", "commit")


@caught_by("a_write_that_fails_at_any_statement_changes_nothing")
def the_error_of_the_rollback_hides_the_first(patch: Patch) -> None:
    @contextmanager
    def transaction(raw: Any) -> Iterator[None]:
        raw.execute("begin immediate")
        try:
            yield
            raw.execute("commit")
        except BaseException:
            raw.execute("rollback")
            raw.execute("rollback")
            raise

    patch.setattr(pool, "transaction", transaction)


@caught_by("a_snapshot_is_one_state")
def a_snapshot_is_none(patch: Patch) -> None:
    patch.setattr(SqliteStore, "snapshot", lambda self: nullcontext())


@caught_by("a_closed_store_says_so")
def a_closed_store_opens_again(patch: Patch) -> None:
    patch.setattr(pool.Pool, "_refuse_closed", lambda self: None)


@caught_by("a_commit_is_on_the_disk")
def a_commit_does_not_wait_for_the_disk(patch: Patch) -> None:
    swap(patch, "pragma synchronous = full", "pragma synchronous = off")


@caught_by("what_was_removed_is_nowhere_in_the_files")
def what_was_removed_is_only_unlinked(patch: Patch) -> None:
    swap(patch, "pragma secure_delete = on", "pragma secure_delete = off")


@caught_by("the_file_of_another_program_is_left_alone")
def a_strange_file_is_made_ours(patch: Patch) -> None:
    def make(right: Any) -> Any:
        def is_new(target: Any) -> bool:
            try:
                return bool(right(target))
            except StoreForeign:
                os.truncate(target.path, 0)
                return True

        return is_new

    assert opening.is_new is opening.is_new
    changed(patch, opening, "is_new", make)


@caught_by("a_second_library_is_refused")
def a_second_library_is_not_noticed(patch: Patch) -> None:
    patch.setattr(connection, "_is_open_elsewhere", lambda this: False)


@caught_by("a_file_that_was_replaced_takes_no_writes")
def a_replaced_file_is_not_noticed(patch: Patch) -> None:
    patch.setattr(connection.Connection, "check_place", lambda self: None)


class Whatever:
    """Equal to everything."""

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = None  # type: ignore[assignment]


@caught_by("damage_is_told")
def the_checksum_of_a_passage_is_not_compared(patch: Patch) -> None:
    patch.setattr(maintenance, "chunk_crc", lambda *content: Whatever())


@caught_by("damage_is_told")
def the_checksum_of_a_vector_is_not_compared(patch: Patch) -> None:
    patch.setattr(maintenance, "vector_crc", lambda *content: Whatever())
    patch.setattr(maintenance, "disagreements", lambda view, dimensions: iter(()))


@caught_by("damage_is_told")
def the_index_of_words_is_not_compared(patch: Patch) -> None:
    patch.setattr(maintenance.text_check, "problems", lambda view, analyser: iter(()))


# --- scopes and tenants ---------------------------------------------------------------------------


@caught_by("every_operator_means_what_it_says")
def one_and_true_are_the_same(patch: Patch) -> None:
    changed(
        patch,
        filters,
        "kind",
        lambda right: lambda value: "number" if isinstance(value, bool) else right(value),
    )


@caught_by("every_operator_means_what_it_says")
def unequal_wants_the_key_to_be_there(patch: Patch) -> None:
    def make(right: Any) -> Any:
        def condition(asked: Any) -> Any:
            absent, held, bound = right(asked)
            if asked.operator != "not_in" or len(held) != 1:
                return absent, held, bound
            there = """select a.document from semantic_index_attribute as a where a.generation = ?
                and a.key = ?"""
            return False, [f"{there} and a.document not in ({held[0]})"], [*bound[:2], *bound]

        return condition

    changed(patch, filters, "_condition", make)


@caught_by("no_collection_means_nothing")
def no_collections_are_all(patch: Patch) -> None:
    def make(init: Any) -> Any:
        def scope(
            self: Scope,
            tenant: str = "",
            collections: Any = None,
            filter: Filter | None = None,
            keys: Any = None,
        ) -> None:
            init(self, tenant, collections or None, filter or Filter(), keys)

        return scope

    changed(patch, Scope, "__init__", make)


@caught_by("what_is_asked_is_never_part_of_a_statement")
def names_of_collections_are_pasted_into_the_statement(patch: Patch) -> None:
    def make(right: Any) -> Any:
        def compile_scope(scope: Scope, generation: int) -> Any:
            clause = right(attrs.evolve(scope, collections=None), generation)
            if scope.collections is None:
                return clause
            names = ", ".join("'{}'".format(name.replace("'", "''")) for name in scope.collections)
            return attrs.evolve(
                clause, sql=f"{clause.sql} and d.collection in ({names})", narrows=True
            )

        return compile_scope

    changed(patch, selective_scopes, "compile_scope", make)


def for_any_tenant(right: Any) -> Any:
    def compile_scope(scope: Scope, generation: int) -> Any:
        clause = right(scope, generation)
        assert "d.tenant = ?" in clause.sql
        return attrs.evolve(
            clause, sql=clause.sql.replace("d.tenant = ?", "? is not null"), narrows=True
        )

    return compile_scope


def for_any_tenant_each(right: Any) -> Any:
    def compile_scope(scope: Scope, generation: int) -> Any:
        clause = right(scope, generation)
        sql, values = clause.each
        return attrs.evolve(clause, each=(sql.replace("d.tenant = ?", "? is not null"), values))

    return compile_scope


@caught_by("keys_are_of_their_collection")
def keys_are_of_any_collection(patch: Patch) -> None:
    swap(patch, "d.collection = ? and d.key = j.value and", "? is not null and d.key = j.value and")


@caught_by("keys_and_filter_both_hold")
def keys_are_found_whatever_the_filter(patch: Patch) -> None:
    def make(right: Any) -> Any:
        def scope_clause(view: Any, scope: Scope) -> Any:
            if scope.keys is None:
                return right(view, scope)
            return right(view, attrs.evolve(scope, filter=Filter()))

        return scope_clause

    changed(patch, store, "scope_clause", make)


@caught_by("keys_of_a_tenant_are_its_own")
def keys_are_of_any_tenant(patch: Patch) -> None:
    swap(
        patch,
        "d.tenant = ? and d.collection = ? and d.key = j.value",
        "? is not null and d.collection = ? and d.key = j.value",
    )
    changed(patch, selective_scopes, "compile_scope", for_any_tenant_each)


@caught_by("totals_of_random_documents")
def facets_of_documents_that_left_the_scope(patch: Patch) -> None:
    swap(patch, "and a.document in (select j.value from json_each(?) as j) group", "and ? group")


@caught_by("tenants_never_meet")
def words_and_lists_are_of_all_tenants(patch: Patch) -> None:
    changed(patch, selective_scopes, "compile_scope", for_any_tenant)


@caught_by("tenants_never_meet")
def the_nearest_are_of_all_tenants(patch: Patch) -> None:
    def make(right: Any) -> Any:
        def nearest(self: SqliteStore, vector: Any, limit: int, scope: Scope) -> Ranking:
            sql = "select distinct tenant from semantic_index_document"
            tenants = [
                tenant
                for (tenant,) in self._pool.read(lambda view: view.raw.execute(sql).fetchall())
            ]
            found = [
                right(self, vector, limit, attrs.evolve(scope, tenant=tenant))
                for tenant in tenants or [scope.tenant]
            ]
            pairs = itertools.chain(*(zip(one.scores, one.ids, strict=True) for one in found))
            best = sorted(pairs, key=lambda pair: (-pair[0], pair[1]))[:limit]
            return Ranking("vector", tuple(id for _, id in best), tuple(score for score, _ in best))

        return nearest

    changed(patch, SqliteStore, "nearest", make)


@caught_by("tenants_never_meet")
def a_document_is_found_by_its_key_alone(patch: Patch) -> None:
    swap(
        patch,
        "d.tenant = ? and d.collection = ? and d.key",
        "? is not null and d.collection = ? and d.key",
    )


@caught_by("tenants_never_meet")
def chunks_are_fetched_by_their_key_alone(patch: Patch) -> None:
    swap(patch, "d.tenant = j.value ->> 0 and", "")


@caught_by("tenants_never_meet")
def tenants_are_told_apart_blind_for_case(patch: Patch) -> None:
    swap(patch, "tenant = ?", "tenant = ? collate nocase")


@caught_by("tenants_never_meet")
def counts_are_of_all_tenants(patch: Patch) -> None:
    changed(patch, SqliteStore, "stats", lambda right: lambda self, tenant=None: right(self, None))


@caught_by("a_multi_tenant_store_wants_a_tenant")
def no_tenant_is_a_tenant(patch: Patch) -> None:
    patch.setattr(store, "check_tenant", lambda tenant, multi_tenant: tenant)
    patch.setattr(records, "check_tenant", lambda tenant, multi_tenant: tenant)


@caught_by("addresses_are_compared_exactly")
def keys_are_compared_blind_for_case(patch: Patch) -> None:
    swap(patch, "key = ?", "key = ? collate nocase")


# --- processes ------------------------------------------------------------------------------------

IN_A_PROCESS = {
    "forked children count the parents locks as theirs": (
        (
            "kept = []; pool.Pool.hold_still = lambda *_: []; pool.leave_to_parent = lambda: "
            "kept.extend(connection._opened)"
        ),
        "crowd.outlived(folder, 3, 2)",
        lambda told: bool(told["lost"]),
    ),
    "a lock that garbage collection takes twice": (
        "connection._lock = threading.Lock(); crowd.PATIENCE = 4",
        "crowd.forgotten(folder, 3)",
        lambda told: told is None,
    ),
}
"""What is broken, what runs then, and whether that shows it;
these cannot be tried in the process of the tests.
"""


def shows(broken: str, run: str, seen: Callable[[Any], bool]) -> bool:
    lines = [
        "import json, sys, threading; from pathlib import Path",
        "import crowd; from semantic_core_peewee.sqlite import connection, pool",
        broken,
        "folder = Path(sys.argv[1])",
        f"print(json.dumps({run}))",
    ]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
    }
    with quick_folder() as folder:
        command = [sys.executable, "-c", "\n".join(lines), str(folder)]
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    if ran.returncode == 0:
        return seen(json.loads(ran.stdout))
    # What waits for itself is ended by `faulthandler`; anything else is a mistake of this test.
    assert "Timeout (" in ran.stderr, ran.stderr
    return seen(None)


# --- the proof ------------------------------------------------------------------------------------


def complaint(defect: Defect) -> str:
    """What the catcher says about the store with this defect; "" if it finds nothing wrong."""
    applied.clear()
    shared.clear()
    said = ""
    with quick_folder() as folder, pytest.MonkeyPatch.context() as patch:
        uses_sql = (
            "swap" in defect.put_in.__code__.co_names
            or "statements" in defect.put_in.__code__.co_names
        )
        defect.put_in(patch)
        try:
            if defect.catcher in OWN_RULES:
                OWN_RULES[defect.catcher](folder.resolve())
            else:
                CHECKS[defect.catcher](
                    lambda space, name="index", **more: SqliteStore(
                        space, folder / f"{name}.db", **more
                    )
                )
        except SkipTest as skipped:
            raise AssertionError(f"{defect.name}: {defect.catcher} does not run here") from skipped
        except Exception as error:  # noqa: BLE001 - what is broken may break in any way
            said = f"{type(error).__name__}: {error}"
    assert applied or not uses_sql, f"{defect.name}: there is no such statement any more"
    return said


def test_every_defect_is_caught_by_the_check_that_is_named() -> None:
    survivors = [
        f"{defect.name} (by {defect.catcher})" for defect in DEFECTS if not complaint(defect)
    ]
    survivors += [name for name, trial in IN_A_PROCESS.items() if not shows(*trial)]
    every = len(DEFECTS) + len(IN_A_PROCESS)
    # The figure of this test.
    print(f"seeded defects: killed {every - len(survivors)}/{every}")  # noqa: T201
    assert not survivors, survivors
    record("defects", seeded=every, killed=every - len(survivors))


def test_there_are_many_and_they_differ() -> None:
    assert len(DEFECTS) >= 40
    assert len({defect.name for defect in DEFECTS}) == len(DEFECTS)
    assert {defect.catcher for defect in DEFECTS} <= set(CHECKS) | set(OWN_RULES)
    unproved = set(OWN_RULES) - {defect.catcher for defect in DEFECTS}
    assert not unproved, f"rules that never failed: {unproved}"
