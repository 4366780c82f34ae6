"""The index within Django's requests, transactions of them, and its test cases."""

from __future__ import annotations

import asyncio
import unittest
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from blueprint_helpers import held
from django import test
from django.db import connections, transaction
from django_site import urls
from django_site.models import Article

from semantic_core.orm import BaseORMAdapter

Bind = Callable[..., BaseORMAdapter]


@pytest.fixture
def site(bind: Bind) -> Iterator[BaseORMAdapter]:
    """The views, with an index."""
    urls.index["search"] = bind()
    yield urls.index["search"]
    urls.index.clear()


def test_a_view_finds_what_it_wrote(site: BaseORMAdapter) -> None:
    assert test.Client().get("/write/1").json() == {"found": [1]}


def test_with_atomic_requests_the_request_is_the_transaction(
    site: BaseORMAdapter, alias: str
) -> None:
    connections[alias].settings_dict["ATOMIC_REQUESTS"] = connections.settings[alias][
        "ATOMIC_REQUESTS"
    ] = True
    assert test.Client().get("/write/1").json() == {"found": []}, (
        "the index holds nothing that may be rolled back"
    )
    assert held(site) == {"1": "by a view, number 1"}
    assert test.Client(raise_request_exception=False).get("/write/2?fail=1").status_code == 500
    assert held(site) == {"1": "by a view, number 1"}
    assert site.status().waiting == 0


def test_an_async_view_finds_what_it_wrote(site: BaseORMAdapter, alias: str) -> None:
    async def story() -> Any:
        answers = [await test.AsyncClient().get(f"/awrite/{number}") for number in (1, 2)]
        await sync_to_async(lambda: connections[alias].close())()
        return [sorted(answer.json()["found"]) for answer in answers]

    assert asyncio.run(story()) == [[1], [1, 2]]


def test_within_a_testcase_commits_can_be_processed(bind: Bind, alias: str) -> None:
    index = bind()

    class Story(test.TestCase):
        databases = {alias}

        def test_rows_are_found(self) -> None:
            Article.objects.create(id=1, content="in a test")
            assert held(index) == {}, "Django calls nothing of on_commit within a TestCase"
            with self.captureOnCommitCallbacks(using=alias, execute=True):
                Article.objects.create(id=2, content="in a test too")
            assert held(index) == {"1": "in a test", "2": "in a test too"}
            with (
                self.captureOnCommitCallbacks(using=alias, execute=True),
                transaction.atomic(using=alias),
            ):
                Article.objects.create(id=3, content="in a transaction of a test")
            assert len(held(index)) == 3
            Article.objects.filter(id=2).update(content="changed")
            assert [row.content for row in index("changed", fresh=True, limit=1)] == ["changed"]
            with transaction.atomic(using=alias):
                Article.objects.filter(id=2).update(content="not committed")
                assert index.in_transaction
                index("changed", fresh=True)
            assert held(index)["2"] == "changed"

        def test_nothing_is_left_of_it(self) -> None:
            assert not Article.objects.exists()
            assert list(index("in a test", fresh=True)) == []

    result = unittest.TestSuite(
        [Story("test_rows_are_found"), Story("test_nothing_is_left_of_it")]
    ).run(_Result())
    assert result.wrong == []


class _Result(unittest.TestResult):
    """What went wrong, with its traceback."""

    @property
    def wrong(self) -> list[str]:
        return [trace for _, trace in (*self.errors, *self.failures)]
