"""Opening: a file is created once, upgraded if it is older, and not changed if it belongs to
another program.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest
from semantic_core_peewee import SqliteStore, ensure_schema_compatibility, open_sqlite
from semantic_core_peewee.sqlite import migrations
from semantic_core_peewee.sqlite.opening import sole
from semantic_core_peewee.sqlite.tuning import Tuning

from semantic_core import Ref, Scope, Space
from semantic_core.errors import (
    ConfigError,
    SemanticCoreError,
    SpaceMismatch,
    StoreBusy,
    StoreCorrupt,
    StoreForeign,
    StoreMisuse,
    StoreUnavailable,
    StoreVersion,
)


def contents(folder: Path) -> dict[str, bytes]:
    return {found.name: found.read_bytes() for found in sorted(folder.iterdir()) if found.is_file()}


def text_file(path: Path) -> None:
    path.write_text("Dear diary, this is no database.\n" * 300)


def other_program(path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.execute(
        "create table theirs (a); insert into theirs values (1); pragma user_version = 7"
    )
    connection.close()


def other_program_with_a_log(path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.execute(
        "pragma journal_mode = wal; create table theirs (a); insert into theirs values (1)"
    ).fetchall()
    kept = {suffix: Path(f"{path}{suffix}").read_bytes() for suffix in ("", "-wal")}
    connection.close()
    for suffix, data in kept.items():
        Path(f"{path}{suffix}").write_bytes(data)


def newer(path: Path) -> None:
    SqliteStore(Space("test", 8), path).close()
    connection = apsw.Connection(str(path))
    connection.pragma("user_version", 99)
    connection.close()


def newer_in_the_log(path: Path) -> None:
    SqliteStore(Space("test", 8), path).close()
    connection = apsw.Connection(str(path))
    connection.pragma("user_version", 99)
    kept = {suffix: Path(f"{path}{suffix}").read_bytes() for suffix in ("", "-wal")}
    connection.close()
    for suffix, data in kept.items():
        Path(f"{path}{suffix}").write_bytes(data)


def cut_short(path: Path) -> None:
    SqliteStore(Space("test", 8), path).close()
    os.truncate(path, 5_000)


def first_page_only(path: Path) -> None:
    SqliteStore(Space("test", 8), path).close()
    os.truncate(path, 16_384)


def empty_beside_a_log(path: Path) -> None:
    path.touch()
    Path(f"{path}-wal").write_bytes(b"pages that were never moved" * 100)


def log_alone(path: Path) -> None:
    Path(f"{path}-wal").write_bytes(b"pages that were never moved" * 100)


def folder(path: Path) -> None:
    path.mkdir()


def device(path: Path) -> None:
    path.symlink_to("/dev/null")


def ours_without_a_name(path: Path) -> None:
    SqliteStore(Space("test", 8), path).close()
    connection = apsw.Connection(str(path))
    connection.execute("delete from semantic_index_meta where key = 'space'")
    connection.close()


REFUSED: dict[Callable[[Path], None], type[SemanticCoreError]] = {
    text_file: StoreForeign,
    other_program: StoreForeign,
    other_program_with_a_log: StoreForeign,
    newer: StoreVersion,
    newer_in_the_log: StoreVersion,
    cut_short: StoreCorrupt,
    first_page_only: StoreCorrupt,
    empty_beside_a_log: StoreVersion,
    log_alone: StoreVersion,
    folder: StoreUnavailable,
    device: StoreUnavailable,
    ours_without_a_name: StoreCorrupt,
}


@pytest.mark.parametrize(
    ("made", "error"), REFUSED.items(), ids=[made.__name__ for made in REFUSED]
)
def test_what_is_not_ours_is_refused_and_left_as_it_is(
    made: Callable[[Path], None],
    error: type[SemanticCoreError],
    path: Path,
    space: Space,
    tmp_path: Path,
) -> None:
    made(path)
    before = contents(tmp_path)
    for attempt in (lambda: SqliteStore(space, path), lambda: ensure_schema_compatibility(path)):
        with pytest.raises(error, match=re.escape(os.path.realpath(path))) as caught:
            attempt()
        assert caught.value.hint
        after = contents(tmp_path)
        after.pop("index.db-shm", None)  # SQLite's index of a log; holds nothing of its own
        assert after == before


def test_a_newer_file_names_both_versions(path: Path, space: Space) -> None:
    newer(path)
    with pytest.raises(
        StoreVersion, match=rf"schema 99, this release knows up to {migrations.newest()}"
    ):
        SqliteStore(space, path)


def test_an_older_file_is_brought_up(
    path: Path,
    open_store: Callable[..., SqliteStore],
    item: Callable[..., Any],
    steps: Callable[..., Any],
) -> None:
    store = open_store()
    store.replace([item("1", "one")])
    store.close()
    before = migrations.newest()
    step = migrations.Step(before + 1, "a later idea", ("create table later (a integer) strict",))
    with steps(*migrations.STEPS, step):
        assert ensure_schema_compatibility(path) == before + 1
        assert ensure_schema_compatibility(path) == before + 1
        store = open_store()
        assert store.stats().details["schema"] == before + 1
        assert store.get(Ref("notes", "1")) is not None and store.check() == []


def test_a_step_that_fails_leaves_the_file_at_the_one_before(
    path: Path,
    open_store: Callable[..., SqliteStore],
    item: Callable[..., Any],
    steps: Callable[..., Any],
) -> None:
    store = open_store()
    store.replace([item("1", "one")])
    store.close()
    before = migrations.newest()
    good = migrations.Step(before + 1, "fine", ("create table fine (a integer) strict",))
    bad = migrations.Step(
        before + 2,
        "broken",
        ("create table half (a integer) strict", "create table half (a integer)"),
    )
    with steps(*migrations.STEPS, good, bad), pytest.raises(SemanticCoreError):
        open_store()
    connection = apsw.Connection(str(path))
    tables = {name for (name,) in connection.execute("select name from sqlite_schema")}
    assert (
        connection.pragma("user_version") == before + 1
        and "fine" in tables
        and "half" not in tables
    )
    connection.close()


def test_every_step_can_be_taken_by_itself(
    tmp_path: Path, space: Space, steps: Callable[..., Any]
) -> None:
    for number in range(1, len(migrations.STEPS) + 1):
        path = tmp_path / f"{number}.db"
        with steps(*migrations.STEPS[:number]):
            SqliteStore(space, path).close()
        store = SqliteStore(space, path)
        assert store.check() == []
        store.close()


TABLES = {
    "semantic_index_account": "id integer key1, tenant text, collection text",
    "semantic_index_attribute": (
        "generation integer key1, key text key2, kind text key3, value any key4, document "
        "integer key5"
    ),
    "semantic_index_batch_job": (
        "number integer key1, id text, name text, generation integer, status text, "
        "provider_job text, sent integer, succeeded integer, failed integer, characters "
        "integer, tokens integer, tries integer, error text, created_at real, updated_at "
        "real, submitted_at real, answered_at real, cancelled_at real, ended_at real, owner "
        "text, leased_until real, cleaned integer, most integer?, account text, paid integer, "
        "paid_tokens integer"
    ),
    "semantic_index_checkpoint": "source text key1, value text",
    "semantic_index_chunk": (
        "id integer key1, generation integer, document integer, position integer, kind text, "
        "start integer, end integer, fingerprint text, fingerprint_crc integer, vector_crc "
        "integer?, crc integer, job text?, error text?, headings text, metadata text, vector "
        "blob?, text text, lead text, own text?"
    ),
    "semantic_index_claim": (
        "generation integer key1, fingerprint text key2, holder integer, number integer, "
        "account integer, characters integer, until real?"
    ),
    "semantic_index_cost": (
        "day text key1, tenant text key2, collection text key3, model text key4, tier text "
        "key5, currency text key6, passages integer, tokens integer, amount integer"
    ),
    "semantic_index_document": (
        "id integer key1, generation integer, tenant text, collection text, key text, title "
        "text, media_type text, language text?, metadata text, characters integer, text_hash "
        "text, stamp integer?, crc integer, created_at text, updated_at text, text text"
    ),
    "semantic_index_home": "id integer key1, generation integer, tenant text, collection text",
    "semantic_index_meta": "key text key1, value text",
    "semantic_index_migration": "number integer key1, name text, applied_at text",
    "semantic_index_removal": "generation integer key1, address blob key2, stamp integer",
    "semantic_index_revision": "tenant text key1, value text",
    "semantic_index_segment": "id integer key1, generation integer, number integer, slots blob",
    "semantic_index_segment_change": "generation integer key1, number integer key2, change integer",
    "semantic_index_slot": "generation integer key1, chunk integer key2, place integer",
    "semantic_index_text_block": "id integer key1, crc integer, data blob",
    "semantic_index_text_columns": "segment integer key1, crc integer, rows blob, directory blob",
    "semantic_index_text_dead": "id integer key1, generation integer, chunk integer",
    "semantic_index_text_segment": (
        "id integer key1, generation integer, first integer, last integer, count integer, blocks "
        "integer, building integer"
    ),
    "semantic_index_text_state": (
        "generation integer key1, changes integer, layout integer, sealed integer, chunks integer, "
        "terms integer, dead integer, analyser text"
    ),
    "semantic_index_text_tail": (
        "chunk integer key1, generation integer, document integer, home integer, length integer, "
        "crc integer, terms blob"
    ),
    "semantic_index_text_word": (
        "generation integer key1, word text key2, term integer key3, chunks integer"
    ),
    "semantic_index_title": (
        "generation integer key1, tenant text key2, words text key3, document integer key4"
    ),
    "semantic_index_trouble": (
        "generation integer key1, fingerprint text key2, job text, attempts integer, most "
        "integer?, failed integer, error text"
    ),
    "semantic_index_vector_state": (
        "generation integer key1, changes integer, epoch integer, slots integer, dead integer"
    ),
}
"""The tables after all migrations: columns in order, each with its type; ? where NULL is allowed,
keyN for its place in the primary key."""
INDEXES = {
    "semantic_index_account_name": "semantic_index_account",
    "semantic_index_attribute_document": "semantic_index_attribute",
    "semantic_index_batch_job_open": "semantic_index_batch_job",
    "semantic_index_batch_job_unclean": "semantic_index_batch_job",
    "semantic_index_chunk_fingerprint": "semantic_index_chunk",
    "semantic_index_chunk_owner": "semantic_index_chunk",
    "semantic_index_chunk_pending_of": "semantic_index_chunk",
    "semantic_index_chunk_place": "semantic_index_chunk",
    "semantic_index_chunk_waiting": "semantic_index_chunk",
    "semantic_index_chunk_waiting_for": "semantic_index_chunk",
    "semantic_index_claim_holder": "semantic_index_claim",
    "semantic_index_claim_number": "semantic_index_claim",
    "semantic_index_claim_until": "semantic_index_claim",
    "semantic_index_document_ref": "semantic_index_document",
    "semantic_index_home_name": "semantic_index_home",
    "semantic_index_segment_number": "semantic_index_segment",
    "semantic_index_text_dead_chunk": "semantic_index_text_dead",
    "semantic_index_title_document": "semantic_index_title",
    "semantic_index_trouble_most": "semantic_index_trouble",
}
"""The indexes, each with its table."""


def test_the_migrations_make_these_tables_and_indexes(store: SqliteStore) -> None:
    connection = apsw.Connection(str(store.path))
    assert connection.pragma("application_id") == migrations.APPLICATION_ID
    assert connection.pragma("page_size") == migrations.PAGE_SIZE
    made = connection.execute(
        "select name from pragma_table_list where schema = 'main'"
        " and type in ('table', 'virtual') and name not like 'sqlite_%'"
    ).fetchall()
    assert {name: columns_of(connection, name) for (name,) in made} == TABLES
    indexes = connection.execute(
        "select name, tbl_name from sqlite_schema where type = 'index' and name not like 'sqlite_%'"
    )
    assert dict(indexes.fetchall()) == INDEXES
    connection.close()


def columns_of(connection: apsw.Connection, table: str) -> str:
    """The columns of a table as TABLES lists them."""
    listed = []
    for _, name, kind, required, _, key in connection.execute(f"pragma table_info('{table}')"):
        column = f"{name} {kind.lower()}".strip()
        if key:
            column += f" key{key}"
        elif not required:
            column += "?"
        listed.append(column)
    return ", ".join(listed)


def test_a_store_remembers_its_space_and_names_both(
    open_store: Callable[..., SqliteStore], path: Path
) -> None:
    mine = Space("one", 8, "search", "r1", {"prefix": "query: "})
    open_store(space=mine).close()
    assert open_store(space=Space("one", 8, "search", "r1", {"prefix": "query: "})).space == mine
    for other in (
        Space("two", 8),
        Space("one", 9, "search", "r1", {"prefix": "query: "}),
        Space("one", 8, "search", "r1"),
    ):
        with pytest.raises(SpaceMismatch) as caught:
            open_store(space=other)
        assert (
            str(mine) in str(caught.value)
            and str(other) in str(caught.value)
            and "ingest again" in caught.value.hint
        )


def test_a_store_stays_single_or_multi_tenant(
    open_store: Callable[..., SqliteStore], tmp_path: Path
) -> None:
    for tenancy in (True, False):
        path = tmp_path / f"{tenancy}.db"
        open_store(path, multi_tenant=tenancy).close()
        assert (
            open_store(path).multi_tenant
            is open_store(path, multi_tenant=tenancy).multi_tenant
            is tenancy
        )
        with pytest.raises(
            StoreMisuse, match="single-tenant.*multi-tenant|multi-tenant.*single-tenant"
        ):
            open_store(path, multi_tenant=not tenancy)
    assert open_store(tmp_path / "unsaid.db").multi_tenant is False


@pytest.mark.parametrize(
    "options",
    [
        {"path": 3},
        {"path": ""},
        {"path": ":memory:"},
        {"path": "file:notes.db?mode=memory"},
        {"path": "a\0b"},
        {"multi_tenant": 1},
        {"multi_tenant": "yes"},
        {"durability": "off"},
        {"durability": None},
        {"busy_timeout": "10"},
        {"busy_timeout": True},
        {"busy_timeout": -1},
        {"busy_timeout": float("nan")},
        {"space": "test"},
    ],
    ids=str,
)
def test_options_of_the_wrong_kind_are_refused(
    options: dict[str, Any], space: Space, path: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError):
        open_sqlite(**{"space": space, "path": path, **options})
    assert list(tmp_path.iterdir()) == []


def test_the_options_reach_the_file(path: Path, space: Space) -> None:
    store = open_sqlite(space, path=str(path), durability="normal", busy_timeout=1)
    assert store.path == path and store.stats().details["durability"] == "normal"
    assert store._pool.read(lambda view: view.raw.pragma("synchronous")) == 1
    store.close()
    store = open_sqlite(space, path=path)
    assert store._pool.read(lambda view: view.raw.pragma("synchronous")) == 2
    assert store.stats().details["journal_mode"] == "wal"
    store.close()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path, space: Space) -> None:
    with pytest.raises(StoreUnavailable, match="no folder .*nowhere"):
        SqliteStore(space, tmp_path / "nowhere" / "index.db")
    with pytest.raises(StoreUnavailable, match="no store"):
        ensure_schema_compatibility(tmp_path / "index.db")
    with pytest.raises(StoreUnavailable):
        SqliteStore(space, tmp_path / ("x" * 5_000))
    assert list(tmp_path.iterdir()) == []


def test_a_file_without_content_is_a_place_to_begin(
    path: Path, open_store: Callable[..., SqliteStore]
) -> None:
    path.touch()
    assert open_store().check() == []


def test_a_creation_may_be_cut_off_anywhere(output: Callable[..., str]) -> None:
    counted = output(
        """
        import apsw

        class File(apsw.VFSFile):
            def __init__(self, *arguments): super().__init__("unix", *arguments)
            def xWrite(self, *arguments): end(); return super().xWrite(*arguments)
            def xSync(self, *arguments): end(); return super().xSync(*arguments)
            def xTruncate(self, *arguments): end(); return super().xTruncate(*arguments)

        class Disk(apsw.VFS):
            def __init__(self): super().__init__("cut", "unix", makedefault=True)
            def xOpen(self, *arguments): return File(*arguments)
            def xDelete(self, *arguments): end(); return super().xDelete(*arguments)

        left = 0
        def end():
            global left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), 9)

        for last in range(1, 1_000):
            place = path.with_name(f"{last}.db")
            child = os.fork()
            if not child:
                try:
                    left, disk = last, Disk()
                    SqliteStore(SPACE, place)
                    os._exit(0)
                finally:
                    os._exit(1)
            _, status = os.waitpid(child, 0)
            assert status in (0, 9), status
            store = SqliteStore(SPACE, place)
            assert store.check() == [], last
            store.replace([item_of("1", "one")])
            assert store.get(Ref("notes", "1")) is not None
            store.close()
            if status == 0:
                break
        print(last)
        """
    )
    assert 20 < int(counted) < 1_000, "the disk was not counted"


START = """
for line in sys.stdin:
    place = path.with_name(line.strip())
    store = SqliteStore(SPACE, place)
    store.replace([item_of(str(os.getpid()), "hello")])
    print(store.stats().documents > 0, flush=True)
    store.close()
