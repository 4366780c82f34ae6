"""Mistakes that an index fed by Django's signals makes, and that the blueprint does not make."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from blueprint_helpers import held
from django.core.management import call_command
from django.db import connections, transaction
from django.db.models.signals import pre_delete
from django.test.utils import CaptureQueriesContext
from django_adapter import DjangoAdapter
from django_harness import DjangoHarness
from django_site.models import Article, Author, Note, Parcel

from semantic_core import SemanticCore
from semantic_core.errors import StoreMisuse
from semantic_core.orm import BaseORMAdapter
from semantic_core.testing import HashEmbedder

Bind = Callable[..., BaseORMAdapter]

# --- 24: an update, a delete, None and numbers, keys of one type ----------------------------------


def test_an_update_replaces_and_a_delete_removes(bind: Bind) -> None:
    index = bind()
    row = Article.objects.create(id=1, title="Loops", content="repeat a block")
    row.content = "repeat it again"
    row.save()
    assert held(index) == {"1": "repeat it again"}
    assert len(index.core.search("repeat", limit=9)) == 1
    row.delete()
    assert held(index) == {}


def test_none_and_numbers_are_texts_like_others(bind: Bind) -> None:
    index = bind(source_fields=["content", "stars", "deleted_at"])
    Article.objects.create(id=1, content=None, stars=5)
    Article.objects.create(id=2, content="dated", deleted_at=datetime(2024, 5, 6))
    assert held(index) == {"1": "5", "2": "dated\n\n2024-05-06T00:00:00"}


def test_filters_match_keys_by_number_text_of_a_uuid_and_instance(bind: Bind) -> None:
    index = bind(metadata_fields=["author", "stars"])
    author = Author.objects.create(id=3, name="Ann")
    Article.objects.create(id=1, title="hers", stars=4, author=author)
    Article.objects.create(id=2, title="nobody's", stars=4)
    for asked in ({"author": 3}, {"author": author}, {"author": 3, "stars": {"gt": 3}}):
        assert [row.id for row in index("hers", where=asked)] == [1]
    assert index("hers", where={"author": "3"}).hits == (), "a number is no text"
    parcels = bind(Parcel, source_fields=["content"])
    key = UUID(int=7)
    Parcel.objects.create(id=key, content="by its key")
    assert [(row.id, row.search_hit.ref.key) for row in parcels("key")] == [(key, str(key))]


# --- 25: weak references, repeated connects, fixtures, bulk statements, on_commit -----------------


@pytest.mark.parametrize("capture", ["triggers", "events"])
def test_an_index_nobody_refers_to_still_notices_commits(capture: Any, alias: str) -> None:
    with SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[]) as core:
        core.bind(
            Note,
            adapter=DjangoAdapter,
            adapter_options={"using": alias},
            source_fields=["body"],
            capture=capture,
            sync="inline",
        )
        gc.collect()
        Note.objects.create(id=1, body="heard")
        assert [hit.ref.key for hit in core.search("heard")] == ["1"]
        for follower in core.followers:
            for index in follower.adapters.values():
                index.uninstall()


def test_connected_twice_an_index_notices_a_commit_once(bind: Bind) -> None:
    index = bind(Note, source_fields=["body"], capture="events", sync="manual")
    index.connect()
    index.install()
    Note.objects.create(id=1, body="once")
    assert index.status().waiting == 1
    index.uninstall()
    index.coordinator.outbox.create()
    Note.objects.create(id=2, body="unheard")
    assert index.status().waiting == 0


def test_commits_of_another_database_are_not_noticed(
    bind: Bind, keep: Callable[[str, Any], Any]
) -> None:
    index = bind(Note, source_fields=["body"], capture="events", sync="manual")
    elsewhere = DjangoHarness(keep("sqlite3", DjangoHarness))
    Note(id=1, body="elsewhere").save(using=elsewhere.alias)
    assert index.status().waiting == 0
    elsewhere.close()


@pytest.mark.parametrize("capture", ["triggers", "events"])
def test_raw_fixtures_are_indexed(capture: Any, alias: str, bind: Bind, tmp_path: Path) -> None:
    index = bind(source_fields=["content", "author.name"], capture=capture)
    rows = [
        {
            "model": "django_site.article",
            "pk": 1,
            "fields": {"content": "from a file", "author": 9},
        },
        {"model": "django_site.author", "pk": 9, "fields": {"name": "Ann, who comes later in it"}},
    ]
    (tmp_path / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    call_command("loaddata", str(tmp_path / "rows.json"), database=alias, verbosity=0)
    assert held(index) == {"1": "from a file\n\nAnn, who comes later in it"}


def test_statements_without_a_signal_are_seen(bind: Bind) -> None:
    index = bind()
    Article.objects.bulk_create(
        Article(id=number, content=f"bulk {number}") for number in range(1, 5)
    )
    assert held(index) == {str(number): f"bulk {number}" for number in range(1, 5)}
    Article.objects.filter(id__in=[1, 2]).update(content="updated")
    rows = list(Article.objects.filter(id__in=[3, 4]))
    for row in rows:
        row.content = "bulk updated"
    Article.objects.bulk_update(rows, ["content"])
    assert held(index) == {"1": "updated", "2": "updated", "3": "bulk updated", "4": "bulk updated"}
    Article.objects.filter(id=1)._raw_delete(Article.objects.db)
    Article.objects.update_or_create(id=2, defaults={"content": "or created"})
    with connections[Article.objects.db].cursor() as cursor:
        cursor.execute("DELETE FROM kit_article WHERE id = 3")
    assert held(index) == {"2": "or created", "4": "bulk updated"}


def test_savepoints_decide_what_a_commit_tells(bind: Bind, alias: str) -> None:
    index = bind()
    with transaction.atomic(using=alias):
        Article.objects.create(id=1, content="kept")
        with pytest.raises(ZeroDivisionError), transaction.atomic(using=alias):
            Article.objects.create(id=2, content="rolled back")
            raise ZeroDivisionError
        with transaction.atomic(using=alias):
            Article.objects.create(id=3, content="kept too")
        assert held(index) == {}
    assert held(index) == {"1": "kept", "3": "kept too"}
    with pytest.raises(ZeroDivisionError), transaction.atomic(using=alias):
        with transaction.atomic(using=alias):
            Article.objects.create(id=4, content="rolled back by the outer one")
        raise ZeroDivisionError
    assert held(index) == {"1": "kept", "3": "kept too"}


def test_only_a_savepoint_wrote_and_was_rolled_back_first(bind: Bind, alias: str) -> None:
    index = bind()
    with transaction.atomic(using=alias):
        with pytest.raises(ZeroDivisionError), transaction.atomic(using=alias):
            Article.objects.create(id=1, content="rolled back")
            raise ZeroDivisionError
        Article.objects.filter(id=5).update(content="none")
        Article.objects.create(id=2, content="kept")
    assert held(index) == {"2": "kept"}


def test_transactions_by_hand_are_left_alone(bind: Bind, alias: str) -> None:
    index = bind()
    transaction.set_autocommit(False, using=alias)
    try:
        Article.objects.filter(id=5).update(content="none")
        Article.objects.bulk_create([Article(id=1, content="by hand")])
        assert index.in_transaction
        with pytest.raises(StoreMisuse, match="open transaction"):
            index.sync()
        transaction.rollback(using=alias)
        Article.objects.bulk_create([Article(id=2, content="by hand again")])
        transaction.commit(using=alias)
    finally:
        transaction.set_autocommit(True, using=alias)
    assert [row.id for row in index("by hand", fresh=True)] == [2]


def test_blocks_within_a_transaction_by_hand_are_left_alone(bind: Bind, alias: str) -> None:
    index = bind()
    transaction.set_autocommit(False, using=alias)
    try:
        for key in (1, 2):
            with transaction.atomic(using=alias), transaction.atomic(using=alias):
                Article.objects.create(id=key, content="in a block")
        transaction.commit(using=alias)
    finally:
        transaction.set_autocommit(True, using=alias)
    assert sorted(row.id for row in index("in a block", fresh=True)) == [1, 2]


def test_a_block_that_wrote_nothing_asks_for_no_callback(bind: Bind, alias: str) -> None:
    bind()
    with transaction.atomic(using=alias):
        with pytest.raises(ZeroDivisionError), transaction.atomic(using=alias):
            raise ZeroDivisionError
        with transaction.atomic(using=alias):
            assert not Article.objects.exists()
        assert connections[alias].run_on_commit == []


def test_an_application_that_counts_its_queries_counts_its_own(bind: Bind, alias: str) -> None:
    index = bind()
    with CaptureQueriesContext(connections[alias]) as counted:
        Article.objects.create(id=1, content="counted")
        Article.objects.filter(id=1).update(content="counted twice")
    assert len(counted) == 2, [each["sql"] for each in counted]
    assert held(index) == {"1": "counted twice"}


def test_a_callback_that_fails_fails_no_commit_and_stops_no_other(bind: Bind, alias: str) -> None:
    index = bind(source_fields=[lambda row: f"{1 // row.stars}"], watch_fields=["stars"])
    called = []
    with transaction.atomic(using=alias):
        Article.objects.create(id=1, stars=0)
        transaction.on_commit(lambda: called.append(1), using=alias)
    assert called == [1]
    assert "ZeroDivisionError" in index.status().last_error


# --- 26: nothing is embedded within a transaction; a delete that fails ----------------------------


def test_nothing_is_embedded_while_a_transaction_is_open(bind: Bind, alias: str) -> None:
    index = bind()
    seen: list[bool] = []
    embed = index.core.embedder.embed_documents

    def embed_documents(passages: Any) -> Any:
        seen.append(connections[alias].in_atomic_block)
        return embed(passages)

    index.core.embedder.embed_documents = embed_documents
    with transaction.atomic(using=alias):
        Article.objects.create(id=1, content="waits for the commit")
        assert seen == []
    assert seen == [False]


def test_a_delete_that_fails_leaves_the_row_in_the_index(bind: Bind) -> None:
    index = bind()
    row = Article.objects.create(id=1, content="stays")

    def refuse(**sent: Any) -> None:
        raise PermissionError("not this one")

    pre_delete.connect(refuse, sender=Article)
    try:
        with pytest.raises(PermissionError):
            row.delete()
    finally:
        pre_delete.disconnect(refuse, sender=Article)
    assert [found.id for found in index("stays", fresh=True)] == [1]


# --- 27: rows that are gone take no place; keys of two models -------------------------------------


def test_rows_that_are_gone_cost_no_place_in_the_answer(bind: Bind) -> None:
    index = bind()
    Article.objects.bulk_create(
        Article(id=number, content=f"one of many {number}") for number in range(1, 21)
    )
    with index.pause():
        best = [row.id for row in index("one of many", limit=10)]
        Article.objects.filter(id__in=best[:8]).delete()
        found = index("one of many", limit=5)
        assert len(found) == 5
        assert not {row.id for row in found} & set(best[:8])


def test_equal_keys_of_two_models_are_two_documents(bind: Bind) -> None:
    articles, notes = bind(), bind(Note, source_fields=["body"])
    Article.objects.create(id=1, content="an article about tides")
    Note.objects.create(id=1, body="a note about tides")
    assert [type(row) for row in articles("tides")] == [Article]
    assert [type(row) for row in notes("tides")] == [Note]
    Note.objects.all().delete()
    assert [row.content for row in articles("tides")] == ["an article about tides"]
