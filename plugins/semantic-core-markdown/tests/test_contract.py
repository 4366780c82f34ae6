"""The contract of a splitter holds for Markdown, and the plugin does its part in a whole core."""

from __future__ import annotations

from pathlib import Path

import pytest
import semantic_core_markdown

from semantic_core import Document, Ref, SemanticCore
from semantic_core.testing import HashEmbedder, reader_checks, splitter_checks

TORTURE = (Path(__file__).parent / "torture.md").read_text("utf-8")
CHECKS = splitter_checks(
    media_type="text/markdown",
    samples=[TORTURE, TORTURE.replace("\n", "\r\n"), TORTURE.replace("\n", "\r")],
    foreign="text/plain",
    markers=r"\A---[\r\n].*?[\r\n]---(?=[\r\n])",
)


@pytest.mark.parametrize("check", CHECKS, ids=str)
def test_the_contract_of_a_splitter(check) -> None:
    check(semantic_core_markdown.semantic_split)


READER_CHECKS = reader_checks(
    name="torture.md",
    data=TORTURE.encode("utf-8"),
    phrases=["title: The torture file", "# **Bold**", "over two lines", "return 42"],
    too_much=lambda: b"*word* " * 8_000_000,
)


@pytest.mark.parametrize("check", READER_CHECKS, ids=str)
def test_the_contract_of_a_reader(check) -> None:
    check(semantic_core_markdown.semantic_readers()[".md"])


def test_markdown_files_are_read_with_front_matter_whatever_their_suffix(core, tmp_path) -> None:
    for name in ("a.md", "b.markdown", "c.MDOWN"):
        path = tmp_path / name
        path.write_text(TORTURE, "utf-8")
        assert core.ingest_file(path, key=name).added == 1
        stored = core.get(Ref("files", name))
        assert (stored.title, stored.media_type) == ("The torture file", "text/markdown")
    path = tmp_path / "upload"
    path.write_text("---\ntitle: Uploaded\n---\ntext", "utf-8")
    core.ingest_file(path, key="d", media_type="text/x-markdown; charset=utf-8")
    assert core.get(Ref("files", "d")).title == "Uploaded"


@pytest.fixture
def core():
    with SemanticCore(
        plugins=[semantic_core_markdown], store="memory", embedder=HashEmbedder()
    ) as opened:
        yield opened


def test_a_file_is_found_by_its_parts_with_headings_title_and_front_matter(core) -> None:
    report = core.ingest(Document(Ref("files", "torture.md"), TORTURE, media_type="text/markdown"))
    assert (report.added, report.failed) == (1, ())
    stored = core.get(Ref("files", "torture.md"))
    assert (stored.title, stored.language, stored.metadata["author.name"]) == (
        "The torture file",
        "en-GB",
        "Ada Löve",
    )
    (hit,) = core.search(
        "answer return 42 python", limit=1, where={"lang": "en-GB", "tags": "torture"}
    )
    assert (hit.kind, hit.headings) == ("code", ("Setext heading one over two lines", "Code"))
    assert "def answer():" in hit.text
    assert TORTURE[hit.start : hit.end] == hit.text


def test_the_same_file_again_changes_nothing(core) -> None:
    document = Document(Ref("files", "torture.md"), TORTURE, media_type="text/markdown")
    core.ingest(document)
    report = core.ingest(document)
    assert (report.unchanged, report.embedded) == (1, 0)


def test_plain_text_is_still_cut_by_the_kernel(core) -> None:
    report = core.ingest(Document(Ref("files", "a.txt"), "# no heading here"))
    assert (report.added, report.chunks) == (1, 1)
    assert core.search("heading")[0].headings == ()
