"""Servers as a client or an operator starts them: processes of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from mcp import StdioServerParameters

PROGRAM = ["-m", "semantic_core.cli", "mcp"]

PERMISSIONS = """
from semantic_core.permissions import Permissions
plugin = Permissions("readers", everyone="everyone")
"""
CHATTY = """
import atexit
import ctypes
import os
import sys

print("hello from an import")
os.write(1, b"hello from a file descriptor\\n")
if sys.platform == "linux":
    ctypes.CDLL(None).printf(b"hello from C\\n")
atexit.register(print, "hello from the end")

from semantic_core import hookimpl

@hookimpl
def semantic_retrieve(request):
    print("hello from a retriever")
    os.system("echo hello from a child; cat")
    sys.stdout.write("hello from a stream\\n")
"""


def install(site: Path, name: str, source: str, object_name: str = "") -> None:
    """A distribution with a plugin, as pip leaves it behind."""
    site.mkdir(exist_ok=True)
    (site / f"{name}.py").write_text(source)
    info = site / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    target = f"{name}:{object_name}" if object_name else name
    (info / "entry_points.txt").write_text(f"[semantic_core]\n{name} = {target}\n")


def environment(site: Path | None, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables of a server that finds the plugins in `site`."""
    paths = [str(site)] if site else []
    return {"PYTHONPATH": os.pathsep.join([*paths, *filter(None, sys.path)]), **(more or {})}


def started(
    *options: str, site: Path | None = None, variables: Mapping[str, str] | None = None
) -> StdioServerParameters:
    """What a client starts."""
    return StdioServerParameters(
        command=sys.executable, args=[*PROGRAM, *options], env=environment(site, variables)
    )


def process(
    *options: str, site: Path | None = None, variables: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """A server with its three streams."""
    return subprocess.Popen(
        [sys.executable, *PROGRAM, *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **environment(site, variables)},
    )


@contextmanager
def over_http(
    *options: str, site: Path | None = None, variables: Mapping[str, str] | None = None
) -> Iterator[str]:
    """The URL of a server over HTTP, which is stopped afterwards and has to end well."""
    running = process("--http", "--port", "0", *options, site=site, variables=variables)
    assert running.stderr is not None
    told = b""
    try:
        while b"Stop with Ctrl-C" not in told:
            line = running.stderr.readline()
            assert line, told.decode()
            told += line
        found = re.search(rb"http://\S+/mcp", told)
        assert found
        yield found[0].decode()
        running.terminate()
        out, rest = running.communicate(timeout=20)
        assert (running.returncode, out) == (0, b""), rest
        assert b"Traceback" not in rest
    finally:
        running.kill()
        running.communicate()
