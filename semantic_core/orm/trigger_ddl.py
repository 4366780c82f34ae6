"""The statements that create, find and drop a trigger, in each dialect.

Tested by tests/orm/test_triggers.py.
"""

from __future__ import annotations

from typing import Literal

import attrs

from semantic_core.orm.dialects import (
    OUTBOX,
    dollar_quoted,
    identifier,
    literal,
    locked,
    split_name,
    table_identifier,
)
from semantic_core.orm.tables import Dialect

_DISABLED = "tgenabled NOT IN ('O', 'A')"
"""PostgreSQL: the trigger, on a table or a partition of it, is disabled, or fires for replicated
writes alone.
"""
_NO_SUCH_TABLE = 1146
"""The error number of MySQL and MariaDB for a table that does not exist."""


@attrs.frozen
class Trigger:
    """One trigger, before it has a name.

    what: the part of its name that distinguishes it from others of its collection. when: the
    condition; "" for always. body: statements, run one after the other. reads: tables that they
    read.
    """

    what: str
    table: str
    timing: Literal["BEFORE", "AFTER"]
    event: Literal["INSERT", "UPDATE", "DELETE", "TRUNCATE"]
    body: tuple[str, ...]
    when: str = ""
    reads: tuple[str, ...] = ()


def create(dialect: Dialect, name: str, trigger: Trigger) -> str:
    """The statement that creates a trigger if it does not exist.

    No write fails because the outbox, or a table that is read, was dropped: then the trigger does
    nothing. SQLite has no means for that; there `migrations.make_way` drops triggers before tables
    are dropped.
    """
    head = f"{trigger.timing} {trigger.event} ON {table_identifier(dialect, trigger.table)}"
    body = "\n".join(f"{statement};" for statement in trigger.body)
    if dialect == "postgresql":
        return _create_on_postgresql(name, trigger, head, body)
    if dialect == "sqlite":
        when = f"\nWHEN {trigger.when}" if trigger.when else ""
        quoted = identifier(dialect, name)
        return (
            f"CREATE TRIGGER IF NOT EXISTS {quoted} {head} FOR EACH ROW{when}\nBEGIN\n{body}\nEND"
        )
    schema = split_name(dialect, trigger.table)[0]
    prefix = f"{identifier(dialect, schema)}." if schema else ""
    steps = f"IF {trigger.when} THEN\n{body}\nEND IF;" if trigger.when else body
    handler = f"DECLARE CONTINUE HANDLER FOR {_NO_SUCH_TABLE} BEGIN END;"
    quoted = f"{prefix}{identifier(dialect, name)}"
    return (
        f"CREATE TRIGGER IF NOT EXISTS {quoted} {head} FOR EACH ROW\nBEGIN\n{handler}\n{steps}\nEND"
    )


def _create_on_postgresql(name: str, trigger: Trigger, head: str, body: str) -> str:
    """The trigger and its function. The function runs as its owner with the present schemas: who
    writes the table needs no right to the outbox.
    """
    quoted = identifier("postgresql", name)
    level = "STATEMENT" if trigger.event == "TRUNCATE" else "ROW"
    goes_on = trigger.timing == "BEFORE" and level == "ROW"
    returned = "OLD" if goes_on else "NULL"
    tables = [OUTBOX]
    tables += [table_identifier("postgresql", table) for table in trigger.reads]
    exist: list[str] = []
    for table in tables:
        regclass = f"to_regclass({literal('postgresql', table)})"
        exist.append(f"{regclass} IS NOT NULL")
    all_exist = " AND ".join(exist)
    function = dollar_quoted(
        f"BEGIN\nIF {all_exist} THEN\n{body}\nEND IF;\nRETURN {returned};\nEND"
    )
    when = f" WHEN ({trigger.when})" if trigger.when else ""
    table = table_identifier("postgresql", trigger.table)
    named = f"tgname = {literal('postgresql', name)}"
    on_table = f"tgrelid = CAST({literal('postgresql', table)} AS regclass)"
    procedure = literal("postgresql", f"{quoted}()")
    return locked(
        f"IF EXISTS (SELECT FROM pg_trigger WHERE {named} AND {on_table}) "
        f"AND NOT EXISTS (SELECT FROM pg_trigger WHERE {named} "
        f"AND tgfoid = to_regprocedure({procedure}) AND {_DISABLED}) "
        "THEN\nRETURN;\nEND IF;\n"
        f"DROP TRIGGER IF EXISTS {quoted} ON {table};\n"
        f"CREATE OR REPLACE FUNCTION {quoted}() RETURNS trigger "
        f"LANGUAGE plpgsql SECURITY DEFINER AS {function};\n"
        f"EXECUTE 'ALTER FUNCTION {quoted}() SET search_path = ' "
        "|| (SELECT string_agg(quote_ident(name), ', ') "
        "FROM unnest(current_schemas(false)) AS name) "
        "|| ', pg_temp';\n"
        f"CREATE TRIGGER {quoted} {head} FOR EACH {level}{when} "
        f"EXECUTE FUNCTION {quoted}();"
    )


