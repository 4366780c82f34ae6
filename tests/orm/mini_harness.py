"""The kit's tables in the mini ORM: the harness its adapter is checked with,
and mutants are made from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import attrs
from mini import Database, MiniAdapter, Model

from semantic_core.orm import Relation, Table, Through, refused
from semantic_core.testing import DATABASE_LIMITS, AdapterHarness, Capability, Limit

TABLES = (
    (
        "kit_author (id INTEGER PRIMARY KEY, name TEXT, mentor_id INTEGER REFERENCES kit_author "
        "(id) ON DELETE SET NULL)"
    ),
    "kit_article (id INTEGER PRIMARY KEY, title TEXT, content TEXT, stars INTEGER, hidden INTEGER, "
    "deleted_at TEXT, author_id INTEGER REFERENCES kit_author (id) ON DELETE "
    "CASCADE ON UPDATE CASCADE)",
    "kit_tag (id INTEGER PRIMARY KEY, name TEXT)",
    "kit_tagging (id INTEGER PRIMARY KEY, article_id INTEGER REFERENCES kit_article (id) ON DELETE "
    "CASCADE, tag_id INTEGER REFERENCES kit_tag (id) ON DELETE CASCADE)",
    "kit_seat (hall TEXT, number INTEGER, label TEXT, PRIMARY KEY (hall, number))",
    "kit_page (slug TEXT PRIMARY KEY, body TEXT)",
    "kit_parcel (id TEXT PRIMARY KEY, content TEXT)",
    "kit_note (id INTEGER PRIMARY KEY, owner TEXT, body TEXT)",
    "kit_media (id INTEGER PRIMARY KEY, title TEXT)",
    "kit_book (id INTEGER PRIMARY KEY REFERENCES kit_media (id) ON DELETE CASCADE, blurb TEXT)",
)
LIMITS: Mapping[Capability, Limit] = DATABASE_LIMITS["sqlite"]


def linked(model: type[Model], **links: tuple[Any, ...]) -> None:
    """Give a model its links, now that all models are there."""
    model.links = links
    for name, (other, own, theirs, *between) in links.items():
        setattr(
            model,
            name,
            property(
                lambda row, m=other, o=own, t=theirs, b=between: m.find(t, getattr(row, o), *b)
            ),
        )


class Rows:
    """A query of the mini ORM: the rows of a model with these values, read when it is iterated."""

    def __init__(self, model: Any, values: Mapping[str, Any]) -> None:
        self.model, self._values = model, values

    def __iter__(self) -> Iterator[Any]:
        condition = " AND ".join(f'"{name}" = ?' for name in self._values) or "1"
        bound = [str(each) if isinstance(each, UUID) else each for each in self._values.values()]
        return iter(self.model.where(condition, bound))


class MiniKitAdapter(MiniAdapter):
    """The mini adapter, with joined inheritance: a model with a `parent` keeps its inherited fields
    there; and events.
    """

    def inspect(self, model: Any) -> Table:
        table = super().inspect(model)
        parent = getattr(model, "parent", None)
        if parent is None:
            return table
        own = {
            name: column
            for name, column in table.columns.items()
            if name == "id" or name not in parent.fields
        }
        return attrs.evolve(table, columns=own, bases=(Relation(parent, "id", "id"),))

    def keys_of_query(self, query: Any) -> Any:
        if not isinstance(query, Rows):
            return None
        if query.model is not self.model:
            raise refused(self, query.model)
        names = self.model.key
        rows = [tuple(getattr(row, name) for name in names) for row in query]
        return [row if len(names) > 1 else row[0] for row in rows]

    def connect(self) -> None:
        self.model.heard.append(self.changed)

    def disconnect(self) -> None:
        self.model.heard.remove(self.changed)


def models(db: Database) -> dict[str, type[Model]]:
    """The kit's models in this database."""

    class Author(Model):
        table = "kit_author"
        fields = {"id": int, "name": str, "mentor_id": int}

    class Article(Model):
        table = "kit_article"
        fields = {
            "id": int,
            "title": str,
            "content": str,
            "stars": int,
            "hidden": bool,
            "deleted_at": datetime,
            "author_id": int,
        }

    class Tag(Model):
        table = "kit_tag"
        fields = {"id": int, "name": str}

    class Tagging(Model):
        table = "kit_tagging"
        fields = {"id": int, "article_id": int, "tag_id": int}

    class Seat(Model):
        table = "kit_seat"
        fields = {"hall": str, "number": int, "label": str}
        key = ("hall", "number")

    class Page(Model):
        table = "kit_page"
        fields = {"slug": str, "body": str}
        key = ("slug",)

    class Parcel(Model):
        table = "kit_parcel"
        fields = {"id": UUID, "content": str}

    class Note(Model):
        table = "kit_note"
        fields = {"id": int, "owner": str, "body": str}

    class Media(Model):
        table = "kit_media"
        fields = {"id": int, "title": str}

    class Book(Media):
        table = "kit_book"
        fields = {"id": int, "title": str, "blurb": str}
        parent = Media

        @classmethod
        def create(cls, **values: Any) -> Any:
            with cls.db.transaction():
                cls.db.run(
                    "INSERT INTO kit_media (id, title) VALUES (?, ?)",
                    [values["id"], values.get("title")],
                )
                cls.db.run(
                    "INSERT INTO kit_book (id, blurb) VALUES (?, ?)",
                    [values["id"], values.get("blurb")],
                )
            return cls(**values)

        @classmethod
        def where(cls, condition: str, params: Sequence[Any] = ()) -> list[Any]:
            joined = "SELECT id, title, blurb FROM kit_media JOIN kit_book USING (id)"
            rows = cls.db.run(
                f"SELECT id, title, blurb FROM ({joined}) books WHERE {condition}", params
            )
            return [cls(id=row[0], title=row[1], blurb=row[2]) for row in rows]

    linked(Author, mentor=(Author, "mentor_id", "id"), articles=(Article, "id", "author_id"))
    tags = (Tag, "id", "id", Through("kit_tagging", "article_id", "tag_id"))
    linked(Article, author=(Author, "author_id", "id"), tags=tags)
    linked(Tag, articles=(Article, "id", "id", Through("kit_tagging", "tag_id", "article_id")))
    every = {
        "author": Author,
        "article": Article,
        "tag": Tag,
        "tagging": Tagging,
        "seat": Seat,
        "page": Page,
        "parcel": Parcel,
        "note": Note,
        "media": Media,
        "book": Book,
    }
    for model in every.values():
        model.db, model.heard = db, []
    return every


