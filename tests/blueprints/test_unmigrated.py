"""Commands about models whose table does not exist: before the first migration, or after a
migration dropped it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "guides" / "integrations" / "sqlalchemy.md"
DROPPED = """
from library import Base, engine, start
Base.metadata.create_all(engine)
start()
with engine.begin() as connection:
    connection.exec_driver_sql("DROP TABLE article")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The models of the recipe, with the adapter; there is no database yet."""
    (library,) = re.findall(
        r"```python file=library.py\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL
    )
    (tmp_path / "library.py").write_text(library, encoding="utf-8")
    shutil.copy(ROOT / "adapters_blueprints" / "sqlalchemy_adapter.py", tmp_path)
    return tmp_path


def run(folder: Path, *arguments: str) -> str:
    """What a Python program writes on both channels."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("SEMANTIC_CORE_")
    }
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    return done.stdout


COMMANDS = ("outbox status", "outbox retry", "worker --once", "reindex", "verify", "doctor")
ASK = """
import json
from click.testing import CliRunner
from semantic_core.cli import cli

answers = {}
for command in %r:
    done = CliRunner().invoke(cli, [*command.split(), "--app", "library:start"])
    answers[command] = done.output + repr(done.exception)
print(json.dumps(answers))
"""


@pytest.mark.parametrize("state", ["new", "dropped"])
def test_commands_do_not_take_a_missing_table_for_an_error_of_the_product(
    folder: Path, state: str
) -> None:
    if state == "dropped":
        assert run(folder, "-c", DROPPED) == ""
    answers = json.loads(run(folder, "-c", ASK % (COMMANDS,)).splitlines()[-1])
    for command in COMMANDS:
        assert "article" in answers[command] or command == "outbox retry", command
        assert "OperationalError" not in answers[command], (command, answers[command])
