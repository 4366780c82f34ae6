"""What people type into a search box: `parse_query` reads it, `TextConditions` are what it demands
of a document.

::

    loops "list comprehension"     the exact words, one after the other
    sear*                          a word that begins so
    -java  -"spring boot"          without this word, without these words
    title:python  author:"ann lee" a word in the title, or in the metadata field author
    cat OR dog                     one of both

Other words are not demanded: they rank what is found, as in a query without any syntax. Every text
is a query. What is no syntax is a word: a lone ``-`` or ``*``, a quote that is not closed,
``http://x``, ``12:30``.

Tested by tests/kernel/test_query_syntax.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import attrs

Syntax = Literal["plain", "query"]
SYNTAXES: tuple[Syntax, ...] = ("plain", "query")

TITLE = "title"
"""The field of a document's title."""
HEADINGS = "headings"
"""The field of the headings above a document's passages."""
TEXT = "text"
"""The field of a document's text."""
FIELDS = (TITLE, HEADINGS, TEXT)
"""Fields that every document has; any other is a metadata key."""
MOST_TERMS = 32
"""Most terms of one query that are read as syntax; what follows is words."""

_OPENING = '"“„”«'
_CLOSING = '"”“»'
"""Quotes, also those that a telephone makes of them."""
_OR = "OR"
_NOT = "-"
_ANY_END = "*"


@attrs.frozen
class TextTerm:
    """Words that stand one after the other somewhere in a document.

    text: the words. A store splits them as it splits queries; upper and lower case make no
    difference. prefix: the last one need only begin so. exact: the words are compared as they are
    written, not by their stems. field: where they have to stand: "title", "headings", "text" or a
    metadata key; "" for anywhere in title, headings and text.

    A number or bool in metadata is compared as it is written: 2020, true. A term without a word is
    in no document.
    """

    text: str
    prefix: bool = False
    exact: bool = False
    field: str = ""


@attrs.frozen
class TextConditions:
    """What the words of a document must be: of each group in `required` at least one term is in it,
    and no term of `excluded` is. Without conditions every document passes.
    """

    required: tuple[tuple[TextTerm, ...], ...] = ()
    excluded: tuple[TextTerm, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.required or self.excluded)

    def __and__(self, other: TextConditions) -> TextConditions:
        """The conditions of both, each once."""
        required = dict.fromkeys([*self.required, *other.required])
        excluded = dict.fromkeys([*self.excluded, *other.excluded])
        return TextConditions(tuple(required), tuple(excluded))

    def met(self, holds: Callable[[TextTerm], bool]) -> bool:
        """Whether a document meets them. holds: whether a term is in the document."""
        if any(map(holds, self.excluded)):
            return False
        return all(any(map(holds, group)) for group in self.required)

    @property
    def terms(self) -> tuple[TextTerm, ...]:
        """Every term of them once."""
        every = [term for group in self.required for term in group]
        return tuple(dict.fromkeys([*every, *self.excluded]))


NO_CONDITIONS = TextConditions()
"""Every document passes."""


@attrs.frozen
class ParsedQuery:
    """A query as it was understood.

    typed: as it was typed. words: what to rank by, without the signs of the syntax and without what
    is excluded; equal to `typed` if there is no syntax in it, "" if all of it is excluded. terms:
    the required words, phrases and prefixes, for marking them. conditions: what documents must
    meet.
    """

    typed: str
    words: str
    terms: tuple[TextTerm, ...] = ()
    conditions: TextConditions = NO_CONDITIONS


@attrs.frozen
class _TypedPart:
    """A piece of a query. plain: the piece as typed. term: what it means as syntax; None for plain
    words. operator: whether it is syntax already without OR.
    """

    plain: str
    term: TextTerm | None
    operator: bool = False
    excluded: bool = False


