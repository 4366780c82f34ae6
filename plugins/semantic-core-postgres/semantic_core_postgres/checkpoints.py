"""Checkpoints: how far the index has followed each source of changes; and the identity of the
index. Both are rows of one small table, written in the transaction of the documents.

Tested by tests/test_contract.py.
"""

from __future__ import annotations

import secrets
from operator import itemgetter
from typing import TYPE_CHECKING

from semantic_core.storage import changed
from semantic_core_postgres.texts import decoded, digest_of, encoded

if TYPE_CHECKING:
    from semantic_core.storage import Advances, Change
    from semantic_core_postgres.pool import View

IDENTITY = ""
"""The source under whose name the identity of the index is stored."""
_GET = "select value from {s}.checkpoint where address = %s"
_PUT = """insert into {s}.checkpoint as c (address, source, value)
    values (%s, %s, %s)
    on conflict (address) do update
    set value = excluded.value
    where c.value <> excluded.value"""


def get(view: View, source: str) -> str | None:
    """The checkpoint of a source; None if there is none."""
    found = view.value(_GET, (digest_of(source),))
    return None if found is None else decoded(found)


def every(view: View) -> dict[str, str]:
    """All checkpoints; the identity is none of them."""
    found = view.rows("select source, value from {s}.checkpoint where source <> %s", (IDENTITY,))
    return {decoded(source): decoded(value) for source, value in found}


def advance(view: View, advances: Advances) -> None:
    """Update what this thread's writes advance, in the transaction that is open."""
    for source, change in sorted(advances.of_thread(), key=itemgetter(0)):
        update(view, source, change)


def update(view: View, source: str, change: Change) -> str | None:
    """Put what `change` makes of a checkpoint in its place; None removes it. Writers of one source
    wait for each other.

    An error of the change is raised in `errors_of_changes`.
    """
    name = f"semantic-core {view.statements.schema} checkpoint {source}"
    view.run("select pg_advisory_xact_lock(hashtextextended(%s, 0))", (encoded(name),))
    there = get(view, source)
    new = changed(change, there)
    if new is None:
        view.run("delete from {s}.checkpoint where address = %s", (digest_of(source),))
    else:
        view.run(_PUT, (digest_of(source), encoded(source), encoded(new)))
    return new


def renew_identity(view: View) -> str:
    """Give the index another identity."""
    identity = secrets.token_hex(16)
    view.run(_PUT, (digest_of(IDENTITY), IDENTITY, identity))
    return identity
