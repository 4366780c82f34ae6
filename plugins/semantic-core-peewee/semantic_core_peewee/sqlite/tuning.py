"""`Tuning`: the numbers that decide which way a search goes and what stays in memory.

None of them changes an answer, only its cost; the one exception is said where it stands. They are
no settings: the defaults were measured, and tests use other ones to walk every way with few
documents.

Tested by tests/sqlite/test_contract_variants.py and tests/sqlite/test_word_search.py.
"""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class Tuning:
    """How a store searches and what it remembers. Sizes are counts unless a unit is given."""

    # Vector index.

    segment: int = 256
    """Slots of a segment in the file: few enough that a process reads little after a small write,
    many enough to load millions. Every process that opens a file must use the same number.
    """
    block: int = 256 * 256
    """Slots of a block in memory; a multiple of `segment`. Memory is allocated in pieces of this
    size and nothing is copied to grow. Fewer and larger pieces are scanned faster, and the system
    gives no memory for the part of a block that was never written.
    """
    few_dead: int = 16_384
    """Dead slots that are never worth moving the others together."""
    few_chunks: int = 1_000
    """Chunks a scope may have to be scored in SQL while no quantized vectors are in memory."""
    vector_memory: int | None = None
    """Bytes of quantized vectors a store may hold in memory; above, every search reads them from
    the file. None is half of what the machine has.
    """

    # Scopes.

    few_documents: int = 1_000
    """Documents of a scope that are listed instead of being checked one by one, in any store."""
    selective: float = 0.02
    """Part of the chunks up to which the documents of a scope are listed in a larger store."""
    list_scope_after: int = 4
    """Times a scope is asked for in one state before its chunks are listed, which takes a few times
    as long as a search.
    """
    most_ids: int = 50_000
    """Ids of chunks a store remembers: about 300 bytes each."""

    # Full-text search.

    few_passages: int = 10_000
    """Passages up to which no word is too common to be looked for."""
    most_equal: int = 1_000
    """Passages of one score that are put in the order of their ids. If there are more, they are
    ordered in blocks of this size, those written first before the others: to order them all, all
    their ids would have to be read. This one does change answers.
    """
    most_titles: int = 2_000
    """Documents in scope whose titles are compared with a query: the first that were written. This
    one changes answers, too.
    """
    spare_rows: int = 16
    """Rows asked for beyond the limit, to see whether the last score is shared."""
    scope_factor: int = 3
    """How many times more rows are asked for, first, where the best are checked for their scope."""
    checked_share: float = 0.1
    """Part of all passages up to which the best are checked one by one for being in scope."""

    # Posting lists in memory.

    lists_after: float = 1 / 4
    """Part of all passages that searches must have read through FTS5 before the lengths of all are
    read into memory, which takes about as long. 0 is at once, infinity never.
    """
    list_bytes_per_passage: int = 48
    """Bytes of memory for posting lists. Together with vectors of 256 numbers, that is 1.3 bytes a
    number.
    """
    least_list_bytes: int = 16 * 1024**2
    """Bytes of memory for posting lists in a small store."""
    most_new_passages: int = 128
    """New passages that are added to the lists word by word. After more of them, lists are read
    again when they are asked for.
    """
    table_size: int = 1_000_000
    """Highest number of a chunk up to which scores are always summed in a table of all numbers."""
    table_gap: int = 64
    """Numbers per chunk found, beyond `table_size`, up to which that table is the fastest way."""

    # Opening.

    least_wait: float = 10.0
    """Seconds to wait, at least, for another process that creates or migrates the file; that takes
    milliseconds.
    """


DEFAULT = Tuning()
