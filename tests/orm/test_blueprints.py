"""Blueprints that a plugin imports: the files of the repository, unchanged, once in a process."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from semantic_core.errors import ConfigError
from semantic_core.orm import blueprint_module, blueprints


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with blueprints of the test."""
    monkeypatch.setattr(blueprints, "FOLDERS", (tmp_path / "none", tmp_path))
    for name in ("paper", "broken"):
        monkeypatch.delitem(sys.modules, f"semantic_core_blueprints_{name}", raising=False)
    return tmp_path


def test_a_blueprint_is_imported_once_under_a_name_of_its_own(folder: Path) -> None:
    (folder / "paper.py").write_text("class Adapter:\n    kind = 'paper'\n")
    module = blueprint_module("paper")
    assert module.Adapter.kind == "paper"
    assert blueprint_module("paper") is module
    assert module.__name__ == "semantic_core_blueprints_paper"
    assert "paper" not in sys.modules
    assert module.Adapter.__module__ in sys.modules


def test_an_import_that_fails_is_tried_again(folder: Path) -> None:
    (folder / "broken.py").write_text("raise ImportError('no ORM here')\n")
    with pytest.raises(ImportError, match="no ORM here"):
        blueprint_module("broken")
    (folder / "broken.py").write_text("there = True\n")
    assert blueprint_module("broken").there


def test_a_blueprint_that_is_not_installed_is_named(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"paper\.py is not part of this installation"):
        blueprint_module("paper")