"""


def test_eight_processes_may_start_at_once(
    process: Callable[..., Any], tmp_path: Path, space: Space
) -> None:
    started = [process(START) for _ in range(8)]
    for number in range(5):
        for one in started:
            one.stdin.write(f"{number}.db\n")
            one.stdin.flush()
        assert [one.stdout.readline().strip() for one in started] == ["True"] * 8
        store = SqliteStore(space, tmp_path / f"{number}.db")
        assert store.stats().documents == 8 and store.check() == []
        store.close()
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".lock")]


def test_a_creation_waits_for_the_one_that_is_under_way(path: Path, space: Space) -> None:
    impatient = Tuning(least_wait=0.05)
    with sole(str(path), 0.05), pytest.raises(StoreBusy, match="another process"):
        SqliteStore(space, path, busy_timeout=0, tuning=impatient)
    SqliteStore(space, path, busy_timeout=0, tuning=impatient).close()


READER = """
import hashlib, json, unicodedata, encodings.idna, apsw, sqlite_vec
import semantic_core_peewee.sqlite.store
# Imports what it needs.
SqliteStore(SPACE, path.with_name("warm.db")).nearest(vector_of("x"), 1, Scope())
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    store = SqliteStore(SPACE, sys.argv[3])
    found = [len(store.words("one", 1, Scope())), len(store.nearest(vector_of("one"), 1, Scope()))]
    print(store.get(Ref("notes", "1")).text, *found)
    store.replace([item_of("2", "two")])
    print("written")
