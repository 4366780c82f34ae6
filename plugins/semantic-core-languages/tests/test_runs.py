"""Words and identifiers, whole and in parts."""

from __future__ import annotations

import pytest
from semantic_core_languages.characters import classes_of
from semantic_core_languages.runs import MOST_CHARS, RUN, cuts, pieces


def runs(text: str) -> list[str]:
    return [text[match.start() : match.end()] for match in RUN.finditer(classes_of(text))]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("one, two.three four.", ["one", "two.three", "four"]),
        ("C++ C# c+++d a+b -x- 'q' $y", ["C++", "C#", "c++", "d", "a+b", "x", "q", "y"]),
        ("<ann@example.com>; https://e.com/a/", ["ann@example.com", "https", "e.com/a"]),
        ("使用Python开发2024年", ["使用", "Python", "开发", "2024", "年"]),
        ("don't 'tis f\u00adoo e\u0301", ["don't", "tis", "f\u00adoo", "e\u0301"]),
        ("__init__ ____ #tag c##d", ["__init__", "____", "tag", "c#", "d"]),
        ("", []),
    ],
)
def test_runs_are_words_with_what_joins_them(text: str, wanted: list[str]) -> None:
    assert runs(text) == wanted


def read(run: str) -> list[tuple[object, ...]]:
    found: list[tuple[object, ...]] = []
    for piece in pieces(run):
        names = [run[start:end] for start, end in piece.names]
        parts = [run[start:end] for start, end in piece.parts]
        found.append((run[piece.start : piece.end], piece.is_word, names, parts))
    return found


@pytest.mark.parametrize(
    ("run", "wanted"),
    [
        ("word", [("word", True, [], [])]),
        ("full-text", [("full", True, [], []), ("text", True, [], [])]),
        ("node.js", [("node.js", False, [], ["node", "js"])]),
        ("snake_case", [("snake_case", False, [], ["snake", "case"])]),
        ("CamelCase", [("CamelCase", True, [], ["Camel", "Case"])]),
        ("HTTPServer", [("HTTPServer", True, [], ["HTTP", "Server"])]),
        ("IDs", [("IDs", True, [], [])]),
        ("__init__", [("init", True, [], [])]),
        ("____", []),
        ("U.S.A", [("U.S.A", True, [], [])]),
        ("3.11.2", [("3.11.2", False, ["3.11"], ["3", "11", "2"])]),
        ("C++", [("C++", False, [], ["C"])]),
        ("c++11", [("c++11", False, ["c++"], ["c", "11"])]),
        ("a@b.com", [("a@b.com", False, ["b.com"], ["a", "b", "com"])]),
        ("e.com/x/y", [("e.com/x/y", False, ["e.com", "e.com/x"], ["e", "com", "x", "y"])]),
        ("src/main.py", [("src", True, [], []), ("main.py", False, [], ["main", "py"])]),
    ],
)
def test_a_run_is_words_and_identifiers(run: str, wanted: list[tuple[object, ...]]) -> None:
    assert read(run) == wanted


def test_a_long_run_is_cut_and_nothing_is_lost() -> None:
    run = "abc" * 100
    places = list(cuts(10, 10 + len(run)))
    assert "".join(run[start - 10 : end - 10] for start, end in places) == run
    assert max(end - start for start, end in places) == MOST_CHARS
