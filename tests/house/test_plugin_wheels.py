"""Third-party plugins as users get them: as wheels, installed with the kernel into an environment
of their own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from shutil import which
from textwrap import dedent
from typing import Any

import pytest
from floor_plan import ROOT
from shared import made_once

pytestmark = pytest.mark.slow

SOURCES = {
    "haiku": """
        '''A splitter for text/haiku, a chunk a line, and an embedder that counts letters.'''
        from typing import Annotated
        from semantic_core import Chunk, ChunkId, Space, hookimpl

        SEMANTIC_CORE_API = 1

        class Letters:
            batch_size = 8
            max_chars = 500

            def __init__(self, dimensions: Annotated[int, "letters that count"] = 26) -> None:
                self.space = Space("letters", dimensions)

            def embed_documents(self, passages):
                import numpy as np
                rows = np.zeros((len(passages), self.space.dimensions), dtype=np.float32)
                for row, passage in zip(rows, passages):
                    for letter in passage.lower():
                        row[ord(letter) % self.space.dimensions] += 1
                return rows / np.linalg.norm(rows, axis=1, keepdims=True)

            def embed_query(self, text):
                return self.embed_documents([text])[0]

        @hookimpl
        def semantic_embedders():
            return {"letters": Letters}

        @hookimpl
        def semantic_split(document):
            if document.media_type != "text/haiku":
                return None
            chunks, start = [], 0
            for position, line in enumerate(document.text.splitlines()):
                end = start + len(line)
                chunks.append(Chunk(ChunkId(document.ref, position), line, start, end))
                start = end + 1
            return chunks
        """,
    "thunder": """
        raise RuntimeError("struck while it was imported")
        """,
    "tpyo": """
        from semantic_core import hookimpl

        @hookimpl
        def semantic_spilt(document):
            return None
        """,
}
"""Plugins by name: a good one, one that raises when it is imported, one with a misspelled hook."""

USE = """
from semantic_core import Document, Ref, SemanticCore

with SemanticCore(store="memory", embedder="letters", embedder_options={"dimensions": 31}) as core:
    haiku = "an old silent pond\\na frog jumps in\\nsplash"
    core.ingest(Document(Ref("poems", "pond"), haiku, media_type="text/haiku"))
    print(core.stats().chunks, core.embedder.space, core.search("frog jumps")[0].text)
"""


def run(*command: str | Path, cwd: Path, timeout: int = 300) -> subprocess.CompletedProcess[str]:
    """The finished command, in an environment that knows nothing of this one's
    Python or settings.
    """
    keep = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "SEMANTIC_CORE", "VIRTUAL_ENV"))
    }
    return subprocess.run(
        [*map(str, command)], capture_output=True, text=True, cwd=cwd, env=keep, timeout=timeout
    )


def checked(*command: str | Path, cwd: Path) -> str:
    done = run(*command, cwd=cwd)
    assert done.returncode == 0, (
        f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    )
    return done.stdout


def build(source: Path, target: Path) -> None:
    checked(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", target, cwd=source)


def write_plugin(folder: Path, name: str, source: str) -> Path:
    package = folder / f"acme_{name}"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(dedent(source), "utf-8")
    (folder / "pyproject.toml").write_text(
        dedent(f"""
            [build-system]
            requires = ["hatchling"]
            build-backend = "hatchling.build"
            [project]
            name = "acme-{name}"
            version = "2.1"
            requires-python = ">=3.11"
            dependencies = ["semantic-core-kernel"]
            [project.entry-points.semantic_core]
            {name} = "acme_{name}"
            """),
        "utf-8",
    )
    return folder


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of a fresh environment with the kernel and the three plugins,
    all from wheels. Whoever uses it changes nothing in it.
    """
    return programs_in(made_once(tmp_path_factory, "wheels", _make_environment) / "environment")


def programs_in(environment: Path) -> Path:
    return environment / ("Scripts" if os.name == "nt" else "bin")


