"""Stores that are broken on purpose in what a page of results needs (keys, totals, facets, order),
and the check that catches each.
"""

from __future__ import annotations

from collections import Counter
from operator import attrgetter
from unittest import SkipTest

import attrs
import pytest
from mutants import CaughtBy, opener

from semantic_core._memory.store import MemoryStore, _values
from semantic_core.testing import store_checks
from semantic_core.testing.check import checks_in
from semantic_core.testing.stores import keys, totals
from semantic_core.types import Page, Ranking, Scope

caught_by = CaughtBy()

CHECKS = {str(check): check for check in checks_in(keys, totals)}


# --- keys -----------------------------------------------------------------------------------------


@caught_by("keys_hold_before_the_limit")
class KeysAfterTheLimit(MemoryStore):
    def nearest(self, vector, limit, scope):
        found = super().nearest(vector, limit, attrs.evolve(scope, keys=None))
        pairs = [
            pair for pair in zip(found.ids, found.scores, strict=True) if scope.names(pair[0].ref)
        ]
        return Ranking("vector", tuple(id for id, _ in pairs), tuple(score for _, score in pairs))


@caught_by("keys_hold_before_the_limit")
class WordsIgnoreKeys(MemoryStore):
    def words(self, text, limit, scope):
        return super().words(text, limit, attrs.evolve(scope, keys=None))


@caught_by("keys_hold_before_the_limit")
class TotalsIgnoreKeys(MemoryStore):
    def documents(self, scope, offset=0, limit=100):
        everything = super().documents(attrs.evolve(scope, keys=None), 0, 0)
        return Page(super().documents(scope, offset, limit).items, everything.total)


@caught_by("keys_are_of_their_collection")
class KeysOfAnyCollection(MemoryStore):
    def _within(self, scope):
        if scope.keys is None:
            return super()._within(scope)
        every = frozenset().union(*scope.keys.values())
        found = super()._within(attrs.evolve(scope, keys=None))
        return [stored for stored in found if stored.document.ref.key in every]


@caught_by("keys_are_of_their_collection")
class NoKeysAreAllKeys(MemoryStore):
    def _within(self, scope):
        return super()._within(attrs.evolve(scope, keys=scope.keys or None))


@caught_by("keys_are_of_their_collection")
class KeysOfATitleAreForgotten(MemoryStore):
    def titled(self, text, limit, scope):
        return super().titled(text, limit, attrs.evolve(scope, keys=None))


@caught_by("keys_and_filter_both_hold")
class KeysInsteadOfTheFilter(MemoryStore):
    def _within(self, scope):
        if scope.keys is None:
            return super()._within(scope)
        return super()._within(Scope(scope.tenant, scope.collections, keys=scope.keys))


@caught_by("any_number_of_keys_can_be_asked_for")
class AThousandKeys(MemoryStore):
    def _within(self, scope):
        if scope.keys is None:
            return super()._within(scope)
        fewer = {name: frozenset(sorted(held)[:1_000]) for name, held in scope.keys.items()}
        return super()._within(attrs.evolve(scope, keys=fewer))


@caught_by("keys_of_a_tenant_are_its_own")
class KeysOfAnyTenant(MemoryStore):
    def documents(self, scope, offset=0, limit=100):
        if scope.keys is None:
            return super().documents(scope, offset, limit)
        found = []
        for ref in self._reading().documents:
            found += super().documents(attrs.evolve(scope, tenant=ref.tenant))
        return Page(tuple(dict.fromkeys(found)), len(found))


@caught_by("keys_follow_every_write")
class RemembersTheKeysItSaw(MemoryStore):
    def _within(self, scope):
        if scope.keys is None:
            return super()._within(scope)
        seen = self.__dict__.setdefault("seen", {})
        place = str(scope)
        if place not in seen:
            seen[place] = {stored.document.ref for stored in super()._within(scope)}
        within = super()._within(scope)
        return [stored for stored in within if stored.document.ref in seen[place]]


@caught_by("random_keys_agree_with_brute_force")
class FiveKeysAreEnough(MemoryStore):
    def nearest(self, vector, limit, scope):
        documents = self.documents(scope)
        if scope.keys is not None and 5 < len(documents) < 300:
            fewer = {"notes": frozenset(each.ref.key for each in documents[:5])}
            scope = attrs.evolve(scope, keys=fewer)
        return super().nearest(vector, limit, scope)


# --- totals, facets, order ------------------------------------------------------------------------


