"""Importing is cheap: what a process pays for before it has asked for anything."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import entry_points

import pytest
from floor_plan import ROOT

import semantic_core

KERNEL = {"semantic_core", "attr", "attrs", "pluggy", "importlib_metadata", "zipp"}
"""What the kernel may bring in besides the standard library."""
HEAVY = (
    "numpy",
    "peewee",
    "apsw",
    "google",
    "click",
    "rich",
    "wordllama",
    "tokenizers",
    "safetensors",
    "markdown_it",
    "yaml",
)
PLUGINS = sorted(file.parent.name for file in ROOT.glob("plugins/*/semantic_core_*/__init__.py"))
PUBLIC = ("errors", "filters", "types", "protocols", "hookspecs", "core")

PROBE = """
import sys
before = set(sys.modules)
{statement}
brought = {{name.partition(".")[0] for name in sys.modules.keys() - before}}
print(__import__("json").dumps(sorted(brought)))
"""


def brought_in_by(statement: str) -> set[str]:
    """Top-level modules outside the standard library that are loaded after the statement,
    in a fresh interpreter.
    """
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(statement=statement)],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    return {
        name
        for name in json.loads(done.stdout)
        if name not in sys.stdlib_module_names and name[:2] != "__"
    }


@pytest.mark.parametrize(
    "name", ["semantic_core", *(f"semantic_core.{module}" for module in PUBLIC)]
)
def test_the_kernel_brings_in_nothing_heavy(name: str) -> None:
    assert brought_in_by(f"import {name}") <= KERNEL


def test_every_name_of_the_package_is_had_without_anything_heavy() -> None:
    assert brought_in_by("from semantic_core import *") <= KERNEL


def test_the_flows_are_imported_with_the_first_name_of_theirs() -> None:
    flows = (
        "any(f'semantic_core.{name}' in sys.modules for name in ('core', '_ingest', "
        "'_search', '_plugins.host'))"
    )
    probe = f"import sys, semantic_core; print({flows}); semantic_core.SemanticCore; print({flows})"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.split() == ["False", "True"], done.stderr


def test_a_name_that_is_imported_late_is_a_name_like_any_other() -> None:
    from semantic_core import core

    assert semantic_core.SemanticCore is core.SemanticCore
    assert set(semantic_core.__all__) <= set(dir(semantic_core))
    with pytest.raises(
        AttributeError, match="module 'semantic_core' has no attribute 'SemanticCor'"
    ):
        semantic_core.SemanticCor  # type: ignore[attr-defined]  # noqa: B018


def test_the_command_line_loads_click_and_no_more_before_it_knows_the_command() -> None:
    assert brought_in_by("import semantic_core.cli") <= KERNEL | {"click"}


@pytest.mark.parametrize("name", PLUGINS)
def test_a_plugin_is_listed_without_its_heavy_libraries(name: str) -> None:
    loaded = brought_in_by(
        "import sys; sys.path.insert(0, "
        f"{str(next(ROOT.glob(f'plugins/*/{name}')).parent)!r}); import {name}"
    )
    assert loaded <= KERNEL | {name}


def test_finding_the_installed_plugins_loads_no_heavy_library() -> None:
    assert entry_points(group="semantic_core"), (
        "no plugin is installed; `make venv` installs those of this repository"
    )
    loaded = brought_in_by(
        "from importlib.metadata import entry_points as e; [p.load() for p in "
        "e(group='semantic_core')]"
    )
    assert not loaded & set(HEAVY)


def test_the_probe_sees_what_is_loaded() -> None:
    assert {"numpy", "click"} <= brought_in_by("import numpy, click")


def test_what_an_extra_brings_is_named_where_it_is_missing() -> None:
    probe = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "try:\n    from semantic_core.testing import splitter_checks\n"
        "except ImportError as error:\n    print(error)\n"
        "from semantic_core.testing import HashEmbedder"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "splitter_checks needs hypothesis" in done.stdout
    assert 'pip install "semantic-core-kernel[testing]"' in done.stdout
