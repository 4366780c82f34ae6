"""A Django project of one process: its settings, the kit's tables as an app,
and databases that come and go with tests.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import django
from django.conf import settings

RULES = {
    "author_id": "CASCADE",
    "mentor_id": "SET NULL",
    "media_ptr_id": "CASCADE",
    "book_ptr_id": "CASCADE",
    "article_id": "CASCADE",
    "tag_id": "CASCADE",
}
"""Per foreign key of the kit's tables what the database does when the parent goes;
Django itself never writes that.
"""
_REFERENCE = re.compile(r'("(\w+)"[^,"]*REFERENCES "\w+" \("\w+"\))')
_numbers = count()


class Router:
    """Sends everything where the test at hand works."""

    alias = "default"

    def db_for_read(self, model: type, **hints: Any) -> str:
        return (
            hints["instance"]._state.db
            if getattr(hints.get("instance"), "_state", None)
            else Router.alias
        )

    db_for_write = db_for_read

    def allow_relation(self, *_: Any, **__: Any) -> bool:
        return True


if not settings.configured:
    settings.configure(
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        DATABASE_ROUTERS=["django_site.Router"],
        INSTALLED_APPS=["django_site", "diary.apps.DiaryConfig"],
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        ROOT_URLCONF="django_site.urls",
        ALLOWED_HOSTS=["testserver"],
        USE_TZ=False,
    )
    django.setup()


def settings_of(servers: Any, database: Any) -> dict[str, Any]:
    """How Django reaches a database of the tests."""
    if database.kind == "sqlite3":
        pragmas = "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF"
        options = {"transaction_mode": "IMMEDIATE", "init_command": pragmas, "timeout": 30}
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": database.address,
            "OPTIONS": options,
        }
    server = servers.urlsplit(servers.POSTGRES)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": server.path.strip("/"),
        "HOST": server.hostname,
        "PORT": server.port or 5432,
        "USER": server.username,
        "PASSWORD": server.password or "",
        "OPTIONS": {"options": servers.postgres_options(database.address)},
    }


def added(given: dict[str, Any]) -> str:
    """The alias of one more database."""
    from django.db import connections

    alias = f"test{next(_numbers)}"
    connections.databases[alias] = {**connections.databases["default"], **given}
    return alias


def removed(alias: str) -> None:
    """Forget a database; its connection of this thread is closed."""
    from django.db import connections

    connections[alias].close()
    del connections[alias]
    del connections.databases[alias]


@contextmanager
def routed(alias: str) -> Iterator[None]:
    """Within it, models that are not told otherwise live in this database."""
    before, Router.alias = Router.alias, alias
    try:
        yield
    finally:
        Router.alias = before


def create_tables(alias: str) -> None:
    """The kit's tables and those of the other models,
    with foreign keys by which the database itself deletes.
    """
    from django.apps import apps
    from django.db import connections

    connection = connections[alias]
    with connection.schema_editor(collect_sql=True) as editor:
        for model in apps.get_app_config("django_site").get_models():
            if not model._meta.proxy:
                editor.create_model(model)
    with connection.cursor() as cursor:
        for statement in editor.collected_sql:
            cursor.execute(_REFERENCE.sub(_with_rule, statement))


def _with_rule(found: re.Match[str]) -> str:
    rule = RULES.get(found[2])
    return f"{found[1]} ON DELETE {rule}" if rule else found[1]
