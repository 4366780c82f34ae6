"""The recipes are followed to the letter: every command is a process, in an empty folder.

- A block with ``file=NAME`` is written to the folder. One of the language ``diff`` changes that
  file: its lines without ``+`` are there, once, and become those without ``-``.
- ```` ```shell-session ````: each line ``$ COMMAND`` is run by a shell and must end with 0; a
  command continues in the next line after ``\\``. Lines ``>>> CODE`` below it are typed into it at
  a terminal. What else is below it is what it shows; ``...`` stands for anything.
- ```` ```shell-session server ````: the one command of the block runs until the page ends. Port
  8000 stands for a free one.
- ``$ pip install ...`` is not run: what it names must be among the distributions of this project.

No other kind of block is on these pages, except diagrams. No command shows a traceback or a
warning.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import shlex
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
import tomllib
from collections.abc import Iterator
from contextlib import closing
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE, OutputChecker
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pages import blocks

ROOT = Path(__file__).resolve().parents[2]
RECIPES = [
    ROOT / "guides" / f"{name}.md"
    for name in (
        "integrations/django",
        "integrations/sqlalchemy",
        "integrations/fastapi",
        "integrations/async_orms",
        "testing_your_app",
    )
]
PATIENCE = 120.0
"""Seconds a command may take."""
PORT = "8000"
"""What the pages write for the port of a server."""
PROMPT = b">>> "
END_OF_INPUT = b"\x04"
BAD = re.compile(
    r"Traceback \(most recent call last\)|\w+Warning:|\bWARNING(?!: This is a development server)"
)


class Command(NamedTuple):
    """A command of a page, with what is typed into it and what it shows. line: of the page."""

    text: str
    typed: list[str]
    shows: str
    line: int


def commands(text: str, line: int) -> Iterator[Command]:
    """The commands of a block whose first line is this one of the page."""
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        first = line + number
        assert lines[number].startswith("$ "), f"line {first}: a block begins with a command"
        command = lines[number].removeprefix("$ ")
        number += 1
        while command.endswith("\\"):
            command = f"{command}\n{lines[number]}"
            number += 1
        below = []
        while number < len(lines) and not lines[number].startswith("$ "):
            below.append(lines[number])
            number += 1
        typed = [each.removeprefix(">>> ") for each in below if each.startswith(">>> ")]
        yield Command(command, typed, "\n".join(below).strip(), first)


def changed(text: str, diff: str, place: str) -> str:
    """A text after a change that a page shows as lines which stay, go (``-``) and come (``+``)."""
    before, after = [], []
    for line in diff.splitlines(keepends=True):
        if not line.startswith("+"):
            before.append(line[1:])
        if not line.startswith("-"):
            after.append(line[1:])
    old = "".join(before)
    assert text.count(old) == 1, f"{place}: these lines are not there, or not once:\n{old}"
    return text.replace(old, "".join(after))


def distributions() -> dict[str, set[str]]:
    """The extras of each distribution that a page may ask pip for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    found = {canonicalize_name(project["name"]): set(extras)}
    for each in [*project["dependencies"], *(one for extra in extras.values() for one in extra)]:
        found.setdefault(canonicalize_name(Requirement(each).name), set())
    return found


