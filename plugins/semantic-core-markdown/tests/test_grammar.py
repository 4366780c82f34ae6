"""The rules of this plugin find the blocks markdown-it finds, line by line."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from semantic_core_markdown.markdown_it_rules import MAX_DEPTH, MAX_LAZY, BlockParser

OURS = BlockParser()
THEIRS = MarkdownIt("commonmark", {"maxNesting": 2 * MAX_DEPTH}).enable(["table", "strikethrough"])
THEIRS.core.ruler.enableOnly(["normalize", "block"])

SAME = {"paragraph_open": "paragraph", "table_open": "table"}
IGNORED = {"inline", "thead_open", "tbody_open", "tr_open"}

FRAGMENTS = [
    *(
        "a",
        "b c",
        "# h",
        "## h ##",
        "---",
        "===",
        "- ",
        "* ",
        "+ x",
        "1. ",
        "2) x",
        "> ",
        ">",
        "```",
        "~~~ py",
        "    code",
        "\t",
    ),
    *(
        "|a|b|",
        "|-|-|",
        "a | b",
        "--|--",
        ":-:|-:",
        "[x]: /u",
        "[y]: /u 'title",
        "'",
        "<div>",
        "<!-- c",
        "-->",
        "</div>",
    ),
    *(
        "***",
        "___",
        "\\|",
        "`",
        "~",
        "#",
        "-",
        "=",
        "|",
        "[",
        "]",
        ":",
        "  ",
        "   ",
        "\n",
        "\n\n",
        "\n",
        "\n",
        "\n",
        "  \n",
    ),
    *("<b>", "10", "1.", "- [ ] t", "\r\n", "\r", "\x00", "é", "\f", "\u2028"),
]
SOURCES = st.lists(
    st.tuples(st.sampled_from(FRAGMENTS), st.sampled_from(["\n", "\n", "", " "])), max_size=16
).map(lambda parts: "".join(text for part in parts for text in part))


def blocks(tokens: list[Token]) -> list[object]:
    """(kind, tag, lines, info) of every block, and what headings say."""
    found: list[object] = []
    for place, token in enumerate(tokens):
        if token.map and token.type not in IGNORED:
            said = tokens[place + 1].content if token.type == "heading_open" else ""
            found.append(
                (SAME.get(token.type, token.type), token.tag, tuple(token.map), token.info, said)
            )
    return found


@settings(max_examples=1_500, deadline=None)
@given(SOURCES)
@example("# a | b\n|---|---|\n")
@example("a\n|-|\n: -\n")
@example("> a\nb\n===\n")
@example("- a\n   b\n    ---\n")
@example("a | b\n-|-\n\\| | \\\\|\n    c\n")
def test_blocks_are_those_of_markdown_it(source) -> None:
    assert blocks(OURS.parse(source)) == blocks(THEIRS.parse(source))


def test_blocks_of_a_whole_file_are_those_of_markdown_it(torture) -> None:
    assert blocks(OURS.parse(torture)) == blocks(THEIRS.parse(torture))
    assert len(blocks(OURS.parse(torture))) > 80


@pytest.mark.parametrize("lazy", [MAX_LAZY - 1, MAX_LAZY, MAX_LAZY + 1, 10 * MAX_LAZY])
def test_a_paragraph_in_a_quote_may_go_on_without_marks_as_long_as_it_likes(lazy) -> None:
    source = "> a\n" + "b\n" * lazy + "\nc\n"
    assert blocks(OURS.parse(source)) == blocks(THEIRS.parse(source))