def drop(dialect: Dialect, name: str) -> str:
    """The statement that drops a trigger and its function, if they exist."""
    if dialect == "postgresql":
        return locked(f"DROP FUNCTION IF EXISTS {identifier(dialect, name)}() CASCADE;")
    return f"DROP TRIGGER IF EXISTS {identifier(dialect, name)}"


def triggers_query(dialect: Dialect, prefix_length: int, prefix: str) -> str:
    """A query for (name, table, text) of the triggers whose names begin with `prefix`, those whose
    table was dropped included. prefix: a literal or a placeholder. prefix_length: of its text.
    """
    if dialect == "sqlite":
        begins = f"substr(name, 1, {prefix_length}) = {prefix}"
        return f"SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'trigger' AND {begins}"
    if dialect == "mysql":
        begins = f"LEFT(trigger_name, {prefix_length}) = {prefix}"
        return (
            "SELECT trigger_name, event_object_table, action_statement "
            "FROM information_schema.triggers "
            f"WHERE trigger_schema = DATABASE() AND {begins}"
        )
    return (
        "SELECT CAST(proname AS text), "
        "(SELECT CAST(relname AS text) FROM pg_trigger t "
        "JOIN pg_class c ON c.oid = t.tgrelid "
        "WHERE t.tgfoid = p.oid AND tgname = proname "
        "ORDER BY relispartition, relname LIMIT 1), "
        "prosrc "
        "FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace "
        "WHERE nspname = current_schema() "
        "AND prorettype = CAST('trigger' AS regtype) "
        f"AND left(CAST(proname AS text), {prefix_length}) = {prefix}"
    )


def names_query(dialect: Dialect, prefix_length: int, prefix: str, *, complete: bool) -> str:
    """A query for the names of the triggers that begin with `prefix`.

    complete: True for those that fire; False also for the rest of those whose table was dropped.
    """
    if dialect == "sqlite":
        begins = f"substr(name, 1, {prefix_length}) = {prefix}"
        return f"SELECT name FROM sqlite_master WHERE type = 'trigger' AND {begins}"
    if dialect == "mysql":
        begins = f"LEFT(trigger_name, {prefix_length}) = {prefix}"
        return (
            "SELECT trigger_name FROM information_schema.triggers "
            f"WHERE trigger_schema = DATABASE() AND {begins}"
        )
    fires = ""
    if complete:
        own = "SELECT FROM pg_trigger WHERE tgfoid = p.oid AND tgname = proname"
        fires = f" AND EXISTS ({own}) AND NOT EXISTS ({own} AND {_DISABLED})"
    return (
        "SELECT CAST(proname AS text) "
        "FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace "
        "WHERE nspname = current_schema() "
        f"AND left(CAST(proname AS text), {prefix_length}) = {prefix}{fires}"
    )
