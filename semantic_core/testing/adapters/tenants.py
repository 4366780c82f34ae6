"""Checks of several tenants: each row is in the index of its tenant, also after it changed hands,
and no other tenant finds it.

Tested by tests/orm/test_adapter_kit.py and tests/orm/test_adapter_kit_bites.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from semantic_core.errors import TenantRequired
from semantic_core.orm import BaseORMAdapter
from semantic_core.testing.adapters.harness import Capability
from semantic_core.testing.adapters.keys import PARCELS, parcels
from semantic_core.testing.adapters.kit import Bench, scenario
from semantic_core.testing.check import examples, raises, same, same_fields
from semantic_core.types import Document, Ref

FUZZ = 12
"""Number of random histories of rows that change hands."""
OWNERS = ("acme", "beta", "50%_off", "\u00fcn\u00efc\u00f6de gmbh", "Acme Inc.")
ALIKE = (
    "d41d8cd98f00b204e9800998ecf8427e",
    "d41d8cd9-8f00-b204-e980-0998ecf8427e",
    "{d41d8cd9-8f00-b204-e980-0998ecf8427e}",
    "urn:uuid:d41d8cd9-8f00-b204-e980-0998ecf8427e",
)
"""Owners whose names could be spellings of one UUID."""
CANARIES = {owner: f"canary{number}" for number, owner in enumerate(OWNERS)}
"""A word that is in every row of a tenant, and in no row of another."""

Tenant = str | Callable[[Any], object]


def owner_of(row: Any) -> object:
    """The tenant of a note, for an index whose tenant is a callable."""
    return row.owner


def notes(bench: Bench) -> None:
    """Create a note for each of OWNERS, with its canary."""
    for number, owner in enumerate(OWNERS):
        bench.create("note", id=number, owner=owner, body=f"the plan {CANARIES[owner]}")


def owners_found(index: BaseORMAdapter, query: str, tenant: str) -> list[str]:
    """The owners of the rows that this tenant finds."""
    return [row.owner for row in index.search(query, tenant=tenant, limit=50)]


def kept_apart(bench: Bench, index: BaseORMAdapter) -> None:
    """Fail unless the index of each tenant has its rows, and each tenant finds only these, also
    with words of another tenant.
    """
    bench.settle(index)
    wanted: dict[str, dict[str, str]] = {owner: {} for owner in OWNERS}
    for id, owner, body in bench.sql("SELECT id, owner, body FROM kit_note"):
        if owner in wanted:
            wanted[owner][str(id)] = body
    for owner, texts in wanted.items():
        same(bench.texts(index, owner), texts, f"the index of {owner}")
        for canary in CANARIES.values():
            others = set(owners_found(index, canary, owner)) - {owner}
            same(others, set(), f"other owners of rows that {owner} finds for {canary}")


def tenants(bench: Bench, tenant: Tenant) -> None:
    """Fail unless tenants are separate in an index whose tenant comes from `tenant`."""
    index = bench.index("note", tenant=tenant)
    notes(bench)
    kept_apart(bench, index)
    same(owners_found(index, "plan", "beta"), ["beta"], "owners of the rows that beta finds")
    nothing = owners_found(index, "plan", "nobody")
    same(nothing, [], "owners of the rows that a tenant without rows finds")
    with raises(TenantRequired, "a search without a tenant"):
        index.search("plan")


@scenario()
def tenants_are_kept_apart(bench: Bench) -> None:
    """With tenant="field" each row is in the index of the tenant that the field names, and a search
    requires a tenant.
    """
    tenants(bench, "owner")


@scenario()
def tenants_of_a_callable_are_kept_apart(bench: Bench) -> None:
    """With a callable as tenant each row is in the index of the tenant that it returns, and a
    search requires a tenant.
    """
    tenants(bench, owner_of)


@scenario()
def tenants_are_compared_to_the_letter(bench: Bench) -> None:
    """Names of tenants that look alike are different tenants. In a column of text this is true of
    several spellings of one UUID too.
    """
    index = bench.index("note", tenant="owner")
    for number, owner in enumerate(ALIKE):
        bench.create("note", id=number, owner=owner, body="the plan")
    bench.settle(index)
    for owner in ALIKE:
        found = owners_found(index, "plan", owner)
        same(found, [owner], f"owners of the rows that {owner} finds")
    bench.delete("note", 0)
    sizes = [len(bench.settled(index, owner)) for owner in ALIKE]
    same(sizes, [0, 1, 1, 1], "number of documents of each tenant after a deletion")
    bench.is_sound(index)


@scenario(Capability.UUID_KEY)
def a_uuid_tenant_is_the_same_in_every_spelling(bench: Bench) -> None:
    """A tenant in a column of UUIDs may be given as a UUID, as its usual text, without dashes or in
    upper case, however the database writes it.
    """
    index = bench.index("parcel", tenant="id")
    texts = parcels(bench)
    bench.settle(index)
    for id in PARCELS:
        spellings: tuple[Any, ...] = (id, str(id), id.hex, str(id).upper())
        for spelled in spellings:
            found = [row.content for row in index.search("parcel", tenant=spelled)]
            same(found, [texts[str(id)]], f"rows that the tenant {spelled!r} finds")
    bench.update("parcel", PARCELS[0], content="changed")
    bench.delete("parcel", PARCELS[1])
    for id, wanted in zip(PARCELS, (["changed"], [], ["parcel 2"]), strict=False):
        left = list(bench.settled(index, str(id)).values())
        same(left, wanted, f"texts of {id} after an update and a deletion")
    bench.is_sound(index)


def moves(bench: Bench, tenant: Tenant) -> None:
    """Fail unless rows that change hands are in the index of their present owner alone."""
    index = bench.index("note", tenant=tenant)

    def both(acme: dict[str, str], beta: dict[str, str], what: str) -> None:
        same(bench.settled(index, "acme"), acme, f"the index of acme {what}")
        same(bench.texts(index, "beta"), beta, f"the index of beta {what}")

    bench.create("note", id=1, owner="acme", body="one")
    bench.create("note", id=2, owner="acme", body="two")
    bench.settle(index)
    bench.update("note", 1, owner="beta")
    both({"2": "two"}, {"1": "one"}, "after one row went to beta")
    bench.sql("UPDATE kit_note SET owner = 'beta' WHERE id = 2")
    bench.update("note", 1, owner="acme")
    bench.update("note", 1, owner="beta", body="ended here")
    both({}, {"1": "ended here", "2": "two"}, "after all rows went to beta")
    with bench.rolled_back():
        bench.update("note", 1, owner="acme")
    bench.delete("note", 1)
    both({}, {"2": "two"}, "after a deletion")
    same(bench.pending_changes(), 0, "pending changes that are left")


@scenario()
def a_row_that_changes_hands_leaves_the_old_ones(bench: Bench) -> None:
    """A row whose owner changes is in the index of the new tenant and in no other, whatever
    statement changed it.
    """
    moves(bench, "owner")


@scenario()
def a_row_that_changes_hands_by_a_callable_leaves_the_old_ones(bench: Bench) -> None:
    """With a callable as tenant, a row whose owner changes is in the index of the new tenant and in
    no other, though no column names the former one.
    """
    moves(bench, owner_of)


def nobodys(bench: Bench, tenant: Tenant) -> None:
    """Fail unless a row without an owner is in no index."""
    index = bench.index("note", tenant=tenant)
    bench.create("note", id=1, owner=None, body="one")
    bench.create("note", id=2, owner="acme", body="two")
    same(bench.settled(index, "acme"), {"2": "two"}, "the index of acme")
    same(index.core.stats(all_tenants=True).documents, 1, "documents of all tenants")
    bench.update("note", 2, owner=None)
    bench.update("note", 1, owner="acme")
    texts = bench.settled(index, "acme")
    same(texts, {"1": "one"}, "the index of acme after two rows changed hands")
    stats = index.core.stats(all_tenants=True)
    same(stats.documents, 1, "documents of all tenants after two rows changed hands")
    same(bench.pending_changes(), 0, "pending changes that are left")


@scenario()
def a_row_of_nobody_is_in_no_index(bench: Bench) -> None:
    """A row whose owner is NULL is not indexed. It enters an index when it gets an owner, and
    leaves it when it loses the owner.
    """
    nobodys(bench, "owner")


@scenario()
def a_row_of_nobody_by_a_callable_is_in_no_index(bench: Bench) -> None:
    """With a callable as tenant, a row for which it returns None is not indexed."""
    nobodys(bench, owner_of)


@scenario()
def maintenance_covers_every_tenant(bench: Bench) -> None:
    """`verify` and `repair` include the rows of all tenants, and documents without a row at any of
    them; `reindex` indexes all rows.
    """
    index = bench.index("note", tenant="owner")
    notes(bench)
    bench.settle(index)
    bench.is_sound(index)
    held = bench.held(index, "acme")["0"]
    index.core.tenant("acme").remove(held.ref)
    collection = index.declaration.collection
    for key in ("0", "88"):  # the row of another tenant, and no row
        index.core.tenant("beta").ingest(Document(Ref(collection, key), "a ghost"))
    same_fields(index.verify(), "verify", missing=1, ghosts=2, rows=len(OWNERS))
    index.repair()
    kept_apart(bench, index)
    for owner in OWNERS:
        index.core.tenant(owner).remove(*bench.refs(index, owner))
    index.reindex(batch=2)
    kept_apart(bench, index)


Step = tuple[str, int, int]
"""What happens, to which note, and the number of its owner."""
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
    """Play random histories, and fail where a tenant finds a row of another."""
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
    """In random histories of rows that are created, deleted and change hands, with syncs in
    between, no tenant finds a row of another.
    """
    fuzz(bench, "owner")


@scenario()
def no_tenant_of_a_callable_sees_anothers_canary(bench: Bench) -> None:
    """With a callable as tenant, no tenant finds a row of another in random histories."""
    fuzz(bench, owner_of)
