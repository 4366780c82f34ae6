"""Stores, embedders, splitters and outboxes that are broken on purpose, and the check that catches
each.
"""

from __future__ import annotations

import itertools
import os
import re
import threading
import unicodedata
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from operator import attrgetter
from pathlib import Path
from tempfile import gettempdir
from typing import Any
from unittest import SkipTest

import attrs
import numpy as np
import pytest
from mutants import CaughtBy, opener, unshrunk

from semantic_core._memory.store import MemoryStore, _ranking, _summary, _words
from semantic_core._text import split_text
from semantic_core.errors import SpaceMismatch, StoreError, TenantRequired
from semantic_core.filters import Filter
from semantic_core.query_syntax import TextConditions, TextTerm
from semantic_core.testing import (
    Check,
    HashEmbedder,
    Limit,
    embedder_checks,
    splitter_checks,
    store_checks,
)
from semantic_core.testing.check import checks_in
from semantic_core.testing.stores import batches, crashed, history, keys, totals
from semantic_core.types import (
    Chunk,
    ChunkId,
    Document,
    Page,
    Ranking,
    Ref,
    ReplaceReport,
    Scope,
    Space,
)

caught_by = CaughtBy()


def first_failure(
    checks: list[Check], made_by: Callable[[], Callable[..., Any]], first: str
) -> tuple[str, str]:
    """The first check that fails and why; ("", "") if all hold.

    Begins with the check named `first`.
    """
    for check in sorted(checks, key=lambda check: str(check) != first):
        try:
            check(made_by())
        except SkipTest:
            continue
        except Exception as error:  # noqa: BLE001 - what is broken may break in any way
            return str(check), f"{type(error).__name__}: {error}"
    return "", ""


class Shelf(MemoryStore):
    """A MemoryStore that stays on a shelf when closed: what persistent stores are,
    without a disk.
    """

    shelf: dict[str, tuple[Space, bool, Any]] = {}

    def __init__(self, space: Space, path: str, *, multi_tenant: bool | None = None) -> None:
        before, tenants, state = self.shelf.get(path, (space, bool(multi_tenant), None))
        if space != before:
            raise SpaceMismatch(f"wanted vectors of {before}, got those of {space}.")
        super().__init__(space, multi_tenant=tenants)
        self._path = path
        self._state = state or self._state

    def close(self) -> None:
        if not self._closed:
            self.shelf[self._path] = (self._space, self._multi_tenant, self._state)
        super().close()


def with_rows(kept: Any, rows: Any) -> Any:
    return attrs.evolve(kept, rows=tuple(rows))


# --- stores: lists in metadata --------------------------------------------------------------------


@caught_by("a_list_that_matches_twice_is_found_once")
class WordsOncePerMatchingItem(MemoryStore):
    """Joins documents with the items of their lists, and forgets to take each document once."""

    def words(self, text, limit, scope):
        found = super().words(text, limit, scope)
        ids = []
        scores = []
        for id, score in zip(found.ids, found.scores, strict=True):
            matching = 1
            for condition in scope.filter.conditions:
                held = self.get(id.ref).metadata.get(condition.key, ())
                if condition.operator == "in" and isinstance(held, tuple):
                    matching = max(matching, len(set(held) & set(condition.values)))
            ids += [id] * matching
            scores += [score] * matching
        return Ranking(found.source, tuple(ids[:limit]), tuple(scores[:limit]))


# --- stores: revisions ----------------------------------------------------------------------------


def _without_revision(store: MemoryStore, write: Callable[[], Any]) -> Any:
    """Let a write happen, and keep the revisions from before it."""
    before = store._latest().revisions
    outcome = write()
    store._state = attrs.evolve(store._latest(), revisions=before)
    return outcome


@caught_by("every_change_has_a_new_revision")
class RemovalsHaveNoRevision(MemoryStore):
    def remove(self, refs, stamps=None):
        return _without_revision(self, lambda: MemoryStore.remove(self, refs, stamps))


@caught_by("every_change_has_a_new_revision")
class VectorsHaveNoRevision(MemoryStore):
    def fill(self, vectors):
        return _without_revision(self, lambda: MemoryStore.fill(self, vectors))


@caught_by("every_change_has_a_new_revision")
class TheRevisionIsTheContent(MemoryStore):
    def revision(self, tenant=None):
        super().revision(tenant)
        return str(sorted(map(str, self._latest().documents.values())))


@caught_by("every_change_has_a_new_revision")
class TheRevisionIsTheNumberOfDocuments(MemoryStore):
    def revision(self, tenant=None):
        super().revision(tenant)
        return str(len(self._latest().documents))


@caught_by("every_change_has_a_new_revision")
class EveryReadIsARevision(MemoryStore):
    def revision(self, tenant=None):
        self._reads = getattr(self, "_reads", 0) + 1
        return f"{super().revision(tenant)}-{self._reads}"


@caught_by("every_change_has_a_new_revision")
class AnyTenantHasARevision(MemoryStore):
    def revision(self, tenant=None):
        return super().revision()


@caught_by("a_revision_is_of_its_tenant")
class OneRevisionForAllTenants(MemoryStore):
    def revision(self, tenant=None):
        if tenant is not None:
            self._check_tenant(tenant)
        return super().revision()


@caught_by("a_revision_is_of_its_tenant")
class TheWholeStoreHasNoRevision(MemoryStore):
    def revision(self, tenant=None):
        if tenant is None and self.multi_tenant:
            return "0"
        return super().revision(tenant)


@caught_by("a_passage_tells_when_its_document_was_changed")
class PassagesWithoutTimes(MemoryStore):
    def fetch(self, ids):
        return [attrs.evolve(stored, updated_at="") for stored in super().fetch(ids)]


@caught_by("a_passage_tells_when_its_document_was_changed")
class PassagesTellWhenTheirDocumentCame(MemoryStore):
    def fetch(self, ids):
        found = []
        for stored in super().fetch(ids):
            kept = self._latest().documents[stored.chunk.id.ref]
            found.append(attrs.evolve(stored, updated_at=kept.created_at))
        return found


# --- stores: which index it is, and how far it got ------------------------------------------------


@caught_by("a_write_advances_its_checkpoint")
class RemovalsAdvanceNothing(MemoryStore):
    def remove(self, refs, stamps=None):
        before = self._latest().checkpoints
        removed = super().remove(refs, stamps)
        self._state = attrs.evolve(self._latest(), checkpoints=before)
        return removed


@caught_by("a_write_that_fails_advances_nothing")
class AdvancedBeforehand(MemoryStore):
    def replace(self, batch, stamps=None):
        for source, change in self._advances():
            self.update_checkpoint(source, change)
        outer, self._pinned.advances = self._advances(), ()
        try:
            return super().replace(batch, stamps)
        finally:
            self._pinned.advances = outer


@caught_by("a_checkpoint_is_changed_in_one_step")
class CheckpointsAreNeverRemoved(MemoryStore):
    def update_checkpoint(self, source, change):
        return super().update_checkpoint(source, lambda there: change(there) or there)


@caught_by("an_index_knows_which_one_it_is")
class EveryIndexIsTheSame(MemoryStore):
    identity = "the index"


@caught_by("identity_and_checkpoints_outlive_the_process")
class CheckpointsGoneWithTheProcess(Shelf):
    def close(self):
        if not self._closed:
            self._state = attrs.evolve(self._state, checkpoints={})
        super().close()


# --- stores: what is written ----------------------------------------------------------------------


@caught_by("addresses_are_compared_exactly")
class RemovalBlindForCollections(MemoryStore):
    def remove(self, refs, stamps=None):
        keys = {ref.key for ref in refs}
        return super().remove(
            [ref for ref in self._latest().documents if ref.key in keys] or list(refs), stamps
        )


@caught_by("vectors_are_known_by_fingerprint_alone")
class VectorsByText(MemoryStore):
    def replace(self, items, stamps=None):
        seen = {
            chunk.entry.passage: chunk.entry.vector
            for chunk in self._chunks()
            if chunk.entry.vector is not None
        }
        return super().replace(
            [
                (
                    document,
                    [
                        attrs.evolve(entry, vector=seen.get(entry.passage))
                        if entry.vector is None
                        else entry
                        for entry in entries
                    ],
                )
                for document, entries in items
            ],
            stamps,
        )


@caught_by("replace_leaves_nothing_behind")
class TailLeftAfterReplace(MemoryStore):
    def replace(self, batch, stamps=None):
        before = dict(self._latest().documents)
        report = super().replace(batch, stamps)
        documents = dict(self._state.documents)
        for ref, outcome in report.outcomes:
            if outcome == "updated" and ref in before:
                kept = documents[ref]
                documents[ref] = with_rows(kept, (*kept.rows, *before[ref].rows[len(kept.rows) :]))
        self._state = attrs.evolve(self._state, documents=documents)
        return report


@caught_by("the_later_of_two_in_a_batch_wins")
class EarlierInTheBatchWins(MemoryStore):
    def replace(self, batch, stamps=None):
        firsts: dict[Ref, Any] = {}
        for document, entries in batch:
            firsts.setdefault(document.ref, (document, entries))
        return super().replace(firsts.values(), stamps)


