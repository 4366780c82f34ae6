"""What an operator relies on: damage is found, copies are whole,
and what was removed is gone from the file.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest
from semantic_core_peewee import SqliteStore
from semantic_core_peewee.sqlite import migrations
from semantic_core_peewee.sqlite.segments import state_of

from semantic_core import Ref, Scope
from semantic_core.errors import InputError, StoreCorrupt

FLIPPED = "(select cast(substr(vector, 1, 8) || x'7f' || substr(vector, 10) as blob))"
DAMAGE = {
    "the text of a document": ("update semantic_index_document set text = 'other'", "document 1"),
    "the length of a document": ("update semantic_index_document set characters = 3", "document 1"),
    "the text of a chunk": (
        "update semantic_index_chunk set text = text || '!' where id = 2",
        "chunk 2",
    ),
    "a byte of a vector": (
        f"update semantic_index_chunk set vector = {FLIPPED} where id = 2",
        "chunk 2: the vector",
    ),
    "a vector cut short": (
        "update semantic_index_chunk set vector = substr(vector, 1, 4) where id = 1",
        "chunk 1: the vector",
    ),
    "a vector that appeared": (
        "update semantic_index_chunk set vector = zeroblob(32) where vector is null",
        "the vector",
    ),
    "the generation of a chunk": (
        "update semantic_index_chunk set generation = 2 where id = 1",
        "another generation",
    ),
    "a passage beside the index": (
        "update semantic_index_chunk set own = 'unseen words' where id = 1",
        "full-text index",
    ),
    "a word that was never said": (
        """insert into semantic_index_text_tail
            select 99, generation, document, home, length, crc, terms
            from semantic_index_text_tail where chunk = 1""",
        "full-text index",
    ),
    "words that are missing": (
        "delete from semantic_index_text_tail where chunk = 1",
        "full-text index",
    ),
    "a value for filters": (
        "update semantic_index_attribute set value = 'de' where key = 'lang'",
        "filters",
    ),
    "a kind for filters": (
        "update semantic_index_attribute set kind = 'number' where key = 'draft'",
        "filters",
    ),
    "a title": ("delete from semantic_index_title", "its title"),
    "a chunk without a document": (
        "pragma foreign_keys = off; delete from semantic_index_document",
        "belongs to",
    ),
}


def damage(path: Path, sql: str) -> None:
    connection = apsw.Connection(str(path))
    connection.execute(sql).fetchall()
    connection.close()


@pytest.mark.parametrize(("sql", "said"), DAMAGE.values(), ids=DAMAGE)
def test_damage_is_found_and_named(
    sql: str, said: str, store: SqliteStore, item: Callable[..., Any]
) -> None:
    metadata = {
        "lang": "en",
        "draft": True,
        "n": [],
        "tags": ["a", "b", "a"],
        "year": 2020,
        "ratio": 1.0,
    }
    store.replace(
        [
            item("1", "first part", "second part", metadata=metadata),
            item("2", "waiting", vectors=False),
        ]
    )
    assert store.check() == []
    damage(store.path, sql)
    assert any(said in problem for problem in store.check()), store.check()


def test_a_broken_page_is_found_and_nothing_is_rebuilt(
    open_store: Callable[..., SqliteStore], item: Callable[..., Any]
) -> None:
    store = open_store()
    store.replace(
        [item(f"{number:04d}", f"passage {number} " + "word " * 50) for number in range(400)]
    )
    store.close()
    whole = store.path.read_bytes()
    page = 16_384
    store.path.write_bytes(whole[: page * 20] + b"\xa5" * page * 12 + whole[page * 32 :])
    broken = store.path.read_bytes()
    try:
        store = open_store()
        problems = store.check()
        store.close()
    except StoreCorrupt as error:
        problems = [error.message]
    assert problems
    assert store.path.read_bytes() == broken


def test_many_problems_are_counted_not_listed(store: SqliteStore, item: Callable[..., Any]) -> None:
    store.replace([item(str(number), f"passage {number}") for number in range(60)])
    damage(store.path, "update semantic_index_chunk set text = ''")
    problems = store.check()
    # Twenty passages, and as many that are not what the full-text index says.
    assert len(problems) < 50 and any("40 more" in problem for problem in problems)


def test_a_backup_is_the_whole_store_while_others_write(
    store: SqliteStore,
    item: Callable[..., Any],
    vector: Callable[[str], Any],
    tmp_path: Path,
    open_store: Callable[..., Any],
) -> None:
    store.replace(
        [
            item(f"{number:04d}", f"passage {number}", metadata={"n": number})
            for number in range(300)
        ]
    )
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            store.replace([item("busy", f"busy {number}", f"also {number}")])
            number += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for number in range(4):
            store.backup(tmp_path / f"copy-{number}.db")
    finally:
        stop.set()
        thread.join()
    for number in range(4):
        copy = open_store(tmp_path / f"copy-{number}.db")
        assert copy.check() == [] and copy.stats().documents in (300, 301)
        assert copy.get(Ref("notes", "0007")) == store.get(Ref("notes", "0007"))
        busy = copy.get(Ref("notes", "busy"))
        if busy is not None:
            said = busy.text.split()[1]
            assert [found.text for found in map(copy.get, [Ref("notes", "busy")]) if found] == [
                f"busy {said} also {said}"
            ]
        assert (
            copy.nearest(vector("passage 7"), 1, Scope()).ids
            == store.nearest(vector("passage 7"), 1, Scope()).ids
        )
        copy.close()
    assert [
        found.name for found in tmp_path.iterdir() if "copy" in found.name and found.suffix != ".db"
    ] == []


def test_a_backup_never_overwrites(store: SqliteStore, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.write_text("mine")
    for place in (there, store.path, tmp_path / "nowhere" / "copy.db"):
        with pytest.raises(InputError):
            store.backup(place)
    assert there.read_text() == "mine" and store.check() == []


def traces(folder: Path, name: str, *marks: bytes) -> list[tuple[str, bytes]]:
    files = [found for found in folder.iterdir() if found.name.startswith(name)]
    return [(found.name, mark) for found in files for mark in marks if mark in found.read_bytes()]


@pytest.mark.parametrize("way", ["remove", "replace", "compact"])
def test_what_was_removed_is_gone_from_the_file(
    way: str,
    path: Path,
    open_store: Callable[..., SqliteStore],
    item: Callable[..., Any],
    vector: Callable[[str], Any],
) -> None:
    store = open_store()
    secret = item(
        "secretkey",
        "kwyjibo zanzibarite",
        "plugh " * 3_000,
        collection="hidden",
        metadata={"owner": "jabberwock"},
    )
    store.replace([item(f"{number:03d}", f"public passage {number}") for number in range(200)])
    store.replace([secret])
    store.replace(
        [item(f"{number:03d}", f"another passage {number}") for number in range(100, 300)]
    )
    marks = [
        b"kwyjibo",
        b"zanzibarit",
        b"plugh",
        b"jabberwock",
        vector("kwyjibo zanzibarite").astype("<f4").tobytes()[4:],
    ]
    assert {mark for _, mark in traces(path.parent, path.name, *marks)} == set(marks)
    if way == "replace":
        store.replace([item("secretkey", "nothing to see", collection="hidden")])
    else:
        store.remove([secret[0].ref])
    if way == "compact":
        marks.append(b"secretkey")
        store.compact()
        assert traces(path.parent, path.name, *marks) == []
    store.close()
    assert traces(path.parent, path.name, *marks) == []
    store = open_store()
    assert store.check() == [] and len(store.words("kwyjibo zanzibarite plugh", 9, Scope())) == 0
    store.close()


def test_a_removed_document_is_known_again_and_its_key_cannot_be_read(
    path: Path, open_store: Callable[..., SqliteStore], item: Callable[..., Any]
) -> None:
    ref = Ref("notes", "ann.smith@example.com")
    store = open_store()
    store.replace([item(ref.key, "a passage")], {ref: 5})
    store.remove([ref], {ref: 7})
    store.compact()
    store.close()
    assert traces(path.parent, path.name, ref.key.encode()) == []
    store = open_store()
    for stamp, outcome in ((6, "stale"), (8, "added")):
        assert store.replace([item(ref.key, "again")], {ref: stamp}).outcomes == ((ref, outcome),)


def test_a_file_that_kept_keys_of_removed_documents_forgets_them_and_knows_them(
    path: Path,
    space: Any,
    open_store: Callable[..., SqliteStore],
    item: Callable[..., Any],
    steps: Callable[..., Any],
) -> None:
    with steps(*migrations.STEPS[:4]):
        SqliteStore(space, path).close()
    with closing(apsw.Connection(str(path))) as raw:
        raw.execute(
            """insert into semantic_index_tombstone
                values (1, '', 'notes', 'ann.smith@example.com', 7)"""
        )
    assert traces(path.parent, path.name, b"ann.smith")
    store = open_store()
    ref = Ref("notes", "ann.smith@example.com")
    late = store.replace([item(ref.key, "again")], {ref: 6})
    assert late.outcomes == ((ref, "stale"),)
    store.close()
    assert traces(path.parent, path.name, b"ann.smith") == []


def test_compacting_gives_space_back(
    open_store: Callable[..., SqliteStore], item: Callable[..., Any], vector: Callable[[str], Any]
) -> None:
    store = open_store()
    store.replace(
        [item(f"{number:04d}", f"passage {number} " + "filling " * 200) for number in range(1_000)]
    )
    store.remove([Ref("notes", f"{number:04d}") for number in range(900)])
    before, nearest = store.stats().bytes, store.nearest(vector("passage 950"), 5, Scope())
    store.compact()
    assert store.nearest(vector("passage 950"), 5, Scope()) == nearest
    state = store._pool.read(state_of)
    assert (state.slots, state.dead) == (100, 0)  # of vectors that are gone nothing is left either
    assert store.stats().bytes < before / 3 and store.stats().details["wal_bytes"] == 0
    assert store.check() == [] and len(store.words("filling", 2_000, Scope())) == 100


def test_stats_say_what_the_file_is(
    store: SqliteStore, item: Callable[..., Any], vector: Callable[[str], Any]
) -> None:
    store.replace(
        [
            item("1", "one", "two"),
            item("1", "three", collection="Zoo"),
            item("2", "four", vectors=False),
        ]
    )
    stats = store.stats()
    assert (stats.documents, stats.chunks, stats.pending, dict(stats.collections)) == (
        3,
        4,
        1,
        {"Zoo": 1, "notes": 2},
    )
    details = stats.details
    assert stats.bytes == details["file_bytes"] + details["wal_bytes"] > 0
    assert (
        details["page_size"] == 16_384
        and details["journal_mode"] == "wal"
        and details["sqlite_vec"].startswith("v0.")
    )
    assert tuple(map(int, details["sqlite"].split("."))) >= (3, 51, 3)
    assert details["matrix_bytes"] == 0
    store.replace([item(f"{number:05d}", f"filling {number}") for number in range(1_500)])
    store.nearest(vector("x"), 1, Scope())
    assert store.stats().details["matrix_bytes"] > 1_500 * 8