class Follower:
    """Someone who types what a page says, in a folder of their own."""

    def __init__(self, page: Path, folder: Path) -> None:
        self.page, self.folder = page, folder
        self.port = str(_free_port())
        self.server: subprocess.Popen[bytes] | None = None
        self.server_shows = folder.parent / f"{folder.name}.server"
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("SEMANTIC_CORE_", "DJANGO_", "PYTEST_"))
        }
        self.environment |= {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "NO_COLOR": "1",
            "PYTHON_BASIC_REPL": "1",
            "TERM": "dumb",
        }

    def follow(self) -> int:
        """Do all of it; how many commands there were."""
        done = 0
        try:
            for block in blocks(self.page.read_text("utf-8")):
                if block.file:
                    self.write(block)
                elif block.language == "shell-session":
                    for command in commands(block.text, block.line):
                        self.run(command, is_server="server" in block.words)
                        done += 1
                else:
                    assert block.language == "mermaid", (
                        f"{self.page}:{block.line}: nobody follows a block of {block.language}"
                    )
        finally:
            if self.server is not None:
                self.stop_server()
        return done

    def write(self, block: NamedTuple) -> None:
        target = self.folder / block.file
        assert target.resolve().is_relative_to(self.folder.resolve()), f"{target} is outside"
        target.parent.mkdir(parents=True, exist_ok=True)
        text = block.text
        if block.language == "diff":
            text = changed(target.read_text("utf-8"), text, f"{self.page}:{block.line}")
        target.write_text(text, "utf-8")

    def run(self, command: Command, *, is_server: bool) -> None:
        place = f"{self.page}:{command.line}"
        words = shlex.split(command.text)
        if words[:2] == ["pip", "install"]:
            self.check_requirements(words[2:], place)
        elif is_server:
            self.start_server(command.text)
        else:
            code, screen = self.at_terminal(command) if command.typed else self.shell(command.text)
            screen = screen.replace(f":{self.port}", f":{PORT}")
            assert code == 0, f"{place}: exit code {code}: {command.text}\n{screen}"
            assert not BAD.search(screen), f"{place}: {command.text}\n{screen}"
            if command.shows:
                assert _alike(command.shows, screen), (
                    f"{place}: the page shows\n{command.shows}\n\nand the screen\n{screen}"
                )

    def check_requirements(self, words: list[str], place: str) -> None:
        there = distributions()
        for word in words:
            wanted = Requirement(word)
            assert canonicalize_name(wanted.name) in there, f"{place}: {word}"
            if canonicalize_name(wanted.name).startswith("semantic-core"):
                assert wanted.extras <= there[canonicalize_name(wanted.name)], f"{place}: {word}"

    def start(self, command: str, **channels: int) -> subprocess.Popen[bytes]:
        command = re.sub(rf"\b{PORT}\b", self.port, command)
        return subprocess.Popen(  # noqa: S602 - a reader's shell runs it, too
            command,
            shell=True,
            cwd=self.folder,
            env=self.environment,
            start_new_session=True,
            # Where the tests run in the background, processes would not hear Ctrl+C.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            **channels,
        )

    def shell(self, command: str) -> tuple[int, str]:
        """The exit code of a command, and what it writes on both channels."""
        process = self.start(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        try:
            written, _ = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            _end(process)
            raise
        return process.returncode, written.decode()

    def at_terminal(self, command: Command) -> tuple[int, str]:
        """The same with lines typed at its prompts, ended with Ctrl+D: what the terminal shows."""
        terminal, inside = pty.openpty()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 1_000, 0, 0))
        process = self.start(command.text, stdin=inside, stdout=inside, stderr=inside)
        os.close(inside)
        screen = b""
        try:
            for line in command.typed:
                screen += _read_until(terminal, PROMPT)
                os.write(terminal, line.encode() + b"\n")
            screen += _read_until(terminal, PROMPT).removesuffix(PROMPT)
            os.write(terminal, END_OF_INPUT)
            _read_until(terminal, None)
            code = process.wait(PATIENCE)
        finally:
            os.close(terminal)
            _end(process)
        return code, screen.decode().replace("\r", "")

    def start_server(self, command: str) -> None:
        assert self.server is None, "one server a page"
        with self.server_shows.open("wb") as shows:
            self.server = self.start(command, stdin=subprocess.DEVNULL, stdout=shows, stderr=shows)
        end = time.monotonic() + PATIENCE
        while not _answers(int(self.port)):
            assert self.server.poll() is None, self.server_shows.read_text()
            assert time.monotonic() < end, self.server_shows.read_text()
            time.sleep(0.1)

    def stop_server(self) -> None:
        assert self.server is not None
        _end(self.server)
        shown = self.server_shows.read_text()
        assert not BAD.search(shown), shown


def _alike(wanted: str, shown: str) -> bool:
    checker = OutputChecker()
    return checker.check_output(wanted, shown.strip(), ELLIPSIS | NORMALIZE_WHITESPACE)


def _read_until(terminal: int, end: bytes | None) -> bytes:
    """What a terminal shows up to this; None: until the program has ended."""
    found = b""
    while end is None or not found.endswith(end):
        try:
            more = os.read(terminal, 4096)
        except OSError:  # the program has ended, and nobody holds the other side
            more = b""
        if not more:
            assert end is None, f"the program ended early:\n{found.decode()}"
            break
        found += more
    return found


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a process with all it started, the way Ctrl+C does."""
    for number in (signal.SIGINT, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, number)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                continue


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    with closing(socket.socket()) as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.slow
@pytest.mark.parametrize("page", RECIPES, ids=lambda page: page.stem)
def test_a_newcomer_who_types_the_page_sees_what_it_shows(page: Path, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    assert Follower(page, folder).follow() >= 4


def followed(text: str, folder: Path) -> int:
    page = folder / "page.md"
    page.write_text(text, "utf-8")
    inside = folder / "project"
    inside.mkdir()
    return Follower(page, inside).follow()


@pytest.mark.parametrize(
    "text",
    [
        "```shell-session\n$ exit 3\n```\n",
        "```shell-session\n$ echo one\ntwo\n```\n",
        "```shell-session\n$ echo 'UserWarning: old'\n```\n",
        "```shell-session\n$ python\n...\n>>> 1 + 1\n3\n```\n",
        "```shell-session\n$ python -c 'raise SystemExit'\n>>> 1 + 1\n2\n```\n",
        "```shell-session server\n$ exit 0\n```\n",
        "```shell-session\n$ pip install semantic-core\n```\n",
        '```shell-session\n$ pip install "semantic-core-kernel[locale]"\n```\n',
        "```shell-session\nno command\n```\n",
        "```python\nprint(1)\n```\n",
        "```python no-run\nprint(1)\n```\n",
        "```text file=../outside.txt\nx\n```\n",
        "```text file=x.txt\nx\n```\n```diff file=x.txt\n-y\n+z\n```\n",
        "```text file=x.txt\nx\nx\n```\n```diff file=x.txt\n-x\n+z\n```\n",
    ],
)
def test_a_page_that_is_wrong_fails(text: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        followed(text, tmp_path)


def test_a_page_that_is_right_is_followed_to_its_end(tmp_path: Path) -> None:
    page = """
```text file=notes/one.txt
first
second
```
```diff file=notes/one.txt
 first
-second
+third
```
```shell-session
$ pip install "semantic-core-kernel[local]" django
$ cat \\
  notes/one.txt
first
third
$ python
...
>>> print("a", 1 + 1)
a 2
>>> x = 3
>>> x
3
```
```shell-session server
$ python -m http.server 8000 --bind 127.0.0.1
```
```shell-session
$ curl -s http://127.0.0.1:8000/notes/one.txt
first
...
```
"""
    assert followed(page, tmp_path) == 5
