"""Rules of the SQLite store beyond those of every store: each a function of an empty folder,
its docstring the rule.

They stand apart from the tests that run them because broken stores must fail them as well (see
`test_defects`).
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import apsw
import attrs
import numpy as np
from samples import EVERYTHING, SPACE, Item, axis, fingerprint_of, item, unit, vector_of
from semantic_core_peewee import SqliteStore
from semantic_core_peewee.sqlite import text_search

from semantic_core import Filter, Ref, Scope
from semantic_core.errors import StoreError, StoreForeign, StoreMisuse

SECRET = "kanarenvogel"  # noqa: S105 - a word to look for
MANY = 1_200
"""Chunks: more than a store scores one by one in SQL, so vectors are held in memory."""

RULES: list[Callable[[Path], None]] = []


def rule(check: Callable[[Path], None]) -> Callable[[Path], None]:
    """Make it one of RULES."""
    RULES.append(check)
    return check


@contextmanager
def opened(folder: Path, name: str = "index", **options: Any) -> Iterator[SqliteStore]:
    """The store of this name in the folder."""
    with closing(SqliteStore(SPACE, folder / f"{name}.db", **options)) as store:
        yield store


def connections(path: Path) -> list[Any]:
    """What is open to this file in this process."""
    return [each for each in apsw.connections() if each.filename and Path(each.filename) == path]


@contextmanager
def looked_for() -> Iterator[list[list[Any]]]:
    """Within it, the terms that each full-text search looks for are noted, each as often as it
    counts.
    """
    searches: list[list[int]] = []
    right = text_search.TextIndex._terms

    def noted(self: Any, view: Any, version: Any, text: str) -> Any:
        terms = right(self, view, version, text)
        searches.append([term.word for term in terms for _ in range(term.times)])
        return terms

    text_search.TextIndex._terms = noted  # type: ignore[method-assign]
    try:
        yield searches
    finally:
        text_search.TextIndex._terms = right  # type: ignore[method-assign]


def everything(store: SqliteStore, *items: Item) -> object:
    """All there is to see of these documents."""
    ids = [entry.chunk.id for _, entries in items for entry in entries]
    words = sorted(
        {word for _, entries in items for entry in entries for word in entry.passage.split()}
    )
    return (
        [store.get(document.ref) for document, _ in items],
        [attrs.asdict(summary) for summary in store.documents(EVERYTHING, 0, 1_000)],
        [repr(found) for found in store.fetch(ids)],
        np.nan_to_num(store.similarity(ids, axis(0)), nan=9.0).tolist(),
        store.nearest(axis(0), 100, EVERYTHING),
        [(word, store.words(word, 100, EVERYTHING)) for word in words],
        store.pending(100),
        (store.stats().documents, store.stats().chunks, store.stats().pending),
    )


@rule
def writers_wait_for_each_other(folder: Path) -> None:
    """Any number of writers: each waits for its turn,
    none is refused while the others are quick.
    """
    failures: list[str] = []
    with ExitStack() as stack:
        stores = [stack.enter_context(opened(folder)) for _ in range(4)]
        begin = threading.Barrier(len(stores))

        def write(number: int, store: SqliteStore) -> None:
            begin.wait(60)
            for turn in range(15):
                try:
                    store.replace(
                        [item(Ref("notes", f"{number} {turn}"), f"passage {number} {turn}")]
                    )
                except StoreError as error:
                    failures.append(f"{type(error).__name__}: {error}")

        threads = [threading.Thread(target=write, args=pair) for pair in enumerate(stores)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        assert failures == []
        assert stores[0].stats().documents == 60


@rule
def the_write_of_another_handle_is_in_the_next_search(folder: Path) -> None:
    """What another connection committed, added, changed, filled or removed,
    the next search sees.
    """
    with opened(folder) as mine, opened(folder) as other:
        other.replace(
            [
                item(Ref("crowd", str(n)), *(f"crowd {n} {m}" for m in range(40)))
                for n in range(MANY // 40)
            ]
        )
        asked = vector_of("late news")

        def seen() -> tuple[object, ...]:
            ranking = mine.nearest(asked, 1, EVERYTHING)
            near = ranking.ids[0].ref.key if ranking.ids and ranking.scores[0] > 0.999 else ""
            return (
                near,
                {id.ref.key for id in mine.words("news", 9, EVERYTHING).ids},
                mine.get(Ref("n", "1")) is not None,
            )

        assert seen() == ("", set(), False)
        other.replace([item(Ref("n", "1"), "late news")])
        assert seen() == ("1", {"1"}, True)
        other.replace([item(Ref("n", "1"), "something else", "late news")])
        assert seen() == ("1", {"1"}, True)
        other.replace([item(Ref("n", "1"), "something else")])
        assert seen() == ("", set(), True)
        other.replace([item(Ref("n", "2"), "late news", vectors=[None])])
        assert seen() == ("", {"2"}, True)
        other.fill({fingerprint_of("late news"): asked})
        assert seen() == ("2", {"2"}, True)
        other.remove([Ref("n", "1"), Ref("n", "2")])
        assert seen() == ("", set(), False)
        other.replace([item(Ref("n", str(n)), f"more {n}") for n in range(50)])
        other.remove([Ref("crowd", str(n)) for n in range(MANY // 40)])
        found = mine.nearest(asked, 2_000, EVERYTHING)
        assert {id.ref.collection for id in found.ids} == {"n"} and len(found) == 50


@rule
def filters_see_the_metadata_of_now(folder: Path) -> None:
    """After an update a filter finds a document by the values it has, and not by those it had."""
    with opened(folder) as store:
        for held in ({"lang": "en", "year": 1}, {"lang": "de"}, {}, {"lang": ("de", "en")}):
            store.replace([item(Ref("n", "1"), "a passage", metadata=held)])
            for key, value in (("lang", "en"), ("lang", "de"), ("year", 1)):
                has = held.get(key)
                found = store.documents(Scope(filter=Filter.parse({key: value}))).total
                assert found == int(value in has if isinstance(has, tuple) else value == has), (
                    held,
                    key,
                    value,
                )


@rule
def a_stored_vector_has_length_one(folder: Path) -> None:
    """Vectors come in any length and are kept at length 1."""
    with opened(folder) as store:
        lengths = (1e-3, 0.5, 1.0, 3.0, 1e6)
        store.replace(
            [
                item(Ref("n", str(n)), f"text {n}", vectors=[vector_of("x") * np.float64(n)])
                for n in lengths
            ]
        )
        for vector in store.known([fingerprint_of(f"text {n}") for n in lengths]).values():
            assert abs(float(np.sqrt((vector.astype(np.float64) ** 2).sum())) - 1.0) < 1e-5


@rule
def the_nearest_are_exact_however_near_the_others_are(folder: Path) -> None:
    """Among thousands of almost equal vectors the best are the best:
    what is scanned first only says where to look.
    """
    chance = np.random.default_rng(5)
    with opened(folder) as store:
        for spread in (1e-3, 1e-4):
            rows = np.concatenate(
                [
                    vector_of("middle") + spread * chance.normal(size=SPACE.dimensions)
                    for _ in range(2_500)
                ]
            )
            vectors = [unit(row) for row in rows.reshape(2_500, SPACE.dimensions)]
            ref = Ref(f"near {spread}", "1")
            store.replace(
                [item(ref, *(f"{spread} {number}" for number in range(2_500)), vectors=vectors)]
            )
            table = np.array(vectors, dtype=np.float64)
            for number in range(5):
                query = unit(
                    rows[: SPACE.dimensions] + spread * chance.normal(size=SPACE.dimensions)
                )
                asked = query.astype(np.float64)
                truth = (
                    (table @ asked) / np.sqrt((table * table).sum(axis=1)) / np.sqrt(asked @ asked)
                )
                found = store.nearest(
                    query,
                    10,
                    Scope(collections=(ref.collection,) if number % 2 else (ref.collection, "x")),
                )
                worst = min(truth[id.position] for id in found.ids)
                assert len(found) == 10
                better = set(np.flatnonzero(truth > worst + 1e-6).tolist()) - {
                    id.position for id in found.ids
                }
                assert not better, f"{len(better)} nearer ones were missed"
        assert store.stats().details["matrix_bytes"] > 0


@rule
def what_was_removed_is_nowhere_in_the_files(folder: Path) -> None:
    """After `remove`, and after an update, no byte of the text,
    its words or its vectors is left in the file or its log.
    """
    secret = f"secret {SECRET}"
    vector = vector_of(secret)
    code = np.rint(vector / (np.abs(vector).max() / 127)).astype(np.int8)  # as vectors are scanned
    traces = {
        "text": SECRET.encode(),
        "stem": SECRET[:-2].encode(),
        "vector": vector.tobytes(),
        "code": code.tobytes(),
    }
    with opened(folder) as store:
        store.replace([item(Ref("n", str(number)), f"another {number}") for number in range(20)])
        held = item(
            Ref("n", SECRET), secret, title=f"about {SECRET}", metadata={SECRET: f"{SECRET}!"}
        )
        changed = item(Ref("n", "changed"), secret, "stays", metadata={"k": SECRET})
        store.replace([held, changed])
        assert _traces(folder, traces) == set(traces), (
            "the traces looked for are not those a store leaves"
        )
        store.replace([item(Ref("n", "changed"), "new text", "stays")])
        store.remove([Ref("n", SECRET)])
    assert _traces(folder, traces) == set()


def _traces(folder: Path, traces: dict[str, bytes]) -> set[str]:
    files = b"\n".join(file.read_bytes() for file in sorted(folder.iterdir()))
    return {
        name for name, trace in traces.items() if trace in files or trace.lower() in files.lower()
    }


DAMAGE = {
    "text": "update semantic_index_chunk set text = text || '!' where id = 1",
    "passage": "update semantic_index_chunk set lead = lead || '!' where id = 1",
    "vector": "update semantic_index_chunk set vector = zeroblob(length(vector)) where id = 1",
    "length of a vector": """update semantic_index_chunk set vector = substr(vector, 1, 60)
        where id = 1""",
    "document": "update semantic_index_document set text = text || '!'",
    "title": "update semantic_index_document set title = 'another'",
    "filters": "delete from semantic_index_attribute where key = 'lang'",
    "words": "delete from semantic_index_text_tail where chunk = 1",
    "words of another text": """update semantic_index_text_tail
        set terms = (select terms from semantic_index_text_tail where chunk = 2)
        where chunk = 1""",
    "ghost words": """insert into semantic_index_text_word (generation, word, term, chunks)
        values (1, 'ghost', 1, 1)""",
    "numbers of words": "update semantic_index_text_state set chunks = chunks + 1",
    "chunks": "delete from semantic_index_chunk where id = 2",
}


@rule
def damage_is_told(folder: Path) -> None:
    """`check` finds every kind of damage to what is kept and to what is made from it."""
    for name, sql in DAMAGE.items():
        with opened(folder, name) as store:
            store.replace([item(Ref("n", "1"), "a passage", "another", metadata={"lang": "en"})])
            assert store.check() == []
            raw = apsw.Connection(str(store.path))
            raw.execute(sql).fetchall()
            raw.close()
            assert store.check() != [], f"damage to {name} was not found"


class _Stop:
    """Lets a write transaction run up to its Nth statement."""

    def __init__(self, last: int) -> None:
        self.left, self.within = last, False

    def __call__(self, _cursor: object, sql: str, _bindings: object) -> bool:
        self.within = self.within or sql.startswith("begin")
        if not self.within or sql == "rollback":
            return True
        self.left -= 1
        return self.left != 0


@rule
def a_write_that_fails_at_any_statement_changes_nothing(folder: Path) -> None:
    """A write that fails half-way raises our error with the first cause, leaves what was there,
    and the next one works.
    """
    held = [
        item(Ref("n", "1"), "first zorbak", "its tail", metadata={"lang": "en"}),
        item(Ref("n", "2"), "second velquon", vectors=[None]),
        item(Ref("n", "3"), "third tirefok"),
    ]
    change = [
        item(Ref("n", "1"), "first gorvax", metadata={"lang": "de"}),
        item(Ref("n", "4"), "fourth", "more"),
    ]
    for act in (
        lambda store: store.replace(change, {Ref("n", "1"): 5}),
        lambda store: store.remove([Ref("n", "1"), Ref("n", "3")], {Ref("n", "3"): 5}),
        lambda store: store.fill({fingerprint_of("second velquon"): axis(3)}),
    ):
        statement, done = 0, False
        while not done:
            statement += 1
            assert statement < 500
            with opened(folder, f"half {len(list(folder.iterdir()))}") as store:
                store.replace(held)
                writer = connections(store.path)
                before = everything(store, *held, *change)
                stop = _Stop(statement)
                for connection in writer:
                    connection.exec_trace = stop
                try:
                    act(store)
                    done = True
                except StoreError as error:
                    assert isinstance(error.__cause__, apsw.ExecTraceAbort), (
                        f"the first error is hidden: {error.__cause__!r}"
                    )
                for connection in connections(store.path):
                    connection.exec_trace = None
                assert done == (stop.left > 0), "a statement that failed went unnoticed"
                if not done:
                    assert everything(store, *held, *change) == before, (
                        f"half done, up to statement {statement}"
                    )
                    assert store.check() == []
                    act(store)
                assert store.check() == []
        assert statement > 3, "the write was never stopped half-way"


@rule
def the_file_of_another_program_is_left_alone(folder: Path) -> None:
    """A file that is not ours is refused, and not a byte of it changes."""
    path = folder / "index.db"
    connection = sqlite3.connect(path)
    connection.execute("create table theirs (x)")
    connection.commit()
    connection.close()
    for content in (path.read_bytes(), b"Dear diary,\n" * 400, b"%PDF-1.7 ...", b"x"):
        path.write_bytes(content)
        try:
            SqliteStore(SPACE, path).close()
        except StoreForeign:
            pass
        else:
            raise AssertionError("a file of another program was taken for ours")
        assert path.read_bytes() == content
        assert [file.name for file in folder.iterdir()] == [path.name]


@rule
def a_second_library_is_refused(folder: Path) -> None:
    """While the store is open Python's own sqlite3 may not open the file,
    and the other way round.
    """
    path = folder / "index.db"
    with opened(folder) as store:
        store.stats()
        _refused(lambda: sqlite3.connect(path))
    other = sqlite3.connect(path)
    try:
        other.execute("select * from semantic_index_meta").fetchall()
        if os.path.isdir("/proc/self/fd"):
            _refused(lambda: SqliteStore(SPACE, path).close())
    finally:
        other.close()


def _refused(act: Callable[[], object]) -> None:
    try:
        act()
    except StoreMisuse:
        return
    raise AssertionError("it was not refused")


@rule
def a_file_that_was_replaced_takes_no_writes(folder: Path) -> None:
    """A write to a path that leads to another file by now is refused,
    instead of being lost with the old file.
    """
    with opened(folder) as store:
        store.replace([item(Ref("n", "1"), "one")])
        store.backup(folder / "copy.db")
        os.rename(store.path, folder / "moved.db")
        _refused(lambda: store.replace([item(Ref("n", "2"), "two")]))
        os.rename(folder / "copy.db", store.path)
        _refused(lambda: store.remove([Ref("n", "1")]))


@rule
def what_is_asked_is_never_part_of_a_statement(folder: Path) -> None:
    """Queries, filters, names and texts are bound;
    SQLite is given the same statements whatever they are.
    """
    texts: set[str] = set()
    with opened(folder) as store:
        for turn in range(2):
            odd = f"{SECRET}' or 1=1 --\""
            document = item(Ref(odd, odd), odd, title=odd, metadata={odd: odd})
            store.replace([document])
            where = Filter.parse({odd: {"in": [odd, f"{odd}2"]}})
            for scope in (EVERYTHING, Scope(collections=(odd,)), Scope(filter=where)):
                assert len(store.words(odd, 5, scope)) == len(store.nearest(axis(0), 5, scope)) == 1
                assert store.documents(scope).total == 1
            assert store.get(document[0].ref) == document[0]
            assert len(store.fetch([document[1][0].chunk.id])) == 1
            store.words(f'{SECRET} OR NEAR( passage : x* ^ "', 5, EVERYTHING)
            store.remove([document[0].ref])
            for connection in connections(store.path) if turn == 0 else []:
                connection.exec_trace = lambda _cursor, sql, _bindings: texts.add(sql) or True
        for connection in connections(store.path):
            connection.exec_trace = None
    assert len(texts) > 10
    assert [sql for sql in texts if SECRET in sql] == []


@rule
def a_query_asks_for_few_words(folder: Path) -> None:
    """A query is cut to 32 words of which each counts three times at most."""
    many = " ".join(f"w{n}" for n in range(400))
    with opened(folder) as store, looked_for() as searches:
        store.replace([item(Ref("n", "1"), "zorbak " * 50, many)])
        for query in ("zorbak " * 280, many, "a " * 1_000):
            store.words(query, 1, EVERYTHING)
    assert [len(terms) for terms in searches] == [3, 32, 0]
    for terms in filter(None, searches):
        assert len(set(terms)) <= 32 and max(map(terms.count, terms)) <= 3


@rule
def a_commit_is_on_the_disk(folder: Path) -> None:
    """With durability "full", the default, every connection that can write waits for the
    disk at a commit.
    """
    with opened(folder) as store:
        store.replace([item(Ref("n", "1"), "one")])
        modes = {connection.pragma("synchronous") for connection in connections(store.path)}
        assert modes == {2}, "wanted FULL (2) of every connection"
        assert store.stats().details["journal_mode"] == "wal"


@rule
def an_older_search_never_finds_what_is_not_there_yet(folder: Path) -> None:
    """Within a snapshot words, vectors and rows are of one moment,
    also when vectors are held in memory.
    """
    with opened(folder) as mine, opened(folder) as other:
        other.replace(
            [
                item(Ref("crowd", str(n)), *(f"crowd {n} {m}" for m in range(40)))
                for n in range(MANY // 40)
            ]
        )
        near = unit([1.0, 1e-3, *[0.0] * (SPACE.dimensions - 2)])
        mine.nearest(near, 1, EVERYTHING)
        with mine.snapshot():
            before = mine.nearest(near, 5, EVERYTHING)
            other.replace([item(Ref("n", "1"), "zorbak", vectors=[near])])
            other.remove([before.ids[0].ref])
            other.nearest(near, 5, EVERYTHING)
            assert mine.nearest(near, 5, EVERYTHING) == before
            assert len(mine.words("zorbak", 5, EVERYTHING)) == 0
            assert mine.get(before.ids[0].ref) is not None
        after = mine.nearest(near, 5, EVERYTHING)
        assert after.ids[0].ref == Ref("n", "1") and before.ids[0] not in after.ids
