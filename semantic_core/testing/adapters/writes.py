"""Whatever writes to a table is seen, and what changes nothing that is indexed costs nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from semantic_core.testing.adapters.harness import Capability
from semantic_core.testing.adapters.kit import Bench, scenario
from semantic_core.testing.check import same, skip

MANY = 1_050
"""Rows of a change that is larger than what is worked off at a time."""


@scenario(Capability.BULK)
def rows_inserted_in_bulk_are_seen(bench: Bench) -> None:
    """Rows of one INSERT of the ORM for many are indexed."""
    index = bench.index()
    bench.harness.insert_many(
        bench.model("article"),
        [{"id": n, "title": f"t{n}", "content": f"text {n}"} for n in (1, 2, 3)],
    )
    same(bench.settled(index), {"1": "t1|text 1", "2": "t2|text 2", "3": "t3|text 3"}, "the index")


@scenario(Capability.BULK)
def rows_updated_in_bulk_are_seen(bench: Bench) -> None:
    """Rows of one UPDATE of the ORM for many are indexed anew, and no others."""
    index = bench.index()
    bench.articles(1, 2, 3)
    bench.settle(index)
    bench.harness.update_many(bench.model("article"), [1, 3], content="the same for both")
    same(index.status().waiting, 2, "pending changes")
    wanted = {"1": "t1|the same for both", "2": "t2|text 2", "3": "t3|the same for both"}
    same(bench.settled(index), wanted, "the index")


@scenario(Capability.SQL)
def rows_that_replace_evicts_are_seen(bench: Bench) -> None:
    """On SQLite, a row that REPLACE throws out for another, by whatever unique index, leaves the
    index of the tenant it was of, though no trigger tells of its deletion.
    """
    made = "CREATE UNIQUE INDEX kit_body ON kit_note (body)"
    with _on_sqlite(bench, made, "INDEX kit_body", tenant="name"):
        index = bench.index("note", tenant="owner")
        bench.create("note", id=1, owner="acme", body="one")
        bench.create("note", id=2, owner="acme", body="two")
        bench.settle(index)
        bench.sql("REPLACE INTO kit_note (id, owner, body) VALUES (3, 'beta', 'one')")
        bench.sql("REPLACE INTO kit_note (id, owner, body) VALUES (2, 'beta', 'two')")
        same(
            (bench.settled(index, "acme"), bench.texts(index, "beta")),
            ({}, {"3": "one", "2": "two"}),
            "acme and beta, after beta replaced the rows of acme",
        )


@scenario(Capability.SQL)
def triggers_of_the_application_work_as_before(bench: Bench) -> None:
    """On SQLite, a trigger that writes to the table it is on works as it would without an index: it
    does not set itself off unless the application says so.
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
    bench: Bench, made: str, what: str, *, before: bool = True, **said: Any
) -> Iterator[Callable[[], object]]:
    """With something more in the database; it is dropped in the end. Skips other databases.

    before: it is there in the block; else what the block is given makes it. said: of an index with
    tenants, as those in the block are.
    """
    if bench.index("author", **said).dialect != "sqlite":
        skip("This rule is one of SQLite.")
    if before:
        bench.sql(made)
    try:
        yield lambda: bench.sql(made)
    finally:
        bench.sql(f"DROP {what}")


@scenario(Capability.BULK)
def rows_deleted_in_bulk_are_seen(bench: Bench) -> None:
    """Rows of one DELETE of the ORM for many leave the index."""
    index = bench.index()
    bench.articles(1, 2, 3)
    bench.settle(index)
    bench.harness.delete_many(bench.model("article"), [1, 2])
    same(bench.settled(index), {"3": "t3|text 3"}, "the index")


@scenario(Capability.BULK)
def a_rollback_takes_bulk_statements_along(bench: Bench) -> None:
    """What bulk statements did in a transaction that was rolled back is in no index."""
    index = bench.index()
    bench.articles(1, 2)
    bench.settle(index)
    with bench.rolled_back():
        bench.harness.insert_many(
            bench.model("article"), [{"id": 3, "title": "t3", "content": "never was"}]
        )
        bench.harness.update_many(bench.model("article"), [1], content="never was")
        bench.harness.delete_many(bench.model("article"), [2])
    same(bench.tickets(), 0, "pending changes")
    same(bench.settled(index), {"1": "t1|text 1", "2": "t2|text 2"}, "the index")


@scenario(Capability.SQL)
def sql_past_the_orm_is_seen(bench: Bench) -> None:
    """Rows inserted, changed and deleted by plain statements, as any other program sends them."""
    index = bench.index()
    bench.sql(
        "INSERT INTO kit_article (id, title, content) VALUES (1, 'a', 'one'), (2, 'b', "
        "'two'), (3, 'c', 'three')"
    )
    same(
        bench.settled(index),
        {"1": "a|one", "2": "b|two", "3": "c|three"},
        "the index after an INSERT",
    )
    bench.sql("UPDATE kit_article SET content = 'changed' WHERE id < 3")
    bench.sql("DELETE FROM kit_article WHERE id = 2")
    same(
        bench.settled(index),
        {"1": "a|changed", "3": "c|three"},
        "the index after UPDATE and DELETE",
    )


