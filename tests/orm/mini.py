"""The smallest possible ORM, on the standard library's SQLite: rows are objects, a database is a
file.

It stands for "some ORM nobody has written an adapter for yet": the rules of `BaseORMAdapter` are
tried on it.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from semantic_core.orm import BaseORMAdapter, Dialect, Relation, Table, Through


class _Own(sqlite3.Connection):
    """One thread's connection, closed when the thread ends."""

    def __del__(self) -> None:
        self.close()


class Database:
    """A SQLite file, a connection per thread, nested transactions; `committed` callbacks run after
    each commit, `before` ones before each statement."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.committed: list[Callable[[], None]] = []
        self.before: list[Callable[[str], None]] = []
        self._mine = threading.local()

    @property
    def raw(self) -> sqlite3.Connection:
        if not hasattr(self._mine, "raw"):
            self._mine.raw = sqlite3.connect(
                self.path, isolation_level=None, timeout=10, factory=_Own, check_same_thread=False
            )
            self._mine.raw.execute("PRAGMA journal_mode=WAL")
            self._mine.raw.execute("PRAGMA foreign_keys=ON")
            self._mine.depth = 0
        return self._mine.raw

    def run(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        for callback in self.before:
            callback(sql)
        rows = self.raw.execute(sql, [_bound(value) for value in params]).fetchall()
        if not self.raw.in_transaction and not sql.lstrip().upper().startswith("SELECT"):
            self._tell()
        return rows

    @contextmanager
    def transaction(self) -> Iterator[None]:
        raw = self.raw
        depth = self._mine.depth
        raw.execute(f"SAVEPOINT s{depth}" if depth else "BEGIN IMMEDIATE")
        self._mine.depth += 1
        try:
            yield
        except BaseException:
            raw.execute(f"ROLLBACK TO s{depth}" if depth else "ROLLBACK")
            raise
        else:
            raw.execute(f"RELEASE s{depth}" if depth else "COMMIT")
        finally:
            self._mine.depth -= 1
        if not depth:
            self._tell()

    def _tell(self) -> None:
        for callback in self.committed:
            callback()

    def close(self) -> None:
        if hasattr(self._mine, "raw"):
            self._mine.raw.close()
            del self._mine.raw


def _bound(value: Any) -> Any:
    """A value as this ORM keeps it; not by an adapter of `sqlite3`, which is for the whole process,
    other ORMs included.
    """
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value


class Model:
    """A row. Subclasses say their table, columns, key and foreign keys."""

    db: Database
    table: str
    fields: dict[str, type]
    key: tuple[str, ...] = ("id",)
    links: dict[str, tuple[Any, ...]] = {}
    """Per attribute the other model, the own column and the other's, and the table between the two,
    if there is one.
    """

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in cls.__dict__.get("fields", {}):
            setattr(cls, name, None)
        for name, (model, own, theirs, *between) in cls.__dict__.get("links", {}).items():
            setattr(
                cls,
                name,
                property(
                    lambda row, m=model, o=own, t=theirs, b=between: m.find(t, getattr(row, o), *b)
                ),
            )

    @classmethod
    def create(cls, **values: Any) -> Any:
        names = ", ".join(f'"{name}"' for name in values)
        cls.db.run(
            f'INSERT INTO "{cls.table}" ({names}) VALUES ({", ".join("?" * len(values))})',
            list(values.values()),
        )
        return cls(**{**dict.fromkeys(cls.fields), **values})

    @classmethod
    def where(cls, condition: str, params: Sequence[Any] = ()) -> list[Any]:
        names = list(cls.fields)
        listed = ", ".join(f'"{name}"' for name in names)
        rows = cls.db.run(f'SELECT {listed} FROM "{cls.table}" WHERE {condition}', params)
        return [cls(**dict(zip(names, row, strict=True))) for row in rows]

    @classmethod
    def find(cls, column: str, value: object, between: Through | None = None) -> Any:
        if between is not None:
            linked = f'SELECT "{between.theirs}" FROM "{between.table}" WHERE "{between.own}" = ?'
            return cls.where(f'"{column}" IN ({linked})', [value])
        found = cls.where(f'"{column}" = ?', [value])
        many = column not in cls.key
        return found if many else (found[0] if found else None)


class MiniAdapter(BaseORMAdapter):
    """An adapter for it."""

    def __init__(self, *args: Any, db: Database | None = None, **options: Any) -> None:
        super().__init__(*args, **options)

    @property
    def dialect(self) -> Dialect:
        return "sqlite"

    @property
    def database(self) -> Hashable:
        return self.model.db

    @classmethod
    def serves(cls, model: type, *, db: Database | None = None, **options: Any) -> bool:
        return (
            issubclass(model, Model)
            and hasattr(model, "table")
            and (db is None or getattr(model, "db", None) is db)
        )

    def inspect(self, model: Any) -> Table:
        return Table(
            name=model.table,
            key={name: model.fields[name] for name in model.key},
            columns={name: name for name in model.fields},
            relations={name: Relation(*link) for name, link in model.links.items()},
            uuids={name for name, kind in model.fields.items() if kind is UUID},
        )

    def execute(self, sql: str, params: Sequence[Any] = ()) -> Sequence[Sequence[Any]]:
        return self.model.db.run(sql, params)

    def load(self, keys: Sequence[Any]) -> Iterable[Any]:
        names = ", ".join(f'"{name}"' for name in self.model.key)
        values = [key if isinstance(key, tuple) else (key,) for key in keys]
        slots = ", ".join(f"({', '.join('?' * len(value))})" for value in values)
        return self.model.where(
            f"({names}) IN (VALUES {slots})", [part for value in values for part in value]
        )

    def on_commit(self, wake: Callable[[], None]) -> None:
        self.model.db.committed.append(wake)
        self.model.db.before.append(self.before_statement)

    def release(self) -> None:
        self.model.db.close()
