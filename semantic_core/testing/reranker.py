"""The contract of a reranker, as a list of checks.

Tested by tests/contracts/test_search_kit_bites.py and tests/plugins/test_rerankers.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from semantic_core._memory.store import MemoryStore
from semantic_core._plugins.host import Plugins
from semantic_core.errors import HookFailed
from semantic_core.hookspecs import hookimpl
from semantic_core.testing.check import Check, checks_of, expect, same
from semantic_core.testing.fakes import HashEmbedder
from semantic_core.types import (
    Chunk,
    ChunkId,
    Document,
    Entry,
    Ref,
    Scope,
    SearchHit,
    SearchRequest,
)

Make = Callable[[], Any]

_REQUEST = SearchRequest("how beans climb", Scope(), "hybrid", 10, 0, 100)


def reranker_checks(*, hits: Sequence[SearchHit] = ()) -> list[Check]:
    """The rules that every plugin with ``semantic_rerank`` follows.

    Parametrize a test with them and call each with a function that makes the plugin::

        @pytest.mark.parametrize("check", reranker_checks(), ids=str)
        def test_reranker(check):
            check(MyReranker)

    hits: further hits that the reranker gets, for example results of `core.search`.
    """
    contract = _RerankerChecks(hits)
    rules = [
        contract.it_returns_hits_it_was_given,
        contract.any_hit_is_taken,
        contract.the_same_hits_have_the_same_order,
        contract.what_another_removed_stays_removed,
    ]
    return checks_of(rules)


class _RerankerChecks:
    def __init__(self, hits: Sequence[SearchHit]) -> None:
        plain: list[SearchHit] = []
        for number in range(50):
            metadata = {"lang": "en", "year": 2000 + number}
            plain.append(_hit(number, title=f"Beans {number}", metadata=metadata))
        self._samples = [plain[:1], plain[:2], plain]
        if hits:
            self._samples.append(list(hits))

    def it_returns_hits_it_was_given(self, make: Make) -> None:
        """It returns a list of hits that it got, each once and none of its own. If it is marked
        ``orders_only``, the list has all of them.
        """
        for hits in self._samples:
            _reranked(make(), hits)

    def any_hit_is_taken(self, make: Make) -> None:
        """It accepts hits without title and metadata, with odd texts, and with scores of any size
        and sign.
        """
        bare: list[SearchHit] = []
        for number, score in enumerate((0.0, -1.0, 1e300, 0.0)):
            bare.append(_hit(number, score=score))
        odd = [_hit(9, text="\0 🦭 \u202e"), _hit(10, text="x" * 100_000, metadata={"year": "?"})]
        for hits in (bare, odd, [*bare, *odd]):
            _reranked(make(), hits)

    def the_same_hits_have_the_same_order(self, make: Make) -> None:
        """It returns the same order when it gets the same hits again, so that pages of results fit
        together.
        """
        for hits in self._samples:
            plugin = make()
            first = _reranked(plugin, hits)
            again = _reranked(plugin, hits)
            same(_ids(again), _ids(first), "order of the same hits again")

    def what_another_removed_stays_removed(self, make: Make) -> None:
        """It does not return hits that another reranker removed."""
        for hits in self._samples[1:]:
            left = _reranked(make(), hits, EverySecond())
            removed = set(_ids(left)) & set(_ids(hits[1::2]))
            same(removed, set(), "hits that another reranker removed and this one returns")


class EverySecond:
    """A reranker that removes every second hit."""

    @hookimpl(trylast=True)
    def semantic_rerank(self, hits: Sequence[SearchHit]) -> list[SearchHit]:
        """The first hit, the third and so on."""
        return list(hits[::2])


def _ids(hits: Sequence[SearchHit]) -> list[ChunkId]:
    return [hit.id for hit in hits]


def _reranked(plugin: Any, hits: Sequence[SearchHit], *others: Any) -> list[SearchHit]:
    """The hits in the order of the plugin; fails if the answer is not what the hook promises."""
    try:
        left, reasons = Plugins.load([plugin, *others]).rerank(_REQUEST, hits, _store_of(hits))
    except HookFailed as error:
        raise AssertionError(f"semantic_rerank with {len(hits)} hits: {error.message}") from error
    expect(not reasons, f"semantic_rerank with {len(hits)} hits: {'; '.join(reasons)}")
    return left


def _store_of(hits: Sequence[SearchHit]) -> MemoryStore:
    """A store with the passages of these hits."""
    store = MemoryStore(HashEmbedder().space)
    for number, hit in enumerate(hits):
        chunk = Chunk(ChunkId(hit.ref, 0), hit.text, 0, len(hit.text))
        document = Document(hit.ref, hit.text, hit.title, metadata=hit.metadata)
        store.replace([(document, [Entry(chunk, hit.text, f"{number:032x}")])])
    return store


def _hit(
    number: int, title: str = "", text: str = "Beans climb poles.", score: float = 1.0, **more: Any
) -> SearchHit:
    ref = Ref("kit", f"{number}")
    return SearchHit(
        ref, 0, title, (), text, 0, len(text), score, {"words": 1}, {"words": score}, **more
    )
