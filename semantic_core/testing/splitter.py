"""The contract of a splitter, as a list of checks."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from string import punctuation
from typing import get_args

from hypothesis import given

from semantic_core.testing.check import Check, examples, expect, same
from semantic_core.testing.strategies import ODD_TEXTS, documents
from semantic_core.types import Chunk, ChunkId, Document, Kind, Ref

Split = Callable[[Document, int], Sequence[Chunk] | None]

LIMITS = (50, 200, 1_000)
"""Chunk sizes, in characters, each rule is checked at."""
LONG_WORD = "abcdefghij" * 2_000

SAMPLES: tuple[str, ...] = (
    "One short sentence.",
    (
        "A first paragraph. It has two sentences.\n\n"
        "A second one, of one sentence!\n\n\n\nA third? Yes."
    ),
    "\n\n  Indented, after blank lines.  \n\n",
    "\n\n".join(
        f"Paragraph {number} says something about topic {number % 7}. " * (number % 9 + 1)
        for number in range(40)
    ),
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
    """The rules every splitter keeps.

    Give each to pytest, with the splitter: ``split(document, max_chars)``::

        CHECKS = splitter_checks(media_type="text/x-rst", samples=MY_TEXTS)

        @pytest.mark.parametrize("check", CHECKS, ids=str)
        def test_splitter(check):
            check(my_plugin.semantic_split)

    media_type: of the documents it splits. samples: texts of that kind, beside the built-in ones,
    which are any text.
    foreign: a media type that is not its kind, for which it returns None; None for a splitter that
    takes everything.
    markers: a regular expression (multi-line, dot matches line ends) of what may be in no chunk,
    such as a front matter.
    """
    contract = _SplitterChecks(
        media_type,
        (*SAMPLES, *samples),
        foreign,
        re.compile(markers, re.M | re.S) if markers else None,
    )
    rules = [
        contract.offsets_are_true,
        contract.chunks_are_numbered,
        contract.nothing_is_too_long,
        contract.nothing_is_lost,
    ]
    rules += [
        contract.the_same_text_is_cut_the_same,
        contract.blank_text_is_taken,
        contract.a_long_word_is_cut,
    ]
    rules += [contract.odd_texts_keep_the_rules, contract.any_text_keeps_the_rules]
    return [
        Check(rule)
        for rule in (
            rules if foreign is None else [*rules, contract.other_kinds_are_left_to_others]
        )
    ]


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
        """``document.text[chunk.start:chunk.end] == chunk.text``, in characters;
        chunks follow each other.
        """
        for document in self._documents():
            for limit in LIMITS:
                _offsets(document, self._chunks(split, document, limit))

    def chunks_are_numbered(self, split: Split) -> None:
        """Chunks are of the document, numbered from 0 in order, of a known kind, none blank;
        headings are texts.
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
        """Every character but white space, ASCII punctuation and the markers allowed is in a chunk,
        or in its headings.
        """
        for document in self._documents():
            for limit in LIMITS:
                self._coverage(document, self._chunks(split, document, limit))

    def the_same_text_is_cut_the_same(self, split: Split) -> None:
        """Twice the same document and limit, twice the same chunks;
        one short sentence is one chunk.
        """
        for document in self._documents():
            for limit in LIMITS:
                same(
                    self._chunks(split, document, limit),
                    self._chunks(split, document, limit),
                    "the same document again",
                )
        (chunk,) = self._chunks(split, self._document(SAMPLES[0]), 200)
        same(chunk.text, SAMPLES[0], "a short sentence")

    def blank_text_is_taken(self, split: Split) -> None:
        """An empty or blank text of its kind gives no chunk, or a blank one, but not None:
        the document is its own.
        """
        for text in ("", " ", "\n", "\r\n\t \n" * 100):
            document = self._document(text)
            chunks = self._chunks(split, document, LIMITS[0])
            _offsets(document, chunks)
            _limits(chunks, LIMITS[0])
            expect(
                len(chunks) <= 1, f"{text[:20]!r}: expected at most one chunk, found {len(chunks)}."
            )

    def a_long_word_is_cut(self, split: Split) -> None:
        """One word of 20,000 characters, alone and between others,
        is cut so that nothing is too long and nothing lost.
        """
        for text in (LONG_WORD, f"before {LONG_WORD} after", f"before\n\n{LONG_WORD}\n\nafter."):
            for limit in LIMITS:
                self._all_rules(split, self._document(text), limit)

    def odd_texts_keep_the_rules(self, split: Split) -> None:
        """Line ends of every system, NUL, emoji, combining marks, right to left: all rules hold."""
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
        same(split(document, LIMITS[1]), None, f"a document of {self._foreign}")

    def _document(self, text: str) -> Document:
        return Document(Ref("kit", "document"), text, media_type=self._media_type)

    def _documents(self) -> list[Document]:
        return [self._document(text) for text in self._samples]

    def _chunks(self, split: Split, document: Document, limit: int) -> list[Chunk]:
        chunks = split(document, limit)
        if chunks is None:
            raise AssertionError(
                f"A document of its own kind, {document.media_type}: expected chunks, found None."
            )
        return list(chunks)

    def _all_rules(self, split: Split, document: Document, limit: int) -> None:
        chunks = self._chunks(split, document, limit)
        _offsets(document, chunks)
        _numbers(document, chunks)
        _limits(chunks, limit)
        self._coverage(document, chunks)

    def _coverage(self, document: Document, chunks: Sequence[Chunk]) -> None:
        text = document.text
        covered = bytearray(len(text))
        for chunk in chunks:
            covered[chunk.start : chunk.end] = b"\1" * (chunk.end - chunk.start)
        for marker in self._markers.finditer(text) if self._markers else ():
            covered[marker.start() : marker.end()] = b"\1" * (marker.end() - marker.start())
        beside = " ".join(
            part
            for chunk in chunks
            for part in (*chunk.headings, *map(str, chunk.metadata.values()))
        )
        lost = "".join(
            " " if covered[place] or not _matters(char) else char for place, char in enumerate(text)
        ).split()
        lost = [word for word in lost if word not in beside]
        expect(not lost, f"{len(lost)} words are in no chunk: {lost[:5]} of {text[:60]!r}.")


