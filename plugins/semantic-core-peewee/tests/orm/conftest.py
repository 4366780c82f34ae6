"""A database of its own for each test, as a Peewee object, and a little library of models on it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import peewee
import pytest
from playhouse.apsw_ext import APSWDatabase
from semantic_core_peewee import PeeweeAdapter, SemanticIndex

from semantic_core import SemanticCore
from semantic_core.orm import bind_declared
from semantic_core.testing import HashEmbedder

# Where servers are looked for, and how a test gets a database there: as for the kernel's tests.
sys.path.insert(0, str(Path(__file__).parents[4] / "tests" / "orm"))
import databases as servers

KINDS = ("sqlite3", "apsw", "postgresql", "mysql")
PRAGMAS = {"busy_timeout": 30_000, "foreign_keys": 1, "journal_mode": "wal", "synchronous": "off"}


CLASSES: dict[str, Any] = {
    "sqlite3": peewee.SqliteDatabase,
    "apsw": APSWDatabase,
    "postgresql": peewee.PostgresqlDatabase,
    "mysql": peewee.MySQLDatabase,
}


def connect(kind: str, address: str, *, of: Any = None, **options: Any) -> Any:
    """The Peewee database at an address of `servers`. of: a class of that kind;
    None takes the plain one.
    """
    made = of or CLASSES[kind]
    if kind in ("sqlite3", "apsw"):
        return made(address, pragmas=PRAGMAS, **options)
    server = urlsplit(servers.POSTGRES if kind == "postgresql" else servers.MYSQL)
    place = {"host": server.hostname, "port": server.port, "user": server.username, **options}
    if server.password:
        place["password"] = server.password
    if kind == "postgresql":
        return made(server.path.strip("/"), options=servers.postgres_options(address), **place)
    return made(address, **servers.mysql_options(), **place)


@pytest.fixture
def new_address(tmp_path: Path) -> Callable[..., Any]:
    """``with new_address(kind) as db`` is a new database;
    skipped with the reason where there is none, but never in CI.
    """

    @contextmanager
    def open_one(kind: str, **options: Any) -> Iterator[Any]:
        servers.need(kind)
        with servers.new_database(kind, tmp_path) as made:
            database = connect(kind, made.address, **options)
            try:
                yield database
            finally:
                database.close()

    return open_one


@pytest.fixture
def open_database(new_address: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """``open_database(kind)`` gives a new database for as long as the test runs."""
    with ExitStack() as stack:

        def open_one(kind: str, **options: Any) -> Any:
            return stack.enter_context(new_address(kind, **options))

        yield open_one


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, open_database: Callable[..., Any]) -> Any:
    """A new database of every kind in turn."""
    return open_database(request.param)


@pytest.fixture
def db(open_database: Callable[..., Any]) -> Any:
    """A new SQLite database, for what does not depend on the kind."""
    return open_database("sqlite3")


@pytest.fixture
def new_core() -> Iterator[Callable[..., SemanticCore]]:
    """Makes cores in memory, with an embedder that needs no model."""
    made: list[SemanticCore] = []

    def make(**options: Any) -> SemanticCore:
        made.append(
            SemanticCore(
                **{"store": "memory", "embedder": HashEmbedder(), "plugins": [], **options}
            )
        )
        return made[-1]

    yield make
    for core in made:
        core.close()


@pytest.fixture
def core(new_core: Callable[..., SemanticCore]) -> SemanticCore:
    """One of them."""
    return new_core()


class Shelf(SimpleNamespace):
    """Authors and articles in a database, with an index of the articles in a core."""

    db: Any
    core: SemanticCore
    Author: Any
    Article: Any

    def indexed(self) -> dict[str, str]:
        """Key -> text of every document there is."""
        return indexed(self.core)

    def find(self, query: str, **options: Any) -> list[str]:
        """Titles of what is found."""
        return [article.title for article in self.Article.search(query, **options)]


def indexed(core: SemanticCore) -> dict[str, str]:
    """Key -> title and text of every document of a core."""
    found = {}
    for summary in core.documents(limit=1_000):
        document = core.get(summary.ref)
        assert document is not None
        found[document.ref.key] = f"{document.title}|{document.text}"
    return found


def make_shelf(database: Any, core: SemanticCore, *, bind: bool = True, **said: Any) -> Shelf:
    """The models on this database, with their tables."""

    class Base(peewee.Model):
        class Meta:
            pass

    Base._meta.set_database(database)

    class Author(Base):
        name = peewee.CharField()

    class Article(Base):
        title = peewee.CharField()
        content = peewee.TextField(default="")
        stars = peewee.IntegerField(default=0)
        draft = peewee.BooleanField(default=False)
        author = peewee.ForeignKeyField(Author, null=True, backref="articles", on_delete="CASCADE")

        search = SemanticIndex(
            **{
                "source_fields": ["title", "content"],
                "metadata_fields": ["author", "author.name"],
                "sync": "inline",
                **said,
            }
        )

    database.create_tables([Author, Article])
    if bind:
        bind_declared(PeeweeAdapter, core, database=database)
    return Shelf(db=database, core=core, Author=Author, Article=Article)


@pytest.fixture
def new_shelf(core: SemanticCore) -> Callable[..., Shelf]:
    """See `make_shelf`; in the test's core."""

    def make(database: Any, *, core: SemanticCore = core, **said: Any) -> Shelf:
        return make_shelf(database, core, **said)

    return make


@pytest.fixture
def shelf(database: Any, new_shelf: Callable[..., Shelf]) -> Shelf:
    """On every kind of database in turn."""
    return new_shelf(database)


@pytest.fixture
def one_shelf(db: Any, new_shelf: Callable[..., Shelf]) -> Shelf:
    """On SQLite."""
    return new_shelf(db)
