"""How a text is spelled in a column: PostgreSQL stores every character but U+0000.

Tested by tests/test_texts.py.
"""

from __future__ import annotations

from hashlib import blake2b

LONGEST_TERM = 300
"""Bytes of a term that the index stores; of a longer one it stores the beginning and a hash."""
LONGEST_SURFACE = 64
"""Characters of a word that the table of words stores; of a longer one it stores the beginning."""
INDEXED_VALUE = 32
"""Characters of a value of metadata that its index holds. A row of an index has at most 2,704
bytes, of which a tenant takes 2,000, a key 512, and each of these characters 4.
"""
INDEXED_TITLE = 150
"""Characters of the words of a title that their index holds; for the same reason."""
LAST = "\U0010ffff"
"""Sorts behind every character that a word may have."""


def encoded(text: str) -> str:
    """The text without U+0000. The order of texts by code point, and which is the beginning of
    which, stay the same: U+0000 and U+0001 become two characters, the first of which is U+0001.
    """
    if "\x01" in text or "\x00" in text:
        return text.replace("\x01", "\x01\x02").replace("\x00", "\x01\x01")
    return text


def legal(text: str) -> str:
    """The same of any text: a lone surrogate, which no column can hold, becomes a question mark."""
    return encoded(text.encode("utf-8", "replace").decode("utf-8"))


def decoded(text: str) -> str:
    """The text that `encoded` was given."""
    if "\x01" in text:
        return text.replace("\x01\x01", "\x00").replace("\x01\x02", "\x01")
    return text


def term_of(term: str) -> str:
    """The term as the index spells it; short enough for an index of PostgreSQL."""
    spelled = legal(term)
    data = spelled.encode("utf-8")
    if len(data) <= LONGEST_TERM:
        return spelled
    digest = blake2b(data, digest_size=16).hexdigest()
    return f"{data[:LONGEST_TERM].decode('utf-8', 'ignore')}\x01\x03{digest}"


def digest_of(*texts: str) -> bytes:
    """16 bytes that name these texts: the key of a row whose texts may be longer than an index
    allows.
    """
    named = "".join([f"{len(text)}:{text}" for text in texts])
    return blake2b(named.encode("utf-8"), digest_size=16).digest()
