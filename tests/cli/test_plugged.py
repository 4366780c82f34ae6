"""The command line with third-party plugins: an embedder that is unavailable, a plugin that cannot
be imported.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from commands import answer, call, install

from semantic_core.cli import cli

MOODY = """
from pathlib import Path
from semantic_core import Space, hookimpl
from semantic_core.errors import EmbedderUnavailable

class Moody:
    space, batch_size, max_chars = Space("moody", 3), 8, 500
    def embed_documents(self, passages):
        import numpy as np
        if Path("away").exists():
            raise EmbedderUnavailable("The line is dead.")
        return np.array([self.embed_query(passage) for passage in passages], dtype="float32")
    def embed_query(self, text):
        import numpy as np
        if Path("away").exists():
            raise EmbedderUnavailable("The line is dead.")
        vector = np.array([1.0, text.count("e"), text.count("a")], dtype="float32")
        return vector / np.linalg.norm(vector)

@hookimpl
def semantic_embedders():
    return {"moody": Moody}
"""


@pytest.fixture(autouse=True)
def folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    site = folder / "site"
    site.mkdir()
    install(site, "moody_plugin", MOODY)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("SEMANTIC_CORE_EMBEDDER", "moody")
    (folder / "notes").mkdir()
    (folder / "notes/loops.txt").write_text("For and while repeat a block.")
    yield folder
    sys.modules.pop("moody_plugin", None)


def test_when_the_embedder_is_away_words_answer_and_it_is_said(folder: Path) -> None:
    assert call("ingest", "notes").exit_code == 0
    (folder / "away").touch()
    found = answer("search", "repeat")
    assert (found["mode"], found["degraded"]) == ("text", True)
    assert "The line is dead." in found["reason"]
    assert [hit["key"] for hit in found["hits"]] == ["loops.txt"]
    shown = call("search", "repeat").stdout
    assert "Degraded: " in shown
    assert "The line is dead." in " ".join(shown.split())


def test_an_ingest_while_the_embedder_is_away_leaves_a_gap_and_says_so(folder: Path) -> None:
    (folder / "away").touch()
    result = call("ingest", "notes")
    assert result.exit_code == 1
    assert "1 passage without a vector" in result.stdout
    assert "The line is dead." in result.stdout
    doctor = answer("doctor", code=1)
    assert any(
        "without a vector" in each["message"]
        for each in doctor["findings"]
        if each["status"] == "problem"
    )
    assert any(
        each["part"] == "embedder" and each["status"] == "problem" for each in doctor["findings"]
    )
    (folder / "away").unlink()
    assert answer("ingest", "notes")["complete"] is True
    assert answer("stats")["pending"] == 0
    assert answer("doctor")["healthy"] is True


def test_an_index_of_another_embedder_is_refused_with_both_names(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("ingest", "notes")
    monkeypatch.delenv("SEMANTIC_CORE_EMBEDDER")
    result = call("search", "repeat")
    assert result.exit_code == 2
    assert "moody" in result.stderr
    assert result.stderr.startswith("error: ")
    problems = [
        each["part"] for each in answer("doctor", code=1)["findings"] if each["status"] == "problem"
    ]
    assert problems == ["space"]


def test_a_plugin_that_cannot_be_imported_stops_nothing_and_the_doctor_names_it(
    folder: Path,
) -> None:
    install(folder / "site", "sick_plugin", "raise RuntimeError('no such device')\n")
    assert call("ingest", "notes").exit_code == 0
    assert answer("search", "repeat")["hits"]
    told = [line for line in call("search", "repeat").stderr.splitlines() if "sick_plugin" in line]
    assert told == [
        "The plugin sick_plugin is broken and not used; see: semantic-core plugins list"
    ]
    problems = [
        each for each in answer("doctor", code=1)["findings"] if each["status"] == "problem"
    ]
    assert len(problems) == 1
    assert "sick_plugin" in problems[0]["message"]
    assert "no such device" in problems[0]["message"]
    assert problems[0]["remedy"]


CHATTY = """
import atexit
import ctypes
import os
import sys
print("hello from an import")
os.write(1, b"hello from a file descriptor\\n")
from semantic_core import Ranking, hookimpl

if sys.platform == "linux":
    ctypes.CDLL(None).printf(b"hello from C\\n")
if "pytest" not in sys.modules:
    atexit.register(print, "hello from the end")

@hookimpl
def semantic_retrieve(request):
    print("hello from a retriever")
    sys.stdout.write("hello from a stream\\n")
    os.system("echo hello from a child")
    return Ranking("chatty")

@hookimpl
def semantic_describe(document):
    print("hello from a description")

@hookimpl(orders_only=True)
def semantic_rerank(hits):
    print("hello from a reranker")
    return hits
