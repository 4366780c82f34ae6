"""Setting an index up, changing what it says, and taking it away; what is told of it;
when it works by itself.
"""

from __future__ import annotations

from semantic_core.errors import ConfigError
from semantic_core.testing.adapters.harness import Capability
from semantic_core.testing.adapters.kit import Bench, scenario
from semantic_core.testing.check import expect, raises, same


@scenario()
def installing_again_changes_nothing(bench: Bench) -> None:
    """The second install finds all there; no row is noted again, and a change leaves one ticket."""
    index = bench.index()
    bench.articles(1, 2)
    bench.settle(index)
    same([index.install(), index.install()], [False, False], "whether it changed anything")
    status = index.status()
    same(
        (status.capturing, status.backfill, status.waiting),
        (True, 0, 0),
        "capturing, backfill and waiting",
    )
    bench.update("article", 1, content="changed")
    same(bench.tickets(), 1, "tickets of one change")


@scenario()
def an_index_that_is_uninstalled_leaves_the_table_alone(bench: Bench) -> None:
    """Writes go on as if it had never been there; its documents stay, its tickets go.

    Installed again, it catches up.
    """
    index = bench.index()
    bench.articles(1, 2)
    bench.settle(index)
    bench.articles(3)
    index.uninstall()
    same(
        (bench.tickets(), index.status().capturing), (0, False), "tickets, and whether it captures"
    )
    bench.update("article", 1, content="unseen")
    bench.delete("article", 2)
    same(
        (bench.tickets(), sorted(bench.texts(index))),
        (0, ["1", "2"]),
        "tickets after more writes, and keys held",
    )
    index.uninstall()
    same(index.install(), True, "whether installing again changes anything")
    same(bench.settled(index)["1"], "t1|unseen", "a row that changed unseen")
    index.reindex()
    same(bench.settled(index), {"1": "t1|unseen", "3": "t3|text 3"}, "the index in the end")


@scenario()
def a_declaration_that_changed_is_taken_up(bench: Bench) -> None:
    """After a restart with other fields all rows are noted,
    and from then on those fields are listened to.
    """
    index = bench.index(source_fields=["content"])
    bench.create("article", id=1, title="Loops", content="repeat", stars=3)
    bench.settle(index)
    changed = bench.index(
        core=bench.restarted(index.core), source_fields=["title"], metadata_fields=["stars"]
    )
    same(changed.status().backfill, 1, "rows that were noted")
    same(bench.settled(changed), {"1": "Loops"}, "the index with the new declaration")
    bench.update("article", 1, content="nobody reads it any more")
    same(bench.tickets(), 0, "tickets of a field that is not read any more")
    bench.update("article", 1, stars=4)
    same(bench.tickets(), 1, "tickets of a field that is read now")
    bench.settle(changed)
    same(dict(bench.held(changed)["1"].metadata), {"stars": 4}, "metadata")


@scenario()
def a_restart_changes_nothing(bench: Bench) -> None:
    """A new process with the same declaration notes no row again,
    and works off what the last one left.
    """
    index = bench.index()
    bench.articles(1, 2)
    bench.settle(index)
    bench.update("article", 1, content="left for later")
    again = bench.index(core=bench.restarted(index.core))
    status = again.status()
    same((status.backfill, status.waiting), (0, 1), "rows of a backfill, and changes that wait")
    same(bench.settled(again), {"1": "t1|left for later", "2": "t2|text 2"}, "the index")


@scenario()
def the_status_reports_the_progress(bench: Bench) -> None:
    """What waits is counted, with the age of the oldest; what is worked off is not."""
    index = bench.index()
    bench.articles(1, 2)
    status = index.status()
    same(
        (status.waiting, status.taken, status.aborted, status.last_error),
        (2, 0, 0, ""),
        "what waits",
    )
    same(
        (status.sync, status.paused, status.capturing),
        ("manual", False, True),
        "sync, paused and capturing",
    )
    expect(
        status.oldest is not None and status.oldest > 1_000_000_000,
        f"oldest: expected a time, found {status.oldest}.",
    )
    bench.settle(index)
    status = index.status()
    same((status.waiting, status.oldest), (0, None), "what waits after a sync")


@scenario()
def a_pause_holds_changes_back(bench: Bench) -> None:
    """Within ``pause()`` an inline index is left as it is;
    afterwards all changes are worked off at once.
    """
    index = bench.index(sync="inline")
    bench.articles(1)
    with index.pause():
        bench.articles(2)
        with index.pause():
            bench.update("article", 1, content="changed")
        bench.articles(3)
        same(
            (sorted(bench.texts(index)), index.status().paused),
            (["1"], True),
            "keys, and paused, within the pause",
        )
        same(index.status().waiting, 3, "changes that wait")
    same(
        bench.texts(index),
        {"1": "t1|changed", "2": "t2|text 2", "3": "t3|text 3"},
        "the index after the pause",
    )


@scenario(Capability.THREADS)
def an_index_in_the_background_follows(bench: Bench) -> None:
    """With sync="background" a thread of its own works changes off; ``fresh=True`` waits for it."""
    index = bench.index(sync="background")
    bench.articles(*range(1, 21))
    with bench.rolled_back():
        bench.articles(50)
    found = index.search("text", limit=50, fresh=True, timeout=30)
    same((len(found), found.waiting), (20, 0), "rows found, and changes that wait")
    index.core.close()


@scenario(Capability.THREADS)
def several_processes_may_install_at_once(bench: Bench) -> None:
    """Installing the same index from several threads at once ends like installing it once."""
    index = bench.index()
    index.uninstall()
    bench.articles(1, 2)
    bench.in_threads(index.install, index.install, index.install)
    same(index.capturing, True, "whether it captures")
    bench.articles(3)
    same(sorted(bench.settled(index)), ["1", "2", "3"], "keys in the index")
    bench.update("article", 3, content="changed")
    same(bench.tickets(), 1, "tickets of one change")


@scenario(Capability.SECOND_DATABASE)
def two_databases_are_two_worlds(bench: Bench) -> None:
    """One core keeps indexes of two databases; each has its own rows and tickets,
    and one sync works off both.
    """
    first = bench.index()
    other = bench.second()
    with raises(ConfigError, "a second database whose rows have the addresses of the first one's"):
        other.index(core=first.core)
    second = other.index(core=first.core, collection="elsewhere")
    bench.articles(1, 2)
    other.articles(2, 3, content="of the other")
    same((first.status().waiting, second.status().waiting), (2, 2), "changes that wait in each")
    with bench.rolled_back():
        bench.articles(9)
        other.update("article", 3, content="stays, for it is elsewhere")
    first.core.sync()
    same(bench.texts(first), {"1": "t1|text 1", "2": "t2|text 2"}, "the index of the first")
    same(
        other.texts(second),
        {"2": "t2|of the other", "3": "t3|stays, for it is elsewhere"},
        "the index of the second",
    )
    other.delete("article", 2)
    same(
        (sorted(bench.settled(first)), sorted(other.settled(second))),
        (["1", "2"], ["3"]),
        "keys after one was deleted",
    )
    found = second.search("text of the other", limit=5)
    same(
        [row.content for row in found],
        ["stays, for it is elsewhere"],
        "what is found in the second",
    )
