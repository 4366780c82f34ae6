"""The command line with third-party plugins: an embedder that is unavailable, a plugin that cannot
be imported, commands of plugins.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from commands import answer, call, install

from semantic_core.cli import cli

MOODY = """
from pathlib import Path
from semantic_core import Space, hookimpl
from semantic_core.errors import EmbedderUnavailable

class Moody:
    space, batch_size, max_chars = Space("moody", 3), 8, 500
    def embed_documents(self, passages):
        import numpy as np
        if Path("away").exists():
            raise EmbedderUnavailable("The line is dead.")
        return np.array([self.embed_query(passage) for passage in passages], dtype="float32")
    def embed_query(self, text):
        import numpy as np
        if Path("away").exists():
            raise EmbedderUnavailable("The line is dead.")
        vector = np.array([1.0, text.count("e"), text.count("a")], dtype="float32")
        return vector / np.linalg.norm(vector)

@hookimpl
def semantic_embedders():
    return {"moody": Moody}
"""


@pytest.fixture(autouse=True)
def folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    site = folder / "site"
    site.mkdir()
    install(site, "moody_plugin", MOODY)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("SEMANTIC_CORE_EMBEDDER", "moody")
    (folder / "notes").mkdir()
    (folder / "notes/loops.txt").write_text("For and while repeat a block.")
    yield folder
    sys.modules.pop("moody_plugin", None)


def test_when_the_embedder_is_away_words_answer_and_it_is_said(folder: Path) -> None:
    assert call("ingest", "notes").exit_code == 0
    (folder / "away").touch()
    found = answer("search", "repeat")
    assert (found["mode"], found["degraded"]) == ("text", True)
    assert "The line is dead." in found["reason"]
    assert [hit["key"] for hit in found["hits"]] == ["loops.txt"]
    shown = call("search", "repeat").stdout
    assert "Degraded: " in shown
    assert "The line is dead." in " ".join(shown.split())


def test_an_ingest_while_the_embedder_is_away_leaves_a_gap_and_says_so(folder: Path) -> None:
    (folder / "away").touch()
    result = call("ingest", "notes")
    assert result.exit_code == 1
    assert "1 passage without a vector" in result.stdout
    assert "The line is dead." in result.stdout
    doctor = answer("doctor", code=1)
    assert any(
        "without a vector" in each["message"]
        for each in doctor["findings"]
        if each["status"] == "problem"
    )
    assert any(
        each["part"] == "embedder" and each["status"] == "problem" for each in doctor["findings"]
    )
    (folder / "away").unlink()
    assert answer("ingest", "notes")["complete"] is True
    assert answer("stats")["pending"] == 0
    assert answer("doctor")["healthy"] is True


def test_an_index_of_another_embedder_is_refused_with_both_names(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("ingest", "notes")
    monkeypatch.delenv("SEMANTIC_CORE_EMBEDDER")
    result = call("search", "repeat")
    assert result.exit_code == 2
    assert "moody" in result.stderr
    assert result.stderr.startswith("error: ")
    problems = [
        each["part"] for each in answer("doctor", code=1)["findings"] if each["status"] == "problem"
    ]
    assert problems == ["space"]


def test_a_plugin_that_cannot_be_imported_stops_nothing_and_the_doctor_names_it(
    folder: Path,
) -> None:
    install(folder / "site", "sick_plugin", "raise RuntimeError('no such device')\n")
    assert call("ingest", "notes").exit_code == 0
    assert answer("search", "repeat")["hits"]
    told = [line for line in call("search", "repeat").stderr.splitlines() if "sick_plugin" in line]
    assert told == [
        "The plugin sick_plugin is broken and not used; see: semantic-core plugins list"
    ]
    problems = [
        each for each in answer("doctor", code=1)["findings"] if each["status"] == "problem"
    ]
    assert len(problems) == 1
    assert "sick_plugin" in problems[0]["message"]
    assert "no such device" in problems[0]["message"]
    assert problems[0]["remedy"]


CHATTY = """
import atexit
import ctypes
import os
import sys
print("hello from an import")
os.write(1, b"hello from a file descriptor\\n")
from semantic_core import Ranking, hookimpl

if sys.platform == "linux":
    ctypes.CDLL(None).printf(b"hello from C\\n")
if "pytest" not in sys.modules:
    atexit.register(print, "hello from the end")

@hookimpl
def semantic_retrieve(request):
    print("hello from a retriever")
    sys.stdout.write("hello from a stream\\n")
    os.system("echo hello from a child")
    return Ranking("chatty")

