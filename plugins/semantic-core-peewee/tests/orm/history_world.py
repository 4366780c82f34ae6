"""A world for random histories: an application's database, several hosts with an index each, and everything that happens to
them. What an index answers is compared with the rows; a difference nobody speaks of is the only failure."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import attrs
import peewee
from semantic_core_peewee import SqliteStore, init_database

from semantic_core import SemanticCore
from semantic_core.orm import SemanticIndex
from semantic_core.testing import HashEmbedder

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


class Host:
    """One process with its own connection and its own index file."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.path = world.folder / f"{name}.index.db"
        self.running = False

    def start(self) -> None:
        """Open the database and the index, and bind them, as an application does when it starts."""
        self.db = peewee.SqliteDatabase(str(self.world.path), timeout=5)

        class Note(peewee.Model):
            body = peewee.TextField()
            tag = peewee.TextField(default="")
            search = SemanticIndex(["body"], sync="manual", core=None)

            class Meta:
                database = self.db
                table_name = "note"

        self.Note: Any = Note
        store = SqliteStore(EMBEDDER.space, self.path, durability="normal")
        self.core = SemanticCore(store=store, embedder=EMBEDDER, plugins=[])
        self.db.create_tables([Note])
        init_database(self.db, self.core, install=False)
        self.index = Note.search
        self.index.hub.outbox._clock = self.world.clock
        self.index.hub.agreement.consumers._clock = self.world.clock
        self.index.install()
        self.running = True

    def stop(self) -> None:
        """End the process in order."""
        if self.running:
            self.core.close()
            self.db.close()
            self.running = False

    def kill(self) -> None:
        """End it without a word: what it has written is there, nothing else."""
        if self.running:
            self.core.store.close()
            self.db.close()
            self.running = False

    def up(self) -> Host:
        """This host, running."""
        if not self.running:
            self.start()
        return self

    # --- what is compared -------------------------------------------------------------------------------------------

    def rows(self) -> dict[str, str]:
        """What the table says."""
        return {str(note.id): note.body for note in self.Note.select()}

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
        answer = self.index.search("tomato elephant purple river candle orchid granite violin", limit=100, mode="text")
        status = self.index.status()
        if answer.degraded or status.waiting or status.taken or status.aborted:
            return ""
        rows, held = self.rows(), self.held()
        return "" if rows == held else f"{self.name} is silent: rows {rows}, index {held}"

    def check_settled(self) -> str:
        """After a worker has been here once, the index holds the rows."""
        report = self.core.sync()
        rows, held = self.rows(), self.held()
        if rows != held:
            return f"{self.name} after a worker: rows {rows}, index {held}, failed {report.failed}"
        verdict = self.index.verify()
        return "" if verdict.sound else f"{self.name} is not sound: {verdict}"


class World:
    """The database, its backups, its hosts."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / "app.db"
        self.clock = Clock()
        self.texts = count(1)
        self.hosts: dict[str, Host] = {}
        self.backups: list[bytes] = []
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

    # --- what happens -----------------------------------------------------------------------------------------------

    def write(self, name: str, what: str, id: int) -> None:
        """Something of an application: one statement, or several in a transaction that may be rolled back."""
        host = self.host(name)
        note, db, text = host.Note, host.db, self.text()
        if what == "save":
            row = note.get_or_none(note.id == id) or note(id=id)
            row.body = text
            row.save(force_insert=note.get_or_none(note.id == id) is None)
        elif what == "delete":
            note.delete().where(note.id == id).execute()
        elif what == "many":
            rows = [{"id": each, "body": f"{text} {each}"} for each in range(id, id + 3)]
            note.insert_many(rows).on_conflict_replace().execute()
        elif what == "raw":
            db.execute_sql("update note set body = ? where id >= ?", (text, id))
        elif what == "tag":
            note.update(tag=text).where(note.id == id).execute()
        elif what == "rollback":
            with suppress(ZeroDivisionError), db.atomic():
                note.update(body=text).execute()
                _ = 1 // 0
        elif what == "other program":
            raw = sqlite3.connect(self.path, timeout=5)
            with raw:
                raw.execute("insert or replace into note (id, body, tag) values (?, ?, '')", (id, text))
            raw.close()

    def sync(self, name: str, limit: int | None) -> None:
        """A worker comes by, perhaps for a few changes only."""
        self.host(name).core.sync(limit=limit)

    def crash(self, name: str, where: str) -> None:
        """A worker dies in the middle of its work."""
        host = self.host(name)
        store, outbox = host.core.store, host.index.hub.outbox
        target: Any = store if where.startswith("store") else outbox
        method = {"store before": "replace", "store after": "replace", "done": "done", "claim": "claim"}[where]
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
        raw, copy = sqlite3.connect(self.path), sqlite3.connect(":memory:")
        raw.backup(copy)
        self.backups.append(copy.serialize())
        raw.close()
        copy.close()

    def restore(self, which: int, live: bool) -> None:
        """Put an older state of the database in the place of this one, under running processes or not."""
        if not self.backups:
            return
        if not live:
            self.close()
        copy, raw = sqlite3.connect(":memory:"), sqlite3.connect(self.path, timeout=5)
        copy.deserialize(self.backups[which % len(self.backups)])
        copy.backup(raw)
        raw.close()
        copy.close()

    def back_up_index(self, name: str) -> None:
        """Copy an index as it is."""
        host = self.host(name)
        path = self.folder / f"{name}.{next(self.texts)}.backup"
        host.core.store.backup(path)
        self.index_backups[name] = path

    def restore_index(self, name: str, into: str) -> None:
        """Put an older copy of an index in its place; or in the place of another host's, or of a new host's."""
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
        raw = sqlite3.connect(self.path, timeout=5)
        with raw:
            raw.execute("create table anew (id integer not null primary key, body text not null, tag text not null)")
            raw.execute("insert into anew select id, body, tag from note")
            raw.execute("drop table note")
            raw.execute("alter table anew rename to note")
            raw.execute("update note set body = body || ' migrated' where id = 1")
        raw.close()

    # --- what must hold ---------------------------------------------------------------------------------------------

    def silent(self) -> list[str]:
        """What running hosts answer wrongly without a word."""
        return [why for host in self.hosts.values() if host.running and (why := host.check_silence())]

    def settled(self) -> list[str]:
        """What is wrong after one worker has been at every host, once."""
        names = list(self.hosts)
        return [why for name in names if (why := self.host(name).check_silence() or self.host(name).check_settled())]


def play(folder: Path, steps: Sequence[tuple[Any, ...]]) -> list[str]:
    """Let all of it happen; what was silent, or wrong in the end."""
    world = World(folder)
    try:
        for kind, *rest in steps:
            if kind == "look":
                wrong = world.silent()
                if wrong:
                    return wrong
            else:
                getattr(world, kind)(*rest)
        return world.settled()
    finally:
        world.close()


def _remove(path: Path) -> None:
    for each in path.parent.glob(f"{path.name}*"):
        if not each.name.endswith(".backup"):
            each.unlink()
