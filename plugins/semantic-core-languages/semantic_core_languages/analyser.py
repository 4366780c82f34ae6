"""`LanguagesAnalyser`: the terms of texts in many languages.

Tested by tests/test_analyser.py, tests/test_found.py and tests/test_bulk.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from semantic_core.types import Token
from semantic_core_languages.characters import classes_of, lowered, plain
from semantic_core_languages.detection import MOST_WORDS, Detector
from semantic_core_languages.runs import MOST_CHARS, RUN, RunPiece, cuts, pieces
from semantic_core_languages.stems import (
    LATIN,
    Choice,
    checked_languages,
    language_code,
    library_version,
    script_of_language,
    stems_of,
    word_terms,
)

if TYPE_CHECKING:
    from semantic_core.protocols import AnalysedTexts
    from semantic_core_languages.bulk import Bulk

VERSION = 1
"""Grows with every change of the terms of a text."""
DEFAULT = "en"
"""The language of Latin words where nothing else is known."""
MOST_REMEMBERED = 100_000
"""Runs whose terms are remembered, of single texts."""
FEWEST_CHARS = 4_000
"""Fewer characters are analysed one text after the other, which is faster then."""


class RunTerm(NamedTuple):
    """A term of a run. start, end: in the run. step: the number of its word in the run."""

    term: str
    start: int
    end: int
    step: int


class LanguagesAnalyser:
    """Terms are stems of words, by the language of a text, in one spelling; parts of identifiers
    and the identifiers themselves; and pairs of characters in scripts without spaces.

    languages: ISO 639 codes of the languages that texts and queries are in; () if they are not
    known: then the language of a text is detected. A word in a query has a term for each of them.
    Raises ConfigError for a language that is unknown. Analysers with the same languages, in the
    same order, and the same version of Snowball have the same identity.
    """

    def __init__(self, languages: Sequence[str] = ()) -> None:
        self.languages = checked_languages(languages)
        latin = [code for code in self.languages if script_of_language(code) == LATIN]
        self._asked = tuple(latin) or (DEFAULT,)
        others: dict[str, list[str]] = {}
        for code in self.languages:
            script = script_of_language(code)
            if script not in ("", LATIN):
                others.setdefault(script, []).append(code)
        self._others = {script: tuple(codes) for script, codes in others.items()}
        self.detector: Detector | None = None
        if not self.languages or len(latin) > 1:
            self.detector = Detector.among(latin)
        self._choices: dict[str | None, Choice] = {}
        self._terms: dict[tuple[str, Choice], tuple[RunTerm, ...]] = {}
        self._points: dict[str, tuple[int, ...]] = {}

    @cached_property
    def identity(self) -> str:
        """See `Analyser`."""
        languages = f"languages={','.join(self.languages)}" if self.languages else "detected"
        return f"languages-{VERSION} {languages} snowball-{library_version()}"

    def tokens(self, text: str, language: str | None = None) -> Sequence[Token]:
        """See `Analyser.tokens`. A language that is not known is detected, among those that the
        analyser is set to.
        """
        runs = _runs(text)
        choice = self.choice(language)
        if choice is None:
            choice = self.choice(self._detected(runs) or self.default)
        assert choice is not None  # noqa: S101 - a language was given
        tokens: list[Token] = []
        position = 0
        for run, start, kind in runs:
            if kind != "w":
                for place, end in _spaceless(kind, len(run), both=True):
                    term = plain(lowered(run[place:end]))
                    if term:
                        tokens.append(Token(term, start + place, start + end, position + place))
                position += len(run)
                continue
            steps = 0
            for term, first, last, step in self._run_terms(run, choice):
                tokens.append(Token(term, start + first, start + last, position + step))
                steps = step + 1
            position += steps
        return tokens

    def query_tokens(self, text: str, language: str | None = None) -> Sequence[Token]:
        """See `Analyser.query_tokens`.

        A word has its stem in each language that the analyser is set to as alternatives; if it is
        set to none, in English and in the detected language; and the word itself. An identifier is
        looked for as a whole.
        """
        runs = _runs(text)
        code = language_code(language) if language else ""
        latin = list(self._asked)
        if code and script_of_language(code) == LATIN:
            latin = [code]
        elif not self.languages:
            found = self._detected(runs)
            if found:
                latin = list(dict.fromkeys([found, *latin]))
        choice = Choice(tuple(latin), self._other_languages(code), literal=True)
        tokens: list[Token] = []
        position = 0
        for run, start, kind in runs:
            if kind != "w":
                for place, end in _spaceless(kind, len(run), both=False):
                    term = plain(lowered(run[place:end]))
                    if term:
                        tokens.append(Token(term, start + place, start + end, position + place))
                position += len(run)
                continue
            for piece in pieces(run):
                word = run[piece.start : piece.end]
                if piece.is_word:
                    terms = word_terms(word.replace(".", ""), choice)
                else:
                    terms = (plain(lowered(word)),)
                for term in terms:
                    if term:
                        tokens.append(Token(term, start + piece.start, start + piece.end, position))
                position += any(terms)
        return tokens

    def analyse(self, texts: Sequence[str], languages: Sequence[str | None]) -> AnalysedTexts:
        """See `BulkAnalyser.analyse`."""
        return self._bulk.analyse(texts, languages)

    @cached_property
    def _bulk(self) -> Bulk:
        from semantic_core_languages.bulk import Bulk

        return Bulk(self)

    @property
    def default(self) -> str:
        """The language of Latin words where nothing is known."""
        return self._asked[0]

    def stems(self, words: Sequence[str], choice: Choice) -> list[str] | None:
        """The stem of each of these words of a-z and digits in lower case; None if it takes more
        than a stemmer.
        """
        if choice.latin[0] == "tr":
            return None
        stems = stems_of(words, choice.latin[0])
        return [plain(stem) or word for stem, word in zip(stems, words, strict=True)]

    def terms_of(self, run: str, choice: Choice) -> Sequence[RunTerm]:
        """The terms of a run of words, or of a character or a pair of a script without spaces."""
        kind = classes_of(run[0])
        if kind == "w":
            return run_terms(run, choice)
        term = plain(lowered(run))
        return (RunTerm(term, 0, len(run), 0),) if term else ()

    def choice(self, language: str | None) -> Choice | None:
        """The languages of a text's words. language: that of the text; None if it is not known.
        Returns None if it is to be detected.
        """
        if language in self._choices:
            return self._choices[language]
        code = language_code(language) if language else ""
        if not code and self.detector is not None and not language:
            return None
        latin = self._asked[0]
        unknown = bool(language) and not code
        if code and script_of_language(code) == LATIN:
            latin = code
        others = self._other_languages(code)
        literal = latin not in self._asked or unknown
        choice = Choice((latin,), tuple((script, codes[:1]) for script, codes in others), literal)
        if len(self._choices) < MOST_REMEMBERED:
            self._choices[language] = choice
        return choice

    def _other_languages(self, code: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """The languages of other scripts, by script. code: of the text, "" if it is not known."""
        others = dict(self._others)
        script = script_of_language(code)
        if script not in ("", LATIN):
            others[script] = (code,)
        return tuple(others.items())

    def _detected(self, runs: Sequence[tuple[str, int, str]]) -> str | None:
        """The language of a text with these runs; None if nothing is known of it."""
        if self.detector is None:
            return None
        sums = [0] * len(self.detector.languages)
        read = 0
        for run, _, kind in runs:
            if read >= MOST_WORDS:
                break
            if kind != "w":
                read += len(_spaceless(kind, len(run), both=True))
                continue
            read += 1
            points = self._points.get(run)
            if points is None:
                if len(self._points) >= MOST_REMEMBERED:
                    self._points = {}
                points = self.detector.points(run)
                self._points[run] = points
            if any(points):
                sums = [one + more for one, more in zip(sums, points, strict=True)]
        place = self.detector.language(sums)
        return None if place is None else self.detector.languages[place]

    def _run_terms(self, run: str, choice: Choice) -> tuple[RunTerm, ...]:
        key = (run, choice)
        terms = self._terms.get(key)
        if terms is None:
            if len(self._terms) >= MOST_REMEMBERED:
                self._terms = {}
            terms = run_terms(run, choice)
            self._terms[key] = terms
        return terms


def _runs(text: str) -> list[tuple[str, int, str]]:
    """The runs of a text: (run, start, "w"), or its classes in place of "w" for one of a script
    without spaces.
    """
    spelled = classes_of(text)
    runs = []
    for match in RUN.finditer(spelled):
        start, end = match.span()
        if spelled[start] != "w":
            runs.append((text[start:end], start, match.group()))
        elif end - start <= MOST_CHARS:
            runs.append((text[start:end], start, "w"))
        else:
            for first, last in cuts(start, end):
                runs.append((text[first:last], first, "w"))
    return runs


def _spaceless(kind: str, length: int, *, both: bool) -> list[tuple[int, int]]:
    """The terms of a run without spaces: every pair of characters, and a character that is alone.

    kind: the classes of its characters. both: an ideograph is a term also where a pair begins with
    it, as in a document.
    """
    if length == 1:
        return [(0, 1)]
    places = []
    for place in range(length):
        if both and kind[place] == "i":
            places.append((place, place + 1))
        if place + 1 < length:
            places.append((place, place + 2))
    return places


def run_terms(run: str, choice: Choice) -> tuple[RunTerm, ...]:
    """The terms of a run of words in a document."""
    terms: list[RunTerm] = []
    step = 0
    for piece in pieces(run):
        seen: set[str] = set()
        for term, start, end in _piece_terms(run, piece, choice):
            if term and term not in seen:
                seen.add(term)
                terms.append(RunTerm(term, start, end, step))
        step += bool(seen)
    return tuple(terms)


def _piece_terms(run: str, piece: RunPiece, choice: Choice) -> list[tuple[str, int, int]]:
    start, end, is_word, names, parts = piece
    word = run[start:end]
    terms = []
    if is_word:
        for term in word_terms(word.replace(".", ""), choice):
            terms.append((term, start, end))
    else:
        terms.append((plain(lowered(word)), start, end))
    for first, last in names:
        terms.append((plain(lowered(run[first:last])), first, last))
    for first, last in parts:
        for term in word_terms(run[first:last], choice):
            terms.append((term, first, last))
    return terms
