"""Semantic search for the models of an ORM: declare an index on a model, bind it, and search its
rows.

`SemanticIndex` declares an index on a model, and `declare` on a model of another package.
`bind_declared` binds all declared indexes. An adapter for an ORM derives from `BaseORMAdapter`.
Triggers or events add a pending change for each write to an outbox in the application's own
database (`SqlOutbox`). Pending changes are processed after the commit, so the index follows the
rows.

- index, declaration: what is declared on a model. contract, base: the adapter of an ORM.
- results, pages, among: the rows of a search, and those that it is limited to. several: a search
  over several models.
- columns, statements, places, stand_ins: helpers that adapters are written with.
- blueprints: the adapters that applications copy, and how a plugin imports one.
- aio: how an adapter uses an ORM of asyncio. Not imported here: asyncio is only loaded if needed.
- outbox, consumers, paging, sql, dialects, tables: pending changes in the application's database.
- triggers, trigger_ddl, migrations: how writes are captured.
- sync, processing, pending, worker: when and how pending changes are processed.
- agreement, comparison, scan, maintenance: index and rows compared, after a restore for example.
- databases, leftovers: the databases of a core, and what former indexes left in them.

Tested by tests/orm/test_base.py, tests/house/test_exports.py.
"""

from semantic_core.orm.agreement import unfinished_comparisons
from semantic_core.orm.among import refused
from semantic_core.orm.base import BaseORMAdapter, bind_declared
from semantic_core.orm.blueprints import blueprint_module
from semantic_core.orm.columns import Column, build_table, dialect_named, parser_for, table_name
from semantic_core.orm.comparison import ReindexProgress
from semantic_core.orm.contract import Backfill, CaptureMode, Strategy
from semantic_core.orm.declaration import Declaration
from semantic_core.orm.index import SemanticIndex, declare
from semantic_core.orm.leftovers import NoIndexes, follow_leftovers
from semantic_core.orm.maintenance import VerifyReport
from semantic_core.orm.outbox import AbortedChange, OutboxStatus, PendingChange, SqlOutbox
from semantic_core.orm.pages import ModelPages
from semantic_core.orm.places import project_folder, usual_place
from semantic_core.orm.results import ModelResults
from semantic_core.orm.several import search_models
from semantic_core.orm.sql import Sql, by_name
from semantic_core.orm.stand_ins import CorePerDatabase
from semantic_core.orm.statements import (
    CHANGES_TABLES,
    WRITES_NOTHING,
    WRITES_ROWS,
    first_word,
    may_change_tables,
    may_write,
)
from semantic_core.orm.sync import IndexStatus
from semantic_core.orm.tables import Dialect, Execute, Relation, Table, Through

__all__ = [
    "CHANGES_TABLES",
    "WRITES_NOTHING",
    "WRITES_ROWS",
    "AbortedChange",
    "Backfill",
    "BaseORMAdapter",
    "CaptureMode",
    "Column",
    "CorePerDatabase",
    "Declaration",
    "Dialect",
    "Execute",
    "IndexStatus",
    "ModelPages",
    "ModelResults",
    "NoIndexes",
    "OutboxStatus",
    "PendingChange",
    "ReindexProgress",
    "Relation",
    "SemanticIndex",
    "Sql",
    "SqlOutbox",
    "Strategy",
    "Table",
    "Through",
    "VerifyReport",
    "bind_declared",
    "blueprint_module",
    "build_table",
    "by_name",
    "declare",
    "dialect_named",
    "first_word",
    "follow_leftovers",
    "may_change_tables",
    "may_write",
    "parser_for",
    "project_folder",
    "refused",
    "search_models",
    "table_name",
    "unfinished_comparisons",
    "usual_place",
]