@caught_by("a_write_that_raises_changes_nothing")
class EachDocumentByItself(MemoryStore):
    """Part of a batch stays when the rest fails."""

    def replace(self, batch, stamps=None):
        write = super().replace
        return ReplaceReport(
            tuple(outcome for each in batch for outcome in write([each], stamps).outcomes)
        )


@caught_by("a_write_that_raises_changes_nothing")
class RemovesOneByOne(MemoryStore):
    """A source of refs that raises half-way has removed the first half."""

    def remove(self, refs, stamps=None):
        return sum(super(RemovesOneByOne, self).remove([ref], stamps) for ref in refs)


@caught_by("the_same_call_twice_changes_nothing")
class AlwaysUpdated(MemoryStore):
    def replace(self, batch, stamps=None):
        outcomes = super().replace(batch, stamps).outcomes
        return ReplaceReport(
            tuple(
                (ref, "updated" if outcome == "unchanged" else outcome) for ref, outcome in outcomes
            )
        )


@caught_by("the_same_call_twice_changes_nothing")
class TouchedByTheSameAgain(MemoryStore):
    def replace(self, batch, stamps=None):
        report = super().replace(batch, stamps)
        documents = dict(self._state.documents)
        for ref, outcome in report.outcomes:
            if outcome == "unchanged":
                documents[ref] = attrs.evolve(
                    documents[ref], updated_at="2999-01-01T00:00:00+00:00"
                )
        self._state = attrs.evolve(self._state, documents=documents)
        return report


@caught_by("every_change_is_seen")
class UnchangedByTextAlone(MemoryStore):
    """Metadata, title and chunks of an equal text are not looked at."""

    def replace(self, batch, stamps=None):
        documents = self._latest().documents
        pairs = [
            (d, e)
            for d, e in batch
            if d.ref not in documents or documents[d.ref].document.text != d.text
        ]
        return super().replace(pairs, stamps)


@caught_by("times_are_reported")
class CreatedAgainByAnUpdate(MemoryStore):
    def replace(self, batch, stamps=None):
        pairs = list(batch)
        super().remove([document.ref for document, _ in pairs])
        return super().replace(pairs, stamps)


@caught_by("older_changes_are_left_alone")
class StampIgnored(MemoryStore):
    def replace(self, batch, stamps=None):
        return super().replace(batch)


@caught_by("older_changes_are_left_alone")
class EqualStampIsStale(MemoryStore):
    def replace(self, batch, stamps=None):
        pairs = list(batch)
        marks = self._latest().stamps
        fresh = [
            (d, e)
            for d, e in pairs
            if not stamps or d.ref not in stamps or marks.get(d.ref, -1) != stamps[d.ref]
        ]
        done = dict(super().replace(fresh, stamps).outcomes)
        return ReplaceReport(tuple((d.ref, done.get(d.ref, "stale")) for d, _ in pairs))


@caught_by("older_changes_are_left_alone")
class StampForgottenByAWriteWithoutOne(MemoryStore):
    def replace(self, batch, stamps=None):
        pairs = list(batch)
        kept = {
            ref: stamp
            for ref, stamp in self._latest().stamps.items()
            if stamps or ref not in {d.ref for d, _ in pairs}
        }
        self._state = attrs.evolve(self._state, stamps=kept)
        return super().replace(pairs, stamps)


@caught_by("older_changes_are_left_alone")
class StampOfTheUnchangedNotKept(MemoryStore):
    def replace(self, batch, stamps=None):
        before = self._latest().stamps
        report = super().replace(batch, stamps)
        same = {ref for ref, outcome in report.outcomes if outcome == "unchanged"}
        marks = {
            ref: before.get(ref, 0) if ref in same else stamp
            for ref, stamp in self._state.stamps.items()
        }
        self._state = attrs.evolve(self._state, stamps=marks)
        return report


@caught_by("a_removal_is_remembered")
class NoTombstone(MemoryStore):
    def remove(self, refs, stamps=None):
        wanted = list(refs)
        removed = super().remove(wanted, stamps)
        marks = {
            ref: stamp for ref, stamp in self._state.stamps.items() if ref in self._state.documents
        }
        self._state = attrs.evolve(self._state, stamps=marks)
        return removed


@caught_by("a_removal_is_remembered")
class NoTombstoneForWhatWasNotThere(MemoryStore):
    def remove(self, refs, stamps=None):
        return super().remove([ref for ref in refs if ref in self._latest().documents], stamps)


@caught_by("removed_is_removed")
class RemovalCountsTheAsked(MemoryStore):
    def remove(self, refs, stamps=None):
        wanted = list(refs)
        super().remove(wanted, stamps)
        return len(wanted)


# --- stores: what is read back --------------------------------------------------------------------


class Rewritten(MemoryStore):
    """Gives documents back through `rewrite`."""

    def rewrite(self, document: Document) -> Document:
        raise NotImplementedError

    def get(self, ref):
        document = super().get(ref)
        return None if document is None else self.rewrite(document)


def changed(document: Document, **changes: Any) -> Document:
    names = ("ref", "text", "title", "media_type", "metadata", "language")
    return Document(**{**{name: getattr(document, name) for name in names}, **changes})


@caught_by("a_document_comes_back_as_it_was")
class WholeNumbersBecomeFloats(Rewritten):
    def rewrite(self, document):
        held = {
            key: float(value) if type(value) is int else value
            for key, value in document.metadata.items()
        }
        return changed(document, metadata=held)


@caught_by("a_document_comes_back_as_it_was")
class BooleansBecomeNumbers(Rewritten):
    def rewrite(self, document):
        held = {
            key: int(value) if isinstance(value, bool) else value
            for key, value in document.metadata.items()
        }
        return changed(document, metadata=held)


@caught_by("a_document_comes_back_as_it_was")
class LineEndsBecomeOne(Rewritten):
    def rewrite(self, document):
        return changed(document, text=document.text.replace("\r\n", "\n"))


@caught_by("names_may_be_as_long_as_is_allowed")
class LongTitlesAreCut(Rewritten):
    def rewrite(self, document):
        return changed(document, title=document.title[:1_000])


@caught_by("names_may_be_as_long_as_is_allowed")
class LongKeysOfMetadataAreCut(Rewritten):
    def rewrite(self, document):
        held = {key[:64]: value for key, value in document.metadata.items()}
        return changed(document, metadata=held)


@caught_by("a_document_comes_back_as_it_was")
class TextEndsAtNul(Rewritten):
    def rewrite(self, document):
        return changed(document, text=document.text.split("\0")[0])


@caught_by("a_document_comes_back_as_it_was")
class LanguageForgotten(Rewritten):
    def rewrite(self, document):
        return changed(document, language=None)


@caught_by("chunks_come_back_as_they_were")
class FetchInItsOwnOrder(MemoryStore):
    def fetch(self, ids):
        return super().fetch(sorted(ids))


@caught_by("chunks_come_back_as_they_were")
class FetchWithoutHeadings(MemoryStore):
    def fetch(self, ids):
        return [
            attrs.evolve(each, chunk=attrs.evolve(each.chunk, headings=()))
            for each in super().fetch(ids)
        ]


@caught_by("long_lists_are_fine")
class OneVariableForEachId(MemoryStore):
    def fetch(self, ids):
        if len(ids) > 999:
            raise StoreError("too many SQL variables")
        return super().fetch(ids)


@caught_by("any_document_comes_back")
class BlanksAtTheEndOfTitlesLost(MemoryStore):
    def fetch(self, ids):
        return [attrs.evolve(each, title=each.title.rstrip()) for each in super().fetch(ids)]


@caught_by("stats_count_what_is_there")
class ChunksCountedPerCollection(MemoryStore):
    def stats(self, tenant=None):
        stats = super().stats(tenant)
        chunks: Counter[str] = Counter()
        for ref, kept in self._state.documents.items():
            chunks[ref.collection] += len(kept.rows)
        return attrs.evolve(stats, collections=dict(chunks))


@caught_by("addresses_are_compared_exactly")
class AddressesJoined(MemoryStore):
    """Two refs that are written the same are one."""

    def replace(self, batch, stamps=None):
        pairs = list(batch)
        written = {str(document.ref) for document, _ in pairs}
        own = {document.ref for document, _ in pairs}
        super().remove(
            [ref for ref in self._latest().documents if str(ref) in written and ref not in own]
        )
        return super().replace(pairs, stamps)


@caught_by("addresses_are_compared_exactly")
class AddressesNormalised(MemoryStore):
    def get(self, ref):
        known = {
            unicodedata.normalize("NFC", str(each)): each for each in self._reading().documents
        }
        return super().get(known.get(unicodedata.normalize("NFC", str(ref)), ref))


@caught_by("documents_are_listed_in_order")
class ListedAsWritten(MemoryStore):
    def documents(self, scope, offset=0, limit=100):
        found = [_summary(kept) for kept in self._within(scope)]
        return Page(tuple(found[offset : offset + limit]), len(found))


@caught_by("documents_are_listed_in_order")
class TotalOfThePage(MemoryStore):
    def documents(self, scope, offset=0, limit=100):
        page = super().documents(scope, offset, limit)
        return Page(page.items, len(page.items))


