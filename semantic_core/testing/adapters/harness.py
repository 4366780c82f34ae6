"""What the author of an adapter supplies to have it checked: models of the kit's tables, and how
the ORM writes to them.

Tested by tests/orm/test_adapter_kit.py and tests/orm/test_known_limits.py.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from enum import Enum
from operator import itemgetter
from typing import Any

import attrs

from semantic_core.core import SemanticCore
from semantic_core.orm import BaseORMAdapter


class Capability(Enum):
    """What an ORM, its adapter or the database may be without. The value describes it."""

    BULK = "Bulk statements of the ORM (insert many, update many, delete many) are seen."
    CASCADE = "Rows that the database itself deletes or changes because of a foreign key are seen."
    COMPOSITE_KEY = "A primary key may have several columns."
    CONCURRENT = "Several transactions may write at the same time."
    CRASH = "A connection can be lost in the middle of a transaction."
    EVENTS = 'There is capture="events", for databases without triggers.'
    INHERITANCE = "A model may keep the fields of its parent in the parent's table."
    KEY_CHANGE = "The primary key of a row may change."
    MANY_TO_MANY = "A field may read through a table that joins two others."
    MIXED_SQL = "Within a transaction, SQL may change rows that the ORM has read in it."
    PER_DATABASE = "Transactions of two databases commit and roll back apart from each other."
    QUERY = "A query of the ORM names the rows that a search is limited to."
    RELATED = "A change of a related row reaches the rows that read through it."
    SAVEPOINTS = "Transactions can be nested; an inner one can be rolled back alone."
    SECOND_DATABASE = "Models of two databases may be indexed in one process."
    SQL = "SQL that goes past the ORM, from this program or another, is seen."
    TEXT_KEY = "A primary key may be text, compared to the letter."
    THREADS = "Several threads may write at the same time."
    TO_MANY = "A field may read through the other side of a foreign key."
    TRUNCATE = "TRUNCATE is seen."
    UPSERT = "Insert-or-update statements of the ORM are seen."
    UUID_KEY = "A primary key may be a UUID."


@attrs.frozen
class Limit:
    """Why a capability is missing. reason: a sentence that says what happens instead. workaround: a
    sentence that says what a user can do.
    """

    reason: str
    workaround: str


Limits = Mapping[Capability, Limit]


class AdapterHarness(ABC):
    """One empty database with the kit's tables, written to through the ORM.

    Each check opens a harness and closes it in the end.

    A row that is written outside of `transaction` is committed at once; a row that is written
    within it is committed with it.

    adapter: the class to be checked. options: its ``adapter_options``, such as the database.
    limits: the capabilities it is without; checks that need one are skipped with the reason.
    models: the model of each of these tables, by name; leave out a model that only a missing
    capability needs. Tables, columns and attributes of instances have the names in this table. All
    columns but keys accept NULL; str is VARCHAR(200), text is TEXT.

    =========  =============  ======================================================================
    name       table          columns
    =========  =============  ======================================================================
    author     kit_author     id int, name str, mentor_id -> kit_author.id ON DELETE SET NULL;
                              attribute ``mentor``; to-many attribute ``articles``
    article    kit_article    id int, title str, content text, stars int, hidden bool, deleted_at
                              timestamp without zone, author_id -> kit_author.id ON DELETE CASCADE;
                              attribute ``author``; many-to-many attribute ``tags``
    tag        kit_tag        id int, name str; many-to-many attribute ``articles``
    tagging    kit_tagging    id int, article_id -> kit_article.id, tag_id -> kit_tag.id, both ON
                              DELETE CASCADE: joins articles and tags
    seat       kit_seat       hall str, number int: the key, in this order; label str
    page       kit_page       slug str: the key, compared to the letter; body text
    parcel     kit_parcel     id uuid, content text
    note       kit_note       id int, owner str, body text
    media      kit_media      id int, title str
    book       kit_book       a key that points at kit_media.id, blurb text; inherits ``id`` and
                              ``title``
    =========  =============  ======================================================================

    Where the ORM has default filters (managers), that of article hides rows with ``hidden``;
    `update` and `delete` find them nevertheless. Checks write a boolean as TRUE and FALSE in SQL.
    The defaults of the columns do not matter.
    """

    adapter: type[BaseORMAdapter]
    models: Mapping[str, type]
    options: Mapping[str, Any] = {}
    limits: Limits = {}

    # --- every check needs these ------------------------------------------------------------------

    @abstractmethod
    def create(self, model: type, **values: Any) -> Any:
        """Insert a row through the ORM, as its users do; returns the instance.

        The values have the primary key, and the id for a foreign key.
        """

    @abstractmethod
    def update(self, model: type, key: Any, **values: Any) -> None:
        """Read the row with this key (a tuple for a composite one) through the ORM, set these
        attributes and save it.
        """

    @abstractmethod
    def delete(self, model: type, key: Any) -> None:
        """Read the row with this key through the ORM and delete it, with the rows that its foreign
        keys cascade to.
        """

    @abstractmethod
    def transaction(self) -> AbstractContextManager[Any]:
        """A block that commits in the end, or rolls back if it raises. Within another such block it
        is a savepoint.
        """

    @abstractmethod
    def sql(self, statement: str) -> Sequence[Sequence[Any]]:
        """Run a statement without parameters, unchanged, past the ORM's models; returns its rows,
        [] if it gives none.
        """

    @abstractmethod
    def close(self) -> None:
        """Release all resources.

        The check has removed its triggers. Tables and the outbox may remain if the next harness
        begins empty.
        """

    # --- needed unless a limit gives the reason ---------------------------------------------------

    def insert_many(self, model: type, rows: Sequence[Mapping[str, Any]]) -> None:
        """BULK: insert rows in one statement."""
        raise NotImplementedError(_missing(self, "insert_many", Capability.BULK))

    def update_many(self, model: type, keys: Sequence[Any], **values: Any) -> None:
        """BULK: update the rows whose ``id`` is among the keys, in one statement."""
        raise NotImplementedError(_missing(self, "update_many", Capability.BULK))

    def delete_many(self, model: type, keys: Sequence[Any]) -> None:
        """BULK: delete the rows whose ``id`` is among the keys, in one statement."""
        raise NotImplementedError(_missing(self, "delete_many", Capability.BULK))

    def upsert(self, model: type, **values: Any) -> None:
        """UPSERT: insert a row, or set these values in the row with its ``id``. One statement."""
        raise NotImplementedError(_missing(self, "upsert", Capability.UPSERT))

    def query(self, model: type, **values: Any) -> Any:
        """QUERY: a query for the rows whose columns have these values, as `among` of a search takes
        it, not executed yet. For articles also those that a default filter hides.
        """
        raise NotImplementedError(_missing(self, "query", Capability.QUERY))

    def crash(self, work: Callable[[], None]) -> None:
        """CRASH: begin a transaction, call ``work()`` and lose the connection before the commit.
        Later calls use a new connection.
        """
        raise NotImplementedError(_missing(self, "crash", Capability.CRASH))

    def leave_thread(self) -> None:
        """THREADS: called at the end of each other thread, to close its connections of the ORM."""
        return

    # --- may be overridden ------------------------------------------------------------------------

    def make_core(self, embedder: Any, *, multi_tenant: bool) -> SemanticCore:
        """An empty core for a check; by default one with a store in memory."""
        return SemanticCore(
            store="memory", embedder=embedder, multi_tenant=multi_tenant, plugins=[]
        )


OpenHarness = Callable[[], AdapterHarness]
"""Opens a harness. A call while the first harness is open opens a second database
(SECOND_DATABASE).
"""

_ONE_WRITER = Limit(
    "SQLite has one writer at a time: a second transaction waits for the first.",
    "None is needed; keep transactions short.",
)
_NO_TRUNCATE = Limit("SQLite has no TRUNCATE.", "DELETE FROM without WHERE is seen, row by row.")
_UNSEEN_TRUNCATE = Limit(
    "TRUNCATE fires no trigger on MySQL and MariaDB, so the rows stay in the index.",
    "Delete the rows instead, or call repair() after a TRUNCATE. "
    "Search leaves out rows that are gone.",
)
DATABASE_LIMITS: Mapping[str, Limits] = {
    "sqlite": {Capability.CONCURRENT: _ONE_WRITER, Capability.TRUNCATE: _NO_TRUNCATE},
    "postgresql": {},
    "mysql": {Capability.TRUNCATE: _UNSEEN_TRUNCATE},
}
"""The limits of each database, whatever the ORM, by dialect. Harnesses add the limits of their
adapter to these.
"""


def _missing(harness: AdapterHarness, method: str, capability: Capability) -> str:
    return (
        f"{type(harness).__name__} has no {method}(): write it, or give the reason in "
        f"limits[Capability.{capability.name}]."
    )


def limits_table(adapters: Mapping[str, Limits]) -> str:
    """A Markdown table of the known limits of these adapters. It is generated from what their
    harnesses declare, so it stays true.

    adapters: the limits of each by its name, such as "Peewee on SQLite". Adapters with the same
    limit share a row. A capability without a row is one that all of them have.
    """
    concerned: dict[tuple[Capability, Limit], list[str]] = {}
    for name, limits in adapters.items():
        for capability, limit in limits.items():
            concerned.setdefault((capability, limit), []).append(name)
    lines = ["| without | who | description | workaround |", "|---|---|---|---|"]
    rows: list[tuple[str, list[str], Limit]] = []
    for (capability, limit), names in concerned.items():
        rows.append((capability.name, names, limit))
    for capability_name, names, limit in sorted(rows, key=itemgetter(0, 1)):
        who = ", ".join(names)
        lines.append(_table_row(f"`{capability_name}`", who, limit.reason, limit.workaround))
    return "\n".join(lines) + "\n"


def capabilities_table() -> str:
    """A Markdown table of every capability that a harness may declare to be missing."""
    lines = ["| capability | what is promised |", "|---|---|"]
    for capability in Capability:
        lines.append(_table_row(f"`{capability.name}`", capability.value))
    return "\n".join(lines) + "\n"


def _table_row(*cells: str) -> str:
    escaped = [cell.replace("|", "\\|") for cell in cells]
    return f"| {' | '.join(escaped)} |"
