"""The command line, called in this process, and plugins for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from semantic_core.cli import cli


def call(*args: str, **more: Any) -> Result:
    """What a command did. more: as `CliRunner.invoke` takes it."""
    return CliRunner().invoke(cli, args, **more)


def answer(*args: str, code: int = 0) -> Any:
    """What a command says with ``--json``, when it ends with this code."""
    result = call(*args, "--json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def install(site: Path, name: str, source: str) -> None:
    """A distribution as pip leaves it behind."""
    (site / f"{name}.py").write_text(source)
    info = site / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[semantic_core]\n{name} = {name}\n")
