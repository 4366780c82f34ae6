"""Everything derived that was damaged is found, and is made again without an embedder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apsw
import numpy as np
import pytest
from semantic_core_peewee import SqliteStore
from semantic_core_peewee.sqlite.tuning import DEFAULT, Tuning

from semantic_core import Chunk, ChunkId, Document, Entry, Filter, Ref, Scope, Space

SPACE = Space("m", 8)
WORDS = ["walrus", "otter", "seal", "heron", "lynx", "mole"]


def entries(number: int, generator: np.random.Generator) -> tuple[Document, list[Entry]]:
    ref = Ref("notes", str(number))
    text = WORDS[number % 6]
    chunks = [Chunk(ChunkId(ref, place), text, 0, len(text)) for place in range(3)]
    vectors = generator.normal(size=(3, 8))
    made = [
        Entry(chunk, f"{text} {place}", f"{number * 3 + place:032x}", vectors[place])
        for place, chunk in enumerate(chunks)
    ]
    return Document(ref, text, metadata={"parity": number % 2}), made


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(SPACE, tmp_path / "index.db")
    generator = np.random.default_rng(1)
    opened.replace(entries(number, generator) for number in range(400))
    opened.remove(Ref("notes", str(number)) for number in range(0, 400, 7))
    yield opened
    opened.close()


DAMAGE = {
    "words lost": "delete from semantic_index_text_block where id % 2 = 0",
    "words wrong": "update semantic_index_text_block set data = zeroblob(length(data))",
    "segments of words lost": "delete from semantic_index_text_segment",
    "words of the dead": "delete from semantic_index_text_dead",
    "words miscounted": "update semantic_index_text_state set terms = terms + 1",
    "list of words lost": "delete from semantic_index_text_word",
    "titles invented": """insert into semantic_index_title
        select generation, '', 'ghost ', id from semantic_index_document limit 3""",
    "filters lost": """delete from semantic_index_attribute where key = 'parity'
        and document % 5 = 0""",
    "filters invented": (
        """insert into semantic_index_attribute select generation, 'ghost', 'text', 'x', id
            from semantic_index_document limit 3"""
    ),
    "segments lost": "delete from semantic_index_segment where number = 1",
    "slots zeroed": """update semantic_index_segment set slots = zeroblob(length(slots))
        where number = 2""",
    "slots swapped": """update semantic_index_segment set slots =
        (select b.slots from semantic_index_segment b
        where b.number = 1 - semantic_index_segment.number)
        where number in (0, 1)""",
    "map lost": "delete from semantic_index_slot where chunk % 3 = 0",
    "count wrong": "update semantic_index_vector_state set dead = dead + 5",
    "homes lost": "delete from semantic_index_home",
}


def answers(store: SqliteStore) -> list[object]:
    generator = np.random.default_rng(2)
    found: list[object] = []
    for scope in (Scope(), Scope(filter=Filter.parse({"parity": 1}))):
        for _ in range(5):
            ranking = store.nearest(generator.normal(size=8), 20, scope)
            found.append((ranking.ids, ranking.scores))
        found += [store.words(word, 500, scope) for word in WORDS]
        found.append(store.documents(scope, 0, 500))
    return found


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damage_to_what_is_derived_is_found_and_repaired_from_the_rows(
    store: SqliteStore, damage: str
) -> None:
    before = answers(store)
    assert store.check() == []
    other = apsw.Connection(str(store.path))
    other.execute(damage)
    other.close()
    assert store.check() != []
    assert store.repair() == []
    assert answers(store) == before


def test_repair_changes_nothing_of_a_sound_store(store: SqliteStore) -> None:
    before = answers(store)
    assert store.repair() == []
    assert answers(store) == before
    assert store.replace([entries(1, np.random.default_rng(5))]).outcomes[0][1] == "updated"
    assert store.check() == []


def test_what_repair_cannot_make_anew_is_still_said(store: SqliteStore) -> None:
    other = apsw.Connection(str(store.path))
    other.execute("update semantic_index_chunk set text = text || 'x' where id = 5")
    other.close()
    assert any("chunk 5" in problem for problem in store.repair())


def test_the_living_are_moved_together_when_a_quarter_is_dead(
    tmp_path: Path,
) -> None:
    with_generator = np.random.default_rng(3)
    store = SqliteStore(SPACE, tmp_path / "index.db", tuning=Tuning(few_dead=100))
    store.replace(entries(number, with_generator) for number in range(300))
    store.nearest(np.ones(8), 5, Scope())
    for number in range(0, 300, 2):
        store.remove([Ref("notes", str(number))])
    raw = apsw.Connection(str(store.path))
    slots, dead = raw.execute("select slots, dead from semantic_index_vector_state").fetchone()
    assert slots < 700
    assert dead <= max(100, slots // 4)
    assert raw.execute("select count(*) from semantic_index_segment").get == -(
        -slots // DEFAULT.segment
    )
    raw.close()
    assert store.check() == []
    assert len(store.nearest(np.ones(8), 1_000, Scope())) == 450
    store.close()


def test_the_name_of_a_collection_goes_with_its_last_document(store: SqliteStore) -> None:
    raw = apsw.Connection(str(store.path))
    document, made = entries(1, np.random.default_rng(4))
    secret = Ref("secret-project", "1")
    moved = [
        Entry(Chunk(ChunkId(secret, place), "x", 0, 1), "x", one.fingerprint, one.vector)
        for place, one in enumerate(made)
    ]
    store.replace([(Document(secret, "x"), moved)])
    assert (
        raw.execute(
            "select count(*) from semantic_index_home where collection = 'secret-project'"
        ).get
        == 1
    )
    store.remove([secret])
    assert (
        raw.execute(
            "select count(*) from semantic_index_home where collection = 'secret-project'"
        ).get
        == 0
    )
    raw.close()
    assert store.check() == []
