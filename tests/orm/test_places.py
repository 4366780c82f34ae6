"""Where an index is stored if nobody says."""

from __future__ import annotations

from pathlib import Path

import pytest

from semantic_core.orm import usual_place


def test_the_index_of_a_sqlite_file_is_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert usual_place(database_file="app.db") == {"path": tmp_path / "app.db.semantic.db"}


def test_the_index_of_a_servers_database_is_in_the_project_and_named_after_it(
    tmp_path: Path,
) -> None:
    place = usual_place(database_name="my library/2", folder=tmp_path)
    assert place == {"path": tmp_path / "my_library_2.semantic.db"}


def test_the_index_of_a_database_in_memory_is_in_memory() -> None:
    assert usual_place() == {"store": "memory"}
