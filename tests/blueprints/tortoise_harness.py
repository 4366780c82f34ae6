"""The kit's tables in Tortoise ORM: what its blueprint is checked with."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import Context, copy_context
from typing import Any

from tortoise import Tortoise
from tortoise.connection import get_connections
from tortoise.context import TortoiseContext
from tortoise.queryset import QuerySet
from tortoise_adapter import TortoiseAdapter
from tortoise_models import MODELS

from semantic_core.testing import DATABASE_LIMITS, AdapterHarness, Capability, Limit

LIMITS = {
    Capability.COMPOSITE_KEY: Limit(
        "Tortoise has no primary key of several columns.",
        "Give the table a key of one column, and a unique constraint for the others.",
    ),
    Capability.INHERITANCE: Limit(
        "Tortoise keeps no fields of a model in the table of its parent.",
        "Use an abstract base: each table then has all of its columns.",
    ),
}
OURS = (
    "semantic_outbox",
    "semantic_places",
    "semantic_consumers",
    "semantic_subscriptions",
    "semantic_state",
)


def config_of(servers: Any, database: Any) -> dict[str, Any]:
    """What `Tortoise.init` takes for a database of the tests. Each kind of database has a
    connection of its own name, since Tortoise keeps the statements it made by that name.
    """
    if database.kind == "sqlite3":
        engine = "tortoise.backends.sqlite"
        credentials: dict[str, Any] = {"file_path": database.address, "synchronous": "OFF"}
    else:
        server = servers.urlsplit(servers.POSTGRES)
        engine = "tortoise.backends.asyncpg"
        credentials = {
            "host": server.hostname,
            "port": server.port,
            "user": server.username,
            "password": server.password,
            "database": server.path.strip("/"),
            "schema": database.address,
            "server_settings": {"synchronous_commit": "off"},
        }
    return {
        "connections": {database.kind: {"engine": engine, "credentials": credentials}},
        "apps": {"models": {"models": ["tortoise_models"], "default_connection": database.kind}},
        "use_tz": False,
    }


class Application:
    """The application: an event loop in a thread. Each thread of a test is a task of it, with a
    context that lasts: so a transaction lasts from one call to the next.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self._config = config
        self._context: Context = copy_context()
        self._mine = threading.local()
        self.run(self._open(), self._context)

    async def _open(self) -> None:
        self.orm: TortoiseContext = await Tortoise.init(config=self._config)

    def run(self, coroutine: Coroutine[Any, Any, Any], context: Context | None = None) -> Any:
        chosen = context or self.context

        async def within() -> Any:
            return await self.loop.create_task(coroutine, context=chosen)

        return asyncio.run_coroutine_threadsafe(within(), self.loop).result(60)

    @property
    def context(self) -> Context:
        """That of this thread."""
        if not hasattr(self._mine, "context"):
            self._mine.context = self._context.copy()
        context: Context = self._mine.context
        return context

    def forget(self) -> None:
        """What this thread had open."""
        del self._mine.context

    def close(self) -> None:
        async def closed() -> None:
            await get_connections().close_all()

        self.run(closed(), self._context)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()


class TortoiseHarness(AdapterHarness):
    """One database, and an application of its own in another thread."""

    adapter = TortoiseAdapter
    models = MODELS

    def __init__(self, keep: Any) -> None:
        self._keep, self.database = keep, keep.borrow()
        self.limits = {**DATABASE_LIMITS[self.database.dialect], **LIMITS}
        self.app = Application(config_of(keep.servers, self.database))
        self.client = self.app.context.run(lambda: get_connections().get(self.database.kind))
        self.options = {"client": self.client}
        self.app.context.run(self._bridge)

    def _bridge(self) -> None:
        """As in a thread of the application: with the variables that Tortoise needs."""
        from tortoise_adapter import _bridge_to

        self.bridge = _bridge_to(self.client)

    @classmethod
    def prepare(cls, keep: Any, database: Any) -> None:
        """Create the tables in a database nobody has used."""

        async def create() -> None:
            orm = await Tortoise.init(config=config_of(keep.servers, database))
            await orm.generate_schemas()
            await orm.connections.close_all()

        asyncio.run(create())

    @contextmanager
    def transaction(self) -> Iterator[None]:
        async def begin() -> Any:
            block = get_connections().get(self.database.kind)._in_transaction()
            await block.__aenter__()
            return block

        block = self.app.run(begin())
        try:
            yield
        except BaseException as error:
            self.app.run(block.__aexit__(type(error), error, None))
            raise
        self.app.run(block.__aexit__(None, None, None))

    def create(self, model: Any, **values: Any) -> Any:
        return self.app.run(model.create(**values))

    def update(self, model: Any, key: Any, **values: Any) -> None:
        async def update() -> None:
            row = await QuerySet(model).get(pk=key)
            for name, value in values.items():
                setattr(row, name, value)
            await row.save()

        self.app.run(update())

    def delete(self, model: Any, key: Any) -> None:
        async def delete() -> None:
            await (await QuerySet(model).get(pk=key)).delete()

        self.app.run(delete())

    def sql(self, statement: str) -> Sequence[Sequence[Any]]:
        async def fetch() -> Any:
            return (await get_connections().get(self.database.kind).execute_query(statement))[1]

        return [tuple(row) for row in self.app.run(fetch())]

    def insert_many(self, model: Any, rows: Sequence[Mapping[str, Any]]) -> None:
        self.app.run(_awaited(lambda: model.bulk_create([model(**row) for row in rows])))

    def update_many(self, model: Any, keys: Sequence[Any], **values: Any) -> None:
        self.app.run(_awaited(lambda: QuerySet(model).filter(id__in=keys).update(**values)))

    def delete_many(self, model: Any, keys: Sequence[Any]) -> None:
        self.app.run(_awaited(lambda: QuerySet(model).filter(id__in=keys).delete()))

    def upsert(self, model: Any, **values: Any) -> None:
        changed = [name for name in values if name != "id"]
        options = {"update_fields": changed, "on_conflict": ["id"]}
        self.app.run(_awaited(lambda: model.bulk_create([model(**values)], **options)))

    def query(self, model: Any, **values: Any) -> Any:
        async def made() -> list[Any]:  # in a list, since a query is executed when it is awaited
            return [QuerySet(model).filter(**values)]

        return self.app.run(made())[0]

    def crash(self, work: Callable[[], None]) -> None:
        async def begin() -> None:
            await self.client._in_transaction().__aenter__()

        async def lose() -> None:
            lost = get_connections().get(self.database.kind)._connection
            if self.database.kind == "sqlite3":
                await lost.close()
                self.client._connection = None
                self.client._lock.release()
            else:
                lost.terminate()

        self.app.run(begin())
        work()
        self.app.run(lose())
        self.app.forget()

    def close(self) -> None:
        if self.database.kind != "sqlite3":
            for name in ("tagging", "article", "author", "tag", "page", "parcel", "note", "media"):
                self.sql(f"DELETE FROM kit_{name}")
            for table in OURS:
                if self.sql(f"SELECT to_regclass('{table}')")[0][0] is not None:
                    self.sql(f"DELETE FROM {table}")
        self.bridge.close()
        self.app.close()
        self._keep.give_back(self.database)


async def _awaited(statement: Callable[[], Any]) -> Any:
    """What is begun and awaited in the application's loop."""
    return await statement()
