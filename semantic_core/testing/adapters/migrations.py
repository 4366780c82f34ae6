"""Checks of migrations: tables are rebuilt or renamed, the outbox is dropped, and an index is bound
before its tables exist.

Tested by tests/orm/test_adapter_kit.py and tests/orm/test_adapter_kit_bites.py.
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
    """If a migration drops the outbox, writes still succeed and are not recorded. When the index is
    bound and installed again, it is corrected.
    """
    index = bench.index(source_fields=["content"])
    bench.articles(1, 2)
    bench.settle(index)
    with _warnings() as logged:
        bench.sql("DROP TABLE semantic_outbox")
        bench.articles(3)
        bench.update("article", 1, content="unseen")
    for line in logged:
        expect("Traceback" not in line, f"expected no traceback in the log, found {line}")
    again = bench.index(core=bench.restarted(index.core), source_fields=["content"])
    bench.articles(4)
    found = bench.settled(again)
    wanted = {"1": "unseen", "2": "text 2", "3": "text 3", "4": "text 4"}
    same(found, wanted, "the index in the end")
    bench.is_sound(again)


@scenario(Capability.SQL, Capability.RELATED)
def a_table_that_is_rebuilt_is_followed(bench: Bench) -> None:
    """The index follows a table that a migration rebuilds: on SQLite with copy, drop and rename,
    elsewhere with two renames.
    """
    index = bench.index(source_fields=["content", "author.name"])
    bench.create("author", id=7, name="Ann")
    bench.articles(1, author_id=7)
    bench.settle(index)
    if index.dialect == "sqlite":
        tables = "SELECT sql FROM sqlite_master WHERE type = 'table'"
        ((definition,),) = bench.sql(f"{tables} AND name = 'kit_article'")
        bench.sql(str(definition).replace("kit_article", "kit_new", 1))
        bench.sql("INSERT INTO kit_new SELECT * FROM kit_article")
        bench.sql("DROP TABLE kit_article")
    else:
        bench.sql("ALTER TABLE kit_article RENAME TO kit_new")
    bench.sql("ALTER TABLE kit_new RENAME TO kit_article")
    same(index.status().capturing, True, "status after the migration: capturing")
    bench.articles(2)
    bench.update("author", 7, name="Bea")
    same(bench.settled(index), {"1": "text 1\n\nBea", "2": "text 2"}, "the index in the end")
    bench.is_sound(index)


@scenario()
def missing_triggers_are_reported(bench: Bench) -> None:
    """While the triggers of an index are missing, `verify` and the status report that changes are
    not recorded. `install` creates them and looks at every row.
    """
    index = bench.index(source_fields=["content"], sync="inline")
    bench.articles(1)
    bench.settle(index)
    same(index.search("text").degraded, False, "degraded, with triggers")
    remove_triggers(index.execute, index.dialect)
    report = index.verify()
    same(report.sound, False, "verify without triggers: sound")
    reason = report.comparing
    expect("triggers" in reason, f"verify: comparing: expected `triggers`, found {reason!r}.")
    same(index.status().capturing, False, "status without triggers: capturing")
    bench.articles(2)
    index.install()
    same(bench.settled(index), {"1": "text 1", "2": "text 2"}, "the index in the end")
    bench.is_sound(index)
    same(index.search("text").degraded, False, "degraded, in the end")


@scenario()
def nothing_is_logged_before_there_is_an_outbox(bench: Bench) -> None:
    """Before the first migration an index is bound and not installed. Commits succeed, and nothing
    is logged.
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
    with _warnings() as logged:
        bench.create("note", id=1, body="before")
    same(logged, [], "warnings in the log")
    index.install()
    bench.create("note", id=2, body="after")
    index.sync()
    same(bench.texts(index), {"1": "before", "2": "after"}, "the index after install")
    index.uninstall()


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """Within this block, the warnings and errors that are logged, with their tracebacks."""
    logged: list[str] = []
    handler = logging.Handler(logging.WARNING)
    formatter = logging.Formatter()

    def emit(record: logging.LogRecord) -> None:
        logged.append(formatter.format(record))

    handler.emit = emit  # type: ignore[method-assign]
    log = logging.getLogger("semantic_core.orm")
    log.addHandler(handler)
    try:
        yield logged
    finally:
        log.removeHandler(handler)
