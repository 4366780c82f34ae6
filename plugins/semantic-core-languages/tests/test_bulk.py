"""Many texts at once have the terms of each: also where hashes are equal, the memory is full, and
several threads or processes take part.
"""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from semantic_core_languages import LanguagesAnalyser, bulk
from semantic_core_languages.bulk import Spellings, find_runs

from semantic_core.analysis import folded
from semantic_core.types import Word

TEXTS = [
    "The gardener waters the gardens; der Gärtner gießt die Gärten und das Haus.",
    "Поиск документов в Python и Node.js, версия 3.11.2",
    "東京タワー ภาษาไทย x" + "y" * 150,
    "",
    "\ud800 C++ a+b c+++d c##d e#f a..b _ __x__ 'q' l'homme",
]
LETTERS = "abAB éü9_ .-+#@/'&\u0301йЁ一ほก\ud800\u00ad\n"


def words_of(analyser: LanguagesAnalyser, text: str, language: str | None) -> list[Word]:
    tokens = analyser.tokens(text, language)
    return [Word(folded(text[one.start : one.end]), one.term) for one in tokens]


def check(
    analyser: LanguagesAnalyser, texts: Sequence[str], languages: Sequence[str | None]
) -> None:
    found = analyser.analyse(texts, languages)
    behind = 0
    for text, language, count in zip(texts, languages, found.counts.tolist(), strict=True):
        numbers = found.terms[behind : behind + count]
        words = [found.vocabulary[number] for number in numbers]
        assert words == words_of(analyser, text, language), (text, language)
        behind += count
    assert behind == len(found.terms)
    assert len(set(found.vocabulary)) == len(found.vocabulary)
    assert set(range(len(found.vocabulary))) == set(found.terms.tolist())


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        st.tuples(st.text(LETTERS, max_size=40), st.sampled_from([None, "de", "tr", "zh", "xx"])),
        max_size=6,
    )
)
def test_random_texts_have_the_terms_of_each(given_texts: list[tuple[str, str | None]]) -> None:
    texts = [text for text, _ in given_texts]
    languages = [language for _, language in given_texts]
    for analyser in (DETECTING, GERMAN):
        check(analyser, texts, languages)


DETECTING = LanguagesAnalyser()
GERMAN = LanguagesAnalyser(["de", "en"])


def test_runs_with_equal_hashes_are_not_mixed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    # With the base 1 the hash of a word is the sum of its letters, so anagrams have the same.
    monkeypatch.setattr(bulk, "Spellings", lambda: Spellings(1))
    analyser = LanguagesAnalyser(["en"])
    for _ in range(2):
        check(analyser, ["listen silent enlist", "tinsel", "plain words"], [None] * 3)


def test_a_hash_that_meets_another_spelling_is_noticed() -> None:
    spellings = Spellings(1)

    def numbers(text: str) -> object:
        codes = np.array([ord(letter) for letter in text + "\n"], dtype=np.int64)
        return spellings.numbers(codes, find_runs(codes))

    assert isinstance(numbers("listen"), np.ndarray)
    assert numbers("silent") is None


def test_a_full_memory_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "MOST_RUNS", 20)
    analyser = LanguagesAnalyser()
    for number in range(8):
        texts = [*TEXTS, f"{' '.join(f'word{number}x{each}' for each in range(9))}"]
        check(analyser, texts, [None] * len(texts))
        assert len(analyser._bulk._memory.spellings.runs) < 120


def test_long_texts_are_read_in_several_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "ROUND_CHARS", 100)
    check(LanguagesAnalyser(), TEXTS * 3, [None, "de", "ru", "en", "fr"] * 3)


def test_several_threads_get_the_same() -> None:
    analyser = LanguagesAnalyser()
    wanted = [words_of(analyser, text, None) for text in TEXTS]
    failures: list[object] = []

    def work(number: int) -> None:
        for turn in range(20):
            texts = [*TEXTS, f"own{number} word{turn}"]
            found = analyser.analyse(texts, [None] * len(texts))
            words = [found.vocabulary[number] for number in found.terms]
            if words[: sum(map(len, wanted))] != [word for text in wanted for word in text]:
                failures.append(words)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def _count(analyser: LanguagesAnalyser, answer: object) -> None:
    answer.put(len(analyser.analyse(TEXTS, [None] * len(TEXTS)).terms))  # type: ignore[attr-defined]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_does_not_wait_for_a_thread_that_is_not_there() -> None:
    analyser = LanguagesAnalyser()
    wanted = len(analyser.analyse(TEXTS, [None] * len(TEXTS)).terms)
    context = multiprocessing.get_context("fork")
    answer = context.Queue()
    with analyser._bulk._turn:  # as if another thread was in the middle of a call
        process = context.Process(target=_count, args=(analyser, answer))
        process.start()
        assert answer.get(timeout=30) == wanted
        process.join()
