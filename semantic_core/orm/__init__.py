"""The index an ORM keeps by itself: declare it on a model, bind it once, and search rows.

`SemanticIndex` is the line on the model, `declare` puts it on a model of somebody else,
`BaseORMAdapter` is what an ORM's adapter derives from, `bind_declared` the binding of everything
that was declared. Changes are noted in an outbox in the application's own database (`SqlOutbox`),
by triggers or events, and worked off after the commit.
"""

from semantic_core.orm._agreement import unfinished_comparisons
from semantic_core.orm._care import VerifyReport
from semantic_core.orm._compare import ReindexProgress
from semantic_core.orm._contract import Backfill, CaptureMode, Strategy
from semantic_core.orm._declaration import Declaration
from semantic_core.orm._home import project_folder
from semantic_core.orm._hub import IndexStatus
from semantic_core.orm._leftovers import NoIndexes, follow_leftovers
from semantic_core.orm._results import ModelResults
from semantic_core.orm._tables import Dialect, Execute, Relation, Table, Through
from semantic_core.orm.base import BaseORMAdapter
from semantic_core.orm.index import SemanticIndex, bind_declared, declare
from semantic_core.orm.outbox import AbortedTicket, OutboxStatus, SqlOutbox, Ticket

__all__ = [
    "AbortedTicket",
    "Backfill",
    "BaseORMAdapter",
    "CaptureMode",
    "Declaration",
    "Dialect",
    "Execute",
    "IndexStatus",
    "ModelResults",
    "NoIndexes",
    "OutboxStatus",
    "ReindexProgress",
    "Relation",
    "SemanticIndex",
    "SqlOutbox",
    "Strategy",
    "Table",
    "Through",
    "Ticket",
    "VerifyReport",
    "bind_declared",
    "declare",
    "follow_leftovers",
    "project_folder",
    "unfinished_comparisons",
]
