"""A world for random histories: an application's database, several hosts with an index each, and
everything that happens to them. What an index answers is compared with the rows; a difference
nobody speaks of is the only failure.

The world knows no ORM: an `Application` writes with one. A `Place` is the database itself, which is
backed up and restored.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import attrs
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from semantic_core_peewee import SqliteStore

from semantic_core import SemanticCore
from semantic_core.orm import BaseORMAdapter, SemanticIndex, agreement
from semantic_core.orm.outbox import LEASE
from semantic_core.testing import HashEmbedder
from semantic_core.testing.check import SOAK

sys.path.insert(0, str(Path(__file__).parent))
from databases import Connection, Database, need, new_database

History = Sequence[tuple[Any, ...]]
"""What happens, in order: the name of a method of `World`, and its arguments."""
# Files that need not outlive the test, where there is such a place.
MEMORY = Path("/dev/shm")  # noqa: S108
WORDS = ("tomato", "elephant", "purple", "river", "candle", "orchid", "granite", "violin")
EMBEDDER = HashEmbedder()


class Crash(BaseException):
    """The process ends here."""


@attrs.define
class Clock:
    """Seconds since 1970 as every host of the world sees them."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Application:
    """What an application does in one process, with one ORM, to a table of notes.

    table, tag: what the table is called, and the column that is not indexed; its others are `id`
    and `body`.
    """

    table: ClassVar[str] = "note"
    tag_column: ClassVar[str] = "tag"

    def open(self, database: Database, core: SemanticCore) -> BaseORMAdapter:
        """Connect, make sure of the table, and bind its index, which is processed by hand;
        install nothing.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Close all connections."""
        raise NotImplementedError

    def save(self, id: int, body: str) -> None:
        """Change the row, or make it, the way the ORM does with one object."""
        raise NotImplementedError

    def delete(self, id: int) -> None:
        """Delete the row, if it is there."""
        raise NotImplementedError

    def save_many(self, bodies: Mapping[int, str]) -> None:
        """Insert these rows in one statement; those that are there are replaced or changed."""
        raise NotImplementedError

    def run(self, sql: str) -> None:
        """Run a statement past the ORM, on its connection."""
        raise NotImplementedError

    def tag(self, id: int, text: str) -> None:
        """Change a column that is not indexed."""
        raise NotImplementedError

    def roll_back(self, body: str) -> None:
        """Change every row, and take it back."""
        raise NotImplementedError

    def rows(self) -> dict[str, str]:
        """Id as text -> body, as the ORM reads them."""
        raise NotImplementedError


class Place:
    """The database of a world, as its administrator sees it."""

    def __init__(self, database: Database, application: type[Application]) -> None:
        self.database, self.application = database, application

    def execute(self, sql: str) -> None:
        """What another program does; committed."""
        raise NotImplementedError

    def back_up(self) -> Any:
        """Its state, for `restore`."""
        raise NotImplementedError

    def restore(self, backup: Any) -> None:
        """Put that state in the place of the one there is, under open connections or not."""
        raise NotImplementedError


class FilePlace(Place):
    """A file of SQLite: a backup is a file too."""

    numbers = count(1)

    def execute(self, sql: str) -> None:
        raw = sqlite3.connect(self.database.address, timeout=5)
        with raw:
            raw.execute(sql)
        raw.close()

    def back_up(self) -> str:
        backup = f"{self.database.address}.{next(self.numbers)}.copy"
        self._copy(self.database.address, backup)
        return backup

    def restore(self, backup: str) -> None:
        self._copy(backup, self.database.address)

    def _copy(self, source: str, target: str) -> None:
        here, there = sqlite3.connect(source, timeout=5), sqlite3.connect(target, timeout=5)
        here.backup(there)
        here.close()
        there.close()


