"""The revision of a file: other processes see it change, and a restored file reaches no other
content's revision.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from semantic_core_peewee.sqlite import revisions
from semantic_core_peewee.sqlite.store import SqliteStore

from semantic_core import Chunk, ChunkId, Document, Entry, Ref
from semantic_core.testing import HashEmbedder

SPACE = HashEmbedder().space
WRITER = """
import sys
from semantic_core import Document, Ref
from semantic_core.testing import HashEmbedder
from semantic_core_peewee.sqlite.store import SqliteStore

store = SqliteStore(HashEmbedder().space, sys.argv[1])
store.replace([(Document(Ref("notes", "1"), "of another process"), [])])
print(store.revision())
store.close()
"""


def note(store: SqliteStore, text: str, tenant: str = "") -> None:
    ref = Ref("notes", "1", tenant)
    chunk = Chunk(ChunkId(ref, 0), text, 0, len(text))
    store.replace([(Document(ref, text), [Entry(chunk, text, f"{abs(hash(text)):032x}")])])


def test_the_write_of_another_process_changes_it(tmp_path: Path) -> None:
    store = SqliteStore(SPACE, tmp_path / "index.db")
    assert store.revision() == revisions.NEVER_WRITTEN
    note(store, "mine")
    mine = store.revision()
    command = [sys.executable, "-c", WRITER, str(tmp_path / "index.db")]
    theirs = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert store.revision() == theirs != mine
    store.close()
    again = SqliteStore(SPACE, tmp_path / "index.db")
    assert again.revision() == theirs
    again.close()


def test_a_restored_file_with_other_writes_has_another_revision(tmp_path: Path) -> None:
    store = SqliteStore(SPACE, tmp_path / "index.db")
    note(store, "first")
    store.backup(tmp_path / "copy.db")
    before = store.revision()
    note(store, "second")
    after = store.revision()
    store.close()
    restored = SqliteStore(SPACE, tmp_path / "copy.db")
    assert restored.revision() == before  # the same content
    note(restored, "third")
    assert restored.revision() not in (before, after)
    restored.close()


def test_nothing_of_a_tenants_name_is_kept(tmp_path: Path) -> None:
    store = SqliteStore(SPACE, tmp_path / "index.db", multi_tenant=True)
    note(store, "text", "ann@example.org")
    assert store.revision("ann@example.org") != store.revision("other") == revisions.NEVER_WRITTEN
    store.remove([Ref("notes", "1", "ann@example.org")])
    store.compact()
    store.close()
    for file in tmp_path.iterdir():
        assert b"ann@example.org" not in file.read_bytes()
