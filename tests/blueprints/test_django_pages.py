"""The pages of a search in Django's own paginator and list view."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.paginator import EmptyPage, Paginator
from django.db import connections, models
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.views.generic import ListView
from django_site.models import Article, Author

from semantic_core.errors import InputError
from semantic_core.orm import BaseORMAdapter

Bind = Callable[..., BaseORMAdapter]
MATCHES = 23
"""Rows that hold the word "loop", of 30."""


@pytest.fixture
def index(bind: Bind) -> BaseORMAdapter:
    index = bind(metadata_fields=["stars", "author"])
    Author.objects.create(id=1, name="Ann")
    with index.pause():
        for id in range(1, 31):
            content = "a loop repeats" if id <= MATCHES else "a file is opened"
            models.QuerySet(Article).create(
                id=id, title=f"t{id}", content=content, stars=id % 5, author_id=1
            )
    return index


def test_the_paginator_has_every_match_once(index: BaseORMAdapter) -> None:
    paginator = Paginator(index.pages("loop", mode="text"), 10)
    assert (paginator.count, paginator.num_pages) == (MATCHES, 3)
    sizes = [len(paginator.page(number)) for number in paginator.page_range]
    assert sizes == [10, 10, 3]
    ids = [row.id for number in paginator.page_range for row in paginator.page(number)]
    assert sorted(ids) == list(range(1, MATCHES + 1))
    assert [row.id for row in index("loop", mode="text", limit=100)] == ids
    assert all(row.search_hit.score > 0 for row in paginator.page(2))
    assert not paginator.page(3).has_next()
    with pytest.raises(EmptyPage):
        paginator.page(4)


def test_a_hybrid_search_has_pages_of_all_rows(index: BaseORMAdapter) -> None:
    paginator = Paginator(index.pages("loop"), 12)
    assert paginator.count == 30
    ids = [row.id for number in paginator.page_range for row in paginator.page(number)]
    assert sorted(ids) == list(range(1, 31))


def test_a_page_is_one_search_and_one_query(
    index: BaseORMAdapter, alias: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched: list[Any] = []
    core_type: Any = type(index.core)
    search = core_type.search

    def counted(self: Any, *args: Any, **options: Any) -> Any:
        searched.append(options)
        return search(self, *args, **options)

    monkeypatch.setattr(core_type, "search", counted)
    for mode in ("text", "hybrid"):
        searched.clear()
        paginator = Paginator(index.pages("loop", mode=mode), 5)
        with CaptureQueriesContext(connections[alias]) as queries:
            assert len(paginator.page(2)) == 5
        assert len(searched) == 1
        assert len(queries) == 0  # those of the index are not the application's


def test_pages_are_limited_to_a_query_set(index: BaseORMAdapter, alias: str) -> None:
    starred = Article.objects.filter(models.Q(stars=4) | models.Q(author__name="Bea"))
    pages = index.pages("loop", mode="text", among=starred)
    with CaptureQueriesContext(connections[alias]) as queries:
        paginator = Paginator(pages, 3)
        assert paginator.count == 4
        ids = [row.id for number in paginator.page_range for row in paginator.page(number)]
    assert sorted(ids) == [4, 9, 14, 19]
    assert len(queries) == 1  # of the query set, once for all pages
    assert queries[0]["sql"].upper().startswith("SELECT")


def test_a_list_view_shows_the_pages_of_a_search(index: BaseORMAdapter) -> None:
    class Results(ListView):  # type: ignore[type-arg]
        paginate_by = 10
        template_name = "results.html"

        def get_queryset(self) -> Any:
            return index.pages(self.request.GET["q"], mode="text", order_by="-stars")

    shown = Results.as_view()(RequestFactory().get("/", {"q": "loop", "page": "2"}))
    context: Any = shown.context_data  # type: ignore[attr-defined]
    assert context["paginator"].count == MATCHES
    assert len(context["article_list"]) == 10
    assert [row.stars for row in context["page_obj"]] == [2] * 4 + [1] * 5 + [0]
    nothing = Results.as_view()(RequestFactory().get("/", {"q": "absent"}))
    assert list(nothing.context_data["page_obj"]) == []  # type: ignore[attr-defined]


def test_what_pages_refuse(index: BaseORMAdapter) -> None:
    pages = index.pages("loop")
    for index_of in (-1, slice(-3, None), slice(0, 9, 2)):
        with pytest.raises(InputError, match="from the first row"):
            pages[index_of]
    for options in ({"limit": 3}, {"offset": 3}, {"total": True}):
        with pytest.raises(InputError, match="pages takes no"):
            index.pages("loop", **options)
    with pytest.raises(IndexError):
        pages[30]
