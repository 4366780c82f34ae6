"""What the vectors are."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from semantic_core_wordllama import WordLlamaEmbedder, open_wordllama

from semantic_core.coverage import POORLY_COVERED
from semantic_core.errors import InputError, TextInvalid
from semantic_core.protocols import CoversTexts, Embedder

ABSTRACTS = {
    "wing": (
        "Lift distribution along a swept wing in subsonic flow was measured at "
        "several angles of attack."
    ),
    "boundary": (
        "The laminar boundary layer on a flat plate becomes turbulent behind a "
        "small roughness element."
    ),
    "shock": (
        "Schlieren pictures show the detached shock wave in front of a blunt "
        "body at hypersonic speed."
    ),
    "heat": (
        "Heat transfer to the nose of a re-entry vehicle is computed from the "
        "stagnation temperature."
    ),
    "buckling": (
        "Thin cylindrical shells buckle under axial compression at loads far "
        "below the classical value."
    ),
    "flutter": (
        "Panel flutter sets in when aerodynamic forces feed energy into the vibration of the skin."
    ),
    "library": (
        "Catalogue cards are sorted by subject heading so that readers find a book on the shelf."
    ),
}
QUESTIONS = {
    "wing": "how is the lift of swept wings distributed",
    "boundary": "transition from laminar to turbulent boundary layers caused by roughness",
    "shock": "bow shock ahead of blunt bodies in hypersonic flow",
    "heat": "temperature at the nose of a vehicle during re-entry",
    "buckling": "collapse of shells in compression",
    "flutter": "vibration of panels excited by the airstream",
    "library": "how do librarians arrange books",
}
ODD = ["", " ", "\n\n", "\0", "a\0b", "\ufeff", "².", "▁", "<unk>", "<s></s>", "x" * 9_000]
ODD += ["😀👩‍👩‍👧", "Где находится библиотека?", "日本語"]


def test_it_is_an_embedder(embedder: WordLlamaEmbedder) -> None:
    assert isinstance(embedder, Embedder)


@pytest.mark.parametrize("dimensions", [256, 128, 64])
def test_rows_are_float32_of_the_asked_size_and_of_length_one(dimensions: int) -> None:
    embedder = open_wordllama(dimensions=dimensions)
    vectors = embedder.embed_documents([*ABSTRACTS.values(), *ODD])
    assert vectors.shape == (len(ABSTRACTS) + len(ODD), dimensions)
    assert vectors.dtype == np.float32
    assert np.abs(np.linalg.norm(vectors.astype(np.float64), axis=1) - 1).max() < 1e-6
    query = embedder.embed_query("lift of a wing")
    assert (query.shape, query.dtype, embedder.space.dimensions) == (
        (dimensions,),
        np.float32,
        dimensions,
    )


def test_no_passages_give_no_rows(embedder: WordLlamaEmbedder) -> None:
    assert embedder.embed_documents([]).shape == (0, 256)


def test_known_text_keeps_its_known_vector(embedder: WordLlamaEmbedder) -> None:
    vector = embedder.embed_query("The quick brown fox jumps over the lazy dog")
    assert vector[:4] == pytest.approx([0.0340624, -0.0212232, 0.0078779, 0.0599127], abs=1e-6)


def test_a_question_finds_its_passage(embedder: WordLlamaEmbedder) -> None:
    assert found(embedder, str) == list(ABSTRACTS)


def test_capitals_change_nothing(embedder: WordLlamaEmbedder) -> None:
    assert found(embedder, str.upper) == list(ABSTRACTS)
    for text in [*ABSTRACTS.values(), *QUESTIONS.values(), "ПРИВЕТ, МИР", "CAFÉ ÀÉÎ"]:
        assert np.array_equal(
            embedder.embed_query(text.upper()), embedder.embed_query(text.lower())
        )
        assert np.array_equal(
            embedder.embed_documents([text.title()])[0], embedder.embed_query(text.lower())
        )


def found(embedder: WordLlamaEmbedder, case: Callable[[str], str]) -> list[str]:
    """The best abstract for each question; the abstracts alone are spelled in the given case."""
    vectors = embedder.embed_documents([case(text) for text in ABSTRACTS.values()])
    names = list(ABSTRACTS)
    return [
        names[int((vectors @ embedder.embed_query(question)).argmax())]
        for question in QUESTIONS.values()
    ]


@settings(deadline=None)
@given(st.lists(st.text(max_size=40) | st.sampled_from([*ABSTRACTS.values(), *ODD]), max_size=6))
def test_a_batch_gives_the_vectors_of_its_texts_alone_in_order(
    embedder: WordLlamaEmbedder, texts: list[str]
) -> None:
    batch = embedder.embed_documents(texts)
    assert batch.shape == (len(texts), 256)
    for row, text in zip(batch, texts, strict=True):
        assert np.array_equal(row, embedder.embed_documents([text])[0])
        assert np.array_equal(row, embedder.embed_query(text))


def test_a_query_before_any_document_has_the_vector_it_has_after() -> None:
    texts = [*QUESTIONS.values(), *ODD, "word " * 3_000]
    fresh = open_wordllama(dimensions=128)
    before = [fresh.embed_query(text) for text in QUESTIONS.values()]
    documents = fresh.embed_documents(texts)
    assert np.array_equal(documents[: len(before)], before)
    assert np.array_equal(
        documents, [open_wordllama(dimensions=128).embed_query(text) for text in texts]
    )


def test_white_space_changes_nothing(embedder: WordLlamaEmbedder) -> None:
    for text in ABSTRACTS.values():
        words = text.split()
        for space in ("\n", "  ", "\t", "\r\n", "\u00a0", " \n\n    "):
            assert np.array_equal(
                embedder.embed_query(space + space.join(words) + space), embedder.embed_query(text)
            )


def test_a_text_without_words_has_the_vector_of_a_space_alone_and_is_near_nothing(
    embedder: WordLlamaEmbedder,
) -> None:
    empty = embedder.embed_query("")
    for text in ("", " ", "\n\n\t", "\u2003"):
        assert np.array_equal(empty, embedder.embed_documents([text])[0])
    assert np.abs(embedder.embed_documents(list(ABSTRACTS.values())) @ empty).max() < 0.3


def test_every_part_of_a_long_text_counts(embedder: WordLlamaEmbedder) -> None:
    wing, library = ABSTRACTS["wing"] + " ", ABSTRACTS["library"] + " "
    vectors = embedder.embed_documents(
        [wing, library, wing * 1_000, wing * 1_000 + library * 1_000]
    )
    assert vectors[2] @ vectors[0] > 0.99
    assert vectors[3] @ vectors[1] > vectors[2] @ vectors[1] + 0.2


def test_a_very_long_text_takes_little_memory() -> None:
    embedder = open_wordllama()
    embedder.embed_documents(["load the table"])
    text = "an endless line, " * 120_000
    tracemalloc.start()
    try:
        embedder.embed_documents([text])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20_000_000, "the vectors of its half a million tokens alone would be 500 MB"


def test_threads_get_the_vectors_one_alone_gets() -> None:
    texts = list(ABSTRACTS.values()) * 3
    expected = open_wordllama().embed_documents(texts)
    shared = open_wordllama()
    answers: list[Any] = []
    start = threading.Barrier(6)

    def work(number: int) -> None:
        start.wait()
        one_by_one = np.array([shared.embed_query(text) for text in texts])
        answers.append(shared.embed_documents(texts) if number % 2 else one_by_one)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 6
    assert all(np.array_equal(answer, expected) for answer in answers)


def test_another_process_gets_the_same_bits(
    embedder: WordLlamaEmbedder, run_python: Callable[..., Any]
) -> None:
    texts = [*ABSTRACTS.values(), *ODD]
    code = f"""
