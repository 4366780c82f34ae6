"""A server as a client starts it: a process that talks over standard input and output."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from asking import Asking
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from semantic_core_mcp.stdio import MOST_BYTES, NO_MESSAGE
from serving import CHATTY, PERMISSIONS, install, process, started
from world import Sight, core_of, secrets

from semantic_core import Document, Ref, SemanticCore

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}
LIST = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}


@pytest.fixture
def notes(folder: Path) -> Path:
    """An index of two notes, without an embedder."""
    with SemanticCore(path=folder / "notes.db", embedder=None, plugins=["sqlite"]) as core:
        core.ingest(
            Document(Ref("notes", "1"), "Beans climb the wall."),
            Document(Ref("notes", "2"), "Carrots stay."),
        )
    return folder / "notes.db"


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Settings for that index."""
    return {"SEMANTIC_CORE_EMBEDDER": "none"}


def talk(
    server: StdioServerParameters,
    do: Callable[[Client], Coroutine[Any, Any, None]],
    *,
    mode: str = "auto",
    log: Path,
) -> None:
    async def main() -> None:
        with log.open("w") as errors:
            async with Client(stdio_client(server, errlog=errors), mode=mode) as client:
                await do(client)

    asyncio.run(main())


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_the_official_client_starts_it_and_searches(
    mode: str, notes: Path, folder: Path, words: dict[str, str]
) -> None:
    async def do(client: Client) -> None:
        answer = await client.call_tool("search", {"query": "beans"})
        (hit,) = answer.structured_content["hits"]
        assert hit["uri"] == "semantic-core://documents/notes/1"
        assert (await client.read_resource(hit["uri"])).contents[0].text == "Beans climb the wall."

    server = started("--db", str(notes), variables=words)
    talk(server, do, mode=mode, log=folder / "log")
    assert (folder / "log").read_text() == ""