except SemanticCoreError as error:
    print(error.code)
"""


@pytest.mark.parametrize(
    ("file", "folder", "wanted"),
    [
        (0o444, 0o777, ["one 1 1", "StoreReadOnly"]),
        (0o444, 0o555, ["StoreReadOnly"]),
        (0o666, 0o555, ["StoreReadOnly"]),
    ],
    ids=["file", "file and folder", "folder"],
)
@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_what_cannot_be_written_says_so(
    file: int,
    folder: int,
    wanted: list[str],
    item: Callable[..., Any],
    space: Space,
    output: Callable[..., str],
) -> None:
    with open_to_everyone() as place:
        store = SqliteStore(space, place / "index.db")
        store.replace([item("1", "one")])
        store.close()
        before = store.path.read_bytes()
        os.chmod(store.path, file)
        os.chmod(place, folder)
        assert output(READER, arguments=[str(store.path)]).split("\n") == wanted
        assert store.path.read_bytes() == before


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_a_folder_that_cannot_be_written_makes_no_store(output: Callable[..., str]) -> None:
    with open_to_everyone() as place:
        os.chmod(place, 0o555)  # noqa: S103 - the point of it
        assert output(READER, arguments=[str(place / "index.db")]) == "StoreReadOnly"
        assert list(place.iterdir()) == []


@contextmanager
def open_to_everyone() -> Iterator[Path]:
    """A folder another user can reach, unlike pytest's own."""
    place = Path(tempfile.mkdtemp(prefix="semantic-core-"))
    try:
        os.chmod(place, 0o777)  # noqa: S103 - the point of it
        yield place
    finally:
        os.chmod(place, 0o700)
        shutil.rmtree(place)


def test_the_store_is_found_through_a_link(
    path: Path, tmp_path: Path, item: Callable[..., Any], open_store: Callable[..., SqliteStore]
) -> None:
    store = open_store()
    store.replace([item("1", "one")])
    link = tmp_path / "link.db"
    link.symlink_to(path)
    other = open_store(link)
    assert other.path == path and other.documents(Scope()).total == 1
