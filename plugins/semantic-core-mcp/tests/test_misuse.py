"""A client that does it wrong, in a hurry, or by the thousand, gets one clear line each time; and
the next call works.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from semantic_core_mcp.answers import ToolAnswer
from semantic_core_mcp.calls import CallThreads, TooMany
from semantic_core_mcp.index import VisibleIndex
from semantic_core_mcp.server import BUSY, SLOW, server_of
from semantic_core_mcp.tools import Tools

from semantic_core import Document, Ref, SemanticCore
from semantic_core.testing import HashEmbedder

AGES = ("auto", "legacy")


def talk(
    do: Callable[[Client], Coroutine[Any, Any, None]], mode: str = "auto", **calls: Any
) -> list[str]:
    """Talk to a server of a few notes. Returns what the operator was told."""
    core = SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[])
    core.ingest([Document(Ref("notes", f"{n}.txt"), f"Beans {n}") for n in range(20)])
    lines: list[str] = []

    async def main() -> None:
        threads = CallThreads(**calls)
        server = server_of(VisibleIndex(core), threads, report=lines.append)
        async with Client(server, mode=mode) as client:
            await do(client)
        threads.close()

    asyncio.run(main())
    return lines


@pytest.mark.parametrize("mode", AGES)
@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("search", {}, "query is missing."),
        ("search", {"query": {"$ne": 1}}, "query must be a text, got an object."),
        ("search", {"query": "x" * 3_000_000}, "query must have at most 1,000 characters, got"),
        ("search", {"query": "beans", "limit": 10**9}, "limit must be a whole number from 1 to 20"),
        ("search", {"query": "beans", "tenant": "b"}, "There is no argument 'tenant'; there is:"),
        ("get", {"collection": "notes"}, "key is missing."),
        ("get", {"collection": "notes", "key": ["1.txt"]}, "key must be a text, got a list."),
        ("get", {"collection": "notes", "key": "\x00\x01\x02"}, "There is no such document."),
        ("context", {"collection": "notes", "key": "1.txt", "position": -1}, "position must be"),
        (
            "context",
            {"collection": "notes", "key": "1.txt", "position": 0, "before": 6},
            "before must be a whole number from 0 to 5, got 6.",
        ),
        ("list_collections", {"query": "x"}, "There is no argument 'query'; there is: none."),
    ],
)
def test_wrong_arguments_are_one_clear_line(
    mode: str, name: str, given: Mapping[str, Any], told: str
) -> None:
    async def do(client: Client) -> None:
        answer = await client.call_tool(name, dict(given))
        assert answer.is_error and answer.structured_content is None
        (content,) = answer.content
        assert content.text.startswith(told)
        assert "\n" not in content.text and len(content.text) < 250
        assert not (await client.call_tool("search", {"query": "beans"})).is_error

    assert talk(do, mode) == [], "a mistake of the client is no news for the operator"


@pytest.mark.parametrize("mode", AGES)
def test_an_unknown_tool_or_method_is_refused(mode: str) -> None:
    async def do(client: Client) -> None:
        for name in ("delete", "", "search\x1b[2J", "x" * 10_000):
            with pytest.raises(MCPError) as caught:
                await client.call_tool(name, {})
            message = caught.value.error.message
            assert message.startswith("There is no tool ")
            assert message.endswith("there is: search, get, context, list_collections.")
            assert len(message) < 200 and message.isprintable()
        for method in (client.list_prompts,):
            with pytest.raises(MCPError, match="Method not found"):
                await method()

    talk(do, mode)


@pytest.mark.parametrize("mode", AGES)
def test_calls_side_by_side_each_get_their_own_answer(mode: str) -> None:
    async def do(client: Client) -> None:
        async def one(number: int) -> None:
            given = {"collection": "notes", "key": f"{number % 20}.txt"}
            answer = await client.call_tool("get", given)
            assert answer.structured_content["text"] == f"Beans {number % 20}"

        await asyncio.gather(*[one(number) for number in range(80)])

    talk(do, mode)


class Slow:
    """A search that goes on until it is let go."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.begun = threading.Semaphore(0)
        self.let_go = threading.Event()
        self.finished = 0
        patch.setattr(Tools, "call", self.call)

    def call(self, name: str, given: Mapping[str, Any]) -> ToolAnswer:
        if name == "search":
            self.begun.release()
            assert self.let_go.wait(20)
            self.finished += 1
        return ToolAnswer("done", {"collections": [], "cut": False})

    async def wait_until_begun(self, count: int = 1) -> None:
        for _ in range(count):
            assert await anyio.to_thread.run_sync(self.begun.acquire, True, 20)


@pytest.mark.parametrize("mode", AGES)
def test_a_cancelled_call_does_not_hold_up_the_next(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(monkeypatch)

    async def do(client: Client) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.call_tool, "search", {"query": "beans"})
            await slow.wait_until_begun()
            tasks.cancel_scope.cancel()
        answer = await client.call_tool("list_collections", {})
        assert answer.content[0].text == "done"
        slow.let_go.set()

    talk(do, mode)
    assert slow.finished == 1


def test_a_flood_is_refused_and_what_waits_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(monkeypatch)

    async def do(client: Client) -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(client.call_tool, "search", {"query": "beans"})
            await slow.wait_until_begun(2)
            answer = await client.call_tool("list_collections", {})
            assert (answer.is_error, answer.content[0].text) == (True, BUSY)
            with pytest.raises(MCPError, match="Too many calls"):
                await client.list_resources()
            tasks.cancel_scope.cancel()
        slow.let_go.set()
        answer = await client.call_tool("list_collections", {})
        assert answer.content[0].text == "done"

    talk(do, threads=2, waiting=10)
    assert slow.finished == 2, "eight calls never began"


def test_a_call_that_takes_too_long_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(monkeypatch)

    async def do(client: Client) -> None:
        answer = await client.call_tool("search", {"query": "beans"})
        assert (answer.is_error, answer.content[0].text) == (True, SLOW)
        slow.let_go.set()

    talk(do, seconds=0.05)


def test_threads_end_with_the_server() -> None:
    async def main() -> None:
        calls = CallThreads(threads=2)
        await calls.run(int)
        calls.close()
        with pytest.raises(RuntimeError):
            await calls.run(int)
        full = CallThreads(waiting=0)
        with pytest.raises(TooMany):
            await full.run(int)
        full.close()

    asyncio.run(main())
    assert not [each for each in threading.enumerate() if "semantic-core-mcp" in each.name]