import json
from semantic_core_wordllama import open_wordllama
print(json.dumps(open_wordllama().embed_documents({texts!r}).tobytes().hex()))
"""
    here = embedder.embed_documents(texts).tobytes().hex()
    assert run_python(code, environment={"PYTHONHASHSEED": "1"}) == here
    assert run_python(code, environment={"PYTHONHASHSEED": "2"}) == here


def test_what_is_not_text_is_refused(embedder: WordLlamaEmbedder) -> None:
    with pytest.raises(TextInvalid, match="got int"):
        embedder.embed_documents(["fine", 5])  # type: ignore[list-item]
    with pytest.raises(TextInvalid, match="got NoneType"):
        embedder.embed_query(None)  # type: ignore[arg-type]
    with pytest.raises(TextInvalid, match="surrogate"):
        embedder.embed_query("half a pair: \ud83d")
    with pytest.raises(InputError, match="one str"):
        embedder.embed_documents("not a list")


def test_english_is_covered_and_what_is_far_from_it_is_not(embedder: WordLlamaEmbedder) -> None:
    assert isinstance(embedder, CoversTexts)
    assert embedder.languages == {"en"}
    english = [*ABSTRACTS.values(), *QUESTIONS.values(), "ALL IN CAPITALS", "12:30", ""]
    assert min(embedder.coverage(english)) == 1.0
    others = [
        "Где находится библиотека, в которой читатели находят книги?",
        "日本語の文章は空白で区切られていません。",
        "Depo kapatıldığında her şeyi saklar ve bir belge aynı başvuruya sahip olanın yerini alır.",
        "המאגר שומר הכול כשהוא נסגר",
    ]
    assert max(embedder.coverage(others)) < POORLY_COVERED
    (mixed,) = embedder.coverage(["Метод search ищет документы, limit ограничивает число"])
    assert 0.1 < mixed < 0.5


def test_coverage_reads_no_weights() -> None:
    embedder = open_wordllama()
    embedder.coverage(["hello"])
    assert (embedder._rows, embedder._table) == (None, None)
