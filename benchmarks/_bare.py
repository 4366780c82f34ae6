"""Bare SQLite beside the store: an APSW connection and `executemany`, nothing else.

Two measures of it. *By hand*: two tables as one would write them down for a search, with one index
each. *The same rows*: the very rows the store has written, read back from its file, into tables
with all the columns and indexes they have there; nothing derived from them (words, filters, codes),
nothing checked, summed up or compared. Both with WAL, synchronous FULL, 16 KB pages, the log
emptied as often as the store's, and as many documents a transaction.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import apsw
import attrs

from benchmarks._workbench import PER_DOCUMENT
from semantic_core import Document, Entry

SETTINGS = """
pragma page_size = 16384;
pragma journal_mode = wal;
pragma synchronous = full;
pragma cache_size = -65536;
pragma wal_autocheckpoint = 4000;
"""
BY_HAND = """
create table document (
  id integer primary key, collection text, key text, title text, text text, media_type text,
  metadata text, unique (collection, key));
create table chunk (
  id integer primary key, document integer, position integer, kind text, start integer,
  "end" integer, headings text, text text, passage text, fingerprint text, vector blob);
create index chunk_document on chunk (document, position);
"""
WORDS = (
    "create virtual table words using fts5(passage, content = '', contentless_delete = "
    "1, tokenize = 'porter');"
)
PREFIX = "semantic_index_"
"""What the names of the store's tables begin with."""
TRUTH = (f"{PREFIX}document", f"{PREFIX}chunk")
"""Tables of the store whose rows cannot be made from others."""
STEPS = {
    "rows of documents and chunks": ("document", "chunk", "removal"),
    "filters": ("attribute",),
    "codes of vectors": ("segment", "segment_change", "slot", "home", "vector_state"),
    "words": ("words",),
    "commit": ("commit",),
}
"""What a statement of the store belongs to, by the name of its table without the prefix."""


def made(path: Path, *statements: str) -> Any:
    """A new file with these tables."""
    connection = apsw.Connection(str(path))
    for statement in (SETTINGS, *statements):
        for _ in connection.execute(statement):
            continue
    return connection


def write(
    connection: Any,
    documents: Sequence[Any],
    chunks: Sequence[Any],
    *,
    words: bool = False,
    instead_of: int | None = None,
) -> None:
    """One transaction into tables made by hand.
    instead_of: the number of a document that goes in it.
    """
    connection.execute("begin immediate")
    if instead_of is not None:
        connection.execute("delete from chunk where document = ?", (instead_of,))
        connection.execute("delete from document where id = ?", (instead_of,))
    connection.executemany("insert into document values (?,?,?,?,?,?,?)", documents)
    connection.executemany("insert into chunk values (?,?,?,?,?,?,?,?,?,?,?)", chunks)
    if words:
        connection.executemany(
            "insert into words (rowid, passage) values (?,?)", [(row[0], row[8]) for row in chunks]
        )
    connection.execute("commit")


def rows_of(
    batch: Sequence[tuple[Document, Sequence[Entry]]], first: int
) -> tuple[list[Any], list[Any]]:
    """The content of a batch as plain tuples, for tables made by hand; numbers from `first` on."""
    documents, chunks = [], []
    for row, (document, entries) in enumerate(batch, first):
        held = (
            document.title,
            document.text,
            document.media_type,
            json.dumps(dict(document.metadata)),
        )
        documents.append((row, document.ref.collection, document.ref.key, *held))
        for entry in entries:
            chunk = entry.chunk
            position = chunk.id.position
            place = (
                row * PER_DOCUMENT + position,
                row,
                position,
                chunk.kind,
                chunk.start,
                chunk.end,
            )
            vector = None if entry.vector is None else entry.vector.tobytes()
            chunks.append(
                (
                    *place,
                    json.dumps(chunk.headings),
                    chunk.text,
                    entry.passage,
                    entry.fingerprint,
                    vector,
                )
            )
    return documents, chunks


@attrs.frozen
class SameRows:
    """What a store has written of `TRUTH`. tables: statements that make them.
    rows: by table, in order.
    """

    tables: tuple[str, ...]
    inserts: dict[str, str]
    rows: dict[str, list[tuple[Any, ...]]]

    @classmethod
    def of(cls, path: Path) -> SameRows:
        """Those of a store that is closed."""
        held = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        made_by = [
            sql
            for table in TRUTH
            for (sql,) in held.execute(
                "select sql from sqlite_schema where tbl_name = ? and sql is not null", (table,)
            )
        ]
        inserts, rows = {}, {}
        for table in TRUTH:
            # No computed ones.
            columns = ", ".join(
                f'"{name}"' for _, name, *_ in held.execute(f"pragma table_info({table})")
            )
            marks = ", ".join("?" * (columns.count(",") + 1))
            inserts[table] = f"insert into {table} ({columns}) values ({marks})"
            rows[table] = held.execute(f"select {columns} from {table} order by id").fetchall()
        held.close()
        return cls(tuple(made_by), inserts, rows)

    def written(self, path: Path, group: int) -> float:
        """Seconds to write all of them into a new file, so many documents a transaction."""
        connection = made(path, *self.tables)
        documents, chunks = (self.rows[table] for table in TRUTH)
        pieces = [
            (
                documents[first : first + group],
                chunks[first * PER_DOCUMENT : (first + group) * PER_DOCUMENT],
            )
            for first in range(0, len(documents), group)
        ]
        started = perf_counter()
        for some, of_these in pieces:
            connection.execute("begin immediate")
            connection.executemany(self.inserts[TRUTH[0]], some)
            connection.executemany(self.inserts[TRUTH[1]], of_these)
            connection.execute("commit")
        spent = perf_counter() - started
        connection.close()
        return spent


@contextmanager
def watched() -> Iterator[Counter[str]]:
    """Seconds SQLite spends on each of STEPS, in all connections opened within it,
    as SQLite tells them itself.

    It tells single statements to the millisecond only; the sum over thousands is right.
    """
    spent: Counter[str] = Counter()
    step_of = {table: step for step, tables in STEPS.items() for table in tables}

    def note(event: dict[str, Any]) -> None:
        words = (event["sql"] or "").split(maxsplit=3)
        table = (
            words[2]
            if words[:1] in (["insert"], ["delete"], ["replace"])
            else words[1]
            if len(words) > 1
            else words[0]
        )
        spent[step_of.get(table.removeprefix(PREFIX), "questions")] += event["nanoseconds"] / 1e9

    def watch(connection: Any) -> None:
        connection.trace_v2(apsw.SQLITE_TRACE_PROFILE, note)

    apsw.connection_hooks.append(watch)
    try:
        yield spent
    finally:
        apsw.connection_hooks.remove(watch)
