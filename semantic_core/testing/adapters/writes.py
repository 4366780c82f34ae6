"""Checks of writes: every statement that changes a row is recorded, and a statement that changes
nothing that is indexed costs nothing.

Tested by tests/orm/test_adapter_kit.py and tests/orm/test_adapter_kit_bites.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from semantic_core.testing.adapters.harness import Capability
from semantic_core.testing.adapters.kit import Bench, scenario
from semantic_core.testing.check import same, skip

MANY = 1_050
"""Rows of a change that is larger than what a worker processes at a time."""


@scenario(Capability.BULK)
def rows_inserted_in_bulk_are_seen(bench: Bench) -> None:
    """All rows of a bulk INSERT of the ORM are indexed."""
    index = bench.index()
    rows = [{"id": n, "title": f"t{n}", "content": f"text {n}"} for n in (1, 2, 3)]
    bench.harness.insert_many(bench.model("article"), rows)
    same(bench.settled(index), {"1": "t1|text 1", "2": "t2|text 2", "3": "t3|text 3"}, "the index")


@scenario(Capability.BULK)
def rows_updated_in_bulk_are_seen(bench: Bench) -> None:
    """The rows of a bulk UPDATE of the ORM are indexed again, and no others."""
    index = bench.index()
    bench.articles(1, 2, 3)
    bench.settle(index)
    bench.harness.update_many(bench.model("article"), [1, 3], content="the same for both")
    same(index.status().waiting, 2, "pending changes")
    wanted = {"1": "t1|the same for both", "2": "t2|text 2", "3": "t3|the same for both"}
    same(bench.settled(index), wanted, "the index")


@scenario(Capability.SQL)
def rows_that_replace_evicts_are_seen(bench: Bench) -> None:
    """On SQLite, a row that REPLACE deletes in favour of another one, by whatever unique index,
    leaves the index of its tenant, though no trigger reports its deletion.
    """
    made = "CREATE UNIQUE INDEX kit_body ON kit_note (body)"
    with _on_sqlite(bench, made, "INDEX kit_body", tenant="name"):
        index = bench.index("note", tenant="owner")
        bench.create("note", id=1, owner="acme", body="one")
        bench.create("note", id=2, owner="acme", body="two")
        bench.settle(index)
        bench.sql("REPLACE INTO kit_note (id, owner, body) VALUES (3, 'beta', 'one')")
        bench.sql("REPLACE INTO kit_note (id, owner, body) VALUES (2, 'beta', 'two')")
        same(bench.settled(index, "acme"), {}, "the index of acme, whose rows beta replaced")
        same(bench.texts(index, "beta"), {"3": "one", "2": "two"}, "the index of beta")


@scenario(Capability.SQL)
def triggers_of_the_application_work_as_before(bench: Bench) -> None:
    """On SQLite, a trigger of the application that writes to its own table works as it does without
    an index: it does not fire itself unless the application wants it.
    """
    with _on_sqlite(
        bench,
        "CREATE TRIGGER kit_touch AFTER UPDATE ON kit_note BEGIN UPDATE kit_note "
        "SET body = NEW.body || '!' WHERE id = NEW.id; END",
        "TRIGGER kit_touch",
        before=False,
    ) as make:
        index = bench.index("note")
        bench.create("note", id=1, body="one")
        make()
        bench.update("note", 1, body="two")
        same(bench.settled(index), {"1": "two!"}, "the index")


@contextmanager
def _on_sqlite(
    bench: Bench, made: str, what: str, *, before: bool = True, **options: Any
) -> Iterator[Callable[[], object]]:
    """A block with another trigger or index in a SQLite database, which is dropped in the end.
    Skips the rule for other databases.

    made: the statement that creates it. what: its kind and name. before: whether it is created
    before the block; otherwise the function that the block gets creates it. options: of an index
    with tenants, if the block has one.
    """
    if bench.index("author", **options).dialect != "sqlite":
        skip("This rule is about SQLite.")
    if before:
        bench.sql(made)
    try:
        yield partial(bench.sql, made)
    finally:
        bench.sql(f"DROP {what}")


@scenario(Capability.BULK)
def rows_deleted_in_bulk_are_seen(bench: Bench) -> None:
    """The rows of a bulk DELETE of the ORM leave the index."""
    index = bench.index()
    bench.articles(1, 2, 3)
    bench.settle(index)
    bench.harness.delete_many(bench.model("article"), [1, 2])
    same(bench.settled(index), {"3": "t3|text 3"}, "the index")


@scenario(Capability.BULK)
def a_rollback_takes_bulk_statements_along(bench: Bench) -> None:
    """Bulk statements in a transaction that is rolled back change no index."""
    index = bench.index()
    bench.articles(1, 2)
    bench.settle(index)
    with bench.rolled_back():
        bench.harness.insert_many(
            bench.model("article"), [{"id": 3, "title": "t3", "content": "never was"}]
        )
        bench.harness.update_many(bench.model("article"), [1], content="never was")
        bench.harness.delete_many(bench.model("article"), [2])
    same(bench.pending_changes(), 0, "pending changes")
    same(bench.settled(index), {"1": "t1|text 1", "2": "t2|text 2"}, "the index")


@scenario(Capability.SQL)
def sql_past_the_orm_is_seen(bench: Bench) -> None:
    """Rows that plain SQL inserts, changes and deletes are recorded, whichever program runs it."""
    index = bench.index()
    bench.sql(
        "INSERT INTO kit_article (id, title, content) "
        "VALUES (1, 'a', 'one'), (2, 'b', 'two'), (3, 'c', 'three')"
    )
    texts = {"1": "a|one", "2": "b|two", "3": "c|three"}
    same(bench.settled(index), texts, "the index after an INSERT")
    bench.sql("UPDATE kit_article SET content = 'changed' WHERE id < 3")
    bench.sql("DELETE FROM kit_article WHERE id = 2")
    texts = {"1": "a|changed", "3": "c|three"}
    same(bench.settled(index), texts, "the index after UPDATE and DELETE")


@scenario(Capability.SQL)
def rows_inserted_from_a_query_are_seen(bench: Bench) -> None:
    """Every row of an INSERT ... SELECT is recorded."""
    index = bench.index()
    bench.articles(1, 2)
    bench.sql(
        "INSERT INTO kit_article (id, title, content) "
        "SELECT id + 10, title, 'copied' FROM kit_article"
    )
    wanted = {"1": "t1|text 1", "2": "t2|text 2", "11": "t1|copied", "12": "t2|copied"}
    same(bench.settled(index), wanted, "the index")


@scenario(Capability.SQL)
def sql_in_a_transaction_shares_its_fate(bench: Bench) -> None:
    """Plain statements and saved rows of one transaction are indexed together, or not at all."""
    index = bench.index()
    with bench.rolled_back():
        bench.sql("INSERT INTO kit_article (id, title, content) VALUES (1, 'a', 'never was')")
        bench.articles(2)
    same(bench.pending_changes(), 0, "pending changes after a rollback")
    with bench.transaction():
        bench.sql("INSERT INTO kit_article (id, title, content) VALUES (1, 'a', 'one')")
        bench.articles(2)
        bench.sql("UPDATE kit_article SET content = 'two' WHERE id = 2")
    same(bench.settled(index), {"1": "a|one", "2": "t2|two"}, "the index after a commit")


@scenario(Capability.UPSERT)
def an_upsert_is_seen(bench: Bench) -> None:
    """An insert-or-update is indexed, whether it inserts or updates. One that changes nothing gives
    no pending change.
    """
    index = bench.index()
    bench.harness.upsert(bench.model("article"), id=1, title="a", content="one")
    same(bench.settled(index), {"1": "a|one"}, "the index after it inserted")
    bench.harness.upsert(bench.model("article"), id=1, title="a", content="two")
    same(bench.settled(index), {"1": "a|two"}, "the index after it updated")
    bench.harness.upsert(bench.model("article"), id=1, title="a", content="two")
    same(bench.pending_changes(), 0, "pending changes after it changed nothing")


@scenario()
def a_row_that_was_deleted_can_come_back(bench: Bench) -> None:
    """A key that is used again has the text of its new row, whether the deletion of the old row was
    processed before or not.
    """
    index = bench.index()
    bench.articles(1, 2)
    bench.settle(index)
    bench.delete("article", 1)
    bench.settle(index)
    bench.articles(1, content="came back")
    bench.delete("article", 2)
    bench.articles(2, content="at once")
    same(bench.settled(index), {"1": "t1|came back", "2": "t2|at once"}, "the index")


@scenario()
def a_row_that_is_gone_before_anyone_looked_is_not_there(bench: Bench) -> None:
    """A row that is created and deleted before changes are processed is not indexed, in one
    transaction or in two.
    """
    index = bench.index()
    with bench.transaction():
        bench.articles(1)
        bench.delete("article", 1)
    bench.articles(2)
    bench.delete("article", 2)
    same(bench.settled(index), {}, "the index")
    same(bench.pending_changes(), 0, "pending changes that are left")


@scenario()
def many_changes_of_a_row_are_one_piece_of_work(bench: Bench) -> None:
    """A row that changed five times is read and embedded once, with its present values."""
    index = bench.index(source_fields=["content"])
    bench.articles(1)
    for number in range(5):
        bench.update("article", 1, content=f"version {number}")
    same(bench.settled(index), {"1": "version 4"}, "the index")
    same(bench.embedder.texts, ["version 4"], "passages that were embedded")


@scenario()
def an_edit_of_another_field_costs_nothing(bench: Bench) -> None:
    """A change of fields that the index does not read gives no pending change, and nothing is
    embedded.
    """
    index = bench.index()
    bench.articles(1, 2)
    bench.settle(index)
    calls = bench.embedder.calls
    bench.update("article", 1, stars=5)
    with bench.transaction():
        bench.update("article", 2, stars=4, hidden=True)
    same(bench.pending_changes(), 0, "pending changes")
    bench.settle(index)
    same(bench.embedder.calls, calls, "calls of the embedder")


@scenario()
def a_save_without_a_change_costs_nothing(bench: Bench) -> None:
    """A row that is saved with the values it had gives no pending change."""
    index = bench.index(metadata_fields=["stars", "author"])
    bench.articles(1, stars=3)
    bench.settle(index)
    bench.update("article", 1, title="t1", content="text 1", stars=3)
    same(bench.pending_changes(), 0, "pending changes")


@scenario()
def a_change_of_letter_case_is_a_change(bench: Bench) -> None:
    """Values are compared byte by byte, whatever the collation of the database takes as equal."""
    index = bench.index(source_fields=["content"], metadata_fields=["title"])
    bench.create("article", id=1, title="Resume", content="some text")
    bench.settle(index)
    for title in ("RESUME", "R\u00e9sum\u00e9", "R\u00e9sum\u00e9 "):
        bench.update("article", 1, title=title)
        bench.settle(index)
        same(bench.held(index)["1"].metadata["title"], title, "the title in the index")


@scenario()
def odd_texts_arrive_as_they_are(bench: Bench) -> None:
    """Quotes, percent signs, backslashes, markup, other scripts and long texts are data, never
    syntax.
    """
    texts = [
        'it\'s "quoted" `here`',
        "100% of %s and %(name)s and {name} and $1 and ?",
        "C:\\new\\table \\' end\\",
        "'); DROP TABLE kit_article; --",
        "<b>bold</b> & <!-- hidden -->",
        (
            "\u65e5\u672c\u8a9e \u0440\u0443\u0441\u0441\u043a\u0438\u0439 "
            "\u05e2\u05d1\u05e8\u05d9\u05ea e\u0301 \U0001f600"
        ),
        "line one\nline two\n\n\ttabbed",
        "word " * 5_000 + "end",
    ]
    index = bench.index(source_fields=["content"])
    wanted: dict[str, str] = {}
    for number, text in enumerate(texts, 1):
        wanted[str(number)] = text
        bench.create("article", id=number, title="", content=text)
    same(bench.settled(index), wanted, "the index")
    same(bench.pending_changes(), 0, "pending changes that are left")


@scenario()
def a_change_of_many_rows_is_processed_whole(bench: Bench) -> None:
    """A change of more rows than a worker processes at a time is processed whole: all rows are
    indexed, and all deleted rows are removed.
    """
    index = bench.index(source_fields=["content"])
    with bench.transaction():
        for number in range(1, MANY + 1):
            bench.create("article", id=number, title="", content="short")
    bench.settle(index)
    same(len(bench.held(index)), MANY, "documents after so many rows were written")
    bench.sql("DELETE FROM kit_article WHERE id > 3")
    same(sorted(bench.settled(index)), ["1", "2", "3"], "keys in the index")


@scenario(Capability.TRUNCATE)
def a_truncate_empties_the_index(bench: Bench) -> None:
    """TRUNCATE removes all documents. Rows that are written afterwards are indexed, also before it
    was processed.
    """
    index = bench.index()
    bench.articles(1, 2, 3)
    bench.settle(index)
    bench.sql("TRUNCATE TABLE kit_article CASCADE")
    bench.articles(2, content="a new one")
    bench.settle(index)
    same(bench.settled(index), {"2": "t2|a new one"}, "the index")
    with bench.rolled_back():
        bench.sql("TRUNCATE TABLE kit_article CASCADE")
    texts = bench.settled(index)
    same(texts, {"2": "t2|a new one"}, "the index after a TRUNCATE that was rolled back")
