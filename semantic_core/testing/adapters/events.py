"""Checks of capture="events": the signals of the ORM itself, for databases without triggers.

Tested by tests/orm/test_adapter_kit.py and tests/orm/test_adapter_kit_bites.py.
"""

from __future__ import annotations

from semantic_core.testing.adapters.harness import Capability
from semantic_core.testing.adapters.kit import Bench, scenario
from semantic_core.testing.check import same, same_fields


@scenario(Capability.EVENTS)
def what_the_orm_reports_is_indexed(bench: Bench) -> None:
    """Rows that are created, changed and deleted one by one through the ORM are indexed without a
    trigger.
    """
    index = bench.index(capture="events")
    bench.articles(1, 2)
    texts = {"1": "t1|text 1", "2": "t2|text 2"}
    same(bench.settled(index), texts, "the index after two creations")
    bench.update("article", 1, content="changed")
    bench.delete("article", 2)
    texts = {"1": "t1|changed"}
    same(bench.settled(index), texts, "the index after an update and a deletion")
    same_fields(index.status(), "status", capture="events", capturing=True)


@scenario(Capability.EVENTS)
def a_rollback_is_heard_too(bench: Bench) -> None:
    """An event writes its pending change in the transaction of the row. A rollback removes both."""
    index = bench.index(capture="events")
    bench.articles(1)
    bench.settle(index)
    with bench.rolled_back():
        bench.articles(2)
        bench.update("article", 1, content="never was")
    same(bench.pending_changes(), 0, "pending changes after a rollback")
    with bench.transaction():
        bench.articles(3)
        same(bench.pending_changes(), 1, "pending changes within a transaction, as it sees them")
    same(bench.settled(index), {"1": "t1|text 1", "3": "t3|text 3"}, "the index")


@scenario(Capability.EVENTS)
def events_are_heard_once(bench: Bench) -> None:
    """A save gives one pending change even if the index is installed twice, and none after it is
    uninstalled.
    """
    index = bench.index(capture="events")
    index.install()
    bench.articles(1)
    same(bench.pending_changes(), 1, "pending changes of one save")
    bench.settle(index)
    index.uninstall()
    bench.update("article", 1, content="unheard")
    same(bench.pending_changes(), 0, "pending changes of a save after uninstall")
    same_fields(index.status(), "status after uninstall", capturing=False)


@scenario(Capability.EVENTS)
def triggers_and_events_take_turns(bench: Bench) -> None:
    """An index that changes from events to triggers, or back, uses only one of them: no change is
    recorded twice, and none is missed.
    """
    index = bench.index(capture="events")
    bench.articles(1)
    bench.settle(index)
    index.uninstall()
    triggers = bench.index(core=bench.restarted(index.core), capture="triggers")
    bench.settle(triggers)
    bench.update("article", 1, content="seen by a trigger")
    same(bench.pending_changes(), 1, "pending changes of one save, with triggers")
    same(bench.settled(triggers), {"1": "t1|seen by a trigger"}, "the index with triggers")
    events = bench.index(core=bench.restarted(triggers.core), capture="events")
    bench.update("article", 1, content="seen by an event")
    same(bench.pending_changes(), 1, "pending changes of one save, with events")
    same(bench.settled(events), {"1": "t1|seen by an event"}, "the index with events")


@scenario(Capability.EVENTS)
def a_row_that_changes_hands_is_heard(bench: Bench) -> None:
    """An event has only the present owner of a row. The document of the former owner is removed
    nevertheless.
    """
    index = bench.index("note", tenant="owner", capture="events")
    bench.create("note", id=1, owner="acme", body="the plan")
    same(bench.settled(index, "acme"), {"1": "the plan"}, "the index of acme")
    bench.update("note", 1, owner="beta")
    same(bench.settled(index, "acme"), {}, "the index of the former owner")
    same(bench.texts(index, "beta"), {"1": "the plan"}, "the index of the new owner")
    bench.update("note", 1, owner=None)
    same(bench.settled(index, "acme"), {}, "the index of acme without an owner")
    same(bench.texts(index, "beta"), {}, "the index of beta without an owner")
