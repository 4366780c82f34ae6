"""The kit's tables in Pony ORM: what its blueprint is checked with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pony.orm import Database, db_session, flush
from pony.orm.core import ConnectionClosedError, DBException, RollbackException
from pony_adapter import PonyAdapter
from pony_models import Tagging, entities

from semantic_core.testing import DATABASE_LIMITS, AdapterHarness, Capability, Limit

LIMITS = {
    Capability.BULK: Limit(
        "Pony inserts and updates one row at a time; `delete(bulk=True)` is its only bulk "
        "statement, and triggers see it.",
        "Write SQL with `db.execute` where many rows change: that is seen as well.",
    ),
    Capability.EVENTS: Limit(
        "Pony's hooks are methods of an entity, which nobody else can listen to.",
        'Use capture="triggers", the default.',
    ),
    Capability.INHERITANCE: Limit(
        "Pony keeps an entity and those derived from it in one table.",
        "None is needed: such entities are found through the index of the first one.",
    ),
    Capability.KEY_CHANGE: Limit(
        "Pony never changes a primary key.",
        "Use SQL: the change is seen.",
    ),
    Capability.MIXED_SQL: Limit(
        "Pony holds the rows that a session has read, and refuses to save one that SQL has changed "
        "meanwhile.",
        "Use a session of its own for SQL, or read the rows after it.",
    ),
    Capability.PER_DATABASE: Limit(
        "A `db_session` is one transaction in all databases that it touches.",
        "Use a session for each database.",
    ),
    Capability.SAVEPOINTS: Limit(
        "Pony has one transaction in a session, and ignores a `db_session` within another.",
        "Catch the error before the block ends, or use a session for each step.",
    ),
    Capability.UPSERT: Limit(
        "Pony has no insert-or-update statement.",
        "Use SQL with `db.execute`: it is seen.",
    ),
}


class PonyHarness(AdapterHarness):
    """One database with entities of its own."""

    adapter = PonyAdapter

    def __init__(self, keep: Any) -> None:
        self._keep, self.database = keep, keep.borrow()
        self.limits = {**DATABASE_LIMITS[self.database.dialect], **LIMITS}
        self.db, self.models = opened(self.database)
        self.options = {"db": self.db}
        self._taggings: dict[int, tuple[int, int]] = {}

    @classmethod
    def prepare(cls, keep: Any, database: Any) -> None:
        """Create the tables in a database nobody has used. That of Pony between articles and tags
        has no id, which the kit's SQL writes.
        """
        db, _ = opened(database, create_tables=True)
        with db_session:
            db.execute("DROP TABLE kit_tagging")
            db.execute(
                "CREATE TABLE kit_tagging (id INTEGER PRIMARY KEY, "
                "article_id INTEGER NOT NULL REFERENCES kit_article (id) ON DELETE CASCADE, "
                "tag_id INTEGER NOT NULL REFERENCES kit_tag (id) ON DELETE CASCADE)"
            )
        db.disconnect()

    def transaction(self) -> Any:
        return self._block()

    @contextmanager
    def _block(self) -> Iterator[None]:
        with db_session:
            yield

    def create(self, model: Any, **values: Any) -> Any:
        with db_session:
            if model is Tagging:
                pair = (values["article_id"], values["tag_id"])
                self._taggings[values["id"]] = pair
                self.models["article"][pair[0]].tags.add(self.models["tag"][pair[1]])
                row: Any = None
            else:
                row = model(**self._related(values))
            flush()
            return row

    def _related(self, values: dict[str, Any]) -> dict[str, Any]:
        """The values with related objects in place of their keys."""
        given = {}
        for name, value in values.items():
            if name in ("author_id", "mentor_id"):
                other = None if value is None else self.models["author"][value]
                given[name.removesuffix("_id")] = other
            else:
                given[name] = value
        return given

    def update(self, model: Any, key: Any, **values: Any) -> None:
        with db_session:
            if model is Tagging:
                article, tag = self._taggings[key]
                self.delete(Tagging, key)
                self.create(Tagging, **{"id": key, "article_id": article, "tag_id": tag, **values})
            else:
                model[key].set(**self._related(values))
            flush()

    def delete(self, model: Any, key: Any) -> None:
        with db_session:
            if model is Tagging:
                article, tag = self._taggings.pop(key)
                self.models["article"][article].tags.remove(self.models["tag"][tag])
            else:
                model[key].delete()
            flush()

    def sql(self, statement: str) -> Sequence[Sequence[Any]]:
        with db_session:
            flush()
            cursor = self.db.execute(statement.replace("$", "$$"))
            return cursor.fetchall() if cursor.description else []

    def query(self, model: Any, **values: Any) -> Any:
        with db_session:
            found = model.select()
            for name, value in values.items():
                path = name.replace("_id", ".id")
                found = found.filter(f"lambda row: row.{path} == value", {"value": value}, {})
            return found

    def crash(self, work: Callable[[], None]) -> None:
        lost = (DBException, RollbackException, ConnectionClosedError, ZeroDivisionError)
        try:
            with db_session:
                work()
                self.db.get_connection().close()
                _ = 1 // 0
        except lost:
            return

    def leave_thread(self) -> None:
        self.db.disconnect()

    def close(self) -> None:
        self.db.disconnect()
        self._keep.give_back(self.database)


def opened(database: Any, *, create_tables: bool = False) -> tuple[Database, dict[str, type]]:
    """A database of the tests with the entities on it."""
    db = Database()
    models = entities(db)
    db.bind("sqlite", database.address, create_db=create_tables)
    db.generate_mapping(create_tables=create_tables, check_tables=False)
    return db, models
