"""Django's models of every kind, in one database and in several."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import django_site
import pytest
from blueprint_helpers import held
from django.db import models
from django_adapter import DjangoAdapter
from django_harness import DjangoHarness
from django_site.models import Article, Chapter, Media, Praised, Seat, Sensor

from semantic_core.orm import BaseORMAdapter

Bind = Callable[..., BaseORMAdapter]

# --- models of every kind ------------------------------------------------------------------------------------------


def test_a_manager_that_hides_rows_hides_them_from_no_index(bind: Bind) -> None:
    index = bind(condition=None)
    models.QuerySet(Article).create(id=1, content="hidden", hidden=True)
    Article.objects.create(id=2, content="in sight")
    assert Article.objects.count() == 1
    assert sorted(row.id for row in index("hidden in sight")) == [1, 2]
    visible = bind(condition=lambda row: not row.hidden, watch_fields=["hidden"], collection="visible")
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
    Seat.objects.bulk_create(Seat(hall=hall, number=number, label="by the aisle") for hall in "AB" for number in (1, 2))
    assert sorted(row.pk for row in index("aisle")) == [("A", 1), ("A", 2), ("B", 1), ("B", 2)]
    Seat.objects.get(pk=("A", 2)).delete()
    assert sorted(held(index)) == ['["A","1"]', '["B","1"]', '["B","2"]']


def test_a_date_may_be_a_key(bind: Bind) -> None:
    index = bind(Sensor, source_fields=["text"])
    Sensor.objects.bulk_create(Sensor(day=date(2024, 5, day), text=f"warm on day {day}") for day in range(1, 10))
    assert [row.day for row in index("day 7", limit=1)] == [date(2024, 5, 7)]
    index.reindex(batch=4)
    assert index.verify().sound
    Sensor.objects.exclude(day=date(2024, 5, 2)).delete()
    assert held(index) == {"2024-05-02": "warm on day 2"}


# --- several databases ---------------------------------------------------------------------------------------------


def test_one_model_in_two_databases_has_an_index_for_each(bind: Bind, keep: Callable[[str, Any], Any]) -> None:
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


def test_a_router_says_which_database_a_declared_index_is_for(open_database: Callable[[str], Any]) -> None:
    from diary.models import Entry

    assert DjangoAdapter.serves(Entry)
    alias = django_site.added(django_site.settings_of(None, open_database("sqlite3")))
    assert not DjangoAdapter.serves(Entry, using=alias)
    with django_site.routed(alias):
        assert DjangoAdapter.serves(Entry, using=alias)
        assert not DjangoAdapter.serves(Entry)
    django_site.removed(alias)