def test_standard_output_carries_the_protocol_and_nothing_else(
    notes: Path, folder: Path, words: dict[str, str]
) -> None:
    install(folder / "site", "chatty", CHATTY)
    running = process("--db", str(notes), site=folder / "site", variables=words)
    assert running.stdin and running.stdout and running.stderr
    search = {"name": "search", "arguments": {"query": "beans"}}
    call = {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": search}
    got = []
    for message in (INITIALIZE, LIST, call):
        running.stdin.write(json.dumps(message).encode() + b"\n")
        running.stdin.flush()
        got.append(running.stdout.readline())
    out, err = running.communicate(timeout=20)
    assert running.returncode == 0, err
    lines = b"".join([*got, out]).splitlines()
    assert [json.loads(line)["id"] for line in lines] == [1, 2, 3]
    assert b"Beans climb" in lines[2]
    for one in ("an import", "a file descriptor", "a retriever", "a child", "a stream", "the end"):
        assert f"hello from {one}".encode() in err
    assert b"hello from C" in err or sys.platform != "linux"


@contextmanager
def initialized(notes: Path, words: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A server after the handshake; it is ended if the test has not done so."""
    running = process("--db", str(notes), variables=words)
    assert running.stdin and running.stdout
    try:
        running.stdin.write(json.dumps(INITIALIZE).encode() + b"\n")
        running.stdin.flush()
        assert json.loads(running.stdout.readline())["id"] == 1
        yield running
    finally:
        running.kill()
        running.communicate()


def test_what_is_no_message_is_told_and_the_next_is_answered(
    notes: Path, words: dict[str, str]
) -> None:
    with initialized(notes, words) as running:
        assert running.stdin and running.stdout
        junk = {
            b"hello": None,
            b"\x00\xff\xfe\x80" * 50: None,
            b"[]": None,
            b"{}": None,
            b'{"jsonrpc":"2.0","id":9}': 9,
            b'{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"\\ud800"}}': "x",
            b'{"jsonrpc":"2.0","id":true,"method":7}': None,
            b"[" * 100_000: None,
        }
        for line, number in junk.items():
            running.stdin.write(line + b"\n\n")
            running.stdin.flush()
            told = json.loads(running.stdout.readline())
            assert told["error"] == {"code": -32700, "message": NO_MESSAGE}
            assert told["id"] == number
        running.stdin.write(json.dumps(LIST).encode() + b"\n")
        running.stdin.flush()
        assert json.loads(running.stdout.readline())["id"] == 2
        out, err = running.communicate(timeout=20)
        assert (running.returncode, out, err) == (0, b"", b"")


def test_a_message_that_is_far_too_long_is_told_and_the_next_is_answered(
    notes: Path, words: dict[str, str]
) -> None:
    with initialized(notes, words) as running:
        assert running.stdin and running.stdout
        running.stdin.write(b'{"x":"' + b"a" * (2 * MOST_BYTES) + b'"}\n')
        running.stdin.flush()
        told = json.loads(running.stdout.readline())
        assert told["id"] is None
        assert told["error"]["message"] == "A message can have at most 8,388,608 bytes."
        running.stdin.write(json.dumps(LIST).encode() + b"\n")
        running.stdin.flush()
        assert json.loads(running.stdout.readline())["id"] == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_well_though_the_client_stays(
    number: int, notes: Path, words: dict[str, str]
) -> None:
    with initialized(notes, words) as running:
        running.send_signal(number)
        assert running.wait(20) == 0
        assert running.stderr and running.stderr.read() == b""


def test_a_client_that_reads_no_more_ends_it_well(notes: Path, words: dict[str, str]) -> None:
    with initialized(notes, words) as running:
        assert running.stdin and running.stdout and running.stderr
        running.stdout.close()
        running.stdin.write(json.dumps(LIST).encode() + b"\n")
        running.stdin.flush()
        assert running.wait(20) == 0
        assert running.stderr.read() == b""


def test_an_input_that_ends_at_once_ends_it_well(notes: Path, words: dict[str, str]) -> None:
    running = process("--db", str(notes), variables=words)
    out, err = running.communicate(b"", timeout=20)
    assert (running.returncode, out, err) == (0, b"", b"")


def test_what_is_wrong_with_the_options_is_told_on_standard_error(
    folder: Path, words: dict[str, str]
) -> None:
    running = process("--db", str(folder / "none.db"), variables=words)
    out, err = running.communicate(timeout=20)
    assert (running.returncode, out) == (2, b"")
    assert err.startswith(b"error: There is no index at ")
    assert b"Traceback" not in err


def test_hundreds_of_requests_over_stdio_leak_nothing(folder: Path) -> None:
    made = secrets(seed=3, count=90)
    install(folder / "site", "house_rules", PERMISSIONS, "plugin")
    with core_of(made, store="sqlite", path=folder / "all.db", embedder=None, plugins=["sqlite"]):
        pass
    sight = Sight("acme", "eve", made)
    tally: Counter[str] = Counter()

    async def do(client: Client) -> None:
        asking = Asking(7, sight)
        for _ in range(300):
            asked, answer, counted = await asking.ask(client)
            assert sight.leaks(answer, asked=asked) == set()
            tally["answered"] += '"is_error":false' in answer
            if counted is not None:
                told = {each["name"]: each["documents"] for each in counted["collections"]}
                assert told == sight.counts
                tally["counted"] += 1

    server = started(
        "--db",
        str(folder / "all.db"),
        "--tenant=acme",
        "--context=user=eve",
        "--context=groups:=[]",
        "--metadata=lang",
        "--metadata=of",
        site=folder / "site",
        variables={"SEMANTIC_CORE_EMBEDDER": "none"},
    )
    talk(server, do, log=folder / "log")
    assert tally["answered"] > 80 and tally["counted"] > 10
    log = (folder / "log").read_text()
    assert not [line for line in log.splitlines() if "Traceback" in line]


APP = """
import peewee
from semantic_core import SemanticCore
from semantic_core_peewee import init_database
from semantic_core.orm import SemanticIndex

database = peewee.SqliteDatabase("shop.db")


class Article(peewee.Model):
    title = peewee.CharField()
    body = peewee.TextField()
    search = SemanticIndex(source_fields=["title", "body"], title_field="title")

    class Meta:
        database = database


print("hello from the application")


def core():
    database.create_tables([Article])
    return init_database(database, core=SemanticCore(path="shop.semantic.db", embedder=None))
"""


def test_an_application_with_models_is_served(folder: Path) -> None:
    (folder / "shop.py").write_text(APP)
    fill = (
        "import shop; core = shop.core(); "
        "shop.Article.create(title='Beans', body='They climb the wall.'); core.sync(); core.close()"
    )
    subprocess.run([sys.executable, "-c", fill], cwd=folder, check=True, env={**os.environ})

    async def do(client: Client) -> None:
        answer = await client.call_tool("search", {"query": "climb"})
        (hit,) = answer.structured_content["hits"]
        assert hit["row"] == {"model": "Article", "table": "article", "key": "1"}
        read = await client.call_tool("get", {"collection": "article", "key": "1"})
        assert "They climb the wall." in read.structured_content["text"]

    server = started("--app", "shop:core")
    talk(server.model_copy(update={"cwd": folder}), do, log=folder / "log")
    assert (folder / "log").read_text() == "hello from the application\n"
