"""The tables as Peewee models: what a row is,
and what the reads of an administrator are written with.

`_migrations` makes the tables; a test holds both together. The models are bound to no database: a
query is executed on the one it is handed, so two stores in one process never meet. Searching and
writing go to the connection beneath.
"""

from __future__ import annotations

from typing import Any

import peewee
from playhouse.apsw_ext import APSWDatabase

from semantic_core_peewee.sqlite.pool import Pool


class Meta(peewee.Model):
    """What the file says of itself: space, tenancy, generation, when it was made."""

    key = peewee.TextField(primary_key=True)
    value = peewee.TextField()


class Migration(peewee.Model):
    """A step the schema has taken."""

    number = peewee.IntegerField(primary_key=True)
    name = peewee.TextField()
    applied_at = peewee.TextField()


class Document(peewee.Model):
    """A document as it was handed over. metadata: JSON. characters: code points of the text.
    stamp: of its last change.
    """

    id = peewee.AutoField()
    generation = peewee.IntegerField()
    tenant = peewee.TextField()
    collection = peewee.TextField()
    key = peewee.TextField()
    title = peewee.TextField()
    media_type = peewee.TextField()
    language = peewee.TextField(null=True)
    metadata = peewee.TextField()
    characters = peewee.IntegerField()
    text_hash = peewee.TextField()
    stamp = peewee.IntegerField(null=True)
    crc = peewee.IntegerField()
    created_at = peewee.TextField()
    updated_at = peewee.TextField()
    text = peewee.TextField()


class Chunk(peewee.Model):
    """A passage: `lead` and `text`, or `own` where it does not end with the text;
    the table has it as a computed column.

    vector: float32, little-endian, NULL while it waits for one. headings, metadata: JSON.
    """

    id = peewee.AutoField()
    generation = peewee.IntegerField()
    document = peewee.ForeignKeyField(Document, column_name="document", backref="chunks")
    position = peewee.IntegerField()
    kind = peewee.TextField()
    start = peewee.IntegerField()
    end = peewee.IntegerField()
    fingerprint = peewee.TextField()
    fingerprint_crc = peewee.IntegerField()
    vector_crc = peewee.IntegerField(null=True)
    crc = peewee.IntegerField()
    job = peewee.TextField(null=True)
    error = peewee.TextField(null=True)
    headings = peewee.TextField()
    metadata = peewee.TextField()
    vector = peewee.BlobField(null=True)
    text = peewee.TextField()
    lead = peewee.TextField()
    own = peewee.TextField(null=True)


class Attribute(peewee.Model):
    """One value of one metadata key of one document, for filters. kind: "text", "number", "bool",
    "empty" (of a list).
    """

    generation = peewee.IntegerField()
    key = peewee.TextField()
    kind = peewee.TextField()
    value = peewee.BareField()
    document = peewee.ForeignKeyField(Document, column_name="document", backref="attributes")

    class Meta:
        primary_key = peewee.CompositeKey("generation", "key", "kind", "value", "document")


class Removal(peewee.Model):
    """The stamp of a document that was removed: an older change that comes late must not bring it
    back. address: a fingerprint, see `_rows.address_of`.
    """

    generation = peewee.IntegerField()
    address = peewee.BlobField()
    stamp = peewee.IntegerField()

    class Meta:
        primary_key = peewee.CompositeKey("generation", "address")


class VectorState(peewee.Model):
    """How far the slots are, see `_slots.State`."""

    generation = peewee.IntegerField(primary_key=True)
    changes = peewee.IntegerField()
    epoch = peewee.IntegerField()
    slots = peewee.IntegerField()
    dead = peewee.IntegerField()

    class Meta:
        table_name = "vector_state"


class Home(peewee.Model):
    """A tenant's collection under a number, so that a slot can say whose it is in four bytes."""

    id = peewee.IntegerField(primary_key=True)
    generation = peewee.IntegerField()
    tenant = peewee.TextField()
    collection = peewee.TextField()


class Segment(peewee.Model):
    """A run of slots, see `_slots`."""

    id = peewee.IntegerField(primary_key=True)
    generation = peewee.IntegerField()
    number = peewee.IntegerField()
    slots = peewee.BlobField()


class SegmentChange(peewee.Model):
    """The last change that touched a segment."""

    generation = peewee.IntegerField()
    number = peewee.IntegerField()
    change = peewee.IntegerField()

    class Meta:
        table_name = "segment_change"
        primary_key = peewee.CompositeKey("generation", "number")


