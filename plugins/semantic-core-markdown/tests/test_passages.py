"""What a chunk is embedded with."""

from __future__ import annotations

import pytest
from semantic_core_markdown import semantic_context, semantic_split
from semantic_core_markdown.passages import CONTEXT_CHARS

from semantic_core import Document, Ref


def passages(text: str, title: str = "", max_chars: int = 1_000) -> list[str]:
    document = Document(Ref("notes", "1"), text, title, media_type="text/markdown")
    return list(
        semantic_context(
            document=document, chunks=semantic_split(document=document, max_chars=max_chars)
        )
    )


LONG = "Words and words and words. " * 12


def test_a_passage_is_title_heading_path_and_text() -> None:
    text = f"# One\n\n## Two\n\n{LONG}"
    assert [passage.split("\n")[:2] for passage in passages(text, "Title", 200)] == [
        ["Title", "# One"],
        ["Title", "One > Two"],
    ]


def test_a_title_that_is_the_first_heading_is_said_once() -> None:
    text = f"# The *Title*\n\nIntro.\n\n## Part\n\n{LONG}"
    first, second, third = passages(text, "The  title", 200)
    assert first == "# The *Title*\n\nIntro."
    assert second.startswith("The title\n## Part\n\nWords")
    assert third.startswith("The title\nPart\nWords")


@pytest.mark.parametrize(
    "heading",
    [
        "## Part",
        "  ## Part ##",
        "Part\n----",
        "## **Part**",
        "## [Part][x]",
        "\ufeff## Part",
        "## Part\r",
    ],
)
def test_a_heading_the_text_begins_with_is_not_repeated(heading) -> None:
    (passage,) = passages(f"{heading}\n\ntext\n\n[x]: /url", "Title")
    assert passage.startswith(f"Title\n{heading.rstrip()}")


def test_a_heading_over_two_lines_is_not_repeated() -> None:
    assert passages("A heading\nover two\n===\n\ntext") == ["A heading\nover two\n===\n\ntext"]


def test_a_line_of_code_that_looks_like_a_heading_is_not_taken_for_one() -> None:
    code = "".join(f"# comment {number}\nrun {number}\n" for number in range(40))
    for passage in passages(f"# H\n\n## Part\n\n```sh\n{code}```", "Title", 200)[1:]:
        assert passage.startswith("Title\nH > Part\n")


def test_a_document_without_title_and_headings_is_its_text() -> None:
    assert passages("text") == ["text"]


def test_context_is_short_and_keeps_what_is_nearest() -> None:
    text = "\n\n".join(f"{'#' * level} {level} {'x' * 90}" for level in range(1, 7)) + "\n\n" + LONG
    last = passages(text, "T" * 500, 300)[-1].split("\n")
    assert last[0] == "T" * (CONTEXT_CHARS - 1) + "…"
    assert last[1] == f"5 {'x' * 90} > 6 {'x' * 90}"


def test_later_rows_of_a_table_come_with_its_header() -> None:
    rows = "".join(f"| {number} | {'x' * 10} |\n" for number in range(40))
    first, *later = passages(f"# H\n\n| Number | Letters |\n|---|---|\n{rows}", "", 300)
    assert first.startswith("# H\n\n| Number | Letters |")
    assert later
    assert all(passage.startswith("H\n| Number | Letters |\n| ") for passage in later)
