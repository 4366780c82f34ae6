"""When a database has committed, and only then."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from typing import Any

import peewee
import pytest
from playhouse.apsw_ext import APSWDatabase
from playhouse.pool import PooledMySQLDatabase, PooledPostgresqlDatabase, PooledSqliteDatabase
from playhouse.test_utils import count_queries
from semantic_core_peewee import PeeweeAdapter, SemanticIndex
from semantic_core_peewee.commits import commits_of, in_transaction

from semantic_core.orm import bind_declared
from semantic_core.testing import HashEmbedder

Make = Callable[..., Any]


class Oops(Exception):
    """What goes wrong in an application."""


class Listener:
    """Counts commits, and checks that no transaction is open when it is called."""

    def __init__(self, db: Any) -> None:
        self.db, self.commits = db, 0
        commits_of(db).after(self.count)

    def count(self) -> None:
        assert not in_transaction(self.db)
        self.commits += 1


@pytest.fixture
def listener(database: Any) -> Listener:
    """On every kind of database in turn, with a table t (x)."""
    database.execute_sql("CREATE TABLE t (x INTEGER)")
    return Listener(database)


def add(db: Any) -> None:
    db.execute_sql("INSERT INTO t (x) VALUES (1)")


def test_a_statement_of_its_own_is_a_commit(listener: Listener) -> None:
    add(listener.db)
    assert listener.commits == 1
    listener.db.execute_sql(" -- a note\n/* and another */ insert into t (x) select x from t")
    assert listener.commits == 2


def test_reading_is_none(listener: Listener) -> None:
    listener.db.execute_sql("SELECT x FROM t").fetchall()
    listener.db.execute_sql("WITH w AS (SELECT 1 AS x) SELECT x FROM w").fetchall()
    with listener.db.atomic():
        listener.db.execute_sql("SELECT x FROM t").fetchall()
    assert listener.commits == 0


def test_a_block_is_one_however_deep_it_goes(listener: Listener) -> None:
    with listener.db.atomic():
        add(listener.db)
        with listener.db.atomic():
            add(listener.db)
            with listener.db.savepoint():
                add(listener.db)
        assert listener.commits == 0
    assert listener.commits == 1


def test_what_is_rolled_back_is_never_noticed(listener: Listener) -> None:
    with pytest.raises(Oops), listener.db.atomic():
        add(listener.db)
        raise Oops
    with listener.db.atomic() as block:
        add(listener.db)
        block.rollback()
    listener.db.execute_sql("BEGIN")
    add(listener.db)
    listener.db.execute_sql("ROLLBACK")
    assert listener.commits == 0
    with pytest.raises(peewee.DatabaseError):
        listener.db.execute_sql("INSERT INTO nowhere VALUES (1)")
    assert listener.commits == 0


def test_a_callback_that_fails_neither_stops_the_others_nor_reaches_the_application(
    listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def count(self) -> None:
            raise Oops("no")

    broken, last = Broken(), Listener(listener.db)
    commits = commits_of(listener.db)
    commits._after.insert(0, commits._after.pop())
    commits.after(broken.count)
    commits._after.insert(0, commits._after.pop())
    with listener.db.atomic():
        add(listener.db)
    assert (listener.commits, last.commits) == (1, 1) and "Oops: no" in caplog.text
    assert listener.db.execute_sql("SELECT count(*) FROM t").fetchone()[0] == 1


def test_a_time_limit_after_a_commit_reaches_the_application_as_what_it_is(database: Any) -> None:
    """And not as a transaction that cannot be rolled back."""

    class Slow(Listener):
        def count(self) -> None:
            super().count()
            signal.raise_signal(signal.SIGALRM)

    def ring(number: int, frame: Any) -> None:
        raise Oops("time is up")

    database.execute_sql("CREATE TABLE t (x INTEGER)")
    before = signal.signal(signal.SIGALRM, ring)
    try:
        listener = Slow(database)
        with pytest.raises(Oops, match="time is up"), database.atomic():
            add(database)
        with pytest.raises(Oops, match="time is up"):
            add(database)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert listener.commits == 2
    assert database.execute_sql("SELECT count(*) FROM t").fetchone()[0] == 2
    with pytest.raises(Oops, match="by itself"), database.atomic():
        database.execute_sql("DELETE FROM t")
        raise Oops("by itself")
    assert database.execute_sql("SELECT count(*) FROM t").fetchone()[0] == 2


def test_callbacks_go_with_their_objects(listener: Listener) -> None:
    other = Listener(listener.db)
    del other
    add(listener.db)
    assert (
        listener.commits == 1
        and len(commits_of(listener.db)._living(commits_of(listener.db)._after)) == 1
    )


def test_a_callback_may_write_itself(database: Any) -> None:
    database.execute_sql("CREATE TABLE t (x INTEGER)")

    class Writer:
        times = 0

        def count(self) -> None:
            self.times += 1
            with database.atomic():
                add(database)
            add(database)

    writer = Writer()
    commits_of(database).after(writer.count)
    add(database)
    assert writer.times == 1 and database.execute_sql("SELECT count(*) FROM t").fetchone()[0] == 3


def test_a_commit_that_is_refused_is_none(db: Any) -> None:
    db.execute_sql("CREATE TABLE parent (id INTEGER PRIMARY KEY)")
    db.execute_sql("CREATE TABLE child (p INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED)")
    listener = Listener(db)
    with pytest.raises(peewee.IntegrityError), db.atomic():
        db.execute_sql("INSERT INTO child VALUES (1)")
    assert listener.commits == 0 and db.execute_sql("SELECT count(*) FROM child").fetchone()[0] == 0


def test_threads_do_not_notice_each_others_open_transactions(db: Any) -> None:
    db.execute_sql("CREATE TABLE t (x INTEGER)")
    listener = Listener(db)
    go, done = threading.Event(), threading.Event()

    def hold() -> None:
        with db.atomic():
            db.execute_sql("SELECT x FROM t").fetchall()
            go.set()
            done.wait(5)
        db.close()

    thread = threading.Thread(target=hold)
    thread.start()
    go.wait(5)
    add(db)
    assert listener.commits == 1
    done.set()
    thread.join()
    assert listener.commits == 1


def test_a_database_has_one_commit_listener_however_often_it_is_asked_for(db: Any) -> None:
    run = commits_of(db)._execute
    assert commits_of(db) is commits_of(db) and commits_of(db)._execute == run


class PooledApsw(PooledSqliteDatabase, APSWDatabase):
    """As Peewee's documentation composes one."""


