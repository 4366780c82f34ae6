"""What an attribute stands for: one value, none, or several. Rows may be iterable as pydantic's
models are, and may have the methods of a related manager; columns may hold what can be iterated
over. The tables decide, not the looks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import attrs
import pytest
from mini import Database, MiniAdapter, Model

from semantic_core import SemanticCore
from semantic_core.orm import Relation, Table
from semantic_core.orm.declaration import read
from semantic_core.testing import HashEmbedder

NETWORK = IPv4Network("10.0.0.0/16")
"""Iterating over it gives 65,536 addresses."""


class Odd:
    """Makes rows iterable over their fields, and gives them class methods like a query's."""

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return iter(vars(self).items())

    @classmethod
    def all(cls) -> list[Any]:
        return []

    @classmethod
    def filter(cls, **conditions: Any) -> list[Any]:
        return []


class Team(Odd, Model):
    table = "team"
    fields = {"id": int, "name": str}


class Person(Odd, Model):
    table = "person"
    fields = {"id": int, "name": str, "team_id": int}


class Task(Odd, Model):
    table = "task"
    fields = {"id": int, "title": str, "done": int, "person_id": int}


Person.links = {"team": (Team, "team_id", "id"), "tasks": (Task, "id", "person_id")}
Task.links = {"person": (Person, "person_id", "id")}
Person.team = property(lambda row: Team.find("id", row.team_id))  # type: ignore[attr-defined]
Person.tasks = property(lambda row: Task.find("person_id", row.id))  # type: ignore[attr-defined]
Task.person = property(lambda row: Person.find("id", row.person_id))  # type: ignore[attr-defined]


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    db = Database(tmp_path / "app.db")
    Team.db = Person.db = Task.db = db
    db.run("CREATE TABLE team (id INTEGER PRIMARY KEY, name TEXT)")
    db.run("CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT, team_id INTEGER)")
    db.run("CREATE TABLE task (id INTEGER PRIMARY KEY, title TEXT, done TEXT, person_id INTEGER)")
    Team.create(id=1, name="acme")
    Person.create(id=1, name="Ann", team_id=1)
    Task.create(id=1, title="Loom", person_id=1)
    Task.create(id=2, title="Spindle", person_id=1)
    yield db
    db.close()


def bound(model: type, *, tenants: bool = False, **declaration: Any) -> Any:
    core = SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[], multi_tenant=tenants)
    index = core.bind(model, adapter=MiniAdapter, sync="inline", **declaration)
    index.install(backfill="now")
    return index


# --- rows, wherever a declaration reads them ------------------------------------------------------


def test_a_path_leads_through_rows_that_look_like_many(db: Database) -> None:
    index = bound(Task, source_fields=["title", "person.name", "person.team.name"])
    assert [index.core.get(each.ref).text for each in index.core.documents()] == [
        "Ann\n\nacme",
        "Ann\n\nacme",
    ]
    assert index.search("acme", mode="text", limit=1)[0].search_hit.title in ("Loom", "Spindle")


def test_a_path_to_many_gives_each_row(db: Database) -> None:
    index = bound(Person, source_fields=["tasks.title"])
    (summary,) = index.core.documents()
    assert index.core.get(summary.ref).text == "Loom\nSpindle"


def test_metadata_of_a_row_is_its_key_and_of_many_rows_their_keys(db: Database) -> None:
    fields = {"team": "team", "tasks": "tasks", "called": lambda person: person.team}
    index = bound(Person, source_fields=["name"], metadata_fields=fields)
    (hit,) = index.search("ann").hits
    assert dict(hit.metadata) == {"team": 1, "tasks": ("1", "2"), "called": 1}
    assert len(index.search("ann", where={"team": Team(id=1, name="acme")})) == 1
    assert len(index.search("ann", where={"team": {"in": [Team(id=2, name="other")]}})) == 0


def test_a_callable_may_give_a_row_or_several(db: Database) -> None:
    index = bound(
        Person,
        source_fields=[
            lambda person: [task.title for task in person.tasks],
            lambda person: (task.title.upper() for task in person.tasks),
        ],
    )
    (summary,) = index.core.documents()
    assert index.core.get(summary.ref).text == "Loom\nSpindle\n\nLOOM\nSPINDLE"


def test_a_tenant_is_read_through_rows_that_look_like_many(db: Database) -> None:
    index = bound(Task, tenants=True, source_fields=["title"], tenant="person.team.name")
    assert len(index.search("loom", tenant="acme")) == 2
    assert len(index.search("loom", tenant="other")) == 0


def test_a_row_counts_as_deleted_by_a_row(db: Database) -> None:
    index = bound(Person, source_fields=["name"], soft_delete="team")
    assert list(index.core.documents()) == []
    db.run("UPDATE person SET team_id = NULL")
    assert len(index.search("ann", fresh=True)) == 1


