"""Hostile plugins of every kind, against the scope: what they know of other tenants, collections,
conditions and readers reaches no answer, neither as a hit nor as a word.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from semantic_core import (
    ChunkId,
    Document,
    Filter,
    Ranking,
    Ref,
    SearchHit,
    SearchResults,
    SemanticCore,
    hookimpl,
)
from semantic_core.errors import HookFailed
from semantic_core.permissions import Permissions
from semantic_core.testing import HashEmbedder
from semantic_core.types import Scope

TENANTS = ("acme", "other")
COLLECTIONS = ("notes", "mails")
READERS = ("ann", "bob")
LANGUAGES = ("en", "de")
PROBES = 800


def canary(tenant: str, collection: str, reader: str, language: str) -> str:
    return f"c{TENANTS.index(tenant)}{collection[0]}{reader[0]}{language}"


def documents() -> list[Document]:
    made = []
    for tenant in TENANTS:
        for collection in COLLECTIONS:
            for reader in READERS:
                for language in LANGUAGES:
                    word = canary(tenant, collection, reader, language)
                    metadata = {"readers": [reader], "lang": language, "word": word}
                    text = f"beans climb {word}"
                    made.append(
                        Document(Ref(collection, word, tenant), text, word, "text/plain", metadata)
                    )
    return made


class Hostile:
    """Answers with whatever there is, from outside of the scope, and in every way it can."""

    def __init__(self, chance: random.Random, everything: Sequence[SearchHit]) -> None:
        self._chance = chance
        self._everything = everything
        self._ways = {way for way in ("retrieve", "rerank", "around") if chance.random() < 0.6}

    def _some(self) -> list[SearchHit]:
        return self._chance.sample(self._everything, self._chance.randrange(1, 9))

    @hookimpl
    def semantic_retrieve(self, request: Any) -> Ranking | None:
        if "retrieve" not in self._ways:
            return None
        ids = tuple(hit.id for hit in self._some())
        if self._chance.random() < 0.3:
            ids += (ChunkId(Ref("notes", "gone", self._chance.choice(TENANTS)), 0),)
        return Ranking("hostile", ids, tuple(float(-place) for place in range(len(ids))))

    @hookimpl(orders_only=True)
    def semantic_rerank(self, hits: Sequence[SearchHit]) -> Sequence[SearchHit]:
        return [*hits, *self._some()] if "rerank" in self._ways else list(hits)

    @hookimpl
    def semantic_search_middleware(self) -> Any:
        return self._around if "around" in self._ways else None

    def _around(self, request: Any, search: Any) -> SearchResults:
        tenant = self._chance.choice([request.scope.tenant, *TENANTS])
        if self._chance.random() < 0.2:
            return search(attrs.evolve(request, scope=Scope(tenant)))  # type: ignore[no-any-return]
        found = search(attrs.evolve(request, scope=Scope(request.scope.tenant)))
        refs = {hit.ref for hit in found}
        more = [hit for hit in self._some() if hit.ref not in refs]
        return attrs.evolve(found, hits=(*more, *found.hits)[: request.limit])


def allowed(
    tenant: str, collections: Sequence[str] | None, where: Mapping[str, Any] | None, user: str
) -> set[Ref]:
    conditions = Filter.parse(where)
    return {
        document.ref
        for document in documents()
        if document.ref.tenant == tenant
        and (collections is None or document.ref.collection in collections)
        and conditions.matches(document.metadata)
        and user in document.metadata["readers"]
    }


def test_hostile_plugins_leak_nothing_of_what_is_out_of_the_scope() -> None:
    plain = SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[], multi_tenant=True)
    everything: list[SearchHit] = []
    for tenant in TENANTS:
        plain.tenant(tenant).ingest(d for d in documents() if d.ref.tenant == tenant)
        everything += plain.tenant(tenant).search_chunks("beans", limit=50).hits
    words = {hit.metadata["word"] for hit in everything}
    chance = random.Random(12)
    told: Counter[str] = Counter()
    for _ in range(PROBES):
        tenant = chance.choice(TENANTS)
        user = chance.choice(READERS)
        collections = chance.choice([None, ["notes"], ["mails"], list(COLLECTIONS)])
        where = chance.choice([None, {"lang": "en"}, {"lang": "de"}])
        mine = allowed(tenant, collections, where, user)
        core = SemanticCore(
            store=plain.store,
            embedder=plain.embedder,
            plugins=[Hostile(chance, everything), Permissions()],
        )
        client = core.tenant(tenant)
        kind = chance.choice([client.search, client.search_chunks])
        try:
            answer = kind(
                "beans climb",
                limit=chance.choice([1, 3, 20]),
                where=where,
                collections=collections,
                context={"user": user},
            )
        except HookFailed as error:
            said = str(error)
            told["refused"] += 1
        else:
            said = f"{answer.hits!r} {answer.reason}"
            assert {hit.ref for hit in answer} <= mine
            told["degraded" if answer.degraded else "answered"] += 1
        foreign = words - {ref.key for ref in mine}
        assert not [word for word in foreign if word in said], said
    assert sum(told.values()) == PROBES
    assert min(told["answered"], told["degraded"], told["refused"]) > PROBES / 50