class Slot(peewee.Model):
    """Where the code of a chunk is: the number of its slot."""

    generation = peewee.IntegerField()
    chunk = peewee.IntegerField()
    place = peewee.IntegerField()

    class Meta:
        primary_key = peewee.CompositeKey("generation", "chunk")


class BatchJob(peewee.Model):
    """A job in the ledger, see `semantic_core.batch.BatchJob`. most: passages it may hold,
    if it tries to find a bad one.
    """

    number = peewee.AutoField()
    id = peewee.TextField()
    name = peewee.TextField()
    generation = peewee.IntegerField()
    status = peewee.TextField()
    provider_job = peewee.TextField()
    sent = peewee.IntegerField()
    succeeded = peewee.IntegerField()
    failed = peewee.IntegerField()
    characters = peewee.IntegerField()
    tokens = peewee.IntegerField()
    tries = peewee.IntegerField()
    error = peewee.TextField()
    created_at = peewee.FloatField()
    updated_at = peewee.FloatField()
    submitted_at = peewee.FloatField()
    answered_at = peewee.FloatField()
    cancelled_at = peewee.FloatField()
    ended_at = peewee.FloatField()
    owner = peewee.TextField()
    leased_until = peewee.FloatField()
    cleaned = peewee.IntegerField()
    account = peewee.TextField()
    paid = peewee.IntegerField()
    paid_tokens = peewee.IntegerField()
    most = peewee.IntegerField(null=True)

    class Meta:
        table_name = "batch_job"


class Claim(peewee.Model):
    """Who holds a passage: the number of a job, or (below 0) somebody who embeds it until then.
    number: of a chunk it is of."""

    generation = peewee.IntegerField()
    fingerprint = peewee.TextField()
    holder = peewee.IntegerField()
    number = peewee.IntegerField()
    account = peewee.IntegerField()
    characters = peewee.IntegerField()
    until = peewee.FloatField(null=True)

    class Meta:
        primary_key = peewee.CompositeKey("generation", "fingerprint")


class Trouble(peewee.Model):
    """A passage that was in jobs in vain. most: passages a job it is in may hold.
    failed: it was given up.
    """

    generation = peewee.IntegerField()
    fingerprint = peewee.TextField()
    job = peewee.TextField()
    attempts = peewee.IntegerField()
    most = peewee.IntegerField(null=True)
    failed = peewee.IntegerField()
    error = peewee.TextField()

    class Meta:
        primary_key = peewee.CompositeKey("generation", "fingerprint")


class Account(peewee.Model):
    """A tenant's collection under a number, for as long as the file lasts: what was spent for it is
    not forgotten with it."""

    id = peewee.IntegerField(primary_key=True)
    tenant = peewee.TextField()
    collection = peewee.TextField()


class Cost(peewee.Model):
    """What was spent on a day. amount: in parts of the currency, see `semantic_core.batch.PICO`."""

    day = peewee.TextField()
    tenant = peewee.TextField()
    collection = peewee.TextField()
    model = peewee.TextField()
    lane = peewee.TextField()
    currency = peewee.TextField()
    passages = peewee.IntegerField()
    tokens = peewee.IntegerField()
    amount = peewee.IntegerField()

    class Meta:
        primary_key = peewee.CompositeKey(
            "day", "tenant", "collection", "model", "lane", "currency"
        )


class Checkpoint(peewee.Model):
    """How far one source of changes has been followed;
    the row without a name holds the identity of the index.
    """

    source = peewee.TextField(primary_key=True)
    value = peewee.TextField()


MODELS = (
    *(
        Meta,
        Migration,
        Document,
        Chunk,
        Attribute,
        Removal,
        VectorState,
        Home,
        Segment,
        SegmentChange,
        Slot,
    ),
    *(BatchJob, Claim, Trouble, Account, Cost, Checkpoint),
)


class PeeweeDatabase(APSWDatabase):  # type: ignore[misc]
    """Peewee on the connection the calling thread reads through;
    it opens and closes nothing by itself.
    """

    _pool: Pool | None = None

    def __init__(self, path: str, pool: Pool) -> None:
        super().__init__(path, autoconnect=False)
        self._pool = pool

    def connection(self) -> Any:
        """The APSW connection beneath."""
        return self._pool.current() if self._pool else None

    def cursor(self, named_cursor: None = None) -> Any:
        """A cursor within the open read transaction."""
        return self.connection().cursor()

    def is_closed(self) -> bool:
        """Never, once it is made: the pool decides."""
        return self._pool is None
