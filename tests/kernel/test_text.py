"""Plain text: nothing is lost, no chunk is too long, and it is cut where a reader would."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semantic_core import Chunk, ChunkId, Document, Ref, Space
from semantic_core._text import fingerprints, passages, split_text

REF = Ref("notes", "1")
SPACE = Space("m", 8)


def texts(text: str, limit: int) -> list[str]:
    return [chunk.text for chunk in split_text(Document(REF, text), limit)]


@given(
    st.text(alphabet=st.characters(codec="utf-8"), max_size=400)
    | st.text("a. \n!é\u0301", max_size=400),
    st.integers(1, 60),
)
def test_every_visible_character_is_in_exactly_one_chunk_of_at_most_the_limit(
    text: str, limit: int
) -> None:
    chunks = split_text(Document(REF, text), limit)
    assert [chunk.id.position for chunk in chunks] == list(range(len(chunks)))
    covered = 0
    for chunk in chunks:
        assert text[chunk.start : chunk.end] == chunk.text
        assert 0 < len(chunk.text) <= limit
        assert text[covered : chunk.start].strip() == ""
        assert chunk.text == chunk.text.strip()
        covered = chunk.end
    assert text[covered:].strip() == ""


def test_paragraphs_are_kept_together_while_they_fit() -> None:
    assert texts("one two.\n\nthree four.\n\nfive six seven.", 24) == [
        "one two.\n\nthree four.",
        "five six seven.",
    ]


def test_a_long_paragraph_is_cut_after_a_sentence() -> None:
    assert texts("First sentence here. Second one follows. Third.", 30) == [
        "First sentence here.",
        "Second one follows. Third.",
    ]


def test_a_long_sentence_is_cut_between_words() -> None:
    assert texts("alpha beta gamma delta", 12) == ["alpha beta", "gamma delta"]


def test_a_word_longer_than_the_limit_is_cut_anywhere() -> None:
    assert texts("x" * 25, 10) == ["x" * 10, "x" * 10, "x" * 5]


def test_a_letter_keeps_its_combining_marks() -> None:
    assert texts("ab" + "e\u0301" * 4, 5) == ["abe\u0301", "e\u0301e\u0301", "e\u0301"]


def test_an_early_paragraph_does_not_leave_a_crumb() -> None:
    assert texts("Hi.\n\n" + "word " * 20, 60)[0].startswith("Hi.\n\nword word")


def test_blank_text_gives_no_chunk() -> None:
    assert texts(" \n\t\n ", 10) == []


@pytest.mark.parametrize(
    "hostile",
    ["\n" * 200_000, " " * 200_000 + "x", "a" * 200_000, ". " * 100_000, "\n \n" * 60_000],
)
def test_hostile_text_takes_work_in_proportion_to_its_length(hostile: str) -> None:
    # The window a cut looks at never exceeds the limit, so the number of chunks bounds the work.
    assert len(texts(hostile, 1_000)) <= len(hostile) / 300 + 1


def test_a_passage_says_title_and_headings_before_the_text() -> None:
    document = Document(REF, "body", title="Title")
    chunk = Chunk(ChunkId(REF, 0), "body", 0, 4, headings=("A", "B"))
    assert passages(document, [chunk]) == ["Title\nA > B\nbody"]


def test_every_passage_of_a_document_says_its_title() -> None:
    document = Document(REF, "loops repeat a block\n\nuntil they end", title="Loops")
    assert passages(document, split_text(document, 20)) == [
        "Loops\nloops repeat a block",
        "Loops\nuntil they end",
    ]


def test_a_long_title_does_not_drown_the_passage() -> None:
    document = Document(REF, "body", title="t" * 5_000)
    assert len(passages(document, split_text(document, 100))[0]) < 300


def test_the_fingerprint_changes_with_the_passage_and_with_every_part_of_the_space() -> None:
    spaces = [
        SPACE,
        Space("n", 8),
        Space("m", 9),
        Space("m", 8, task="query"),
        Space("m", 8, revision="2"),
        Space("m", 8, settings={"prefix": "p"}),
    ]
    names = {name for space in spaces for name in fingerprints(space, ("a", "b"))}
    assert len(names) == 12
    assert all(len(name) == 32 and int(name, 16) >= 0 for name in names)


def test_the_fingerprint_is_the_same_in_every_process_and_release() -> None:
    assert fingerprints(Space("m", 8), ["text"]) == ["dec1ff1222cb6385213b625d16144086"]
