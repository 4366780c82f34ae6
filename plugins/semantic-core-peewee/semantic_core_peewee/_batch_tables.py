"""The tables of batch jobs: the third and the sixth step of the schema (see `_migrations`)."""

from __future__ import annotations

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
