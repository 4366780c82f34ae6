"""Checks of the life of an index: install, changed declarations, uninstall, status, pauses and
background sync.

Tested by tests/orm/test_adapter_kit.py and tests/orm/test_adapter_kit_bites.py.
"""

from __future__ import annotations

from semantic_core.errors import ConfigError
from semantic_core.testing.adapters.harness import Capability
from semantic_core.testing.adapters.kit import Bench, scenario
from semantic_core.testing.check import expect, raises, same, same_fields


@scenario()
def installing_again_changes_nothing(bench: Bench) -> None:
    """A second install changes nothing: no row is recorded again, and an update gives one pending
    change.
    """
    index = bench.index()
    bench.articles(1, 2)
    bench.settle(index)
    same(index.install(), False, "whether install changed anything")
    same(index.install(), False, "whether another install changed anything")
    same_fields(index.status(), "status", capturing=True, backfill=0, waiting=0)
    bench.update("article", 1, content="changed")
    same(bench.pending_changes(), 1, "pending changes of one update")


@scenario()
def an_index_that_is_uninstalled_leaves_the_table_alone(bench: Bench) -> None:
    """After `uninstall` writes go on without the index. Its documents stay, its pending changes are
    removed. Installed again, it indexes what changed.
    """
    index = bench.index()
    bench.articles(1, 2)
    bench.settle(index)
    bench.articles(3)
    index.uninstall()
    same(bench.pending_changes(), 0, "pending changes after uninstall")
    same_fields(index.status(), "status after uninstall", capturing=False)
    bench.update("article", 1, content="unseen")
    bench.delete("article", 2)
    same(bench.pending_changes(), 0, "pending changes after more writes")
    same(sorted(bench.texts(index)), ["1", "2"], "keys in the index after more writes")
    index.uninstall()
    same(index.install(), True, "whether installing again changes anything")
    same(bench.settled(index)["1"], "t1|unseen", "a row that changed while uninstalled")
    index.reindex()
    same(bench.settled(index), {"1": "t1|unseen", "3": "t3|text 3"}, "the index in the end")


@scenario()
def a_declaration_that_changed_is_taken_up(bench: Bench) -> None:
    """After a restart with other fields all rows are indexed again, and changes of these fields are
    recorded.
    """
    index = bench.index(source_fields=["content"])
    bench.create("article", id=1, title="Loops", content="repeat", stars=3)
    bench.settle(index)
    core = bench.restarted(index.core)
    changed = bench.index(core=core, source_fields=["title"], metadata_fields=["stars"])
    same(changed.status().backfill, 1, "rows of the backfill")
    same(bench.settled(changed), {"1": "Loops"}, "the index with the new declaration")
    bench.update("article", 1, content="nobody reads it any more")
    same(bench.pending_changes(), 0, "pending changes of a field that is not read any more")
    bench.update("article", 1, stars=4)
    same(bench.pending_changes(), 1, "pending changes of a field that is read now")
    bench.settle(changed)
    same(dict(bench.held(changed)["1"].metadata), {"stars": 4}, "metadata")


@scenario()
def a_restart_changes_nothing(bench: Bench) -> None:
    """A new process with the same declaration indexes no row again, and processes the pending
    changes that the last process left.
    """
    index = bench.index()
    bench.articles(1, 2)
    bench.settle(index)
    bench.update("article", 1, content="left for later")
    again = bench.index(core=bench.restarted(index.core))
    same_fields(again.status(), "status", backfill=0, waiting=1)
    same(bench.settled(again), {"1": "t1|left for later", "2": "t2|text 2"}, "the index")


@scenario()
def the_status_reports_the_progress(bench: Bench) -> None:
    """The status counts pending changes, with the time of the oldest, and no processed changes."""
    index = bench.index()
    bench.articles(1, 2)
    status = index.status()
    same_fields(status, "status", waiting=2, taken=0, aborted=0, last_error="")
    same_fields(status, "status", sync="manual", paused=False, capturing=True)
    expect(
        status.oldest is not None and status.oldest > 1_000_000_000,
        f"status: oldest: expected a time in seconds, found {status.oldest}.",
    )
    bench.settle(index)
    same_fields(index.status(), "status after a sync", waiting=0, oldest=None)


@scenario()
def a_pause_holds_changes_back(bench: Bench) -> None:
    """Within ``pause()`` an inline index does not change. Afterwards all changes are processed at
    once.
    """
    index = bench.index(sync="inline")
    bench.articles(1)
    with index.pause():
        bench.articles(2)
        with index.pause():
            bench.update("article", 1, content="changed")
        bench.articles(3)
        same(sorted(bench.texts(index)), ["1"], "keys within the pause")
        same_fields(index.status(), "status within the pause", paused=True, waiting=3)
    texts = {"1": "t1|changed", "2": "t2|text 2", "3": "t3|text 3"}
    same(bench.texts(index), texts, "the index after the pause")


@scenario(Capability.THREADS)
def an_index_in_the_background_follows(bench: Bench) -> None:
    """With sync="background" another thread processes changes. ``fresh=True`` waits for it."""
    index = bench.index(sync="background")
    bench.articles(*range(1, 21))
    with bench.rolled_back():
        bench.articles(50)
    found = index.search("text", limit=50, fresh=True, timeout=30)
    same(len(found), 20, "number of rows found")
    same(found.waiting, 0, "pending changes of the results")
    index.core.close()


@scenario(Capability.THREADS)
def several_processes_may_install_at_once(bench: Bench) -> None:
    """Installing an index in several threads at once is the same as installing it once."""
    index = bench.index()
    index.uninstall()
    bench.articles(1, 2)
    bench.in_threads(index.install, index.install, index.install)
    same(index.capturing, True, "whether it captures")
    bench.articles(3)
    same(sorted(bench.settled(index)), ["1", "2", "3"], "keys in the index")
    bench.update("article", 3, content="changed")
    same(bench.pending_changes(), 1, "pending changes of one update")


@scenario(Capability.SECOND_DATABASE)
def two_databases_are_two_worlds(bench: Bench) -> None:
    """One core may have indexes of two databases. Each has its own rows and pending changes. One
    sync processes both.
    """
    first = bench.index()
    other = bench.second()
    with raises(ConfigError, "a second database whose rows have the addresses of the first one's"):
        other.index(core=first.core)
    second = other.index(core=first.core, collection="elsewhere")
    bench.articles(1, 2)
    other.articles(2, 3, content="of the other")
    same(first.status().waiting, 2, "pending changes of the first database")
    same(second.status().waiting, 2, "pending changes of the second database")
    apart = Capability.PER_DATABASE not in bench.harness.limits
    with bench.rolled_back():
        bench.articles(9)
        if apart:
            other.update("article", 3, content="stays, for it is elsewhere")
    if not apart:
        other.update("article", 3, content="stays, for it is elsewhere")
    first.core.sync()
    same(bench.texts(first), {"1": "t1|text 1", "2": "t2|text 2"}, "the index of the first")
    texts = {"2": "t2|of the other", "3": "t3|stays, for it is elsewhere"}
    same(other.texts(second), texts, "the index of the second")
    other.delete("article", 2)
    same(sorted(bench.settled(first)), ["1", "2"], "keys of the first after a deletion")
    same(sorted(other.settled(second)), ["3"], "keys of the second after a deletion")
    found = [row.content for row in second.search("text of the other", limit=5)]
    same(found, ["stays, for it is elsewhere"], "rows found in the second")
