"""The options of the operator, before a client is let in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from semantic_core_mcp.command import parse_context
from serving import process

from semantic_core import Document, Ref, SemanticCore
from semantic_core.cli import cli
from semantic_core.errors import InputError


def mcp(*options: str, **variables: str) -> Result:
    """What the command says of wrong options; it never gets as far as to serve."""
    return CliRunner().invoke(cli, ["mcp", *options], env=variables)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ([], {}),
        (["user=ann"], {"user": "ann"}),
        (["user=a=b", "empty="], {"user": "a=b", "empty": ""}),
        (["groups=staff", "groups=board"], {"groups": ["staff", "board"]}),
        (['groups:=["staff"]', "level:=3", "admin:=false"],
         {"groups": ["staff"], "level": 3, "admin": False}),
    ],
)  # fmt: skip
def test_the_context_is_read_as_text_or_json(given: list[str], wanted: dict[str, Any]) -> None:
    assert parse_context(given) == wanted


@pytest.mark.parametrize("given", ["user", "=ann", "groups:=[", ":=1", ""])
def test_a_context_that_cannot_be_read_is_refused(given: str) -> None:
    with pytest.raises(InputError, match="--context"):
        parse_context([given])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--db", "none.db"], "There is no index at 'none.db'."),
        (["--app", "nowhere:core"], "There is no module 'nowhere' here."),
        (["--app", "a:b", "--db", "x.db"], "Either --app or --db can be given."),
        (["--port", "80"], "--port needs --http."),
        (["--allowed-host", "a:1"], "--allowed-host needs --http."),
        (["--allowed-origin", "http://a"], "--allowed-origin needs --http."),
        (["--token-file", "x"], "--token-file needs --http."),
        (["--max-hits", "51"], "51 is not in the range"),
        (["--max-chars", "10"], "10 is not in the range"),
        (["--context", "user"], "--context needs NAME=VALUE, got 'user'."),
        (["--http", "--host", "192.0.2.7"], "192.0.2.7 can be reached from other machines"),
        (["--http", "--token-file", "none"], "The token file 'none' cannot be read"),
        (["--token", "secret"], "No such option"),
    ],
)
def test_wrong_options_are_one_line(options: list[str], told: str) -> None:
    shown = mcp(*options) if "--http" in options or "needs" in told else refused(*options)
    assert shown.exit_code == 2
    error = shown.stderr.splitlines()[0]
    assert error.startswith("error: ") and told in error
    assert "Traceback" not in shown.stderr
    assert shown.stdout == ""


def refused(*options: str, **variables: str) -> Result:
    """The same over HTTP, which leaves the streams of the test alone."""
    return mcp("--http", "--port", "0", *options, **variables)


def test_an_index_with_tenants_needs_one(folder: Path) -> None:
    with SemanticCore(
        path=folder / "all.db", embedder=None, multi_tenant=True, plugins=["sqlite"]
    ) as core:
        core.ingest(Document(Ref("notes", "1", "acme"), "Beans"))
    shown = refused("--db", "all.db", SEMANTIC_CORE_EMBEDDER="none")
    assert shown.exit_code == 2
    assert "error: This store is multi-tenant." in shown.stderr
    assert "hint: Add --tenant NAME." in shown.stderr


def test_a_restriction_that_needs_a_user_refuses_to_start_without_one(folder: Path) -> None:
    from serving import PERMISSIONS, install

    install(folder / "site", "house_rules", PERMISSIONS, "plugin")
    with SemanticCore(path=folder / "all.db", embedder=None, plugins=["sqlite"]) as core:
        core.ingest(Document(Ref("notes", "1"), "Beans"))
    running = process(
        "--db", "all.db", site=folder / "site", variables={"SEMANTIC_CORE_EMBEDDER": "none"}
    )
    out, err = running.communicate(timeout=20)
    assert (running.returncode, out) == (2, b"")
    assert b"error: Nothing is shown, because the call does not say who asks: 'user'" in err
