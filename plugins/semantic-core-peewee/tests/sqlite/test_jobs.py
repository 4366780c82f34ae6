"""The ledger of batch jobs in the file: older files get one, processes share it, and it stays
small.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest
from semantic_core_peewee import SqliteStore, ensure_schema_compatibility
from semantic_core_peewee.sqlite import migrations

from semantic_core import Ref
from semantic_core.batch import BatchJob, BatchManager
from semantic_core.errors import StoreMisuse
from semantic_core.testing import JobEmbedder

LATER = migrations.Step(
    3,
    "what writing touches; these tables came later",
    (
        "create table semantic_index_removal (generation integer, address blob, stamp integer)",
        "create table semantic_index_revision (tenant text primary key, value text)",
        *(one for one in migrations.STEPS[7].statements if not one.startswith("drop")),
    ),
)


def test_a_file_from_before_batch_jobs_gets_its_ledger_by_itself(
    path: Path,
    open_store: Callable[..., SqliteStore],
    item: Callable[..., Any],
    steps: Callable[..., Any],
) -> None:
    with steps(*migrations.STEPS[:2], LATER):
        store = open_store()
        store.replace([item("1", "ready"), item("2", "waits", "waits too", vectors=False)])
        store.close()
    raw = apsw.Connection(str(path))
    before = {name for (name,) in raw.execute("select name from sqlite_schema")}
    raw.execute("drop table semantic_index_removal")
    raw.execute("drop table semantic_index_revision")
    for table in ("state", "tail", "segment", "columns", "block", "dead", "word"):
        raw.execute(f"drop table semantic_index_text_{table}")
    raw.execute("drop table semantic_index_title")
    raw.execute("delete from semantic_index_migration where number = 3")
    raw.execute("pragma user_version = 2")
    assert "semantic_index_batch_job" not in before
    assert "semantic_index_chunk_pending" in before
    raw.close()
    store = open_store()
    assert [chunk.passage for chunk in store.pending(9)] == ["waits", "waits too"]
    assert store.queue_stats().pending == 2 and store.get(Ref("notes", "1")) is not None
    job = store.open_job(BatchJob("j", "name", created_at=1.0), 9)
    assert job is not None and job.sent == 2
    assert store.check() == [] and ensure_schema_compatibility(path) == migrations.newest() >= 3


def test_a_file_of_the_first_step_alone_goes_all_the_way(
    path: Path, space: Any, steps: Callable[..., Any]
) -> None:
    with steps(*migrations.STEPS[:1]):
        SqliteStore(space, path).close()
    store = SqliteStore(space, path)
    assert (
        store.stats().details["schema"] == migrations.newest() and store.queue_stats().pending == 0
    )
    store.close()


FLUSH = """
from semantic_core.batch import BatchManager
from semantic_core.testing import JobEmbedder
store = SqliteStore(SPACE, path, durability="normal")
provider = JobEmbedder(8)
sys.stdin.readline()
while BatchManager(store, provider).flush_queue(1, job_size=3):
    pass
print(json.dumps([sorted(there.passages.values()) for there in provider.jobs.values()]))
"""


def test_processes_that_flush_at_once_put_no_passage_into_two_jobs(
    open_store: Callable[..., SqliteStore], item: Callable[..., Any], process: Callable[..., Any]
) -> None:
    import json

    store = open_store()
    store.replace(
        [
            item(str(number), *(f"{number}-{part}" for part in range(10)), vectors=False)
            for number in range(12)
        ]
    )
    running = [process("import json\n" + FLUSH) for _ in range(4)]
    for one in running:
        one.stdin.write("go\n")
        one.stdin.flush()
    jobs = []
    for one in running:
        out, err = one.communicate(timeout=60)
        assert one.returncode == 0, err
        jobs += json.loads(out)
    sent = [passage for job in jobs for passage in job]
    assert len(sent) == len(set(sent)) == 120
    stats = store.queue_stats()
    assert (stats.pending, stats.submitted, stats.jobs["SUBMITTED"]) == (0, 120, len(jobs))


def test_a_job_that_ended_is_refused_by_the_file_itself(
    store: SqliteStore, item: Callable[..., Any]
) -> None:
    store.replace([item("1", "one", vectors=False)])
    store.open_job(BatchJob("j", "name", created_at=1.0), 9)
    raw = apsw.Connection(str(store.path))
    for wrong in ("status = 'LOST'", "status = 'SUBMITTED'", "status = 'COMPLETED'"):
        with pytest.raises(apsw.ConstraintError):
            raw.execute(f"update semantic_index_batch_job set {wrong}")
    raw.close()


def test_bulk_update_vectors_gives_each_its_own(
    store: SqliteStore, item: Callable[..., Any], vector: Any
) -> None:
    waiting = item("1", *(f"passage {number}" for number in range(500)), vectors=False)
    store.replace([waiting])
    given = {entry.fingerprint: vector(entry.passage) for entry in waiting[1]}
    assert store.bulk_update_vectors(dict(reversed(given.items()))) == 500
    off = [
        e.passage
        for e in waiting[1]
        if store.similarity([e.chunk.id], vector(e.passage))[0] < 0.999
    ]
    assert off == [] and store.check() == []


def test_a_token_of_another_kind_is_refused(store: SqliteStore) -> None:
    for wrong in ("1", "-", "x", "-1; drop table semantic_index_claim"):
        with pytest.raises(StoreMisuse, match="A token is what hold or take gave"):
            store.release(wrong)


def test_what_a_removed_document_held_is_not_in_the_file(
    path: Path, store: SqliteStore, item: Callable[..., Any]
) -> None:
    """A claim holds a hash, never a text; so a removal during a job leaves no trace of it."""
    store.replace([item("1", "the zorbak of quasdom", vectors=False)])
    manager = BatchManager(store, JobEmbedder(8))
    manager.flush_queue(1)
    store.remove([Ref("notes", "1")])
    store.compact()
    assert b"quasdom" not in path.read_bytes()
