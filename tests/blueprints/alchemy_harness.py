"""The kit's tables in SQLAlchemy: what its blueprint is checked with."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from alchemy_engines import engine_of
from alchemy_models import MODELS, Base
from sqlalchemy import delete, insert, inspect, select, text, update
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.orm import Session
from sqlalchemy_adapter import SQLAlchemyAdapter

from semantic_core.testing import DATABASE_LIMITS, AdapterHarness

OURS = (
    "semantic_outbox",
    "semantic_places",
    "semantic_consumers",
    "semantic_subscriptions",
    "semantic_state",
)


class SQLAlchemyHarness(AdapterHarness):
    """One database; each block is a session of its own, within one that is open a savepoint."""

    adapter = SQLAlchemyAdapter
    models = MODELS
    metadata = Base.metadata

    def __init__(self, keep: Any) -> None:
        self._keep, self.database, self._mine = keep, keep.borrow(), threading.local()
        self.limits = DATABASE_LIMITS[self.database.dialect]
        self.engine = engine_of(keep.servers, self.database)
        self.options = {"engine": self.engine}

    @classmethod
    def prepare(cls, keep: Any, database: Any) -> None:
        """Create the tables in a database nobody has used."""
        engine = engine_of(keep.servers, database)
        cls.metadata.create_all(engine)
        engine.dispose()

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        open_one = getattr(self._mine, "session", None)
        if open_one is not None:
            with open_one.begin_nested():
                yield open_one
                open_one.flush()
            return
        with Session(self.engine) as session:
            self._mine.session = session
            try:
                with session.begin():
                    yield session
            finally:
                self._mine.session = None

    @contextmanager
    def _session(self) -> Iterator[Session]:
        """The open session, flushed in the end; else one of its own."""
        open_one = getattr(self._mine, "session", None)
        if open_one is None:
            with self.transaction() as session:
                yield session
        else:
            yield open_one
            open_one.flush()

    def create(self, model: Any, **values: Any) -> Any:
        instance = model(**values)
        with self._session() as session:
            session.add(instance)
            session.flush()
            session.expunge(instance)
        return instance

    def update(self, model: Any, key: Any, **values: Any) -> None:
        with self._session() as session:
            row = self._row(session, model, key)
            for name, value in values.items():
                setattr(row, name, value)

    def delete(self, model: Any, key: Any) -> None:
        with self._session() as session:
            session.delete(self._row(session, model, key))

    def _row(self, session: Session, model: Any, key: Any) -> Any:
        return session.get_one(model, key, populate_existing=True)

    def sql(self, statement: str) -> Sequence[Sequence[Any]]:
        with self._session() as session:
            result = session.connection().exec_driver_sql(statement)
            return result.all() if result.returns_rows else []

    def insert_many(self, model: Any, rows: Sequence[Mapping[str, Any]]) -> None:
        with self._session() as session:
            session.execute(insert(model), list(rows))

    def update_many(self, model: Any, keys: Sequence[Any], **values: Any) -> None:
        with self._session() as session:
            session.execute(update(model).where(model.id.in_(keys)).values(**values))

    def delete_many(self, model: Any, keys: Sequence[Any]) -> None:
        with self._session() as session:
            session.execute(delete(model).where(model.id.in_(keys)))

    def upsert(self, model: Any, **values: Any) -> None:
        changed = {name: value for name, value in values.items() if name != "id"}
        if self.database.dialect == "mysql":
            statement: Any = mysql.insert(model).values(**values).on_duplicate_key_update(**changed)
        else:
            dialect = sqlite if self.database.dialect == "sqlite" else postgresql
            statement = (
                dialect.insert(model)
                .values(**values)
                .on_conflict_do_update(index_elements=["id"], set_=changed)
            )
        with self._session() as session:
            session.execute(statement)

    def query(self, model: Any, **values: Any) -> Any:
        return select(model).filter_by(**values)

    def crash(self, work: Callable[[], None]) -> None:
        session = self._mine.session = Session(self.engine)
        session.begin()
        work()
        session.connection().invalidate()
        self._mine.session = None
        session.close()

    def close(self) -> None:
        if self.database.kind != "sqlite3":
            with self.engine.begin() as connection:
                for table in (
                    *(table.name for table in reversed(self.metadata.sorted_tables)),
                    *OURS,
                ):
                    if inspect(connection).has_table(table):
                        connection.execute(text(f"DELETE FROM {table}"))
        self.engine.dispose()
        self._keep.give_back(self.database)
