"""The contract of a retriever, as a list of checks.

Tested by tests/contracts/test_search_kit_bites.py and tests/plugins/test_retrievers.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from semantic_core._memory.store import MemoryStore
from semantic_core._plugins.host import Plugins
from semantic_core.core import SemanticCore
from semantic_core.filters import Filter
from semantic_core.testing.check import Check, checks_of, expect, same
from semantic_core.testing.fakes import HashEmbedder
from semantic_core.testing.strategies import ODD_TEXTS
from semantic_core.types import MODES, Document, Mode, Ranking, Ref, Scope, SearchRequest

Make = Callable[[Sequence[Document]], Any]

TENANTS = ("acme", "other")
COLLECTIONS = ("notes", "mails")
POOLS = (1, 3, 100)
"""Numbers of candidates with which each rule is checked."""
_OURS = {"vector", "words", "title"}
"""Sources of the built-in retrievers."""

Ask = Callable[[str, Scope, Mode, int], Ranking]
"""A search for a query within a scope, in a mode, for so many candidates."""


def retriever_checks(*, query: str, texts: Sequence[str]) -> list[Check]:
    """The rules that every plugin with ``semantic_retrieve`` follows.

    Parametrize a test with them and call each with a function that makes the plugin::

        CHECKS = retriever_checks(query="k8s", texts=["kubernetes in a day", "beans"])

        @pytest.mark.parametrize("check", CHECKS, ids=str)
        def test_retriever(check):
            check(lambda documents: MyRetriever())

    query: a query for which the retriever finds something in these texts. texts: of the documents;
    each text is in two collections of two tenants. The function gets these documents, for a plugin
    that has an index of its own.
    """
    contract = _RetrieverChecks(query, texts)
    rules = [
        contract.it_finds_something,
        contract.its_rankings_are_in_order,
        contract.nothing_of_another_tenant_is_found,
        contract.nothing_of_another_collection_is_found,
        contract.where_holds,
        contract.the_same_question_has_the_same_answer,
        contract.any_text_is_a_query,
    ]
    return checks_of(rules)


class _RetrieverChecks:
    def __init__(self, query: str, texts: Sequence[str]) -> None:
        self._query = query
        self._documents: list[Document] = []
        for tenant in TENANTS:
            for collection in COLLECTIONS:
                self._documents += self._variants(collection, tenant, texts)

    def _variants(self, collection: str, tenant: str, texts: Sequence[str]) -> list[Document]:
        """A document for each text in two languages."""
        documents: list[Document] = []
        for number, text in enumerate(texts):
            for lang in ("en", "de"):
                ref = Ref(collection, f"{number}-{lang}", tenant)
                metadata = {"lang": lang, "number": number}
                documents.append(Document(ref, text, metadata=metadata))
        return documents

    def it_finds_something(self, make: Make) -> None:
        """It finds something for the query of the kit in at least one mode. Otherwise the other
        rules would check nothing.
        """
        asked = self._asked(make)
        found = 0
        for mode in MODES:
            found += len(asked(self._query, Scope(TENANTS[0]), mode, POOLS[-1]))
        expect(found, f"Expected a hit for {self._query!r} in a mode, found none in any mode.")

    def its_rankings_are_in_order(self, make: Make) -> None:
        """It returns None or a Ranking with a source of its own and at most `pool` ids, each once,
        the best first, with finite scores.
        """
        asked = self._asked(make)
        for mode in MODES:
            for pool in POOLS:
                asked(self._query, Scope(TENANTS[0]), mode, pool)

    def nothing_of_another_tenant_is_found(self, make: Make) -> None:
        """All ids belong to the tenant of the scope."""
        asked = self._asked(make)
        for tenant in (*TENANTS, "nobody"):
            for mode in MODES:
                asked(self._query, Scope(tenant), mode, POOLS[-1])

    def nothing_of_another_collection_is_found(self, make: Make) -> None:
        """All ids belong to the collections of the scope. A scope without collections has none."""
        asked = self._asked(make)
        first, second = COLLECTIONS
        for collections in ((), (first,), (second,), COLLECTIONS):
            for mode in MODES:
                asked(self._query, Scope(TENANTS[0], collections), mode, POOLS[-1])

    def where_holds(self, make: Make) -> None:
        """All ids belong to documents that match the filter of the scope."""
        asked = self._asked(make)
        for where in ({"lang": "en"}, {"lang": {"ne": "en"}}, {"number": {"lt": 0}}):
            scope = Scope(TENANTS[0], None, Filter.parse(where))
            for mode in MODES:
                asked(self._query, scope, mode, POOLS[-1])

    def the_same_question_has_the_same_answer(self, make: Make) -> None:
        """The same query gives the same ids in the same order again: pages of results are slices of
        one order.
        """
        asked = self._asked(make)
        scope = Scope(TENANTS[0])
        for mode in MODES:
            first = asked(self._query, scope, mode, POOLS[-1])
            again = asked(self._query, scope, mode, POOLS[-1])
            same(again, first, f"ranking of the same query again in mode {mode}")

    def any_text_is_a_query(self, make: Make) -> None:
        """No text that a user may search for raises an error."""
        asked = self._asked(make)
        for text in filter(str.strip, ODD_TEXTS):
            for mode in MODES:
                asked(text, Scope(TENANTS[0]), mode, POOLS[-1])

    def _asked(self, make: Make) -> Ask:
        """A function that calls the plugin as a search does. It fails if the answer is not what the
        hook promises.
        """
        embedder = HashEmbedder()
        store = MemoryStore(embedder.space, multi_tenant=True)
        core = SemanticCore(store=store, embedder=embedder, plugins=[])
        for document in self._documents:
            core.tenant(document.ref.tenant).ingest(document)
        plugins = Plugins.load([make(self._documents)])

        def asked(text: str, scope: Scope, mode: Mode, pool: int) -> Ranking:
            vector = None if mode == "text" else embedder.embed_query(text)
            request = SearchRequest(text, scope, mode, pool, 0, pool, vector)
            with store.snapshot():
                found = plugins.retrieve(request, store, embedder)
            reasons = "; ".join(found.reasons)
            expect(
                not reasons,
                f"semantic_retrieve for {text[:60]!r} in mode {mode} within {scope}: {reasons}",
            )
            for ranking in found.rankings:
                if ranking.source not in _OURS:
                    return ranking
            return Ranking("nothing")

        return asked