def test_what_a_column_holds_is_one_value_unless_it_is_a_list(db: Database) -> None:
    class Host(Model):
        table = "task"
        fields = {"id": int, "title": str}

        @classmethod
        def where(cls, condition: str, params: Any = ()) -> list[Any]:
            rows = super().where(condition, params)
            for row in rows:
                row.title = NETWORK if row.id == 1 else ["a", "b", None]
            return rows

    Host.db = db
    index = bound(Host, source_fields=["title"], metadata_fields=["title"])
    texts = [index.core.get(each.ref).text for each in index.core.documents()]
    assert sorted(texts) == ["10.0.0.0/16", "a\nb"]
    assert dict(index.search("10.0.0.0/16", mode="text").hits[0].metadata) == {
        "title": "10.0.0.0/16"
    }


# --- values of which no table knows ---------------------------------------------------------------


class Money:
    """Iterable over its own fields, as pydantic's models are."""

    def __init__(self, amount: int, currency: str) -> None:
        self.amount = amount
        self.currency = currency

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return iter(vars(self).items())


@attrs.frozen
class Manager:
    """As Django has them: not iterable, with methods of its own."""

    rows: tuple[str, ...]

    def all(self) -> list[str]:
        return list(self.rows)

    def filter(self, **conditions: Any) -> list[str]:
        raise NotImplementedError


class ActiveRecord:
    """A row of some ORM that no adapter declared."""

    @classmethod
    def all(cls) -> list[Any]:
        return ["every row there is"]

    @classmethod
    def filter(cls) -> list[Any]:
        return []


class Query:
    """Iterable, and neither a list nor an iterator."""

    def __iter__(self) -> Iterator[str]:
        return iter(["one", "two"])


MONEY = Money(amount=3, currency="EUR")
RECORD = ActiveRecord()


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (None, []),
        ("text", ["text"]),
        (b"bytes", [b"bytes"]),
        ({"a": 1}, [{"a": 1}]),
        (["a", None, "b"], ["a", "b"]),
        (("a",), ["a"]),
        ([], []),
        (Query(), ["one", "two"]),
        (Manager(("x", "y")), ["x", "y"]),
        (MONEY, [MONEY]),
        (RECORD, [RECORD]),
        ([MONEY, RECORD], [MONEY, RECORD]),
        ([("amount", 3)], [("amount", 3)]),
        (dict, [dict]),
        (7, [7]),
    ],
)
def test_what_a_callable_gives_is_judged_by_its_looks(value: Any, wanted: list[Any]) -> None:
    assert read(object(), lambda row: value) == wanted
    assert read({"field": value}, "field") == wanted


class Bag:
    """Items without an order, as relations of Pony ORM are: in each bag another one."""

    def __init__(self, *items: Any) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __contains__(self, item: object) -> bool:
        return item in self.items

    def __iter__(self) -> Iterator[Any]:
        return iter(self.items)


def test_what_has_no_order_is_sorted_and_what_has_one_keeps_it() -> None:
    names = ["yew", "ash", "oak", "elm", "fir"]
    for unordered in (set(names), frozenset(names), Bag(*names), Bag(*reversed(names), None)):
        assert read({"field": unordered}, "field") == sorted(names)
        assert read(None, lambda row, value=unordered: value) == sorted(names)
    assert read({"field": {10, 9, 2.5}}, "field") == [2.5, 9, 10]
    assert read({"field": {"b", 10, 9}}, "field") == [9, 10, "b"]
    for ordered in (names, tuple(names), dict.fromkeys(names).keys(), deque(names), iter(names)):
        assert read({"field": ordered}, "field") == names


def test_rows_without_an_order_are_sorted_by_their_keys() -> None:
    rows = [{"id": 10, "name": "a"}, {"id": 9, "name": "b"}, {"id": 2, "name": "c"}]

    def is_row(value: object) -> bool:
        return value in rows

    def key_of(value: Any) -> object:
        return value["id"]

    for bag in (Bag(*rows), Bag(*reversed(rows))):
        found = read({"tags": bag}, "tags.name", is_row, order_key=key_of)
        assert found == ["c", "b", "a"]


def test_what_tables_declare_comes_before_the_looks() -> None:
    row = {"net": NETWORK, "ports": [1, None, 2], "owner": Query(), "tags": Manager(("x", "y"))}

    def is_column(instance: object, name: str) -> bool:
        return name in ("net", "ports")

    def is_row(value: object) -> bool:
        return value is row["owner"]

    found = {name: read(row, name, is_row, is_column) for name in row}
    assert found == {
        "net": [NETWORK],
        "ports": [1, 2],
        "owner": [row["owner"]],
        "tags": ["x", "y"],
    }


def test_several_rows_may_be_joined_by_another_column_than_the_key() -> None:
    columns = {"id": "id", "email": "email"}
    by_email = Relation(Task, own="email", theirs="to_email")
    relations = {"one": by_email, "many": attrs.evolve(by_email, many=True)}
    table = Table("person", key={"id": int}, columns=columns, relations=relations)
    assert table.leads_to_one("one") and not table.leads_to_one("many")