@hookimpl
def semantic_describe(document):
    print("hello from a description")

@hookimpl(orders_only=True)
def semantic_rerank(hits):
    print("hello from a reranker")
    return hits
"""


def in_a_process(*args: str, site: Path) -> subprocess.Popen[str]:
    """A command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "semantic_core.cli", *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(site), *filter(None, sys.path)])},
    )


@pytest.fixture
def chatty(folder: Path) -> Iterator[Path]:
    """An index, and then a plugin that writes to standard output in every way there is."""
    assert call("ingest", "notes").exit_code == 0
    install(folder / "site", "chatty_plugin", CHATTY)
    yield folder / "site"
    sys.modules.pop("chatty_plugin", None)


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        ("ingest site", 0, ("an import", "a file descriptor", "a description")),
        ("search repeat", 0, ("an import", "a retriever", "a stream", "a child", "a reranker")),
        ("plugins list", 0, ("an import", "a file descriptor", "the end")),
        ("search repeat --tenant x", 2, ("an import", "the end")),
    ],
)
def test_with_json_standard_output_holds_the_answer_alone_whatever_plugins_write(
    chatty: Path, args: str, code: int, said: tuple[str, ...]
) -> None:
    (chatty / "beans.txt").write_text("Beans climb.")
    process = in_a_process(*args.split(), "--json", site=chatty)
    out, err = process.communicate()
    assert process.returncode == code
    assert "hello" not in json.dumps(json.loads(out))
    for one in said:
        assert f"hello from {one}" in err


APP = """
import os
print("hello from an application")
os.write(1, b"hello from its file descriptor\\n")
from semantic_core import SemanticCore
from semantic_core.testing import HashEmbedder

class Follower:
    def sync(self, *args, **options): ...
    def close(self): ...

def core():
    print("hello from a function")
    core = SemanticCore(store="memory", embedder=HashEmbedder(), plugins=[])
    core.follow(Follower())
    return core
"""
ARGUMENTS: dict[str, str] = {
    "ingest": "notes",
    "search": "repeat",
    "similar": "loops.txt",
    "complete": "rep",
    "documents show": "loops.txt",
    "documents delete": "loops.txt",
    "queue cancel": "no-job",
    "outbox drop": "--yes",
    "outbox forget": "notes --yes",
    "worker": "--once",
    "blueprint": "django",
    "plugins list": "--isolated",
    "plugins show": "moody_plugin",
    "plugins new": "diary --kind splitter",
    "plugins test": "moody_plugin",
    "backup": "copy.db",
    "restore": "copy.db --yes",
}
"""What commands need, besides those that need nothing."""