class MiniHarness(AdapterHarness):
    """A file of SQLite with the kit's tables."""

    adapter = MiniKitAdapter
    limits = LIMITS
    _numbers = count()

    def __init__(self, folder: Path) -> None:
        self.db = Database(folder / f"kit{next(self._numbers)}.db")
        self.db.run("PRAGMA synchronous=OFF")
        for table in TABLES:
            self.db.run(f"CREATE TABLE {table}")
        self.models = models(self.db)
        self.options = {"db": self.db}

    def create(self, model: Any, **values: Any) -> Any:
        with self.db.transaction():
            instance = model.create(**values)
            self.tell(model, instance)
        return instance

    def tell(self, model: Any, instance: Any) -> None:
        """What other ORMs have signals for: a row was saved, or is about to be deleted."""
        for heard in model.heard:
            heard(instance)

    def find(self, model: Any, key: Any) -> Any:
        given = key if isinstance(key, tuple) else (key,)
        return model.where(" AND ".join(f'"{name}" = ?' for name in model.key), given)[0]

    def update(self, model: Any, key: Any, **values: Any) -> None:
        parts = getattr(model, "parent", None)
        names = {
            name: value
            for name, value in values.items()
            if parts is None or name not in parts.fields
        }
        with self.db.transaction():
            if parts is not None and names != values:
                self.update(
                    parts, key, **{name: values[name] for name in values.keys() - names.keys()}
                )
            if names:
                given = key if isinstance(key, tuple) else (key,)
                changes = ", ".join(f'"{name}" = ?' for name in names)
                place = " AND ".join(f'"{name}" = ?' for name in model.key)
                self.db.run(
                    f'UPDATE "{model.table}" SET {changes} WHERE {place}', [*names.values(), *given]
                )
            self.tell(model, self.find(model, key))

    def delete(self, model: Any, key: Any) -> None:
        given = key if isinstance(key, tuple) else (key,)
        place = " AND ".join(f'"{name}" = ?' for name in model.key)
        with self.db.transaction():
            self.tell(model, self.find(model, key))
            self.db.run(f'DELETE FROM "{model.table}" WHERE {place}', given)
            if getattr(model, "parent", None) is not None:
                self.delete(model.parent, key)

    def transaction(self) -> AbstractContextManager[None]:
        return self.db.transaction()

    def sql(self, statement: str) -> Sequence[Sequence[Any]]:
        return self.db.run(statement)

    def close(self) -> None:
        self.db.close()

    def insert_many(self, model: Any, rows: Sequence[Mapping[str, Any]]) -> None:
        names = list(rows[0])
        listed = ", ".join(f'"{name}"' for name in names)
        slots = ", ".join(f"({', '.join('?' * len(names))})" for _ in rows)
        values = [row[name] for row in rows for name in names]
        self.db.run(f'INSERT INTO "{model.table}" ({listed}) VALUES {slots}', values)

    def update_many(self, model: Any, keys: Sequence[Any], **values: Any) -> None:
        changes = ", ".join(f'"{name}" = ?' for name in values)
        place = ", ".join("?" * len(keys))
        self.db.run(
            f'UPDATE "{model.table}" SET {changes} WHERE id IN ({place})', [*values.values(), *keys]
        )

    def delete_many(self, model: Any, keys: Sequence[Any]) -> None:
        self.db.run(f'DELETE FROM "{model.table}" WHERE id IN ({", ".join("?" * len(keys))})', keys)

    def upsert(self, model: Any, **values: Any) -> None:
        names = ", ".join(f'"{name}"' for name in values)
        changes = ", ".join(f'"{name}" = excluded."{name}"' for name in values)
        slots = ", ".join("?" * len(values))
        self.db.run(
            (
                f'INSERT INTO "{model.table}" ({names}) VALUES ({slots}) '
                f"ON CONFLICT (id) DO UPDATE SET {changes}"
            ),
            list(values.values()),
        )

    def query(self, model: Any, **values: Any) -> Any:
        return Rows(model, values)

    def crash(self, work: Callable[[], None]) -> None:
        self.db.raw.execute("BEGIN IMMEDIATE")
        self.db._mine.depth = 1
        work()
        self.db.close()

    def leave_thread(self) -> None:
        self.db.close()
