"""The command line, called in this process."""

from __future__ import annotations

import json
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
