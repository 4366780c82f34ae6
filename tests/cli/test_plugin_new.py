"""``plugins new``: a package that installs, is listed, and whose tests pass, for each kind."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
from commands import answer, call

from semantic_core import hookspecs
from semantic_core.cli.plugin_new import KINDS, TEMPLATES, Package
from semantic_core.errors import InputError

HOOKS = {
    "embedder": "semantic_embedders",
    "analyser": "semantic_analysers",
    "splitter": "semantic_split",
    "reader": "semantic_readers",
    "store": "semantic_stores",
    "orm": "semantic_orm_adapter",
    "retriever": "semantic_retrieve",
    "reranker": "semantic_rerank",
    "middleware": "semantic_search_middleware",
    "command": "semantic_commands",
}


def test_every_kind_has_a_template_with_its_hook() -> None:
    assert {folder.name for folder in TEMPLATES.iterdir() if folder.is_dir()} == set(KINDS)
    assert set(HOOKS) == set(KINDS) and set(HOOKS.values()) <= set(hookspecs.hook_names())
    for kind, hook in HOOKS.items():
        module = Package("demo", kind).files()[Path("semantic_core_demo/__init__.py")]
        assert f"def {hook}(" in module and "@hookimpl" in module


@pytest.mark.parametrize("kind", KINDS)
def test_the_files_are_written_and_the_next_steps_are_said(kind: str, folder: Path) -> None:
    written = answer("plugins", "new", "my_thing", "--kind", kind)
    root = folder / "semantic-core-my-thing"
    assert written["folder"] == str(root)
    files = {file.relative_to(root).as_posix() for file in root.rglob("*") if file.is_file()}
    assert set(written["files"]) == files
    assert {
        "pyproject.toml",
        "README.md",
        "semantic_core_my_thing/__init__.py",
        "semantic_core_my_thing/py.typed",
        "tests/test_my_thing.py",
    } <= files
    assert written["next"][0] == "cd semantic-core-my-thing"
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["name"] == "semantic-core-my-thing"
    assert project["entry-points"] == {"semantic_core": {"my_thing": "semantic_core_my_thing"}}
    for file in files:
        text = (root / file).read_text("utf-8")
        assert not re.search(r"\$[a-z{]", text.replace("$ ", "")), f"{file} has a gap"


@pytest.mark.skipif(find_spec("ruff") is None, reason="ruff is not installed here")
@pytest.mark.parametrize("kind", KINDS)
def test_a_linter_has_nothing_to_say(kind: str, folder: Path) -> None:
    root = folder / "written"
    Package("demo", kind).write(root)
    options = ["--isolated", "--select", "E,F,I,B,UP,SIM,C4", "--line-length", "100"]
    command = [sys.executable, "-m", "ruff", "check", *options, "."]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["", "My", "a-b", "1a", "class", "a b", "../up", "é", "a" * 41])
def test_a_name_that_is_no_word_is_refused(name: str, folder: Path) -> None:
    with pytest.raises(InputError, match="name of a plugin"):
        Package(name, "embedder")
    result = call("plugins", "new", "--kind", "embedder", "--", name)
    assert result.exit_code == 2 and list(folder.iterdir()) == []


def test_nothing_is_overwritten(folder: Path) -> None:
    root = folder / "semantic-core-demo"
    root.mkdir()
    (root / "mine.txt").write_text("mine")
    failed = answer("plugins", "new", "demo", "--kind", "splitter", code=2)
    assert "is not empty; nothing was written" in failed["error"]["message"]
    assert [file.name for file in root.iterdir()] == ["mine.txt"]
    written = answer("plugins", "new", "demo", "--kind", "splitter", "--output", "a folder/b")
    assert (folder / "a folder" / "b" / "pyproject.toml").exists()
    assert written["next"][0] == "cd 'a folder/b'"
    blocked = folder / "file"
    blocked.write_text("")
    failed = answer("plugins", "new", "demo", "--kind", "splitter", "-o", "file/b", code=2)
    assert "Cannot write into 'file/b'" in failed["error"]["message"]


def test_the_kinds_are_explained() -> None:
    shown = call("plugins", "new", "--help").output
    for kind, (about, _) in KINDS.items():
        assert re.search(rf"{kind}\s+{re.escape(about)}", shown)
    missing = call("plugins", "new", "demo")
    assert missing.exit_code == 2 and "--kind" in missing.output
