"""Keys of every kind: text, several columns, UUIDs; and keys that change."""

from __future__ import annotations

from uuid import UUID

from semantic_core.testing.adapters.harness import Capability
from semantic_core.testing.adapters.kit import Bench, scenario
from semantic_core.testing.check import expect, same

SLUGS = (
    "1",
    "01",
    "1.0",
    "a/b?c=d&e",
    "50%_off",
    "it's",
    'say "x"',
    "back\\slash",
    '["1"]',
    "\u00e9t\u00e9",
    "-",
    "x y",
    "d41d8cd98f00b204e9800998ecf8427e",
    "d41d8cd9-8f00-b204-e980-0998ecf8427e",
)
"""Keys that look like numbers, patterns, syntax or other keys."""
HALLS = (("1", 2), ("2", 1), ("1", 12), ("11", 2), ('a,"b', 1), ("a", 1), ("\u00e9", 1))
"""Composite keys that look alike when their parts are joined or swapped."""
PARCELS = tuple(UUID(int=number) for number in (1, 2**64, 2**128 - 1, 0xABCDEF))


@scenario(Capability.KEY_CHANGE)
def a_document_goes_with_its_key(bench: Bench) -> None:
    """A row whose key changes is found under the new key, and not under the old one."""
    index = bench.index()
    bench.articles(1, 2)
    bench.settle(index)
    bench.sql("UPDATE kit_article SET id = 7 WHERE id = 1")
    same(bench.settled(index), {"7": "t1|text 1", "2": "t2|text 2"}, "the index")
    bench.articles(1, content="another one")
    same(bench.settled(index)["1"], "t1|another one", "the row that took the old key")


@scenario(Capability.TEXT_KEY)
def text_keys_are_compared_to_the_letter(bench: Bench) -> None:
    """Keys that look like numbers, patterns or syntax are each their own;
    rows come back by them.
    """
    index = bench.index("page")
    for slug in SLUGS:
        bench.create("page", slug=slug, body=f"body of {slug}")
    same(bench.settled(index), {slug: f"body of {slug}" for slug in SLUGS}, "the index")
    found = index.search("body", limit=50)
    same(sorted(row.slug for row in found), sorted(SLUGS), "keys of the rows that are found")
    bench.update("page", "1", body="changed")
    bench.delete("page", "01")
    left = {slug: f"body of {slug}" for slug in SLUGS if slug != "01"}
    same(bench.settled(index), {**left, "1": "changed"}, "the index after one changed and one went")


@scenario(Capability.COMPOSITE_KEY)
def a_composite_key_is_one_address(bench: Bench) -> None:
    """Rows with several key columns are told apart, changed, found and removed;
    the order of the columns matters.
    """
    index = bench.index("seat")
    for hall, number in HALLS:
        bench.create("seat", hall=hall, number=number, label=f"seat {number} of {hall}")
    held = bench.settled(index)
    same(
        sorted(held.values()),
        sorted(f"seat {number} of {hall}" for hall, number in HALLS),
        "texts in the index",
    )
    found = index.search("seat", limit=50)
    same(
        sorted((row.hall, row.number) for row in found),
        sorted(HALLS),
        "keys of the rows that are found",
    )
    expect(
        all(row.label == f"seat {row.number} of {row.hall}" for row in found),
        "a row came back as another.",
    )
    bench.update("seat", ("1", 2), label="changed")
    bench.delete("seat", ("2", 1))
    wanted = ["changed", *(f"seat {number} of {hall}" for hall, number in HALLS[2:])]
    same(
        sorted(bench.settled(index).values()),
        sorted(wanted),
        "texts after one changed and one went",
    )


@scenario(Capability.COMPOSITE_KEY, Capability.KEY_CHANGE)
def a_part_of_a_composite_key_may_change(bench: Bench) -> None:
    """A row that moves to another hall is one document, under its new key."""
    index = bench.index("seat")
    bench.create("seat", hall="A", number=1, label="first")
    bench.create("seat", hall="A", number=2, label="second")
    bench.settle(index)
    bench.sql("UPDATE kit_seat SET hall = 'B' WHERE number = 1")
    same(sorted(bench.settled(index).values()), ["first", "second"], "texts in the index")
    same(
        sorted((row.hall, row.number) for row in index.search("first second")),
        [("A", 2), ("B", 1)],
        "keys found",
    )


@scenario(Capability.UUID_KEY)
def a_uuid_is_a_key(bench: Bench) -> None:
    """Rows whose key is a UUID are indexed under its usual text, found, changed and removed."""
    index = bench.index("parcel")
    for number, id in enumerate(PARCELS):
        bench.create("parcel", id=id, content=f"parcel {number}")
    same(
        bench.settled(index),
        {str(id): f"parcel {number}" for number, id in enumerate(PARCELS)},
        "the index",
    )
    found = {UUID(str(row.id)): row.content for row in index.search("parcel", limit=10)}
    same(
        found, {id: f"parcel {number}" for number, id in enumerate(PARCELS)}, "rows that are found"
    )
    bench.update("parcel", PARCELS[0], content="changed")
    bench.delete("parcel", PARCELS[1])
    wanted = {str(PARCELS[0]): "changed", str(PARCELS[2]): "parcel 2", str(PARCELS[3]): "parcel 3"}
    same(bench.settled(index), wanted, "the index after one changed and one went")


@scenario()
def a_row_says_its_key_as_its_document_has_it(bench: Bench) -> None:
    """`key_of` of an instance is the key of its document."""
    index = bench.index()
    instance = bench.create("article", id=41, title="a", content="b")
    bench.settle(index)
    same([index.key_of(instance)], list(bench.held(index)), "key_of, and the key in the index")