@caught_by("a_passage_without_a_vector_waits")
class StatsCountPassages(MemoryStore):
    def stats(self, tenant=None):
        passages = {
            row.entry.fingerprint for kept in self._state.documents.values() for row in kept.rows
        }
        return attrs.evolve(super().stats(tenant), chunks=len(passages))


# --- stores: vectors ------------------------------------------------------------------------------


@caught_by("vectors_of_chunks_are_those_of_their_passages")
class VectorsZeroForTheMissing(MemoryStore):
    def vectors(self, ids):
        return np.nan_to_num(super().vectors(ids))


@caught_by("vectors_of_chunks_are_those_of_their_passages")
class VectorsInTheirOwnOrder(MemoryStore):
    def vectors(self, ids):
        return super().vectors(sorted(ids))


@caught_by("vectors_of_chunks_are_those_of_their_passages")
class VectorsInDoublePrecision(MemoryStore):
    def vectors(self, ids):
        return super().vectors(ids).astype(np.float64)


@caught_by("vectors_of_chunks_are_those_of_their_passages")
class VectorsThatTheCallerChanges(MemoryStore):
    def vectors(self, ids):
        kept = vars(self).setdefault("kept", {})
        key = (self.revision(), tuple(ids))
        if key not in kept:
            kept[key] = super().vectors(ids)
        return kept[key]


@caught_by("vectors_of_chunks_are_those_of_their_passages")
class VectorsOfAnEarlierState(MemoryStore):
    def vectors(self, ids):
        kept = vars(self).setdefault("kept", {})
        for id, vector in zip(ids, super().vectors(ids), strict=True):
            kept.setdefault(id, vector)
        found = [kept[id] for id in ids] or np.empty((0, self.space.dimensions))
        return np.array(found, dtype=np.float32)


@caught_by("nearest_equals_brute_force")
class DistanceInsteadOfScore(MemoryStore):
    def nearest(self, vector, limit, scope):
        found = super().nearest(vector, limit, scope)
        return Ranking("vector", found.ids, tuple(1 - score for score in found.scores))


@caught_by("nearest_equals_brute_force")
class WorstFirst(MemoryStore):
    def nearest(self, vector, limit, scope):
        found = super().nearest(vector, limit, scope)
        return Ranking("vector", found.ids[::-1], found.scores[::-1])


@caught_by("nearest_equals_brute_force")
class FarthestFound(MemoryStore):
    def nearest(self, vector, limit, scope):
        found = super().nearest(vector, 10**6, scope)
        return Ranking(
            "vector", found.ids[-limit:] if limit else (), found.scores[-limit:] if limit else ()
        )


@caught_by("nearest_equals_brute_force")
class OneIsMissed(MemoryStore):
    """An index that is not exact."""

    def nearest(self, vector, limit, scope):
        found = super().nearest(vector, limit + 1, scope)
        keep = [place for place in range(len(found)) if len(found) < 5 or place != 3][:limit]
        return Ranking(
            "vector",
            tuple(found.ids[place] for place in keep),
            tuple(found.scores[place] for place in keep),
        )


@caught_by("vectors_of_another_length_rank_by_direction")
class DotProductOfAnyLength(MemoryStore):
    def _as_stored(self, vector):
        self._unit(vector)
        return np.array(vector, dtype=np.float32)

    def nearest(self, vector, limit, scope):
        self._unit(vector)
        rows = [
            row.entry
            for kept in self._within(scope)
            for row in kept.rows
            if row.entry.vector is not None
        ]
        scores = {
            entry.chunk.id: float(entry.vector.astype(np.float64) @ vector.astype(np.float64))
            for entry in rows
        }
        return _ranking("vector", scores, limit)


@caught_by("opposite_and_equal_are_the_ends")
class ScoresAboveOne(MemoryStore):
    def nearest(self, vector, limit, scope):
        found = super().nearest(vector, limit, scope)
        return Ranking("vector", found.ids, tuple(score * (1 + 1e-6) for score in found.scores))


@caught_by("vectors_that_mean_nothing_are_refused")
class NanStored(MemoryStore):
    def _unit(self, vector):
        if np.isnan(vector).any():
            return np.zeros(self.space.dimensions)
        return super()._unit(vector)


@caught_by("vectors_that_mean_nothing_are_refused")
class AlmostNothingDividedByItsLength(MemoryStore):
    def _unit(self, vector):
        given = np.asarray(vector, dtype=np.float64)
        length = np.linalg.norm(given)
        return (
            given / length
            if given.shape == (self.space.dimensions,) and 0 < length < 1e-6
            else super()._unit(vector)
        )


@caught_by("vectors_that_mean_nothing_are_refused")
class AnySizeFits(MemoryStore):
    def _unit(self, vector):
        given = np.resize(np.asarray(vector, dtype=np.float64), self.space.dimensions)
        return super()._unit(given)


@caught_by("equal_scores_stand_in_the_order_of_ids")
class TiesTheOtherWayRound(MemoryStore):
    def nearest(self, vector, limit, scope):
        found = super().nearest(vector, 10**6, scope)
        order = sorted(
            range(len(found)),
            key=lambda place: (found.scores[place], found.ids[place]),
            reverse=True,
        )[:limit]
        return Ranking(
            "vector", tuple(found.ids[p] for p in order), tuple(found.scores[p] for p in order)
        )


@caught_by("equal_scores_stand_in_the_order_of_ids")
class TiesSortedAsText(MemoryStore):
    """Position 10 before position 9."""

    def nearest(self, vector, limit, scope):
        found = super().nearest(vector, 10**6, scope)
        order = sorted(
            range(len(found)), key=lambda place: (-found.scores[place], str(found.ids[place]))
        )[:limit]
        return Ranking(
            "vector", tuple(found.ids[p] for p in order), tuple(found.scores[p] for p in order)
        )


@caught_by("similarity_is_exact_and_in_order")
class SimilarityZeroForTheMissing(MemoryStore):
    def similarity(self, ids, vector):
        return np.nan_to_num(super().similarity(ids, vector))


@caught_by("similarity_is_exact_and_in_order")
class SimilarityInItsOwnOrder(MemoryStore):
    def similarity(self, ids, vector):
        return super().similarity(sorted(ids), vector)


@caught_by("nearest_equals_brute_force")
class VectorsKeptInHalfPrecision(MemoryStore):
    def _as_stored(self, vector):
        return super()._as_stored(vector).astype(np.float16).astype(np.float32)


@caught_by("known_vectors_are_those_handed_over")
class VectorsNotCopied(MemoryStore):
    def _as_stored(self, vector):
        self._unit(vector)
        return vector


@caught_by("a_passage_without_a_vector_waits")
class WaitingFoundAsZeros(MemoryStore):
    def nearest(self, vector, limit, scope):
        found = super().nearest(vector, limit, scope)
        waiting = [
            row.entry.chunk.id
            for kept in self._within(scope)
            for row in kept.rows
            if row.entry.vector is None
        ]
        scores = {**dict(zip(found.ids, found.scores, strict=True)), **dict.fromkeys(waiting, 0.0)}
        return _ranking("vector", scores, limit)


@caught_by("an_update_keeps_the_vectors_it_had")
class OldVersionForgottenFirst(MemoryStore):
    """What is known is looked up after the old version is gone."""

    def replace(self, batch, stamps=None):
        pairs = list(batch)
        before = self._latest().documents
        super().remove([document.ref for document, _ in pairs])
        report = super().replace(pairs, stamps)
        return ReplaceReport(
            tuple(
                (ref, "updated" if ref in before else outcome) for ref, outcome in report.outcomes
            )
        )


@caught_by("a_known_vector_is_used")
class KnownVectorsNotUsed(MemoryStore):
    def replace(self, batch, stamps=None):
        pairs = list(batch)
        report = super().replace(pairs, stamps)
        documents = dict(self._state.documents)
        for document, entries in pairs:
            rows = zip(documents[document.ref].rows, entries, strict=True)
            given = [
                attrs.evolve(row, entry=attrs.evolve(row.entry, vector=entry.vector))
                for row, entry in rows
            ]
            documents[document.ref] = with_rows(documents[document.ref], given)
        self._state = attrs.evolve(self._state, documents=documents)
        return report


@caught_by("a_known_vector_is_used")
class TwinsKeepWaiting(MemoryStore):
    def replace(self, batch, stamps=None):
        pairs = list(batch)
        kept = {
            ref: held
            for ref, held in self._latest().documents.items()
            if ref not in {d.ref for d, _ in pairs}
        }
        report = super().replace(pairs, stamps)
        self._state = attrs.evolve(self._state, documents={**self._state.documents, **kept})
        return report


@caught_by("fill_gives_a_vector_to_all_who_wait")
class FilledByPosition(MemoryStore):
    def fill(self, vectors):
        waiting = [chunk.fingerprint for chunk in self.pending(10**6)]
        for vector in vectors.values():
            self._unit(vector)
        return super().fill(
            {
                waiting[n]: vector
                for n, (name, vector) in enumerate(vectors.items())
                if name in waiting
            }
        )


