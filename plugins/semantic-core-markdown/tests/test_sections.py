"""What is kept together, what is kept apart, and what the headings above a passage are."""

from __future__ import annotations

import pytest

WORDS = (
    "Some words that make this long enough to be a passage of its own, about a "
    "hundred characters and more."
)
PYTHON = "```python\nx = 1\n```"


def kinds(chunks) -> list[str]:
    return [chunk.kind for chunk in chunks]


def test_small_blocks_of_a_section_share_a_passage(split) -> None:
    (chunk,) = split("# A\n\nOne sentence.\n\n- two\n- three\n\nAnother one.\n")
    assert (chunk.kind, chunk.headings) == ("text", ("A",))


def test_passages_never_reach_across_a_heading_of_the_same_or_a_higher_level(split) -> None:
    chunks = split("# A\n\na\n\n## B\n\nb\n\n## C\n\nc\n\n# D\n\nd\n")
    assert [(chunk.headings, chunk.text[-1]) for chunk in chunks] == [
        (("A",), "a"),
        (("A", "B"), "b"),
        (("A", "C"), "c"),
        (("D",), "d"),
    ]


def test_a_skipped_level_does_not_break_the_path(split) -> None:
    chunks = split("#### Deep\n\na\n\n## B\n\nb\n\n##### C\n\nc\n\n### D\n\nd\n")
    assert [chunk.headings for chunk in chunks] == [("Deep",), ("B",), ("B", "C"), ("B", "D")]


def test_a_heading_without_text_goes_with_the_first_section_below_it(split) -> None:
    (chunk,) = split("# Title\n\n## Section\n\ntext\n")
    assert (chunk.text, chunk.headings) == ("# Title\n\n## Section\n\ntext", ("Title", "Section"))


def test_an_empty_heading_ends_a_section_and_is_not_in_the_path(split) -> None:
    chunks = split("# A\n\na\n\n## B\n\nb\n\n##\n\nc\n")
    assert [chunk.headings for chunk in chunks] == [("A",), ("A", "B"), ("A",)]


@pytest.mark.parametrize(
    ("markdown", "plain"),
    [
        ("# **Bold** [link](x) `code`", "Bold link code"),
        ("# ![Logo](x.png) Name ##", "Logo Name"),
        ("# a \\* b &lt;c&gt; <d@e.f>", "a * b <c> d@e.f"),
        ("# ~~old~~ <b>new</b><br>line", "old new line"),
        ("# [Ref][r] and [r]\n\n[r]: /x", "Ref and r"),
        ("# [Ref][nowhere] [1.0]", "Ref [1.0]"),
        ("# Name {#anchor .class}", "Name"),
        ("#\tTab  and   spaces ", "Tab and spaces"),
        ("Two\n_lines_ \n===", "Two lines"),
        ("# snake_case and 2 * 3 * 4", "snake_case and 2 * 3 * 4"),
        ("# " + "[" * 50, "[" * 50),
        ("# " + "x" * 300, "x" * 199 + "…"),
    ],
)
def test_headings_are_plain_text(split, markdown, plain) -> None:
    assert split(markdown)[0].headings == (plain,)


def test_code_is_kept_apart_from_text_with_its_language(split) -> None:
    chunks = split(f"{WORDS}\n\n{PYTHON}\n\n{WORDS}\n")
    assert kinds(chunks) == ["text", "code", "text"]
    assert chunks[1].text == PYTHON
    assert chunks[1].metadata == {"language": "python"}


def test_a_paragraph_that_introduces_code_or_a_table_stays_with_it(split) -> None:
    for block, kind in ((PYTHON, "code"), ("| a |\n|---|\n| 1 |", "table")):
        chunks = split(f"{WORDS}\n\n{WORDS} Like **this:**\n\n{block}\n")
        assert kinds(chunks) == ["text", kind]
        assert chunks[1].text == f"{WORDS} Like **this:**\n\n{block}"


def test_a_few_words_do_not_stand_alone_beside_code(split) -> None:
    chunks = split(f"# H\n\nFirst.\n\n{PYTHON}\n\nor\n\n{PYTHON}\n\nThat is all.\n")
    assert [chunk.text for chunk in chunks] == [
        f"# H\n\nFirst.\n\n{PYTHON}",
        f"or\n\n{PYTHON}\n\nThat is all.",
    ]
    assert kinds(chunks) == ["code", "code"]


def test_a_line_of_code_is_part_of_the_text_around_it(split) -> None:
    (chunk,) = split(f"{WORDS}\n\n    make all\n\n{WORDS}\n")
    assert (chunk.kind, chunk.metadata) == ("text", {})


@pytest.mark.parametrize(
    ("info", "language"),
    [
        ("python", "python"),
        (" Python title=x", "python"),
        ("{.rust .numberLines}", "rust"),
        ("{r, echo=FALSE}", "r"),
        ("{code-block} c++", "c++"),
        ("js{1,3}", "js"),
        ("rust,no_run", "rust"),
        ("c&#35;", "c#"),
        ("=html", None),
        ("", None),
        ("x" * 100, "x" * 40),
    ],
)
def test_the_language_of_a_fence_is_its_first_word(split, info, language) -> None:
    (chunk,) = split(f"~~~{info}\na\n~~~")
    assert chunk.metadata.get("language") == language


