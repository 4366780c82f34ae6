"""The kit's tables as Peewee models, on any database, and with the index in the same file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import peewee
from playhouse import apsw_ext
from semantic_core_peewee import PeeweeAdapter
from semantic_core_peewee.sqlite.same_file import SameFileStore

from semantic_core import SemanticCore
from semantic_core.testing import DATABASE_LIMITS, AdapterHarness, Capability, Limit

LIMITS = {
    Capability.INHERITANCE: Limit(
        (
            "Peewee copies the fields of a parent into the table of the child, so no row is spread "
            "over two tables."
        ),
        (
            "None is needed; for one-to-one tables, read through the foreign key: "
            "source_fields=['media.title', 'blurb']."
        ),
    ),
}


TABLES = (
    "semantic_outbox",
    "semantic_places",
    "semantic_consumers",
    "semantic_subscriptions",
    "semantic_state",
)


def models(db: Any) -> dict[str, Any]:
    """The kit's models in this database."""
    fields = apsw_ext if isinstance(db, apsw_ext.APSWDatabase) else peewee
    by_letter = {"collation": "utf8mb4_bin"} if isinstance(db, peewee.MySQLDatabase) else {}

    class Base(peewee.Model):
        class Meta:
            database = db

    class Author(Base):
        id = peewee.IntegerField(primary_key=True)
        name = peewee.CharField(200, null=True)
        mentor = peewee.ForeignKeyField("self", null=True, on_delete="SET NULL", backref="pupils")

        class Meta:
            table_name = "kit_author"

    class Tag(Base):
        id = peewee.IntegerField(primary_key=True)
        name = peewee.CharField(200, null=True)

        class Meta:
            table_name = "kit_tag"

    deferred = peewee.DeferredThroughModel()

    class Article(Base):
        id = peewee.IntegerField(primary_key=True)
        title = peewee.CharField(200, null=True)
        content = peewee.TextField(null=True)
        stars = peewee.IntegerField(null=True)
        hidden = fields.BooleanField(null=True)
        deleted_at = fields.DateTimeField(null=True)
        author = peewee.ForeignKeyField(Author, null=True, on_delete="CASCADE", backref="articles")
        tags = peewee.ManyToManyField(Tag, backref="articles", through_model=deferred)

        class Meta:
            table_name = "kit_article"

        @classmethod
        def select(cls, *chosen: Any) -> Any:
            return super().select(*chosen).where(cls.hidden.is_null() | (cls.hidden == False))  # noqa: E712 - SQL

    class Tagging(Base):
        id = peewee.IntegerField(primary_key=True)
        article = peewee.ForeignKeyField(Article, on_delete="CASCADE", backref="taggings")
        tag = peewee.ForeignKeyField(Tag, on_delete="CASCADE", backref="taggings")

        class Meta:
            table_name = "kit_tagging"

    deferred.set_model(Tagging)

    class Seat(Base):
        hall = peewee.CharField(200)
        number = peewee.IntegerField()
        label = peewee.CharField(200, null=True)

        class Meta:
            table_name = "kit_seat"
            primary_key = peewee.CompositeKey("hall", "number")

    class Page(Base):
        slug = peewee.CharField(200, primary_key=True, **by_letter)
        body = peewee.TextField(null=True)

        class Meta:
            table_name = "kit_page"

    class Parcel(Base):
        id = peewee.UUIDField(primary_key=True)
        content = peewee.TextField(null=True)

        class Meta:
            table_name = "kit_parcel"

    class Note(Base):
        id = peewee.IntegerField(primary_key=True)
        owner = peewee.CharField(200, null=True)
        body = peewee.TextField(null=True)

        class Meta:
            table_name = "kit_note"

    return {
        "author": Author,
        "article": Article,
        "tag": Tag,
        "tagging": Tagging,
        "seat": Seat,
        "page": Page,
        "parcel": Parcel,
        "note": Note,
    }