@caught_by("a_late_vector_changes_nothing")
class LateFillOverwrites(MemoryStore):
    def fill(self, vectors):
        def overwritten(row):
            vector = vectors.get(row.entry.fingerprint, row.entry.vector)
            return attrs.evolve(row, entry=attrs.evolve(row.entry, vector=vector))

        filled = super().fill(vectors)
        documents = {
            ref: with_rows(kept, map(overwritten, kept.rows))
            for ref, kept in self._state.documents.items()
        }
        self._state = attrs.evolve(self._state, documents=documents)
        return filled


@caught_by("fill_gives_a_vector_to_all_who_wait")
class FillsOneChunkOfEach(MemoryStore):
    def fill(self, vectors):
        before = self._latest().documents
        super().fill(vectors)
        seen: Counter[str] = Counter()
        documents = {}
        for ref, kept in self._state.documents.items():
            rows = []
            for old, new in zip(before[ref].rows, kept.rows, strict=True):
                name = new.entry.fingerprint
                seen[name] += old.entry.vector is None
                rows.append(old if old.entry.vector is None and seen[name] > 1 else new)
            documents[ref] = with_rows(kept, rows)
        self._state = attrs.evolve(self._state, documents=documents)
        return sum(name in vectors for name in seen if seen[name])


@caught_by("a_bad_vector_fills_nothing")
class FillsUpToTheBadOne(MemoryStore):
    def fill(self, vectors):
        return sum(
            super(FillsUpToTheBadOne, self).fill({name: vector}) for name, vector in vectors.items()
        )


@caught_by("the_queue_is_oldest_first")
class NewestWantedFirst(MemoryStore):
    def pending(self, limit, after=-1):
        return list(reversed(super().pending(10**6, after)))[:limit]


@caught_by("the_queue_is_read_page_by_page")
class PagesFromTheBeginning(MemoryStore):
    def pending(self, limit, after=-1):
        return super().pending(limit) if limit == 2 else super().pending(limit, after)


@caught_by("the_queue_is_read_page_by_page")
class EachPassageOnce(MemoryStore):
    def pending(self, limit, after=-1):
        once = {chunk.fingerprint: chunk for chunk in super().pending(10**6, after)}
        return sorted(once.values(), key=attrgetter("place"))[:limit]


# --- stores: words --------------------------------------------------------------------------------


class Ghosts(MemoryStore):
    """Remembers every passage ever written; `words` finds them where the chunk still is, or was."""

    def __init__(self, space, **options):
        super().__init__(space, **options)
        self._ever: list[tuple[ChunkId, str]] = []

    def replace(self, batch, stamps=None):
        pairs = list(batch)
        self._ever += [(entry.chunk.id, entry.passage) for _, entries in pairs for entry in entries]
        return super().replace(pairs, stamps)

    def ghosts(self, id: ChunkId) -> bool:
        raise NotImplementedError

    def words(self, text, limit, scope):
        found = super().words(text, limit, scope)
        asked = set(_words(text))
        more = [
            i
            for i, p in self._ever
            if asked & set(_words(p)) and i not in found.ids and self.ghosts(i)
        ]
        ids = (*found.ids, *dict.fromkeys(more))
        return Ranking("words", ids, (*found.scores, *[0.0] * (len(ids) - len(found.ids))))


@caught_by("changed_words_are_not_found")
class GhostWordsAfterUpdate(Ghosts):
    def ghosts(self, id):
        return id.ref in self._reading().documents and bool(self.fetch([id]))


@caught_by("changed_words_are_not_found")
class GhostWordsAfterDelete(Ghosts):
    def ghosts(self, id):
        return id.ref not in self._reading().documents


@caught_by("any_text_is_a_legal_query")
class QueriesAreSyntax(MemoryStore):
    def words(self, text, limit, scope):
        if text.count('"') % 2:
            raise StoreError("unterminated string")
        return super().words(text, limit, scope)


@caught_by("any_text_is_a_legal_query")
class OperatorsUnderstood(MemoryStore):
    def words(self, text, limit, scope):
        return super().words("" if text.startswith("NOT ") else text, limit, scope)


@caught_by("a_word_finds_its_chunks")
class CaseMatters(MemoryStore):
    def words(self, text, limit, scope):
        return super().words(
            " ".join(word for word in text.split() if word == word.casefold()), limit, scope
        )


@caught_by("a_word_finds_its_chunks")
class AllWordsWanted(MemoryStore):
    def words(self, text, limit, scope):
        found = super().words(text, 10**6, scope)
        asked = set(_words(text))
        rows = {row.entry.chunk.id: row.words for kept in self._within(scope) for row in kept.rows}
        kept = [place for place, id in enumerate(found.ids) if asked <= rows[id].keys()][:limit]
        return Ranking(
            "words", tuple(found.ids[p] for p in kept), tuple(found.scores[p] for p in kept)
        )


@caught_by("a_word_finds_its_chunks")
class RankAsItsEngineHasIt(MemoryStore):
    """Smaller is better, as in SQLite's bm25()."""

    def words(self, text, limit, scope):
        found = super().words(text, limit, scope)
        return Ranking("words", found.ids, tuple(-score for score in found.scores))


@caught_by("what_fits_better_stands_first")
class CommonWordsWeighNoLess(MemoryStore):
    def words(self, text, limit, scope):
        found = super().words(text, 10**6, scope)
        asked = set(_words(text))
        rows = {row.entry.chunk.id: row.words for kept in self._within(scope) for row in kept.rows}
        return _ranking(
            "words", {id: float(len(asked & rows[id].keys())) for id in found.ids}, limit
        )


@caught_by("the_passage_is_searched")
class WordsOfTheChunksText(MemoryStore):
    def replace(self, batch, stamps=None):
        pairs = list(batch)
        report = super().replace(pairs, stamps)

        def of_text(row):
            return attrs.evolve(row, words=Counter(_words(row.entry.chunk.text)))

        documents = {
            ref: with_rows(kept, map(of_text, kept.rows))
            for ref, kept in self._state.documents.items()
        }
        self._state = attrs.evolve(self._state, documents=documents)
        return report


@caught_by("words_need_no_vector")
class WordsNeedAVector(MemoryStore):
    def words(self, text, limit, scope):
        found = super().words(text, 10**6, scope)
        ready = [place for place, each in enumerate(self.fetch(found.ids)) if not each.pending][
            :limit
        ]
        return Ranking(
            "words", tuple(found.ids[p] for p in ready), tuple(found.scores[p] for p in ready)
        )


@caught_by("no_words_no_hits")
class BlankQueryFindsAll(MemoryStore):
    def words(self, text, limit, scope):
        if not _words(text):
            found = [row.entry.chunk.id for kept in self._within(scope) for row in kept.rows][
                :limit
            ]
            return Ranking("words", tuple(found), tuple(0.0 for _ in found))
        return super().words(text, limit, scope)


# --- stores: scores of given chunks, and titles ---------------------------------------------------


@caught_by("the_same_question_has_the_same_answer")
class EqualScoresInAnyOrder(MemoryStore):
    def words(self, text, limit, scope):
        found = super().words(text, 10**6, scope)
        pairs = sorted(zip(found.scores, found.ids, strict=True), reverse=limit % 2 == 0)
        pairs.sort(key=lambda pair: -pair[0])
        return Ranking(
            "words",
            tuple(id for _, id in pairs[:limit]),
            tuple(score for score, _ in pairs[:limit]),
        )


@caught_by("a_score_is_what_words_gives")
class LowestInsteadOfZero(MemoryStore):
    """A chunk without any of the words gets the lowest of those that have one."""

    def score(self, ids, text):
        scores = super().score(ids, text)
        return np.where(scores == 0, min(scores[scores > 0], default=0.0), scores)


@caught_by("a_score_is_what_words_gives")
class OnlyTheBestHaveAScore(MemoryStore):
    """What a search for the best few listed; 0 for all others."""

    def score(self, ids, text):
        scores = super().score(ids, text)
        return np.where(scores < np.sort(scores)[-3:].min(initial=np.inf), 0.0, scores)


@caught_by("a_score_is_what_words_gives")
class ScoreAsItsEngineHasIt(MemoryStore):
    def score(self, ids, text):
        return -super().score(ids, text)


@caught_by("a_score_is_what_words_gives")
class ScoresInAnotherOrder(MemoryStore):
    def score(self, ids, text):
        return super().score(sorted(ids), text)


@caught_by("a_score_is_what_words_gives")
class ScoresOfAnEarlierState(MemoryStore):
    """Remembers how rare a word is, whatever was written since."""

    def score(self, ids, text):
        remembered = vars(self).setdefault("remembered", {})
        of_then = remembered.setdefault(text, self._bm25(text, ""))
        rows = [self._row(id)[1] for id in ids]
        return np.array([np.nan if row is None else of_then(row) for row in rows], dtype=np.float64)


@caught_by("a_score_is_what_words_gives")
class ScoresNeedAVector(MemoryStore):
    def score(self, ids, text):
        waiting = [stored.chunk.id for stored in self.fetch(ids) if stored.pending]
        return np.where([id in waiting for id in ids], 0.0, super().score(ids, text))


@caught_by("a_score_is_what_words_gives")
class ScoresInSinglePrecision(MemoryStore):
    def score(self, ids, text):
        return super().score(ids, text).astype(np.float32)