def parse_query(typed: str, *, syntax: Syntax = "query", fields: Sequence[str] = ()) -> ParsedQuery:
    """The query that a text stands for; any text is one.

    syntax: "plain" reads every character as a part of a word. fields: metadata keys that may stand
    before a colon; what stands before any other colon is a word.
    """
    if syntax == "plain":
        return ParsedQuery(typed, typed)
    pieces = list(_pieces(typed, (*FIELDS, *fields)))
    words: list[str] = []
    required: list[tuple[TextTerm, ...]] = []
    excluded: list[TextTerm] = []
    only_metadata: list[str] = []
    count = 0
    for group in _groups(pieces):
        terms = [piece.term for piece in group if piece.term is not None]
        is_syntax = len(group) > 1 or group[0].operator
        if not is_syntax or count + len(terms) > MOST_TERMS:
            words += [piece.plain for piece in group]
            continue
        count += len(terms)
        if group[0].excluded:
            excluded += terms
            continue
        required.append(tuple(terms))
        for term in terms:
            in_text = not term.field or term.field in FIELDS
            (words if in_text else only_metadata).append(term.text)
    if not required and not excluded:
        return ParsedQuery(typed, typed)
    conditions = TextConditions(tuple(dict.fromkeys(required)), tuple(dict.fromkeys(excluded)))
    marked = [term for group in conditions.required for term in group]
    return ParsedQuery(
        typed, " ".join(words or only_metadata), tuple(dict.fromkeys(marked)), conditions
    )


def _groups(pieces: Sequence[_TypedPart]) -> Iterator[list[_TypedPart]]:
    """The pieces, those between which an OR stands together, and the OR left out.

    An OR that has no term on both sides is a word.
    """
    place = 0
    while place < len(pieces):
        group = [pieces[place]]
        place += 1
        while (
            place + 1 < len(pieces)
            and pieces[place].plain == _OR
            and _may_be_one_of(group[-1])
            and _may_be_one_of(pieces[place + 1])
        ):
            group.append(pieces[place + 1])
            place += 2
        yield group


def _may_be_one_of(piece: _TypedPart) -> bool:
    return piece.term is not None and not piece.excluded and piece.plain != _OR


def _pieces(text: str, fields: Sequence[str]) -> Iterator[_TypedPart]:
    """The words and quotations of a text, in order."""
    place = 0
    while place < len(text):
        if text[place].isspace():
            place += 1
            continue
        quotation = _quotation(text, place, fields)
        if quotation is None:
            end = place
            while end < len(text) and not text[end].isspace():
                end += 1
            yield _word(text[place:end], fields)
        else:
            piece, end = quotation
            yield piece
        place = end


def _quotation(text: str, start: int, fields: Sequence[str]) -> tuple[_TypedPart, int] | None:
    """The quotation that begins here, with a sign or a field before it, and its end; None if there
    is none.
    """
    place = start
    excluded = text[place] == _NOT
    place += excluded
    field, place = _field(text, place, fields)
    if place >= len(text) or text[place] not in _OPENING:
        return None
    end = place + 1
    while end < len(text) and text[end] not in _CLOSING:
        end += 1
    quoted = text[place + 1 : end]
    if end >= len(text) or not _has_word(quoted):
        return None
    end += 1
    prefix = text[end : end + 1] == _ANY_END and quoted[-1].isalnum()
    end += prefix
    term = TextTerm(quoted.strip(), prefix=prefix, exact=True, field=field)
    return _TypedPart(text[start:end], term, operator=True, excluded=excluded), end


def _word(plain: str, fields: Sequence[str]) -> _TypedPart:
    """A word with the signs around it."""
    word = plain
    excluded = word.startswith(_NOT) and len(word) > 1
    if excluded:
        word = word[1:]
    field, start = _field(word, 0, fields)
    word = word[start:]
    prefix = word.endswith(_ANY_END) and word[-2:-1].isalnum()
    if prefix:
        word = word[:-1]
    is_term = _has_word(word)
    if (excluded or field or prefix) and not word[:1].isalnum():
        is_term = False  # --help, title:// and -*: no sign of ours stands before a word
    if not is_term:
        return _TypedPart(plain, None)
    operator = excluded or bool(field) or prefix
    return _TypedPart(plain, TextTerm(word, prefix=prefix, field=field), operator, excluded)


def _field(text: str, place: int, fields: Sequence[str]) -> tuple[str, int]:
    """The field that is named here, and where its value begins; "" if none is."""
    for field in sorted(fields, key=len, reverse=True):
        end = place + len(field)
        named = text[place:end]
        known = named == field or (field in FIELDS and named.lower() == field)
        if field and known and text[end : end + 1] == ":":
            return field, end + 1
    return "", place


def _has_word(text: str) -> bool:
    return any(char.isalnum() for char in text)