@caught_by("a_count_is_what_words_finds")
class CountsPassages(MemoryStore):
    def count(self, text, scope):
        return len(self.words(text, 1_000_000, scope))


@caught_by("a_count_is_what_words_finds")
class CountsOutsideOfTheScope(MemoryStore):
    def count(self, text, scope):
        return super().count(text, Scope(scope.tenant))


@caught_by("a_count_is_what_words_finds")
class CountsDocumentsWithAllWords(MemoryStore):
    def count(self, text, scope):
        refs = [
            {id.ref for id in self.words(word, 100_000, scope).ids} for word in text.split() or [""]
        ]
        return len(set.intersection(*refs))


@caught_by("a_count_has_no_limit")
class CountsUpToAThousand(MemoryStore):
    def count(self, text, scope):
        return min(1_000, super().count(text, scope))


@caught_by("any_text_can_be_counted")
class CountsBySyntax(MemoryStore):
    def count(self, text, scope):
        return 0 if '"' in text else super().count(text, scope)


@caught_by("facets_count_every_document")
class FacetsCountTwice(MemoryStore):
    def facets(self, text, scope, fields):
        found = {}
        for field, limit in fields.items():
            counts = Counter()
            for document in self._holding(text, scope):
                counts.update(_values(document, field))
            found[field] = counts.most_common(limit)
        return found


@caught_by("facets_count_every_document")
class FacetsTakeTrueForOne(MemoryStore):
    def facets(self, text, scope, fields):
        found = {}
        for field, pairs in super().facets(text, scope, fields).items():
            merged = Counter()
            for value, number in pairs:
                merged[str(value)] += number
            found[field] = list(merged.items())
        return found


@caught_by("facets_count_every_document")
class FacetsOfTheWholeStore(MemoryStore):
    def facets(self, text, scope, fields):
        return super().facets(None, scope, fields)


@caught_by("an_order_by_field_is_exact")
class MissingComesFirst(MemoryStore):
    def ordered(self, text, scope, field, *, descending, limit, offset=0):
        listed = list(
            super().ordered(text, scope, field, descending=not descending, limit=1_000_000)
        )
        return listed[::-1][offset : offset + limit]


@caught_by("an_order_by_field_is_exact")
class SortsThePage(MemoryStore):
    def ordered(self, text, scope, field, *, descending, limit, offset=0):
        page = sorted(self._holding(text, scope), key=attrgetter("ref"))[offset : offset + limit]
        held = {stored.ref: stored.metadata[field] for stored in page if field in stored.metadata}
        return sorted(held, key=lambda ref: str(held[ref]), reverse=descending)


@caught_by("totals_follow_every_write")
class FacetsOfTheFirstVersion(MemoryStore):
    def facets(self, text, scope, fields):
        first = self.__dict__.setdefault("first", {})
        for document in self._holding(text, scope):
            first.setdefault(document.ref, _values(document, "n"))
        counts = Counter()
        for ref in first:
            counts.update(first[ref])
        return {field: sorted(counts.items()) for field in fields}

    def replace(self, batch, stamps=None):
        report = super().replace(batch, stamps)
        if not self._multi_tenant:
            self.facets("zorbak", Scope(), {"n": 1})
        return report


@caught_by("totals_keep_tenants_apart")
class CountsAllTenants(MemoryStore):
    def count(self, text, scope):
        tenants = {ref.tenant for ref in self._reading().documents} | {scope.tenant}
        super().count(text, scope)
        return sum(
            super(CountsAllTenants, self).count(text, attrs.evolve(scope, tenant=tenant))
            for tenant in tenants
        )


@caught_by("totals_of_random_documents")
class FacetsForgetTheLastOfThree(MemoryStore):
    def facets(self, text, scope, fields):
        found = dict(super().facets(text, scope, fields))
        if {held[0] for held in found.get("k", ())} >= {"a", 2}:
            found["k"] = found["k"][:-1]
        return found


def test_the_store_that_mutants_are_made_from_is_sound():
    for check in CHECKS.values():
        check(opener(MemoryStore))


@pytest.mark.parametrize("mutant", caught_by, ids=lambda mutant: mutant.__name__)
def test_a_broken_store_is_caught(mutant):
    check = CHECKS[caught_by[mutant]]
    # What is broken may break in any way, but not by the check being left out.
    with pytest.raises(Exception) as caught:
        check(opener(mutant))
    assert not isinstance(caught.value, SkipTest)


def test_every_check_of_a_page_has_a_mutant():
    assert set(caught_by.values()) == set(CHECKS)
    assert set(CHECKS) <= {str(check) for check in store_checks()}