@caught_by("a_full_score_is_that_of_an_average_passage_with_every_word")
class FullIsTheBestThereIs(MemoryStore):
    """Then the best of poor candidates looks like a full match."""

    def full_score(self, text, tenant=""):
        return max(self.words(text, 10**6, Scope(tenant)).scores, default=0.0)


@caught_by("a_full_score_is_that_of_an_average_passage_with_every_word")
class FullCountsRepeatedWordsOnce(MemoryStore):
    def full_score(self, text, tenant=""):
        return super().full_score(" ".join(dict.fromkeys(_words(text))), tenant)


@caught_by("a_full_score_is_that_of_an_average_passage_with_every_word")
class FullWithoutAbsentWords(MemoryStore):
    def full_score(self, text, tenant=""):
        there = [word for word in _words(text) if self.words(word, 1, Scope(tenant)).ids]
        return super().full_score(" ".join(there), tenant)


@caught_by("a_full_score_is_that_of_an_average_passage_with_every_word")
class FullOfAnEarlierState(MemoryStore):
    def full_score(self, text, tenant=""):
        remembered = vars(self).setdefault("remembered", {})
        return remembered.setdefault(text, super().full_score(text, tenant))


@caught_by("a_chunk_that_is_gone_has_no_score")
class GoneChunksScoreZero(MemoryStore):
    def score(self, ids, text):
        return np.nan_to_num(super().score(ids, text), nan=0.0)


@caught_by("any_text_can_be_scored")
class LongTextsAreNotScored(MemoryStore):
    def score(self, ids, text):
        if len(text) > 10_000:
            raise StoreError("too long")
        return super().score(ids, text)


@caught_by("a_multi_tenant_store_wants_a_tenant")
class ScoreNeedsNoTenant(MemoryStore):
    def score(self, ids, text):
        there = [id for id in ids if id.ref.tenant]
        return super().score(there, text)


@caught_by("a_title_finds_its_document")
class TitlesTakenLiterally(MemoryStore):
    def titled(self, text, limit, scope):
        kept = [kept for kept in self._within(scope) if kept.document.title == text]
        return _ranking("title", {each.rows[0].entry.chunk.id: 1.0 for each in kept}, limit)


@caught_by("a_title_finds_its_document")
class WordsAnywhereInTheTitle(MemoryStore):
    def titled(self, text, limit, scope):
        asked = set(_words(text))
        titles = {
            kept.rows[0].entry.chunk.id: set(_words(kept.document.title))
            for kept in self._within(scope)
        }
        found = {
            id: len(asked) / len(title) for id, title in titles.items() if asked and asked <= title
        }
        return _ranking("title", found, limit)


@caught_by("a_title_finds_its_document")
class EveryChunkOfTheTitle(MemoryStore):
    def titled(self, text, limit, scope):
        found = super().titled(text, limit, scope)
        rows = [
            (row, score)
            for id, score in zip(found.ids, found.scores, strict=True)
            for row in self._kept(id).rows
        ]
        return _ranking("title", {row.entry.chunk.id: score for row, score in rows}, limit)

    def _kept(self, id):
        return self._reading().documents[id.ref]


@caught_by("a_title_finds_its_document")
class EveryTitleIsTheTitle(MemoryStore):
    """The beginning of a title counts as much as all of it."""

    def titled(self, text, limit, scope):
        found = super().titled(text, limit, scope)
        return Ranking("title", found.ids, tuple(1.0 for _ in found.ids))


@caught_by("titles_keep_to_their_scope")
class TitlesInScopeAfterTheLimit(MemoryStore):
    def titled(self, text, limit, scope):
        found = super().titled(text, limit, attrs.evolve(scope, filter=Filter()))
        held = self._reading().documents
        return after_the_limit(
            found, lambda id: scope.filter.matches(held[id.ref].document.metadata)
        )


@caught_by("changed_titles_are_not_found")
class PassagesThatBeginSo(MemoryStore):
    """Asks what the passage begins with, and not what the document is called."""

    def titled(self, text, limit, scope):
        asked, scores = _words(text), {}
        for kept in self._within(scope):
            words = _words(kept.rows[0].entry.passage) if kept.rows else []
            if asked and words[: len(asked)] == asked:
                title = _words(kept.document.title) or asked
                scores[kept.rows[0].entry.chunk.id] = min(1.0, len(asked) / len(title))
        return _ranking("title", scores, limit)


# --- stores: conditions on words, and the words a store knows -------------------------------------


def with_terms(conditions: TextConditions, change: Callable[[TextTerm], TextTerm]) -> Any:
    """The conditions with each term changed."""
    return TextConditions(
        tuple(tuple(map(change, group)) for group in conditions.required),
        tuple(map(change, conditions.excluded)),
    )


class OtherConditions(MemoryStore):
    """Applies the conditions of `changed` instead of those that are asked for."""

    def changed(self, conditions: TextConditions) -> TextConditions:
        raise NotImplementedError

    def _within(self, scope):
        return super()._within(attrs.evolve(scope, text=self.changed(scope.text)))

    def meeting(self, refs, conditions):
        return super().meeting(refs, self.changed(conditions))


@caught_by("conditions_hold_for_documents")
class VectorsWithoutConditions(MemoryStore):
    def nearest(self, vector, limit, scope):
        return super().nearest(vector, limit, attrs.evolve(scope, text=TextConditions()))


@caught_by("conditions_hold_for_documents")
class ConditionsOfAChunk(MemoryStore):
    """Demands the words of the passage that is found, and not of its document."""

    def _rows(self, scope):
        rows = super()._rows(scope)
        wanted = [term.text.casefold() for group in scope.text.required for term in group]
        return [row for row in rows if not wanted or any(word in row.words for word in wanted)]


@caught_by("conditions_hold_for_documents")
class OneGroupIsEnough(OtherConditions):
    def changed(self, conditions):
        every = [term for group in conditions.required for term in group]
        return TextConditions((tuple(every),) if every else (), conditions.excluded)


@caught_by("words_of_a_phrase_stand_together")
class PhrasesInAnyOrder(OtherConditions):
    def changed(self, conditions):
        groups = []
        for group in conditions.required:
            if len(group) == 1:
                words = group[0].text.split() or [""]
                groups += [(attrs.evolve(group[0], text=word),) for word in words]
            else:
                groups.append(group)
        return TextConditions(tuple(groups), conditions.excluded)


@caught_by("words_of_a_phrase_stand_together")
class PhrasesWithPunctuation(OtherConditions):
    def changed(self, conditions):
        def one_word(term: TextTerm) -> TextTerm:
            return attrs.evolve(term, text=term.text.replace("-", ""))

        return with_terms(conditions, one_word)


@caught_by("a_prefix_is_the_beginning_of_a_word")
class PrefixesAreWords(OtherConditions):
    def changed(self, conditions):
        def whole(term: TextTerm) -> TextTerm:
            return attrs.evolve(term, prefix=False)

        return with_terms(conditions, whole)


@caught_by("a_prefix_is_the_beginning_of_a_word")
class WordsArePrefixes(OtherConditions):
    def changed(self, conditions):
        def begun(term: TextTerm) -> TextTerm:
            return attrs.evolve(term, prefix=True)

        return with_terms(conditions, begun)


@caught_by("a_field_is_where_a_term_stands")
class FieldsAreAnywhere(OtherConditions):
    def changed(self, conditions):
        def anywhere(term: TextTerm) -> TextTerm:
            return attrs.evolve(term, field="")

        return with_terms(conditions, anywhere)


@caught_by("conditions_apply_before_the_limit")
class ConditionsAfterTheLimit(MemoryStore):
    def words(self, text, limit, scope):
        found = super().words(text, limit, attrs.evolve(scope, text=TextConditions()))
        met = self.meeting([id.ref for id in found.ids], scope.text)
        pairs = zip(found.ids, found.scores, strict=True)
        kept = [(id, score) for id, score in pairs if id.ref in met]
        return Ranking(found.source, *(tuple(part) for part in zip(*kept, strict=True)))


@caught_by("conditions_know_the_present_words")
class ConditionsOfTheFirstVersion(MemoryStore):
    def replace(self, batch, stamps=None):
        report = super().replace(batch, stamps)
        self.firsts = {**self._latest().documents, **getattr(self, "firsts", {})}
        return report

    def meeting(self, refs, conditions):
        now = self._state
        self._state = attrs.evolve(now, documents=self.firsts)
        try:
            return super().meeting(refs, conditions)
        finally:
            self._state = now


@caught_by("conditions_keep_tenants_apart")
class ConditionsOfEveryTenant(MemoryStore):
    def _within(self, scope):
        if not scope.text:
            return super()._within(scope)
        tenants = {ref.tenant for ref in self._latest().documents}
        found = []
        for tenant in sorted(tenants):
            found += super()._within(attrs.evolve(scope, tenant=tenant))
        return found


@caught_by("any_text_is_a_legal_term")
class QuotesEndTheTerm(OtherConditions):
    def changed(self, conditions):
        for term in conditions.terms:
            if term.text.count('"') % 2:
                raise StoreError("unterminated string")
        return conditions


