"""An application with Tortoise ORM: tasks write and search, and their event loop goes on."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tortoise import Tortoise
from tortoise.connection import get_connections
from tortoise.transactions import in_transaction
from tortoise_adapter import TortoiseAdapter, init_database
from tortoise_library import Label, Text, Writer

from semantic_core import SemanticCore
from semantic_core.aio import AsyncSemanticCore
from semantic_core.errors import ConfigError, StoreMisuse
from semantic_core.testing import HashEmbedder

Story = Callable[[AsyncSemanticCore], Awaitable[Any]]


def play(folder: Path, story: Story, *, core: SemanticCore | None = None) -> Any:
    """Play a story in an application that was started, and stop it."""

    async def application() -> Any:
        url = f"sqlite://{folder}/library.db"
        orm = await Tortoise.init(db_url=url, modules={"models": ["tortoise_library"]})
        await orm.generate_schemas()
        made = core or SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[])
        async with AsyncSemanticCore(made) as client:
            await init_database(made)
            try:
                return await story(client)
            finally:
                await orm.connections.close_all()

    result = asyncio.run(application())
    left = [thread.name for thread in threading.enumerate() if "semantic-core-" in thread.name]
    assert left == []
    return result


async def found(core: AsyncSemanticCore, query: str, **options: Any) -> list[str]:
    rows = await core.call(lambda: Text.search(query, mode="text", **options))
    return sorted(row.title for row in rows)


def test_rows_are_found_once_their_transaction_has_committed(tmp_path: Path) -> None:
    async def story(core: AsyncSemanticCore) -> None:
        ann = await Writer.create(name="Ann")
        async with in_transaction():
            tides = await Text.create(title="Tides", content="about water", writer=ann)
            await tides.labels.add(await Label.create(name="nature"))
            assert await found(core, "tides") == []
        assert await found(core, "tides") == await found(core, "nature") == ["Tides"]
        with pytest.raises(ZeroDivisionError):
            async with in_transaction():
                await Text.create(title="Ghost", content="never")
                _ = 1 // 0
        assert await found(core, "ghost") == []
        async with in_transaction():
            await Text.create(title="Outer", content="stays")
            with pytest.raises(ZeroDivisionError):
                async with in_transaction():
                    await Text.create(title="Inner", content="goes")
                    _ = 1 // 0
        assert await found(core, "outer inner stays goes") == ["Outer"]
        await Text.bulk_create([Text(title=f"Bulk {n}", content="many") for n in range(3)])
        await Writer.filter(id=ann.id).update(name="Bea")
        assert len(await found(core, "many")) == 3
        assert await found(core, "bea", where={"writer": ann}) == ["Tides"]
        await Text.filter(title="Tides").delete()
        assert await found(core, "bea") == []
        assert (await core.call(Text.search.verify)).sound
        assert (await core.call(Writer.search.verify)).sound

    play(tmp_path, story)


def test_rows_come_with_what_the_declaration_reads(tmp_path: Path) -> None:
    async def story(core: AsyncSemanticCore) -> None:
        ann = await Writer.create(name="Ann")
        await Text.create(title="Tides", content="about water", writer=ann)
        await Text.create(title="Alone", content="about water")
        tides, alone = await core.call(lambda: Text.search("water", mode="text", limit=2))
        if tides.title != "Tides":
            tides, alone = alone, tides
        assert tides.writer.name == "Ann" and alone.writer is None
        assert tides.search_hit.metadata == {"writer": ann.id}
        (writer,) = await core.call(lambda: Writer.search("tides", mode="text"))
        assert writer.name == "Ann" and [text.title for text in writer.texts] == ["Tides"]
        tides.content = "about the moon"
        await tides.save()
        assert await found(core, "moon") == ["Tides"]

    play(tmp_path, story)


def test_a_hundred_tasks_write_while_others_search_and_the_loop_goes_on(tmp_path: Path) -> None:
    async def story(core: AsyncSemanticCore) -> tuple[float, int]:
        longest = 0.0
        beats = 0

        async def heart() -> None:
            nonlocal longest, beats
            while True:
                began = time.perf_counter()
                await asyncio.sleep(0.001)
                longest = max(longest, time.perf_counter() - began)
                beats += 1

        async def create(number: int) -> None:
            await Text.create(title=f"number {number}", content="written by a task")
            assert f"number {number}" in await found(core, f"number {number}", limit=100)

        beating = asyncio.create_task(heart())
        await asyncio.gather(*(create(number) for number in range(100)))
        beating.cancel()
        assert len(await found(core, "task", limit=200)) == 100
        assert (await core.call(Text.search.verify)).sound
        return longest, beats

    longest, beats = play(tmp_path, story)
    print(f"the loop stood still for {longest * 1000:.0f} ms at most, in {beats} beats")  # noqa: T201
    assert beats > 20


def test_a_search_within_the_event_loop_is_refused_with_what_to_do(tmp_path: Path) -> None:
    async def story(core: AsyncSemanticCore) -> None:
        await Text.create(title="Tides", content="about water")
        with pytest.raises(StoreMisuse, match="runs an event loop") as caught:
            Text.search("tides")
        assert "asyncio.to_thread" in caught.value.hint
        rows = await asyncio.to_thread(Text.search, "tides", mode="text")
        assert [row.title for row in rows] == ["Tides"]

    play(tmp_path, story)


def test_a_search_in_an_open_transaction_does_not_wait_for_it(tmp_path: Path) -> None:
    async def story(core: AsyncSemanticCore) -> None:
        await Text.create(title="Tides", content="about water")
        async with in_transaction():
            await Text.create(title="Moon", content="about water")
            began = time.perf_counter()
            assert await found(core, "water") == ["Tides"]
            assert time.perf_counter() - began < 3
        assert await found(core, "water") == ["Moon", "Tides"]

    play(tmp_path, story)


def test_an_application_that_starts_again_has_another_bridge(tmp_path: Path) -> None:
    core = SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[])

    async def first(client: AsyncSemanticCore) -> None:
        await Text.create(title="Tides", content="about water")

    async def second(client: AsyncSemanticCore) -> list[str]:
        return await found(client, "water", fresh=True)

    play(tmp_path, first, core=core)
    again = SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[])
    assert play(tmp_path, second, core=again) == ["Tides"]


def test_without_a_core_the_index_is_beside_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEMANTIC_CORE_EMBEDDER", "none")

    async def application() -> list[str]:
        url = f"sqlite://{tmp_path}/library.db"
        orm = await Tortoise.init(db_url=url, modules={"models": ["tortoise_library"]})
        await orm.generate_schemas()
        bound = await init_database()
        await Text.create(title="Tides", content="about water")
        rows = await asyncio.to_thread(Text.search, "tides")
        await asyncio.to_thread(bound[0].core.close)
        await orm.connections.close_all()
        return [row.title for row in rows]

    assert asyncio.run(application()) == ["Tides"]
    assert (tmp_path / "library.db.semantic.db").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"engine": "tortoise.backends.sqlite", "credentials": {"file_path": ":memory:"}},
            "in memory belongs to one connection",
        ),
        (
            {"engine": "tortoise.backends.psycopg", "credentials": {"password": "secret"}},
            "does not know the engine 'tortoise.backends.psycopg'",
        ),
    ],
)
def test_databases_that_cannot_work_are_refused(settings: dict[str, Any], message: str) -> None:
    async def start() -> None:
        orm = await Tortoise.init(db_url="sqlite://x.db", modules={"models": ["tortoise_library"]})
        orm.connections.db_config["default"] = settings
        core = SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[])
        with core, pytest.raises(ConfigError, match=message) as caught:
            await init_database(core)
        assert caught.value.hint and "secret" not in str(caught.value)

    asyncio.run(start())


def test_models_of_another_connection_are_left_to_its_adapter(tmp_path: Path) -> None:
    async def start() -> bool:
        url = f"sqlite://{tmp_path}/library.db"
        orm = await Tortoise.init(db_url=url, modules={"models": ["tortoise_library"]})
        client = get_connections().get("default")
        serves = TortoiseAdapter.serves(Text, client=client)
        client.connection_name = "other"
        other = TortoiseAdapter.serves(Text, client=client)
        client.connection_name = "default"
        await orm.connections.close_all()
        return serves and not other and not TortoiseAdapter.serves(int)

    assert asyncio.run(start())
