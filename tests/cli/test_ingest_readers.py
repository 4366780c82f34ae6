"""``ingest`` with plugins that read other formats, and without them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import answer, call, install

from semantic_core._plugins.distributions import version_of

MAILS = """
from semantic_core import hookimpl
from semantic_core.errors import FileUnreadable

@hookimpl
def semantic_readers():
    return {".mail": read, ".tar.mail": read}

def read(file):
    first, *lines = file.text().splitlines()
    if first == "boom":
        raise ValueError("odd header")
    documents = [file.document(first, title=file.stem)]
    for line in lines:
        name, _, text = line.partition(": ")
        if text == "encrypted":
            raise FileUnreadable(f"{name!r} in {file.name!r} is encrypted.", hint="Decrypt it.")
        documents.append(file.document(text, part=name))
    return documents
"""

PLUGINS = "mails_plugin,markdown,peewee,sqlite"
"""Those in use. The readers of this repository for other formats are disabled, if installed."""
ADVICE = "pip install semantic-core-files"
if version_of("semantic-core-files"):
    ADVICE = "Add files to that setting, or unset it."


def write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines))
    return path


@pytest.fixture(autouse=True)
def folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    site = folder / "site"
    site.mkdir()
    install(site, "mails_plugin", MAILS)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("SEMANTIC_CORE_EMBEDDER", "none")
    monkeypatch.setenv("SEMANTIC_CORE_PLUGINS", PLUGINS)
    write(folder / "box/a.mail", "Dear Ann, the beans have left.", "1: invoice", "2: photo")
    write(folder / "box/notes.md", "# Notes\n\nText.")
    write(folder / "box/deep/scan.PDF", "%PDF")
    write(folder / "box/deep/other.pdf", "%PDF")
    write(folder / "box/README", "text")
    write(folder / "box/.hidden.pdf", "%PDF")
    yield folder
    sys.modules.pop("mails_plugin", None)


def keys() -> list[str]:
    return [each["key"] for each in answer("documents", "list")["documents"]]


def test_a_folder_gives_the_files_of_every_reader() -> None:
    report = answer("ingest", "box")
    assert (report["added"], report["failed"], report["complete"]) == (4, [], True)
    assert keys() == ["a.mail", "a.mail#1", "a.mail#2", "notes.md"]
    hit = answer("search", "invoice")["hits"][0]
    assert hit["metadata"] == {"path": "box/a.mail", "part_of": "a.mail"}
    assert answer("ingest", "box")["unchanged"] == 4


def test_what_no_plugin_reads_is_reported_by_suffix_with_what_would_read_it() -> None:
    skipped = [
        {"suffix": ".pdf", "files": 2, "remedy": ADVICE},
        {"suffix": "", "files": 1, "remedy": ""},
    ]
    assert answer("ingest", "box", "--dry-run")["skipped"] == skipped
    assert answer("ingest", "box")["skipped"] == skipped
    told = (
        "Skipped, because no installed plugin reads them:\n"
        f"  2 files .pdf  ({ADVICE})\n"
        "  1 file without a suffix\n"
    )
    for more in ((), ("--dry-run",)):
        result = call("ingest", "box", *more)
        assert result.exit_code == 0
        assert result.stdout.endswith(told)
    assert answer("ingest", "box", "--pattern", "*.md")["skipped"] == []


def test_a_folder_of_nothing_that_can_be_read_says_what_would_read_it(folder: Path) -> None:
    result = call("ingest", "box/deep")
    assert result.exit_code == 2
    assert ".mail, .markdown, .md" in result.stderr
    assert "skipped: 2 files .pdf." in result.stderr
    assert f"hint: {ADVICE}" in result.stderr
    assert not list(folder.glob("*.db"))


def test_many_other_suffixes_are_summed_up(folder: Path) -> None:
    for number in range(14):
        write(folder / f"many/x.s{number:02}", "text")
    write(folder / "many/a.md", "text")
    told = call("ingest", "many").stdout.splitlines()
    assert told[-2:] == [
        "  1 file .s09",
        "  and 4 files with 4 other suffixes; --json lists all of them.",
    ]


def test_the_files_of_the_index_are_not_skipped_files(folder: Path) -> None:
    os.chdir(folder / "box")
    call("ingest", ".")
    assert {each["suffix"] for each in answer("ingest", ".")["skipped"]} == {".pdf", ""}


def test_parts_that_a_file_has_no_longer_are_removed_in_the_same_run(folder: Path) -> None:
    call("ingest", "box")
    write(folder / "box/a.mail", "Dear Ann, the beans have left.", "2: photo", "3: song")
    told = answer("ingest", "box", "--dry-run")
    assert (told["added"], told["updated"], told["removed"]) == (["a.mail#3"], [], ["a.mail#1"])
    report = answer("ingest", "box")
    assert (report["added"], report["updated"], report["removed"]) == (1, 0, 1)
    assert keys() == ["a.mail", "a.mail#2", "a.mail#3", "notes.md"]


def test_prune_removes_all_documents_of_a_file_that_vanished(folder: Path) -> None:
    write(folder / "box/b.mail", "hello", "1: one")
    call("ingest", "box")
    (folder / "box/a.mail").unlink()
    assert answer("ingest", "box")["removed"] == 0
    told = answer("ingest", "box", "--prune", "--dry-run")
    assert told["removed"] == ["a.mail", "a.mail#1", "a.mail#2"]
    assert answer("ingest", "box", "--prune")["removed"] == 3
    assert keys() == ["b.mail", "b.mail#1", "notes.md"]


def test_prune_and_parts_are_those_of_the_tenant(folder: Path) -> None:
    for tenant in ("acme", "other"):
        assert answer("ingest", "box", "--tenant", tenant)["added"] == 4
    write(folder / "box/a.mail", "Dear Ann, the beans have left.", "2: photo")
    assert answer("ingest", "box", "--tenant", "acme")["removed"] == 1
    (folder / "box/a.mail").unlink()
    assert answer("ingest", "box", "--tenant", "acme", "--prune")["removed"] == 2
    assert answer("stats", "--tenant", "other")["documents"] == 4


def test_a_file_and_a_part_of_another_never_fight_over_one_key(folder: Path) -> None:
    write(folder / "box/a.mail#1", "a file of its own")
    for _ in range(2):
        report = answer("ingest", "box", "--pattern", "*.mail*", code=1)
        assert keys() == ["a.mail", "a.mail#1", "a.mail#2"]
        (failure,) = report["failed"]
        assert failure["what"] == "box/a.mail#1"
        assert "would be one document, 'a.mail#1'" in failure["reason"]
    report = answer("ingest", "box/a.mail#1", code=1)
    assert "would replace the document 'a.mail#1', which" in report["failed"][0]["reason"]
    assert answer("ingest", "box", "--prune")["removed"] == 0
    assert keys() == ["a.mail", "a.mail#1", "a.mail#2", "notes.md"]


def test_a_reader_that_fails_is_one_line_and_the_other_files_go_on(folder: Path) -> None:
    write(folder / "box/boom.mail", "boom")
    write(folder / "box/locked.mail", "hello", "1: encrypted")
    result = call("ingest", "box")
    assert result.exit_code == 1
    told = " ".join(result.stdout.split())
    assert (
        "Plugin 'mails_plugin' raised while it read 'box/boom.mail': ValueError: odd header" in told
    )
    assert "'1' in 'box/locked.mail' is encrypted. Decrypt it." in told
    assert "Traceback" not in result.output
    assert keys() == ["a.mail", "a.mail#1", "a.mail#2", "notes.md"]
    codes = [each["code"] for each in answer("ingest", "box", code=1)["failed"]]
    assert codes == ["HookFailed", "FileUnreadable"]


def test_a_named_file_that_no_plugin_reads_is_read_as_text_or_says_what_would(
    folder: Path,
) -> None:
    write(folder / "page.html", "<p>beans")
    (folder / "real.pdf").write_bytes(b"%PDF-1.7\n\x00\x01")
    result = call("ingest", "page.html", "box/README")
    assert result.exit_code == 0
    assert "1 file .html read as plain text" in result.stderr
    assert ADVICE in result.stderr
    (failure,) = answer("ingest", "real.pdf", code=1)["failed"]
    assert failure["reason"] == (
        "'real.pdf' looks binary: it contains a zero byte at 9, and no installed plugin reads "
        f"such files. {ADVICE}"
    )
    assert keys() == ["README", "page.html"]


def test_two_plugins_that_read_one_suffix_are_named_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEMANTIC_CORE_PLUGINS", f"{PLUGINS},rival_plugin")
    install(folder / "site", "rival_plugin", MAILS)
    write(folder / "box/b.mail", "hello")
    report = answer("ingest", "box", code=1)
    (failure,) = report["failed"]
    assert failure["what"] == "box/a.mail and 1 more"
    assert failure["code"] == "PluginConflict"
    assert "mails_plugin (mails_plugin) and rival_plugin (rival_plugin)" in failure["reason"]
    assert keys() == ["notes.md"]
    sys.modules.pop("rival_plugin", None)


def test_plugins_list_and_show_name_what_a_plugin_reads() -> None:
    shown = {each["name"]: each for each in answer("plugins", "list")}
    assert shown["mails_plugin"]["provides"] == {"reader": [".mail", ".tar.mail"]}
    assert ".md" in shown["markdown"]["provides"]["reader"]
    assert ".md" not in shown["core.text"]["provides"]["reader"]
    assert "reader: .mail, .tar.mail" in call("plugins", "list").stdout
    assert "reader: .mail, .tar.mail" in call("plugins", "show", "mails_plugin").stdout
