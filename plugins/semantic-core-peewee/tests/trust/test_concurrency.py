"""Many at once on one file: no lock errors, no torn or stale reads, nothing lost, over processes,
threads and forks.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import crowd
import peewee
import pytest
from figures import MEASURING, SOAK, record
from samples import SPACE, item, quick_folder
from semantic_core_peewee import SqliteStore, init_database

from semantic_core import Ref, SemanticCore
from semantic_core.orm import SemanticIndex
from semantic_core.testing import HashEmbedder

WRITERS, READERS = 2, 8
WRITES = 150 if MEASURING else 60
"""Of each writer."""
LOOKS = 20_000
"""Of each reader, at most."""
THREADS, ROUNDS = 32, 12 if MEASURING else 6
FORKS, WRITES_PER_FORK = 20 if MEASURING else 8, 4


def started(*arguments: object) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
    }
    command = [sys.executable, crowd.__file__, *map(str, arguments)]
    return subprocess.Popen(
        command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def answers(processes: Sequence[subprocess.Popen[str]]) -> list[dict[str, Any]]:
    told = []
    for process in processes:
        out, err = process.communicate(timeout=crowd.PATIENCE * max(2, SOAK))
        assert process.returncode == 0, err
        told.append(json.loads(out))
    return told


def at_99_percent(waits: Sequence[float]) -> float:
    return sorted(waits)[int(len(waits) * 0.99)]


def test_two_writers_and_eight_readers_agree() -> None:
    members = WRITERS + READERS
    with quick_folder() as folder:
        crowd.Board.make(folder, members)
        with closing(SqliteStore(SPACE, folder / "crowd.db")) as store:
            store.replace(
                [
                    item(Ref("ballast", str(n)), *(f"ballast {n} {m}" for m in range(60)))
                    for n in range(20)
                ]
            )
        writers = [
            started("writer", folder, number, members, WRITERS, WRITES * SOAK)
            for number in range(WRITERS)
        ]
        readers = [
            started("reader", folder, WRITERS + number, members, WRITERS, LOOKS * SOAK)
            for number in range(READERS)
        ]
        wrote, read = answers(writers), answers(readers)
        with closing(SqliteStore(SPACE, folder / "crowd.db")) as store:
            assert store.check() == []
    errors = [error for one in (*wrote, *read) for error in one["errors"]]
    torn, stale = ([what for one in read for what in one[kind]] for kind in ("torn", "stale"))
    assert (errors, torn, stale) == ([], [], [])
    assert all(one["writes"] == WRITES * SOAK for one in wrote)
    assert all(one["finished"] for one in read), (
        "readers stopped before the writers did: raise LOOKS"
    )
    assert all(one["fresh"] >= 5 for one in read), (
        "a reader saw next to no new versions: nothing was proved"
    )
    assert all(one["matrix_bytes"] for one in read), (
        "the readers kept no vectors in memory: freshness was not tried"
    )
    p99 = at_99_percent([wait for one in wrote for wait in one["waits"]])
    looks, fresh = sum(one["looks"] for one in read), sum(one["fresh"] for one in read)
    record(
        "processes", writers=WRITERS, readers=READERS, writes=WRITERS * WRITES * SOAK, looks=looks,
        fresh_looks=fresh,
        lock_errors=len(errors), torn=len(torn), stale=len(stale),
        write_p99_ms=round(p99 * 1000, 1),
    )  # fmt: skip


def test_thirty_two_threads_share_one_store() -> None:
    errors: list[str] = []
    waits: list[float] = []
    searches = [0] * THREADS
    with quick_folder() as folder, closing(SqliteStore(SPACE, folder / "threads.db")) as store:
        store.replace(
            [
                item(Ref("ballast", str(n)), *(f"ballast {n} {m}" for m in range(60)))
                for n in range(20)
            ]
        )
        begin = threading.Barrier(THREADS)

        def work(number: int) -> None:
            begin.wait(crowd.PATIENCE)
            try:
                for version in range(1, ROUNDS * SOAK + 1):
                    started_at = time.perf_counter()
                    store.replace(crowd.pair(number, version))
                    waits.append(time.perf_counter() - started_at)
                    seen, torn = crowd.look(store, number)
                    assert (seen, torn) == (version, ""), f"wrote {version}, saw {seen}, {torn}"
                    # May not be there yet.
                    _, torn = crowd.look(store, (number + version) % THREADS)
                    assert not torn, torn
                    searches[number] += 2
            except Exception as error:  # noqa: BLE001 - a thread cannot fail the test itself
                errors.append(f"thread {number}: {type(error).__name__}: {error}")

        threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(crowd.PATIENCE * max(2, SOAK))
        assert errors == []
        assert store.stats().documents == 20 + 2 * THREADS
        assert store.check() == []
    record(
        "threads", threads=THREADS, writes=len(waits), looks=sum(searches), errors=0,
        write_p99_ms=round(at_99_percent(waits) * 1000, 1),
    )  # fmt: skip


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_forks_lose_nothing_on_either_side() -> None:
    with quick_folder() as folder:
        (told,) = answers([started("forks", folder, FORKS * SOAK, WRITES_PER_FORK)])
        assert (told["failed"], told["lost"], told["torn"], told["problems"]) == ([], [], [], [])
        with closing(SqliteStore(SPACE, Path(folder) / "forks.db")) as store:
            assert store.check() == []
            assert (
                store.stats().collections["notes"]
                == told["rows"]
                == 2 * FORKS * SOAK * WRITES_PER_FORK
            )
        (orphans,) = answers([started("outlived", folder, FORKS * SOAK, WRITES_PER_FORK)])
        assert (orphans["failed"], orphans["lost"], orphans["problems"]) == ([], [], [])
    record(
        "forks",
        forks=told["rounds"] + orphans["rounds"],
        rows=told["rows"] + orphans["rows"],
        lost=0,
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_forked_off_in_the_middle_of_a_statement_is_refused() -> None:
    with quick_folder() as folder:
        (told,) = answers([started("busy", folder)])
    assert told == {"exit": 0, "documents": 2, "problems": []}


def test_stores_dropped_unclosed_may_be_collected_while_others_are_opened() -> None:
    with quick_folder() as folder:
        (told,) = answers([started("forgotten", folder, 20)])
    assert told == {"opened": 0, "documents": 20, "problems": []}


STANDS_STILL = """
import os, signal, sys
import apsw
raw = apsw.Connection(sys.argv[1])
raw.execute("begin immediate")
print("go", flush=True)
os.kill(os.getpid(), signal.SIGSTOP)
raw.execute("rollback")
"""


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no process can be stopped here")
def test_a_writer_that_stands_still_costs_a_save_its_patience_and_the_next_ones_nothing(
    tmp_path: Path,
) -> None:
    """What it could not process waits, is told of, and is processed once the writer goes on."""
    database = peewee.SqliteDatabase(tmp_path / "app.db", timeout=5)

    class Note(peewee.Model):
        body = peewee.TextField()
        search: Any = SemanticIndex(["body"], sync="inline", core=None)

    Note._meta.set_database(database)
    database.create_tables([Note])
    waits: list[float] = []
    with SemanticCore(path=tmp_path / "index.db", embedder=HashEmbedder()) as core:
        init_database(database, core)
        Note.create(body="before anything stood still")
        other = subprocess.Popen(
            [sys.executable, "-c", STANDS_STILL, tmp_path / "index.db"],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert other.stdout is not None and other.stdout.readline() == "go\n"
        for number in range(5):
            started = time.perf_counter()
            Note.create(body=f"saved meanwhile {number}")
            waits.append(time.perf_counter() - started)
        started = time.perf_counter()
        answer = Note.search("meanwhile", fresh=True, timeout=0.5)
        asked = time.perf_counter() - started
        assert answer.waiting == 5
        os.kill(other.pid, signal.SIGCONT)
        other.communicate(timeout=crowd.PATIENCE)
        found = Note.search("meanwhile", mode="text", fresh=True, timeout=crowd.PATIENCE)
        assert len(found) == 5
        assert Note.search.verify().sound
    database.close()
    record(
        "stopped_writer",
        first_ms=round(waits[0] * 1000, 1),
        next_ms=round(max(waits[1:]) * 1000, 1),
        fresh_ms=round(asked * 1000, 1),
    )
