"""The contracts of retrievers, rerankers and middleware: sound plugins pass,
and for each check there is a broken one that only it, or it first, catches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import attrs
import pytest

from semantic_core import Document, Ranking, SearchHit, SearchRequest, hookimpl
from semantic_core.protocols import TextSearch
from semantic_core.testing import Check, middleware_checks, reranker_checks, retriever_checks
from semantic_core.types import ChunkId, Scope, SearchResults

RETRIEVER_CHECKS = retriever_checks(query="k8s", texts=["Kubernetes in a day.", "Beans climb."])
RERANKER_CHECKS = reranker_checks()
MIDDLEWARE_CHECKS = middleware_checks()


def failed(checks: Sequence[Check], made_by: Callable[..., Any]) -> dict[str, str]:
    """The checks that fail, and why."""
    told = {}
    for check in checks:
        try:
            check(made_by)
        except Exception as error:  # noqa: BLE001 - what is broken may break in any way
            told[str(check)] = f"{type(error).__name__}: {error}"
    return told


# --- retrievers -----------------------------------------------------------------------------------


class Abbreviations:
    """Sound: asks the words again, with the abbreviation written out."""

    def __init__(self, documents: Sequence[Document] = ()) -> None:
        self.documents = documents

    @hookimpl
    def semantic_retrieve(self, request: SearchRequest, store: TextSearch) -> Ranking | None:
        if "k8s" not in request.text:
            return None
        return self.found(request, store)

    def found(self, request: SearchRequest, store: TextSearch) -> Ranking:
        ranking = store.words("kubernetes", request.pool, self.scope(request.scope))
        return attrs.evolve(ranking, source="abbreviations")

    def scope(self, scope: Scope) -> Scope:
        return scope


class FindsNothing(Abbreviations):
    def found(self, request, store):
        return Ranking("abbreviations")


class MoreThanAsked(Abbreviations):
    def found(self, request, store):
        return super().found(attrs.evolve(request, pool=100), store)


class WorstFirst(Abbreviations):
    def found(self, request, store):
        found = super().found(request, store)
        return Ranking(found.source, found.ids, tuple(float(n) for n in range(len(found))))


class EverybodysTenants(Abbreviations):
    """Keeps documents of its own, and forgets whose they are."""

    def found(self, request, store):
        scope = request.scope
        ids = [
            ChunkId(document.ref, 0)
            for document in self.documents
            if "Kubernetes" in document.text
            and scope.filter.matches(document.metadata)
            and (scope.collections is None or document.ref.collection in scope.collections)
        ][: request.pool]
        return Ranking("own", tuple(ids), (1.0,) * len(ids))


class AllCollections(Abbreviations):
    def scope(self, scope):
        return attrs.evolve(scope, collections=None)


class WithoutWhere(Abbreviations):
    def scope(self, scope):
        return Scope(scope.tenant, scope.collections)


class Turns(Abbreviations):
    """Another order each time."""

    numbers = count()

    def found(self, request, store):
        found = super().found(request, store)
        turned = next(self.numbers) % 2
        return Ranking(found.source, found.ids[:: -1 if turned else 1], (1.0,) * len(found))


class ReadsNumbers(Abbreviations):
    @hookimpl
    def semantic_retrieve(self, request, store):
        if request.text != "k8s":
            raise ValueError(f"{request.text!r} is no abbreviation")
        return self.found(request, store)


RETRIEVERS = {
    FindsNothing: "it_finds_something",
    MoreThanAsked: "its_rankings_are_in_order",
    WorstFirst: "its_rankings_are_in_order",
    EverybodysTenants: "nothing_of_another_tenant_is_found",
    AllCollections: "nothing_of_another_collection_is_found",
    WithoutWhere: "where_holds",
    Turns: "the_same_question_has_the_same_answer",
    ReadsNumbers: "any_text_is_a_query",
}


def test_a_sound_retriever_passes() -> None:
    assert failed(RETRIEVER_CHECKS, Abbreviations) == {}


@pytest.mark.parametrize("mutant", RETRIEVERS, ids=lambda mutant: mutant.__name__)
def test_a_broken_retriever_is_caught(mutant: type) -> None:
    assert RETRIEVERS[mutant] in failed(RETRIEVER_CHECKS, mutant)


def test_every_check_of_retrievers_has_a_mutant() -> None:
    assert {*RETRIEVERS.values()} == {str(check) for check in RETRIEVER_CHECKS}


# --- rerankers ------------------------------------------------------------------------------------


class NewerFirst:
    @hookimpl(orders_only=True)
    def semantic_rerank(self, hits: Sequence[SearchHit]) -> list[SearchHit]:
        return sorted(hits, key=lambda hit: str(hit.metadata.get("year", "")), reverse=True)


class English:
    @hookimpl(wrapper=True)
    def semantic_rerank(self) -> Any:
        hits = yield
        return [hit for hit in hits if hit.metadata.get("lang") == "en"]


class ForgetsToReturn:
    @hookimpl
    def semantic_rerank(self, hits):
        sorted(hits, key=lambda hit: hit.score)


class OrdersOnlyAndTakesAway:
    @hookimpl(orders_only=True)
    def semantic_rerank(self, hits):
        return hits[:10]


class WantsAYear:
    @hookimpl
    def semantic_rerank(self, hits):
        return sorted(hits, key=lambda hit: hit.metadata["year"])


class Turning:
    def __init__(self) -> None:
        self.numbers = count()

    @hookimpl
    def semantic_rerank(self, hits):
        return hits[:: -1 if next(self.numbers) % 2 else 1]


class ReturnsWhatItWasGivenFirst:
    @hookimpl(wrapper=True)
    def semantic_rerank(self, hits):
        yield
        return hits


RERANKERS = {
    ForgetsToReturn: "it_returns_hits_it_was_given",
    OrdersOnlyAndTakesAway: "it_returns_hits_it_was_given",
    WantsAYear: "any_hit_is_taken",
    Turning: "the_same_hits_have_the_same_order",
    ReturnsWhatItWasGivenFirst: "what_another_removed_stays_removed",
}


@pytest.mark.parametrize("sound", [NewerFirst, English])
def test_a_sound_reranker_passes(sound: type) -> None:
    assert failed(RERANKER_CHECKS, sound) == {}


@pytest.mark.parametrize("mutant", RERANKERS, ids=lambda mutant: mutant.__name__)
def test_a_broken_reranker_is_caught(mutant: type) -> None:
    assert next(iter(failed(RERANKER_CHECKS, mutant))) == RERANKERS[mutant]


def test_every_check_of_rerankers_has_a_mutant() -> None:
    assert {*RERANKERS.values()} == {str(check) for check in RERANKER_CHECKS}


# --- middleware -----------------------------------------------------------------------------------

Inner = Callable[[SearchRequest], SearchResults]


class PassesOn:
    """Sound: searches once, as it was asked."""

    @hookimpl
    def semantic_search_middleware(self) -> Any:
        return self.answer

    def answer(self, request: SearchRequest, search: Inner) -> SearchResults:
        return search(request)


class WritesOut(PassesOn):
    """Sound: adds what an abbreviation stands for."""

    def answer(self, request: SearchRequest, search: Inner) -> SearchResults:
        return search(attrs.evolve(request, text=f"{request.text} kubernetes"))


class Twice(PassesOn):
    """Sound: merges two searches, from the top, so that pages fit together."""

    def answer(self, request: SearchRequest, search: Inner) -> SearchResults:
        reach = request.offset + request.limit
        whole = attrs.evolve(request, offset=0, limit=reach)
        first = search(whole)
        second = search(attrs.evolve(whole, mode="text"))
        found = {hit.ref for hit in first}
        merged = [*first, *(hit for hit in second if hit.ref not in found)]
        return attrs.evolve(first, hits=tuple(merged[request.offset : reach]))


class Remembers(PassesOn):
    """Keeps answers, by a part of what was asked."""

    def __init__(self) -> None:
        self.kept: dict[Any, SearchResults] = {}

    def key(self, request: SearchRequest) -> Any:
        scope = request.scope
        user = request.context.get("user")
        page = (request.limit, request.offset, request.mode)
        return request.text, page, scope.tenant, user, scope.collections, scope.filter

    def answer(self, request: SearchRequest, search: Inner) -> SearchResults:
        key = self.key(request)
        if key not in self.kept:
            self.kept[key] = search(request)
        return self.kept[key]


class RemembersByText(Remembers):
    def key(self, request):
        return super().key(request)[:2]


class RemembersByTenant(Remembers):
    def key(self, request):
        return super().key(request)[:3]


class RemembersByUser(Remembers):
    def key(self, request):
        return super().key(request)[:4]


class RemembersAllPagesAsOne(Remembers):
    def key(self, request):
        return request.mode, request.limit > 5, *super().key(request)[2:], request.text


class RemembersForEver(Remembers):
    pass


class AnswersWithMore(PassesOn):
    def answer(self, request, search):
        return search(attrs.evolve(request, limit=request.limit + 1))


class AnswersVectorsWithNothing(PassesOn):
    def answer(self, request, search):
        return None if request.mode == "vector" else search(request)


class WantsAUser(PassesOn):
    def answer(self, request, search):
        request.context["user"]
        return search(request)


class TurnsItsAnswer(PassesOn):
    def __init__(self) -> None:
        self.numbers = count()

    def answer(self, request, search):
        found = search(request)
        return attrs.evolve(found, hits=found.hits[:: -1 if next(self.numbers) % 2 else 1])


class IgnoresTheOffset(PassesOn):
    def answer(self, request, search):
        return search(attrs.evolve(request, offset=0))


class HidesWhatFails(PassesOn):
    def answer(self, request, search):
        try:
            return search(request)
        except Exception:  # noqa: BLE001 - what it must not do
            return SearchResults(request.text, (), request.mode)


class LooksEverywhere(PassesOn):
    """Answers every search of a tenant and user with what it found for the first."""

    def __init__(self) -> None:
        self.first: dict[Any, SearchResults] = {}

    def answer(self, request, search):
        found = search(request)
        key = (request.scope.tenant, request.context.get("user"), request.text)
        old = self.first.setdefault(key, found)
        return attrs.evolve(found, hits=old.hits[: request.limit])


MIDDLEWARE = {
    AnswersWithMore: "it_answers_every_search",
    AnswersVectorsWithNothing: "it_answers_every_search",
    WantsAUser: "it_answers_every_search",
    RemembersByText: "tenants_have_answers_of_their_own",
    RemembersByTenant: "users_have_answers_of_their_own",
    RemembersByUser: "where_and_collections_hold",
    LooksEverywhere: "where_and_collections_hold",
    IgnoresTheOffset: "pages_fit_together",
    RemembersAllPagesAsOne: "pages_fit_together",
    TurnsItsAnswer: "the_same_search_has_the_same_answer",
    HidesWhatFails: "a_search_that_fails_is_not_hidden",
    RemembersForEver: "it_follows_the_index",
}


@pytest.mark.parametrize("sound", [PassesOn, WritesOut, Twice])
def test_sound_middleware_passes(sound: type) -> None:
    assert failed(MIDDLEWARE_CHECKS, sound) == {}


@pytest.mark.parametrize("mutant", MIDDLEWARE, ids=lambda mutant: mutant.__name__)
def test_broken_middleware_is_caught(mutant: type) -> None:
    told = failed(MIDDLEWARE_CHECKS, mutant)
    assert MIDDLEWARE[mutant] in told, told


def test_every_check_of_middleware_has_a_mutant() -> None:
    assert {*MIDDLEWARE.values()} == {str(check) for check in MIDDLEWARE_CHECKS}
