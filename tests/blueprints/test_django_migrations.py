"""What migrations do to triggers, and how they come back; binding when an app is ready."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import databases as servers
import django_site
import pytest
from blueprint_helpers import held
from django.apps import apps
from django.core.management import call_command
from django.db import connections, models
from django_adapter import init_database
from django_site.models import Article, Author

from semantic_core import SemanticCore
from semantic_core.orm import BaseORMAdapter, SemanticIndex
from semantic_core.testing import HashEmbedder

Bind = Callable[..., BaseORMAdapter]


@pytest.fixture(params=["sqlite3", "postgresql"])
def diary(request: pytest.FixtureRequest, open_database: Callable[[str], Any]) -> Iterator[str]:
    """An empty database, for an app that installs its index with its migrations."""
    alias = django_site.added(django_site.settings_of(servers, open_database(request.param)))
    with django_site.routed(alias):
        yield alias
    django_site.removed(alias)


def entries() -> tuple[Any, dict[str, str]]:
    from diary.models import Entry

    return Entry, held(Entry.search)


def test_a_migration_that_makes_a_table_anew_loses_nothing(diary: str) -> None:
    call_command("migrate", "diary", "0001", database=diary, verbosity=0)
    entry, _ = entries()
    writer = entry.writer.field.related_model.objects.create(id=1, name="Ann")
    entry.objects.create(id=1, title="first", body="by hand", writer=writer)
    entry.objects.create(id=2, title="second", body="by hand")
    assert entries()[1] == {"1": "by hand\n\nAnn", "2": "by hand"}
    assert entry.search.status().capturing
    call_command("migrate", "diary", "0002", database=diary, verbosity=0)
    assert entry.search.status().capturing
    entry.search.sync()
    assert entries()[1] == {"1": "written by a migration\n\nAnn", "2": "written by a migration"}
    writer.name = "Bea"
    writer.save()
    assert entries()[1]["1"] == "written by a migration\n\nBea"
    waiting = entry.search.status()
    call_command("migrate", "diary", database=diary, verbosity=0)
    assert entry.search.status() == waiting, "a run without a migration to do notes nothing"
    entry.search.uninstall()
    call_command("migrate", "diary", "zero", database=diary, verbosity=0)


def test_triggers_that_made_way_for_a_migration_come_back_with_it(alias: str, bind: Bind) -> None:
    """Whatever changes the tables, also without ``migrate``;
    what was written meanwhile is looked at.
    """
    index = bind(source_fields=["title", "content", "author.name"])
    Article.objects.bulk_create([Article(id=number, content="before") for number in (1, 2, 3)])
    old = Article._meta.get_field("title")
    new = models.CharField(max_length=300, default="none")
    new.set_attributes_from_name("title")
    with connections[alias].schema_editor() as editor:
        editor.alter_field(Article, old, new)
        Article.objects.filter(id=1).update(content="within it")
        editor.alter_field(Article, new, old)
    assert index.status().capturing
    index.sync()
    assert held(index)["1"].endswith("within it")
    Article.objects.filter(id=2).update(content="after it")
    # A thread that compares rows may have the change.
    assert index.search("after", fresh=True, timeout=30).waiting == 0
    assert held(index)["2"].endswith("after it")
    assert index.verify().sound


def test_the_status_says_that_triggers_went_and_the_next_commit_brings_them_back(
    alias: str, bind: Bind
) -> None:
    """Another program removed them, which this process does not notice by itself."""
    if connections[alias].vendor != "sqlite":
        pytest.skip("The other program opens the file.")
    index = bind()
    Article.objects.bulk_create([Article(id=number, content="before") for number in (1, 2, 3)])
    other = sqlite3.connect(connections[alias].settings_dict["NAME"], timeout=30)
    for name in sorted(index._capture.existing()):
        other.execute(f'DROP TRIGGER "{name}"')
    other.commit()
    other.close()
    assert not index.status().capturing
    Article.objects.filter(id=1).update(content="unseen")
    Article.objects.filter(id=2).delete()
    index.sync()
    assert (held(index), index.status().capturing) == ({"1": "unseen", "3": "before"}, True)
    assert not index.install()
    assert index.status().backfill == 0


def test_a_table_renamed_with_its_model_takes_its_index_along(alias: str, bind: Bind) -> None:
    index = bind(source_fields=["content", "author.name"])
    author = Author.objects.create(id=1, name="Ann")
    Article.objects.create(id=1, content="before", author=author)
    table = Article._meta.db_table
    with connections[alias].schema_editor() as editor:
        editor.alter_db_table(Article, table, "elsewhere")
        editor.alter_db_table(Author, Author._meta.db_table, "writers")
        editor.alter_db_table(Author, "writers", Author._meta.db_table)
        editor.alter_db_table(Article, "elsewhere", table)
    assert index.status().capturing
    author.name = "Bea"
    author.save()
    index.sync()
    assert held(index) == {"1": "before\n\nBea"}


def test_binding_again_without_a_core_takes_the_one_there_is(alias: str) -> None:
    class Memo(models.Model):
        body = models.TextField()
        search = SemanticIndex(["body"])

        class Meta:
            app_label = "django_site"

    try:
        with SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[]) as core:
            first = [
                index
                for index in init_database(core, using=alias, install=False)
                if index.model is Memo
            ]
            again = [
                index for index in init_database(using=alias, install=False) if index.model is Memo
            ]
            assert first == again
            assert first[0].core is core
    finally:
        del apps.all_models["django_site"]["memo"]
        apps.clear_cache()
        SemanticIndex._declared[:] = [
            entry for entry in SemanticIndex._declared if entry[0]() is not Memo
        ]
