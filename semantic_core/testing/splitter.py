"""The contract of a splitter, as a list of checks.

Tested by tests/contracts/test_contract.py and tests/contracts/test_store_bites.py.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from string import punctuation
from typing import get_args

from hypothesis import given

from semantic_core.testing.check import Check, checks_of, examples, expect, fail, same
from semantic_core.testing.strategies import ODD_TEXTS, documents
from semantic_core.types import Chunk, ChunkId, Document, Kind, Ref

Split = Callable[[Document, int], Sequence[Chunk] | None]

LIMITS = (50, 200, 1_000)
"""Chunk sizes, in characters, with which each rule is checked."""
LONG_WORD = "abcdefghij" * 2_000


def _paragraphs() -> str:
    """Forty paragraphs of different length."""
    paragraphs: list[str] = []
    for number in range(40):
        sentence = f"Paragraph {number} says something about topic {number % 7}. "
        paragraphs.append(sentence * (number % 9 + 1))
    return "\n\n".join(paragraphs)


SAMPLES: tuple[str, ...] = (
    "One short sentence.",
    (
        "A first paragraph. It has two sentences.\n\n"
        "A second one, of one sentence!\n\n\n\nA third? Yes."
    ),
    "\n\n  Indented, after blank lines.  \n\n",
    _paragraphs(),
    "No full stop and no paragraph " * 200,
    "".join(f"line {number}\r\n" for number in range(300)),
    "Ünïcödé wörds, 日本語の文章。漢字かな交じり文。" * 40,
    "👩‍👩‍👧‍👦 e\u0301 🇩🇪 " * 200,
)


def splitter_checks(
    *,
    media_type: str = "text/plain",
    samples: Sequence[str] = (),
    foreign: str | None = "application/x-foreign",
    markers: str = "",
) -> list[Check]:
    """The rules that every splitter follows.

    Parametrize a test with them and call each with the splitter, ``split(document, max_chars)``::

        CHECKS = splitter_checks(media_type="text/x-rst", samples=MY_TEXTS)

        @pytest.mark.parametrize("check", CHECKS, ids=str)
        def test_splitter(check):
            check(my_plugin.semantic_split)

    media_type: of the documents it splits. samples: texts of that media type, in addition to the
    built-in ones. foreign: a media type for which the splitter returns None; None for a splitter
    that accepts every media type. markers: a regular expression (multi-line, dot matches line ends)
    of text that does not have to be in a chunk, such as front matter; "" for none.
    """
    pattern = re.compile(markers, re.M | re.S) if markers else None
    contract = _SplitterChecks(media_type, (*SAMPLES, *samples), foreign, pattern)
    rules = [
        contract.offsets_are_true,
        contract.chunks_are_numbered,
        contract.nothing_is_too_long,
        contract.nothing_is_lost,
        contract.the_same_text_is_cut_the_same,
        contract.blank_text_is_taken,
        contract.a_long_word_is_cut,
        contract.odd_texts_keep_the_rules,
        contract.any_text_keeps_the_rules,
    ]
    if foreign is not None:
        rules.append(contract.other_kinds_are_left_to_others)
    return checks_of(rules)


class _SplitterChecks:
    def __init__(
        self,
        media_type: str,
        samples: Sequence[str],
        foreign: str | None,
        markers: re.Pattern[str] | None,
    ) -> None:
        self._media_type = media_type
        self._samples = samples
        self._foreign = foreign
        self._markers = markers

    def offsets_are_true(self, split: Split) -> None:
        """``document.text[chunk.start:chunk.end] == chunk.text``, in characters. No chunk begins
        before the chunk in front of it.
        """
        for document in self._documents():
            for limit in LIMITS:
                _offsets(document, self._chunks(split, document, limit))

    def chunks_are_numbered(self, split: Split) -> None:
        """Chunks have the address of the document and are numbered from 0, in order. Their kind is
        a known one, their headings are strings, and none of them is blank.
        """
        for document in self._documents():
            for limit in LIMITS:
                _numbers(document, self._chunks(split, document, limit))

    def nothing_is_too_long(self, split: Split) -> None:
        """No chunk has more than max_chars characters."""
        for document in self._documents():
            for limit in LIMITS:
                _limits(self._chunks(split, document, limit), limit)

    def nothing_is_lost(self, split: Split) -> None:
        """Every character is in a chunk or in its headings, except for white space, ASCII
        punctuation and the markers.
        """
        for document in self._documents():
            for limit in LIMITS:
                self._coverage(document, self._chunks(split, document, limit))

    def the_same_text_is_cut_the_same(self, split: Split) -> None:
        """The same document and limit give the same chunks. One short sentence is one chunk."""
        for document in self._documents():
            for limit in LIMITS:
                first = self._chunks(split, document, limit)
                again = self._chunks(split, document, limit)
                same(again, first, f"chunks of the same document again, limit {limit}")
        chunks = self._chunks(split, self._document(SAMPLES[0]), 200)
        texts = [chunk.text for chunk in chunks]
        same(texts, [SAMPLES[0]], "chunks of a short sentence")

    def blank_text_is_taken(self, split: Split) -> None:
        """An empty or blank text of its media type gives no chunk or a blank one, but not None."""
        for text in ("", " ", "\n", "\r\n\t \n" * 100):
            document = self._document(text)
            chunks = self._chunks(split, document, LIMITS[0])
            _offsets(document, chunks)
            _limits(chunks, LIMITS[0])
            size = len(chunks)
            expect(size <= 1, f"{text[:20]!r}: expected at most one chunk, found {size}.")

    def a_long_word_is_cut(self, split: Split) -> None:
        """A word of 20,000 characters, alone and between others, is cut: no chunk is too long, and
        nothing is lost.
        """
        for text in (LONG_WORD, f"before {LONG_WORD} after", f"before\n\n{LONG_WORD}\n\nafter."):
            for limit in LIMITS:
                self._all_rules(split, self._document(text), limit)

    def odd_texts_keep_the_rules(self, split: Split) -> None:
        """All rules hold for texts with the line ends of every system, NUL, emoji, combining marks
        and right-to-left scripts.
        """
        for text in ODD_TEXTS:
            for limit in (*LIMITS, 10):
                self._all_rules(split, self._document(text), limit)

    def any_text_keeps_the_rules(self, split: Split) -> None:
        """All rules hold for any text."""

        @examples(60)
        @given(documents(media_type=self._media_type))
        def hold(document: Document) -> None:
            for limit in (20, 50):
                self._all_rules(split, document, limit)

        hold()

    def other_kinds_are_left_to_others(self, split: Split) -> None:
        """A document of another media type gives None."""
        document = Document(Ref("kit", "foreign"), SAMPLES[1], media_type=str(self._foreign))
        same(split(document, LIMITS[1]), None, f"chunks of a document of type {self._foreign}")

    def _document(self, text: str) -> Document:
        return Document(Ref("kit", "document"), text, media_type=self._media_type)

    def _documents(self) -> list[Document]:
        return [self._document(text) for text in self._samples]

    def _chunks(self, split: Split, document: Document, limit: int) -> list[Chunk]:
        chunks = split(document, limit)
        if chunks is None:
            fail(f"A document of type {document.media_type}: expected chunks, found None.")
        return list(chunks)

    def _all_rules(self, split: Split, document: Document, limit: int) -> None:
        chunks = self._chunks(split, document, limit)
        _offsets(document, chunks)
        _numbers(document, chunks)
        _limits(chunks, limit)
        self._coverage(document, chunks)

    def _coverage(self, document: Document, chunks: Sequence[Chunk]) -> None:
        """Fail unless every word of the document is in a chunk, in what it says beside its text, or
        in a marker.
        """
        text = document.text
        covered = bytearray(len(text))
        beside: list[str] = []
        for chunk in chunks:
            covered[chunk.start : chunk.end] = b"\1" * (chunk.end - chunk.start)
            beside += [*chunk.headings, *map(str, chunk.metadata.values())]
        for marker in self._markers.finditer(text) if self._markers else ():
            covered[marker.start() : marker.end()] = b"\1" * (marker.end() - marker.start())
        left: list[str] = []
        for place, char in enumerate(text):
            left.append(" " if covered[place] or not _matters(char) else char)
        known = " ".join(beside)
        lost = [word for word in "".join(left).split() if word not in known]
        expect(
            not lost,
            f"Expected every word in a chunk, found {len(lost)} that are in none: {lost[:5]} "
            f"of {text[:60]!r}.",
        )


def _matters(char: str) -> bool:
    """Whether a character has to be in a chunk."""
    if char.isspace() or char in punctuation:
        return False
    return unicodedata.category(char) not in ("Cc", "Cf", "Zl", "Zp")


def _offsets(document: Document, chunks: Sequence[Chunk]) -> None:
    before = 0
    for chunk in chunks:
        size = len(document.text)
        where = f"{chunk.start}..{chunk.end}"
        expect(
            0 <= chunk.start <= chunk.end <= size,
            f"{chunk.id}: expected offsets within 0..{size}, found {where}.",
        )
        text = document.text[chunk.start : chunk.end]
        same(chunk.text, text, f"{chunk.id}: its text at {where}")
        expect(
            chunk.start >= before,
            f"{chunk.id}: expected a start of {before} or more, as the chunk in front of it, "
            f"found {chunk.start}.",
        )
        before = chunk.start


def _numbers(document: Document, chunks: Sequence[Chunk]) -> None:
    kinds = get_args(Kind)
    for number, chunk in enumerate(chunks):
        same(chunk.id, ChunkId(document.ref, number), f"id of the chunk {number}")
        expect(chunk.text.strip() or not document.text.strip(), f"{chunk.id} is blank.")
        expect(
            chunk.kind in kinds,
            f"{chunk.id}: expected one of {kinds} as kind, found {chunk.kind!r}.",
        )
        headings = chunk.headings
        wrong = f"{chunk.id}: expected a tuple of str as headings, found {headings!r}."
        expect(isinstance(headings, tuple), wrong)
        for heading in headings:
            expect(isinstance(heading, str), wrong)


def _limits(chunks: Sequence[Chunk], limit: int) -> None:
    for chunk in chunks:
        size = len(chunk.text)
        expect(
            size <= limit,
            f"{chunk.id}: expected at most {limit} characters, found {size}.",
        )
