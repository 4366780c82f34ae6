"""What the tests of the SQLite store are written with."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from semantic_core_peewee import SqliteStore
from semantic_core_peewee.sqlite import migrations

from semantic_core import Chunk, ChunkId, Document, Entry, Ref, Space

SPACE = Space("test", 8)
Item = tuple[Document, list[Entry]]


def vector_of(passage: str) -> Any:
    """The one vector of a passage: any direction, always the same."""
    seed = int.from_bytes(blake2b(passage.encode(), digest_size=8).digest(), "big")
    drawn = np.random.default_rng(seed).normal(size=SPACE.dimensions)
    return (drawn / np.linalg.norm(drawn)).astype(np.float32)


def item_of(
    key: str,
    *passages: str,
    collection: str = "notes",
    tenant: str = "",
    metadata: Mapping[str, Any] | None = None,
    vectors: bool | Sequence[Any] = True,
) -> Item:
    """A document of these passages, a chunk each. vectors: True is `vector_of` each, False none."""
    ref = Ref(collection, key, tenant)
    entries, start = [], 0
    for position, passage in enumerate(passages):
        chunk = Chunk(ChunkId(ref, position), passage, start, start + len(passage))
        vector = (
            vectors[position]
            if not isinstance(vectors, bool)
            else vector_of(passage)
            if vectors
            else None
        )
        entries.append(
            Entry(chunk, passage, blake2b(passage.encode(), digest_size=16).hexdigest(), vector)
        )
        start += len(passage) + 1
    return Document(ref, " ".join(passages), title=f"About {key}", metadata=metadata or {}), entries


@pytest.fixture
def space() -> Space:
    """The space of every test store."""
    return SPACE


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the test's store is."""
    return tmp_path / "index.db"


@pytest.fixture
def open_store(path: Path) -> Iterator[Callable[..., SqliteStore]]:
    """Opens the test's store (again); whatever is still open at the end is closed."""
    opened: list[SqliteStore] = []

    def open_it(where: Path = path, **options: Any) -> SqliteStore:
        opened.append(
            SqliteStore(options.pop("space", SPACE), where, **{"durability": "normal", **options})
        )
        return opened[-1]

    yield open_it
    for store in opened:
        store.close()


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Callable[..., AbstractContextManager[None]]:
    """``with steps(*some)``: files are made and brought up by these steps of the schema alone."""

    @contextmanager
    def with_steps(*some: migrations.Step) -> Iterator[None]:
        with monkeypatch.context() as patched:
            patched.setattr(migrations, "STEPS", some)
            yield

    return with_steps


@pytest.fixture
def store(open_store: Callable[..., SqliteStore]) -> SqliteStore:
    """A new store."""
    return open_store()


@pytest.fixture
def item() -> Callable[..., Item]:
    """See `item_of`."""
    return item_of


@pytest.fixture
def vector() -> Callable[[str], Any]:
    """See `vector_of`."""
    return vector_of


PRELUDE = """
import os, sys, time
import numpy as np
from pathlib import Path
from semantic_core import Chunk, ChunkId, Document, Entry, Filter, Ref, Scope, Space
from semantic_core.errors import *
from semantic_core_peewee import SqliteStore
import importlib.util
_spec = importlib.util.spec_from_file_location("peewee_test_samples", sys.argv[1])
_samples = importlib.util.module_from_spec(_spec); _spec.loader.exec_module(_samples)
SPACE, item_of, vector_of = _samples.SPACE, _samples.item_of, _samples.vector_of
path = Path(sys.argv[2])
"""


@pytest.fixture
def process(path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a Python process that runs this code, with the test's `path`, SqliteStore,
    item_of and so on at hand.
    """
    started: list[subprocess.Popen[str]] = []

    def start(code: str, arguments: Sequence[str] = (), **options: Any) -> subprocess.Popen[str]:
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
        }
        command = [
            sys.executable,
            "-c",
            PRELUDE + textwrap.dedent(code),
            __file__,
            str(path),
            *arguments,
        ]
        options = {
            "stdin": subprocess.PIPE,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            **options,
        }
        started.append(subprocess.Popen(command, text=True, env=environment, **options))
        return started[-1]

    yield start
    for running in started:
        if running.poll() is None:
            running.kill()
        running.communicate()


@pytest.fixture
def output(process: Callable[..., subprocess.Popen[str]]) -> Callable[..., str]:
    """What a process that runs this code prints; fails if it fails."""

    def run(code: str, **options: Any) -> str:
        running = process(code, **options)
        out, err = running.communicate(timeout=60)
        assert running.returncode == 0, err
        return out.strip()

    return run
