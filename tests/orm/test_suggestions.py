"""Rows and hits of a search, without documents whose row is gone."""

from __future__ import annotations

from typing import Any

from semantic_core import Ref, SearchHit, SearchResults
from semantic_core.orm.suggestions import LiveHits


def hit(number: int) -> SearchHit:
    return SearchHit(Ref("notes", str(number)), 0, "", (), "", 0, 0, 1.0, {}, {})


class Index:
    """A search that has so many hits, of which only some have a row."""

    def __init__(self, hits: int, rows: set[int], broken: set[int] = frozenset()) -> None:  # type: ignore[assignment]
        self.asked: list[int] = []
        self._hits = [hit(number) for number in range(hits)]
        self._rows = rows
        self._broken = broken

    def find(self, count: int) -> SearchResults:
        self.asked.append(count)
        return SearchResults("q", tuple(self._hits[:count]), "text", timings={"total": 1.0})

    def live(self, hits: Any, unreadable: dict[str, Exception]) -> dict[Ref, int]:
        for each in hits:
            if int(each.ref.key) in self._broken:
                unreadable[each.ref.key] = ValueError("broken row")
        return {each.ref: int(each.ref.key) for each in hits if int(each.ref.key) in self._rows}


def test_hits_without_a_row_are_made_up_for():
    index = Index(50, {7, 9, 30})
    found = LiveHits(index.find, index.live, 2)
    assert found.rows == [7, 9]
    assert [each.ref.key for each in found.hits] == ["7", "9"]
    assert index.asked == [2, 8, 32]
    assert set(found.timings) == {"total", "rows"}
    assert found.reason == ""


def test_fewer_rows_are_given_if_there_are_no_more_hits():
    index = Index(5, {1})
    assert LiveHits(index.find, index.live, 3).rows == [1]
    assert index.asked == [3, 12]


def test_the_first_answer_is_enough_where_all_have_a_row():
    index = Index(5, set(range(5)))
    assert LiveHits(index.find, index.live, 3).rows == [0, 1, 2]
    assert index.asked == [3]


def test_rows_that_cannot_be_read_are_told():
    index = Index(3, {0, 1}, {2})
    assert (
        LiveHits(index.find, index.live, 3).reason
        == "1 row found cannot be read: ValueError: broken row"
    )
