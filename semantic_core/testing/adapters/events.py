"""capture="events": what the ORM itself tells, for databases without triggers."""

from __future__ import annotations

from semantic_core.testing.adapters.harness import Capability
from semantic_core.testing.adapters.kit import Bench, scenario
from semantic_core.testing.check import same


@scenario(Capability.EVENTS)
def what_the_orm_reports_is_indexed(bench: Bench) -> None:
    """Rows that are created, changed and deleted through the ORM, one by one,
    are followed without a trigger.
    """
    index = bench.index(capture="events")
    bench.articles(1, 2)
    same(
        bench.settled(index),
        {"1": "t1|text 1", "2": "t2|text 2"},
        "the index after two were created",
    )
    bench.update("article", 1, content="changed")
    bench.delete("article", 2)
    same(
        bench.settled(index), {"1": "t1|changed"}, "the index after one was changed and one deleted"
    )
    same(
        (index.status().capture, index.status().capturing),
        ("events", True),
        "capture, and whether it captures",
    )


@scenario(Capability.EVENTS)
def a_rollback_is_heard_too(bench: Bench) -> None:
    """Events write their tickets into the transaction of the row: rolled back,
    they were never written.
    """
    index = bench.index(capture="events")
    bench.articles(1)
    bench.settle(index)
    with bench.rolled_back():
        bench.articles(2)
        bench.update("article", 1, content="never was")
    same(bench.tickets(), 0, "tickets after a rollback")
    with bench.transaction():
        bench.articles(3)
        same(bench.tickets(), 1, "tickets within a transaction, as it sees them")
    same(bench.settled(index), {"1": "t1|text 1", "3": "t3|text 3"}, "the index")


@scenario(Capability.EVENTS)
def events_are_heard_once(bench: Bench) -> None:
    """Installed twice, a save leaves one ticket; uninstalled, none."""
    index = bench.index(capture="events")
    index.install()
    bench.articles(1)
    same(bench.tickets(), 1, "tickets of one save")
    bench.settle(index)
    index.uninstall()
    bench.update("article", 1, content="unheard")
    same(
        (bench.tickets(), index.status().capturing),
        (0, False),
        "tickets of a save after that, and whether it captures",
    )


@scenario(Capability.EVENTS)
def triggers_and_events_take_turns(bench: Bench) -> None:
    """An index that changes from one to the other has only that one at work:
    nothing is noted twice, nothing missed.
    """
    index = bench.index(capture="events")
    bench.articles(1)
    bench.settle(index)
    index.uninstall()
    triggers = bench.index(core=bench.restarted(index.core), capture="triggers")
    bench.settle(triggers)
    bench.update("article", 1, content="seen by a trigger")
    same(bench.tickets(), 1, "tickets of one save, with triggers")
    same(bench.settled(triggers), {"1": "t1|seen by a trigger"}, "the index with triggers")
    events = bench.index(core=bench.restarted(triggers.core), capture="events")
    bench.update("article", 1, content="told by an event")
    same(bench.tickets(), 1, "tickets of one save, with events")
    same(bench.settled(events), {"1": "t1|told by an event"}, "the index with events")


@scenario(Capability.EVENTS)
def a_row_that_changes_hands_is_heard(bench: Bench) -> None:
    """An event tells the owner of now; the document leaves the tenant it was put
    at nevertheless.
    """
    index = bench.index("note", tenant="owner", capture="events")
    bench.create("note", id=1, owner="acme", body="the plan")
    same(bench.settled(index, "acme"), {"1": "the plan"}, "the index of acme")
    bench.update("note", 1, owner="beta")
    same(
        (bench.settled(index, "acme"), bench.texts(index, "beta")),
        ({}, {"1": "the plan"}),
        "acme and beta",
    )
    bench.update("note", 1, owner=None)
    same(
        (bench.settled(index, "acme"), bench.texts(index, "beta")),
        ({}, {}),
        "both after it became nobody's",
    )