class ServerPlace(Place):
    """A schema of PostgreSQL: a backup has the rows of the application and of the outbox,
    and where its sequence stood.
    """

    def __init__(self, database: Database, application: type[Application]) -> None:
        super().__init__(database, application)
        self.connection: Connection = database.connect()

    def execute(self, sql: str) -> None:
        self.connection.run(sql)

    def back_up(self) -> tuple[dict[str, list[tuple[Any, ...]]], dict[str, tuple[Any, ...]]]:
        tables = [*self._named("tablename", "pg_tables"), self.application.table]
        sequences = self._named("sequencename", "pg_sequences")
        rows = {name: self.connection.run(f"SELECT * FROM {name}") for name in tables}
        stood = {
            name: self.connection.run(f"SELECT last_value, is_called FROM {name}")[0]
            for name in sequences
        }
        return rows, stood

    def restore(
        self, backup: tuple[dict[str, list[tuple[Any, ...]]], dict[str, tuple[Any, ...]]]
    ) -> None:
        tables, sequences = backup
        with self.connection.transaction():
            # So no trigger hears of it.
            self.connection.run("SET LOCAL session_replication_role = replica")
            for name, rows in tables.items():
                self.connection.run(f"DELETE FROM {name}")
                for row in rows:
                    marks = ", ".join(["%s"] * len(row))
                    self.connection.run(
                        f"INSERT INTO {name} OVERRIDING SYSTEM VALUE VALUES ({marks})", row
                    )
            for name, stood in sequences.items():
                self.connection.run(f"SELECT setval('{name}', %s, %s)", stood)

    def _named(self, column: str, catalog: str) -> list[str]:
        own = f"schemaname = current_schema() AND {column} LIKE 'semantic%'"
        return [
            name for (name,) in self.connection.run(f"SELECT {column} FROM {catalog} WHERE {own}")
        ]


