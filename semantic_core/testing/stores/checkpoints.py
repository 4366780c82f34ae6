"""Checks of a store's identity and checkpoints: which index it is, and how far it has followed
each source. A checkpoint is written together with the documents, or not at all.

Tested by tests/contracts/test_contract.py and tests/contracts/test_store_bites.py.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any

from semantic_core.errors import SemanticCoreError
from semantic_core.protocols import Checkpoints
from semantic_core.testing.check import Check, expect, fail, raises, same, skip
from semantic_core.testing.stores.samples import SPACE, OpenStore, item, put
from semantic_core.testing.stores.writes import BAD_VECTORS
from semantic_core.types import Ref


def checkpoints_of(store: Any) -> Checkpoints:
    """The store as a `Checkpoints`; skips the rule for a store without them."""
    if isinstance(store, Checkpoints):
        return store
    return skip("This store has no checkpoints (it is no Checkpoints).")


def counted(before: str | None) -> str:
    """A change of a checkpoint: one more than before; "1" if there was none."""
    return str(int(before or 0) + 1)


def removed(before: str | None) -> str | None:
    """A change that removes a checkpoint."""
    return None


@Check
def a_write_advances_its_checkpoint(open_store: OpenStore) -> None:
    """Within ``advancing``, each `replace` and `remove` updates the checkpoint of that source, and
    of no other. Later writes do not update it.
    """
    with closing(open_store(SPACE)) as store:
        checkpoints = checkpoints_of(store)
        same(checkpoints.checkpoint("a"), None, "a checkpoint of a new store")
        same(dict(checkpoints.checkpoints()), {}, "all checkpoints of a new store")
        with checkpoints.advancing("a", counted):
            put(store, item("1", "one"))
            same(checkpoints.checkpoint("a"), "1", "the checkpoint after a write")
            with checkpoints.advancing("b", counted):
                store.remove([Ref("notes", "1")])
            put(store, item("2", "two"))
            put(store, item("2", "two"))
        put(store, item("3", "three"))
        same(dict(checkpoints.checkpoints()), {"a": "4", "b": "1"}, "all checkpoints in the end")


@Check
def a_write_that_fails_advances_nothing(open_store: OpenStore) -> None:
    """A write that raises leaves the checkpoint as it was, like everything else."""
    with closing(open_store(SPACE)) as store:
        checkpoints = checkpoints_of(store)
        with checkpoints.advancing("a", counted):
            put(store, item("1", "one"))
            with raises(SemanticCoreError, "replace with a vector of zeros"):
                put(store, item("2", "two", vectors=[BAD_VECTORS["of zeros"]]))
        same(checkpoints.checkpoint("a"), "1", "the checkpoint after a write that failed")


@Check
def a_checkpoint_is_changed_in_one_step(open_store: OpenStore) -> None:
    """`update_checkpoint` returns the new value. None removes the checkpoint. An error in the
    change is raised, and leaves the checkpoint as it was.
    """

    def broken(before: str | None) -> str | None:
        raise ValueError(before)

    with closing(open_store(SPACE)) as store:
        checkpoints = checkpoints_of(store)
        same(checkpoints.update_checkpoint("a", counted), "1", "update_checkpoint")
        same(checkpoints.update_checkpoint("a", counted), "2", "update_checkpoint again")
        try:
            checkpoints.update_checkpoint("a", broken)
        except ValueError:
            pass
        else:
            fail("update_checkpoint: expected the ValueError of the change, found no error.")
        same(checkpoints.checkpoint("a"), "2", "the checkpoint after a change that failed")
        same(checkpoints.update_checkpoint("a", removed), None, "update_checkpoint with None")
        same(dict(checkpoints.checkpoints()), {}, "all checkpoints after the removal")


@Check
def an_index_knows_which_one_it_is(open_store: OpenStore) -> None:
    """The identity of a store does not change with its documents. Two stores have two identities,
    and `renew_identity` gives a store another one.
    """
    with closing(open_store(SPACE)) as store, closing(open_store(SPACE, name="another")) as other:
        checkpoints = checkpoints_of(store)
        first = checkpoints.identity
        put(store, item("1", "one"))
        same(checkpoints.identity, first, "the identity after a write")
        expect(first, f"identity: expected a text, found {first!r}.")
        others = checkpoints_of(other).identity
        expect(first != others, f"identity: two stores have the same one, {first!r}.")
        renewed = checkpoints.renew_identity()
        same(checkpoints.identity, renewed, "the identity after it was renewed")
        expect(renewed != first, f"renew_identity: the identity is still {first!r}.")
        same(dict(checkpoints.checkpoints()), {}, "all checkpoints, without the identity")
