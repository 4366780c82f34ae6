"""`Tuning`: the numbers that decide which way a search goes and what stays in memory.

None of them changes an answer, only its cost; the one exception is said where it stands. They are
no settings: the defaults were measured, and tests use other ones to walk every way with few
documents.

Tested by tests/sqlite/test_contract_variants.py and tests/sqlite/test_text_search.py.
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
    most_ids: int = 50_000
    """Ids of chunks a store remembers: about 300 bytes each."""

    # Full-text search.

    few_passages: int = 10_000
    """Passages up to which no word is too common to be looked for."""
    most_equal: int = 1_000
    """Passages of one score that are put in the order of their ids. Of more, those written first
    stand before the others: to order them all, all their ids would have to be read. This one does
    change answers.
    """
    most_titles: int = 2_000
    """Documents in scope whose titles are compared with a query: those with the shortest titles.
    This one changes answers, too.
    """
    spare_rows: int = 16
    """Rows asked for beyond the limit, to see whether the last score is shared."""
    scope_factor: int = 3
    """How many times more rows are asked for, first, where the best are checked for their scope."""
    checked_share: float = 0.1
    """Part of all passages up to which the best are checked one by one for being in scope."""
    text_memory: int = 256 * 1024**2
    """Bytes of posting lists a store may hold in memory. A million passages take about 170 MB."""
    tail: int = 1_024
    """New chunks that become a segment of the full-text index. Every process that opens a file may
    use another number.
    """
    merge_factor: int = 8
    """Neighbouring segments of about the same size that become one."""
    merge_inline: bool = False
    """Whether segments are merged by the thread that has written the last one, before its call
    returns; else by a thread of their own.
    """

    # Opening.

    least_wait: float = 10.0
    """Seconds to wait, at least, for another process that creates or migrates the file; that takes
    milliseconds.
    """


DEFAULT = Tuning()