def leaves(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Every command that is no group, as it is typed."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from leaves(command, (*path, name))
        else:
            yield " ".join([*path, name])


def values_in(text: str) -> list[object]:
    """The JSON values that a text consists of. Raises ValueError for anything between them."""
    values = []
    place = 0
    while text[place:].strip():
        place += len(text[place:]) - len(text[place:].lstrip())
        value, place = json.JSONDecoder().raw_decode(text, place)
        values.append(value)
    return values


@pytest.mark.parametrize("command", list(leaves(cli)))
def test_every_command_keeps_its_json_apart_from_what_plugins_and_applications_write(
    chatty: Path, command: str
) -> None:
    (chatty / "chatty_app.py").write_text(APP)
    sys.modules.pop("chatty_app", None)
    if command == "restore":
        assert call("backup", "copy.db").exit_code == 0
    words = [*command.split(), *ARGUMENTS.get(command, "").split()]
    by_app = call(*command.split(), "--help").output.count("--app")
    if by_app:
        words += ["--app", "chatty_app:core"]
    result = call(*words, "--json")
    assert len(values_in(result.stdout)) == 1, result.stdout
    assert "UsageError" not in result.stdout
    if by_app:
        assert "hello from an application" in result.stderr


def test_what_an_application_writes_to_the_file_itself_is_kept_apart_too(chatty: Path) -> None:
    (chatty / "chatty_app.py").write_text(APP)
    process = in_a_process("verify", "--app", "chatty_app:core", "--json", site=chatty)
    out, err = process.communicate()
    assert len(values_in(out)) == 1, out
    assert "hello from its file descriptor" in err and "hello from a function" in err


def test_a_command_that_is_not_there_is_an_error_in_json_whatever_plugins_write(
    chatty: Path,
) -> None:
    process = in_a_process("serch", "--json", site=chatty)
    out, _ = process.communicate()
    assert process.returncode == 2
    assert json.loads(out)["error"]["code"] == "UsageError"


def test_without_json_a_plugin_writes_where_it_likes(chatty: Path) -> None:
    assert "hello from a retriever" in call("search", "repeat").stdout


def test_a_reader_that_goes_away_while_a_plugin_writes_is_no_error(chatty: Path) -> None:
    process = in_a_process("search", "repeat", "--json", site=chatty)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    told = process.stderr.read()
    process.stderr.close()
    assert process.wait() == 0
    assert "Error" not in told and "Traceback" not in told


# Commands of plugins

GREETER = """
from semantic_core import hookimpl

@hookimpl
def semantic_commands():
    return {
        "greet": ("greeter_commands:greet", "Say how many documents there are."),
        "absent": ("no_such_module_anywhere:command", "Cannot be imported."),
        "nothing": ("greeter_commands:nothing", "Is no command."),
        "exits": ("greeter_exits:command", "Leaves while it is imported."),
    }
"""
GREETER_COMMANDS = """
import os
import click
from semantic_core.cli import (
    GAP, Group, db_option, json_option, note, opened, tenant_option, where_option, write, write_json
)
from semantic_core.errors import StoreBusy

os.write(1, b"hello from the import of a command\\n")
nothing = 1

@click.group(cls=Group)
def greet():
    "Say how many documents there are."

@greet.command()
@click.option("--fail", type=click.Choice(["ours", "theirs", "gap"]))
@where_option
@tenant_option
@db_option
@json_option
@click.pass_context
def count(context, fail, where, tenant, db, as_json):
    "Count the documents."
    print("hello from a command")
    if fail == "ours":
        raise StoreBusy("The line is taken.", hint="Wait.")
    if fail == "theirs":
        raise KeyError("beans")
    with opened(db, tenant) as core:
        total = core.documents(where=where).total
    if as_json:
        write_json({"documents": total})
    else:
        write(f"{total} documents")
    if fail == "gap":
        note("something is missing")
        context.exit(GAP)
"""


@pytest.fixture
def greeter(folder: Path) -> Iterator[Path]:
    """A plugin with commands, whose module is another than that of the plugin; and an index."""
    assert call("ingest", "notes").exit_code == 0
    site = folder / "site"
    install(site, "greeter", GREETER)
    (site / "greeter_commands.py").write_text(GREETER_COMMANDS)
    (site / "greeter_exits.py").write_text("raise SystemExit('enough')\n")
    yield site
    for name in ("greeter", "greeter_commands", "greeter_exits"):
        sys.modules.pop(name, None)


def test_a_command_of_a_plugin_is_called_like_one_of_ours(greeter: Path) -> None:
    shown = call("greet", "count")
    assert (shown.exit_code, shown.stdout) == (0, "hello from a command\n1 documents\n")
    assert answer("greet", "count") == {"documents": 1}
    assert answer("greet", "count", "--where", "lang=ru") == {"documents": 0}
    assert call("greet", "count", "--fail", "gap").exit_code == 1
    assert "Say how many documents there are." in call("greet", "--help").stdout
    assert call("greet").stdout == call("greet", "--help").stdout


def test_errors_of_a_plugins_command_go_through_the_same_frame(greeter: Path) -> None:
    ours = call("greet", "count", "--fail", "ours")
    assert ours.exit_code == 2
    assert ours.stderr == "error: The line is taken.\nhint: Wait.\n"
    told = answer("greet", "count", "--fail", "ours", code=2)
    assert told["error"]["code"] == "StoreBusy"
    theirs = call("greet", "count", "--fail", "theirs")
    assert theirs.exit_code == 1
    assert "This is a bug in the plugin 'greeter': KeyError: 'beans'" in theirs.stderr
    assert "Traceback" not in theirs.stderr
    assert call("search", "--nope").exit_code == 2
    usage = call("greet", "cuont")
    assert (usage.exit_code, "Did you mean count?" in usage.stderr) == (2, True)
    assert call("greet", "count", "--tenant", "a").exit_code == 2
    missing = call("greet", "count", "--db", "none.db")
    assert "There is no index at 'none.db'" in missing.stderr


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("absent", "needs the module 'no_such_module_anywhere', which is not installed."),
        ("nothing", "must be a click.Command, and greeter_commands:nothing is"),
        ("exits", "cannot be imported: SystemExit: enough"),
    ],
)
def test_a_command_that_cannot_be_imported_names_its_plugin_and_the_cause(
    greeter: Path, name: str, told: str
) -> None:
    result = call(name, "--help")
    assert result.exit_code == 2
    error, hint = result.stderr.splitlines()
    assert error.startswith(f"error: The command '{name}' of the plugin 'greeter' ")
    assert told in error
    assert hint.startswith("hint: pip install ")
    assert answer(name, code=2)["error"]["code"] == "PluginBroken"


