"""How much an assistant may ask for, and how much it gets.

An answer becomes part of a conversation, where every character costs and pushes another one out.

Tested by tests/test_limits.py.
"""

from __future__ import annotations

import attrs

MOST_QUERY = 1_000
"""Longest query, in characters."""
MOST_NAME = 500
"""Longest name of a collection, and longest key, in characters; the kernel's own limit."""
MOST_URI = 13_000
"""Longest URI that is read, in characters: the longest names there are, every byte escaped."""
MOST_NEIGHBOURS = 5
"""Most passages before and after one."""
MOST_POSITION = 1_000_000
"""Largest number of a passage that is asked for."""
MOST_START = 1_000_000_000
"""Largest place in a text that is asked for, in characters."""
REACH = 200
"""How deep a search can be paged, in hits. Who needs more needs a better query."""
MOST_COLLECTIONS = 200
"""Most collections that are listed."""
PAGE = 50
"""Documents on a page of resources."""
MOST_OFFSET = 1_000_000
"""Last document that is listed as a resource."""
MOST_TITLE = 200
"""Longest title, and longest path of headings, in characters."""
MOST_VALUE = 200
"""Longest value of metadata, in characters."""
MOST_CONDITIONS = 10
"""Most keys of a ``where``."""
MOST_WHERE = 4_000
"""Longest ``where``, in characters of JSON."""

LEAST_CHARS = 1_000
"""Smallest answer that an operator can set, in characters: a hit has to fit."""


@attrs.frozen
class Limits:
    """What an operator can set.

    hits: most hits of a search. hit_chars: most characters of a passage in a list. answer_chars:
    most characters of an answer.
    """

    hits: int = 20
    hit_chars: int = 2_000
    answer_chars: int = 20_000