class Host:
    """One process with its own connection and its own index file."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.path = world.folder / f"{name}.index.db"
        self.running = False

    def start(self) -> None:
        """Open the database and the index, and bind them, as an application does when it starts."""
        store = SqliteStore(EMBEDDER.space, self.path, durability="normal")
        self.core = SemanticCore(store=store, embedder=EMBEDDER, plugins=[])
        self.application = self.world.place.application()
        self.index: Any = self.application.open(self.world.place.database, self.core)
        self.index.coordinator.outbox._clock = self.world.clock
        self.index.coordinator.agreement.consumers._clock = self.world.clock
        self.index.install()
        self.running = True

    def stop(self) -> None:
        """End the process in order."""
        if self.running:
            self.core.close()
            self.application.close()
            self.running = False

    def kill(self) -> None:
        """End it without a word: what it has written is there, nothing else."""
        if self.running:
            # It hears of no commit any more, nor of what others in this process do.
            self.index.coordinator.stop()
            self.core.store.close()
            self.application.close()
            self.running = False

    def up(self) -> Host:
        """This host, running."""
        if not self.running:
            self.start()
        return self

    # --- what is compared -------------------------------------------------------------------------

    def held(self) -> dict[str, str]:
        """What the index says, whatever there are of rows."""
        found: dict[str, str] = {}
        for summary in self.core.documents(limit=1_000):
            document = self.core.get(summary.ref)
            if document is not None:
                found[summary.ref.key] = document.text
        return found

    def check_silence(self) -> str:
        """An answer as it comes: "" if it agrees with the rows, or says itself why it may not."""
        answer = self.index.search(
            "tomato elephant purple river candle orchid granite violin", limit=100, mode="text"
        )
        status = self.index.status()
        if answer.degraded or status.waiting or status.taken or status.aborted:
            return ""
        rows, held = self.application.rows(), self.held()
        return "" if rows == held else f"{self.name} is silent: rows {rows}, index {held}"

    def check_settled(self) -> str:
        """After a worker has been here once, the index holds the rows."""
        report = self.core.sync()
        rows, held = self.application.rows(), self.held()
        if rows != held:
            return f"{self.name} after a worker: rows {rows}, index {held}, failed {report.failed}"
        verdict = self.index.verify()
        return "" if verdict.sound else f"{self.name} is not sound: {verdict}"


class World:
    """The database, its backups, its hosts."""

    def __init__(self, folder: Path, place: Place) -> None:
        self.folder, self.place = folder, place
        self.clock = Clock()
        self.texts = count(1)
        self.hosts: dict[str, Host] = {}
        self.backups: list[Any] = []
        self.index_backups: dict[str, Path] = {}
        self.host("a")

    def host(self, name: str) -> Host:
        """The host of this name, running; it is new if there is none."""
        if name not in self.hosts:
            self.hosts[name] = Host(self, name)
        return self.hosts[name].up()

    def close(self) -> None:
        """End all processes."""
        for host in self.hosts.values():
            host.stop()

    def text(self) -> str:
        """A text no row has had."""
        number = next(self.texts)
        return f"{WORDS[number % len(WORDS)]} {number}"

    # --- what happens -----------------------------------------------------------------------------

    def write(self, name: str, what: str, id: int) -> None:
        """Something of an application: one statement,
        or several in a transaction that may be rolled back.
        """
        application, text = self.host(name).application, self.text()
        table = application.table
        if what == "save":
            application.save(id, text)
        elif what == "delete":
            application.delete(id)
        elif what == "many":
            application.save_many({each: f"{text} {each}" for each in range(id, id + 3)})
        elif what == "raw":
            application.run(f"update {table} set body = '{text}' where id >= {id}")
        elif what == "tag":
            application.tag(id, text)
        elif what == "rollback":
            application.roll_back(text)
        elif what == "other program":
            self.place.execute(
                f"insert into {table} (id, body, {application.tag_column}) values ({id}, '{text}', "
                "'') "
                "on conflict (id) do update set body = excluded.body"
            )

    def sync(self, name: str, limit: int | None) -> None:
        """A worker comes by, perhaps for a few changes only."""
        self.host(name).core.sync(limit=limit)

    def crash(self, name: str, where: str) -> None:
        """A worker dies in the middle of its work."""
        host = self.host(name)
        store, outbox = host.core.store, host.index.coordinator.outbox
        target: Any = store if where.startswith("store") else outbox
        method = {
            "store before": "replace",
            "store after": "replace",
            "done": "done",
            "claim": "claim",
        }[where]
        real: Callable[..., Any] = getattr(target, method)

        def die(*args: Any, **options: Any) -> Any:
            if where != "store before" and where != "done":
                real(*args, **options)
            raise Crash

        setattr(target, method, die)
        with suppress(Crash):
            host.core.sync()
        host.kill()

    def restart(self, name: str) -> None:
        """A process ends and another begins."""
        self.host(name).stop()
        self.host(name)

    def back_up(self) -> None:
        """Copy the application's database as it is."""
        self.backups.append(self.place.back_up())

    def restore(self, which: int, live: bool) -> None:
        """Put an older state of the database in the place of this one,
        under running processes or not.
        """
        if not self.backups:
            return
        if not live:
            self.close()
        self.place.restore(self.backups[which % len(self.backups)])

    def back_up_index(self, name: str) -> None:
        """Copy an index as it is."""
        host = self.host(name)
        path = self.folder / f"{name}.{next(self.texts)}.backup"
        host.core.store.backup(path)
        self.index_backups[name] = path

    def restore_index(self, name: str, into: str) -> None:
        """Put an older copy of an index in its place; or in the place of another host's,
        or of a new host's.
        """
        if name not in self.index_backups:
            return
        if into in self.hosts:
            self.hosts[into].stop()
        host = self.hosts.setdefault(into, Host(self, into))
        _remove(host.path)
        shutil.copy(self.index_backups[name], host.path)

    def lose_index(self, name: str) -> None:
        """The file of an index is gone."""
        host = self.host(name)
        host.stop()
        _remove(host.path)

    def leave(self, name: str) -> None:
        """A host is switched off; it may come back."""
        self.host(name).stop()

    def shift(self, days: float) -> None:
        """The clock of every host goes forward or back."""
        self.clock.now += days * 86_400

    def migrate(self) -> None:
        """A migration makes the table anew, as tools do for SQLite: its triggers are gone."""
        self.close()
        table, tag = self.place.application.table, self.place.application.tag_column
        for statement in (
            (
                "create table anew (id integer not null primary key, body text not null, "
                f"{tag} text not null)"
            ),
            f"insert into anew select id, body, {tag} from {table}",
            f"drop table {table}",
            f"alter table anew rename to {table}",
            f"update {table} set body = body || ' migrated' where id = 1",
        ):
            self.place.execute(statement)

    # --- what must hold ---------------------------------------------------------------------------

    def silent(self) -> list[str]:
        """What running hosts answer wrongly without a word."""
        return [
            why for host in self.hosts.values() if host.running and (why := host.check_silence())
        ]

    def settled(self) -> list[str]:
        """What is wrong after one worker has been at every host, once,
        when what a dead worker had is free again.
        """
        silent = [why for name in self.hosts if (why := self.host(name).check_silence())]
        self.clock.now += LEASE + 1
        return silent or [why for name in self.hosts if (why := self.host(name).check_settled())]


