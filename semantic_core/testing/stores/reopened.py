"""What a store that outlives its process still knows when it is opened again."""

from __future__ import annotations

from contextlib import closing

from semantic_core._files import files_of
from semantic_core.errors import SemanticCoreError, SpaceMismatch
from semantic_core.testing.check import Check, expect, raises, same, skip
from semantic_core.testing.stores.batches import RATE, held_by, ledger_of, sent, vectors_of
from semantic_core.testing.stores.checkpoints import checkpoints_of
from semantic_core.testing.stores.samples import (
    SPACE,
    OpenStore,
    contents,
    fingerprint_of,
    item,
    put,
)
from semantic_core.types import Ref, Scope, Space


@Check
def everything_is_there_after_reopening(open_store: OpenStore) -> None:
    """Documents, chunks, vectors, words, queue, times and stamps outlive `close`."""
    items = [
        item("1", "first zorbak", "its tail", title="Title", metadata={"n": 1, "f": 1.0}),
        item("2", "waiting", vectors=False),
    ]
    with closing(open_store(SPACE)) as store:
        put(store, *items, stamps={Ref("notes", "1"): 5, Ref("notes", "2"): 5})
        store.remove([Ref("notes", "3")], stamps={Ref("notes", "3"): 5})
        before = contents(store, *items)
    with closing(open_store(SPACE)) as store:
        same(contents(store, *items), before, "everything after reopening")
        late = [item(key, "late text") for key in ("1", "3")]
        same(
            put(store, *late, stamps={each.ref: 4 for each in late}),
            ["stale", "stale"],
            "outcomes of older stamps",
        )
        same(
            put(store, *items),
            ["unchanged", "unchanged"],
            "outcome of the same write after reopening",
        )


@Check
def no_key_of_what_was_removed_stays(open_store: OpenStore) -> None:
    """The key of a removed document, which may be a person's address, is in none of the store's
    files once it was compacted and closed; that it was removed with a stamp is known nevertheless.
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
    held = b"".join(file.read_bytes() for file in files if file.exists())
    expect(gone.key.encode() not in held, "the key of a removed document is in the store's files.")
    with closing(open_store(SPACE)) as store:
        outcomes = [put(store, item(gone, "again"), stamps={gone: stamp}) for stamp in (6, 8)]
        same(outcomes, [["stale"], ["added"]], "outcomes of an older and a newer stamp")


@Check
def jobs_outlive_the_process(open_store: OpenStore) -> None:
    """The ledger, what jobs hold and why passages were given up outlive `close`."""
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        put(store, item("1", "one", "two", "three", vectors=False))
        before = sent(queue, "j")
        queue.settle("j", vectors_of("one"), {fingerprint_of("two"): "too long"}, RATE, 1.0)
        held = held_by(queue, "j")
        costs = list(queue.costs())
    with closing(open_store(SPACE)) as store:
        queue = ledger_of(store)
        now = ledger_of(store).job("j")
        same(
            (now and now.sent, now and now.succeeded, now and now.failed),
            (before.sent, 1, 1),
            "the job",
        )
        same(
            (held_by(queue, "j"), list(queue.costs())),
            (held, costs),
            "what it holds, and what it cost",
        )
        same([one.reason for one in queue.given_up()], ["too long"], "why a passage was given up")


@Check
def identity_and_checkpoints_outlive_the_process(open_store: OpenStore) -> None:
    """Opened again it is the same index, as far as it was."""
    with closing(open_store(SPACE)) as store:
        kept = checkpoints_of(store)
        with kept.advancing("a", lambda there: "7"):
            put(store, item("1", "one"))
        identity = kept.identity
    with closing(open_store(SPACE)) as store:
        again = checkpoints_of(store)
        same(
            (again.identity, again.checkpoint("a")),
            (identity, "7"),
            "identity and checkpoint after reopening",
        )


@Check
def another_space_is_refused(open_store: OpenStore) -> None:
    """A store opened with another embedder's space raises SpaceMismatch naming both,
    and keeps what it has.
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
        except SpaceMismatch as refusal:
            for named in (other, SPACE):
                expect(str(named) in str(refusal), f"The refusal must name {named}, got: {refusal}")
    with closing(open_store(SPACE)) as store:
        same(store.stats().documents, 1, "documents after the refusals")


@Check
def tenancy_is_remembered(open_store: OpenStore) -> None:
    """A store made for tenants stays so: opened without saying so it is refused,
    or still wants a tenant.
    """
    with closing(open_store(SPACE, multi_tenant=True)) as store:
        put(store, item(Ref("notes", "1", "acme"), "text"))
    try:
        with closing(open_store(SPACE)) as store:
            same(store.multi_tenant, True, "multi_tenant after reopening without saying so")
    except SemanticCoreError as refusal:
        expect(str(refusal), "A refusal carries a message.")
    with closing(open_store(SPACE, multi_tenant=True)) as store:
        same(
            store.documents(Scope(tenant="acme")).total,
            1,
            "documents of the tenant after reopening",
        )
