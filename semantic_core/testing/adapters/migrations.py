"""What migrations do: tables are made anew or renamed, the outbox is dropped, an index is bound
before there is anything.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from semantic_core.orm.dialects import TABLES
from semantic_core.orm.migrations import remove_triggers
from semantic_core.testing.adapters.harness import Capability
from semantic_core.testing.adapters.kit import SOURCES, Bench, scenario
from semantic_core.testing.check import expect, same


@scenario(Capability.SQL)
def a_write_succeeds_though_the_outbox_was_dropped(bench: Bench) -> None:
    """A migration drops it through the ORM; writes go on, unseen.

    Bound and installed again, the index is sound.
    """
    index = bench.index(source_fields=["content"])
    bench.articles(1, 2)
    bench.settle(index)
    with _warnings() as said:
        bench.sql("DROP TABLE semantic_outbox")
        bench.articles(3)
        bench.update("article", 1, content="unseen")
    same([line for line in said if "Traceback" in line], [], "what is logged with a traceback")
    again = bench.index(core=bench.restarted(index.core), source_fields=["content"])
    bench.articles(4)
    found = bench.settled(again)
    same(
        found, {"1": "unseen", "2": "text 2", "3": "text 3", "4": "text 4"}, "the index in the end"
    )
    same(again.verify().sound, True, "whether it is sound")


@scenario(Capability.SQL, Capability.RELATED)
def a_table_that_is_rebuilt_is_followed(bench: Bench) -> None:
    """The way SQLite's migrations go: copy, drop, rename;
    elsewhere the table is renamed and comes back.
    """
    index = bench.index(source_fields=["content", "author.name"])
    bench.create("author", id=7, name="Ann")
    bench.articles(1, author_id=7)
    bench.settle(index)
    if index.dialect == "sqlite":
        definition = str(
            bench.sql(
                "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = 'kit_article'"
            )[0][0]
        )
        bench.sql(definition.replace("kit_article", "kit_anew", 1))
        bench.sql("INSERT INTO kit_anew SELECT * FROM kit_article")
        bench.sql("DROP TABLE kit_article")
        bench.sql("ALTER TABLE kit_anew RENAME TO kit_article")
    else:
        bench.sql("ALTER TABLE kit_article RENAME TO kit_anew")
        bench.sql("ALTER TABLE kit_anew RENAME TO kit_article")
    same(index.status().capturing, True, "whether it captures after the migration")
    bench.articles(2)
    bench.update("author", 7, name="Bea")
    same(bench.settled(index), {"1": "text 1\n\nBea", "2": "text 2"}, "the index in the end")
    same(index.verify().sound, True, "whether it is sound")


@scenario()
def missing_triggers_are_reported(bench: Bench) -> None:
    """Somebody took the triggers away: until they are back, every answer says that changes go
    unseen. `install` looks at every row.
    """
    index = bench.index(source_fields=["content"], sync="inline")
    bench.articles(1)
    bench.settle(index)
    same(index.search("text").degraded, False, "whether an answer is degraded before")
    remove_triggers(index.execute, index.dialect)
    said = index.verify()
    same(said.sound, False, "whether an index without triggers is sound")
    expect("triggers" in said.comparing, f"comparing: expected triggers, found {said.comparing!r}.")
    same(index.status().capturing, False, "whether its status says that it captures")
    bench.articles(2)
    index.install()
    same(bench.settled(index), {"1": "text 1", "2": "text 2"}, "the index in the end")
    same(index.verify().sound, True, "whether it is sound")
    same(index.search("text").degraded, False, "whether an answer is degraded in the end")


@scenario()
def nothing_is_logged_before_there_is_an_outbox(bench: Bench) -> None:
    """Bound and not installed yet, as in a first migration: commits are heard,
    and nothing is logged or fails.
    """
    core = bench.core()
    index = bench.harness.adapter.bind(
        bench.model("note"),
        core,
        adapter_options=bench.harness.options,
        source_fields=SOURCES["note"],
        sync="inline",
    )
    if index.coordinator.outbox.exists():
        for table in TABLES:
            bench.sql(f"DROP TABLE {table}")
    with _warnings() as said:
        bench.create("note", id=1, body="before")
    same(said, [], "what is logged")
    index.install()
    bench.create("note", id=2, body="after")
    index.sync()
    same(bench.texts(index), {"1": "before", "2": "after"}, "the index once it is installed")
    index.uninstall()


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """What is logged as a warning or worse within it; a traceback is in its text."""
    said: list[str] = []
    handler = logging.Handler(logging.WARNING)
    formatter = logging.Formatter()

    def emit(record: logging.LogRecord) -> None:
        said.append(formatter.format(record))

    handler.emit = emit  # type: ignore[method-assign]
    log = logging.getLogger("semantic_core.orm")
    log.addHandler(handler)
    try:
        yield said
    finally:
        log.removeHandler(handler)
