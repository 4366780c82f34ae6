"""Django's models of every kind, in one database and in several."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import django_site
import pytest
from blueprint_helpers import held
from django.db import connections, models
from django.test.utils import CaptureQueriesContext
from django_adapter import DjangoAdapter, init_database
from django_harness import DjangoHarness
from django_site.models import (
    Article,
    Author,
    Book,
    Chapter,
    Club,
    Media,
    Praised,
    Seat,
    Sensor,
    Team,
)

from semantic_core import SemanticCore
from semantic_core.errors import ConfigError
from semantic_core.orm import BaseORMAdapter, SemanticIndex, declare
from semantic_core.testing import HashEmbedder

Bind = Callable[..., BaseORMAdapter]

# --- models of every kind -------------------------------------------------------------------------


def test_a_manager_that_hides_rows_hides_them_from_no_index(bind: Bind) -> None:
    index = bind(condition=None)
    models.QuerySet(Article).create(id=1, content="hidden", hidden=True)
    Article.objects.create(id=2, content="in sight")
    assert Article.objects.count() == 1
    assert sorted(row.id for row in index("hidden in sight")) == [1, 2]
    visible = bind(
        condition=lambda row: not row.hidden, watch_fields=["hidden"], collection="visible"
    )
    visible.sync()
    assert [row.id for row in visible("hidden in sight")] == [2]


def test_a_grandchild_is_indexed_with_what_its_parents_tables_hold(bind: Bind) -> None:
    index = bind(Chapter, source_fields=["title", "blurb", "number"])
    Chapter.objects.create(id=1, title="Loops", blurb="repeat", number=4)
    assert held(index) == {"1": "repeat\n\n4"}
    Media.objects.filter(id=1).update(title="Files")
    assert [hit.title for hit in index("files").hits] == ["Files"]
    Media.objects.get(id=1).delete()
    assert held(index) == {}


@pytest.mark.parametrize("capture", ["triggers", "events"])
def test_what_is_saved_as_a_proxy_is_the_same_row(capture: Any, bind: Bind) -> None:
    index = bind(capture=capture)
    Praised.objects.create(id=1, content="saved as a proxy")
    assert [type(row) for row in index("proxy")] == [Article]
    Praised.objects.get(id=1).delete()
    assert held(index) == {}


def test_a_proxy_is_not_served_and_says_so(bind: Bind) -> None:
    assert DjangoAdapter.serves(Article, using=Article.objects.db)
    assert not DjangoAdapter.serves(Praised, using=Article.objects.db)


def test_an_abstract_model_is_not_served_and_neither_is_another_orms(alias: str) -> None:
    class Titled(models.Model):
        class Meta:
            abstract = True
            app_label = "django_site"

    assert not DjangoAdapter.serves(Titled, using=alias)
    assert not DjangoAdapter.serves(dict, using=alias)


def test_composite_keys_come_back_as_rows(bind: Bind) -> None:
    index = bind(Seat, source_fields=["label"])
    Seat.objects.bulk_create(
        Seat(hall=hall, number=number, label="by the aisle") for hall in "AB" for number in (1, 2)
    )
    assert sorted(row.pk for row in index("aisle")) == [("A", 1), ("A", 2), ("B", 1), ("B", 2)]
    Seat.objects.get(pk=("A", 2)).delete()
    assert sorted(held(index)) == ['["A","1"]', '["B","1"]', '["B","2"]']


def test_a_date_may_be_a_key(bind: Bind) -> None:
    index = bind(Sensor, source_fields=["text"])
    Sensor.objects.bulk_create(
        Sensor(day=date(2024, 5, day), text=f"warm on day {day}") for day in range(1, 10)
    )
    assert [row.day for row in index("day 7", limit=1)] == [date(2024, 5, 7)]
    index.reindex(batch=4)
    assert index.verify().sound
    Sensor.objects.exclude(day=date(2024, 5, 2)).delete()
    assert held(index) == {"2024-05-02": "warm on day 2"}


def test_tables_between_that_django_makes_are_followed(bind: Bind) -> None:
    clubs = bind(Club, source_fields=["name", "members.name", "rivals.name"])
    people = bind(Author, source_fields=["name", "clubs.name"])
    ann, bea = (Author.objects.create(id=id, name=name) for id, name in ((1, "Ann"), (2, "Bea")))
    chess, go = (Club.objects.create(id=id, name=name) for id, name in ((1, "Chess"), (2, "Go")))
    chess.members.add(ann, bea)
    chess.rivals.add(go)  # and so the other way round
    assert held(clubs) == {"1": "Chess\n\nAnn\nBea\n\nGo", "2": "Go\n\nChess"}
    assert held(people) == {"1": "Ann\n\nChess", "2": "Bea\n\nChess"}
    chess.members.set([bea])
    go.rivals.clear()
    Author.objects.filter(id=2).update(name="Eve")
    Club.objects.filter(id=1).update(name="Draughts")
    assert held(clubs) == {"1": "Draughts\n\nEve", "2": "Go"}
    assert held(people) == {"1": "Ann", "2": "Eve\n\nDraughts"}


def test_a_many_to_many_field_of_the_parent_is_the_childs_too(bind: Bind) -> None:
    index = bind(Team, source_fields=["name", "members.name"], metadata_fields=["members"])
    team = Team.objects.create(id=7, name="Rowers")
    team.members.add(Author.objects.create(id=1, name="Ann"))
    assert held(index) == {"7": "Rowers\n\nAnn"}
    assert [row.pk for row in index("rowers", where={"members": 1})] == [7]
    Author.objects.filter(id=1).update(name="Eve")
    assert held(index) == {"7": "Rowers\n\nEve"}


# --- several databases ----------------------------------------------------------------------------


def test_one_model_in_two_databases_has_an_index_for_each(
    bind: Bind, keep: Callable[[str, Any], Any]
) -> None:
    here = bind()
    second = DjangoHarness(keep("sqlite3", DjangoHarness))
    there = here.core.bind(
        Article,
        adapter=DjangoAdapter,
        adapter_options={"using": second.alias},
        source_fields=["content"],
        sync="inline",
        collection="elsewhere",
    )
    Article.objects.create(id=1, content="here")
    Article.objects.using(second.alias).create(id=1, content="there")
    assert (held(here), held(there)) == ({"1": "here"}, {"1": "there"})
    assert [row._state.db for row in there("there")] == [second.alias]
    assert [row._state.db for row in here("here")] == [here.using]
    there.uninstall()
    second.close()


def test_a_router_says_which_database_a_declared_index_is_for(
    open_database: Callable[[str], Any],
) -> None:
    from diary.models import Entry

    assert DjangoAdapter.serves(Entry)
    alias = django_site.added(django_site.settings_of(None, open_database("sqlite3")))
    assert not DjangoAdapter.serves(Entry, using=alias)
    with django_site.routed(alias):
        assert DjangoAdapter.serves(Entry, using=alias)
        assert not DjangoAdapter.serves(Entry)
    django_site.removed(alias)


# --- models of other packages, and those derived from them ----------------------------------------


@pytest.fixture
def declared_on(alias: str) -> Iterator[Callable[..., list[BaseORMAdapter]]]:
    """``declared_on(model, **declaration)``: an index put on the model and bound;
    all is taken away after the test.
    """
    bound: list[BaseORMAdapter] = []
    put: list[tuple[type, SemanticIndex]] = []
    with SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[]) as core:

        def declare_one(model: type, **said: Any) -> list[BaseORMAdapter]:
            put.append((model, declare(model, sync="inline", **said)))
            made = init_database(core, using=alias, install=False)
            bound.extend(index for index in made if issubclass(index.model, model))
            for index in bound:
                index.install()
            return bound

        yield declare_one
        for index in bound:
            index.uninstall()
    for model, index in put:
        delattr(model, "search")
        SemanticIndex._declared[:] = [
            entry for entry in SemanticIndex._declared if entry[2] is not index
        ]


def test_a_model_of_another_package_is_indexed_once_with_all_that_derive_from_it(
    declared_on: Any,
) -> None:
    (index,) = declared_on(Media, source_fields=["title"])
    assert index.model is Media
    Media.objects.create(id=1, title="a record")
    Chapter.objects.create(id=2, title="a chapter on loops", blurb="repeat", number=4)
    assert [row.pk for row in Media.search("loops", mode="text")] == [2]
    assert held(index) == {"1": "a record", "2": "a chapter on loops"}
    with pytest.raises(ConfigError, match=r"found through Media\.search"):
        Chapter.search("loops")
    Chapter.objects.get(id=2).delete()
    assert held(index) == {"1": "a record"}


def test_models_that_derive_from_it_have_an_index_each_when_asked(declared_on: Any) -> None:
    bound = declared_on(Media, source_fields=["title"], children=True)
    assert [index.model for index in bound] == [Media, Book, Chapter]
    Chapter.objects.create(id=2, title="a chapter on loops", blurb="repeat", number=4)
    assert [type(row) for row in Chapter.search("loops")] == [Chapter]
    assert [type(row) for row in Media.search("loops")] == [Media]


def test_bind_without_installing_asks_the_database_nothing(alias: str) -> None:
    said = {"source_fields": ["title"], "sync": "manual", "adapter_options": {"using": alias}}
    with SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[]) as core:
        with CaptureQueriesContext(connections[alias]) as asked:
            index = core.bind(Media, adapter=DjangoAdapter, install=False, **said)
        assert index.model is Media and len(asked) == 0
