"""Blocks of Markdown say what was meant, to the splitter that reads them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from semantic_core_files import markdown_text
from semantic_core_markdown import semantic_split

from semantic_core import Document, Ref


def kinds(text: str) -> list[tuple[str, tuple[str, ...]]]:
    document = Document(Ref("a", "b"), text, media_type="text/markdown")
    chunks = semantic_split(document, 500)
    assert chunks is not None
    return [(chunk.kind, chunk.headings) for chunk in chunks]


@pytest.mark.parametrize(
    "line",
    [
        "# x",
        "###### x",
        "> x",
        "```",
        "~~~ x",
        "---",
        "===",
        "***",
        "- - -",
        "|---|",
        "<!-- x",
        "<div>",
        "- x",
        ":--:",
    ],
)
def test_a_paragraph_begins_no_other_block(line: str) -> None:
    text = markdown_text.joined(
        [markdown_text.heading(1, "A"), markdown_text.paragraph(f"before\n{line}"), "## B", "x"]
    )
    assert kinds(text) == [("text", ("A",)), ("text", ("A", "B"))]
    text = markdown_text.joined([markdown_text.paragraph(line), "## B", "x"])
    assert kinds(text)[-1] == ("text", ("B",))


@settings(deadline=None)
@given(st.text("ab #`~-=|<>*+:!\n\t", max_size=60))
def test_no_paragraph_hides_the_heading_behind_it(line: str) -> None:
    text = markdown_text.joined([markdown_text.paragraph(line), "## B", "x"])
    assert kinds(text)[-1] == ("text", ("B",))


@settings(deadline=None)
@given(st.text("a `\n", max_size=60))
def test_code_ends_where_its_fence_ends(inside: str) -> None:
    text = markdown_text.joined([markdown_text.code(inside, "python"), "## B", "x"])
    assert kinds(text)[-1] == ("text", ("B",))


def test_headings_are_one_line_and_keep_their_text() -> None:
    assert markdown_text.heading(9, "a\n b") == "###### a b"
    assert markdown_text.heading(0, "C#") == "# C\\#"
    assert markdown_text.heading(1, " ") == ""


def test_tables_leave_out_what_is_empty_and_escape_bars() -> None:
    rows = [["", "", ""], ["a", "", "b|c"], ["1"], ["x", "", "y\nz"]]
    assert markdown_text.table(rows) == "| a | b\\|c |\n|---|---|\n| 1 |  |\n| x | y z |"
    assert markdown_text.table([["", " "]]) == ""


def test_blank_code_is_left_out_and_odd_languages_too() -> None:
    assert markdown_text.code(" \n") == ""
    assert markdown_text.code("x", "a b`") == "```\nx\n```"