def test_code_that_is_too_long_is_cut_at_lines_and_stays_code(split, lost) -> None:
    code = "".join(f"    line_{number} = {number}\n" for number in range(100))
    text = f"# H\n\n```python\n{code}```\n"
    chunks = split(text, 300)
    assert lost(text, chunks) == ""
    assert set(kinds(chunks)) == {"code"}
    assert all(chunk.metadata == {"language": "python"} for chunk in chunks)
    assert all(chunk.text.startswith("    line_") for chunk in chunks[1:])
    assert all(chunk.text.splitlines()[-1].startswith(("    line_", "```")) for chunk in chunks)
    assert min(len(chunk.text) for chunk in chunks) > 150


def test_code_is_cut_at_a_blank_line_where_there_is_one(split) -> None:
    functions = "\n\n".join(f"def f{number}():\n" + "    pass\n" * 8 for number in range(12))
    chunks = split(f"```python\n{functions}```\n", 400)
    assert len(chunks) > 2
    assert all(chunk.text.startswith("def f") for chunk in chunks[1:])


def test_a_table_is_whole_where_it_fits_even_without_its_heading(split) -> None:
    table = "| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 8
    chunks = split(f"# A heading of some length\n\n{table}", len(table))
    assert [chunk.text for chunk in chunks] == ["# A heading of some length", table.strip()]
    assert kinds(chunks) == ["text", "table"]


def test_a_table_that_is_too_long_is_cut_between_rows_and_its_parts_know_the_header(
    split, lost
) -> None:
    rows = "".join(f"| {number} | {'x' * 10} |\n" for number in range(100))
    text = f"| Number | Letters |\n|---|---|\n{rows}"
    chunks = split(text, 300)
    assert lost(text, chunks) == ""
    assert set(kinds(chunks)) == {"table"}
    assert all(
        line.startswith("|") and line.endswith("|")
        for chunk in chunks
        for line in chunk.text.split("\n")
    )
    assert [chunk.metadata.get("header") for chunk in chunks] == [None] + [
        "| Number | Letters |"
    ] * (len(chunks) - 1)


def test_a_list_is_whole_where_it_fits(split) -> None:
    items = "".join(f"- item {number} with a few words\n" for number in range(10))
    chunks = split(f"{WORDS * 3}\n\n{items}", len(items) + 50)
    assert chunks[-1].text == items.strip()
    assert chunks[-1].kind == "list"


def test_a_list_that_is_too_long_is_cut_between_items(split, lost) -> None:
    text = "".join(f"{number}. item\n\n    with two paragraphs\n" for number in range(1, 50))
    chunks = split(text, 200)
    assert lost(text, chunks) == ""
    assert set(kinds(chunks)) == {"list"}
    assert all(chunk.text[0].isdigit() and chunk.text.endswith("paragraphs") for chunk in chunks)


def test_an_item_that_is_too_long_is_cut_at_its_own_blocks_and_code_in_it_is_code(
    split, lost
) -> None:
    code = "".join(f"  line {number}\n" for number in range(40))
    text = f"- {WORDS}\n\n  ```sh\n{code}  ```\n\n  {WORDS}\n- last\n"
    chunks = split(text, 250)
    assert lost(text, chunks) == ""
    assert [(chunk.kind, chunk.metadata.get("language")) for chunk in chunks] == [
        ("list", None),
        ("code", "sh"),
        ("code", "sh"),
        ("list", None),
    ]
    assert chunks[-1].text.endswith("- last")


def test_a_quote_that_is_too_long_is_cut_at_its_paragraphs(split, lost) -> None:
    text = "\n>\n".join([f"> {WORDS}"] * 6)
    chunks = split(text, 250)
    assert lost(text, chunks) == ""
    assert [chunk.text.count(WORDS) for chunk in chunks] == [2, 2, 2]


def test_a_paragraph_that_is_too_long_is_cut_at_sentences_into_even_pieces(split, lost) -> None:
    text = " ".join(f"This is sentence number {number}." for number in range(60))
    chunks = split(text, 500)
    assert lost(text, chunks) == ""
    assert all(chunk.text.startswith("This") and chunk.text.endswith(".") for chunk in chunks)
    assert min(len(chunk.text) for chunk in chunks) > 250


def test_a_heading_stays_with_the_first_piece_of_a_paragraph_that_is_too_long(split) -> None:
    chunks = split("# Heading\n\n" + "Words and words. " * 60, 300)
    assert chunks[0].text.startswith("# Heading\n\nWords")
    assert {chunk.headings for chunk in chunks} == {("Heading",)}


def test_what_the_last_piece_leaves_room_for_joins_it(split) -> None:
    chunks = split("Words and words. " * 20 + "\n\nThe end.\n", 300)
    assert len(chunks) == 2
    assert chunks[1].text.endswith("The end.")


def test_anchors_and_comments_do_not_stand_alone(split) -> None:
    code = "\n".join(["```", *["line"] * 20, "```"])
    chunks = split(f'# A\n\n<a id="x"></a>\n\n<!-- note -->\n\n{code}\n', 200)
    assert [chunk.kind for chunk in chunks] == ["code"]


def test_nesting_deeper_than_is_looked_into_swallows_nothing(split, lost) -> None:
    for nested in (
        "- " * 60 + "deep",
        "> " * 60 + "deep",
        "".join("  " * depth + "- a\n" for depth in range(60)),
    ):
        text = f"{nested}\n\n# Heading\n\ntext\n"
        chunks = split(text, 10_000)
        assert lost(text, chunks) == ""
        assert chunks[-1].headings == ("Heading",)
