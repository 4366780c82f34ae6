"""What is written of the full-text index, and what is read of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import apsw
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from semantic_core_peewee import SqliteStore
from semantic_core_peewee.sqlite import text_segments
from semantic_core_peewee.sqlite.text_segments import (
    ChunkText,
    Postings,
    analysed,
    blocks_of,
    key_of,
    unpacked,
    unpacked_term,
)
from semantic_core_peewee.sqlite.tuning import Tuning

from semantic_core import Ref, Scope
from semantic_core.analysis import WordAnalyser
from semantic_core.errors import StoreCorrupt

WORDS = st.lists(st.sampled_from(["river", "stone", "café", "ёж", "x", "y1"]), max_size=12)


def counted(postings: Postings) -> dict[int, dict[int, int]]:
    """key -> row -> how often."""
    found: dict[int, dict[int, int]] = {}
    start = 0
    for key, end in zip(postings.keys.tolist(), postings.ends.tolist(), strict=True):
        rows = postings.rows[start:end].tolist()
        assert rows == sorted(set(rows))
        found[key] = dict(zip(rows, postings.counts[start:end].tolist(), strict=True))
        start = end
    assert list(found) == sorted(found)
    return found


@settings(deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=20))
def test_postings_say_which_rows_contain_which_words(texts: list[list[str]]) -> None:
    chunks = [ChunkText(n, n, 1, None, " ".join(text)) for n, text in enumerate(texts, 1)]
    found = analysed(WordAnalyser(), chunks)
    wanted: dict[int, dict[int, int]] = {}
    holding: Counter[str] = Counter()
    for row, text in enumerate(texts):
        for token in WordAnalyser().tokens(" ".join(text)):
            rows = wanted.setdefault(key_of(token.term), {})
            rows[row] = rows.get(row, 0) + 1
        holding.update({token.term for token in WordAnalyser().tokens(" ".join(text))})
    assert counted(found.postings) == wanted
    assert found.columns["length"].tolist() == [len(text) for text in texts]
    assert {word: chunks for word, _, chunks in found.words} == dict(holding)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.integers(0, 2**64 - 1),
        st.dictionaries(st.integers(0, 65_535), st.integers(1, 2**20), min_size=1, max_size=9),
        max_size=30,
    ),
    st.integers(1, 200),
)
def test_blocks_give_back_what_was_packed(wanted: dict[int, dict[int, int]], size: int) -> None:
    keys = sorted(wanted)
    ends = np.cumsum([len(wanted[key]) for key in keys]).astype(np.int64)
    rows = [row for key in keys for row in sorted(wanted[key])]
    counts = [wanted[key][row] for key in keys for row in sorted(wanted[key])]
    postings = Postings(np.array(keys, dtype=np.uint64), ends, np.array(rows), np.array(counts))
    before = text_segments.BLOCK
    text_segments.BLOCK = size
    try:
        blocks = list(blocks_of(postings))
    finally:
        text_segments.BLOCK = before
    found: dict[int, dict[int, int]] = {}
    for block in blocks:
        part = counted(unpacked(block.data))
        assert min(part) == block.first
        for key, held in part.items():
            alone = unpacked_term(block.data, np.uint64(key))
            assert alone is not None
            assert dict(zip(alone[0].tolist(), alone[1].tolist(), strict=True)) == held
        assert unpacked_term(block.data, np.uint64(max(part) ^ 1)) is None or max(part) ^ 1 in part
        found.update(part)
    assert found == wanted


@pytest.mark.parametrize("table", ["tail", "block", "columns"])
def test_a_bit_that_changed_is_noticed_by_the_search_that_reads_it(
    open_store: Callable[..., SqliteStore], item: Callable[..., Any], table: str
) -> None:
    store = open_store(tuning=Tuning(tail=50))
    store.replace([item(str(n), f"river stone{n}") for n in range(50 if table != "tail" else 9)])
    store.close()
    raw = apsw.Connection(str(store.path))
    column = {"tail": "terms", "block": "data", "columns": "rows"}[table]
    ids = {"tail": "chunk", "block": "id", "columns": "segment"}[table]
    row, data = raw.execute(f"select {ids}, {column} from semantic_index_text_{table} limit 1").get
    changed = bytearray(data)
    changed[len(changed) // 2] ^= 4
    raw.execute(
        f"update semantic_index_text_{table} set {column} = ? where {ids} = ?",
        (bytes(changed), row),
    )
    raw.close()
    store = open_store(tuning=Tuning(tail=50))
    with pytest.raises(StoreCorrupt, match="full-text index"):
        store.words("river", 5, Scope())
    assert store.check() != []
    assert store.repair() == []
    assert len(store.words("river", 99, Scope())) == (9 if table == "tail" else 50)


def test_a_batch_of_many_chunks_becomes_segments_at_once(
    open_store: Callable[..., SqliteStore],
    item: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(text_segments, "MOST_ROWS", 40)
    store = open_store(tuning=Tuning(tail=16, merge_factor=99))
    store.replace([item("first", "river")])
    store.replace([item(f"{n:03d}", f"river s{n}") for n in range(100)])
    store.replace([item("last", "river")])
    raw = apsw.Connection(str(store.path))
    sizes = raw.execute("select count from semantic_index_text_segment order by first").fetchall()
    assert sizes == [(1,), (40,), (40,), (20,)]
    assert raw.execute("select count(*) from semantic_index_text_tail").get == 1
    assert len(store.words("river", 200, Scope())) == 102
    assert [id.ref.key for id in store.words("s77", 5, Scope()).ids] == ["077"]
    assert store.check() == []


def test_a_word_leaves_the_file_with_the_last_document_that_contains_it(
    store: SqliteStore, item: Callable[..., Any]
) -> None:
    raw = apsw.Connection(str(store.path))

    def words() -> set[str]:
        return {word for (word,) in raw.execute("select word from semantic_index_text_word")}

    store.replace([item("1", "river stone"), item("2", "river", "river sand")])
    assert words() == {"river", "stone", "sand"}
    store.replace([item("1", "river")])
    assert words() == {"river", "sand"}
    store.remove([Ref("notes", "2")])
    assert words() == {"river"}
    store.remove([Ref("notes", "1")])
    assert words() == set()
