"""The contract again with each way of searching: codes in memory, codes streamed by, tiny segments,
words remembered.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from semantic_core_peewee import SqliteStore
from semantic_core_peewee.sqlite import (
    ids,
    quantized,
    segments,
    selective_scopes,
    vector_search,
    word_cache,
    word_search,
)

from semantic_core.testing import store_checks

HISTORIES = 20
"""Random ones in each way; `test_contract` plays more."""


def scanned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never in SQL: even a handful of chunks is scanned."""
    monkeypatch.setattr(vector_search, "FEW", -1)


def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments and blocks so small that every boundary is crossed,
    and the living are moved together all the time; words are never remembered.
    """
    scanned(monkeypatch)
    for module in (segments, quantized, quantized):
        monkeypatch.setattr(module, "SEGMENT", 3)
    for module in (quantized, quantized):
        monkeypatch.setattr(module, "BLOCK", 6)
    monkeypatch.setattr(segments, "FEW_DEAD", 4)
    monkeypatch.setattr(selective_scopes, "FEW_DOCUMENTS", 1)
    monkeypatch.setattr(selective_scopes, "SELECTIVE", 0.0)
    monkeypatch.setattr(word_search, "_TRIED", 1)
    monkeypatch.setattr(word_search, "_SPARE", 1)
    monkeypatch.setattr(word_search, "MOST_EQUAL", 3)
    monkeypatch.setattr(word_cache, "is_worth", lambda passages, spent: False)


def remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """What words and scopes find is remembered at once, and there is no room for it."""
    scanned(monkeypatch)
    monkeypatch.setattr(word_cache, "is_worth", lambda listed, spent: True)
    monkeypatch.setattr(word_search, "_TRIED", 1)
    monkeypatch.setattr(word_search, "_SPARE", 1)
    monkeypatch.setattr(word_search, "_ONE_BY_ONE", 1.0)
    monkeypatch.setattr(word_search, "MOST_EQUAL", 2)
    monkeypatch.setattr(word_cache, "LEAST_BYTES", 64)
    monkeypatch.setattr(word_cache, "BYTES_PER_PASSAGE", 0)
    monkeypatch.setattr(selective_scopes, "WORTH_KNOWING", 1)
    monkeypatch.setattr(selective_scopes, "SELECTIVE", 0.0)
    monkeypatch.setattr(ids, "MOST_IDS", 3)


def streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    """No memory for codes: every search reads them from the file."""
    small(monkeypatch)
    monkeypatch.setattr("semantic_core_peewee.sqlite.store.memory_budget", lambda: 0)


@pytest.mark.parametrize("check", store_checks(persistent=True, histories=HISTORIES), ids=str)
@pytest.mark.parametrize("lane", [scanned, small, remembered, streamed])
def test_every_way_of_searching_keeps_the_contract(
    check: Callable[..., None],
    lane: Callable[[pytest.MonkeyPatch], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lane(monkeypatch)

    def opened(space: Any, name: str = "index", **options: Any) -> SqliteStore:
        return SqliteStore(space, tmp_path / f"{name}.db", durability="normal", **options)

    check(opened)
