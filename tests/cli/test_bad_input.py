"""Bad input, bad files, bad disks: one clear line, no traceback, nothing half done,
the right exit code.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from semantic_core.cli import cli

DAC_OVERRIDE, DAC_READ_SEARCH, DROP = 1, 2, 24
"""Linux: the capabilities that let root ignore file modes, and prctl's word for dropping them."""


@pytest.fixture(autouse=True)
def folder(folder: Path) -> Path:
    (folder / "notes").mkdir()
    (folder / "notes/loops.md").write_text("# Loops\n\nFor and while repeat a block.\n")
    return folder


def without_privilege() -> None:
    """File modes count, for root too."""
    if os.geteuid() == 0:
        for capability in (DAC_OVERRIDE, DAC_READ_SEARCH):
            ctypes.CDLL(None).prctl(DROP, capability, 0, 0, 0)


def call(*args: str) -> subprocess.CompletedProcess[str]:
    """The command in this process."""
    done = CliRunner().invoke(cli, args)
    return subprocess.CompletedProcess(args, done.exit_code, done.stdout, done.stderr)


def run(
    *args: str | bytes, before: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    """The real thing, in a process of its own; before: called in it. It compiles nothing: on a disk
    that is made small, Python would leave half a module for those that come after.
    """
    done = subprocess.run(
        [sys.executable, "-B", "-m", "semantic_core.cli", *args],
        env={**os.environ, "PYTHONUTF8": "1"},
        capture_output=True,
        preexec_fn=before,
        timeout=240,
    )
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8")
    )


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Exit code 2, an error line with these words, at most a hint line, nothing else."""
    assert done.returncode == 2, done
    lines = done.stderr.splitlines()
    assert lines[0].startswith("error: "), done.stderr
    assert all(word in lines[0] for word in words), done.stderr
    assert [line[:6] for line in lines[1:]] in ([], ["hint: "]), done.stderr
    assert done.stdout == ""


def answer(*args: str) -> Any:
    done = call(*args, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["ingest", "nowhere"], ["'nowhere'"]),
        (["ingest", "notes", "nowhere.md"], ["'nowhere.md'"]),
        (["ingest", ""], ["path"]),
        (["ingest", "empty"], ["nothing to ingest", "'empty'"]),
        (["ingest", "notes", "--pattern", "*.rst"], ["nothing to ingest", "*.rst"]),
        (["ingest", "empty", "--prune"], ["nothing to ingest"]),
        (["ingest", "notes", "--collection", ""], ["--collection"]),
        (["ingest", "notes", "--collection", "a\tb"], ["--collection"]),
        (["ingest", "notes", "--tenant", ""], ["--tenant"]),
        (["ingest", "notes", "--db", "no/such/folder/x.db"], ["no/such/folder"]),
        (["ingest", "notes", "--db", "notes"], ["notes"]),
        (["search", "loops"], ["no index", "'semantic-core.db'"]),
        (["search", "loops", "--db", "other.db"], ["no index", "'other.db'"]),
        (["search", "loops", "--where", "lang"], ["--where", "'lang'"]),
        (["documents", "list"], ["no index"]),
        (["documents", "show", "x"], ["no index"]),
        (["documents", "delete", "x"], ["no index"]),
        (["stats"], ["no index"]),
        (["plugins", "show", "nope"], ["nope"]),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_made(
    folder: Path, args: list[str], words: list[str]
) -> None:
    (folder / "empty").mkdir()
    before = contents(folder)
    refused(call(*args), *words)
    assert contents(folder) == before


def test_queries_that_ask_nothing_are_refused(folder: Path) -> None:
    call("ingest", "notes")
    for query in ("", "   ", "\n\t"):
        refused(call("search", query), "empty")


@pytest.mark.parametrize(
    "args",
    [
        ["search", "caf\udce9"],
        ["search", "x", "--where", "k=\udcff"],
        ["search", "x", "--collection", "\udcff"],
        ["documents", "show", "\udcff"],
        ["documents", "delete", "\udcff"],
        ["ingest", "notes", "--collection", "\udcff"],
        ["ingest", "notes", "--tenant", "\udcff"],
    ],
)
def test_arguments_that_are_no_text_are_refused(folder: Path, args: list[str]) -> None:
    call("ingest", "notes")
    before = answer("documents", "list")
    refused(call(*args), "surrogate")
    assert answer("documents", "list") == before


@pytest.mark.slow
def test_bytes_of_the_shell_that_are_no_text_are_refused(folder: Path) -> None:
    call("ingest", "notes")
    refused(run(b"search", b"caf\xe9"), "surrogate")
    refused(run(b"stats", b"--db", b"caf\xe9.db"), "caf")


@pytest.mark.parametrize(
    ("name", "data", "word"),
    [
        ("binary.txt", b"\x89PNG\r\n\x1a\n\x00\x00\x00", "binary"),
        ("nul.txt", b"text with a \x00 in it", "binary"),
        ("latin.txt", "für Größe".encode("latin-1"), "UTF-8"),
        ("cut.txt", "für".encode()[:2], "UTF-8"),
    ],
)
def test_a_file_that_is_no_text_is_left_out_and_said(
    folder: Path, name: str, data: bytes, word: str
) -> None:
    (folder / "notes" / name).write_bytes(data)
    done = call("ingest", "notes")
    assert done.returncode == 1
    assert done.stderr == ""
    assert [line for line in done.stdout.splitlines() if name in line and word in line]
    assert [each["key"] for each in answer("documents", "list")["documents"]] == ["loops.md"]


def test_a_file_name_that_is_no_text_is_left_out_and_said(folder: Path) -> None:
    Path(os.fsdecode(os.fsencode(folder / "notes") + b"/caf\xe9.txt")).write_text("text")
    done = call("ingest", "notes")
    assert done.returncode == 1
    assert "caf�.txt" in done.stdout
    assert (
        json.loads(call("ingest", "notes", "--json").stdout)["failed"][0]["code"] == "TextInvalid"
    )


def test_utf_16_is_read(folder: Path) -> None:
    (folder / "notes/wide.txt").write_bytes("Zwiebeln in Butter".encode("utf-16"))
    assert call("ingest", "notes").returncode == 0
    assert answer("search", "Zwiebeln", "--mode", "text")["hits"][0]["key"] == "wide.txt"


@pytest.mark.slow
def test_a_line_of_ten_megabytes_is_cut_and_found(folder: Path) -> None:
    line = "lorem ipsum dolor " * 300_000 + "needle in the haystack " + "sit amet " * 500_000
    (folder / "notes/line.txt").write_text(line)
    assert call("ingest", "notes").returncode == 0
    hit = answer("search", "needle", "--mode", "text")["hits"][0]
    assert (hit["key"], "needle" in hit["text"]) == ("line.txt", True)
    assert line[hit["start"] : hit["end"]] == hit["text"]
    shown = call("search", "needle").stdout
    assert max(map(len, shown.splitlines())) <= 100


def foreign_text(path: Path) -> None:
    path.write_text("Dear diary,\n" * 100)


def foreign_database(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
        connection.execute("INSERT INTO bookmarks VALUES ('https://example.org')")
    connection.close()


@pytest.mark.parametrize("make", [foreign_text, foreign_database])
@pytest.mark.parametrize(
    "args", [["ingest", "notes"], ["search", "x"], ["stats"], ["documents", "delete", "x"]]
)
def test_a_file_of_another_program_is_refused_and_untouched(
    folder: Path, make: Callable[[Path], None], args: list[str]
) -> None:
    make(folder / "other.db")
    before = contents(folder)
    refused(call(*args, "--db", "other.db"), "other.db")
    assert (
        json.loads(call(*args, "--db", "other.db", "--json").stdout)["error"]["code"]
        == "StoreForeign"
    )
    assert contents(folder) == before


@pytest.mark.slow
def test_a_read_only_index_is_searched_and_not_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The doctor imports each plugin in a process of its own, which is not what is tried here.
    monkeypatch.setenv("SEMANTIC_CORE_PLUGINS", "sqlite,wordllama,languages")
    call("ingest", "notes", "--db", "index.db")
    (folder / "notes/new.md").write_text("# New\n\nNew text.\n")
    (folder / "index.db").chmod(0o444)
    refused(run("ingest", "notes", "--db", "index.db", before=without_privilege), "index.db")
    refused(
        run("documents", "delete", "loops.md", "--db", "index.db", before=without_privilege),
        "index.db",
    )
    found = run("search", "repeat a block", "--db", "index.db", "--json", before=without_privilege)
    assert found.returncode == 0, found.stderr
    assert [hit["key"] for hit in json.loads(found.stdout)["hits"]] == ["loops.md"]
    noted = run("doctor", "--db", "index.db", before=without_privilege)
    assert (noted.returncode, "it cannot be written" in noted.stdout) == (0, True)
    (folder / "index.db").chmod(0o644)
    assert answer("ingest", "notes", "--db", "index.db")["added"] == 1


@pytest.mark.slow
def test_an_index_in_a_folder_that_may_not_be_written_is_one_line(folder: Path) -> None:
    call("ingest", "notes", "--db", "index.db")
    before = contents(folder)
    (folder / "index.db").chmod(0o444)
    folder.chmod(0o555)
    try:
        refused(run("ingest", "notes", "--db", "index.db", before=without_privilege), "index.db")
    finally:
        folder.chmod(0o755)
        (folder / "index.db").chmod(0o644)
    assert contents(folder) == before


@pytest.mark.slow
def test_a_folder_that_may_not_be_written_holds_no_new_index_and_no_settings(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir()
    closed.chmod(0o555)
    try:
        refused(
            run("ingest", "notes", "--db", "closed/index.db", before=without_privilege),
            "closed/index.db",
        )
        os.chdir(closed)
        refused(run("init", before=without_privilege), "semantic-core.toml", "Permission denied")
    finally:
        os.chdir(folder)
        closed.chmod(0o755)
    assert list(closed.iterdir()) == []


@pytest.mark.slow
def test_a_file_that_may_not_be_read_is_left_out_and_said(folder: Path) -> None:
    (folder / "notes/closed.md").write_text("# Closed\n")
    (folder / "notes/closed.md").chmod(0)
    done = run("ingest", "notes", before=without_privilege)
    assert done.returncode == 1
    assert "Permission denied" in done.stdout


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_what_was_finished_stays(folder: Path) -> None:
    def small_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000))

    call("ingest", "notes")
    big = folder / "big"
    big.mkdir()
    for number in range(400):
        (big / f"{number:03}.txt").write_text(
            f"Paragraph about topic {number}, told at length. " * 120
        )
    done = run("ingest", "big", before=small_disk)
    assert done.returncode == 2, done
    refused(done, "no space left")
    assert (
        json.loads(run("ingest", "big", "--json", before=small_disk).stdout)["error"]["code"]
        == "StoreFull"
    )
    kept = answer("stats")
    assert kept["collections"]["files"] == kept["documents"] < 401
    assert answer("search", "repeat a block")["hits"][0]["key"] == "loops.md"
    assert answer("doctor")["healthy"] is True
    report = answer("ingest", "big")
    assert report["added"] + report["unchanged"] == 400
    assert answer("stats")["documents"] == 401


def test_settings_are_written_whole_or_not_at_all(folder: Path) -> None:
    def tiny_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))

    (folder / "semantic-core.toml").write_text("# mine\n")
    before = contents(folder)
    refused(run("init", "--force", before=tiny_disk), "semantic-core.toml", "too large")
    assert contents(folder) == before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("path = ", ["semantic-core.toml", "TOML"]),
        ("\xff\xfe", ["semantic-core.toml"]),
        ("stor = 'sqlite'", ["'stor'"]),
        ("max_chars = 'many'", ["max_chars", "'many'"]),
        ("store = 'postgress'", ["postgress"]),
        ("embedder = 'wordlama'", ["wordlama"]),
        ("[store_options]\nspeed = 'ludicrous'", ["speed"]),
        ("plugins = ['peewee', 'nope']", ["nope"]),
    ],
)
def test_a_settings_file_that_makes_no_sense_is_refused(
    folder: Path, text: str, words: list[str]
) -> None:
    (folder / "semantic-core.toml").write_text(text, "latin-1")
    before = contents(folder)
    refused(call("ingest", "notes"), *words)
    assert contents(folder) == before


def test_an_unknown_setting_comes_with_the_nearest_known(folder: Path) -> None:
    (folder / "semantic-core.toml").write_text("stor = 'sqlite'")
    assert "hint: Did you mean store?" in call("config", "show").stderr


@pytest.mark.parametrize(
    "name", ["SEMANTIC_CORE_PLUGINS", "SEMANTIC_CORE_STORE", "SEMANTIC_CORE_EMBEDDER"]
)
def test_an_unknown_name_in_the_environment_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "nope")
    refused(call("ingest", "notes"), "nope")


def test_a_link_that_leads_nowhere_is_left_out_and_said(folder: Path) -> None:
    (folder / "dangling.md").symlink_to("gone.md")
    done = call("ingest", "dangling.md")
    assert done.returncode == 1
    assert "dangling.md" in done.stdout


@pytest.mark.slow
def test_a_folder_that_may_not_be_looked_into_is_said_and_never_pruned(folder: Path) -> None:
    (folder / "notes/deep").mkdir()
    (folder / "notes/deep/functions.txt").write_text("A function groups statements.")
    assert call("ingest", "notes").returncode == 0
    (folder / "notes/deep").chmod(0)
    try:
        done = run("ingest", "notes", "--prune", before=without_privilege)
        refused(
            run("ingest", "notes/deep", before=without_privilege), "notes/deep", "Permission denied"
        )
    finally:
        (folder / "notes/deep").chmod(0o755)
    assert done.returncode == 1
    assert "Cannot open the folder 'notes/deep': Permission denied" in done.stdout
    assert [each["key"] for each in answer("documents", "list")["documents"]] == [
        "deep/functions.txt",
        "loops.md",
    ]
