"""The command ``semantic-core mcp``: what the operator fixes before an assistant is let in.

Tested by tests/test_command.py, tests/test_stdio.py and tests/test_http.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

import attrs
import click
from click.core import ParameterSource

from semantic_core.cli import (
    app_option,
    application,
    collections_option,
    db_option,
    note,
    opened,
    searchable,
    tenant_option,
    visible,
)
from semantic_core.errors import InputError
from semantic_core_mcp import http
from semantic_core_mcp.calls import CallThreads
from semantic_core_mcp.index import VisibleIndex
from semantic_core_mcp.limits import LEAST_CHARS, Limits
from semantic_core_mcp.rows import Rows
from semantic_core_mcp.tokens import VARIABLE, token_of


@attrs.frozen
class Access:
    """What the options say of the index. app: "" for an index of files."""

    app: str
    db: str | None
    tenant: str | None
    context: dict[str, Any]
    collections: tuple[str, ...]
    shown: tuple[str, ...]


def parse_context(given: Sequence[str]) -> dict[str, Any]:
    """The context of ``NAME=TEXT`` and ``NAME:=JSON``; a name that is given several times has a
    list of all values. Raises InputError.
    """
    found: dict[str, list[Any]] = {}
    for text in given:
        name, equals, value = text.partition("=")
        read: Any = value
        if name.endswith(":"):
            name = name[:-1]
            try:
                read = json.loads(value)
            except ValueError as error:
                raise InputError(f"--context {name}:= needs JSON, got {value!r}.") from error
        if not name or not equals:
            raise InputError(
                f"--context needs NAME=VALUE, got {text!r}.",
                hint='For example --context user=ann --context groups:=["staff"].',
            )
        found.setdefault(name, []).append(read)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def _read_context(
    _context: click.Context, _option: click.Parameter, given: Sequence[str]
) -> dict[str, Any]:
    return parse_context(given)


@click.command()
@app_option
@db_option
@tenant_option
@click.option(
    "--context",
    "--as",
    "context",
    metavar="NAME=VALUE",
    multiple=True,
    callback=_read_context,
    help=(
        "Who asks, for plugins that show each user other documents: user=ann, groups:=JSON; "
        "repeatable. The assistant cannot change it."
    ),
)
@collections_option
@click.option(
    "--metadata",
    "shown",
    metavar="KEY",
    multiple=True,
    help="Show this metadata, and let it be filtered by; repeatable. Default: none.",
)
@click.option(
    "--max-hits",
    type=click.IntRange(1, 50),
    default=Limits().hits,
    show_default=True,
    help="Most hits of a search.",
)
@click.option(
    "--max-chars",
    type=click.IntRange(LEAST_CHARS, 1_000_000),
    default=Limits().answer_chars,
    show_default=True,
    help="Most characters of an answer.",
)
@click.option("--http", "over_http", is_flag=True, help="Serve over HTTP instead of stdio.")
@click.option(
    "--host",
    metavar="ADDRESS",
    default=http.LOCAL,
    show_default=True,
    help="With --http: listen to this address. Any but this machine's own needs a token.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=http.PORT,
    show_default=True,
    help="With --http: listen to this port; 0 for any that is free.",
)
@click.option(
    "--allowed-host",
    "names",
    metavar="NAME:PORT",
    multiple=True,
    help="With --http: another name by which clients call this server; repeatable.",
)
@click.option(
    "--allowed-origin",
    "pages",
    metavar="URL",
    multiple=True,
    help="With --http: let web pages of this origin connect; repeatable.",
)
@click.option(
    "--token-file",
    metavar="PATH",
    help=(
        "With --http: the file with the token that clients must send. Default: the environment "
        f"variable {VARIABLE}."
    ),
)
@click.pass_context
def mcp(
    click_context: click.Context,
    app: str | None,
    db: str | None,
    tenant: str | None,
    context: dict[str, Any],
    collections: tuple[str, ...],
    shown: tuple[str, ...],
    max_hits: int,
    max_chars: int,
    over_http: bool,
    host: str,
    port: int,
    names: tuple[str, ...],
    pages: tuple[str, ...],
    token_file: str | None,
) -> None:
    """Let AI assistants search the index over MCP, the Model Context Protocol. They can only read.

    Tenant, user and collections are fixed here; an assistant cannot change them. Without --http, a
    client starts this command and talks to it over standard input and output.

    \b
      semantic-core mcp --db notes.db
      semantic-core mcp --app myproject.search:core --tenant acme --context user=ann
      semantic-core mcp --db notes.db --http --port 8765
    """
    source = click_context.get_parameter_source
    if app and db:
        if source("app") is ParameterSource.COMMANDLINE:
            raise click.UsageError("Either --app or --db can be given.", click_context)
        app = None  # it is the environment's
    access = Access(app or "", db, tenant, context, collections, shown)
    limits = attrs.evolve(Limits(), hits=max_hits, answer_chars=max_chars)
    if over_http:
        address = http.Address(host, port, names, pages)
        _over_http(access, limits, address, token_of(token_file))
        return
    for option in ("host", "port", "names", "pages", "token_file"):
        if source(option) is ParameterSource.COMMANDLINE:
            flag = {"names": "allowed-host", "pages": "allowed-origin"}.get(option, option)
            raise click.UsageError(f"--{flag.replace('_', '-')} needs --http.", click_context)
    _over_stdio(access, limits)


def _over_stdio(access: Access, limits: Limits) -> None:
    import anyio

    from semantic_core_mcp.server import server_of
    from semantic_core_mcp.stdio import serve_streams, take_streams

    streams = take_streams()
    with _visible(access) as index, closing(CallThreads()) as calls:
        server = server_of(index, calls, limits=limits, report=_report)
        anyio.run(serve_streams, server, streams)


def _over_http(access: Access, limits: Limits, address: http.Address, token: str | None) -> None:
    from semantic_core_mcp.server import server_of

    http.check(address, token)
    with _visible(access) as index, closing(CallThreads()) as calls:
        server = server_of(index, calls, limits=limits, report=_report)
        with closing(http.listen(address)) as listening:
            line = f"Serving over HTTP at {http.url_of(listening)}. Stop with Ctrl-C."
            http.serve_http(server, address, listening, token, ready=partial(note, line))


@contextmanager
def _visible(access: Access) -> Iterator[VisibleIndex]:
    """The index as the options restrict it. Raises what every call would raise."""
    if access.app:
        with application(access.app) as core:
            adapters = searchable(core, access.collections)
            index = VisibleIndex(
                core if access.tenant is None else core.tenant(access.tenant),
                context=access.context,
                collections=[adapter.declaration.collection for adapter in adapters],
                rows=Rows(adapters),
                shown=access.shown,
            )
            index.check()
            yield index
    else:
        with opened(access.db, access.tenant) as core:
            index = VisibleIndex(
                core,
                context=access.context,
                collections=access.collections or None,
                shown=access.shown,
            )
            index.check()
            yield index


def _report(line: str) -> None:
    """Tell the operator."""
    note(visible(line))
