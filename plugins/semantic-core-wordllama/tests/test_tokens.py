"""Cutting a text into pieces changes no token."""

from __future__ import annotations

import json
import threading
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from semantic_core_wordllama import embedder
from semantic_core_wordllama.embedder import PIECE, REMEMBERED, RESERVED, WINDOW, Tokens, windows
from semantic_core_wordllama.wheel import TOKENIZER
from tokenizers import Tokenizer

from semantic_core.errors import TextInvalid

WHOLE = Tokenizer.from_buffer(TOKENIZER.read())
CUT = Tokens()

AWKWARD = st.sampled_from(
    [
        " ",
        "  ",
        "\n",
        "\r\n",
        "\t",
        "▁",
        "▁ ",
        "²",
        ").",
        "_",
        "__init__",
        "\0",
        "\u00a0",
        "\u2003",
        "½",
        "1234",
        "3.14",
        "--",
    ]
    + [
        "<s>",
        "</s>",
        "<unk>",
        "<0x0A>",
        "é",
        "café",
        "ß",
        "привет",
        "мир,",
        "日本語",
        "한국",
        "😀",
        "👩‍👩‍👧",
        "e\u0301",
    ]
    + ["3.14", "```py", "http://a.b/c?d=e"]
)
LATIN = st.text(st.characters(max_codepoint=0x24F), max_size=12)
TEXTS = st.lists(AWKWARD | LATIN | st.text(max_size=8), max_size=12).map("".join)


def cut(text: str) -> list[int]:
    return CUT.of(text).tolist()


def whole(text: str) -> list[int]:
    return WHOLE.encode(text, add_special_tokens=False).ids


def test_no_merge_of_the_tokenizer_crosses_a_cut() -> None:
    merges = json.loads(TOKENIZER.read())["model"]["merges"]
    merged = {
        (pair if isinstance(pair, str) else " ".join(pair)).replace(" ", "").replace("▁", " ")
        for pair in merges
    }
    assert len(merged) > 29_000
    assert [text for text in merged if PIECE.findall(text) != [text]] == []


@given(TEXTS)
def test_a_cut_depends_on_the_two_characters_beside_it_alone(text: str) -> None:
    # With this, a merge that is not cut by itself is not cut inside any text: the test above is a
    # proof.
    pieces = PIECE.findall(text)
    assert "".join(pieces) == text
    places, at = set(), 0
    for piece in pieces[:-1]:
        at += len(piece)
        places.add(at)
    for place, (left, right) in enumerate(pairwise(text), 1):
        assert (place in places) is (len(PIECE.findall(left + right)) == 2)


@settings(max_examples=400)
@given(TEXTS)
def test_pieces_give_the_tokens_of_the_whole_text(text: str) -> None:
    assert cut(text) == whole(text)
    assert cut(text) == whole(text), "again, now from memory"


def test_every_character_gives_the_tokens_of_the_whole_text() -> None:
    characters = [chr(point) for point in range(0x3000) if chr(point).isprintable() or point < 32]
    for mark in (" ", "a", "1", "."):
        text = mark.join(characters)
        assert cut(text) == whole(text)


@given(
    st.lists(
        st.sampled_from(["a", "wing's", "flow,", "(x)", "²", "naïve", "мир", "😀"]),
        min_size=1,
        max_size=80,
    ),
    st.data(),
)
def test_windows_cut_between_words_and_lose_nothing(words: list[str], data: st.DataObject) -> None:
    text = words[0] + "".join(
        data.draw(st.sampled_from([" ", "\n", "  ", " \n", "\n\t"])) + word for word in words[1:]
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedder, "WINDOW", 12)
        parts = list(windows(text))
    assert "".join(parts) == text
    assert max(map(len, parts)) <= 12
    assert [number for part in parts for number in cut(" ".join(part.split()))] == whole(
        " ".join(text.split())
    )


@pytest.mark.parametrize(
    "text",
    ["x" * (3 * WINDOW + 1), "😀" * (2 * WINDOW), " " * (2 * WINDOW), "\n" * (2 * WINDOW), ""],
)
def test_windows_of_a_run_without_a_word_are_bounded_and_lose_nothing(text: str) -> None:
    parts = list(windows(text))
    assert "".join(parts) == text
    assert max(map(len, parts)) <= WINDOW


def test_an_empty_text_has_no_tokens() -> None:
    assert cut("") == whole("") == []


def test_the_marks_of_the_tokenizer_are_the_reserved_ones() -> None:
    added = {token.content for token in WHOLE.get_added_tokens_decoder().values()}
    assert added == set(RESERVED.pattern[1:-1].split("|"))
    assert RESERVED.fullmatch("</s>")


def test_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(TextInvalid, match="surrogate"):
        cut("a \ud800 b")


def test_memory_for_words_and_pieces_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert REMEMBERED <= 65_536
    monkeypatch.setattr(embedder, "REMEMBERED", 10)
    tokens = Tokens()
    text = " ".join(f"word{number}" for number in range(500)) + " " + "y" * 500
    assert tokens.of(text).tolist() == whole(text)
    for remembered in (tokens._pieces, tokens._words):
        assert 0 < len(remembered) <= 10
        assert all(len(said) <= 64 for said in remembered)


def test_threads_that_forget_and_remember_get_the_same_tokens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(embedder, "REMEMBERED", 7)
    tokens = Tokens()
    texts = [f"alpha {number} beta-{number % 5} gamma\n" * 5 for number in range(60)]
    expected = [whole(text) for text in texts]
    wrong: list[int] = []

    def read() -> None:
        wrong.extend(
            place for place, text in enumerate(texts) if tokens.of(text).tolist() != expected[place]
        )

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