def _matters(char: str) -> bool:
    return (
        not char.isspace()
        and char not in punctuation
        and unicodedata.category(char) not in ("Cc", "Cf", "Zl", "Zp")
    )


def _offsets(document: Document, chunks: Sequence[Chunk]) -> None:
    before = 0
    for chunk in chunks:
        expect(
            0 <= chunk.start <= chunk.end <= len(document.text),
            f"{chunk.id}: {chunk.start}..{chunk.end} is not in the text.",
        )
        same(
            chunk.text,
            document.text[chunk.start : chunk.end],
            f"{chunk.id}: its text at {chunk.start}..{chunk.end}",
        )
        expect(
            chunk.start >= before,
            f"{chunk.id}: begins at {chunk.start}, before the one in front of it.",
        )
        before = chunk.start


def _numbers(document: Document, chunks: Sequence[Chunk]) -> None:
    same(
        [chunk.id for chunk in chunks],
        [ChunkId(document.ref, number) for number in range(len(chunks))],
        "ids",
    )
    for chunk in chunks:
        expect(chunk.text.strip() or not document.text.strip(), f"{chunk.id} is blank.")
        expect(
            chunk.kind in get_args(Kind),
            f"{chunk.id}: expected one of {get_args(Kind)} as kind, found {chunk.kind!r}.",
        )
        of_text = isinstance(chunk.headings, tuple) and all(
            isinstance(heading, str) for heading in chunk.headings
        )
        expect(
            of_text, f"{chunk.id}: expected a tuple of str as headings, found {chunk.headings!r}."
        )


def _limits(chunks: Sequence[Chunk], limit: int) -> None:
    for chunk in chunks:
        expect(
            len(chunk.text) <= limit,
            f"{chunk.id} has {len(chunk.text)} characters, the most is {limit}.",
        )