def test_the_help_lists_commands_with_their_plugin_and_imports_none(greeter: Path) -> None:
    shown = call("--help")
    assert shown.exit_code == 0
    ours, _, theirs = shown.stdout.partition("Commands of plugins:")
    assert "greet" not in ours
    assert re.search(r"^  greet +Say how many documents there are\. \[greeter\]$", theirs, re.M)
    assert "greeter_commands" not in sys.modules
    assert "Did you mean greet?" in call("gret").stderr


def test_our_own_commands_ask_no_plugin_for_commands(
    greeter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(**_: object) -> None:
        raise AssertionError("asked")

    import semantic_core.cli._plugged as plugged

    monkeypatch.setattr(plugged, "offered_commands", ask)
    assert call("config", "show").exit_code == 0
    assert call("search", "--help").exit_code == 0
    assert isinstance(call("greet", "count").exception, AssertionError | SystemExit)
    process = in_a_process("config", "show", "--json", site=greeter)
    assert process.communicate()[1] == ""


def test_plugins_list_and_show_tell_the_commands(greeter: Path) -> None:
    (info,) = [each for each in answer("plugins", "list") if each["name"] == "greeter"]
    assert info["provides"] == {"command": ["absent", "exits", "greet", "nothing"]}
    assert info["hooks"] == ["semantic_commands"]
    assert "command: absent, exits, greet, nothing" in call("plugins", "list").stdout
    shown = call("plugins", "show", "greeter").stdout
    assert "Command greet: Say how many documents there are." in shown


def test_a_plugin_cannot_take_the_name_of_one_of_our_commands(folder: Path) -> None:
    source = GREETER.replace('"greet"', '"search"')
    install(folder / "site", "taker", source)
    call("ingest", "notes")
    assert answer("search", "repeat")["hits"]
    assert "[taker]" in call("--help").stdout
    assert not re.search(r"^  search .*\[taker\]", call("--help").stdout, re.M)
    (info,) = [each for each in answer("plugins", "list") if each["name"] == "taker"]
    assert info["status"] == "conflict"
    assert info["cause"] == (
        "its command 'search' is not used, because that name is one of the kernel's own commands"
    )
    assert "search" not in info["provides"]["command"]
    sys.modules.pop("taker", None)


LEFT = {"SEMANTIC_CORE_PLUGINS": "moody_plugin,greeter,sqlite,languages"}
"""All plugins but the other one; the index was made with the analyser of one."""


def test_two_offers_of_one_name_are_both_named_and_neither_is_used(greeter: Path) -> None:
    install(greeter, "other", GREETER.replace('"absent"', '"lonely"'))
    told = "More than one plugin offers the command 'greet': greeter (greeter) and other (other)."
    result = call("greet", "count")
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {told}\nhint: ")
    assert answer("greet", "count", code=2)["error"]["code"] == "PluginConflict"
    shown = call("--help")
    assert told in shown.stderr
    assert not re.search(r"^  greet ", shown.stdout, re.M)
    assert re.search(r"^  lonely .*\[other\]$", shown.stdout, re.M)
    infos = {each["name"]: each for each in answer("plugins", "list")}
    assert infos["greeter"]["status"] == infos["other"]["status"] == "conflict"
    assert (
        "'greet' is not used, because other (other) offers one of that name, too"
        in (infos["greeter"]["cause"])
    )
    result = call("greet", "count", env=LEFT)
    assert result.stdout == "hello from a command\n1 documents\n"
    sys.modules.pop("other", None)


OFFERS = (
    ("1", 'wanted {name: ("module:attribute", help)}, got'),
    ('{"Greet": ("a:b", "help")}', "wanted a name of lower-case letters, digits and hyphens"),
    ('{"--json": ("a:b", "help")}', "wanted a name of lower-case letters, digits and hyphens"),
    ('{"": ("a:b", "help")}', "wanted a name of lower-case letters, digits and hyphens"),
    ('{"greet": "a:b"}', "wanted (\"module:attribute\", help) for 'greet'"),
    ('{"greet": ("a.b", "help")}', "wanted \"module:attribute\" for 'greet'"),
    ('{"greet": ("a:b", "two\\nlines")}', "wanted one line of help for 'greet'"),
    ('{"greet": ("a:b", "")}', "wanted one line of help for 'greet'"),
    ("{}[1]", "KeyError: 1"),
)


@pytest.mark.parametrize(("offer", "told"), OFFERS)
def test_a_wrong_offer_is_told_and_the_help_still_works(
    greeter: Path, offer: str, told: str
) -> None:
    head = "from semantic_core import hookimpl\n@hookimpl\ndef semantic_commands():\n"
    source = f"{head}    return {offer}\n"
    install(greeter, "wrong", source)
    shown = call("--help")
    assert shown.exit_code == 0
    assert "[greeter]" in shown.stdout
    line = "The plugin wrong is broken and not used; see: semantic-core plugins list"
    assert shown.stderr == f"{line}\n"
    (info,) = [each for each in answer("plugins", "list") if each["name"] == "wrong"]
    assert (info["status"], told in info["cause"]) == ("broken", True)
    sys.modules.pop("wrong", None)


def test_a_broken_plugin_is_one_line_of_the_help_and_of_an_unknown_command(greeter: Path) -> None:
    install(greeter, "sick_plugin", "raise RuntimeError('no such device')\n")
    line = "The plugin sick_plugin is broken and not used; see: semantic-core plugins list"
    shown = call("--help")
    assert (shown.exit_code, shown.stderr) == (0, f"{line}\n")
    unknown = call("sick")
    assert unknown.exit_code == 2
    told, error, hint = unknown.stderr.splitlines()
    assert told == line
    assert "No such command 'sick'" in error
    assert call("greet", "count").exit_code == 0


def test_a_command_of_ours_that_is_not_installed_is_told_with_how_to_install_it(
    greeter: Path,
) -> None:
    unknown = call("mcp", env={"SEMANTIC_CORE_PLUGINS": "greeter"})
    assert unknown.exit_code == 2
    assert unknown.stderr.startswith(
        "error: No such command 'mcp'. Install it: pip install \"semantic-core-kernel[mcp]\"\n"
    )


def test_settings_that_cannot_be_read_do_not_stop_the_help(greeter: Path) -> None:
    Path("semantic-core.toml").write_text("plugins = 7\n")
    shown = call("--help")
    assert shown.exit_code == 0
    assert shown.stderr.startswith("error: ")
    assert "[greeter]" in shown.stdout
    called = call("greet", "count")
    assert (called.exit_code, called.stderr.count("error: ")) == (2, 1)


def test_what_plugins_write_while_their_commands_are_found_is_kept_from_the_answer(
    greeter: Path,
) -> None:
    install(greeter, "chatty_plugin", CHATTY)
    process = in_a_process("greet", "count", "--json", site=greeter)
    out, err = process.communicate()
    assert (process.returncode, json.loads(out)) == (0, {"documents": 1})
    for one in ("an import", "a file descriptor", "the import of a command", "a command"):
        assert f"hello from {one}" in err
    process = in_a_process("greet", "count", site=greeter)
    out, err = process.communicate()
    assert out.startswith("hello from a command\n1 documents\n")
    assert "hello from the import of a command" in err


def test_commands_of_plugins_complete_without_a_word_of_anyone(greeter: Path) -> None:
    install(greeter, "sick_plugin", "raise RuntimeError('no such device')\n")

    def completions(words: str, count: int) -> tuple[list[str], str]:
        environment = {
            "_SEMANTIC_CORE_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(count),
        }
        done = subprocess.run(
            [sys.executable, "-c", "import semantic_core.cli as c; c.main()"],
            capture_output=True,
            text=True,
            env={
                **os.environ,
                **environment,
                "PYTHONPATH": os.pathsep.join([str(greeter), *filter(None, sys.path)]),
            },
        )
        return done.stdout.split(), done.stderr.replace("hello from the import of a command\n", "")

    assert completions("semantic-core gr", 1) == (["plain,greet"], "")
    assert completions("semantic-core greet c", 2) == (["plain,count"], "")
    assert completions("semantic-core greet count --fa", 3) == (["plain,--fail"], "")
    assert completions("semantic-core absent --x", 2) == ([], "")