PLACES: dict[str, type[Place]] = {"sqlite3": FilePlace, "postgresql": ServerPlace}


@contextmanager
def new_world(kind: str, application: type[Application]) -> Iterator[World]:
    """A world with a new database, one host and no row."""
    folder = Path(
        tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None, prefix="semantic-history-")
    )
    try:
        with new_database(kind, folder) as database:
            # The world declares models from its first host on.
            declared, pause = list(SemanticIndex._declared), agreement.PAUSE
            world = World(folder, PLACES[kind](database, application))
            agreement.PAUSE = 0.0  # nobody else is in the middle of something: no use in waiting
            try:
                yield world
            finally:
                world.close()
                agreement.PAUSE = pause
                # Models of ended processes are looked at by nobody any more.
                SemanticIndex._declared[:] = declared
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def told(kind: str, application: type[Application], history: History) -> list[str]:
    """Let all of it happen; what was silent, or wrong in the end."""
    with new_world(kind, application) as world:
        for step, *rest in history:
            if step == "look":
                wrong = world.silent()
                if wrong:
                    return wrong
            else:
                getattr(world, step)(*rest)
        return world.settled()


def histories(shortest: int = 8) -> st.SearchStrategy[list[tuple[Any, ...]]]:
    """What may happen, in any order; writes and workers most often.
    shortest: how many steps at least.
    """
    hosts, ids = st.sampled_from(["a", "a", "b", "c"]), st.integers(1, 4)
    written = ["save", "save", "delete", "many", "raw", "tag", "rollback", "other program"]
    writes = st.tuples(st.just("write"), hosts, st.sampled_from(written), ids)
    work = st.tuples(st.just("sync"), hosts, st.sampled_from([None, None, 1, 2]))
    crash = st.tuples(
        st.just("crash"), hosts, st.sampled_from(["store before", "store after", "done", "claim"])
    )
    rare = st.one_of(
        crash,
        st.tuples(st.just("restart"), hosts),
        st.tuples(st.just("restore"), st.integers(0, 3), st.booleans()),
        st.tuples(st.just("restore_index"), hosts, hosts),
        st.tuples(st.just("lose_index"), hosts),
        st.tuples(st.just("leave"), hosts),
        st.tuples(st.just("shift"), st.sampled_from([-400.0, -1.0, 0.5, 8.0, 400.0])),
        st.tuples(st.just("migrate")),
    )
    copies = st.one_of(st.tuples(st.just("back_up")), st.tuples(st.just("back_up_index"), hosts))
    step = st.one_of(writes, writes, writes, work, work, copies, rare, st.tuples(st.just("look")))
    return st.lists(step, min_size=shortest, max_size=24)


def play(kind: str, application: type[Application], usual: int, part: int = 0) -> Counter[str]:
    """Play random histories; fails with the shortest that ends in a difference nobody speaks of.
    Gives how many histories it played, and of how many steps.

    usual: how many where the figures are wanted, and so many times as many as SEMANTIC_CORE_SOAK
    says; an eighth of them in every other run. part: other parts play others. In CI they are always
    the same.
    """
    soak = os.environ.get(SOAK)
    measuring = bool(soak or os.environ.get("TRUST_FIGURES"))

    need(kind)
    played: Counter[str] = Counter()

    @settings(
        max_examples=usual * int(soak or 1) if measuring else usual // 8,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(histories())
    def no_silent_difference(history: History) -> None:
        played.update(histories=1, steps=len(history))
        assert told(kind, application, history) == []

    if os.environ.get("CI"):
        no_silent_difference = seed(part)(no_silent_difference)
    no_silent_difference()
    return played


def _remove(path: Path) -> None:
    for each in path.parent.glob(f"{path.name}*"):
        if not each.name.endswith(".backup"):
            each.unlink()