@caught_by("conditions_agree_with_reading_every_document")
class OneExclusionAtMost(OtherConditions):
    def changed(self, conditions):
        return TextConditions(conditions.required, conditions.excluded[:1])


@caught_by("words_are_completed")
class WordsByName(MemoryStore):
    def words_like(self, beginning, limit, scope):
        return sorted(super().words_like(beginning, 1_000, scope))[:limit]


@caught_by("words_are_completed")
class CompletionAnywhere(MemoryStore):
    def words_like(self, beginning, limit, scope):
        counts = self._document_counts(scope)
        begun = beginning.casefold()
        kept = {word: count for word, count in counts.items() if begun and begun in word}
        return sorted(kept.items(), key=lambda pair: (-pair[1], pair[0]))[:limit]


@caught_by("words_with_a_typing_error_are_found")
class ASwapIsTwoEdits(MemoryStore):
    def words_near(self, word, distance, limit, scope):
        found = super().words_near(word, distance, 1_000, scope)
        kept = [pair for pair in found if distance > 1 or sorted(pair[0]) != sorted(word.lower())]
        return kept[:limit]


@caught_by("words_with_a_typing_error_are_found")
class TheFrequentBeforeTheNear(MemoryStore):
    def words_near(self, word, distance, limit, scope):
        found = super().words_near(word, distance, 1_000, scope)
        return sorted(found, key=lambda pair: (-pair[1], pair[0]))[:limit]


@caught_by("words_are_counted_as_search_finds_them")
class CountsOfWhatWasThere(MemoryStore):
    def word_counts(self, words, scope):
        self.most = getattr(self, "most", {})
        for word, count in super().word_counts(words, scope).items():
            self.most[word] = max(count, self.most.get(word, 0))
        return {word: self.most[word] for word in words}


@caught_by("words_out_of_scope_are_not_told")
class WordsOfTheWholeTenant(MemoryStore):
    def words_like(self, beginning, limit, scope):
        return super().words_like(beginning, limit, Scope(scope.tenant))


@caught_by("words_out_of_scope_are_not_told")
class NearWordsOfHiddenDocuments(MemoryStore):
    def words_near(self, word, distance, limit, scope):
        wide = attrs.evolve(scope, filter=Filter())
        return super().words_near(word, distance, limit, wide)


@caught_by("any_text_has_near_words")
class BeginningsArePatterns(MemoryStore):
    def words_like(self, beginning, limit, scope):
        pattern = re.compile(beginning.casefold() or "$^")
        counts = self._document_counts(scope)
        kept = {word: count for word, count in counts.items() if pattern.match(word)}
        return sorted(kept.items(), key=lambda pair: (-pair[1], pair[0]))[:limit]


# --- stores: scopes -------------------------------------------------------------------------------


def after_the_limit(found: Ranking, keep: Callable[[ChunkId], bool]) -> Ranking:
    places = [place for place, id in enumerate(found.ids) if keep(id)]
    return Ranking(
        found.source, tuple(found.ids[p] for p in places), tuple(found.scores[p] for p in places)
    )


@caught_by("the_scope_holds_before_the_limit")
class FilterAfterTheLimit(MemoryStore):
    def nearest(self, vector, limit, scope):
        found = super().nearest(vector, limit, attrs.evolve(scope, filter=Filter()))
        held = self._reading().documents
        return after_the_limit(
            found, lambda id: scope.filter.matches(held[id.ref].document.metadata)
        )


@caught_by("words_keep_to_their_scope")
class CollectionsAfterTheLimitInWords(MemoryStore):
    def words(self, text, limit, scope):
        found = super().words(text, limit, attrs.evolve(scope, collections=None))
        return after_the_limit(
            found, lambda id: scope.collections is None or id.ref.collection in scope.collections
        )


@caught_by("no_collection_means_nothing")
class NoCollectionMeansAll(MemoryStore):
    def _within(self, scope):
        return super()._within(attrs.evolve(scope, collections=scope.collections or None))


class OwnFilter(MemoryStore):
    """Compares metadata in its own way."""

    def holds(self, condition: Any, metadata: Any) -> bool:
        raise NotImplementedError

    def _within(self, scope):
        kept = super()._within(attrs.evolve(scope, filter=Filter()))
        return [
            each
            for each in kept
            if all(self.holds(c, each.document.metadata) for c in scope.filter.conditions)
        ]


@caught_by("every_operator_means_what_it_says")
class NotEqualMissesTheMissing(OwnFilter):
    def holds(self, condition, metadata):
        return condition.matches(metadata) and (
            condition.operator != "not_in" or condition.key in metadata
        )


@caught_by("every_operator_means_what_it_says")
class ListsComparedAsAWhole(OwnFilter):
    def holds(self, condition, metadata):
        held = {
            key: str(value) if isinstance(value, tuple) else value
            for key, value in metadata.items()
        }
        return condition.matches(held)


@caught_by("every_operator_means_what_it_says")
class EmptyListIsMissing(OwnFilter):
    def holds(self, condition, metadata):
        return condition.matches({key: value for key, value in metadata.items() if value != ()})


@caught_by("every_operator_means_what_it_says")
class TrueIsOne(OwnFilter):
    def holds(self, condition, metadata):
        def plain(value):
            return int(value) if isinstance(value, bool) else value

        values = (
            condition.values
            if condition.operator == "exists"
            else tuple(map(plain, condition.values))
        )
        return attrs.evolve(condition, values=values).matches(
            {key: plain(value) for key, value in metadata.items()}
        )


@caught_by("every_operator_means_what_it_says")
class NumbersAsText(OwnFilter):
    def holds(self, condition, metadata):
        def text(value):
            return value if isinstance(value, bool | tuple) else str(value)

        values = (
            condition.values
            if condition.operator == "exists"
            else tuple(map(text, condition.values))
        )
        return attrs.evolve(condition, values=values).matches(
            {key: text(value) for key, value in metadata.items()}
        )


@caught_by("every_operator_means_what_it_says")
class NumbersAsFloats(OwnFilter):
    """Whole numbers beyond 2**53 lose their last digits."""

    def holds(self, condition, metadata):
        def real(value):
            return float(value) if type(value) is int else value

        values = (
            condition.values
            if condition.operator == "exists"
            else tuple(map(real, condition.values))
        )
        return attrs.evolve(condition, values=values).matches(
            {key: real(value) for key, value in metadata.items()}
        )


@caught_by("every_operator_means_what_it_says")
class LessOrEqualIsLess(OwnFilter):
    def holds(self, condition, metadata):
        return (
            attrs.evolve(condition, operator="lt") if condition.operator == "lte" else condition
        ).matches(metadata)


@caught_by("any_filter_is_data")
class KeysAreSyntax(OwnFilter):
    def holds(self, condition, metadata):
        return condition.matches(metadata) or "OR 1=1" in condition.key


# --- stores: tenants ------------------------------------------------------------------------------


def of_all_tenants(
    store: MemoryStore, search: Callable[..., Ranking], scope: Scope, asked: Any, limit: int
) -> Ranking:
    store._check_tenant(scope.tenant)
    tenants = {ref.tenant for ref in store._reading().documents}
    found = [search(asked, limit, attrs.evolve(scope, tenant=tenant)) for tenant in tenants]
    scores = {id: score for each in found for id, score in zip(each.ids, each.scores, strict=True)}
    return _ranking(found[0].source if found else "", scores, limit)


@caught_by("tenants_never_meet")
class TenantIgnoredInWords(MemoryStore):
    def words(self, text, limit, scope):
        return of_all_tenants(self, super().words, scope, text, limit)


@caught_by("the_tenant_holds_before_the_limit")
class TenantAfterTheLimit(MemoryStore):
    def nearest(self, vector, limit, scope):
        found = of_all_tenants(self, super().nearest, scope, vector, limit)
        return after_the_limit(found, lambda id: id.ref.tenant == scope.tenant)


@caught_by("tenants_never_meet")
class TenantByPrefix(MemoryStore):
    def _within(self, scope):
        self._check_tenant(scope.tenant)
        tenants = {
            ref.tenant for ref in self._reading().documents if ref.tenant.startswith(scope.tenant)
        }
        within = super()._within
        return [kept for tenant in tenants for kept in within(attrs.evolve(scope, tenant=tenant))]


@caught_by("tenants_never_meet")
class StatsOfAllTenants(MemoryStore):
    def stats(self, tenant=None):
        if tenant is not None:
            self._check_tenant(tenant)
        return super().stats()


@caught_by("a_multi_tenant_store_wants_a_tenant")
class GetNeedsNoTenant(MemoryStore):
    def get(self, ref):
        kept = self._reading().documents.get(ref)
        return kept.document if kept else None


@caught_by("a_single_tenant_store_refuses_a_tenant")
class TenantRefusedByItsWrongName(MemoryStore):
    def _check_tenant(self, tenant):
        if bool(tenant) != self._multi_tenant:
            raise TenantRequired("wanted a tenant, or none")


@caught_by("tenants_never_meet")
class RemovalReachesEveryTenant(MemoryStore):
    def remove(self, refs, stamps=None):
        wanted = list(refs)
        for ref in wanted:
            self._check_tenant(ref.tenant)
        addresses = {(ref.collection, ref.key) for ref in wanted}
        reached = [
            ref for ref in self._latest().documents if (ref.collection, ref.key) in addresses
        ]
        return super().remove([*wanted, *reached], stamps)


