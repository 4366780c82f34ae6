"""From a path to a file of ours at the newest schema: looked at first,
touched only if it is ours or not there yet.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import apsw

from semantic_core.errors import (
    SpaceMismatch,
    StoreCorrupt,
    StoreMisuse,
    StoreReadOnly,
    StoreUnavailable,
)
from semantic_core.types import WORDS_ONLY, Space
from semantic_core_peewee import _guard
from semantic_core_peewee._connection import Connection, Target, translated
from semantic_core_peewee._errors import noting_errno
from semantic_core_peewee._lockfile import LEAST_WAIT, PAUSE, sole
from semantic_core_peewee._migrations import APPLICATION_ID, PAGE_SIZE, migrate, newest, version_of
from semantic_core_peewee._place import is_new, newer_release
from semantic_core_peewee._rights import make_file, rights_for
from semantic_core_peewee._rows import row_crc


def prepare(target: Target, space: Space | None, multi_tenant: bool | None) -> tuple[Space, bool]:
    """Make the file if there is none, bring it up if it is older; the space and tenancy it has.

    space: None takes what the file says, and makes none. Raises StoreForeign, StoreVersion,
    StoreCorrupt, SpaceMismatch, StoreMisuse (tenancy, second library), StoreReadOnly,
    StoreUnavailable, StoreBusy; then the file is as it was.
    """
    while True:
        claim = _guard.claim(target.path) if os.path.isfile(target.path) else None
        try:
            if is_new(target):
                if space is None:
                    raise StoreUnavailable(
                        f"There is no store at {target.path!r}.", hint="Check the path."
                    )
                with sole(target.path, target.busy_timeout):
                    if is_new(target):
                        _create(target, space, bool(multi_tenant))
            settled = _settle(target, space, multi_tenant)
        finally:
            _guard.release(claim)
        if settled is not None:
            return settled


def _create(target: Target, space: Space, multi_tenant: bool) -> None:
    """Write the first pages, in a rollback journal:
    a copy of the main file alone is then never an empty stranger.
    """
    path, there = target.path, os.path.exists(target.path)
    said = said_of(space, multi_tenant)
    try:
        with _refined(path), translated(path):
            if not there:
                with suppress(OSError):  # SQLite will say it better
                    make_file(path, rights_for(path))
            raw = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
            try:
                with noting_errno(raw):
                    raw.set_busy_timeout(int(target.busy_timeout * 1000))
                    raw.execute(f"pragma page_size = {PAGE_SIZE}")
                    migrate(raw, said)
                    _use_log(raw, path)
            finally:
                raw.close(True)
    except BaseException:
        if not there:
            with suppress(OSError):
                os.unlink(path)
        raise


def said_of(space: Space, multi_tenant: bool) -> dict[str, str]:
    """What a new store says of itself."""
    said = {
        "space": json.dumps(_space_record(space), sort_keys=True),
        "multi_tenant": json.dumps(multi_tenant),
        "generation": "1",
        "created_at": datetime.now(UTC).isoformat(),
    }
    return {**said, "crc": _crc(said)}


def _settle(
    target: Target, space: Space | None, multi_tenant: bool | None
) -> tuple[Space, bool] | None:
    """Bring an existing file up and compare it with what is wanted;
    None if it turns out to be empty.
    """
    path = target.path
    with _refined(path), translated(path):
        connection = Connection(target, writer=True)
        try:
            raw = connection.raw
            version = version_of(raw)
            if version == 0 and raw.pragma("application_id") != APPLICATION_ID:
                return None  # a creation that was cut off; opening it rolled it back
            if version > newest():
                raise newer_release(path, version)
            if version < newest() or (
                raw.pragma("journal_mode") != "wal" and not raw.readonly("main")
            ):
                if raw.readonly("main"):
                    raise StoreReadOnly(
                        (
                            f"The store {path!r} has schema {version}, wanted {newest()}, and it "
                            "cannot be written."
                        ),
                        hint="Make it writable once, or use a copy.",
                    )
                with sole(path, target.busy_timeout):
                    migrate(raw)
                    _use_log(raw, path)
            says = dict(raw.execute("select key, value from meta").fetchall())
        finally:
            connection.close()
    return agree(path, says, space, multi_tenant)


def _use_log(raw: Any, path: str) -> None:
    deadline = time.monotonic() + LEAST_WAIT
    while True:
        try:
            mode = raw.pragma("journal_mode", "wal")
            break
        except apsw.BusyError:  # this one switch does not wait for readers by itself
            if time.monotonic() > deadline:
                raise
            time.sleep(PAUSE)
    if mode != "wal":
        raise StoreUnavailable(
            f"The store {path!r} needs a write-ahead log; its file system gave {mode!r}.",
            hint="Use a local disk.",
        )


def agree(
    path: str, says: dict[str, str], space: Space | None, multi_tenant: bool | None
) -> tuple[Space, bool]:
    """The space and tenancy a store has, if they are what is wanted.

    Raises StoreCorrupt, SpaceMismatch, StoreMisuse.
    """
    if says.get("crc") != _crc(says):
        raise StoreCorrupt(
            f"The store {path!r} does not say what it was made as.", hint="Restore a backup."
        )
    try:
        held, tenancy = Space(**json.loads(says["space"])), bool(json.loads(says["multi_tenant"]))
    except (KeyError, TypeError, ValueError) as error:
        raise StoreCorrupt(
            f"The store {path!r} does not say what it holds.", hint="Restore a backup."
        ) from error
    if space is not None and held != space and held.model == WORDS_ONLY:
        raise SpaceMismatch(
            f"The store {path!r} was made without an embedder, the one in use makes {space}.",
            hint=(
                'Open it with embedder="none"; for meaning too, use another path, or remove the '
                "store, and ingest again."
            ),
        )
    if space is not None and held != space:
        raise SpaceMismatch(
            f"The store {path!r} holds vectors of {held}, the embedder in use makes {space}.",
            hint="Use that embedder, or another path; or remove the store and ingest again.",
        )
    if multi_tenant is not None and tenancy is not multi_tenant:
        names = {True: "multi-tenant", False: "single-tenant"}
        raise StoreMisuse(
            f"The store {path!r} is {names[tenancy]}, wanted {names[multi_tenant]}.",
            hint="A store stays what it was made as: leave multi_tenant out, or use another path.",
        )
    return held, tenancy


def _crc(says: dict[str, str]) -> str:
    """Checksum of what a store was made as, as text."""
    return str(
        row_crc(*(says.get(name) for name in ("space", "multi_tenant", "generation", "created_at")))
    )


def _space_record(space: Space) -> dict[str, Any]:
    return {
        "model": space.model,
        "dimensions": space.dimensions,
        "task": space.task,
        "revision": space.revision,
        "settings": dict(space.settings),
    }


@contextmanager
def _refined(path: str) -> Iterator[None]:
    """Within it, a file that cannot be opened for want of a writable folder says so."""
    try:
        yield
    except StoreUnavailable as error:
        folder = os.path.dirname(path)
        if (
            isinstance(error.__cause__, apsw.CantOpenError)
            and os.path.isdir(folder)
            and not os.access(folder, os.W_OK)
        ):
            raise StoreReadOnly(
                f"The store {path!r} needs a folder it can write to, {folder!r} is not.",
                hint="Give this user the right to write there, or use a copy elsewhere.",
            ) from error.__cause__
        raise
