"""The plugin as the kernel finds it: a command, and nothing that is loaded before it is called."""

from __future__ import annotations

import json
import subprocess
import sys

import semantic_core_mcp
from click.testing import CliRunner

from semantic_core.cli import cli


def test_the_command_is_listed_with_its_plugin() -> None:
    shown = CliRunner().invoke(cli, ["--help"])
    assert shown.exit_code == 0
    line = semantic_core_mcp.semantic_commands()["mcp"][1]
    assert f"  mcp  {line} [mcp]\n" in shown.stdout
    told = json.loads(CliRunner().invoke(cli, ["plugins", "show", "mcp", "--json"]).stdout)
    assert (told["status"], told["provides"]) == ("ok", {"command": ["mcp"]})


def test_neither_the_help_of_the_command_nor_the_plugin_loads_the_protocol() -> None:
    program = (
        "import sys\nfrom semantic_core.cli import cli\n"
        "try: cli.main(['mcp', '--help'])\nexcept SystemExit as end: assert end.code == 0\n"
        "heavy = {'mcp', 'uvicorn', 'starlette', 'pydantic', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--tenant NAME" in done.stdout


def test_no_option_of_the_command_is_a_secret_on_the_command_line() -> None:
    shown = CliRunner().invoke(cli, ["mcp", "--help"]).stdout
    assert "--token-file" in shown
    assert "--token " not in shown