"""


def in_a_process(*args: str, site: Path) -> subprocess.Popen[str]:
    """A command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "semantic_core.cli", *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(site), *filter(None, sys.path)])},
    )


@pytest.fixture
def chatty(folder: Path) -> Iterator[Path]:
    """An index, and then a plugin that writes to standard output in every way there is."""
    assert call("ingest", "notes").exit_code == 0
    install(folder / "site", "chatty_plugin", CHATTY)
    yield folder / "site"
    sys.modules.pop("chatty_plugin", None)


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        ("ingest site", 0, ("an import", "a file descriptor", "a description")),
        ("search repeat", 0, ("an import", "a retriever", "a stream", "a child", "a reranker")),
        ("plugins list", 0, ("an import", "a file descriptor", "the end")),
        ("search repeat --tenant x", 2, ("an import", "the end")),
    ],
)
def test_with_json_standard_output_holds_the_answer_alone_whatever_plugins_write(
    chatty: Path, args: str, code: int, said: tuple[str, ...]
) -> None:
    (chatty / "beans.txt").write_text("Beans climb.")
    process = in_a_process(*args.split(), "--json", site=chatty)
    out, err = process.communicate()
    assert process.returncode == code
    assert "hello" not in json.dumps(json.loads(out))
    for one in said:
        assert f"hello from {one}" in err


APP = """
import os
print("hello from an application")
os.write(1, b"hello from its file descriptor\\n")
from semantic_core import SemanticCore
from semantic_core.testing import HashEmbedder

class Follower:
    def sync(self, *args, **options): ...
    def close(self): ...

def core():
    print("hello from a function")
    core = SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[])
    core.follow(Follower())
    return core
"""
ARGUMENTS: dict[str, str] = {
    "ingest": "notes",
    "search": "repeat",
    "documents show": "loops.txt",
    "documents delete": "loops.txt",
    "queue cancel": "no-job",
    "outbox drop": "--yes",
    "outbox forget": "notes --yes",
    "worker": "--once",
    "blueprint": "django",
    "plugins list": "--isolated",
    "plugins show": "moody_plugin",
    "backup": "copy.db",
    "restore": "copy.db --yes",
}
"""What commands need, besides those that need nothing."""


def leaves(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Every command that is no group, as it is typed."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from leaves(command, (*path, name))
        else:
            yield " ".join([*path, name])


def values_in(text: str) -> list[object]:
    """The JSON values that a text consists of. Raises ValueError for anything between them."""
    values = []
    place = 0
    while text[place:].strip():
        place += len(text[place:]) - len(text[place:].lstrip())
        value, place = json.JSONDecoder().raw_decode(text, place)
        values.append(value)
    return values


@pytest.mark.parametrize("command", list(leaves(cli)))
def test_every_command_keeps_its_json_apart_from_what_plugins_and_applications_write(
    chatty: Path, command: str
) -> None:
    (chatty / "chatty_app.py").write_text(APP)
    sys.modules.pop("chatty_app", None)
    if command == "restore":
        assert call("backup", "copy.db").exit_code == 0
    words = [*command.split(), *ARGUMENTS.get(command, "").split()]
    by_app = call(*command.split(), "--help").output.count("--app")
    if by_app:
        words += ["--app", "chatty_app:core"]
    result = call(*words, "--json")
    assert len(values_in(result.stdout)) == 1, result.stdout
    assert "UsageError" not in result.stdout
    if by_app:
        assert "hello from an application" in result.stderr


def test_what_an_application_writes_to_the_file_itself_is_kept_apart_too(chatty: Path) -> None:
    (chatty / "chatty_app.py").write_text(APP)
    process = in_a_process("verify", "--app", "chatty_app:core", "--json", site=chatty)
    out, err = process.communicate()
    assert len(values_in(out)) == 1, out
    assert "hello from its file descriptor" in err and "hello from a function" in err


def test_a_command_that_is_not_there_is_an_error_in_json_whatever_plugins_write(
    chatty: Path,
) -> None:
    process = in_a_process("serch", "--json", site=chatty)
    out, _ = process.communicate()
    assert process.returncode == 2
    assert json.loads(out)["error"]["code"] == "UsageError"


def test_without_json_a_plugin_writes_where_it_likes(chatty: Path) -> None:
    assert "hello from a retriever" in call("search", "repeat").stdout


def test_a_reader_that_goes_away_while_a_plugin_writes_is_no_error(chatty: Path) -> None:
    process = in_a_process("search", "repeat", "--json", site=chatty)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    told = process.stderr.read()
    process.stderr.close()
    assert process.wait() == 0
    assert "Error" not in told and "Traceback" not in told