@pytest.mark.parametrize(
    ("kind", "pooled"),
    [
        ("sqlite3", PooledSqliteDatabase),
        ("apsw", PooledApsw),
        ("postgresql", PooledPostgresqlDatabase),
        ("mysql", PooledMySQLDatabase),
    ],
)
def test_pooled_databases_are_followed_too(
    kind: str, pooled: Any, open_database: Make, core: Any
) -> None:
    shared = {"check_same_thread": False} if kind == "sqlite3" else {}
    db = open_database(kind, of=pooled, **shared)

    class Note(peewee.Model):
        body = peewee.TextField()
        search = SemanticIndex(["body"], sync="background")

        class Meta:
            database = db

    db.create_tables([Note])
    bind_declared(PeeweeAdapter, core, database=db)
    db.close()

    def request(number: int) -> None:
        with db.connection_context(), db.atomic():
            Note.create(body=f"words {number}")

    threads = [threading.Thread(target=request, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with db.connection_context():
        assert len(Note.search("words", fresh=True)) == 4
    core.close()
    assert db._in_use == {}
    db.close_all()


def test_a_proxy_is_followed_through(open_database: Make, core: Any) -> None:
    proxy = peewee.DatabaseProxy()

    class Note(peewee.Model):
        body = peewee.TextField()
        search = SemanticIndex(["body"])

        class Meta:
            database = proxy

    proxy.initialize(open_database("sqlite3"))
    proxy.create_tables([Note])
    bind_declared(PeeweeAdapter, core, database=proxy)
    with proxy.atomic():
        Note.create(body="through a proxy")
    assert [note.body for note in Note.search("proxy")] == ["through a proxy"]


def test_an_application_that_counts_its_queries_counts_its_own(one_shelf: Any) -> None:
    with count_queries() as counted:
        row = one_shelf.Article.create(title="counted", content="text")
        row.content = "changed"
        row.save()
        one_shelf.Article.insert_many([{"title": "both", "content": "text"}]).execute()
    assert counted.count == 3
    assert sorted(one_shelf.indexed().values()) == ["both|text", "counted|changed"]


def test_the_queries_of_the_index_have_a_log_of_their_own(
    one_shelf: Any, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("peewee").setLevel(logging.DEBUG)
    try:
        with caplog.at_level(logging.DEBUG, logger="semantic_core.sql"):
            one_shelf.Article.create(title="logged", content="text")
    finally:
        logging.getLogger("peewee").setLevel(logging.NOTSET)
    told = [str(record.msg) for record in caplog.records if record.name == "semantic_core.sql"]
    assert told and all("semantic_" in sql or "SELECT" in sql for sql in told)


def test_what_bypasses_the_database_object_is_noticed_with_the_next_commit(one_shelf: Any) -> None:
    one_shelf.db.cursor().execute(
        "INSERT INTO article (title, content, stars, draft) VALUES ('past', 'text', 0, 0)"
    )
    assert one_shelf.indexed() == {} and one_shelf.Article.search.status().waiting == 1
    one_shelf.Article.create(title="commits", content="text")
    assert sorted(one_shelf.indexed().values()) == ["commits|text", "past|text"]


def test_a_worker_thread_leaves_no_connection_open(
    open_database: Make, new_core: Make, new_shelf: Make
) -> None:
    shelf = new_shelf(
        open_database("postgresql"), core=new_core(embedder=HashEmbedder()), sync="background"
    )
    for number in range(5):
        shelf.Article.create(title=f"t{number}", content="text")
    assert len(shelf.find("text", fresh=True)) == 5
    shelf.core.close()
    name = shelf.db.execute_sql("SELECT pg_backend_pid()").fetchone()[0]
    path = shelf.db.execute_sql("SHOW search_path").fetchone()[0]
    others = shelf.db.execute_sql(
        "SELECT count(*) FROM pg_stat_activity WHERE pid <> %s AND query LIKE %s",
        (name, f"%{path}%"),
    ).fetchone()[0]
    assert others == 0
