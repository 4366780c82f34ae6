"""What a statement does, by its first word."""

from __future__ import annotations

import pytest

from semantic_core.orm import first_word, may_change_tables, may_write


@pytest.mark.parametrize(
    ("sql", "word"),
    [
        ("select 1", "SELECT"),
        ("  -- a comment\n (SELECT 1)", "SELECT"),
        ("/* one\ntwo */ insert into a values (1)", "INSERT"),
        ("WITH a AS (SELECT 1) SELECT * FROM a", "SELECT"),
        ("WITH a AS (SELECT 1) DELETE FROM b", "UPDATE"),
        ("ROLLBACK", "ROLLBACK"),
        ("rollback to savepoint s1", "SAVEPOINT"),
        ("", ""),
        ("42", ""),
    ],
)
def test_a_statement_is_known_by_its_first_word(sql: str, word: str) -> None:
    assert first_word(sql) == word


@pytest.mark.parametrize("sql", ["SELECT 1", "SET a = 1", "ROLLBACK", "RELEASE s1", "PRAGMA a"])
def test_after_a_statement_that_only_reads_nothing_is_new(sql: str) -> None:
    assert not may_write(sql)


@pytest.mark.parametrize("sql", ["INSERT INTO a VALUES (1)", "COMMIT", "CALL f()", "TRUNCATE a"])
def test_any_other_statement_may_have_written(sql: str) -> None:
    assert may_write(sql)


@pytest.mark.parametrize(
    ("sql", "changes"),
    [("ALTER TABLE a ADD b", True), ("drop table a", True), ("CREATE TABLE a (b)", False)],
)
def test_statements_that_triggers_are_in_the_way_of_are_recognised(sql: str, changes: bool) -> None:
    assert may_change_tables(sql) is changes
