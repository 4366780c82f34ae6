"""Rows of several tenants: each in the index of its own, wherever they go,
and never to be seen by another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from semantic_core.errors import TenantRequired
from semantic_core.orm import BaseORMAdapter
from semantic_core.testing.adapters.harness import Capability
from semantic_core.testing.adapters.keys import PARCELS
from semantic_core.testing.adapters.kit import Bench, scenario
from semantic_core.testing.check import examples, raises, same

FUZZ = 12
"""Random histories of rows that change hands."""
OWNERS = ("acme", "beta", "50%_off", "\u00fcn\u00efc\u00f6de gmbh", "Acme Inc.")
ALIKE = (
    "d41d8cd98f00b204e9800998ecf8427e",
    "d41d8cd9-8f00-b204-e980-0998ecf8427e",
    "{d41d8cd9-8f00-b204-e980-0998ecf8427e}",
    "urn:uuid:d41d8cd9-8f00-b204-e980-0998ecf8427e",
)
CANARIES = {owner: f"canary{number}" for number, owner in enumerate(OWNERS)}
"""A word in every row of a tenant, and in no other's."""

Tenant = str | Callable[[Any], object]
BY_CALLABLE: Tenant = lambda row: row.owner  # noqa: E731 - one of two values of one parameter


def kept_apart(bench: Bench, index: BaseORMAdapter) -> None:
    """The index of each tenant holds its rows, and only they are found in it,
    also by another tenant's words.
    """
    bench.settle(index)
    rows = bench.sql("SELECT id, owner, body FROM kit_note")
    for owner in OWNERS:
        wanted = {str(id): body for id, held_by, body in rows if held_by == owner}
        same(bench.texts(index, owner), wanted, f"the index of {owner}")
        for canary in CANARIES.values():
            found = {str(row.id): row.owner for row in index.search(canary, tenant=owner, limit=50)}
            same(found, dict.fromkeys(found, owner), f"owners of what {owner} finds for {canary}")


def tenants(bench: Bench, tenant: Tenant) -> None:
    index = bench.index("note", tenant=tenant)
    for number, owner in enumerate(OWNERS):
        bench.create("note", id=number, owner=owner, body=f"the plan {CANARIES[owner]}")
    kept_apart(bench, index)
    same(
        [row.owner for row in index.search("plan", tenant="beta")],
        ["beta"],
        "owners of what beta finds",
    )
    same(len(index.search("plan", tenant="nobody")), 0, "rows a tenant without rows finds")
    with raises(TenantRequired, "a search without a tenant"):
        index.search("plan")


@scenario()
def tenants_are_kept_apart(bench: Bench) -> None:
    """With tenant="field" each row is in the index of whom the field names,
    and a search needs to say whose.
    """
    tenants(bench, "owner")


@scenario()
def tenants_of_a_callable_are_kept_apart(bench: Bench) -> None:
    """With a callable likewise."""
    tenants(bench, BY_CALLABLE)


@scenario()
def tenants_are_compared_to_the_letter(bench: Bench) -> None:
    """Names that only look alike are of two tenants, also those that could be spellings of one
    UUID: the column holds text.
    """
    index = bench.index("note", tenant="owner")
    for number, owner in enumerate(ALIKE):
        bench.create("note", id=number, owner=owner, body="the plan")
    bench.settle(index)
    for owner in ALIKE:
        found = [row.owner for row in index.search("plan", tenant=owner)]
        same(found, [owner], f"owners of what {owner} finds")
    bench.delete("note", 0)
    held = [len(bench.settled(index, owner)) for owner in ALIKE]
    same(held, [0] + [1] * (len(ALIKE) - 1), "documents of each after the first one's row went")
    same(index.verify().sound, True, "whether verify finds it sound")


@scenario(Capability.UUID_KEY)
def a_uuid_tenant_is_the_same_in_every_spelling(bench: Bench) -> None:
    """A tenant that a column of UUIDs names is known as a UUID, as its usual text and without
    dashes, however the database writes it.
    """
    index = bench.index("parcel", tenant="id")
    for number, id in enumerate(PARCELS):
        bench.create("parcel", id=id, content=f"parcel {number}")
    bench.settle(index)
    for number, id in enumerate(PARCELS):
        spellings: tuple[Any, ...] = (id, str(id), id.hex, str(id).upper())
        for spelled in spellings:
            found = [row.content for row in index.search("parcel", tenant=spelled)]
            same(found, [f"parcel {number}"], f"what {spelled!r} finds")
    bench.update("parcel", PARCELS[0], content="changed")
    bench.delete("parcel", PARCELS[1])
    held = [list(bench.settled(index, str(id)).values()) for id in PARCELS[:3]]
    same(held, [["changed"], [], ["parcel 2"]], "texts of each after one changed and one went")
    same(index.verify().sound, True, "whether verify finds it sound")


