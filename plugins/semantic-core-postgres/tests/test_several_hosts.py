"""Processes that share a database and an index: whoever processes a change, the index follows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from shared_app import ROWS

HOSTS = ("ann", "bob", "eve")
PROGRAM = Path(__file__).with_name("shared_app.py")


def command(dsn: str, schema: str, name: str) -> list[str]:
    return [sys.executable, str(PROGRAM), dsn, schema, name]


@pytest.mark.slow
def test_an_index_of_several_processes_equals_the_table(dsn: str, schema: str) -> None:
    try:
        first = subprocess.run(command(dsn, schema, ""), capture_output=True, text=True, check=True)
        assert json.loads(first.stdout)["rows"] == 0
        running = []
        for name in HOSTS:
            running.append(
                subprocess.Popen(
                    command(dsn, schema, name),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
        for process in running:
            _, errors = process.communicate(timeout=120)
            assert process.returncode == 0, errors
        last = subprocess.run(command(dsn, schema, ""), capture_output=True, text=True, check=True)
        found = json.loads(last.stdout)
        assert found["rows"] == found["documents"] > ROWS
        assert found["differences"] == found["pending"] == 0
    finally:
        with psycopg.connect(dsn, autocommit=True) as raw:
            raw.execute(f"drop schema if exists {schema}_app cascade")
