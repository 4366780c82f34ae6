"""The index an ORM keeps by itself: declare it on a model, bind it once, and search rows.

`SemanticIndex` is the line on the model, `declare` puts it on a model of somebody else,
`BaseORMAdapter` is what an ORM's adapter derives from, `bind_declared` the binding of everything
that was declared. Changes are noted in an outbox in the application's own database (`SqlOutbox`),
by triggers or events, and worked off after the commit.
"""

from semantic_core.orm.agreement import unfinished_comparisons
from semantic_core.orm.base import BaseORMAdapter, ModelResults
from semantic_core.orm.comparison import ReindexProgress
from semantic_core.orm.contract import Backfill, CaptureMode, Strategy
from semantic_core.orm.declaration import Declaration
from semantic_core.orm.index import SemanticIndex, bind_declared, declare, project_folder
from semantic_core.orm.leftovers import NoIndexes, follow_leftovers
from semantic_core.orm.maintenance import VerifyReport
from semantic_core.orm.outbox import AbortedChange, OutboxStatus, PendingChange, SqlOutbox
from semantic_core.orm.sync import IndexStatus
from semantic_core.orm.tables import Dialect, Execute, Relation, Table, Through

__all__ = [
    "AbortedChange",
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
    "PendingChange",
    "ReindexProgress",
    "Relation",
    "SemanticIndex",
    "SqlOutbox",
    "Strategy",
    "Table",
    "Through",
    "VerifyReport",
    "bind_declared",
    "declare",
    "follow_leftovers",
    "project_folder",
    "unfinished_comparisons",
]
