"""`ModelPages`: the answer of a search as a list that is read page by page, as paginators expect.

Tested by tests/blueprints/test_django_pages.py, tests/orm/test_adapter_kit.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

from semantic_core._search import MAX_LIMIT
from semantic_core._validation import check_count, clip
from semantic_core.errors import InputError
from semantic_core.orm.results import ModelResults

if TYPE_CHECKING:
    from semantic_core.orm.base import BaseORMAdapter

AT_ONCE = 50
"""Rows that are read at once where only their number is asked for: usually those of the first
pages, which are asked for next.
"""


class ModelPages(Sequence[Any]):
    """All rows that a search finds, read as far as they are asked for: ``pages[20:40]`` is one
    search and one query.

    ``Paginator(Article.search.pages("tax"), 10)`` of Django takes it, and whatever else wants
    ``len``, ``count()`` and slices. Every page is a slice of one order. Negative places and steps
    are refused.

    count: rows of all pages, at most 10,000: as far as any search reaches. In a text search and in
    the order of a field these are the rows that hold a word of the query. In a hybrid or vector
    search they are all rows in scope, since all of them have a place in the order; use
    ``mode="text"``, ``min_score``, ``where`` or ``among`` for pages that end earlier. Rows deleted
    a moment ago are counted until that change is processed, so the last page may be shorter.

    model: of the rows. ordered: True, for Django.
    """

    ordered = True

    def __init__(self, adapter: BaseORMAdapter, query: str, **options: Any) -> None:
        self.model = adapter.model
        self.query = query
        self._adapter = adapter
        self._options = options
        self._total: int | None = None
        self._known: tuple[int, ModelResults[Any]] | None = None

    def count(self, value: object = None) -> int:
        """The number of rows on all pages. Given a value, how often it is among them."""
        if value is not None:
            return super().count(value)
        if self._total is None:
            if self._lists_matches:
                self._read(0, AT_ONCE)
            else:
                self._total = self._adapter.count_documents(**self._scope)
        return min(self._total or 0, MAX_LIMIT)

    def exists(self) -> bool:
        """Whether there is a row."""
        return self.count() > 0

    def page(self, start: int, stop: int) -> ModelResults[Any]:
        """The rows from `start` to before `stop`, with mode, timings, facets and the rest of
        `ModelResults`.
        """
        stop = min(stop, MAX_LIMIT)
        if start >= stop:
            return ModelResults(self.query, (), (), self._options.get("mode", "hybrid"))
        return self._read(start, stop)

    def paginate(self, page: int, paginate_by: int = 20) -> Sequence[Any]:
        """The rows of a page, numbered from 1, as a query of Peewee has it."""
        size = check_count("paginate_by", paginate_by, 1)
        start = (check_count("page", page, 1) - 1) * size
        return self[start : start + size]

    def select(self) -> ModelPages:
        """Itself: `PaginatedQuery` and `object_list` of Peewee take it in place of a model."""
        return self

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Any, ...]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            if index.step not in (None, 1):
                raise _no_place(index)
            start = 0 if index.start is None else index.start
            stop = self.count() if index.stop is None else index.stop
            if start < 0 or stop < 0:
                raise _no_place(index)
            return self.page(start, stop).rows
        if index < 0:
            raise _no_place(index)
        rows = self.page(index, index + 1).rows
        if not rows:
            raise IndexError(index)
        return rows[0]

    def __len__(self) -> int:
        return self.count()

    def __bool__(self) -> bool:
        return self.exists()

    def __iter__(self) -> Iterator[Any]:
        start = 0
        while True:
            rows = self.page(start, start + AT_ONCE).rows
            yield from rows
            if len(rows) < AT_ONCE:
                return
            start += AT_ONCE

    def _read(self, start: int, stop: int) -> ModelResults[Any]:
        """The rows of a slice: from the last answer, or by a search."""
        if self._known is not None:
            first, results = self._known
            inside = first <= start and stop <= first + len(results)
            if inside:
                part = slice(start - first, stop - first)
                return _part(results, part)
        counts = self._total is None and self._lists_matches
        results = self._adapter.search(
            self.query,
            limit=stop - start,
            offset=start,
            total=counts,
            **{**self._options, "among": self._keys},
        )
        if counts:
            self._total = results.total
        self._known = (start, results)
        return results

    @property
    def _lists_matches(self) -> bool:
        """Whether the total of a search is the number of rows on all pages."""
        options = self._options
        if options.get("min_score") or options.get("order_by"):
            return True
        return self._adapter.finds_words_only(options.get("mode", "hybrid"))

    @cached_property
    def _keys(self) -> Any:
        """The keys of `among`, read once for all pages."""
        return self._adapter.keys_among(self._options.get("among"))

    @property
    def _scope(self) -> dict[str, Any]:
        wanted = {name: self._options.get(name) for name in ("where", "tenant", "context")}
        return {**wanted, "among": self._keys}

    def __repr__(self) -> str:
        return f"<pages of {self.query!r} in {self.model.__name__}>"


def _part(results: ModelResults[Any], part: slice) -> ModelResults[Any]:
    import attrs

    return attrs.evolve(results, rows=results.rows[part], hits=results.hits[part])


def _no_place(index: object) -> InputError:
    return InputError(
        f"Pages are read from the first row: wanted places from 0 and no step, got {clip(index)}.",
        hint="Write pages[20:40].",
    )
