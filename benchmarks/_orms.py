"""One row, and how each ORM saves it: on a database of its own, with or without an index."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

PRAGMAS = {"journal_mode": "wal", "synchronous": "normal"}
"""Of SQLite."""
ROOT = Path(__file__).parent.parent
Save = Callable[[str], object]
"""Gives the row this text, and commits."""
Bind = Callable[[type, type, dict[str, Any]], object]
"""Called with the model, the adapter and its options before the row is saved."""
_numbers = count()


def _module(name: str, path: Path) -> Any:
    if name not in sys.modules:
        spec = spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None
        sys.modules[name] = module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def blueprint(name: str) -> Any:
    """An adapter to copy."""
    return _module(name, ROOT / "adapters_blueprints" / f"{name}.py")


def servers() -> Any:
    """Where servers are looked for, and how a database is made there: as for the tests."""
    return _module("orm_servers", ROOT / "tests" / "orm" / "databases.py")


def _server(database: Any) -> tuple[str, dict[str, Any]]:
    """The name of the database on its server; host, port, user and password."""
    server = urlsplit(servers().POSTGRES if database.kind == "postgresql" else servers().MYSQL)
    place = {
        "host": server.hostname,
        "port": server.port,
        "user": server.username,
        "password": server.password or "",
    }
    return server.path.strip("/") if database.kind == "postgresql" else database.address, place


def _search_path(database: Any) -> str:
    return f"-c search_path={database.address}"


@contextmanager
def peewee_row(database: Any, bind: Bind) -> Iterator[Save]:
    """Peewee, with its plugin."""
    import peewee
    from semantic_core_peewee import PeeweeAdapter

    if database.kind == "sqlite3":
        db: Any = peewee.SqliteDatabase(database.address, pragmas=PRAGMAS)
    elif database.kind == "postgresql":
        name, place = _server(database)
        db = peewee.PostgresqlDatabase(name, options=_search_path(database), **place)
    else:
        name, place = _server(database)
        db = peewee.MySQLDatabase(name, charset="utf8mb4", **place)

    class Article(peewee.Model):  # type: ignore[misc]
        title = peewee.CharField(max_length=200)
        content = peewee.TextField()

        class Meta:
            database = db
            table_name = "bench_article"

    db.create_tables([Article])
    bind(Article, PeeweeAdapter, {"database": db})
    row = Article.create(title="title", content="")

    def save(text: str) -> None:
        row.content = text
        row.save()

    yield save
    db.close()


@contextmanager
def django_row(database: Any, bind: Bind) -> Iterator[Save]:
    """Django, with the blueprint."""
    import django
    from django.conf import settings

    if not settings.configured:
        settings.configure(
            DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
        )
        django.setup()
    from django.db import connections

    alias, here = f"bench{next(_numbers)}", dict(connections.databases["default"])
    if database.kind == "sqlite3":
        pragmas = "; ".join(f"PRAGMA {name} = {value}" for name, value in PRAGMAS.items())
        here |= {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": database.address,
            "OPTIONS": {"init_command": pragmas},
        }
    else:
        name, place = _server(database)
        here |= {
            "ENGINE": "django.db.backends.postgresql",
            "OPTIONS": {"options": _search_path(database)},
        }
        here |= {"NAME": name, **{key.upper(): value for key, value in place.items()}}
    connections.databases[alias] = here
    model = _django_model()
    with connections[alias].schema_editor() as editor:
        editor.create_model(model)
    bind(model, blueprint("django_adapter").DjangoAdapter, {"using": alias})
    row = model.objects.using(alias).create(title="title", content="")

    def save(text: str) -> None:
        row.content = text
        row.save()

    yield save
    connections[alias].close()


def _django_model() -> Any:
    from django.apps import apps
    from django.db import models

    if "article" in apps.all_models["bench"]:
        return apps.all_models["bench"]["article"]

    class Article(models.Model):
        title = models.CharField(max_length=200)
        content = models.TextField()

        class Meta:
            app_label = "bench"
            db_table = "bench_article"

    return Article


@contextmanager
def sqlalchemy_row(database: Any, bind: Bind) -> Iterator[Save]:
    """SQLAlchemy, with the blueprint."""
    from sqlalchemy import URL, Column, Integer, String, Text, create_engine, event
    from sqlalchemy.orm import Session, declarative_base

    drivers = {"sqlite3": "sqlite", "postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}
    name, place = (database.address, {}) if database.kind == "sqlite3" else _server(database)
    place = {"username" if key == "user" else key: value for key, value in place.items()}
    options = {"options": _search_path(database)} if database.kind == "postgresql" else {}
    engine = create_engine(
        URL.create(drivers[database.kind], database=name, **place), connect_args=options
    )
    if database.kind == "sqlite3":

        @event.listens_for(engine, "connect")
        def connected(connection: Any, record: object) -> None:
            for setting, value in PRAGMAS.items():
                connection.execute(f"PRAGMA {setting} = {value}")

    base: Any = declarative_base()

    class Article(base):  # type: ignore[misc]
        __tablename__ = "bench_article"
        id = Column(Integer, primary_key=True)
        title = Column(String(200))
        content = Column(Text)

    base.metadata.create_all(engine)
    bind(Article, blueprint("sqlalchemy_adapter").SQLAlchemyAdapter, {"engine": engine})
    with Session(engine, expire_on_commit=False) as session:
        row = Article(title="title", content="")
        session.add(row)
        session.commit()

        def save(text: str) -> None:
            row.content = text
            session.commit()

        yield save
    engine.dispose()


ORMS: Mapping[str, tuple[Any, tuple[str, ...]]] = {
    "Peewee": (peewee_row, ("sqlite3", "postgresql", "mysql")),
    "Django": (django_row, ("sqlite3", "postgresql")),
    "SQLAlchemy": (sqlalchemy_row, ("sqlite3", "postgresql", "mysql")),
}
"""Per ORM its row, and the databases its adapter is checked on."""
