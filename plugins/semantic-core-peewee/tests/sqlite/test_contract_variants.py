"""The contract's rules about searching, once with each way in which a search may go: vectors
scanned in memory, vectors read from the file, tiny segments, no room in memory.

What does not search (writes, the queue, batch jobs, threads) goes the same way in all of them;
`test_contract.py` checks it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
from semantic_core_peewee import SqliteStore
from semantic_core_peewee.sqlite.tuning import Tuning

from semantic_core import Space
from semantic_core.testing import Check
from semantic_core.testing.check import checks_in
from semantic_core.testing.stores import (
    conditions,
    random,
    scopes,
    scores,
    vectors,
    vocabulary,
    words,
)
from semantic_core.testing.stores.history import history_check

NOT_SEARCHING = {
    "known_vectors_are_those_handed_over",
    "a_multi_tenant_store_wants_a_tenant",
    "a_single_tenant_store_refuses_a_tenant",
    "any_document_comes_back",
}
"""Of the same files, what the way of searching cannot change."""

SEARCHING = [
    *(
        check
        for check in checks_in(vectors, words, scores, conditions, vocabulary, scopes, random)
        if str(check) not in NOT_SEARCHING
    ),
    history_check(persistent=True, histories=20),
]

SCANNED = Tuning(few_chunks=-1)
"""Never in SQL: even a handful of chunks is scanned."""

SMALL_SEGMENTS = Tuning(
    few_chunks=-1,
    segment=3,
    block=6,
    few_dead=4,
    few_documents=1,
    selective=0.0,
    scope_factor=1,
    spare_rows=1,
    most_equal=3,
    tail=2,
    merge_factor=2,
    merge_inline=True,
)
"""Segments and blocks so small that every boundary is crossed; the living slots are moved together,
and segments of the full-text index merged, all the time.
"""

NO_ROOM = Tuning(
    few_chunks=-1,
    scope_factor=1,
    spare_rows=1,
    checked_share=1.0,
    most_equal=2,
    text_memory=64,
    tail=1,
    merge_factor=3,
    selective=0.0,
    most_ids=3,
)
"""Every chunk is a segment of the full-text index at once, merged beside the others; and there is
no room for posting lists in memory.
"""

STREAMED = attrs.evolve(SMALL_SEGMENTS, vector_memory=0)
"""No memory for vectors: every search reads them from the file."""

VARIANTS = {
    "scanned": SCANNED,
    "small segments": SMALL_SEGMENTS,
    "no room": NO_ROOM,
    "streamed": STREAMED,
}
WORDS_ALONE = {str(check) for check in checks_in(words, vocabulary)} | {"any_text_is_a_legal_term"}
VECTORS_ALONE = {"scanned", "streamed"}
"""What these change is read by a search for vectors alone: to words they are as the usual store,
and as "small segments".
"""
PAIRS = [
    pytest.param(variant, check, id=f"{variant}-{check}")
    for variant in VARIANTS
    for check in SEARCHING
    if not (variant in VECTORS_ALONE and str(check) in WORDS_ALONE)
]


@pytest.mark.parametrize(("variant", "check"), PAIRS)
def test_every_way_of_searching_keeps_the_contract(
    variant: str, check: Check, tmp_path: Path
) -> None:
    def opened(space: Space, name: str = "index", **options: Any) -> SqliteStore:
        return SqliteStore(
            space,
            tmp_path / f"{name}.db",
            durability="normal",
            tuning=VARIANTS[variant],
            **options,
        )

    check(opened)
