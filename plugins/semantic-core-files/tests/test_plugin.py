"""The plugin as the kernel sees it: light, found, and at work in an index."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from making import CODE, MESSAGE, SAMPLES, mailbox, message, report
from semantic_core_files import FileReader, semantic_readers

from semantic_core import SemanticCore
from semantic_core.hookspecs import hook_names

HEAVY = ("pypdfium2", "selectolax", "mammoth", "python_calamine", "email.parser")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one file of each format, and one that is broken."""
    files = tmp_path / "files"
    files.mkdir()
    for name, (data, _) in SAMPLES.items():
        (files / name).write_bytes(data)
    (files / "kaputt.pdf").write_bytes(report()[:300])
    return files


@pytest.fixture
def core() -> Any:
    """An index in memory, without an embedder."""
    with SemanticCore(store="memory", embedder="none") as opened:
        yield opened


def test_importing_the_plugin_loads_no_library() -> None:
    code = (
        "import sys, json, semantic_core.hookspecs, semantic_core.types\n"
        "import semantic_core_files as f; f.semantic_readers()\n"
        f"print(json.dumps([n for n in {HEAVY!r} if n in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert json.loads(done.stdout) == []


def test_every_reader_is_a_value_that_says_its_format() -> None:
    assert semantic_readers()[".pdf"] == FileReader("pdf")
    assert "semantic_readers" in hook_names()


def test_a_folder_of_files_is_found_by_what_is_in_them(core: Any, folder: Path) -> None:
    for path in sorted(folder.iterdir()):
        if path.name != "kaputt.pdf":
            report_of = core.ingest_file(path, key=path.name)
            assert report_of.failed == ()
    for query, key in [
        ("Messbericht gemessen", "bericht.pdf"),
        ("Umsatz stieg", "bericht.docx"),
        ("Sprich langsam", "plan.pptx"),
        ("Söhne", "kunden.xlsx"),
        ("Es war Nacht", "buch.epub"),
        ("Birnen", "preise.csv#id=008"),
        ("inline link site", "handbuch.rst"),
        ("fetter Text", "seite.html"),
    ]:
        found = core.search(query, mode="text")
        assert found.hits and found.hits[0].ref.key == key, query


def test_hits_say_page_sheet_and_function(core: Any, folder: Path) -> None:
    for name in ("bericht.pdf", "kunden.xlsx", "code.py"):
        core.ingest_file(folder / name, key=name)
    assert core.search("gemessen").hits[0].headings == ("2. Methoden", "Page 2")
    assert core.search("Söhne").hits[0].headings == ("Kunden",)
    hit = core.search("later").hits[0]
    assert hit.kind == "code"
    assert CODE.decode()[hit.start : hit.end] == hit.text


def test_rows_and_messages_are_filtered_by_their_fields(core: Any, folder: Path) -> None:
    core.ingest_file(folder / "preise.csv", key="preise.csv")
    core.ingest_file(folder / "post.eml", key="post.eml")
    assert [hit.title for hit in core.search("preis", where={"preis": {"gt": 1.8}})] == ["Birnen"]
    hits = core.search("Zahlen", where={"from": "joerg@example.org"})
    assert [hit.ref.key for hit in hits] == ["post.eml"]


def test_messages_that_leave_a_mailbox_leave_the_index(core: Any, tmp_path: Path) -> None:
    path = tmp_path / "post.mbox"
    path.write_bytes(mailbox([message(1), message(2)]))
    assert core.ingest_file(path, key="post").added == 3
    path.write_bytes(mailbox([message(2), message(3)]))
    again = core.ingest_file(path, key="post")
    assert (again.added, again.removed, again.unchanged) == (1, 1, 2)
    assert MESSAGE not in path.read_bytes()
