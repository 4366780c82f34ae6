"""One file with every case that has lost text somewhere; what is known of each passage of it."""

from __future__ import annotations

import pytest
from semantic_core_markdown import semantic_describe
from semantic_core_markdown.metadata import body_start

TOP = "Setext heading one over two lines"
CODE = (TOP, "Code")
PASSAGES = [
    # kind, headings, language, how it begins, how it ends
    ("text", (), None, "Text in front of the first", "footnote.[^note]"),
    (
        "text",
        ("Bold link code and gone",),
        None,
        "# **Bold** [link](https://example.com)",
        "![alone](alone.png)",
    ),
    (
        "text",
        (TOP,),
        None,
        "Setext heading *one*\nover two lines\n====",
        "Underlined with equals signs.",
    ),
    (
        "text",
        (TOP, "Setext heading two"),
        None,
        "Setext heading two\n----",
        "Underlined with dashes.",
    ),
    (
        "code",
        CODE,
        "python",
        "## Code\n\nA fence with a language:\n\n```python\n# not a",
        "return 42  # ## neither\n```",
    ),
    ("text", CODE, None, "A fence without one", "a few words."),
    ("code", CODE, None, "~~~\n\n- not a list", "|-----|---------|\n~~~"),
    ("text", CODE, None, "Text between", "a hundred characters."),
    (
        "code",
        CODE,
        None,
        "    indented code, first line\n        indented",
        "\n\n    line behind a blank one",
    ),
    ("code", CODE, "rust", "Tiny.\n\n```{.rust .numberLines}", "fn main() {}\n```"),
    (
        "list",
        (*CODE, "Code in other things"),
        None,
        "### Code in other things\n\n1. First",
        "in a quote is no section",
    ),
    (
        "text",
        (*CODE, "Code in other things", "Level four"),
        None,
        "#### Level four\nText",
        "a blank line.",
    ),
    (
        "table",
        (*CODE, "Back to three"),
        None,
        "### Back to three\n| Name",
        "| beta  | 2            |      |",
    ),
    (
        "text",
        (TOP, "HTML"),
        None,
        '## HTML\n\n<div class="note">',
        "[^note]: The text of the footnote.",
    ),
    ("text", (TOP, "Unicode: naïve, 日本語, עברית"), None, "## Unicode", "math 𝔘."),
    ("text", (TOP, "Empty section"), None, "## Empty section", "## Empty section"),
    (
        "text",
        (TOP, "Only a heading below me", "Child heading"),
        None,
        "## Only a heading below me",
        "### Child heading",
    ),
    (
        "text",
        (TOP, "Escapes # *not bold* & ©"),
        None,
        "## Escapes",
        "- another list begins\n* and another",
    ),
    (
        "code",
        (TOP, "Unclosed fence"),
        "yaml",
        "## Unclosed fence\n\n```yaml",
        "to the end of the file",
    ),
]


def endings(text: str, ending: str) -> str:
    return text.replace("\n", ending)


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"], ids=repr)
def test_every_passage_has_its_kind_headings_and_language(split, torture, ending) -> None:
    chunks = split(endings(torture, ending))
    assert len(chunks) == len(PASSAGES)
    for chunk, (kind, headings, language, begins, ends) in zip(chunks, PASSAGES, strict=True):
        assert (chunk.kind, chunk.headings, chunk.metadata.get("language")) == (
            kind,
            headings,
            language,
        )
        assert chunk.text.startswith(endings(begins, ending))
        assert chunk.text.endswith(endings(ends, ending))


@pytest.mark.parametrize("max_chars", [1, 2, 7, 50, 80, 150, 400, 1_000, 100_000])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"], ids=repr)
def test_nothing_but_front_matter_and_white_space_is_lost_at_any_size(
    split, lost, torture, ending, max_chars
) -> None:
    text = endings(torture, ending)
    assert lost(text, split(text, max_chars), body_start(text)) == ""


@pytest.mark.parametrize("odd", ["\x00", "\f", "\u2028", "\x85", "\x0b", "\t", "\u200b"], ids=ascii)
def test_odd_characters_neither_lose_text_nor_move_offsets(split, lost, torture, odd) -> None:
    body = torture[body_start(torture) :]
    for text in (
        body.replace("\n\n", f"\n{odd}\n"),
        body.replace(" ", odd),
        body.replace("\n", f"{odd}\n"),
        odd + body,
    ):
        assert lost(text, split(text, 200)) == ""


def test_a_line_separator_of_unicode_does_not_count_as_a_line(split) -> None:
    chunks = split(
        "one\u2028two\x85three\x0cfour\x0bfive\n\n# Heading\n\n```c\nint\u2028x;\n```\n\n# Next"
    )
    assert [chunk.headings for chunk in chunks] == [(), ("Heading",), ("Next",)]
    assert chunks[1].text.endswith("int\u2028x;\n```")
    assert chunks[2].text == "# Next"


def test_a_nul_stays_in_the_text(split) -> None:
    assert [chunk.text for chunk in split("a\x00b")] == ["a\x00b"]


def test_a_byte_order_mark_hides_neither_a_heading_nor_front_matter(
    split, document, torture
) -> None:
    chunks = split("\ufeff# Heading\n\ntext")
    assert [(chunk.headings, chunk.start) for chunk in chunks] == [(("Heading",), 0)]
    described = semantic_describe(document=document("\ufeff" + torture))
    assert described.title == "The torture file"
    assert [chunk.headings for chunk in split("\ufeff" + torture)] == [
        passage[1] for passage in PASSAGES
    ]


@pytest.mark.parametrize("text", ["", " \n\t\r\n", "\u2028", "---\ntitle: Nothing else\n---\n"])
def test_nothing_to_index_gives_no_chunks(split, text) -> None:
    assert split(text) == []


def test_a_document_of_headings_only_is_found_by_each_of_them(split, lost) -> None:
    text = "# One\n## Two\n## Three\n### Four\n# Five\n"
    assert [(chunk.text, chunk.headings) for chunk in split(text)] == [
        ("# One\n## Two", ("One", "Two")),
        ("## Three\n### Four", ("One", "Three", "Four")),
        ("# Five", ("Five",)),
    ]


def test_front_matter_that_is_not_closed_is_text(split, lost) -> None:
    text = "---\ntitle: A title\n\nText"
    assert lost(text, split(text)) == ""