@caught_by("the_last_document_of_the_newest_namespace_goes")
class HomesCountedByTheLiving(MemoryStore):
    """Homes have numbers that stay; a table of them ends with the last one that is lived in."""

    numbers: dict[Any, int]

    def replace(self, batch, stamps=None):
        given = list(batch)
        self.numbers = getattr(self, "numbers", {})
        for document, _ in given:
            home = (document.ref.tenant, document.ref.collection)
            self.numbers.setdefault(home, len(self.numbers))
        return super().replace(given, stamps)

    def nearest(self, vector, limit, scope):
        living = {(ref.tenant, ref.collection) for ref in self._reading().documents}
        last = max((self.numbers[home] for home in living), default=-1)
        if any(number > last for number in self.numbers.values()):
            raise IndexError("a home beyond the table")
        return super().nearest(vector, limit, scope)


# --- stores: threads ------------------------------------------------------------------------------


@caught_by("a_snapshot_is_one_state")
class SnapshotThatIsNone(MemoryStore):
    @contextmanager
    def snapshot(self) -> Iterator[None]:
        self._reading()
        yield


@caught_by("a_snapshot_is_one_state")
class InnerSnapshotEndsTheOuter(MemoryStore):
    @contextmanager
    def snapshot(self) -> Iterator[None]:
        self._pinned.state = self._reading()
        try:
            yield
        finally:
            self._pinned.state = None


@caught_by("a_snapshot_ends_with_its_block")
class SnapshotLeftOpenByAnError(MemoryStore):
    @contextmanager
    def snapshot(self) -> Iterator[None]:
        outer = getattr(self._pinned, "state", None)
        self._pinned.state = self._reading()
        yield
        self._pinned.state = outer


@caught_by("a_snapshot_is_one_state")
class SnapshotWithoutTheWords(MemoryStore):
    """One engine answers from the snapshot, the other one does not."""

    def words(self, text, limit, scope):
        held, self._pinned.state = getattr(self._pinned, "state", None), None
        try:
            return super().words(text, limit, scope)
        finally:
            self._pinned.state = held


@caught_by("a_write_is_seen_at_once")
class OldStateReadByOthers(MemoryStore):
    """A cache of each thread that other threads' writes do not reach."""

    def _reading(self):
        super()._reading()
        if getattr(self._pinned, "seen", None) is None or self._pinned.wrote is not self._state:
            self._pinned.seen = getattr(self._pinned, "seen", None) or self._state
            self._pinned.wrote = self._state
        return getattr(self._pinned, "state", None) or self._pinned.seen

    def replace(self, batch, stamps=None):
        self._pinned.seen = None
        report = super().replace(batch, stamps)
        self._pinned.seen = None
        return report


@caught_by("writers_do_not_hurt_each_other")
class WritersOverwriteEachOther(MemoryStore):
    """The state is read before the lock is taken."""

    def replace(self, batch, stamps=None):
        pairs = list(batch)
        apart = MemoryStore(self.space, multi_tenant=self.multi_tenant)
        apart._state = self._latest()
        threading.Event().wait(0.002)
        report = apart.replace(pairs, stamps)
        self._state = apart._state
        return report


@caught_by("a_closed_store_says_so")
class ClosedButAnswering(MemoryStore):
    def close(self):
        return None


@caught_by("a_closed_store_says_so")
class ClosedOnlyOnce(MemoryStore):
    def close(self):
        self._latest()
        super().close()


# --- stores: opened again -------------------------------------------------------------------------


@caught_by("no_key_of_what_was_removed_stays")
class KeysOfTheRemovedKept(Shelf):
    """What it leaves on the disk names every document that has a stamp."""

    def __init__(self, space, path, **options):
        super().__init__(space, path, **options)
        self.files = (Path(gettempdir(), f"semantic-core-shelf-{os.getpid()}-{path}"),)

    def close(self):
        if not self._closed:
            self.files[0].write_text(repr([ref.key for ref in self._state.stamps]), "utf-8")
            weakref.finalize(self, self.files[0].unlink, missing_ok=True)
        super().close()


@caught_by("everything_is_there_after_reopening")
class StampsGoneWithTheProcess(Shelf):
    def close(self):
        self._state = attrs.evolve(self._state, stamps={})
        super().close()


@caught_by("everything_is_there_after_reopening")
class QueueGoneWithTheProcess(Shelf):
    def close(self):
        documents = {
            ref: with_rows(kept, [row for row in kept.rows if row.entry.vector is not None])
            for ref, kept in self._state.documents.items()
        }
        self._state = attrs.evolve(self._state, documents=documents)
        super().close()


@caught_by("another_space_is_refused")
class AnySpaceOfThatSize(Shelf):
    def __init__(self, space, path, **options):
        before = self.shelf.get(path, (space, False, None))[0]
        super().__init__(
            before if space.dimensions == before.dimensions else space, path, **options
        )


@caught_by("tenancy_is_remembered")
class TenancyForgotten(Shelf):
    def __init__(self, space, path, *, multi_tenant=None):
        super().__init__(space, path, multi_tenant=multi_tenant)
        self._multi_tenant = bool(multi_tenant)


STORE_MUTANTS = list(caught_by)


# --- embedders ------------------------------------------------------------------------------------


@caught_by("rows_are_float32_of_length_one")
class NotOfLengthOne(HashEmbedder):
    def embed_documents(self, passages):
        return super().embed_documents(passages) * 2


@caught_by("rows_are_float32_of_length_one")
class InFloat64(HashEmbedder):
    def embed_documents(self, passages):
        return super().embed_documents(passages).astype(np.float64)


@caught_by("rows_are_float32_of_length_one")
class AList(HashEmbedder):
    def embed_documents(self, passages):
        return list(super().embed_documents(passages))


@caught_by("rows_stand_in_the_order_of_passages")
class SortedByLength(HashEmbedder):
    """Batches by length to save padding, and forgets to put the rows back."""

    def embed_documents(self, passages):
        return super().embed_documents(sorted(passages, key=len))


@caught_by("rows_stand_in_the_order_of_passages")
class AllTheSame(HashEmbedder):
    def embed_documents(self, passages):
        return super().embed_documents(["the same"] * len(passages))


@caught_by("company_changes_nothing")
class CentredInItsBatch(HashEmbedder):
    def embed_documents(self, passages):
        rows = super().embed_documents(passages)
        centred = rows - 0.1 * rows.mean(axis=0) if len(rows) else rows
        return (centred / np.linalg.norm(centred, axis=1, keepdims=True)).astype(np.float32)


@caught_by("no_passages_give_no_rows")
class NothingHasNoShape(HashEmbedder):
    def embed_documents(self, passages):
        return super().embed_documents(passages) if passages else np.zeros((0,), dtype=np.float32)


@caught_by("no_text_is_too_odd")
class ZeroForTheEmpty(HashEmbedder):
    def embed_documents(self, passages):
        return super().embed_documents(passages) * np.array(
            [[bool(p.strip())] for p in passages], dtype=np.float32
        )


@caught_by("no_text_is_too_odd")
class BlankTextsLeftOut(HashEmbedder):
    def embed_documents(self, passages):
        return super().embed_documents([passage for passage in passages if passage.strip()])


