"""The schema of the file as numbered steps, and how a file takes those it lacks.

A released step is never edited; a later step corrects it. All names begin with ``semantic_index_``,
because an index may share a file with the tables of an application.

Keys begin with a generation, so that an index can be rebuilt beside the current one without
changing these tables. Text is compared byte by byte, which for UTF-8 is by code point. STRICT
tables refuse values of another type (a numpy scalar would otherwise be stored as bytes).
AUTOINCREMENT never gives a number twice, so what a process remembers of a chunk stays true.

Tested by tests/sqlite/test_opening.py and tests/sqlite/test_jobs.py.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import attrs

from semantic_core_peewee.sqlite.connection import transaction
from semantic_core_peewee.sqlite.records import address_of
from semantic_core_peewee.sqlite.titles import words_of

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


_DOCUMENTS = (
    """create table semantic_index_meta (
        key text primary key,
        value text not null
    ) strict, without rowid""",
    """create table semantic_index_migration (
        number integer primary key,
        name text not null,
        applied_at text not null
    ) strict""",
    """create table semantic_index_document (
        id integer primary key autoincrement,
        generation integer not null,
        tenant text not null,
        collection text not null,
        key text not null,
        title text not null,
        media_type text not null,
        language text,
        metadata text not null,
        characters integer not null,
        text_hash text not null,
        stamp integer,
        crc integer not null,
        created_at text not null,
        updated_at text not null,
        text text not null
    ) strict""",
    """create unique index semantic_index_document_ref
        on semantic_index_document (generation, tenant, collection, key)""",
    """create table semantic_index_chunk (
        id integer primary key autoincrement,
        generation integer not null,
        document integer not null references semantic_index_document (id),
        position integer not null,
        kind text not null,
        start integer not null,
        "end" integer not null,
        fingerprint text not null,
        fingerprint_crc integer not null,
        vector_crc integer,
        crc integer not null,
        job text,
        error text,
        headings text not null,
        metadata text not null,
        vector blob,
        text text not null,
        lead text not null,
        own text,
        passage text generated always as (coalesce(own, lead || text)) virtual
    ) strict""",
    """create unique index semantic_index_chunk_place
        on semantic_index_chunk (document, position)""",
    # Rows are wide: the document of a chunk is found without reading its row.
    """create unique index semantic_index_chunk_owner
        on semantic_index_chunk (id, document, position, generation)""",
    # New rows fall anywhere in it, so all its pages are written again and again: keep it small.
    "create index semantic_index_chunk_fingerprint on semantic_index_chunk (fingerprint_crc)",
    """create index semantic_index_chunk_waiting_for
        on semantic_index_chunk (generation, fingerprint) where vector is null""",
    """create index semantic_index_chunk_pending
        on semantic_index_chunk (generation, id) where vector is null""",
    """create index semantic_index_chunk_pending_of
        on semantic_index_chunk (document) where vector is null""",
    """create table semantic_index_tombstone (
        generation integer not null,
        tenant text not null,
        collection text not null,
        key text not null,
        stamp integer not null,
        primary key (generation, tenant, collection, key)
    ) strict, without rowid""",
)

_DERIVED = (
    """create table semantic_index_attribute (
        generation integer not null,
        key text not null,
        kind text not null,
        value any not null,
        document integer not null references semantic_index_document (id),
        primary key (generation, key, kind, value, document)
    ) strict, without rowid""",
    "create index semantic_index_attribute_document on semantic_index_attribute (document)",
    """create table semantic_index_vector_state (
        generation integer primary key,
        changes integer not null,
        epoch integer not null,
        slots integer not null,
        dead integer not null
    ) strict""",
    """create table semantic_index_home (
        id integer primary key,
        generation integer not null,
        tenant text not null,
        collection text not null
    ) strict""",
    """create unique index semantic_index_home_name
        on semantic_index_home (generation, tenant, collection)""",
    """create table semantic_index_segment (
        id integer primary key,
        generation integer not null,
        number integer not null,
        slots blob not null
    ) strict""",
    """create unique index semantic_index_segment_number
        on semantic_index_segment (generation, number)""",
    # A table of its own: to change a number beside a large blob would write the blob again.
    """create table semantic_index_segment_change (
        generation integer not null,
        number integer not null,
        change integer not null,
        primary key (generation, number)
    ) strict, without rowid""",
    """create table semantic_index_slot (
        generation integer not null,
        chunk integer not null,
        place integer not null,
        primary key (generation, chunk)
    ) strict, without rowid""",
    """create virtual table semantic_index_words using fts5 (
        passage,
        content = 'semantic_index_chunk',
        content_rowid = 'id',
        tokenize = 'porter unicode61 remove_diacritics 2'
    )""",
    "insert into semantic_index_words (semantic_index_words, rank) values ('secure-delete', 1)",
)

_BATCH_JOBS = (
    """create table semantic_index_batch_job (
        number integer primary key autoincrement,
        id text not null unique,
        name text not null unique,
        generation integer not null,
        status text not null
            check (status in ('CREATED', 'SUBMITTED', 'PROCESSING', 'COMPLETED', 'FAILED')),
        provider_job text not null,
        sent integer not null,
        succeeded integer not null,
        failed integer not null,
        characters integer not null,
        tokens integer not null,
        tries integer not null,
        error text not null,
        created_at real not null,
        updated_at real not null,
        submitted_at real not null,
        answered_at real not null,
        cancelled_at real not null,
        ended_at real not null,
        owner text not null,
        leased_until real not null,
        cleaned integer not null,
        most integer,
        check (status in ('CREATED', 'FAILED') or provider_job <> '')
    ) strict""",
    """create index semantic_index_batch_job_open
        on semantic_index_batch_job (number)
        where status in ('CREATED', 'SUBMITTED', 'PROCESSING')""",
    """create index semantic_index_batch_job_unclean
        on semantic_index_batch_job (number) where not cleaned""",
    # Who embeds a passage now. The claim of a job has no end; any other (holder < 0) expires.
    """create table semantic_index_claim (
        generation integer not null,
        fingerprint text not null,
        holder integer not null,
        number integer not null,
        account integer not null,
        characters integer not null,
        until real,
        primary key (generation, fingerprint)
    ) strict, without rowid""",
    "create index semantic_index_claim_holder on semantic_index_claim (holder, number)",
    "create index semantic_index_claim_number on semantic_index_claim (number, until)",
    """create index semantic_index_claim_until
        on semantic_index_claim (until) where until is not null""",
    """create table semantic_index_trouble (
        generation integer not null,
        fingerprint text not null,
        job text not null,
        attempts integer not null,
        most integer,
        failed integer not null,
        error text not null,
        primary key (generation, fingerprint)
    ) strict, without rowid""",
    """create index semantic_index_trouble_most
        on semantic_index_trouble (generation, most) where most is not null and not failed""",
    """create table semantic_index_account (
        id integer primary key,
        tenant text not null,
        collection text not null
    ) strict""",
    """create unique index semantic_index_account_name
        on semantic_index_account (tenant, collection)""",
    """create table semantic_index_cost (
        day text not null,
        tenant text not null,
        collection text not null,
        model text not null,
        tier text not null,
        currency text not null,
        passages integer not null,
        tokens integer not null,
        amount integer not null,
        primary key (day, tenant, collection, model, tier, currency)
    ) strict, without rowid""",
    # Pending chunks are listed without reading their rows, which are wide.
    """create index semantic_index_chunk_waiting
        on semantic_index_chunk (generation, id, fingerprint) where vector is null""",
    "drop index semantic_index_chunk_pending",
)

_CHECKPOINTS = (
    # One row per source of changes. The row without a name holds the identity of the index.
    """create table semantic_index_checkpoint (
        source text primary key,
        value text not null
    ) strict, without rowid""",
    "insert into semantic_index_checkpoint (source, value) values ('', lower(hex(randomblob(16))))",
)

_REMOVALS = (
    # Only a hash of the removed document's key is stored: the key may be a person's address.
    """create table semantic_index_removal (
        generation integer not null,
        address blob not null,
        stamp integer not null,
        primary key (generation, address)
    ) strict, without rowid""",
    """insert into semantic_index_removal (generation, address, stamp)
        select generation, address_of(tenant, collection, key), stamp
        from semantic_index_tombstone""",
    "drop table semantic_index_tombstone",
)

_PAID = (
    "alter table semantic_index_batch_job add column account text not null default ''",
    "alter table semantic_index_batch_job add column paid integer not null default 0",
    "alter table semantic_index_batch_job add column paid_tokens integer not null default 0",
    # An estimate of what the cost table holds already: it does not say of which job.
    """update semantic_index_batch_job set paid = succeeded,
        paid_tokens = case when sent > 0 then tokens * succeeded / sent else 0 end""",
)

_REVISIONS = (
    # One row per tenant that was ever written, and one without a name for the whole store.
    """create table semantic_index_revision (
        tenant text primary key,
        value text not null
    ) strict, without rowid""",
)

_TEXT = (
    # Which chunks contain which terms: see `text_segments`.
    """create table semantic_index_text_state (
        generation integer primary key,
        changes integer not null,
        layout integer not null,
        sealed integer not null,
        chunks integer not null,
        terms integer not null,
        dead integer not null,
        analyser text not null
    ) strict""",
    """create table semantic_index_text_tail (
        chunk integer primary key,
        generation integer not null,
        document integer not null,
        home integer not null,
        length integer not null,
        crc integer not null,
        terms blob not null
    ) strict""",
    """create table semantic_index_text_segment (
        id integer primary key autoincrement,
        generation integer not null,
        first integer not null,
        last integer not null,
        count integer not null,
        blocks integer not null,
        building integer not null
    ) strict""",
    # Tables of their own: to change a number beside a large blob would write the blob again.
    """create table semantic_index_text_columns (
        segment integer primary key,
        crc integer not null,
        rows blob not null,
        directory blob not null
    ) strict""",
    """create table semantic_index_text_block (
        id integer primary key,
        crc integer not null,
        data blob not null
    ) strict""",
    """create table semantic_index_text_dead (
        id integer primary key autoincrement,
        generation integer not null,
        chunk integer not null
    ) strict""",
    "create index semantic_index_text_dead_chunk on semantic_index_text_dead (generation, chunk)",
    """create table semantic_index_text_word (
        generation integer not null,
        word text not null,
        term integer not null,
        chunks integer not null,
        primary key (generation, word, term)
    ) strict, without rowid""",
    # The words of each title, so that titles are found by how they begin.
    """create table semantic_index_title (
        generation integer not null,
        tenant text not null,
        words text not null,
        document integer not null,
        primary key (generation, tenant, words, document)
    ) strict, without rowid""",
    "create index semantic_index_title_document on semantic_index_title (document)",
    """insert into semantic_index_title (generation, tenant, words, document)
        select generation, tenant, title_words(title), id
        from semantic_index_document
        where title_words(title) <> ''""",
    "drop table semantic_index_words",
)

STEPS = (
    Step(1, "documents and chunks", _DOCUMENTS),
    Step(2, "filters, full-text index and vector segments", _DERIVED),
    Step(3, "batch jobs, claims and costs", _BATCH_JOBS),
    Step(4, "identity and checkpoints", _CHECKPOINTS),
    Step(5, "removals without their keys", _REMOVALS),
    Step(6, "what each batch job has cost", _PAID),
    Step(7, "revisions of tenants", _REVISIONS),
    Step(8, "a full-text index of its own", _TEXT),
)


def newest() -> int:
    """The schema version that this release writes."""
    return STEPS[-1].number


def migrate(raw: Any, first: dict[str, str] | None = None) -> int:
    """Take the missing steps, each in a transaction of its own; return the version reached.

    first: the content of the meta table of a new file. A new file takes all steps in one
    transaction, and is never without that content.
    """
    # No copy of a page is left behind in a temporary file.
    raw.execute("pragma temp_store = memory")
    if first is not None:
        with transaction(raw):
            for step in STEPS:
                _take_if_missing(raw, step, first)
        return version_of(raw)
    for step in STEPS:
        with transaction(raw):
            _take_if_missing(raw, step, {})
    return version_of(raw)


def _take_if_missing(raw: Any, step: Step, first: dict[str, str]) -> None:
    """Take a step within the transaction that is open, unless another process was faster."""
    if step.number <= version_of(raw):
        return
    take(raw, step)
    if step.number == 1:
        raw.execute(f"pragma application_id = {APPLICATION_ID}")
        raw.executemany(
            "insert into semantic_index_meta (key, value) values (?, ?)", list(first.items())
        )
    row = (step.number, step.name, datetime.now(UTC).isoformat())
    raw.execute(
        "insert into semantic_index_migration (number, name, applied_at) values (?, ?, ?)", row
    )
    raw.execute(f"pragma user_version = {step.number}")


def take(raw: Any, step: Step) -> None:
    """Execute the statements of a step within the transaction that is open."""
    raw.create_scalar_function("address_of", address_of, 3, deterministic=True)
    raw.create_scalar_function("title_words", words_of, 1, deterministic=True)
    for statement in step.statements:
        raw.execute(statement)


def version_of(raw: Any) -> int:
    """The schema version of an open file."""
    return int(raw.pragma("user_version"))
