"""Blocks found without the parser are the parser's: the same kinds at the same places,
with the same in them.
"""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from semantic_core_markdown.blocks import Block, parsed
from semantic_core_markdown.headings import plain
from semantic_core_markdown.outline import Outline

INDENTS = ["", "", "", "", " ", "  ", "   ", "    ", "     ", "\t", "  \t"]
STARTS = [
    *(
        "- a",
        "- b",
        "* a",
        "+ a",
        "-",
        "*",
        "- - -",
        "* * *",
        "---",
        "- \\",
        "-     five",
        "-\tt",
        "- [ ] t",
        "- x | y",
        "-|",
    ),
    *(
        "1. a",
        "2. b",
        "10. c",
        "1) d",
        "1.",
        "123456789. e",
        "1234567890. f",
        "3.14 pi",
        "2019 was",
        "- # h",
        "- > q",
        "- 1. n",
    ),
    *(
        "```",
        "```py",
        "````",
        "``` a`b",
        "``` a|b",
        "~~~",
        "~~~ `",
        "- ```",
        "> ```",
        "`code` a",
        "``a`` b",
        "~~b~~ c",
    ),
    *(
        "> a",
        ">",
        "> - a",
        "> > b",
        "> # h",
        "> -",
        ">\t",
        "> [q]: /u",
        "- [l]: /u",
        "- - - a",
        "> - >",
    ),
    *(
        "# h",
        "## h ##",
        "#",
        "#tag",
        "####### seven",
        "# a | b",
        "# [r]",
        "===",
        "=",
        "----",
        "--",
        "-:|-",
        "|-|-|",
        "| a | b |",
    ),
    *(
        "a | b",
        "|",
        ":--",
        ":::",
        "a:",
        "a|",
        "<!-- c",
        "-->",
        "<!-- d -->",
        "<div>",
        "</div>",
        "<b>",
        "<b>c</b>",
        "<a id='x'></a>",
    ),
    *(
        "<pre>",
        "</pre>",
        "<script>",
        "<?php",
        "?>",
        "<!X",
        "<![CDATA[",
        "]]>",
        "<https://x.y>",
        "<a@b.c>",
        "<header:",
        "<",
    ),
    *(
        "[r]: /u",
        "[s]: /u 't'",
        '[t]: /u "t"',
        "[u]: /u 't",
        '"t"',
        "'",
        "(t)",
        "[v]:",
        "/w",
        "[x",
        "y]: z",
        "[^1]: f",
        "[l](u)",
        "[ ]: u",
    ),
    *(
        "**b** c",
        "***",
        "__b__ c",
        "_",
        "*",
        "a",
        "a b c",
        "Ω",
        "\\[x]: y",
        "&amp;",
        "!",
        "\x00",
        "\f",
        "\u2028",
        "\u00a0",
        "",
    ),
]
BETWEEN = ["\n", "\n", "\n", "\n", "\n\n", "\n\n", "\n\n\n", "\n \n", "", " ", "  \n", "\t\n"]
PARTS = st.tuples(st.sampled_from(INDENTS), st.sampled_from(STARTS), st.sampled_from(BETWEEN)).map(
    "".join
)
FEW = st.lists(PARTS, min_size=1, max_size=4, unique=True).flatmap(
    lambda few: st.lists(st.sampled_from(few), max_size=16)
)
MARKDOWN = st.tuples(
    st.one_of(st.lists(PARTS, max_size=16), FEW).map("".join),
    st.sampled_from(["\n"] * 8 + ["\r\n", "\r"]),
).map(lambda part: part[0].replace("\n", part[1]))


def told(block: Block, text: str, end: int) -> object:
    """Everything a block says.

    Where the last one ends in the blank lines at the end of the text does not matter.
    """
    inside = [told(part, text, end) for part in block.inside(text)]
    return block.kind, block.start, min(block.end, end), block.level, block.says, inside


def everything(blocks: list[Block], text: str) -> list[object]:
    end = len(text.rstrip(" \t\r\n"))
    return [told(block, text, end) for block in blocks]


@settings(max_examples=800, deadline=None)
@given(MARKDOWN)
@example("- a | b\n  |---|---|\n")
@example("- x\n- a | b\n  |---|---|\n")
@example("# a | b\n|---|---|\n")
@example("a | b\n|---|---|\nc\n\nd")
@example("|a\n---\n")
@example("-\n\n  a\n")
@example("- a\n- - -\n")
@example("* a\n* * *\n")
@example("- a\n\n b\n")
@example(" - a\n - b\n- c\n")
@example("- a\n=\n")
@example(">\n\n\na")
@example("> - >\n\na")
@example("[a]: b\n'title\nover lines'\n")
@example("<!-- a\n\nb -->c\n\nd")
@example("> <!--\n\na\n\n-->\n")
@example("1. a\n2) b\n")
@example("a\n2. b\n1. c\n")
@example("a\n    ---\n---\n")
@example("~~~\n```\n\n~~~~\na")
def test_blocks_found_at_a_glance_are_those_of_the_parser(text) -> None:
    references: dict[str, dict[str, object]] = {}
    blocks = everything(parsed(text, references=references), text)
    outline = Outline(text)
    assert everything(list(outline.blocks()), text) == blocks
    assert (
        outline.references().get("references", {}).keys() == references.get("references", {}).keys()
    )


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"], ids=repr)
def test_blocks_of_a_whole_file_are_those_of_the_parser(torture, ending) -> None:
    text = torture.replace("\n", ending)
    blocks = everything(list(Outline(text).blocks()), text)
    assert blocks == everything(parsed(text), text)
    assert len(blocks) > 50


@pytest.mark.parametrize("before", ["", "text\n\n"])
def test_a_byte_order_mark_is_of_the_first_line(before) -> None:
    text = f"{before}\ufeff- a\n- b\n"
    (block,) = Outline(text, len(before)).blocks()
    assert (block.kind, block.start, block.end) == ("list", len(before), len(text))
    assert [(part.start - len(before), part.end - len(before)) for part in block.inside(text)] == [
        (0, 5),
        (5, 9),
    ]


MARKUP = [
    "a",
    "b c",
    " ",
    "`",
    "``",
    "`d`",
    "`e[f][g]`",
    "[",
    "]",
    "](u)",
    "[h](u)",
    "[`i`](u_v)",
    "(",
    ")",
    "*",
    "_",
    "~~",
    "<b>",
]
MARKUP += [
    "&amp;",
    "&",
    "!",
    "![j](k)",
    "\\",
    "{#l}",
    "[m][n]",
    "[r]",
    "<http://o.p>",
    "\n",
    "q_r",
    "1 < 2",
]


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from(MARKUP), max_size=10).map("".join))
@example("`a` [`b`](c_d)")
@example("[a `](b)` c](d)")
@example("a](b) [c](d)")
@example("`` a ` b ``")
@example("`a[b][c]`")
def test_simple_headings_say_what_the_parser_reads_in_them(heading) -> None:
    from semantic_core_markdown import headings

    simple, headings._SIMPLE = headings._SIMPLE, headings.re.compile(r"\Z.")
    try:
        read = plain(heading)
    finally:
        headings._SIMPLE = simple
    assert plain(heading) == read
