"""The contract of middleware, as a list of checks.

Tested by tests/contracts/test_search_kit_bites.py and tests/plugins/test_middleware.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from semantic_core.core import SemanticCore
from semantic_core.errors import HookFailed, SemanticCoreError
from semantic_core.permissions import Permissions
from semantic_core.testing.check import Check, checks_of, expect, fail, same
from semantic_core.testing.fakes import HashEmbedder
from semantic_core.testing.strategies import ODD_TEXTS
from semantic_core.types import MODES, Document, Ref, SearchResults

Make = Callable[[], Any]

TENANTS = ("acme", "other")
USERS = ("ann", "bob")
COLLECTIONS = ("notes", "mails")
PAGE = 3
"""Hits of a page in the check of pages."""


def middleware_checks(*, query: str = "beans climb poles", copies: int = 4) -> list[Check]:
    """The rules that every plugin with ``semantic_search_middleware`` follows.

    Parametrize a test with them and call each with a function that makes the plugin::

        @pytest.mark.parametrize("check", middleware_checks(query="k8s"), ids=str)
        def test_middleware(check):
            check(MyMiddleware)

    query: a text that the documents of the checks contain, together with a number. copies: how many
    documents with it each tenant has for each user in each collection.
    """
    contract = _MiddlewareChecks(query, copies)
    rules = [
        contract.it_answers_every_search,
        contract.tenants_have_answers_of_their_own,
        contract.users_have_answers_of_their_own,
        contract.where_and_collections_hold,
        contract.pages_fit_together,
        contract.the_same_search_has_the_same_answer,
        contract.a_search_that_fails_is_not_hidden,
        contract.it_follows_the_index,
    ]
    return checks_of(rules)


class _MiddlewareChecks:
    def __init__(self, query: str, copies: int) -> None:
        self._query = query
        self._copies = copies

    def it_answers_every_search(self, make: Make) -> None:
        """Any query has an answer in every mode, with at most as many hits as were asked for."""
        core = self._opened(make)
        for text in [self._query, *filter(str.strip, ODD_TEXTS)]:
            for mode in MODES:
                for limit in (1, 5, 100):
                    answer = _asked(core.tenant(TENANTS[0]), text, mode=mode, limit=limit)
                    expect(len(answer) <= limit, f"{len(answer)} hits for limit={limit}.")
        found = _asked(core.tenant(TENANTS[0]), self._query)
        expect(len(found), f"Nothing found for {self._query!r}, which is in every document.")

    def tenants_have_answers_of_their_own(self, make: Make) -> None:
        """The same query of two tenants has hits of each tenant's own documents."""
        core = self._opened(make)
        for _ in range(2):
            for tenant in TENANTS:
                answer = _asked(core.tenant(tenant), self._query)
                expect(len(answer), f"Tenant {tenant!r} finds nothing for {self._query!r}.")
                same({hit.ref.tenant for hit in answer}, {tenant}, "tenants of the hits")

    def users_have_answers_of_their_own(self, make: Make) -> None:
        """The same query of two users, whose context differs, has hits that each may read."""
        core = self._opened(make, Permissions())
        for _ in range(2):
            for user in USERS:
                client = core.tenant(TENANTS[0])
                answer = _asked(client, self._query, context={"user": user})
                expect(len(answer), f"{user} finds nothing for {self._query!r}.")
                readers = {name for hit in answer for name in _texts(hit.metadata["readers"])}
                same(readers, {user}, "readers of the hits")

    def where_and_collections_hold(self, make: Make) -> None:
        """The same query with another ``where`` or other collections has hits of that part."""
        core = self._opened(make).tenant(TENANTS[0])
        for _ in range(2):
            for user in USERS:
                for collection in COLLECTIONS:
                    where = {"readers": user}
                    answer = _asked(core, self._query, where=where, collections=[collection])
                    what = f"where={where}, collections={[collection]}"
                    expect(len(answer), f"Nothing found with {what}.")
                    same({hit.ref.collection for hit in answer}, {collection}, f"hits of {what}")

    def pages_fit_together(self, make: Make) -> None:
        """The second page continues the first one: no hit is on both, and none is missing."""
        core = self._opened(make).tenant(TENANTS[0])
        whole = _asked(core, self._query, limit=2 * PAGE)
        pages = [*_asked(core, self._query, limit=PAGE)]
        pages += _asked(core, self._query, limit=PAGE, offset=PAGE)
        same([hit.id for hit in pages], [hit.id for hit in whole], "two pages, and both at once")

    def the_same_search_has_the_same_answer(self, make: Make) -> None:
        """A search that is repeated has the same hits in the same order."""
        core = self._opened(make).tenant(TENANTS[0])
        first = [hit.id for hit in _asked(core, self._query)]
        for _ in range(3):
            same([hit.id for hit in _asked(core, self._query)], first, "hits of the same search")

    def a_search_that_fails_is_not_hidden(self, make: Make) -> None:
        """If the search itself fails, the caller gets the error, or an answer that is
        ``degraded``.
        """
        core = self._opened(make)
        core.store.close()
        try:
            # Words near those of the query are looked for before any middleware is asked.
            answer = core.tenant(TENANTS[0]).search(self._query, typos="ignore")
        except HookFailed:
            raise
        except SemanticCoreError:
            return
        expect(answer.degraded, "The store is closed, and the answer does not say that it failed.")

    def it_follows_the_index(self, make: Make) -> None:
        """The next search after a change finds what was added, and another document in the place
        of what was removed.
        """
        core = self._opened(make).tenant(TENANTS[0])
        first = _asked(core, self._query, limit=PAGE)[0]
        core.remove(first.ref)
        answer = _asked(core, self._query, limit=PAGE)
        same(len(answer), PAGE, "hits after one of the documents was removed")
        expect(first.ref not in {hit.ref for hit in answer}, f"{first.ref} was removed.")
        new = Document(Ref("notes", "new"), self._query, title=self._query)
        core.ingest(new)
        refs = {hit.ref.key for hit in _asked(core, self._query, limit=PAGE)}
        expect("new" in refs, f"The document that is just {self._query!r} is new, and not found.")

    def _opened(self, make: Make, *more: Any) -> SemanticCore:
        """A core with this plugin, and documents of two tenants for two users."""
        try:
            core = SemanticCore(
                store="memory",
                embedder=HashEmbedder(),
                plugins=[make(), *more],
                multi_tenant=True,
            )
        except SemanticCoreError as error:
            fail(f"The plugin cannot take part: {error}")
        for tenant in TENANTS:
            core.tenant(tenant).ingest(self._documents(tenant))
        return core

    def _documents(self, tenant: str) -> list[Document]:
        made = []
        for collection in COLLECTIONS:
            for user in USERS:
                for number in range(self._copies):
                    ref = Ref(collection, f"{user}-{number}", tenant)
                    text = f"{self._query} {number}, {collection} of {user} at {tenant}"
                    made.append(Document(ref, text, metadata={"readers": [user]}))
        return made


def _asked(core: SemanticCore, text: str, **options: Any) -> SearchResults:
    """The answer to a search; fails if the middleware failed or broke its contract."""
    try:
        answer = core.search(text, **options)
    except HookFailed as error:
        raise AssertionError(f"search({text[:60]!r}): {error.message}") from error
    expect(not answer.degraded, f"search({text[:60]!r}) is degraded: {answer.reason}")
    return answer


def _texts(value: Any) -> Sequence[str]:
    return value if isinstance(value, tuple) else (str(value),)