def moves(bench: Bench, tenant: Tenant) -> None:
    index = bench.index("note", tenant=tenant)
    bench.create("note", id=1, owner="acme", body="one")
    bench.create("note", id=2, owner="acme", body="two")
    bench.settle(index)
    bench.update("note", 1, owner="beta")
    same(
        (bench.settled(index, "acme"), bench.texts(index, "beta")),
        ({"2": "two"}, {"1": "one"}),
        "acme and beta",
    )
    bench.sql("UPDATE kit_note SET owner = 'beta' WHERE id = 2")
    bench.update("note", 1, owner="acme")
    bench.update("note", 1, owner="beta", body="ended here")
    both = {"1": "ended here", "2": "two"}
    same(
        (bench.settled(index, "acme"), bench.texts(index, "beta")),
        ({}, both),
        "acme and beta after all went to beta",
    )
    with bench.rolled_back():
        bench.update("note", 1, owner="acme")
    bench.delete("note", 1)
    same(
        (bench.settled(index, "acme"), bench.texts(index, "beta")),
        ({}, {"2": "two"}),
        "both after one was deleted",
    )
    same(bench.tickets(), 0, "tickets that are left")


@scenario()
def a_row_that_changes_hands_leaves_the_old_ones(bench: Bench) -> None:
    """A row whose owner changes is in the new tenant's index, and in nobody else's,
    by whatever way it went.
    """
    moves(bench, "owner")


@scenario()
def a_row_that_changes_hands_by_a_callable_leaves_the_old_ones(bench: Bench) -> None:
    """With a callable likewise, though nothing but the row itself tells whose it was."""
    moves(bench, BY_CALLABLE)


def nobodys(bench: Bench, tenant: Tenant) -> None:
    index = bench.index("note", tenant=tenant)
    bench.create("note", id=1, owner=None, body="one")
    bench.create("note", id=2, owner="acme", body="two")
    same(bench.settled(index, "acme"), {"2": "two"}, "the index of acme")
    same(index.core.stats(all_tenants=True).documents, 1, "documents of all tenants")
    bench.update("note", 2, owner=None)
    bench.update("note", 1, owner="acme")
    same(
        bench.settled(index, "acme"), {"1": "one"}, "the index of acme after one came and one went"
    )
    same(index.core.stats(all_tenants=True).documents, 1, "documents of all tenants after that")
    same(bench.tickets(), 0, "tickets that are left")


@scenario()
def a_row_of_nobody_is_in_no_index(bench: Bench) -> None:
    """A row whose owner is NULL is not indexed; it is when it gets one,
    and leaves when it loses it.
    """
    nobodys(bench, "owner")


@scenario()
def a_row_of_nobody_by_a_callable_is_in_no_index(bench: Bench) -> None:
    """With a callable likewise."""
    nobodys(bench, BY_CALLABLE)


@scenario()
def maintenance_covers_every_tenant(bench: Bench) -> None:
    """verify and repair look at the rows of all tenants; reindex brings all of them back."""
    index = bench.index("note", tenant="owner")
    for number, owner in enumerate(OWNERS):
        bench.create("note", id=number, owner=owner, body=f"the plan {CANARIES[owner]}")
    bench.settle(index)
    same(index.verify().sound, True, "whether verify finds it sound")
    held = bench.held(index, "acme")["0"]
    index.core.tenant("acme").remove(held.ref)
    same(
        (index.verify().missing, index.verify().rows),
        (1, len(OWNERS)),
        "missing documents, and rows",
    )
    index.repair()
    kept_apart(bench, index)
    for owner in OWNERS:
        index.core.tenant(owner).remove(
            *(document.ref for document in bench.held(index, owner).values())
        )
    index.reindex(batch=2)
    kept_apart(bench, index)


Step = tuple[str, int, int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["put", "move", "delete", "sync", "one"]),
        st.integers(1, 4),
        st.integers(0, len(OWNERS) - 1),
    ),
    min_size=1,
    max_size=14,
)


def fuzz(bench: Bench, tenant: Tenant) -> None:
    index = bench.index("note", tenant=tenant)

    @examples(FUZZ)
    @given(STEPS)
    def no_canary_sings_elsewhere(steps: list[Step]) -> None:
        bench.sql("DELETE FROM kit_note")
        there: set[int] = set()
        for what, id, number in steps:
            owner = OWNERS[number]
            values = {"owner": owner, "body": f"note {id} {CANARIES[owner]}"}
            if what == "sync":
                index.sync()
            elif what == "one":
                index.sync(1)
            elif what == "delete" and id in there:
                bench.delete("note", id)
                there.discard(id)
            elif what != "delete" and id in there:
                bench.update("note", id, **values)
            elif what == "put":
                bench.create("note", id=id, **values)
                there.add(id)
        kept_apart(bench, index)

    no_canary_sings_elsewhere()


@scenario()
def no_tenant_sees_anothers_canary(bench: Bench) -> None:
    """Random histories of rows that come, go and change hands, worked off in between:
    none is ever seen elsewhere.
    """
    fuzz(bench, "owner")


@scenario()
def no_tenant_of_a_callable_sees_anothers_canary(bench: Bench) -> None:
    """With a callable likewise."""
    fuzz(bench, BY_CALLABLE)
