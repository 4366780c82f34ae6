"""Which index a store is, and how far it has followed each source:
written with the documents, or not at all.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any

from semantic_core.errors import SemanticCoreError
from semantic_core.protocols import Checkpoints
from semantic_core.testing.check import Check, expect, raises, same, skip
from semantic_core.testing.stores.samples import SPACE, OpenStore, item, put
from semantic_core.testing.stores.writes import BAD_VECTORS
from semantic_core.types import Ref


def checkpoints_of(store: Any) -> Checkpoints:
    """The store as one that keeps checkpoints; skips one that keeps none."""
    return (
        store
        if isinstance(store, Checkpoints)
        else skip("This store keeps no checkpoints (it is no Checkpoints).")
    )


def counted(there: str | None) -> str:
    """One more than a checkpoint said."""
    return str(int(there or 0) + 1)


@Check
def a_write_advances_its_checkpoint(open_store: OpenStore) -> None:
    """Within ``advancing``, each `replace` and `remove` updates the checkpoint; others,
    and writes after it, do not.
    """
    with closing(open_store(SPACE)) as store:
        kept = checkpoints_of(store)
        same(
            (kept.checkpoint("a"), dict(kept.checkpoints())),
            (None, {}),
            "checkpoints of a new store",
        )
        with kept.advancing("a", counted):
            put(store, item("1", "one"))
            same(kept.checkpoint("a"), "1", "the checkpoint after a write")
            with kept.advancing("b", counted):
                store.remove([Ref("notes", "1")])
            put(store, item("2", "two"))
            put(store, item("2", "two"))
        put(store, item("3", "three"))
        same(dict(kept.checkpoints()), {"a": "4", "b": "1"}, "checkpoints in the end")


@Check
def a_write_that_fails_advances_nothing(open_store: OpenStore) -> None:
    """A write that raises leaves the checkpoint as it was, like everything else."""
    with closing(open_store(SPACE)) as store:
        kept = checkpoints_of(store)
        with kept.advancing("a", counted):
            put(store, item("1", "one"))
            with raises(SemanticCoreError, "a write of a bad vector"):
                put(store, item("2", "two", vectors=[BAD_VECTORS["of zeros"]]))
        same(kept.checkpoint("a"), "1", "the checkpoint")


@Check
def a_checkpoint_is_changed_in_one_step(open_store: OpenStore) -> None:
    """`update_checkpoint` gives the new value; None removes it;
    an error of the change leaves it as it was.
    """

    def fail(there: str | None) -> str | None:
        raise ValueError(there)

    with closing(open_store(SPACE)) as store:
        kept = checkpoints_of(store)
        same(kept.update_checkpoint("a", counted), "1", "the new checkpoint")
        same(kept.update_checkpoint("a", counted), "2", "the next one")
        try:
            kept.update_checkpoint("a", fail)
        except ValueError:
            pass
        else:
            raise AssertionError("wanted the error of the change to come through.")
        same(kept.checkpoint("a"), "2", "the checkpoint after a change that failed")
        same(
            kept.update_checkpoint("a", lambda there: None),
            None,
            "what is left of one that was removed",
        )
        same(dict(kept.checkpoints()), {}, "all checkpoints")


@Check
def an_index_knows_which_one_it_is(open_store: OpenStore) -> None:
    """The identity stays while documents come and go; two stores have two;
    a renewed one is another.
    """
    with closing(open_store(SPACE)) as store, closing(open_store(SPACE, name="another")) as other:
        kept = checkpoints_of(store)
        first = kept.identity
        put(store, item("1", "one"))
        same(kept.identity, first, "the identity after a write")
        expect(
            first and first != checkpoints_of(other).identity,
            "identity: wanted two stores to have two.",
        )
        renewed = kept.renew_identity()
        same(kept.identity, renewed, "the identity after it was renewed")
        expect(renewed != first, "renew_identity: wanted another identity.")
        same(dict(kept.checkpoints()), {}, "checkpoints; the identity is none")
