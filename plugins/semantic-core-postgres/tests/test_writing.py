"""Several hosts write at a time, and servers and processes end at any moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from random import Random

import psycopg
import pytest
from postgres_server import Opener, missing, started
from semantic_core_postgres import PostgresStore
from semantic_core_postgres.totals import MOST_ROWS

from semantic_core import Scope, Space
from semantic_core.errors import StoreError, StoreMisuse
from semantic_core.testing import HashEmbedder
from semantic_core.testing.stores.samples import SPACE, item
from semantic_core.types import Ref

WRITERS = 4
WRITER = """
import sys
from semantic_core_postgres import PostgresStore
from semantic_core.testing.stores.samples import SPACE, item
from semantic_core.types import Ref
store = PostgresStore(SPACE, sys.argv[1], schema=sys.argv[2])
for number in range(100_000):
    store.replace([item(Ref("notes", f"{number}"), f"word{number} common", "second passage")])
    print(number, flush=True)
"""


def test_writers_of_one_document_follow_each_other(opener: Opener) -> None:
    refs = [Ref("notes", f"{number}") for number in range(6)]
    store = opener(SPACE)
    other = opener(SPACE)

    def write(seed: int) -> None:
        random = Random(seed)
        for step in range(12):
            batch = random.sample(refs, 3)
            if random.random() < 0.3:
                (store if seed % 2 else other).remove(batch)
            else:
                texts = [f"writer{seed} step{step}"] * random.randint(1, 3)
                (other if seed % 2 else store).replace([item(ref, *texts) for ref in batch])

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(write, range(WRITERS)))
    left = {summary.ref: summary.chunks for summary in store.documents(Scope())}
    stats = store.stats()
    assert stats.chunks == sum(left.values())
    found = store.words(" ".join(f"writer{seed}" for seed in range(WRITERS)), 100, Scope())
    assert {id.ref for id in found.ids} == set(left)
    assert len(found.ids) == stats.chunks
    with other.snapshot():
        assert {summary.ref for summary in other.documents(Scope())} == set(left)


def test_an_older_change_never_wins_a_race(opener: Opener) -> None:
    ref = Ref("notes", "1")
    store = opener(SPACE)

    def write(stamp: int) -> None:
        store.replace([item(ref, f"version{stamp}")], {ref: stamp})

    stamps = list(range(24))
    Random(7).shuffle(stamps)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, stamps))
    assert store.words("version23", 5, Scope()).ids
    assert store.stats().chunks == 1


def test_the_totals_stay_few_rows(opener: Opener) -> None:
    store = opener(SPACE)
    for number in range(6 * MOST_ROWS):
        store.replace([item(Ref("notes", f"{number % 5}"), f"text {number}")])
    rows = store._transactions.read(lambda view: view.value("select count(*) from {s}.total"))
    assert rows < 6 * MOST_ROWS
    assert store.revision() == opener(SPACE).revision()


def test_a_snapshot_does_not_write(opener: Opener) -> None:
    store = opener(SPACE)
    with store.snapshot(), pytest.raises(StoreMisuse, match="snapshot only reads"):
        store.replace([item(Ref("notes", "1"), "text")])
    store.replace([item(Ref("notes", "1"), "text")])
    assert store.stats().documents == 1


def test_a_connection_that_the_server_ended_is_replaced(opener: Opener, dsn: str) -> None:
    store = opener(SPACE)
    store.replace([item(Ref("notes", "1"), "text")])
    with psycopg.connect(dsn, autocommit=True) as raw:
        raw.execute(
            """select pg_terminate_backend(pid) from pg_stat_activity
                where application_name = 'semantic-core' and pid <> pg_backend_pid()"""
        )
    answers = []
    for _ in range(20):
        try:
            answers.append(store.stats().documents)
        except StoreError:
            continue
    assert answers[-1] == 1
    assert len(answers) > 10


def test_a_fork_has_connections_of_its_own(opener: Opener) -> None:
    store = opener(SPACE)
    store.replace([item(Ref("notes", "parent"), "text")])
    with store.snapshot():
        child = os.fork()
        if child == 0:
            try:
                store.replace([item(Ref("notes", "child"), "text")])
                os._exit(store.stats().documents)
            finally:
                os._exit(99)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 2
        assert store.stats().documents == 1
    assert store.stats().documents == 2


def test_what_is_held_is_asked_for_with_a_token_or_a_job(opener: Opener) -> None:
    store = opener(SPACE)
    with pytest.raises(StoreMisuse, match="A token is what hold or take gave"):
        store.held("-abc", {"f"})
    with pytest.raises(StoreMisuse, match="A token is what hold or take gave"):
        store.settle("-abc", {}, {"f": "why"}, None, 0.0)
    assert store.held("no such job", {"f"}) == frozenset()


@pytest.mark.slow
def test_what_was_acknowledged_survives_the_end_of_writer_and_server() -> None:
    reason = missing()
    if reason:
        pytest.skip(reason)
    with (
        tempfile.TemporaryDirectory(prefix="semantic-core-pg-") as folder,
        started(Path(folder) / "server") as server,
    ):
        PostgresStore(SPACE, server.dsn, schema="kept").close()
        command = [sys.executable, "-c", WRITER, server.dsn, "kept"]
        acknowledged = []
        for round in range(2):
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
                assert writer.stdout is not None
                for _ in range(30):
                    acknowledged.append(int(writer.stdout.readline()))
                if round == 0:
                    os.kill(writer.pid, signal.SIGKILL)
                    writer.wait()
                    continue
                server.stop()  # at once, as after a power cut
                writer.kill()
                writer.wait()
        server.start()
        with closing(PostgresStore(SPACE, server.dsn, schema="kept")) as store:
            there = {summary.ref.key for summary in store.documents(Scope(), limit=100_000)}
            assert {f"{number}" for number in acknowledged} <= there
            for key in sorted(there):
                found = store.words(f"word{key}", 3, Scope())
                assert [id.ref.key for id in found.ids] == [key]
            assert len(store.words("passage", 100_000, Scope()).ids) == len(there)
            assert store.stats().chunks == 2 * len(there)


def test_a_space_of_many_dimensions_has_its_vectors(opener: Opener) -> None:
    embedder = HashEmbedder(dimensions=3_072)
    space: Space = embedder.space
    store = opener(space)
    vector = embedder.embed_query("one text")
    store.replace([item(Ref("notes", "1"), "one text", vectors=False)])
    waiting = store.pending(10)
    assert store.fill({waiting[0].fingerprint: vector}) == 1
    (score,) = store.nearest(vector, 1, Scope()).scores
    assert score == pytest.approx(1.0)
