"""Checks of a persistent store: what it still knows when another process opens it again.

Tested by plugins/semantic-core-peewee/tests/sqlite/test_contract.py and
tests/contracts/test_store_bites.py.
"""

from __future__ import annotations

from contextlib import closing

from semantic_core._files import files_of
from semantic_core.errors import SemanticCoreError, SpaceMismatch
from semantic_core.testing.check import Check, expect, raises, same, same_fields, skip
from semantic_core.testing.stores.batches import RATE, held_by, ledger_of, sent
from semantic_core.testing.stores.checkpoints import checkpoints_of
from semantic_core.testing.stores.samples import (
    SPACE,
    OpenStore,
    contents,
    fingerprint_of,
    item,
    put,
    vectors_of,
)
from semantic_core.types import Ref, Scope, Space


@Check
def everything_is_there_after_reopening(open_store: OpenStore) -> None:
    """Documents, chunks, vectors, full-text search, queue, times and stamps outlive `close`."""
    items = [
        item("1", "first zorbak", "its tail", title="Title", metadata={"n": 1, "f": 1.0}),
        item("2", "waiting", vectors=False),
    ]
    refs = [Ref("notes", key) for key in ("1", "2", "3")]
    with closing(open_store(SPACE)) as store:
        put(store, *items, stamps=dict.fromkeys(refs[:2], 5))
        store.remove(refs[2:], stamps=dict.fromkeys(refs[2:], 5))
        before = contents(store, *items)
    with closing(open_store(SPACE)) as store:
        same(contents(store, *items), before, "contents of the store after reopening")
        for key in ("1", "3"):
            late = item(key, "late text")
            outcome = put(store, late, stamps={late.ref: 4})
            same(outcome, ["stale"], f"outcome of an older stamp for the document {key}")
        outcomes = put(store, *items)
        same(outcomes, ["unchanged", "unchanged"], "outcomes of the same write after reopening")


@Check
def no_key_of_what_was_removed_stays(open_store: OpenStore) -> None:
    """The key of a removed document may be personal data, such as an address. Once the store was
    compacted and closed, none of its files contains the key. The stamp of the removal is still
    known.
    """
    gone = Ref("notes", "ann.smith@example.com")
    with closing(open_store(SPACE)) as store:
        files = files_of(store)
        if not files:
            skip("This store names no files of its own.")
        put(store, item(gone, "a passage"), item("stays", "another"), stamps={gone: 5})
        store.remove([gone], stamps={gone: 7})
        compact = getattr(store, "compact", None)
        if compact is not None:
            compact()
    for file in files:
        if file.exists():
            holds_the_key = gone.key.encode() in file.read_bytes()
            expect(not holds_the_key, f"The key of a removed document is in {file.name}.")
    with closing(open_store(SPACE)) as store:
        again = item(gone, "again")
        same(put(store, again, stamps={gone: 6}), ["stale"], "outcome of an older stamp")
        same(put(store, again, stamps={gone: 8}), ["added"], "outcome of a newer stamp")


@Check
def jobs_outlive_the_process(open_store: OpenStore) -> None:
    """The ledger of batch jobs, the passages they hold and the reasons of failures outlive
    `close`.
    """
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        put(store, item("1", "one", "two", "three", vectors=False))
        before = sent(queue, "j")
        queue.settle("j", vectors_of("one"), {fingerprint_of("two"): "too long"}, RATE, 1.0)
        held = held_by(queue, "j")
        costs = list(queue.costs())
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        what = "the job after reopening"
        same_fields(queue.job("j"), what, sent=before.sent, succeeded=1, failed=1)
        same(held_by(queue, "j"), held, "passages the job holds after reopening")
        same(list(queue.costs()), costs, "costs after reopening")
        reasons = [failure.reason for failure in queue.given_up()]
        same(reasons, ["too long"], "reasons of failures after reopening")


@Check
def identity_and_checkpoints_outlive_the_process(open_store: OpenStore) -> None:
    """Opened again, the store has the same identity and the same checkpoints."""

    def seven(before: str | None) -> str:
        return "7"

    with closing(open_store(SPACE)) as store:
        checkpoints = checkpoints_of(store)
        with checkpoints.advancing("a", seven):
            put(store, item("1", "one"))
        identity = checkpoints.identity
    with closing(open_store(SPACE)) as store:
        again = checkpoints_of(store)
        same(again.identity, identity, "the identity after reopening")
        same(again.checkpoint("a"), "7", "the checkpoint after reopening")


@Check
def another_space_is_refused(open_store: OpenStore) -> None:
    """Opening a store with the space of another embedder raises SpaceMismatch, which names both
    spaces, and leaves the store as it is.
    """
    others = [
        Space("another", SPACE.dimensions, settings=SPACE.settings),
        Space(SPACE.model, SPACE.dimensions + 1, settings=SPACE.settings),
        Space(SPACE.model, SPACE.dimensions, revision="2", settings=SPACE.settings),
        Space(SPACE.model, SPACE.dimensions, task="query", settings=SPACE.settings),
        Space(SPACE.model, SPACE.dimensions, settings={"made": "by machine"}),
    ]
    with closing(open_store(SPACE)) as store:
        put(store, item("1", "text"))
    for other in others:
        with raises(SpaceMismatch, f"opening with {other}"):
            open_store(other).close()
        try:
            open_store(other).close()
        except SpaceMismatch as error:
            for space in (other, SPACE):
                names_it = str(space) in str(error)
                expect(names_it, f"The error must name {space}. Its message is: {error}")
    with closing(open_store(SPACE)) as store:
        same(store.stats().documents, 1, "documents after the errors")


@Check
def tenancy_is_remembered(open_store: OpenStore) -> None:
    """A multi-tenant store stays multi-tenant. Opening it without multi_tenant raises an error, or
    gives a store that still requires a tenant.
    """
    with closing(open_store(SPACE, multi_tenant=True)) as store:
        put(store, item(Ref("notes", "1", "acme"), "text"))
    try:
        with closing(open_store(SPACE)) as store:
            same(store.multi_tenant, True, "multi_tenant after reopening without multi_tenant=True")
    except SemanticCoreError as error:
        expect(str(error), "The error of opening without multi_tenant=True has no message.")
    with closing(open_store(SPACE, multi_tenant=True)) as store:
        total = store.documents(Scope(tenant="acme")).total
        same(total, 1, "documents of the tenant after reopening")
