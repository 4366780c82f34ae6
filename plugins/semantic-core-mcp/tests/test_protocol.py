"""What the official client sees, of every age of the protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from importlib.metadata import version
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from mcp import Client
from mcp.shared.exceptions import MCPError
from semantic_core_mcp.calls import CallThreads
from semantic_core_mcp.index import VisibleIndex
from semantic_core_mcp.limits import PAGE, Limits
from semantic_core_mcp.server import NO_PAGE, NO_RESOURCE, server_of
from semantic_core_mcp.tools import ABOUT

from semantic_core import Document, Ref, SemanticCore
from semantic_core.testing import HashEmbedder

AGES = ("auto", "legacy")
"""The present protocol, and the one with a handshake."""


def talk(do: Callable[[Client], Coroutine[Any, Any, None]], mode: str, count: int = 3) -> None:
    """Talk to a server of so many notes."""
    core = SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[])
    core.ingest([Document(Ref("notes", f"{n}.txt"), f"Beans {n}") for n in range(count)])
    core.ingest(Document(Ref("long", "1"), "Beans climb. " * 200, media_type="text/markdown"))
    index = VisibleIndex(core, shown=["lang"])

    async def main() -> None:
        calls = CallThreads()
        server = server_of(index, calls, limits=Limits(answer_chars=1_000))
        async with Client(server, mode=mode) as client:
            await do(client)
        calls.close()

    asyncio.run(main())


@pytest.mark.parametrize("mode", AGES)
def test_every_tool_is_read_only_and_describes_what_it_takes_and_gives(mode: str) -> None:
    async def do(client: Client) -> None:
        info = client.server_info
        assert (info.name, info.version) == ("semantic-core", version("semantic-core-mcp"))
        assert client.instructions == ABOUT
        listed = await client.list_tools()
        assert [tool.name for tool in listed.tools] == [
            "search",
            "get",
            "context",
            "list_collections",
        ]
        for tool in listed.tools:
            assert tool.title and tool.description and tool.annotations
            assert tool.annotations.read_only_hint is True
            assert tool.annotations.destructive_hint is False
            assert tool.annotations.idempotent_hint is True
            assert tool.annotations.open_world_hint is False
            Draft202012Validator.check_schema(tool.input_schema)
            Draft202012Validator.check_schema(tool.output_schema)
            assert tool.input_schema["additionalProperties"] is False
            for name, described in tool.input_schema["properties"].items():
                assert described["description"], name
        named = {name for tool in listed.tools for name in tool.input_schema["properties"]}
        assert not named & {"tenant", "user", "context", "groups", "collections", "as", "db", "app"}
        with pytest.raises(MCPError, match=NO_PAGE):
            await client.list_tools(cursor="50")

    talk(do, mode)


@pytest.mark.parametrize("mode", AGES)
def test_answers_come_as_text_and_as_data_that_keeps_its_schema(mode: str) -> None:
    async def do(client: Client) -> None:
        schemas = {tool.name: tool.output_schema for tool in (await client.list_tools()).tools}
        identity = {"collection": "notes", "key": "1.txt"}
        for name, given in (
            ("search", {"query": "beans", "where": {"lang": {"exists": False}}}),
            ("get", identity),
            ("context", {**identity, "position": 0}),
            ("list_collections", {}),
        ):
            answer = await client.call_tool(name, given)
            assert answer.is_error is False
            (content,) = answer.content
            assert content.type == "text" and content.text
            schema = schemas[name]
            Draft202012Validator(schema).validate(answer.structured_content)
            assert set(schema["properties"]) == set(answer.structured_content), name

    talk(do, mode)


@pytest.mark.parametrize("mode", AGES)
def test_a_hit_is_cited_by_a_uri_that_can_be_read(mode: str) -> None:
    async def do(client: Client) -> None:
        answer = await client.call_tool("search", {"query": "beans 2", "collection": "notes"})
        uri = answer.structured_content["hits"][0]["uri"]
        (content,) = (await client.read_resource(uri)).contents
        assert (content.uri, content.mime_type, content.text) == (uri, "text/plain", "Beans 2")
        (template,) = (await client.list_resource_templates()).resource_templates
        values = {"collection": "notes", "key": "2.txt"}
        assert template.uri_template.format(**values) == uri
        (content,) = (await client.read_resource("semantic-core://documents/long/1")).contents
        assert len(content.text) <= 1_000
        assert content.text.endswith("of 2,600 characters; the tool get reads the rest]")
        with pytest.raises(MCPError, match=NO_RESOURCE):
            await client.read_resource("semantic-core://documents/notes/none")
        with pytest.raises(MCPError, match=NO_RESOURCE):
            await client.read_resource("file:///etc/passwd")
        with pytest.raises(MCPError, match=NO_RESOURCE):
            await client.read_resource("semantic-core://documents/notes/" + "a" * 100_000)
        with pytest.raises(MCPError, match=NO_PAGE):
            await client.list_resource_templates(cursor="1")

    talk(do, mode)


@pytest.mark.parametrize("mode", AGES)
def test_documents_are_listed_page_by_page(mode: str) -> None:
    async def do(client: Client) -> None:
        first = await client.list_resources()
        assert len(first.resources) == PAGE
        second = await client.list_resources(cursor=first.next_cursor)
        assert (len(second.resources), second.next_cursor) == (21, None)
        uris = {each.uri for each in [*first.resources, *second.resources]}
        assert len(uris) == 71
        assert first.resources[0].name == "long/1"
        for cursor in ("0", "-50", "51", "1" * 30, "x", "\u0665\u0660", "", "50 "):
            with pytest.raises(MCPError, match=NO_PAGE):
                await client.list_resources(cursor=cursor)

    talk(do, mode, count=70)
