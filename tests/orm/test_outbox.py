"""Pending changes are written in the application's transactions, belong to one worker at a time,
and are taken again until they are processed.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from semantic_core.errors import ConfigError, InputError
from semantic_core.orm.consumers import KEPT_FOR, KEPT_IN_MEMORY, Consumers
from semantic_core.orm.dialects import OUTBOX, TABLES
from semantic_core.orm.outbox import OutboxStatus, SqlOutbox
from semantic_core.orm.paging import KeysetPages
from semantic_core.orm.sql import Sql
from semantic_core.orm.tables import Table
from semantic_core.protocols import Outbox
from semantic_core.types import Ref

WORKER = Path(__file__).with_name("outbox_process.py")


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


def outbox_on(connection: Any, dialect: str, **options: Any) -> SqlOutbox:
    return SqlOutbox(Sql(connection.run, dialect), **options)  # type: ignore[arg-type]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module", params=["sqlite3", "apsw", "postgresql", "mysql"])
def kept(request: pytest.FixtureRequest, keep_database: Any) -> Any:
    """A database of every kind in turn, with an outbox in it."""
    made = keep_database(request.param)
    outbox_on(made.connect(), made.dialect).create()
    return made


@pytest.fixture
def connection(kept: Any) -> Iterator[Any]:
    """A connection to it; whatever the test leaves in the outbox is deleted."""
    connection = kept.connect()
    yield connection
    for table in TABLES:
        connection.execute(f"DELETE FROM {table}")


@pytest.fixture
def outbox(kept: Any, connection: Any, clock: Clock) -> SqlOutbox:
    return outbox_on(
        connection, kept.dialect, clock=clock, random=lambda: 1.0, lease=60.0, max_attempts=3
    )


def keys(outbox: SqlOutbox, limit: int = 100) -> list[str]:
    return [change.key for change in outbox.claim(limit)]


# --- the tables -----------------------------------------------------------------------------------


def test_it_keeps_the_contract_of_an_outbox(outbox: SqlOutbox) -> None:
    assert isinstance(outbox, Outbox)


def test_tables_are_made_once_and_found(database: Any) -> None:
    outbox = outbox_on(database.connect(), database.dialect)
    assert not outbox.exists()
    outbox.create()
    assert outbox.exists()
    outbox.add("article", ["1"])
    outbox.create()
    assert keys(outbox) == ["1"]


@pytest.mark.slow
def test_eight_processes_may_make_the_tables_at_once(engine: Any) -> None:
    command = [sys.executable, str(WORKER), "create", engine.kind, engine.address]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(8)]
    ends = [(process.communicate()[1], process.returncode) for process in running]
    assert ends == [("", 0)] * 8
    outbox = outbox_on(engine.connect(), engine.dialect)
    assert outbox.exists()
    assert sorted(keys(outbox)) == ["1"] * 8


def test_numbers_of_a_table_made_anew_begin_above_the_old_ones(database: Any, clock: Clock) -> None:
    connection = database.connect()
    outbox = outbox_on(connection, database.dialect, clock=clock)
    numbers = []
    for _ in range(2):
        outbox.create()
        outbox.add("article", ["1", "2"])
        numbers.append([change.number for change in outbox.claim(10)])
        for table in TABLES:
            connection.execute(f"DROP TABLE {table}")
        clock.now += 100
    assert max(numbers[0]) < min(numbers[1])
    assert min(numbers[0]) >= int(clock.now - 201)


def test_an_unknown_dialect_is_refused() -> None:
    with pytest.raises(ConfigError, match="oracle"):
        Sql(lambda sql, params: [], "oracle")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong", [{"lease": 0}, {"max_attempts": 0}, {"base_delay": -1}, {"max_delay": -1}]
)
def test_settings_nobody_can_mean_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError):
        SqlOutbox(Sql(lambda sql, params: [], "sqlite"), **wrong)  # type: ignore[arg-type]


# --- within transactions --------------------------------------------------------------------------


def test_a_rollback_takes_the_change_along(kept: Any, outbox: SqlOutbox, connection: Any) -> None:
    with pytest.raises(ZeroDivisionError), connection.transaction():
        outbox.add("article", ["1"])
        raise ZeroDivisionError
    assert keys(outbox) == []


def test_a_rolled_back_savepoint_takes_its_changes_along(
    outbox: SqlOutbox, connection: Any
) -> None:
    with connection.transaction():
        outbox.add("article", ["before"])
        connection.execute("SAVEPOINT one")
        outbox.add("article", ["within"])
        connection.execute("ROLLBACK TO SAVEPOINT one")
        outbox.add("article", ["after"])
    assert keys(outbox) == ["before", "after"]


def test_a_change_is_not_seen_before_its_commit(
    kept: Any, outbox: SqlOutbox, connection: Any
) -> None:
    other = outbox_on(kept.connect(), kept.dialect)
    connection.execute("BEGIN")
    outbox.add("article", ["1"])
    seen = other.status(["article"])["article"].waiting
    connection.execute("COMMIT")
    assert seen == 0
    assert keys(other) == ["1"]


def test_a_change_may_be_written_by_the_transaction_of_another_connection(
    kept: Any, outbox: SqlOutbox
) -> None:
    other = kept.connect()
    other.execute("BEGIN")
    outbox.add("article", ["1"], execute=other.run)
    other.execute("ROLLBACK")
    assert keys(outbox) == []


@pytest.mark.parametrize("kind", ["postgresql", "mysql"])
def test_an_open_transaction_of_the_application_blocks_no_worker(
    open_database: Any, kind: str
) -> None:
    database = open_database(kind)
    connection = database.connect()
    outbox = outbox_on(connection, database.dialect)
    outbox.create()
    outbox.add("article", ["1"])
    writer = database.connect()
    writer.execute("BEGIN")
    outbox.add("article", ["2"], execute=writer.run)
    if kind == "mysql":
        connection.execute("SET SESSION innodb_lock_wait_timeout = 1")
    else:
        connection.execute("SET lock_timeout = '1s'")
    changes = outbox.claim(10)
    outbox.failed([changes[0].number], "away")
    outbox.add("article", ["3"], execute=writer.run)
    writer.execute("COMMIT")
    assert [change.key for change in changes] == ["1"]
    assert sorted(keys(outbox)) == ["2", "3"]


# --- taking ---------------------------------------------------------------------------------------


def test_a_worker_gets_the_collections_it_asks_for(outbox: SqlOutbox) -> None:
    outbox.add("article", ["1"])
    outbox.add("comment", ["2"])
    outbox.add("author", ["3"])
    assert {
        change.collection for change in outbox.claim(10, collections=["comment", "author"])
    } == {"comment", "author"}
    assert outbox.claim(10, collections=[]) == []
    assert keys(outbox) == ["1"]


def test_no_more_than_the_limit_is_taken(outbox: SqlOutbox) -> None:
    outbox.add("article", map(str, range(700)))
    assert outbox.claim(0) == []
    first = outbox.claim(500)
    assert [change.key for change in first] == list(map(str, range(500)))
    assert len(outbox.claim(500)) == 200


def test_addresses_come_back_as_they_were_written(outbox: SqlOutbox) -> None:
    odd = ["1", "ключ 🔑", 'it\'s "odd" \\ % %s ? :x', '["a", "b"]', "", " ", "a" * 2_000]
    outbox.add("odd 'col%s?\\", odd, "te'nant ü")
    changes = outbox.claim(10)
    assert [change.key for change in changes] == odd
    assert {(change.collection, change.tenant) for change in changes} == {
        ("odd 'col%s?\\", "te'nant ü")
    }


def test_taken_as_refs_whole_tables_are_left_and_bad_keys_fail(outbox: SqlOutbox) -> None:
    outbox.add("article", ["", "1", "bad\nkey"], "acme")
    assert [ref for _, ref in outbox.take(10)] == [Ref("article", "1", "acme")]
    assert [change.key for change in outbox.claim(10)] == [""]
    assert "control characters" in outbox.status()["article"].last_error


def test_a_change_taken_is_nobody_elses(kept: Any, outbox: SqlOutbox) -> None:
    outbox.add("article", ["1", "2", "3"])
    other = outbox_on(kept.connect(), kept.dialect)
    assert len(outbox.claim(2)) == 2
    assert keys(other) == ["3"]
    assert keys(outbox) == []


def test_done_removes_changes_and_not_addresses(outbox: SqlOutbox) -> None:
    outbox.add("article", ["1"])
    changes = outbox.claim(10)
    outbox.add("article", ["1"])
    outbox.done([change.number for change in changes])
    assert keys(outbox) == ["1"]


def test_nothing_to_do_is_fine(outbox: SqlOutbox) -> None:
    outbox.done([])
    outbox.failed([], "why")
    outbox.give_back([])
    outbox.done([1])
    outbox.failed([1], "why")
    assert outbox.status() == {}
    assert outbox.claim(5) == []


def test_what_is_taken_later_has_the_larger_number_even_if_it_was_written_by_an_older_transaction(
    engine: Any,
) -> None:
    """Else the work of a pending change whose transaction began first and ended last would count as
    older than what it follows.
    """
    outbox = outbox_on(engine.connect(), engine.dialect)
    outbox.create()
    slow, quick = engine.connect(), engine.connect()
    if engine.dialect == "sqlite":  # one writer at a time: the transactions cannot overlap
        outbox.add("article", ["1"], execute=quick.run)
        first = outbox.claim(10)
        outbox.add("article", ["1"], execute=slow.run)
    else:
        slow.execute("BEGIN")
        outbox.add("article", ["1"], execute=slow.run)
        outbox.add("article", ["1"], execute=quick.run)
        first = outbox.claim(10)
        slow.execute("COMMIT")
    second = outbox.claim(10)
    assert [len(first), len(second)] == [1, 1]
    assert first[0].number < second[0].number


# --- leases, failures -----------------------------------------------------------------------------


def test_the_changes_of_a_lost_worker_come_back(outbox: SqlOutbox, clock: Clock) -> None:
    outbox.add("article", ["1"])
    assert keys(outbox) == ["1"]
    clock.now += 59
    assert keys(outbox) == []
    clock.now += 2
    assert keys(outbox) == ["1"]


def test_a_worker_that_was_given_up_cannot_undo_what_follows(
    outbox: SqlOutbox, clock: Clock
) -> None:
    outbox.add("article", ["1"])
    late = [change.number for change in outbox.claim(10)]
    clock.now += 61
    outbox.done([change.number for change in outbox.claim(10)])
    outbox.failed(late, "too slow")
    outbox.give_back(late)
    assert outbox.status() == {}


def test_given_back_it_can_be_taken_at_once_and_no_failure_is_counted(outbox: SqlOutbox) -> None:
    outbox.add("article", ["1"])
    for _ in range(5):
        outbox.give_back([change.number for change in outbox.claim(10)])
    assert keys(outbox) == ["1"]
    assert outbox.status()["article"].aborted == 0


def test_a_pause_doubles_with_each_failure_up_to_a_limit(
    kept: Any, connection: Any, clock: Clock
) -> None:
    outbox = outbox_on(
        connection,
        kept.dialect,
        clock=clock,
        random=lambda: 1.0,
        base_delay=10,
        max_delay=30,
        max_attempts=9,
    )
    outbox.add("article", ["1"])
    for pause in (10, 20, 30, 30):
        outbox.failed([change.number for change in outbox.claim(10)], "away")
        clock.now += pause - 0.5
        assert outbox.claim(10) == []
        clock.now += 1
    assert keys(outbox) == ["1"]


def test_changes_that_fail_together_each_count_one_failure(outbox: SqlOutbox, clock: Clock) -> None:
    outbox.add("article", ["old"])
    outbox.failed([change.number for change in outbox.claim(10)], "away")
    clock.now += 10
    outbox.add("article", ["new"])
    for _ in range(2):
        assert outbox.aborted() == []
        outbox.failed([change.number for change in outbox.claim(10)], "away")
        clock.now += 10
    assert [(change.key, change.attempts) for change in outbox.aborted()] == [("old", 3)]
    assert keys(outbox) == ["new"]


def test_pauses_are_spread(engine: Any, clock: Clock) -> None:
    spread = iter([0.25, 0.75])
    outbox = outbox_on(
        engine.connect(), engine.dialect, clock=clock, random=lambda: next(spread), base_delay=100
    )
    outbox.create()
    outbox.add("article", ["1", "2"])
    first, second = outbox.claim(10)
    outbox.failed([first.number], "away")
    outbox.failed([second.number], "away")
    clock.now += 26
    assert keys(outbox) == [first.key]
    clock.now += 50
    assert keys(outbox) == [second.key]


def fail_for_good(outbox: SqlOutbox, clock: Clock, reason: str = "poison") -> None:
    for _ in range(3):
        outbox.failed([change.number for change in outbox.claim(10)], reason)
        clock.now += 601


def test_after_the_last_try_a_change_is_aborted_kept_and_listed(
    outbox: SqlOutbox, clock: Clock
) -> None:
    outbox.add("article", ["1"], "acme")
    fail_for_good(outbox, clock, "poison 'quoted' %s " + "x" * 600)
    outbox.add("article", ["2"])
    (aborted,) = outbox.aborted()
    assert (aborted.collection, aborted.key, aborted.tenant, aborted.attempts) == (
        "article",
        "1",
        "acme",
        3,
    )
    assert aborted.error == ("poison 'quoted' %s " + "x" * 600)[:500]
    assert abs(aborted.created_at - time.time()) < 60
    assert outbox.status()["article"].aborted == 1
    assert keys(outbox) == ["2"]
    assert outbox.aborted(["comment"]) == []


def test_a_change_that_always_fails_blocks_no_other(outbox: SqlOutbox, clock: Clock) -> None:
    outbox.add("article", ["poison"])
    outbox.add("article", ["1", "2"])
    (poison,) = outbox.claim(1)
    outbox.failed([poison.number], "away")
    assert keys(outbox) == ["1", "2"]


def test_aborted_changes_are_tried_again_when_asked(outbox: SqlOutbox, clock: Clock) -> None:
    outbox.add("article", ["1", "2"])
    outbox.add("comment", ["3"])
    fail_for_good(outbox, clock)
    assert len(outbox.aborted()) == 3
    assert outbox.retry(collections=["comment"]) == 1
    assert keys(outbox) == ["3"]
    one = next(change for change in outbox.aborted() if change.key == "2")
    assert outbox.retry([one.number]) == 1
    assert outbox.retry([]) == 0
    assert keys(outbox) == ["2"]
    assert outbox.retry() == 1
    fail_for_good(outbox, clock)
    assert [change.attempts for change in outbox.aborted() if change.key == "1"] == [3]


def test_aborted_changes_are_dropped_when_asked_and_no_others(
    outbox: SqlOutbox, clock: Clock
) -> None:
    outbox.add("article", ["1"])
    fail_for_good(outbox, clock)
    outbox.add("article", ["2"])
    waiting = [change.number for change in outbox.claim(1)]
    outbox.give_back(waiting)
    assert outbox.drop(waiting) == 0
    assert outbox.drop(collections=["comment"]) == 0
    assert outbox.drop() == 1
    assert outbox.aborted() == []
    assert keys(outbox) == ["2"]


@pytest.mark.parametrize("reason", ["nul \0 byte", "lone \ud800 surrogate", "", "🔑" * 600])
def test_any_reason_can_be_kept(outbox: SqlOutbox, reason: str) -> None:
    outbox.add("article", ["1"])
    outbox.failed([change.number for change in outbox.claim(10)], reason)
    assert len(outbox.status()["article"].last_error) == min(len(reason), 500)


def test_the_status_counts_each_change_once(outbox: SqlOutbox, clock: Clock) -> None:
    outbox.add("article", ["poison"])
    fail_for_good(outbox, clock)
    outbox.add("article", ["a", "b", "c"])
    taken = outbox.claim(1)
    outbox.add("comment", ["1"])
    found = outbox.status()
    counted = found["article"]
    assert (counted.waiting, counted.taken, counted.aborted) == (2, 1, 1)
    assert counted.oldest is not None and abs(counted.oldest - time.time()) < 60
    assert counted.last_error == "poison"
    assert found["comment"].waiting == 1
    assert outbox.status(["comment", "nobody"]).keys() == {"comment", "nobody"}
    assert outbox.status(["nobody"]) == {"nobody": OutboxStatus()}
    assert outbox.status([]) == {}
    clock.now += 61
    assert outbox.status()["article"].waiting == 3
    assert len(taken) == 1


# --- several at once ------------------------------------------------------------------------------


def test_two_workers_never_get_the_same_change(kept: Any, outbox: SqlOutbox) -> None:
    wanted = list(map(str, range(600)))
    outbox.add("article", wanted)
    barrier = threading.Barrier(4)

    def work(connection: Any) -> list[str]:
        mine = outbox_on(connection, kept.dialect)
        found: list[str] = []
        barrier.wait()
        while changes := mine.claim(7):
            found += [change.key for change in changes]
            mine.done([change.number for change in changes])
        return found

    connections = [kept.connect() for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        found = [key for keys in pool.map(work, connections) for key in keys]
    assert sorted(found) == sorted(wanted)
    assert outbox.status() == {}


@pytest.mark.slow
def test_processes_that_write_take_and_fail_lose_nothing_and_double_nothing(engine: Any) -> None:
    outbox = outbox_on(engine.connect(), engine.dialect)
    outbox.create()
    command = [sys.executable, str(WORKER), "race", engine.kind, engine.address]
    running = [
        subprocess.Popen(
            [*command, str(number)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for number in range(4)
    ]
    ends = [(*process.communicate(), process.returncode) for process in running]
    assert [end[1:] for end in ends] == [("", 0)] * 4
    found = [key for out, _, _ in ends for key in out.split()]
    found += [change.key for change in outbox.claim(10_000)]
    assert sorted(found) == sorted(f"{number}-{turn}" for number in range(4) for turn in range(100))


# --- backfill, places, state ----------------------------------------------------------------------


KEYS: list[tuple[str, list[Any], Any]] = [
    ("BIGINT", [2, 10, 9, 9_007_199_254_740_993, 1, 9_007_199_254_740_992], int),
    ("VARCHAR(60)", ["b", "a", "it's %s ? \\", "10", "9", "é"], str),
    (
        "DATE",
        ["2024-01-02", "2024-01-10", "2023-12-31", "2024-02-01", "2025-01-01", "2024-01-03"],
        str,
    ),
]
PAGES = {None: 1, 1: 7, 4: 2, 6: 2}


def _insert(connection: Any, engine: Any, name: str, *values: Any) -> None:
    shown = ", ".join(
        "NULL" if value is None else "'" + _escaped(engine, str(value)) + "'" for value in values
    )
    connection.execute(f"INSERT INTO {name} VALUES ({shown})")


def _escaped(engine: Any, text: str) -> str:
    doubled = text.replace("'", "''")
    return doubled.replace("\\", "\\\\") if engine.dialect == "mysql" else doubled


def test_rows_with_composite_and_binary_keys_are_paged(engine: Any) -> None:
    connection = engine.connect()
    binary = {"sqlite": "BLOB", "postgresql": "bytea", "mysql": "VARBINARY(8)"}[engine.dialect]
    connection.execute(f"CREATE TABLE pair (one INTEGER, two {binary}, PRIMARY KEY (one, two))")
    for one in (2, 10):
        for two in (b"\x00\xff", b"\x01", b"a\x00"):
            connection.execute("INSERT INTO pair VALUES (?, ?)", [one, two])
    table = Table(
        name="pair", key={"one": int, "two": bytes.fromhex}, columns={"one": "one", "two": "two"}
    )
    pages = KeysetPages(Sql(connection.run, engine.dialect), table)
    found: list[str] = []
    while page := pages.page(found[-1] if found else None, 2):
        found += page
    assert len(found) == len(set(found)) == 6


@pytest.mark.parametrize(("kind", "parse"), [("INTEGER", int), ("VARCHAR(20)", str)])
def test_rows_with_one_key_are_counted_and_paged_in_the_order_of_the_column(
    engine: Any, kind: str, parse: Any
) -> None:
    connection = engine.connect()
    connection.execute(f"CREATE TABLE page (id {kind} PRIMARY KEY, owner VARCHAR(20))")
    keys = [9, 10, 100, 11, 2]
    for key in keys:
        connection.execute("INSERT INTO page VALUES (?, ?)", [parse(key), f"owner {key % 2}"])
    table = Table(name="page", key={"id": parse}, columns={"id": "id", "owner": "owner"})
    pages = KeysetPages(Sql(connection.run, engine.dialect), table)
    assert pages.count() == 5 and pages.count_without_key() == 0
    assert sorted(pages.tenants("owner")) == ["owner 0", "owner 1"]
    wanted = list(map(str, sorted(map(parse, keys))))
    assert pages.page(None, 3) == wanted[:3]
    assert pages.page(wanted[2], 3) == wanted[3:] and pages.page(wanted[4], 3) == []


def refuse(text: str) -> Any:
    """Parses no key."""
    raise ValueError(text)


@pytest.mark.parametrize(("parse", "count"), [(str, 3), (bytes.fromhex, 2), (refuse, 2)])
def test_rows_whose_key_identifies_no_row_are_counted_on_sqlite(parse: Any, count: int) -> None:
    with closing(sqlite3.connect(":memory:")) as raw:
        raw.execute("CREATE TABLE page (id TEXT PRIMARY KEY)")
        raw.executemany("INSERT INTO page VALUES (?)", [["a"], [b"b"], [None], [None]])
        table = Table(name="page", key={"id": parse}, columns={"id": "id"})
        pages = KeysetPages(Sql(lambda *given: raw.execute(*given).fetchall(), "sqlite"), table)
        assert (pages.count(), pages.count_without_key()) == (4, count)


def test_places_remember_where_rows_were_put(outbox: SqlOutbox) -> None:
    outbox.put_place("article", "1", "acme", 5)
    outbox.put_place("article", "1", "other", 7)
    outbox.put_place("article", "1", "acme", 3)
    outbox.put_place("article", "2", "acme ", 1)
    outbox.put_place("comment", "1", "acme", 9)
    assert outbox.places("article", ["1", "2", "3"]) == {
        "1": {"acme": 5, "other": 7},
        "2": {"acme ": 1},
    }
    outbox.put_place("article", "1", "acme", 8)
    assert outbox.places("article", ["1"]) == {"1": {"acme": 8, "other": 7}}
    outbox.forget_places("article", ["1"])
    assert outbox.places("article", ["1", "2"]) == {"2": {"acme ": 1}}
    assert outbox.places("article", []) == {}
    assert outbox.tenants("article") == ["acme "]


def test_places_whose_names_run_together_are_kept_apart(outbox: SqlOutbox) -> None:
    outbox.put_place("article", "1", "2x", 5)
    outbox.put_place("article", "12", "x", 6)
    assert outbox.places("article", ["1", "12"]) == {"1": {"2x": 5}, "12": {"x": 6}}


def test_state_is_kept_by_collection_and_name(outbox: SqlOutbox) -> None:
    assert outbox.get_state("article", "cursor") is None
    outbox.set_state("article", "cursor", "1")
    outbox.set_state("article", "cursor", "2 % ? 'x'")
    outbox.set_state("comment", "cursor", "")
    assert outbox.get_state("article", "cursor") == "2 % ? 'x'"
    assert outbox.get_state("comment", "cursor") == ""


def test_a_forgotten_collection_leaves_nothing_and_touches_no_other(outbox: SqlOutbox) -> None:
    for name in ("article", "comment"):
        outbox.add(name, ["1"])
        outbox.put_place(name, "1", "acme", 1)
        outbox.set_state(name, "cursor", "1")
    outbox.forget("article")
    assert list(outbox.keys("article")) == []
    assert outbox.places("article", ["1"]) == {}
    assert outbox.get_state("article", "cursor") is None
    assert list(outbox.keys("comment")) == ["1"]
    assert outbox.places("comment", ["1"]) == {"1": {"acme": 1}}
    assert outbox.get_state("comment", "cursor") == "1"


# --- several indexes ------------------------------------------------------------------------------


def reader(connection: Any, kept: Any, clock: Clock, name: str) -> SqlOutbox:
    """The outbox as one registered index sees it."""
    Consumers(Sql(connection.run, kept.dialect), clock).register(
        name, f"host:/{name}", 1, 1, ["article"]
    )
    return outbox_on(connection, kept.dialect, clock=clock, random=lambda: 1.0, consumer=name)


def test_the_only_index_takes_changes_as_they_are(connection: Any, kept: Any, clock: Clock) -> None:
    one = reader(connection, kept, clock, "one")
    one.add("article", ["a"])
    one.distribute()
    assert [change.key for change in one.claim(10)] == ["a"]


def test_each_index_gets_every_change_once(connection: Any, kept: Any, clock: Clock) -> None:
    one, two = reader(connection, kept, clock, "one"), reader(connection, kept, clock, "two")
    one.add("article", ["a", "b"])
    mine, theirs = one.claim(10), two.claim(10)
    assert [change.key for change in mine] == [change.key for change in theirs] == ["a", "b"]
    assert [change.mark for change in mine] == [change.mark for change in theirs]
    assert not {change.number for change in mine} & {change.number for change in theirs}
    one.done([change.number for change in mine])
    assert one.status(["article"])["article"].taken == 0
    assert two.status(["article"])["article"].taken == 2


def test_a_failure_of_one_index_is_no_other_ones(connection: Any, kept: Any, clock: Clock) -> None:
    one, two = reader(connection, kept, clock, "one"), reader(connection, kept, clock, "two")
    one.add("article", ["a"])
    one.failed([change.number for change in one.claim(10)], "too long")
    assert one.claim(10) == [] and [change.key for change in two.claim(10)] == ["a"]
    assert one.status()["article"].last_error == "too long"
    assert two.status()["article"].last_error == ""


def test_what_is_for_one_index_is_for_nobody_else(connection: Any, kept: Any, clock: Clock) -> None:
    one, two = reader(connection, kept, clock, "one"), reader(connection, kept, clock, "two")
    one.add("article", ["a"], consumer="one")
    assert two.claim(10) == [] and [change.key for change in one.claim(10)] == ["a"]


def test_a_change_that_one_index_reads_or_none_yet_stays_as_it_is(
    connection: Any, kept: Any, clock: Clock
) -> None:
    one = reader(connection, kept, clock, "one")
    one.add("article", ["a"])
    one.add("picture", ["p"])
    stored = f"SELECT id, row_key, consumer FROM {OUTBOX} ORDER BY id"
    before = connection.run(stored, [])
    one.distribute()
    assert connection.run(stored, []) == before and len(before) == 2


def test_what_only_one_index_reads_is_copied_for_nobody(
    connection: Any, kept: Any, clock: Clock
) -> None:
    one, two = reader(connection, kept, clock, "one"), reader(connection, kept, clock, "two")
    Consumers(Sql(connection.run, kept.dialect), clock).subscribe("two", ["comment"])
    one.add("comment", ["c"])
    one.add("article", ["a"])
    one.distribute()
    assert [change.key for change in one.claim(10)] == ["a"]
    assert sorted(change.key for change in two.claim(10)) == ["a", "c"]


def test_an_index_that_is_dropped_leaves_nothing_behind(
    connection: Any, kept: Any, clock: Clock
) -> None:
    one, two = reader(connection, kept, clock, "one"), reader(connection, kept, clock, "two")
    one.add("article", ["a"])
    one.distribute()
    Consumers(Sql(connection.run, kept.dialect), clock).drop("two")
    assert two.claim(10) == [] and [change.key for change in one.claim(10)] == ["a"]
    assert connection.run(f"SELECT COUNT(*) FROM {OUTBOX}", [])[0][0] == 1


def test_an_index_is_lost_when_it_has_been_away_for_too_long(
    connection: Any, kept: Any, clock: Clock
) -> None:
    consumers = Consumers(Sql(connection.run, kept.dialect), clock)
    consumers.register("file", "host:/index.db", 1, 1)
    consumers.register("memory", "", 1, 1)
    assert consumers.lost() == []
    clock.now += KEPT_IN_MEMORY + 1
    assert [lost.consumer for lost in consumers.lost()] == ["memory"]
    clock.now += KEPT_FOR
    assert {lost.consumer for lost in consumers.lost()} == {"file", "memory"}


def test_a_new_index_in_the_place_of_another_replaces_it(
    connection: Any, kept: Any, clock: Clock
) -> None:
    consumers = Consumers(Sql(connection.run, kept.dialect), clock)
    consumers.register("old", "host:/index.db", 5, 1)
    consumers.register("new", "host:/index.db", 1, 1)
    assert [each.consumer for each in consumers.every()] == ["new"]


def test_an_acknowledgement_never_goes_back(connection: Any, kept: Any, clock: Clock) -> None:
    consumers = Consumers(Sql(connection.run, kept.dialect), clock)
    consumers.register("one", "", 1, 11)
    consumers.acknowledge("one", 3, 33)
    consumers.acknowledge("one", 2, 22)
    found = consumers.get("one")
    assert found is not None and (found.acknowledged, found.mark) == (3, 33)


def test_the_identity_of_an_outbox_stays(connection: Any, kept: Any) -> None:
    consumers = Consumers(Sql(connection.run, kept.dialect))
    assert consumers.outbox_id() == consumers.outbox_id() != ""


def test_a_lease_from_the_future_is_none(outbox: SqlOutbox, clock: Clock) -> None:
    outbox.add("article", ["a"])
    clock.now += 86_400  # a machine whose clock is a day ahead takes it, and dies
    assert len(outbox.claim(10)) == 1
    clock.now -= 86_400
    assert outbox.status()["article"].taken == 0
    assert [change.key for change in outbox.claim(10)] == ["a"]


def test_the_last_number_is_that_of_the_last_change(outbox: SqlOutbox) -> None:
    outbox.add("article", ["a", "b"])
    last = outbox.last_number()
    numbers = [change.number for change in outbox.claim(10)]
    assert last >= 0 and outbox.last_number() >= max(numbers)
    outbox.add("article", ["c"])
    assert outbox.claim(10)[0].number > last


def test_looking_without_a_lease_changes_nothing(connection: Any, kept: Any, clock: Clock) -> None:
    outbox = outbox_on(connection, kept.dialect, clock=clock)
    outbox.add("article", ["a"])
    if not outbox.reads_without_lease:
        pytest.skip("this database numbers pending changes anew when they are taken")
    looked_at = outbox.claim(10, lease=False)
    assert looked_at == outbox.claim(10, lease=False) and len(looked_at) == 1
    outbox.done([looked_at[0].number])
    assert outbox.claim(10, lease=False) == []