@scenario(Capability.SQL)
def rows_inserted_from_a_query_are_seen(bench: Bench) -> None:
    """INSERT ... SELECT is seen row by row."""
    index = bench.index()
    bench.articles(1, 2)
    bench.sql(
        "INSERT INTO kit_article (id, title, content) SELECT id + 10, title, 'copied' "
        "FROM kit_article"
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
    same(bench.tickets(), 0, "pending changes after a rollback")
    with bench.transaction():
        bench.sql("INSERT INTO kit_article (id, title, content) VALUES (1, 'a', 'one')")
        bench.articles(2)
        bench.sql("UPDATE kit_article SET content = 'two' WHERE id = 2")
    same(bench.settled(index), {"1": "a|one", "2": "t2|two"}, "the index after a commit")


@scenario(Capability.UPSERT)
def an_upsert_is_seen(bench: Bench) -> None:
    """Insert-or-update is indexed whichever it was; one that changes nothing leaves no ticket."""
    index = bench.index()
    bench.harness.upsert(bench.model("article"), id=1, title="a", content="one")
    same(bench.settled(index), {"1": "a|one"}, "the index after it inserted")
    bench.harness.upsert(bench.model("article"), id=1, title="a", content="two")
    same(bench.settled(index), {"1": "a|two"}, "the index after it updated")
    bench.harness.upsert(bench.model("article"), id=1, title="a", content="two")
    same(bench.tickets(), 0, "tickets after it changed nothing")


@scenario()
def a_row_that_was_deleted_can_come_back(bench: Bench) -> None:
    """A key that is used again has the text of its new row,
    whether the old one was worked off before or not.
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
    """Created and deleted, within one transaction or in two, before changes were worked off:
    nothing is indexed.
    """
    index = bench.index()
    with bench.transaction():
        bench.articles(1)
        bench.delete("article", 1)
    bench.articles(2)
    bench.delete("article", 2)
    same(bench.settled(index), {}, "the index")
    same(bench.tickets(), 0, "pending changes that are left")


@scenario()
def many_changes_of_a_row_are_one_piece_of_work(bench: Bench) -> None:
    """A row that changed five times is read, and embedded, once: as it is now."""
    index = bench.index(source_fields=["content"])
    bench.articles(1)
    for number in range(5):
        bench.update("article", 1, content=f"version {number}")
    same(bench.settled(index), {"1": "version 4"}, "the index")
    same(bench.embedder.texts, ["version 4"], "passages that were embedded")


@scenario()
def an_edit_of_another_field_costs_nothing(bench: Bench) -> None:
    """A change of fields the index does not read leaves no ticket, and nothing is embedded."""
    index = bench.index()
    bench.articles(1, 2)
    bench.settle(index)
    calls = bench.embedder.calls
    bench.update("article", 1, stars=5)
    with bench.transaction():
        bench.update("article", 2, stars=4, hidden=True)
    same(bench.tickets(), 0, "pending changes")
    bench.settle(index)
    same(bench.embedder.calls, calls, "calls of the embedder")


@scenario()
def a_save_without_a_change_costs_nothing(bench: Bench) -> None:
    """A row that is saved with the values it had leaves no ticket."""
    index = bench.index(metadata_fields=["stars", "author"])
    bench.articles(1, stars=3)
    bench.settle(index)
    bench.update("article", 1, title="t1", content="text 1", stars=3)
    same(bench.tickets(), 0, "pending changes")


@scenario()
def a_change_of_letter_case_is_a_change(bench: Bench) -> None:
    """Values are compared to the byte, whatever the database's collation calls equal."""
    index = bench.index(source_fields=["content"], metadata_fields=["title"])
    bench.create("article", id=1, title="Resume", content="some text")
    bench.settle(index)
    for title in ("RESUME", "R\u00e9sum\u00e9", "R\u00e9sum\u00e9 "):
        bench.update("article", 1, title=title)
        bench.settle(index)
        same(bench.held(index)["1"].metadata["title"], title, "the title in the index")


@scenario()
def odd_texts_arrive_as_they_are(bench: Bench) -> None:
    """Quotes, percent signs, backslashes, markup, other scripts, long texts: data, never syntax."""
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
    for number, text in enumerate(texts, 1):
        bench.create("article", id=number, title="", content=text)
    same(
        bench.settled(index),
        {str(number): text for number, text in enumerate(texts, 1)},
        "the index",
    )
    same(bench.tickets(), 0, "pending changes that are left")


@scenario()
def a_change_of_many_rows_is_processed_whole(bench: Bench) -> None:
    """More rows than are worked off at a time, changed and deleted in one statement each,
    are all there, then all gone.
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
    """TRUNCATE takes all documents out; rows written afterwards, before anyone looked, are in."""
    index = bench.index()
    bench.articles(1, 2, 3)
    bench.settle(index)
    bench.sql("TRUNCATE TABLE kit_article CASCADE")
    bench.articles(2, content="a new one")
    bench.settle(index)
    same(bench.settled(index), {"2": "t2|a new one"}, "the index")
    with bench.rolled_back():
        bench.sql("TRUNCATE TABLE kit_article CASCADE")
    same(
        bench.settled(index),
        {"2": "t2|a new one"},
        "the index after a TRUNCATE that was rolled back",
    )
