"""The tables, made and changed in numbered steps, in one transaction, by one process at a time.

Every key carries the tenant, so that rows of a tenant stay together: in a partition of the chunks,
and on a node of a distributed engine. Text is compared by code point, which is the collation "C".
A text is stored as `texts.encoded` spells it, because PostgreSQL has no place for U+0000.

Tested by tests/test_opening.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from semantic_core.errors import StoreVersion
from semantic_core_postgres.pool import View
from semantic_core_postgres.texts import INDEXED_TITLE, INDEXED_VALUE

MOST_INDEXED = 4_000
"""Most dimensions that pgvector can index as halfvec."""
MOST_DIMENSIONS = 16_000
"""Most dimensions that a halfvec can have."""

_FIRST = (
    """create table {s}.meta (
        name text collate "C" primary key,
        value text not null
    )""",
    """create table {s}.checkpoint (
        address bytea primary key,
        source text collate "C" not null,
        value text not null
    )""",
    # present: false for one that was removed with a stamp.
    """create table {s}.document (
        tenant text collate "C" not null,
        id bigint generated always as identity,
        address bytea not null,
        present boolean not null,
        stamp bigint,
        collection text collate "C" not null,
        key text collate "C" not null,
        title text collate "C" not null,
        title_words text collate "C" not null,
        media_type text collate "C" not null,
        language text collate "C",
        metadata text collate "C" not null,
        text_hash text collate "C" not null,
        text text collate "C" not null,
        characters bigint not null,
        created_at text collate "C" not null,
        updated_at text collate "C" not null,
        primary key (tenant, id)
    )""",
    "create unique index document_address on {s}.document (tenant, address)",
    f"""create index document_title on {{s}}.document (tenant, left(title_words, {INDEXED_TITLE}))
        where title_words <> ''""",
    # vector: little-endian float32. code: the same as pgvector compares it.
    """create table {s}.chunk (
        tenant text collate "C" not null,
        id bigint not null,
        document bigint not null,
        position bigint not null,
        kind text collate "C" not null,
        start_at bigint not null,
        end_at bigint not null,
        fingerprint text collate "C" not null,
        headings text collate "C" not null,
        metadata text collate "C" not null,
        text text collate "C" not null,
        passage text collate "C" not null,
        vector bytea,
        code {v}.halfvec(%(dimensions)s),
        primary key (tenant, id)
    ) partition by hash (tenant)""",
    "create sequence {s}.chunk_id",
    "create unique index chunk_place on {s}.chunk (tenant, document, position)",
    "create index chunk_fingerprint on {s}.chunk (fingerprint)",
    "create index chunk_waiting on {s}.chunk (id) where vector is null",
    # count: of the term in the chunk. length: of the chunk, in terms.
    """create table {s}.posting (
        tenant text collate "C" not null,
        term text collate "C" not null,
        chunk bigint not null,
        document bigint not null,
        position bigint not null,
        count integer not null,
        length integer not null,
        primary key (tenant, term, chunk) include (document, position, count, length)
    )""",
    "create index posting_chunk on {s}.posting (tenant, chunk)",
    # whole: whether the surface is all of the word.
    """create table {s}.word (
        tenant text collate "C" not null,
        surface text collate "C" not null,
        whole boolean not null,
        term text collate "C" not null,
        primary key (tenant, surface, term)
    )""",
    # number: of kind "number" and "bool"; value: of the others. written: as people write a number.
    """create table {s}.attribute (
        tenant text collate "C" not null,
        document bigint not null,
        key text collate "C" not null,
        kind text collate "C" not null,
        value text collate "C",
        number numeric,
        written text collate "C"
    )""",
    "create index attribute_document on {s}.attribute (tenant, document)",
    f"""create index attribute_value on {{s}}.attribute
        (tenant, key, kind, left(value, {INDEXED_VALUE}))""",
    "create index attribute_number on {s}.attribute (tenant, key, kind, number)",
    # What each write adds to the totals of a tenant, and of the whole store ("" in a store with
    # tenants): rows are only added, so writers do not wait for each other.
    """create table {s}.total (
        tenant text collate "C" not null,
        id bigint generated always as identity,
        mark bigint not null,
        chunks bigint not null,
        length bigint not null,
        primary key (tenant, id)
    )""",
    """create table {s}.batch_job (
        number bigint generated always as identity primary key,
        id text collate "C" not null unique,
        name text not null,
        status text not null,
        provider_job text not null,
        sent bigint not null,
        succeeded bigint not null,
        failed bigint not null,
        characters bigint not null,
        tokens bigint not null,
        tries bigint not null,
        error text not null,
        created_at double precision not null,
        updated_at double precision not null,
        submitted_at double precision not null,
        answered_at double precision not null,
        cancelled_at double precision not null,
        ended_at double precision not null,
        owner text not null,
        leased_until double precision not null,
        cleaned boolean not null,
        account text not null,
        paid bigint not null,
        paid_tokens bigint not null,
        most bigint
    )""",
    # holder: the number of a job; below 0 a token. number: of the chunk it was claimed for.
    """create table {s}.claim (
        fingerprint text collate "C" primary key,
        holder bigint not null,
        number bigint not null,
        tenant text collate "C" not null,
        collection text collate "C" not null,
        characters bigint not null,
        until double precision
    )""",
    "create index claim_holder on {s}.claim (holder, number)",
    """create table {s}.trouble (
        fingerprint text collate "C" primary key,
        job text collate "C" not null,
        attempts bigint not null,
        failed boolean not null,
        error text not null,
        most bigint
    )""",
    """create table {s}.cost (
        address bytea primary key,
        day text collate "C" not null,
        tenant text collate "C" not null,
        collection text collate "C" not null,
        model text collate "C" not null,
        tier text collate "C" not null,
        currency text collate "C" not null,
        passages bigint not null,
        tokens bigint not null,
        amount numeric not null
    )""",
)

STEPS: Sequence[Sequence[str]] = (_FIRST,)
"""The statements of each step, from step 1."""


def newest() -> int:
    """The number of the last step."""
    return len(STEPS)


def version_of(view: View) -> int:
    """The last step that the schema has taken; 0 if there are no tables of ours."""
    there = view.value("select to_regclass(%s)", (view.statements.name("meta"),))
    if there is None:
        return 0
    found = view.value("select value from {s}.meta where name = 'version'")
    return int(found or 0)


def lock(view: View, name: str) -> None:
    """Wait until nobody else makes what has this name, until the end of the transaction."""
    view.run(
        "select pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"semantic-core opens {name}",)
    )


def migrate(view: View, dimensions: int, partitions: int) -> bool:
    """Bring the schema up to this release, in the transaction of the view; whether it was new.

    Waits for another process that does the same. Raises StoreVersion for a newer one.
    """
    lock(view, view.statements.schema)
    view.run("create schema if not exists {s}")
    version = version_of(view)
    if version > newest():
        raise StoreVersion(
            f"The schema {view.statements.schema!r} has version {version}, this release knows "
            f"{newest()}.",
            hint="Update semantic-core-postgres.",
        )
    for step in STEPS[version:]:
        for statement in step:
            view.run(statement.replace("%(dimensions)s", str(int(dimensions))))
    if version == 0:
        _make_partitions(view, dimensions, partitions)
    view.run(
        """insert into {s}.meta (name, value) values ('version', %s)
            on conflict (name) do update set value = excluded.value""",
        (str(newest()),),
    )
    return version == 0


def _make_partitions(view: View, dimensions: int, partitions: int) -> None:
    for part in range(int(partitions)):
        view.run(
            f"create table {{s}}.chunk_{part} partition of {{s}}.chunk "
            f"for values with (modulus {int(partitions)}, remainder {part})"
        )
    if dimensions <= MOST_INDEXED:
        view.run(
            "create index chunk_code on {s}.chunk using hnsw (code {v}.halfvec_cosine_ops) "
            "with (m = 16, ef_construction = 64)"
        )
