"""The schema, step by step. A step, once released, is never edited: the next one mends it.

Keys begin with a generation, so that an index can be rebuilt beside the one in force without
changing these tables. Text is compared byte by byte, which for UTF-8 is by code point. STRICT
tables refuse what was not meant (a numpy scalar would otherwise be kept as bytes). AUTOINCREMENT: a
number is never given twice, so what a process remembers of a chunk never speaks of another.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import attrs

from semantic_core_peewee.sqlite.connection import transaction
from semantic_core_peewee.sqlite.records import address_of

# The tables of batch jobs: the third and the sixth step of the schema (see `_migrations`).

BATCH = (
    """create table batch_job (
        number integer primary key autoincrement, id text not null unique, name text not null unique,
        generation integer not null,
        status text not null check (status in ('CREATED', 'SUBMITTED', 'PROCESSING', 'COMPLETED', 'FAILED')),
        provider_job text not null, sent integer not null, succeeded integer not null, failed integer not null,
        characters integer not null, tokens integer not null, tries integer not null, error text not null,
        created_at real not null, updated_at real not null, submitted_at real not null, answered_at real not null,
        cancelled_at real not null, ended_at real not null, owner text not null, leased_until real not null,
        cleaned integer not null, most integer,
        check (status in ('CREATED', 'FAILED') or provider_job <> '')
    ) strict""",
    (
        "create index batch_job_open on batch_job (number) where status in ('CREATED', "
        "'SUBMITTED', 'PROCESSING')"
    ),
    "create index batch_job_unclean on batch_job (number) where not cleaned",
    # Whose a passage is for now. A claim of a job has no end; another's (holder < 0) ends by
    # itself.
    """create table claim (
        generation integer not null, fingerprint text not null, holder integer not null, number integer not null,
        account integer not null, characters integer not null, until real, primary key (generation, fingerprint)
    ) strict, without rowid""",
    "create index claim_holder on claim (holder, number)",
    "create index claim_number on claim (number, until)",
    "create index claim_until on claim (until) where until is not null",
    """create table trouble (
        generation integer not null, fingerprint text not null, job text not null, attempts integer not null,
        most integer, failed integer not null, error text not null, primary key (generation, fingerprint)
    ) strict, without rowid""",
    "create index trouble_most on trouble (generation, most) where most is not null and not failed",
    """create table account (
        id integer primary key, tenant text not null, collection text not null
    ) strict""",
    "create unique index account_name on account (tenant, collection)",
    """create table cost (
        day text not null, tenant text not null, collection text not null, model text not null, lane text not null,
        currency text not null, passages integer not null, tokens integer not null, amount integer not null,
        primary key (day, tenant, collection, model, lane, currency)
    ) strict, without rowid""",
    # The queue is read without touching its rows, which are wide.
    "create index chunk_waiting on chunk (generation, id, fingerprint) where vector is null",
    "drop index chunk_pending",
)

PAID = (
    "alter table batch_job add column account text not null default ''",
    "alter table batch_job add column paid integer not null default 0",
    "alter table batch_job add column paid_tokens integer not null default 0",
    # What the ledger of costs has of them already, about: it does not say of which job.
    """update batch_job set paid = succeeded,
        paid_tokens = case when sent > 0 then tokens * succeeded / sent else 0 end""",
)


APPLICATION_ID = 0x53656D43
""""SemC" in the header of every file of ours."""

PAGE_SIZE = 16_384
"""Bytes. Rows carry a vector; larger pages make writing them 1.6 times faster and
the file smaller.
"""


@attrs.frozen
class Step:
    """One change of the schema. number: what ``user_version`` is afterwards."""

    number: int
    name: str
    statements: tuple[str, ...]


_TRUTH = (
    "create table meta (key text primary key, value text not null) strict, without rowid",
    (
        "create table migration (number integer primary key, name text not null, "
        "applied_at text not null) strict"
    ),
    """create table document (
        id integer primary key autoincrement,
        generation integer not null, tenant text not null, collection text not null, key text not null,
        title text not null, media_type text not null, language text, metadata text not null,
        characters integer not null, text_hash text not null, stamp integer, crc integer not null,
        created_at text not null, updated_at text not null, text text not null
    ) strict""",
    "create unique index document_ref on document (generation, tenant, collection, key)",
    """create table chunk (
        id integer primary key autoincrement,
        generation integer not null, document integer not null references document (id), position integer not null,
        kind text not null, start integer not null, "end" integer not null, fingerprint text not null,
        fingerprint_crc integer not null, vector_crc integer, crc integer not null, job text, error text,
        headings text not null, metadata text not null, vector blob, text text not null,
        lead text not null, own text, passage text generated always as (coalesce(own, lead || text)) virtual
    ) strict""",
    "create unique index chunk_place on chunk (document, position)",
    # Wide rows, narrow questions: whose a chunk is can be told without touching its row.
    "create unique index chunk_owner on chunk (id, document, position, generation)",
    # New rows fall anywhere in it, so every page it has is written again and again: it must be
    # small.
    "create index chunk_fingerprint on chunk (fingerprint_crc)",
    "create index chunk_waiting_for on chunk (generation, fingerprint) where vector is null",
    "create index chunk_pending on chunk (generation, id) where vector is null",
    "create index chunk_pending_of on chunk (document) where vector is null",
    """create table tombstone (
        generation integer not null, tenant text not null, collection text not null, key text not null,
        stamp integer not null, primary key (generation, tenant, collection, key)
    ) strict, without rowid""",
)

_DERIVED = (
    """create table attribute (
        generation integer not null, key text not null, kind text not null, value any not null,
        document integer not null references document (id), primary key (generation, key, kind, value, document)
    ) strict, without rowid""",
    "create index attribute_document on attribute (document)",
    """create table vector_state (
        generation integer primary key, changes integer not null, epoch integer not null, slots integer not null,
        dead integer not null
    ) strict""",
    """create table home (
        id integer primary key, generation integer not null, tenant text not null, collection text not null
    ) strict""",
    "create unique index home_name on home (generation, tenant, collection)",
    """create table segment (
        id integer primary key, generation integer not null, number integer not null, slots blob not null
    ) strict""",
    "create unique index segment_number on segment (generation, number)",
    # By itself: to change a number beside a large blob is to write the blob anew.
    """create table segment_change (
        generation integer not null, number integer not null, change integer not null, primary key (generation, number)
    ) strict, without rowid""",
    """create table slot (
        generation integer not null, chunk integer not null, place integer not null, primary key (generation, chunk)
    ) strict, without rowid""",
    """create virtual table words using fts5 (
        passage, content = 'chunk', content_rowid = 'id', tokenize = 'porter unicode61 remove_diacritics 2'
    )""",
    "insert into words (words, rank) values ('secure-delete', 1)",
)

_CHECKPOINTS = (
    # One row per source of changes; the one without a name holds the identity of the index.
    "create table checkpoint (source text primary key, value text not null) strict, without rowid",
    "insert into checkpoint (source, value) values ('', lower(hex(randomblob(16))))",
)

_REMOVALS = (
    # Of what was removed only what is needed to know it again: its key may be a person's address.
    """create table removal (
        generation integer not null, address blob not null, stamp integer not null,
        primary key (generation, address)
    ) strict, without rowid""",
    """insert into removal (generation, address, stamp)
        select generation, address_of(tenant, collection, key), stamp from tombstone""",
    "drop table tombstone",
)

STEPS = (
    Step(1, "documents and chunks", _TRUTH),
    Step(2, "filters, words and segments", _DERIVED),
    Step(3, "batch jobs, claims and costs", BATCH),
    Step(4, "identity and checkpoints", _CHECKPOINTS),
    Step(5, "removals without their keys", _REMOVALS),
    Step(6, "what each batch job has cost", PAID),
)


def newest() -> int:
    """The schema version this release writes."""
    return STEPS[-1].number


def migrate(raw: Any, first: dict[str, str] | None = None) -> int:
    """Take the steps that are missing, each in a transaction of its own; the version reached.

    first: what ``meta`` of a new file says; written in the first step, so no file is ever without
    it.
    """
    for step in STEPS:
        with transaction(raw):
            # Looked at inside: another process may have been faster.
            if step.number <= version_of(raw):
                continue
            take(raw, step)
            if step.number == 1:
                raw.execute(f"pragma application_id = {APPLICATION_ID}")
                raw.executemany(
                    "insert into meta (key, value) values (?, ?)", list((first or {}).items())
                )
            row = (step.number, step.name, datetime.now(UTC).isoformat())
            raw.execute("insert into migration (number, name, applied_at) values (?, ?, ?)", row)
            raw.execute(f"pragma user_version = {step.number}")
    return version_of(raw)


def take(raw: Any, step: Step) -> None:
    """Do what a step says, within a transaction."""
    raw.create_scalar_function("address_of", address_of, 3, deterministic=True)
    for statement in step.statements:
        raw.execute(statement)


def version_of(raw: Any) -> int:
    """The schema version of an open file."""
    return int(raw.pragma("user_version"))
