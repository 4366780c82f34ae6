"""The contract of a retriever, as a list of checks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from semantic_core._memory.store import MemoryStore
from semantic_core._plugins.host import Plugins
from semantic_core.core import SemanticCore
from semantic_core.testing.check import Check, expect, same
from semantic_core.testing.fakes import HashEmbedder
from semantic_core.testing.strategies import ODD_TEXTS
from semantic_core.types import MODES, Document, Mode, Ranking, Ref, Scope, SearchRequest

Make = Callable[[Sequence[Document]], Any]

TENANTS = ("acme", "other")
COLLECTIONS = ("notes", "mails")
POOLS = (1, 3, 100)
"""Most candidates asked for, each rule is checked with."""
_OURS = {"vector", "words", "title"}


def retriever_checks(*, query: str, texts: Sequence[str]) -> list[Check]:
    """The rules every plugin with ``semantic_retrieve`` keeps.

    Give each to pytest, with what makes the plugin::

        CHECKS = retriever_checks(query="k8s", texts=["kubernetes in a day", "beans"])

        @pytest.mark.parametrize("check", CHECKS, ids=str)
        def test_retriever(check):
            check(lambda documents: MyRetriever())

    query: it finds something for it. texts: of the documents it finds it in; each text is there in
    two collections of two tenants. The plugin is made with those documents, for one that keeps
    something of its own about them.
    """
    contract = _RetrieverChecks(query, texts)
    return [
        Check(rule)
        for rule in (
            contract.it_finds_something,
            contract.its_rankings_are_in_order,
            contract.nothing_of_another_tenant_is_found,
            contract.nothing_of_another_collection_is_found,
            contract.where_holds,
            contract.the_same_question_has_the_same_answer,
            contract.any_text_is_a_query,
        )
    ]


class _RetrieverChecks:
    def __init__(self, query: str, texts: Sequence[str]) -> None:
        self._query = query
        self._documents = [
            Document(
                Ref(collection, f"{number}-{lang}", tenant),
                text,
                metadata={"lang": lang, "number": number},
            )
            for tenant in TENANTS
            for collection in COLLECTIONS
            for number, text in enumerate(texts)
            for lang in ("en", "de")
        ]

    def it_finds_something(self, make: Make) -> None:
        """In one mode at least it finds something for the query of the kit;
        otherwise the other rules would say nothing.
        """
        asked = self._asked(make)
        found = [asked(self._query, Scope(TENANTS[0]), mode, POOLS[-1]) for mode in MODES]
        expect(any(map(len, found)), f"Nothing is found for {self._query!r}, in no mode.")

    def its_rankings_are_in_order(self, make: Make) -> None:
        """A Ranking with a source of its own, at most `pool` ids, each once, the best first, with
        finite scores; or None.
        """
        asked = self._asked(make)
        for mode in MODES:
            for pool in POOLS:
                asked(self._query, Scope(TENANTS[0]), mode, pool)

    def nothing_of_another_tenant_is_found(self, make: Make) -> None:
        """All ids are of the tenant of the scope."""
        asked = self._asked(make)
        for tenant in (*TENANTS, "nobody"):
            for mode in MODES:
                asked(self._query, Scope(tenant), mode, POOLS[-1])

    def nothing_of_another_collection_is_found(self, make: Make) -> None:
        """All ids are of the collections of the scope; none where there are none."""
        asked = self._asked(make)
        for collections in ((), *((name,) for name in COLLECTIONS), COLLECTIONS):
            for mode in MODES:
                asked(self._query, Scope(TENANTS[0], collections), mode, POOLS[-1])

    def where_holds(self, make: Make) -> None:
        """All ids are of documents the filter of the scope lets through."""
        from semantic_core.filters import Filter

        asked = self._asked(make)
        for where in ({"lang": "en"}, {"lang": {"ne": "en"}}, {"number": {"lt": 0}}):
            for mode in MODES:
                asked(self._query, Scope(TENANTS[0], None, Filter.parse(where)), mode, POOLS[-1])

    def the_same_question_has_the_same_answer(self, make: Make) -> None:
        """Asked twice, the same ids in the same order: pages are slices of one order."""
        asked = self._asked(make)
        for mode in MODES:
            answers = [asked(self._query, Scope(TENANTS[0]), mode, POOLS[-1]) for _ in range(2)]
            same(answers[1], answers[0], f"asked again in mode {mode}")

    def any_text_is_a_query(self, make: Make) -> None:
        """No text that can be asked for is an error."""
        asked = self._asked(make)
        for text in filter(str.strip, ODD_TEXTS):
            for mode in MODES:
                asked(text, Scope(TENANTS[0]), mode, POOLS[-1])

    def _asked(self, make: Make) -> Callable[[str, Scope, Mode, int], Ranking]:
        """Asks the plugin as a search does; fails if its answer is not what the hook promises."""
        embedder = HashEmbedder()
        store = MemoryStore(embedder.space, multi_tenant=True)
        core = SemanticCore(store=store, embedder=embedder, plugins=[])
        for tenant in TENANTS:
            core.tenant(tenant).ingest(
                [document for document in self._documents if document.ref.tenant == tenant]
            )
        plugins = Plugins.load([make(self._documents)])

        def asked(text: str, scope: Scope, mode: Mode, pool: int) -> Ranking:
            vector = None if mode == "text" else embedder.embed_query(text)
            request = SearchRequest(text, scope, mode, pool, 0, pool, vector)
            with store.snapshot():
                found = plugins.retrieve(request, store)
            expect(
                not found.reasons,
                f"{text[:60]!r} in mode {mode} within {scope}: {'; '.join(found.reasons)}",
            )
            return next(
                (one for one in found.rankings if one.source not in _OURS), Ranking("nothing")
            )

        return asked
