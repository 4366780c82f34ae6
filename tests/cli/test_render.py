"""Search answers as a person reads them: pure functions, compared as plain text."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.text import Text

from semantic_core import Chunk, ChunkId, Ref, SearchHit, SearchResults, StoredChunk
from semantic_core.cli._render import LINES, MARK, excerpt, hit_texts, milliseconds, packed, summary

REF = Ref("notes", "guide/loops.md")


def hit(
    text: str,
    *,
    ref: Ref = REF,
    title: str = "Loops",
    headings: tuple[str, ...] = (),
    kind: str = "text",
) -> SearchHit:
    return SearchHit(
        ref, 2, title, headings, text, 10, 10 + len(text), 1.25, {"vector": 1, "words": 3},
        {"vector": 0.5, "words": 9.0},
        kind=kind, metadata={"lang": "en", "tags": ("a", "b"), "draft": False},
    )  # fmt: skip


def results(*hits: SearchHit, query: str = "repeat a block", **more: object) -> SearchResults:
    return SearchResults(
        query, hits, "hybrid", timings={"embed": 5.21, "retrieve": 3.0, "total": 12.4}, **more
    )


def plain(lines: Sequence[Text]) -> str:
    return "\n".join(line.plain.rstrip() for line in lines)


def marked(lines: Sequence[Text]) -> list[str]:
    return [
        line.plain[span.start : span.end]
        for line in lines
        for span in line.spans
        if span.style == MARK
    ]


def test_a_hit_shows_title_headings_passage_place_score_and_retrievers() -> None:
    shown = plain(
        [
            *hit_texts(
                results(hit("For and while repeat a block.", headings=("Loops", "While"))),
                width=100,
            )
        ]
    )
    assert shown == (
        "1. Loops › While\n"
        "   For and while repeat a block.\n"
        "   notes/guide/loops.md · characters 10–39 · score 1.250 · vector #1 · words #3"
    )


def test_words_of_the_query_are_marked_in_all_their_forms() -> None:
    lines = [
        *hit_texts(results(hit("Repeating a block: it repeats. Blocks are repeated.")), width=60)
    ]
    assert marked(lines) == ["Repeating", "block", "repeats", "Blocks", "repeated"]


def test_a_hit_without_title_is_called_by_its_key() -> None:
    assert plain([*hit_texts(results(hit("x", title="")), width=80)]).startswith(
        "1. guide/loops.md\n"
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("## While\n\nIt repeats.", "It repeats."),
        ("# Loops\nIt repeats.", "It repeats."),
        ("## Other\n\nIt repeats.", "## Other It repeats."),
        ("## While", "## While"),
    ],
)
def test_a_heading_is_not_said_twice(text: str, shown: str) -> None:
    lines = [*hit_texts(results(hit(text, headings=("Loops", "While"))), width=80)]
    assert lines[1].plain.strip() == shown


def test_a_tenant_is_shown_with_the_document() -> None:
    lines = [*hit_texts(results(hit("x", ref=Ref("notes", "k", "acme"))), width=80)]
    assert "acme/notes/k" in plain(lines)


def test_a_long_passage_is_trimmed_around_its_matches() -> None:
    text = (
        "Nothing to see in this sentence. " * 30
        + "Here a block repeats. "
        + "More of the rest follows. " * 30
    )
    lines = [*hit_texts(results(hit(text)), width=60)]
    assert "Here a block repeats." in plain(lines)
    assert len(lines) <= 1 + LINES + 2
    assert plain(lines).splitlines()[1].startswith("   …")


@pytest.mark.parametrize("width", [20, 37, 60, 100])
@pytest.mark.parametrize(
    "text", ["word " * 200, "日本語の文章です。" * 60, "x" * 900, "def f(a):\n\treturn a\n" * 30]
)
@pytest.mark.parametrize("kind", ["text", "code"])
def test_no_line_is_wider_than_the_terminal(width: int, text: str, kind: str) -> None:
    shown = results(
        hit(text, kind=kind, headings=("A very long heading " * 5,)),
        hit(text),
        query="word return 日本",
    )
    for line in [*hit_texts(shown, width=width, explain=True), *summary(shown, width=width)]:
        assert cell_len(line.plain.rstrip()) <= width, line.plain


def test_code_keeps_its_lines_and_shows_those_that_match() -> None:
    code = (
        "import os\nimport re\n\n\n\n\n\ndef repeat(block):\n\twhile True:\n"
        "\t\tblock()\n# end\n# of\n# file\n"
    )
    shown = plain([*hit_texts(results(hit(code, kind="code")), width=80)])
    assert (
        "   … import re\n   def repeat(block):\n       while True:\n           block() …\n" in shown
    )
    assert "import os" not in shown


@pytest.mark.parametrize("kind", ["text", "code"])
@pytest.mark.parametrize(
    ("nasty", "shown"),
    [
        ("a\x1b[31mred", "a␛[31mred"),
        ("title\x1b]0;owned\x07", "title␛]0;owned␇"),
        ("a\x9b31mred", "a�31mred"),
        ("bell\x07 back\x08 null\x00 del\x7f", "bell␇ back␈ null␀ del␡"),
        ("over\u202eride", "over�ride"),
        ("half \udc80 pair", "half � pair"),
    ],
)
def test_control_characters_of_a_document_reach_no_terminal(
    nasty: str, shown: str, kind: str
) -> None:
    found = SearchHit(
        Ref("c", "k"),
        0,
        nasty,
        (nasty,),
        nasty,
        0,
        9,
        1.0,
        {"words": 1},
        {},
        kind=kind,
        metadata={"m": nasty},
    )
    lines = plain([*hit_texts(results(found), width=80, explain=True)])
    assert shown in lines
    assert not any(ord(char) < 32 and char != "\n" or 0x7F <= ord(char) < 0xA0 for char in lines)


def test_explain_shows_each_retriever_and_the_metadata() -> None:
    shown = plain([*hit_texts(results(hit("x")), width=80, explain=True)])
    assert "vector  rank    1  score 0.5000" in shown
    assert "words   rank    3  score 9.000" in shown
    assert "lang=en, tags=[a, b], draft=false" in shown


def test_explain_shows_a_score_that_is_tiny_as_what_it_is() -> None:
    shown = plain(
        [
            *hit_texts(
                results(attrs.evolve(hit("x"), scores={"words": 1.234e-6})), width=80, explain=True
            )
        ]
    )
    assert "score 1.234e-06" in shown


def test_neighbours_are_shown_whole_and_in_order() -> None:
    def near(position: int, text: str) -> StoredChunk:
        return StoredChunk(Chunk(ChunkId(REF, position), text, 0, len(text)), "Loops", {})

    long = "The passage itself repeats. " * 30
    lines = plain(
        [
            *hit_texts(
                results(hit(long)),
                width=60,
                neighbours={0: ([near(1, "Before it.")], [near(3, "After it.")])},
            )
        ]
    )
    assert lines.index("Before it.") < lines.index("The passage itself") < lines.index("After it.")
    assert lines.count("itself") == 30


def test_numbers_go_on_from_the_offset() -> None:
    shown = plain([*hit_texts(results(hit("x"), hit("y")), width=80, first=10)])
    assert "10. Loops" in shown
    assert "11. Loops" in shown


def test_the_end_says_how_many_how_long_and_what_was_missing() -> None:
    answer = results(hit("x"), degraded=True, reason="the embedder is away\x1b[0m")
    assert plain([*summary(answer, width=100)]) == (
        "1 hit · hybrid search · 12 ms (embed 5.2, retrieve 3.0)\n"
        "Degraded: the embedder is away␛[0m."
    )


@pytest.mark.parametrize(
    ("spent", "shown"), [(0.04, "0.0"), (9.94, "9.9"), (12.4, "12"), (1234.5, "1,234")]
)
def test_milliseconds_have_three_figures_at_most_where_it_matters(spent: float, shown: str) -> None:
    assert milliseconds(spent) == shown


def test_parts_break_between_each_other() -> None:
    assert [line.plain for line in packed(["aaaa", "bbbb", "cccc"], 12)] == ["aaaa · bbbb", "cccc"]


def test_a_mark_never_reaches_into_the_sign_of_a_cut() -> None:
    assert excerpt("aaaaa  aaaa", [(0, 6)], 10) == ("aaaaa…", [])
    assert excerpt("aaaaa  aaaa", [(0, 5)], 10) == ("aaaaa…", [(0, 5)])


@given(st.text(alphabet="ab .\u0301日", max_size=300), st.integers(10, 80), st.data())
def test_an_excerpt_is_a_piece_of_the_text_with_its_marks_in_place(
    text: str, room: int, data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12, unique=True)))
    marks = [(a, b) for a, b in zip(cuts[::2], cuts[1::2], strict=False)]
    piece, kept = excerpt(text, marks, room)
    bare = piece.removeprefix("…").removesuffix("…")
    assert bare in text
    assert len(piece) <= room + 2
    assert {piece[a:b] for a, b in kept} <= {text[a:b] for a, b in marks}
