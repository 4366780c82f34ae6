"""Triggers as each database wants them written, found and dropped."""

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


@attrs.frozen
class Trigger:
    """One trigger, before it has a name. what: short and unlike that of any other of its
    collection; part of the name.

    when: the condition; "" for always. body: statements, run one after the other. reads: tables
    they read.
    """

    what: str
    table: str
    timing: Literal["BEFORE", "AFTER"]
    event: Literal["INSERT", "UPDATE", "DELETE", "TRUNCATE"]
    body: tuple[str, ...]
    when: str = ""
    reads: tuple[str, ...] = ()


def create(dialect: Dialect, name: str, trigger: Trigger) -> str:
    """The statement that makes a trigger if it is not there.

    A write never fails because the outbox, or a table that is read, is gone: then the trigger does
    nothing. SQLite cannot say so; there `migrations.make_way` takes triggers away before the tables
    go.
    """
    head = f"{trigger.timing} {trigger.event} ON {table_identifier(dialect, trigger.table)}"
    body = "\n".join(f"{statement};" for statement in trigger.body)
    if dialect == "postgresql":
        return _with_function(identifier(dialect, name), name, trigger, head, body)
    if dialect == "sqlite":
        when = f"\nWHEN {trigger.when}" if trigger.when else ""
        return (
            f"CREATE TRIGGER IF NOT EXISTS {identifier(dialect, name)} {head} FOR EACH ROW{when}\n"
            f"BEGIN\n{body}\nEND"
        )
    schema = split_name(dialect, trigger.table)[0]
    place = f"{identifier(dialect, schema)}." if schema else ""
    steps = f"IF {trigger.when} THEN\n{body}\nEND IF;" if trigger.when else body
    handler = f"DECLARE CONTINUE HANDLER FOR {_NO_SUCH_TABLE} BEGIN END;"
    made = f"CREATE TRIGGER IF NOT EXISTS {place}{identifier(dialect, name)} {head} FOR EACH ROW"
    return f"{made}\nBEGIN\n{handler}\n{steps}\nEND"


def _with_function(quoted: str, name: str, trigger: Trigger, head: str, body: str) -> str:
    """The function runs as its owner, with the schemas of now:
    whoever may write the table needs no right to the outbox.
    """
    each = "STATEMENT" if trigger.event == "TRUNCATE" else "ROW"
    answer = "NULL" if trigger.timing == "AFTER" or each == "STATEMENT" else "OLD"
    needed = (OUTBOX, *(table_identifier("postgresql", name) for name in trigger.reads))
    there = " AND ".join(
        f"to_regclass({literal('postgresql', name)}) IS NOT NULL" for name in needed
    )
    function = dollar_quoted(f"BEGIN\nIF {there} THEN\n{body}\nEND IF;\nRETURN {answer};\nEND")
    when = f" WHEN ({trigger.when})" if trigger.when else ""
    table = table_identifier("postgresql", trigger.table)
    named = f"tgname = {literal('postgresql', name)}"
    here = f"tgrelid = CAST({literal('postgresql', table)} AS regclass)"
    made_here = literal("postgresql", f"{quoted}()")
    return locked(
        f"IF EXISTS (SELECT FROM pg_trigger WHERE {named} AND {here}) AND NOT EXISTS (SELECT FROM "
        f"pg_trigger WHERE {named} AND tgfoid = to_regprocedure({made_here}) AND {_SILENT}) "
        "THEN\nRETURN;\nEND IF;\n"
        f"DROP TRIGGER IF EXISTS {quoted} ON {table};\n"
        f"CREATE OR REPLACE FUNCTION {quoted}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER "
        f"AS {function};\n"
        f"EXECUTE 'ALTER FUNCTION {quoted}() SET search_path = ' || (SELECT "
        "string_agg(quote_ident(name), ', ') FROM unnest(current_schemas(false)) AS name) || ', "
        "pg_temp';\n"
        f"CREATE TRIGGER {quoted} {head} FOR EACH {each}{when} EXECUTE FUNCTION {quoted}();"
    )


def drop(dialect: Dialect, name: str) -> str:
    """The statement that drops a trigger, with what belongs to it; it may be gone already."""
    if dialect == "postgresql":
        return locked(f"DROP FUNCTION IF EXISTS {identifier(dialect, name)}() CASCADE;")
    return f"DROP TRIGGER IF EXISTS {identifier(dialect, name)}"


_SILENT = "tgenabled NOT IN ('O', 'A')"
"""PostgreSQL: a trigger, on a table or a partition of it, that was disabled, or fires only for what
is replicated.
"""

_NO_SUCH_TABLE = 1146
"""What MySQL and MariaDB call it."""


def triggers_there(dialect: Dialect, prefix_length: int, mark: str) -> str:
    """A query for (name, table, text) of triggers that begin with its parameter,
    those that lost their table too.
    """
    if dialect == "sqlite":
        begins = f"substr(name, 1, {prefix_length}) = {mark}"
        return f"SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'trigger' AND {begins}"
    if dialect == "mysql":
        begins = f"LEFT(trigger_name, {prefix_length}) = {mark}"
        return (
            "SELECT trigger_name, event_object_table, action_statement FROM "
            f"information_schema.triggers WHERE trigger_schema = DATABASE() AND {begins}"
        )
    return (
        "SELECT CAST(proname AS text), (SELECT CAST(relname AS text) FROM pg_trigger t "
        "JOIN pg_class c ON c.oid = t.tgrelid WHERE t.tgfoid = p.oid AND tgname = proname "
        "ORDER BY relispartition, relname LIMIT 1), prosrc "
        "FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace WHERE nspname = "
        "current_schema() "
        "AND prorettype = CAST('trigger' AS regtype) AND left(CAST(proname AS text), "
        f"{prefix_length}) = {mark}"
    )


def names_there(dialect: Dialect, prefix_length: int, mark: str, *, complete: bool) -> str:
    """A query for the names of triggers that begin with its parameter, a prefix of that length.

    complete: those that work. Otherwise also what is left of those whose table was dropped.
    """
    if dialect == "sqlite":
        return (
            "SELECT name FROM sqlite_master WHERE type = 'trigger' AND substr(name, 1, "
            f"{prefix_length}) = {mark}"
        )
    if dialect == "mysql":
        begins = f"LEFT(trigger_name, {prefix_length}) = {mark}"
        return (
            "SELECT trigger_name FROM information_schema.triggers "
            f"WHERE trigger_schema = DATABASE() AND {begins}"
        )
    of_function = "SELECT FROM pg_trigger WHERE tgfoid = p.oid AND tgname = proname"
    attached = (
        f" AND EXISTS ({of_function}) AND NOT EXISTS ({of_function} AND {_SILENT})"
        if complete
        else ""
    )
    return (
        "SELECT CAST(proname AS text) FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace "
        f"WHERE nspname = current_schema() AND left(CAST(proname AS text), {prefix_length}) = "
        f"{mark}{attached}"
    )
