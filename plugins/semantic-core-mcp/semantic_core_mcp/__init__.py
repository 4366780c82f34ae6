"""An MCP server: assistants search the index, and read documents and rows, without changing any.

The hook names the command ``semantic-core mcp``, and everything else is imported when it is called.

- index, rows: what the operator lets them see. tools, arguments: what they can call.
- answers, limits, places: what they get, how much of it, and where it is from.
- server, calls: the protocol. stdio, http, tokens: the two ways to reach it.
- command: the options of the operator.

Tested by tests/test_plugin.py.
"""

from __future__ import annotations

from collections.abc import Mapping

from semantic_core import hookimpl

SEMANTIC_CORE_API = 1


@hookimpl
def semantic_commands() -> Mapping[str, tuple[str, str]]:
    """The command that starts the server."""
    return {
        "mcp": (
            "semantic_core_mcp.command:mcp",
            "Let AI assistants search the index over MCP, read-only.",
        )
    }
