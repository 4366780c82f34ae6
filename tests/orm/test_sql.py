"""Statements are written for the placeholders of any driver, with and without numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from semantic_core.orm import SqlOutbox, Table, by_name
from semantic_core.orm.aio import AsyncBridge
from semantic_core.orm.consumers import Consumers
from semantic_core.orm.paging import KeysetPages
from semantic_core.orm.sql import Sql
from semantic_core.orm.tables import TriggerSpec
from semantic_core.orm.triggers import Capture

Run = Callable[[str, Sequence[Any]], Any]


@contextmanager
def asyncpg_connection(servers: Any, database: Any) -> Iterator[Run]:
    """A connection of asyncpg, which numbers its placeholders and asks for exact types."""
    asyncpg = pytest.importorskip("asyncpg")
    opened: list[Any] = []

    async def opening() -> None:
        settings = {"search_path": database.address}
        opened.append(await asyncpg.connect(servers.POSTGRES, server_settings=settings))

    async def closing() -> None:
        await opened[-1].close()

    with AsyncBridge("asyncpg", opening=opening, closing=closing) as bridge:

        async def fetch(sql: str, params: Sequence[Any]) -> Any:
            return await opened[-1].fetch(sql, *params)

        yield lambda sql, params: bridge.run(fetch(sql, params))


@pytest.fixture(
    params=[
        ("sqlite3", "?1"),
        ("sqlite3", ":p1"),
        ("apsw", "$p1"),
        ("postgresql", "%(p1)s"),
        ("postgresql", "$1"),
        ("mysql", "%(p1)s"),
    ],
    ids=lambda given: " ".join(given),
)
def sql(request: pytest.FixtureRequest, open_database: Any) -> Iterator[Sql]:
    """A database whose driver is given placeholders with numbers."""
    import databases

    kind, style = request.param
    database = open_database(kind)
    connection = database.connect()
    if style == "$1":
        with asyncpg_connection(databases, database) as fetch:
            yield Sql(fetch, database.dialect, style)
        return

    def run(statement: str, params: Sequence[Any]) -> Any:
        named = by_name(params) if "p1" in style else tuple(params)
        if kind == "apsw":
            return list(connection.raw.execute(statement, named))
        cursor = connection.raw.cursor()
        cursor.execute(statement, *([named] if params else []))
        return cursor.fetchall() if cursor.description else []

    yield Sql(run, database.dialect, style)


def test_outbox_triggers_and_pages_work_with_numbered_placeholders(sql: Sql) -> None:
    sql.execute("CREATE TABLE note (id INTEGER PRIMARY KEY, body VARCHAR(50))", ())
    table = Table("note", key={"id": int}, columns={"id": "id", "body": "body"})
    outbox = SqlOutbox(sql, consumer="me", max_attempts=2, base_delay=0)
    outbox.create()
    consumers = Consumers(sql)
    consumers.register("me", "/here", 1, 2, ["note"])
    consumers.register("you", "/there", 1, 2, ["note"])
    assert {each.consumer for each in consumers.every() if each.acknowledged == 1} == {"me", "you"}
    assert consumers.lookup("me")[2] == 1
    capture = Capture(sql, TriggerSpec("note", table, ("body",)))
    capture.install()
    assert capture.installed()
    mark = sql.param
    sql.execute(f"INSERT INTO note VALUES ({mark}, {mark}), (2, 'two')", [1, "100 %"])
    outbox.add("note", ["3", "4"], "acme")
    found = {(change.key, change.tenant) for change in outbox.claim(10)}
    assert found == {("1", ""), ("2", ""), ("3", "acme"), ("4", "acme")}
    assert outbox.status(["note"])["note"].taken > 0
    assert outbox.claim(10, collections=["note"]) == []
    numbers = outbox.of_key("note", "1")
    outbox.failed(numbers, "it failed")
    outbox.failed(numbers, "it failed")
    assert [each.key for each in outbox.aborted(["note"])] == ["1"]
    assert outbox.retry(collections=["note"]) == 1
    outbox.done(outbox.of_key("note", "2"))
    outbox.put_place("note", "1", "acme", 7)
    assert outbox.places("note", ["1", "2"]) == {"1": {"acme": 7}}
    outbox.set_state("note", "name", "value")
    assert outbox.get_state("note", "name") == "value"
    pages = KeysetPages(sql, table)
    assert pages.page(None, 1) == ["1"] and pages.page("1", 5) == ["2"]
    consumers.drop("you")
    capture.remove()
    assert not capture.installed()


def test_changes_written_on_a_connection_of_the_orm_are_numbered_as_well() -> None:
    statements: list[tuple[str, list[Any]]] = []

    def execute(statement: str, params: Any) -> list[Any]:
        statements.append((statement, list(params)))
        return []

    outbox = SqlOutbox(Sql(lambda statement, params: [], "postgresql", "$1"))
    outbox.add("note", ["1", "2"], execute=execute)
    ((statement, params),) = statements
    assert "VALUES ($1, $2, $3, $4), ($5, $6, $7, $8)" in statement
    assert params == ["note", "1", "", "", "note", "2", "", ""]


def test_placeholders_without_numbers_are_given_as_they_are() -> None:
    def execute(statement: str, params: Any) -> list[Any]:
        return [[statement]]

    assert Sql(execute, "sqlite").execute is execute
    for dialect, placeholder, wanted in [
        ("sqlite", "", "?, ?"),
        ("mysql", "", "%s, %s"),
        ("sqlite", "%s", "%s, %s"),
    ]:
        sql = Sql(execute, dialect, placeholder)  # type: ignore[arg-type]
        assert sql.value(sql.params(2)) == wanted


def test_percent_signs_are_doubled_for_drivers_that_use_them() -> None:
    def execute(statement: str, params: Any) -> list[Any]:
        return []

    assert Sql(execute, "postgresql", "%(p1)s").column("100%") == '"100%%"'
    assert Sql(execute, "postgresql", "$1").column("100%") == '"100%"'