class PeeweeHarness(AdapterHarness):
    """A Peewee database with the kit's tables. done: what happens to the database in the end."""

    adapter = PeeweeAdapter

    def __init__(self, db: Any, dialect: str, done: Callable[[], None]) -> None:
        self.db, self._done = db, done
        self.limits = {**DATABASE_LIMITS[dialect], **LIMITS}
        self.models = models(db)
        self.options = {"database": db}
        db.create_tables(list(self.models.values()))

    def create(self, model: Any, **values: Any) -> Any:
        return model.create(**values)

    def find(self, model: Any, key: Any) -> Any:
        every = peewee.ModelSelect(model, model._meta.sorted_fields)
        return every.where(model._meta.primary_key == key).get()

    def update(self, model: Any, key: Any, **values: Any) -> None:
        with self.db.atomic():
            instance = self.find(model, key)
            for name, value in values.items():
                setattr(instance, name, value)
            instance.save()

    def delete(self, model: Any, key: Any) -> None:
        with self.db.atomic():
            self.find(model, key).delete_instance()

    def transaction(self) -> AbstractContextManager[Any]:
        return self.db.atomic()  # type: ignore[no-any-return]

    def sql(self, statement: str) -> Sequence[Sequence[Any]]:
        escaped = (
            statement
            if isinstance(self.db, peewee.SqliteDatabase)
            else statement.replace("%", "%%")
        )
        cursor = self.db.execute_sql(escaped)
        return (
            cursor.fetchall()
            if isinstance(self.db, peewee.SqliteDatabase) or cursor.description
            else []
        )

    def close(self) -> None:
        if not self.db.is_closed() and self.db.in_transaction():
            raise AssertionError("A transaction is open.")
        self._done()

    def insert_many(self, model: Any, rows: Sequence[Mapping[str, Any]]) -> None:
        model.insert_many(rows).execute()

    def update_many(self, model: Any, keys: Sequence[Any], **values: Any) -> None:
        model.update(**values).where(model.id.in_(keys)).execute()

    def delete_many(self, model: Any, keys: Sequence[Any]) -> None:
        model.delete().where(model.id.in_(keys)).execute()

    def upsert(self, model: Any, **values: Any) -> None:
        changed = [getattr(model, name) for name in values if name != "id"]
        target = (
            {} if isinstance(self.db, peewee.MySQLDatabase) else {"conflict_target": [model.id]}
        )
        model.insert(**values).on_conflict(preserve=changed, **target).execute()

    def query(self, model: Any, **values: Any) -> Any:
        every = peewee.ModelSelect(model, model._meta.sorted_fields)
        for name, value in values.items():
            every = every.where(model._meta.columns[name] == value)
        return every

    def crash(self, work: Callable[[], None]) -> None:
        self.db.atomic().__enter__()
        work()
        self.db.connection().close()
        self.db.dispose()

    def leave_thread(self) -> None:
        self.db.close()


class SameFileHarness(PeeweeHarness):
    """With the index in the same file."""

    def make_core(self, embedder: Any, *, multi_tenant: bool) -> SemanticCore:
        store = SameFileStore(embedder.space, self.db, multi_tenant=multi_tenant)
        return SemanticCore(store=store, embedder=embedder, plugins=[])


def emptied(db: Any) -> None:
    """Take every row out, those of the outbox too; the tables stay for the next check."""
    there = set(db.get_tables()) if isinstance(db, peewee.MySQLDatabase) else None
    names = [*(model._meta.table_name for model in reversed(models(db).values())), *TABLES]
    for name in names:
        if there is None:
            db.execute_sql(
                f"DO 'BEGIN IF to_regclass(''{name}'') IS NOT NULL THEN DELETE "
                f"FROM {name}; END IF; END'"
            )
        elif name in there:
            db.execute_sql(f"DELETE FROM {name}")
    db.close()