def _make_environment(work: Path) -> None:
    wheels, home = work / "wheels", work / "environment"
    build(ROOT, wheels)
    for name, source in SOURCES.items():
        build(write_plugin(work / name, name, source), wheels)
    uv = which("uv") or which("uv", path=str(Path(sys.executable).parent))
    checked(sys.executable, "-m", "venv", "--without-pip", home, cwd=work)
    python = programs_in(home) / "python"
    install = (
        [uv, "pip", "install", "--python", python]
        if uv
        else [sys.executable, "-m", "pip", "--python", python, "install"]
    )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    needs = [*project["dependencies"], *project["optional-dependencies"]["testing"]]
    _install_from_registry([*install, *needs], work)
    checked(*install, "--no-deps", "--no-index", *sorted(wheels.glob("*.whl")), cwd=work)


def _install_from_registry(command: Sequence[str | Path], work: Path) -> None:
    """Skips where no registry can be reached, unless this is CI."""
    try:
        done = run(*command, cwd=work)
        reason = "" if done.returncode == 0 else done.stderr.strip()
    except subprocess.TimeoutExpired as expired:
        reason = str(expired)
    if reason and os.environ.get("CI") == "true":
        pytest.fail(f"the kernel's dependencies cannot be installed: {reason}")
    if reason:
        pytest.skip(f"the kernel's dependencies cannot be installed: {reason[-300:]}")


@pytest.fixture(scope="module")
def listed(scripts: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    shown = checked(
        scripts / "semantic-core",
        "plugins",
        "list",
        "--json",
        cwd=tmp_path_factory.mktemp("elsewhere"),
    )
    return {info["name"]: info for info in json.loads(shown)}


def test_the_list_tells_good_from_broken_with_cause_and_remedy(listed: Mapping[str, Any]) -> None:
    assert {
        name: info["status"] for name, info in listed.items() if info["origin"] == "installed"
    } == {
        "haiku": "ok",
        "thunder": "broken",
        "tpyo": "broken",
    }
    good, raises, misspelled = (listed[name] for name in SOURCES)
    assert good["hooks"] == ["semantic_embedders", "semantic_split"]
    assert good["provides"] == {"embedder": ["letters"], "splitter": ["haiku"]}
    assert (
        raises["cause"] == "RuntimeError: struck while it was imported (acme_thunder/__init__.py:2)"
    )
    assert raises["remedy"] == "pip install --upgrade acme-thunder"
    assert (
        "semantic_spilt" in misspelled["cause"]
        and "Did you mean 'semantic_split'?" in misspelled["cause"]
    )
    assert (
        misspelled["remedy"]
        == "Rename it to semantic_split. Not yours? pip install --upgrade acme-tpyo"
    )
    assert {info["distribution"] for info in (good, raises, misspelled)} == {
        "acme-haiku",
        "acme-thunder",
        "acme-tpyo",
    }
    assert {info["version"] for info in (good, raises, misspelled)} == {"2.1"}


def test_the_list_for_people_says_it_too_and_ends_well(scripts: Path, tmp_path: Path) -> None:
    shown = checked(scripts / "semantic-core", "plugins", "list", cwd=tmp_path)
    assert "thunder is broken: RuntimeError: struck" in shown
    assert "pip install --upgrade acme-thunder" in shown


def test_one_plugin_is_shown_with_its_options_or_its_cause(scripts: Path, tmp_path: Path) -> None:
    command = scripts / "semantic-core"
    good = json.loads(checked(command, "plugins", "show", "haiku", "--json", cwd=tmp_path))
    assert good["options"] == {
        "embedder": {
            "letters": [
                {"name": "dimensions", "type": "int", "default": "26", "doc": "letters that count"}
            ]
        }
    }
    assert "struck while it was imported" in checked(
        command, "plugins", "show", "thunder", cwd=tmp_path
    )
    unknown = run(command, "plugins", "show", "hiaku", cwd=tmp_path)
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert unknown.stderr == "error: There is no plugin 'hiaku'. Did you mean 'haiku'?\n"


def test_the_good_plugin_does_its_work_beside_the_broken_ones(
    scripts: Path, tmp_path: Path
) -> None:
    used = checked(scripts / "python", "-W", "error", "-c", USE, cwd=tmp_path)
    assert used.strip() == "3 letters (31 dimensions) a frog jumps in"


def test_the_installed_kernel_prints_the_blueprints(scripts: Path, tmp_path: Path) -> None:
    for name in ("django", "pony", "sqlalchemy", "tortoise"):
        file = ROOT / "adapters_blueprints" / f"{name}_adapter.py"
        printed = checked(scripts / "semantic-core", "blueprint", name, cwd=tmp_path)
        assert printed == file.read_text("utf-8")
