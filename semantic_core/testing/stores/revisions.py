"""Checks of a store's revision, and of the time when a document was last changed.

Tested by tests/contracts/test_contract.py and tests/contracts/test_store_bites.py.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

from semantic_core.errors import TenantRefused
from semantic_core.protocols import VectorQueue
from semantic_core.testing.check import Check, expect, raises, same
from semantic_core.testing.stores.samples import (
    EVERYTHING,
    SPACE,
    OpenStore,
    item,
    put,
    vectors_of,
)
from semantic_core.types import Ref


@Check
def every_change_has_a_new_revision(open_store: OpenStore) -> None:
    """`revision` changes with every write that adds, changes or removes a document, or fills a
    vector. Between two writes it stays the same, and no value comes back.
    """
    with closing(open_store(SPACE)) as store:
        waiting = item("1", "zorbak", vectors=False)
        steps: list[tuple[str, Callable[[], Any]]] = [
            ("a new document", lambda: put(store, waiting)),
            ("another text", lambda: put(store, item("1", "other", vectors=False))),
            ("the first text again", lambda: put(store, waiting)),
            ("another title", lambda: put(store, item("1", "zorbak", title="T", vectors=False))),
            ("a document without passages", lambda: put(store, item("2"))),
            ("a removal", lambda: store.remove([Ref("notes", "2")])),
        ]
        if isinstance(store, VectorQueue):
            steps.insert(4, ("a vector", lambda: store.fill(vectors_of("zorbak"))))
        before = store.revision()
        seen = {before: "before the first write"}
        for what, step in steps:
            step()
            revision = store.revision()
            expect(isinstance(revision, str) and revision, f"revision must be a text: {revision!r}")
            same(store.revision(), revision, f"revision, read twice after {what}")
            same(store.revision(""), revision, f'revision("") after {what}')
            expect(
                revision not in seen,
                f"revision after {what} must be new, found the one {seen.get(revision)}.",
            )
            seen[revision] = f"after {what}"
        with raises(TenantRefused, "revision of a tenant of a store without tenants"):
            store.revision("acme")


@Check
def a_revision_is_of_its_tenant(open_store: OpenStore) -> None:
    """A write changes the revision of its tenant and of the whole store, and of no other tenant,
    who would learn from it that others write.
    """
    with closing(open_store(SPACE, multi_tenant=True)) as store:
        ours = Ref("notes", "1", "acme")
        theirs = Ref("notes", "1", "other")
        put(store, item(theirs, "theirs"))
        steps: list[tuple[str, Callable[[], Any]]] = [
            ("a new document", lambda: put(store, item(ours, "zorbak", vectors=False))),
            ("another text", lambda: put(store, item(ours, "other"))),
            ("a removal", lambda: store.remove([ours])),
        ]
        if isinstance(store, VectorQueue):
            steps.insert(1, ("a vector", lambda: store.fill(vectors_of("zorbak"))))
        for what, step in steps:
            whole = store.revision()
            own = store.revision("acme")
            other = store.revision("other")
            step()
            expect(store.revision("acme") != own, f"revision of the tenant: the same after {what}.")
            expect(store.revision() != whole, f"revision of the store: the same after {what}.")
            same(store.revision("other"), other, f"revision of another tenant after {what}")


@Check
def a_passage_tells_when_its_document_was_changed(open_store: OpenStore) -> None:
    """`fetch` gives each passage with the ``updated_at`` that `documents` gives for its
    document.
    """
    with closing(open_store(SPACE)) as store:
        first = item("1", "one", "two")
        put(store, first)
        put(store, item("2", "three"))
        put(store, item("1", "one", "two", title="changed"))
        times = {}
        for summary in store.documents(EVERYTHING):
            times[summary.ref] = summary.updated_at
        for stored in store.fetch(first.ids):
            what = f"updated_at of the passage {stored.chunk.id}"
            same(stored.updated_at, times[first.ref], what)
