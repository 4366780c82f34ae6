"""Hypothesis strategies for values of the contracts: texts, metadata, filters and documents.

Tested by tests/kernel/test_types.py and tests/kernel/test_filters.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from semantic_core.types import Document, Ref

ODD_TEXTS: tuple[str, ...] = (
    "",
    " \t\n",
    "\x00",
    "a\x00b",
    "line one\r\nline two\rline three\x0bfour\x0cfive\x85six\u2028seven",
    "naïve café Straße ΣΊΣΥΦΟΣ İstanbul",
    "e\u0301 is é, \u1100\u1161 is 가",
    "👩‍👩‍👧‍👦 family 🇩🇪 flag 🏳️‍🌈",
    "\u202eright to left\u202c עברית العربية",
    "\ufeffbyte order mark \u200b\u200d\u2060 zero width",
    "\U0010ffff\ue000\ufffe",
    "日本語の文章。漢字かな交じり文です。",
    "'; DROP TABLE chunk; -- \" \\ % _ * ` $x ?1 :a @b {}",
    "word " * 2_000,
)
"""Legal texts, all of them UTF-8, that often reveal errors."""

KEYS: tuple[str, ...] = ("lang", "year", "a.b", "$.x') OR 1=1 --", 'quo"te', "Ключ 🔑", "0", "[0]")
"""Metadata keys. Some of them look like syntax and must not be read as such."""

NUMBERS: tuple[int | float, ...] = (
    *(0, 1, -1, 2, 1.0, 0.5, 0.1, 0.30000000000000004, 0.3),
    *(2**53, 2**53 + 1, float(2**53), 2**63 - 1, -(2**63), float(2**63), 1e308, 5e-324),
)
"""Numbers that are easily ordered or compared wrongly after a conversion."""

STRINGS: tuple[str, ...] = (
    "",
    "en",
    "de",
    "EN",
    "1",
    "true",
    "1.0",
    "é",
    "e\u0301",
    "z",
    "\uffee",
    "😀",
    "a b",
    "o'b",
    "a\x00b",
    "%",
)
"""Strings that look like other types, or that other orders than by code point sort differently."""


def texts(*, max_size: int = 400) -> st.SearchStrategy[str]:
    """Any text that can be stored, with many from ODD_TEXTS. max_size: characters of the others."""
    return st.one_of(st.text(max_size=max_size), st.sampled_from(ODD_TEXTS))


def scalars() -> st.SearchStrategy[str | bool | int | float]:
    """A single metadata value."""
    return st.one_of(
        st.sampled_from(STRINGS),
        st.booleans(),
        st.sampled_from(NUMBERS),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=8),
    )


def metadata() -> st.SearchStrategy[dict[str, Any]]:
    """Metadata of a document: up to four keys with values of every type, empty lists included."""
    values = st.one_of(scalars(), st.lists(st.sampled_from(STRINGS), max_size=3))
    return st.dictionaries(st.sampled_from(KEYS), values, max_size=4)


def wheres() -> st.SearchStrategy[dict[str, Any]]:
    """A ``where`` filter with any operator, over the keys and values of `metadata`."""
    ordered = st.one_of(st.sampled_from(STRINGS), st.sampled_from(NUMBERS))
    several = st.lists(scalars(), max_size=3)
    operators: Mapping[str, st.SearchStrategy[Any]] = {
        "eq": scalars(),
        "ne": scalars(),
        "in": several,
        "not_in": several,
        **dict.fromkeys(("gt", "gte", "lt", "lte"), ordered),
        "exists": st.booleans(),
    }

    def condition(word: str) -> st.SearchStrategy[dict[str, Any]]:
        return st.fixed_dictionaries({word: operators[word]})

    one = st.sampled_from(sorted(operators)).flatmap(condition)
    within = st.fixed_dictionaries({"gte": ordered, "lt": ordered})
    return st.dictionaries(
        st.sampled_from(KEYS), st.one_of(scalars(), several, one, within), min_size=1, max_size=2
    )


def names() -> st.SearchStrategy[str]:
    """A key, collection or tenant, with many that look alike."""
    printable = st.characters(exclude_categories=["Cc", "Cs"])
    alike = st.sampled_from(["1", "01", "a", "A", "a/b", "é", "e\u0301", " a", "a#0"])
    return st.one_of(alike, st.text(printable, min_size=1, max_size=12))


def refs(*, tenants: st.SearchStrategy[str] | None = None) -> st.SearchStrategy[Ref]:
    """The address of a document. tenants: a strategy for its tenant; None for no tenant."""
    return st.builds(Ref, names(), names(), st.just("") if tenants is None else tenants)


def documents(
    *, ref: st.SearchStrategy[Ref] | None = None, media_type: str = "text/plain"
) -> st.SearchStrategy[Document]:
    """A document with any text, title, metadata and language. ref: a strategy for its address; None
    for any address.
    """
    return st.builds(
        Document,
        ref=refs() if ref is None else ref,
        text=texts(),
        title=texts(max_size=30),
        media_type=st.just(media_type),
        metadata=metadata(),
        language=st.sampled_from([None, "en", "pt-BR"]),
    )
