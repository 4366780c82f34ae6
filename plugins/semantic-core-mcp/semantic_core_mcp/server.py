"""The server: the tools and the documents as the protocol presents them.

Nothing that goes wrong inside reaches the client: `Tools` turns errors into a line, and what is not
a tool is refused here.

Tested by tests/test_protocol.py and tests/test_misuse.py.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Any, TypeVar

from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    ListToolsResult,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    ReadResourceResult,
    Resource,
    ResourceTemplate,
    TextContent,
    TextResourceContents,
    Tool,
    ToolAnnotations,
)

from semantic_core import Document
from semantic_core_mcp.arguments import schema_of
from semantic_core_mcp.calls import CallThreads, TooMany
from semantic_core_mcp.index import VisibleIndex
from semantic_core_mcp.limits import MOST_OFFSET, MOST_TITLE, MOST_URI, PAGE, Limits
from semantic_core_mcp.places import TEMPLATE, ref_at, uri_of
from semantic_core_mcp.tools import ABOUT, Tools

NAME = "semantic-core"
READ_ONLY = ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)
BUSY = "Too many calls at the same time. Wait for the answers to some of them."
SLOW = "The index took too long to answer. Try again later."
NO_RESOURCE = "There is no such resource."
NO_PAGE = "There is no such page."

T = TypeVar("T")


def server_of(
    index: VisibleIndex,
    calls: CallThreads,
    *,
    limits: Limits | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> Server[Any]:
    """A server of this index. report: called with lines for the operator."""
    desk = _Desk(index, calls, limits or Limits(), report)
    return Server(
        NAME,
        version=version("semantic-core-mcp"),
        title="Semantic Core",
        instructions=ABOUT,
        on_list_tools=desk.list_tools,
        on_call_tool=desk.call_tool,
        on_list_resources=desk.list_resources,
        on_list_resource_templates=desk.list_templates,
        on_read_resource=desk.read_resource,
    )


class _Desk:
    """Answers the requests of the protocol."""

    def __init__(
        self,
        index: VisibleIndex,
        calls: CallThreads,
        limits: Limits,
        report: Callable[[str], None],
    ) -> None:
        self._index = index
        self._calls = calls
        self._limits = limits
        self._tools = Tools(index, limits, report)

    async def list_tools(self, _: Any, params: PaginatedRequestParams | None) -> ListToolsResult:
        if params is not None and params.cursor is not None:
            raise MCPError(INVALID_PARAMS, NO_PAGE)
        tools = []
        for tool in self._tools.tools.values():
            described = Tool(
                name=tool.name,
                title=tool.title,
                description=tool.about,
                input_schema=schema_of(tool.parameters),
                output_schema=dict(tool.result),
                annotations=READ_ONLY,
            )
            tools.append(described)
        return ListToolsResult(tools=tools)

    async def call_tool(self, _: Any, params: CallToolRequestParams) -> CallToolResult:
        name = params.name
        if name not in self._tools.tools:
            known = ", ".join(self._tools.tools)
            raise MCPError(
                INVALID_PARAMS, f"There is no tool {ascii(name[:40])}; there is: {known}."
            )

        try:
            answer = await self._calls.run(lambda: self._tools.call(name, params.arguments))
        except TooMany:
            return _failed(BUSY)
        except TimeoutError:
            return _failed(SLOW)
        if answer.failed:
            return _failed(answer.text)
        return CallToolResult(
            content=[TextContent(text=answer.text)], structured_content=dict(answer.data)
        )

    async def list_resources(
        self, _: Any, params: PaginatedRequestParams | None
    ) -> ListResourcesResult:
        offset = _offset_of(params.cursor if params is not None else None)
        documents, more = await self._guarded(lambda: self._index.documents(offset, PAGE))
        resources = []
        for summary in documents:
            title = summary.title or summary.ref.key
            resources.append(
                Resource(
                    uri=uri_of(summary.ref),
                    name=f"{summary.ref.collection}/{summary.ref.key}",
                    title=title[:MOST_TITLE],
                    mime_type=summary.media_type,
                )
            )
        following = offset + PAGE
        cursor = str(following) if more and following <= MOST_OFFSET else None
        return ListResourcesResult(resources=resources, next_cursor=cursor)

    async def list_templates(
        self, _: Any, params: PaginatedRequestParams | None
    ) -> ListResourceTemplatesResult:
        if params is not None and params.cursor is not None:
            raise MCPError(INVALID_PARAMS, NO_PAGE)
        template = ResourceTemplate(
            uri_template=TEMPLATE,
            name="document",
            title="A document or row of the index",
            description="Its text. Collection and key are those of a hit.",
        )
        return ListResourceTemplatesResult(resource_templates=[template])

    async def read_resource(self, _: Any, params: ReadResourceRequestParams) -> ReadResourceResult:
        ref = ref_at(params.uri) if len(params.uri) <= MOST_URI else None
        document = None
        if ref is not None:
            document = await self._guarded(lambda: self._index.get(ref))
        if document is None:
            raise MCPError(INVALID_PARAMS, NO_RESOURCE)
        contents = TextResourceContents(
            uri=uri_of(document.ref),
            mime_type=document.media_type,
            text=_readable(document, self._limits.answer_chars),
        )
        return ReadResourceResult(contents=[contents])

    async def _guarded(self, work: Callable[[], T]) -> T:
        """What `work` returns; an error is told without what is inside."""
        try:
            return await self._calls.run(work)
        except TooMany:
            raise MCPError(INTERNAL_ERROR, BUSY) from None
        except TimeoutError:
            raise MCPError(INTERNAL_ERROR, SLOW) from None
        except Exception as error:
            raise MCPError(INTERNAL_ERROR, self._tools.told("resources", error)) from error


def _failed(line: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(text=line)], is_error=True)


def _offset_of(cursor: str | None) -> int:
    """The first document of a page. Raises MCPError for a cursor that is none of ours."""
    if cursor is None:
        return 0
    digits = cursor.isascii() and cursor.isdigit() and len(cursor) <= len(str(MOST_OFFSET))
    if not digits or not 0 < int(cursor) <= MOST_OFFSET or int(cursor) % PAGE:
        raise MCPError(INVALID_PARAMS, NO_PAGE)
    return int(cursor)


def _readable(document: Document, most: int) -> str:
    """The text of a document as a resource."""
    text = document.text
    if len(text) <= most:
        return text
    remark = f"\n[cut: {{shown:,}} of {len(text):,} characters; the tool get reads the rest]"
    shown = most - len(remark) - len(f"{most:,}")
    return text[:shown] + remark.format(shown=shown)
