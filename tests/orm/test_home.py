"""The default place of an index: beside the application's package, not in the working folder."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from mini import Database, MiniAdapter, Model

from semantic_core.errors import ConfigError
from semantic_core.orm import SemanticIndex, bind_declared, project_folder
from semantic_core.testing import HashEmbedder


def model_of(module: str) -> Any:
    return type("Note", (), {"__module__": module})


def test_it_is_the_folder_the_top_package_stands_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("home_a", "home_a/models", "home_b"):
        (tmp_path / place).mkdir()
        if place != "home_b":  # a package without __init__.py
            (tmp_path / place / "__init__.py").touch()
    (tmp_path / "home_b" / "models.py").touch()
    (tmp_path / "home_c.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir("/")
    for module in ("home_a.models", "home_b.models", "home_c"):
        import_module(module)
        assert project_folder([model_of(module)]) == tmp_path
    assert project_folder([model_of("pytest"), model_of("home_a.models")]) == tmp_path


def test_models_of_installed_packages_alone_want_a_place() -> None:
    with pytest.raises(ConfigError, match="installed packages only") as caught:
        project_folder([model_of("pytest")])
    assert "SEMANTIC_CORE_PATH" in caught.value.hint


def test_a_script_has_it_beside_itself(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(
        "from semantic_core.orm import project_folder\nclass Note: pass\n"
        "print(project_folder([Note]))\n"
    )
    done = subprocess.run(
        [sys.executable, str(tmp_path / "script.py")],
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(tmp_path)


def test_what_is_bound_without_a_core_lies_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("SEMANTIC_CORE_PATH", raising=False)
    monkeypatch.setenv("SEMANTIC_CORE_EMBEDDER", "none")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "home_d.py").touch()
    import_module("home_d")
    monkeypatch.chdir(tmp_path / "elsewhere")

    class Note(Model):
        __module__ = "home_d"
        table = "note"
        fields = {"id": int, "body": str}
        search = SemanticIndex(["body"])

    Note.db = Database(tmp_path / "app.db")
    Note.db.run("CREATE TABLE note (id INTEGER PRIMARY KEY, body TEXT)")
    (index,) = bind_declared(MiniAdapter, db=Note.db)
    with index.core as core:
        assert core.store.path == tmp_path / "semantic-core.db"
    monkeypatch.setenv("SEMANTIC_CORE_PATH", str(tmp_path / "said.db"))
    with SemanticIndex(["body"], embedder=HashEmbedder())._own_core() as core:  # type: ignore[union-attr]
        assert core.store.path == tmp_path / "said.db"
