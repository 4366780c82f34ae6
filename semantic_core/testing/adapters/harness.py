"""What the author of an adapter supplies to have it checked: models in the kit's tables,
and how the ORM writes to them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from enum import Enum
from typing import Any

import attrs

from semantic_core.core import SemanticCore
from semantic_core.orm import BaseORMAdapter


class Capability(Enum):
    """What an ORM, its adapter or the database may be without; the value says what it is."""

    BULK = "Bulk statements of the ORM (insert many, update many, delete many) are seen."
    CASCADE = "Rows that the database itself deletes or changes because of a foreign key are seen."
    COMPOSITE_KEY = "A primary key may have several columns."
    CONCURRENT = "Several transactions may write at the same time."
    CRASH = "A connection can be lost in the middle of a transaction."
    EVENTS = 'There is capture="events", for databases without triggers.'
    INHERITANCE = "A model may keep the fields of its parent in the parent's table."
    KEY_CHANGE = "The primary key of a row may change."
    MANY_TO_MANY = "A field may read through a table that joins two others."
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
    """Why a capability is missing. reason: a sentence, what happens instead; workaround: a
    sentence, what a user does.
    """

    reason: str
    workaround: str


Limits = Mapping[Capability, Limit]


class AdapterHarness(ABC):
    """One empty database with the kit's tables, written to through the ORM.

    Opened anew for each check, then closed.

    A row is written outside of `transaction` and committed at once, or within and committed with
    it.

    adapter: the class to be checked. options: its own (``adapter_options``), such as the database.
    limits: what it is without; checks that need it are skipped with that reason. models: the model
    of each of these tables, by name; one that only a missing capability needs is left out. Names of
    tables and columns are as written here, attributes of instances likewise, all columns but keys
    take NULL; str is VARCHAR(200), text is TEXT.

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
    `update` and `delete` find them nevertheless. A ``boolean`` is written TRUE and FALSE in SQL;
    what the columns have as defaults does not matter.
    """

    adapter: type[BaseORMAdapter]
    models: Mapping[str, type]
    options: Mapping[str, Any] = {}
    limits: Limits = {}

    # --- needed by every check --------------------------------------------------------------------

    @abstractmethod
    def create(self, model: type, **values: Any) -> Any:
        """Insert a row through the ORM, as its users do; the instance.

        Keys are always given, of foreign keys the id.
        """

    @abstractmethod
    def update(self, model: type, key: Any, **values: Any) -> None:
        """Read the row with this key (a tuple for a composite one) through the ORM,
        set attributes, save it.
        """

    @abstractmethod
    def delete(self, model: type, key: Any) -> None:
        """Read the row with this key through the ORM and delete it,
        with the rows that its foreign keys take along.
        """

    @abstractmethod
    def transaction(self) -> AbstractContextManager[Any]:
        """A block that commits in the end, or rolls back if it raises;
        within another one, a savepoint.
        """

    @abstractmethod
    def sql(self, statement: str) -> Sequence[Sequence[Any]]:
        """Run a statement without parameters, as it is, past the ORM's models; its rows,
        [] where it gives none.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of everything.

        Triggers are gone by then; tables and pending changes may stay if the next one begins empty.
        """

    # --- needed unless a limit says why not -------------------------------------------------------

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
        """UPSERT: insert a row, or give the one with its ``id`` these values, in one statement."""
        raise NotImplementedError(_missing(self, "upsert", Capability.UPSERT))

    def crash(self, work: Callable[[], None]) -> None:
        """CRASH: begin a transaction, call ``work()``, and lose the connection before the commit;
        later ones are new.
        """
        raise NotImplementedError(_missing(self, "crash", Capability.CRASH))

    def leave_thread(self) -> None:
        """THREADS: called by each other thread in its end,
        to close what the ORM keeps open for it.
        """
        return

    # --- where the adapter has something of its own -----------------------------------------------

    def make_core(self, embedder: Any, *, multi_tenant: bool) -> SemanticCore:
        """The core for a check, empty; by default one in memory."""
        return SemanticCore(
            store="memory", embedder=embedder, multi_tenant=multi_tenant, plugins=[]
        )


OpenHarness = Callable[[], AdapterHarness]
"""Opens a harness. Called again while the first is open,
it opens a second database (SECOND_DATABASE).
"""

_ONE_WRITER = Limit(
    "SQLite has one writer at a time: a second transaction waits for the first.",
    "None is needed; keep transactions short.",
)
_NO_TRUNCATE = Limit("SQLite has no TRUNCATE.", "DELETE FROM without WHERE is seen, row by row.")
_UNSEEN_TRUNCATE = Limit(
    "TRUNCATE fires no trigger on MySQL and MariaDB, so the rows stay in the index.",
    (
        "Delete the rows instead, or call repair() after a TRUNCATE. Search leaves "
        "out rows that are gone."
    ),
)
DATABASE_LIMITS: Mapping[str, Limits] = {
    "sqlite": {Capability.CONCURRENT: _ONE_WRITER, Capability.TRUNCATE: _NO_TRUNCATE},
    "postgresql": {},
    "mysql": {Capability.TRUNCATE: _UNSEEN_TRUNCATE},
}
"""Per dialect, what the database itself is without, whatever the ORM.
Adapters add their own limits to these.
"""


def _missing(harness: AdapterHarness, method: str, capability: Capability) -> str:
    return (
        f"{type(harness).__name__} has no {method}(): write it, or give the reason in "
        f"limits[Capability.{capability.name}]."
    )


# The known limits of adapters, as a table for a page: generated from what their harnesses say,
# so that it stays true.


def limits_table(adapters: Mapping[str, Limits]) -> str:
    """A Markdown table of what these adapters are without: description, workaround,
    and whom it concerns.

    adapters: per name, such as "Peewee on SQLite", its limits. The same limit of several is one
    row. Every capability of the kit that has no row is kept by all of them.
    """
    rows: dict[tuple[Capability, Limit], list[str]] = {}
    for name, limits in adapters.items():
        for capability, limit in limits.items():
            rows.setdefault((capability, limit), []).append(name)
    lines = ["| without | who | description | workaround |", "|---|---|---|---|"]
    for (capability, limit), names in sorted(
        rows.items(), key=lambda row: (row[0][0].name, row[1])
    ):
        cells = [f"`{capability.name}`", ", ".join(names), limit.reason, limit.workaround]
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def capabilities_table() -> str:
    """A Markdown table of every capability a harness may say its adapter is without."""
    rows = [f"| `{capability.name}` | {capability.value} |" for capability in Capability]
    return "\n".join(["| capability | what is promised |", "|---|---|", *rows]) + "\n"
