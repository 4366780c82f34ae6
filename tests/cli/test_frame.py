"""What all commands have in common: help, imports on demand, errors as text, exit codes, pipes,
completion.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import semantic_core.cli
from semantic_core.cli import COMMANDS, cli
from semantic_core.cli._group import LazyGroup
from semantic_core.errors import StoreFull


def run(
    *args: str, cwd: Path, env: Mapping[str, str] | None = None, **more: object
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "semantic_core.cli", *args],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        encoding="utf-8",
        **more,  # type: ignore[arg-type]
    )


def test_importing_the_command_line_imports_nothing_heavy(tmp_path: Path) -> None:
    program = "import sys, semantic_core.cli; print(*sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    modules = set(loaded.stdout.split())
    assert not modules & {
        "rich",
        "numpy",
        "apsw",
        "peewee",
        "wordllama",
        "tokenizers",
        "markdown_it",
        "sqlite3",
    }
    commands = {name for name in modules if name.startswith("semantic_core.cli.")}
    assert commands == {"semantic_core.cli._group", "semantic_core.cli._output"}


def test_help_imports_no_command(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom semantic_core.cli import cli\n"
        "try: cli.main(['--help'])\nexcept SystemExit as end: assert end.code == 0\n"
        "names = [name for name in sys.modules if name.startswith('semantic_core.cli.') and '._' "
        "not in name]\n"
        "assert not names, names\n"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True
    )
    assert shown.returncode == 0, shown.stderr
    for name, (_, text) in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(text[:20])}", shown.stdout, re.MULTILINE)
    assert "_SEMANTIC_CORE_COMPLETE=bash_source" in shown.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_exists_and_takes_json_and_says_which_index_it_is_about(name: str) -> None:
    def leaves(command: click.Command, path: str) -> list[tuple[str, click.Command]]:
        if isinstance(command, click.Group):
            return [
                leaf
                for sub in command.commands.values()
                for leaf in leaves(sub, f"{path} {sub.name}")
            ]
        return [(path, command)]

    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    index_free = (
        "blueprint",
        "config trust",
        "config untrust",
        "plugins new",
        "plugins test",
    )
    for path, leaf in leaves(command, name):
        options = {option for parameter in leaf.params for option in parameter.opts}
        assert "--json" in options, path
        assert options & {"--db", "--app"} or path in index_free, path
        assert leaf.help, path
        assert all(
            parameter.help for parameter in leaf.params if isinstance(parameter, click.Option)
        ), path


@pytest.mark.parametrize(
    ("group", "first"),
    [
        ([], "init"),
        (["documents"], "list"),
        (["queue"], "status"),
        (["outbox"], "status"),
        (["plugins"], "list"),
        (["config"], "show"),
    ],
)
def test_without_a_command_the_help_is_shown_as_it_is(group: list[str], first: str) -> None:
    shown = CliRunner().invoke(cli, group)
    asked = CliRunner().invoke(cli, [*group, "--help"])
    assert (shown.exit_code, shown.stdout, shown.stderr) == (0, asked.stdout, "")
    assert shown.stdout.splitlines()[0].startswith("Usage: ")
    assert re.search(rf"^Commands:\n  {first} +[A-Z]", shown.stdout, re.MULTILINE)
    assert not re.search(r"\.\.\.$", shown.stdout.partition("Commands:")[2], re.MULTILINE)


def test_the_version_is_the_installed_one() -> None:
    result = CliRunner().invoke(cli, ["--version"])
    assert result.exit_code == 0
    assert result.stdout == f"semantic-core {version('semantic-core-kernel')}\n"


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["serch", "x"], "Did you mean search?"),
        (["search", "x", "--mod", "text"], "--mod"),
        (["search"], "QUERY"),
        (["search", "x", "-n", "none"], "none"),
        (["search", "x", "-n", "0"], "0"),
        (["search", "x", "--mode", "magic"], "magic"),
        (["--nope"], "--nope"),
        (["documents", "burn"], "Commands: list, show, delete."),
        (["plugins", "lst"], "Did you mean list?"),
    ],
)
def test_bad_usage_is_one_line_and_a_hint(args: list[str], told: str) -> None:
    result = CliRunner().invoke(cli, args)
    assert result.exit_code == 2
    error, hint = result.stderr.splitlines()
    assert error.startswith("error: ")
    assert told in error
    assert hint.startswith("hint: ")
    assert "--help" in hint
    assert result.stdout == ""


def test_json_is_offered_in_one_place_which_keeps_standard_output_for_it() -> None:
    sources = sorted(Path(str(semantic_core.cli.__file__)).parent.glob("*.py"))
    offered = [file.name for file in sources if '"--json", ' in file.read_text("utf-8")]
    assert offered == ["_options.py"]


def test_with_json_an_error_is_json_too() -> None:
    result = CliRunner().invoke(cli, ["search", "--json", "--nope"])
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]["code"] == "UsageError"
    assert result.stderr.startswith("error: ")


def group_of(command: click.Command, monkeypatch: pytest.MonkeyPatch) -> LazyGroup:
    monkeypatch.setitem(sys.modules, "made_for_this_test", command)  # type: ignore[arg-type]
    command.command = command  # type: ignore[attr-defined]
    return LazyGroup("semantic-core", lazy={"go": ("made_for_this_test:command", "Go.")})


def failing(error: BaseException) -> click.Command:
    @click.command()
    @click.option("--json", "as_json", is_flag=True)
    def go(as_json: bool) -> None:
        raise error

    return go


def test_our_own_errors_are_an_error_line_and_a_hint_line(monkeypatch: pytest.MonkeyPatch) -> None:
    group = group_of(
        failing(StoreFull("The disk is full:\nno\x1b[2J room.", hint="Make room.")), monkeypatch
    )
    result = CliRunner().invoke(group, ["go", "--json"])
    assert result.exit_code == 2
    assert result.stderr == "error: The disk is full: no␛[2J room.\nhint: Make room.\n"
    assert json.loads(result.stdout) == {
        "error": {
            "code": "StoreFull",
            "message": "The disk is full:\nno\x1b[2J room.",
            "hint": "Make room.",
        }
    }


def test_an_unexpected_error_asks_to_be_reported_and_shows_its_traceback_on_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    group = group_of(failing(ZeroDivisionError("by zero")), monkeypatch)
    monkeypatch.delenv("SEMANTIC_CORE_DEBUG", raising=False)
    result = CliRunner().invoke(group, ["go"])
    assert result.exit_code == 1
    assert result.stderr.startswith(
        "error: This is a bug in semantic-core or in a plugin: ZeroDivisionError: by zero\n"
        "hint: Please report"
    )
    assert "Traceback" not in result.stderr
    monkeypatch.setenv("SEMANTIC_CORE_DEBUG", "1")
    assert "Traceback" in CliRunner().invoke(group, ["go"]).stderr


def test_an_interruption_exits_130(monkeypatch: pytest.MonkeyPatch) -> None:
    result = CliRunner().invoke(group_of(failing(KeyboardInterrupt()), monkeypatch), ["go"])
    assert result.exit_code == 130
    assert "Traceback" not in result.stderr


def test_a_trouble_of_the_system_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    group = group_of(failing(PermissionError(13, "Permission denied", "/x")), monkeypatch)
    result = CliRunner().invoke(group, ["go"])
    assert result.exit_code == 2
    assert result.stderr == "error: Cannot read or write '/x': Permission denied.\n"


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["", "json"])
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_output_that_cannot_be_written_is_an_error_and_no_traceback(
    tmp_path: Path, options: list[str]
) -> None:
    with open("/dev/full", "w") as full:
        process = subprocess.run(
            [sys.executable, "-m", "semantic_core.cli", "config", "show", *options],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert process.returncode == 2
    assert process.stderr == "error: Cannot read or write: No space left on device.\n"


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["", "json"])
def test_a_closed_pipe_is_quiet_and_no_error(tmp_path: Path, options: list[str]) -> None:
    read, written = os.pipe()
    os.close(read)
    process = subprocess.run(
        [sys.executable, "-m", "semantic_core.cli", "config", "show", *options],
        cwd=tmp_path,
        stdout=written,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(written)
    assert (process.returncode, process.stderr) == (0, "")


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["", "json"])
@pytest.mark.parametrize("closed", [1, 2])
def test_a_closed_stream_takes_everything(tmp_path: Path, closed: int, options: list[str]) -> None:
    process = subprocess.run(
        [sys.executable, "-m", "semantic_core.cli", "config", "show", *options],
        cwd=tmp_path,
        capture_output=True,
        preexec_fn=lambda: os.close(closed),
        text=True,
    )
    assert (process.returncode, process.stderr) == (0, "")


def test_names_of_commands_and_options_complete(tmp_path: Path) -> None:
    def completions(words: str, count: str) -> list[str]:
        env = {"_SEMANTIC_CORE_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": count}
        program = "import semantic_core.cli as c; c.main()"
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            env={**os.environ, **env},
            capture_output=True,
            text=True,
        )
        return done.stdout.split()

    assert completions("semantic-core se", "1") == ["plain,search"]
    assert "plain,--explain" in completions("semantic-core search --ex", "2")