@caught_by("a_long_passage_is_read_whole")
class ReadsTheBeginningOnly(HashEmbedder):
    def embed_documents(self, passages):
        return super().embed_documents([passage[: self.max_chars // 2] for passage in passages])


@caught_by("a_full_batch_is_taken")
class PromisesMoreThanItTakes(HashEmbedder):
    def embed_documents(self, passages):
        return super().embed_documents(passages[: self.batch_size - 1])


@caught_by("answers_are_kept_apart")
class OneBufferForAll(HashEmbedder):
    def embed_documents(self, passages):
        rows = super().embed_documents(passages)
        if not hasattr(self, "buffer"):
            self.buffer = np.zeros((self.batch_size, rows.shape[1]), dtype=np.float32)
        self.buffer[: len(rows)] = rows
        return self.buffer[: len(rows)]


@caught_by("answers_are_kept_apart")
class CacheHandedOut(HashEmbedder):
    def embed_query(self, text):
        self.cache = getattr(self, "cache", {})
        return self.cache.setdefault(text, super().embed_query(text))


@caught_by("a_query_is_one_vector")
class QueryAsARow(HashEmbedder):
    def embed_query(self, text):
        return super().embed_query(text).reshape(1, -1)


@caught_by("the_same_text_has_the_same_vector")
class SaltedForEachObject(HashEmbedder):
    salts = itertools.count(1)

    def __init__(self) -> None:
        super().__init__()
        self.salt = next(self.salts) % 63 + 1

    def embed_documents(self, passages):
        return np.roll(super().embed_documents(passages), self.salt, axis=1)


@caught_by("its_space_stays_the_same")
class SpaceKnownAfterLoading(HashEmbedder):
    @property
    def space(self):
        return Space("hash", 64, revision="loaded" if self.calls else "")


@caught_by("near_is_near")
class OppositeOfItsPassages(HashEmbedder):
    def embed_query(self, text):
        return -super().embed_query(text)


@caught_by("it_says_what_it_is")
class TakesNothing(HashEmbedder):
    batch_size = 0


@caught_by("it_says_what_it_is")
class SizeOfNoNumber(HashEmbedder):
    batch_size = True


class Covering(HashEmbedder):
    """Covers ASCII: what mutants of coverage are made from."""

    languages = ("en",)

    def coverage(self, texts):
        return [self.share([letter for letter in text if letter.isalpha()]) for text in texts]

    def share(self, letters):
        return sum(map(str.isascii, letters)) / len(letters) if letters else 1.0


@caught_by("coverage_is_a_share_of_each_text")
class CoverageInPercent(Covering):
    def share(self, letters):
        return 100 * super().share(letters)


@caught_by("coverage_is_a_share_of_each_text")
class NothingIsNotCovered(Covering):
    def share(self, letters):
        return super().share(letters) if letters else 0.0


@caught_by("coverage_is_a_share_of_each_text")
class CoverageOfAllTogether(Covering):
    def coverage(self, texts):
        return [min(super().coverage(texts), default=1.0)] * len(texts)


@caught_by("coverage_is_a_share_of_each_text")
class CoverageOfTheFirst(Covering):
    def coverage(self, texts):
        return super().coverage(texts[:1])


@caught_by("coverage_is_a_share_of_each_text")
class LanguagesByName(Covering):
    languages = ("English",)


EMBEDDER_MUTANTS = [mutant for mutant in caught_by if mutant not in STORE_MUTANTS]


# --- splitters ------------------------------------------------------------------------------------

MEDIA_TYPE = "text/plain"


def sound(document: Document, max_chars: int) -> list[Chunk] | None:
    return split_text(document, max_chars) if document.media_type == MEDIA_TYPE else None


def renumbered(chunks: list[Chunk]) -> list[Chunk]:
    return [
        attrs.evolve(chunk, id=ChunkId(chunk.id.ref, number)) for number, chunk in enumerate(chunks)
    ]


@caught_by("other_kinds_are_left_to_others")
def takes_every_kind(document, max_chars):
    return split_text(document, max_chars)


@caught_by("offsets_are_true")
def offsets_in_bytes(document, max_chars):
    def byte(place: int) -> int:
        return len(document.text[:place].encode())

    return [
        attrs.evolve(each, start=byte(each.start), end=byte(each.end))
        for each in sound(document, max_chars) or []
    ]


@caught_by("offsets_are_true")
def line_ends_made_one(document, max_chars):
    return [
        attrs.evolve(each, text=each.text.replace("\r\n", "\n"))
        for each in sound(document, max_chars) or []
    ]


@caught_by("offsets_are_true")
def last_first(document, max_chars):
    return renumbered((sound(document, max_chars) or [])[::-1])


@caught_by("chunks_are_numbered")
def numbered_from_one(document, max_chars):
    chunks = sound(document, max_chars) or []
    return [attrs.evolve(each, id=ChunkId(each.id.ref, each.id.position + 1)) for each in chunks]


@caught_by("chunks_are_numbered")
def of_another_document(document, max_chars):
    chunks = sound(document, max_chars) or []
    return [attrs.evolve(each, id=ChunkId(Ref("a", "1"), each.id.position)) for each in chunks]


@caught_by("chunks_are_numbered")
def blank_chunks_between(document, max_chars):
    chunks = []
    for each in sound(document, max_chars) or []:
        chunks += [each, attrs.evolve(each, text="", start=each.end, end=each.end)]
    return renumbered(chunks)


@caught_by("nothing_is_too_long")
def one_too_long(document, max_chars):
    return split_text(document, max_chars + 1)


@caught_by("a_long_word_is_cut")
def long_words_stay_whole(document, max_chars):
    longest = max(map(len, document.text.split()), default=0)
    return split_text(document, max(max_chars, longest) if longest > 10_000 else max_chars)


@caught_by("nothing_is_lost")
def end_lost(document, max_chars):
    chunks = split_text(document, max_chars)
    return chunks[:-1] if len(chunks) > 3 else chunks


@caught_by("nothing_is_lost")
def crumbs_lost(document, max_chars):
    return renumbered(
        [chunk for chunk in split_text(document, max_chars) if len(chunk.text) > max_chars // 10]
    )


@caught_by("odd_texts_keep_the_rules")
def foreign_scripts_lost(document, max_chars):
    chunks = split_text(document, max_chars)
    return renumbered([chunk for chunk in chunks if not chunk.text.startswith("\u202e")])


@caught_by("any_text_keeps_the_rules")
def short_texts_lose_their_last_character(document, max_chars):
    chunks = split_text(document, max_chars)
    if len(document.text) > 15 or not chunks or len(chunks[-1].text) < 2:
        return chunks
    last = chunks[-1]
    return [*chunks[:-1], attrs.evolve(last, text=last.text[:-1], end=last.end - 1)]


@caught_by("blank_text_is_taken")
def none_for_blank(document, max_chars):
    return split_text(document, max_chars) if document.text.strip() else None


@caught_by("odd_texts_keep_the_rules")
def stumbles_over_nul(document, max_chars):
    if "\0" in document.text:
        raise ValueError("embedded null character")
    return split_text(document, max_chars)


class CutsWhereItLeftOff:
    """Keeps something of the last document."""

    __name__ = "cuts_where_it_left_off"

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, document, max_chars):
        self.calls += 1
        return split_text(document, max_chars - 9 * (self.calls % 2))


caught_by("the_same_text_is_cut_the_same")(CutsWhereItLeftOff())

SPLITTER_MUTANTS = [
    mutant for mutant in caught_by if mutant not in (*STORE_MUTANTS, *EMBEDDER_MUTANTS)
]


# --- the proof ------------------------------------------------------------------------------------


def name_of(mutant: Any) -> str:
    return str(mutant.__name__)


IN_MEMORY = Limit("A shelf is in the memory of one process.", "Use a store with a file.")
OF_PROCESSES = dict.fromkeys(map(str, checks_in(crashed)), IN_MEMORY)


def checks_of_a_shelf() -> list[Check]:
    return store_checks(persistent=True, limits=OF_PROCESSES)


OF_ANY_STORE = {str(check) for check in store_checks()[:-1]}


@pytest.mark.parametrize(
    "check",
    [check for check in checks_of_a_shelf() if str(check) not in OF_ANY_STORE],
    ids=str,
)
def test_the_store_persistent_mutants_are_made_from_is_sound(check):
    check(opener(Shelf))


@pytest.mark.parametrize("check", splitter_checks(media_type=MEDIA_TYPE), ids=str)
def test_the_splitter_mutants_are_made_from_is_sound(check):
    check(sound)


@pytest.mark.parametrize("mutant", STORE_MUTANTS, ids=name_of)
def test_a_broken_store_is_caught(mutant):
    checks = checks_of_a_shelf() if issubclass(mutant, Shelf) else store_checks()
    caught, why = first_failure(checks, lambda: opener(mutant), caught_by[mutant])
    assert caught == caught_by[mutant], why or "no check caught it"


@pytest.mark.parametrize("mutant", EMBEDDER_MUTANTS, ids=name_of)
def test_a_broken_embedder_is_caught(mutant):
    caught, why = first_failure(embedder_checks(), lambda: mutant, caught_by[mutant])
    assert caught == caught_by[mutant], why or "no check caught it"


@pytest.mark.parametrize("mutant", SPLITTER_MUTANTS, ids=name_of)
def test_a_broken_splitter_is_caught(mutant):
    caught, why = first_failure(
        splitter_checks(media_type=MEDIA_TYPE), lambda: mutant, caught_by[mutant]
    )
    assert caught == caught_by[mutant], why or "no check caught it"


CAUGHT_BY_HISTORIES = [
    TailLeftAfterReplace,
    StampIgnored,
    FillsOneChunkOfEach,
    GhostWordsAfterUpdate,
    StampsGoneWithTheProcess,
]


@pytest.mark.slow
@pytest.mark.parametrize("mutant", CAUGHT_BY_HISTORIES, ids=name_of)
def test_random_histories_alone_catch_it(mutant, monkeypatch):
    monkeypatch.setattr(history, "examples", unshrunk)
    histories = (checks_of_a_shelf() if issubclass(mutant, Shelf) else store_checks())[-1:]
    assert (
        first_failure(histories, lambda: opener(mutant), "")[0] == "any_history_ends_as_in_memory"
    )


def test_every_check_of_the_kit_has_a_mutant():
    every = {
        str(check)
        for check in (*store_checks(persistent=True), *embedder_checks(), *splitter_checks())
    }
    # The mutants of the ledger of jobs are in test_queue_bites.py, those of pages of results in
    # test_page_bites.py; those of several processes are in the tests of SqliteStore,
    # test_crash_kit_bites.py.
    ledger = {str(check) for check in checks_in(batches)} | {"jobs_outlive_the_process"}
    pages = {str(check) for check in checks_in(keys, totals)}
    proved = {*caught_by.values(), *ledger, *pages, *OF_PROCESSES, "any_history_ends_as_in_memory"}
    assert every - proved == set()
