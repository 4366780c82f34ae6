"""The contract of a reranker, as a list of checks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from semantic_core._plugins.host import Plugins
from semantic_core.errors import HookFailed
from semantic_core.hookspecs import hookimpl
from semantic_core.testing.check import Check, expect, same
from semantic_core.types import Ref, Scope, SearchHit, SearchRequest

Make = Callable[[], Any]

_REQUEST = SearchRequest("how beans climb", Scope(), "hybrid", 10, 0, 100)


def reranker_checks(*, hits: Sequence[SearchHit] = ()) -> list[Check]:
    """The rules every plugin with ``semantic_rerank`` keeps.

    Give each to pytest, with what makes the plugin::

        @pytest.mark.parametrize("check", reranker_checks(), ids=str)
        def test_reranker(check):
            check(MyReranker)

    hits: further ones to show it, such as `core.search` gives.
    """
    contract = _RerankerChecks(hits)
    return [
        Check(rule)
        for rule in (
            contract.it_returns_hits_it_was_given,
            contract.any_hit_is_taken,
            contract.the_same_hits_have_the_same_order,
            contract.what_another_removed_stays_removed,
        )
    ]


class _RerankerChecks:
    def __init__(self, hits: Sequence[SearchHit]) -> None:
        plain = [
            _hit(number, title=f"Beans {number}", metadata={"lang": "en", "year": 2000 + number})
            for number in range(50)
        ]
        self._samples = [plain[:1], plain[:2], plain, *([list(hits)] if hits else [])]

    def it_returns_hits_it_was_given(self, make: Make) -> None:
        """A list, of one hit or many: each once, none of its own; all of them where it is marked
        ``orders_only``.
        """
        for hits in self._samples:
            _reranked(make(), hits)

    def any_hit_is_taken(self, make: Make) -> None:
        """Hits without title and metadata, with odd texts and with scores of any size and sign."""
        bare = [_hit(number, score=score) for number, score in enumerate((0.0, -1.0, 1e300, 0.0))]
        odd = [_hit(9, text="\0 🦭 \u202e"), _hit(10, text="x" * 100_000, metadata={"year": "?"})]
        for hits in (bare, odd, [*bare, *odd]):
            _reranked(make(), hits)

    def the_same_hits_have_the_same_order(self, make: Make) -> None:
        """Shown the same hits again, it answers the same: pages fit together."""
        for hits in self._samples:
            plugin = make()
            first = _reranked(plugin, hits)
            again = _reranked(plugin, hits)
            same([hit.id for hit in again], [hit.id for hit in first], "the same hits again")

    def what_another_removed_stays_removed(self, make: Make) -> None:
        """Beside a reranker that takes every second hit away, these are not among its own."""
        for hits in self._samples[1:]:
            kept = {hit.id for hit in hits[::2]}
            left = _reranked(make(), hits, EverySecond())
            expect({hit.id for hit in left} <= kept, "A hit that another took away is back.")


class EverySecond:
    """Takes every second hit away."""

    @hookimpl(trylast=True)
    def semantic_rerank(self, hits: Sequence[SearchHit]) -> list[SearchHit]:
        """The first, the third and so on."""
        return list(hits[::2])


def _reranked(plugin: Any, hits: Sequence[SearchHit], *others: Any) -> list[SearchHit]:
    """What the plugin makes of the hits; fails if that is not what the hook promises."""
    try:
        left, reasons = Plugins.load([plugin, *others]).rerank(_REQUEST, hits)
    except HookFailed as error:
        raise AssertionError(f"{len(hits)} hits: {error.message}") from error
    expect(not reasons, f"{len(hits)} hits: {'; '.join(reasons)}")
    return left


def _hit(
    number: int, title: str = "", text: str = "Beans climb poles.", score: float = 1.0, **more: Any
) -> SearchHit:
    ref = Ref("kit", f"{number}")
    return SearchHit(
        ref, 0, title, (), text, 0, len(text), score, {"words": 1}, {"words": score}, **more
    )
