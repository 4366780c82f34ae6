"""Checks of primary keys of every kind: text, several columns, UUIDs, and keys that change.

Tested by tests/orm/test_adapter_kit.py and tests/orm/test_adapter_kit_bites.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from semantic_core.testing.adapters.harness import Capability
from semantic_core.testing.adapters.kit import Bench, scenario
from semantic_core.testing.check import same

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
"""Text keys that look like numbers, patterns, syntax or other keys."""
HALLS = (("1", 2), ("2", 1), ("1", 12), ("11", 2), ('a,"b', 1), ("a", 1), ("\u00e9", 1))
"""Composite keys that look alike when their parts are joined or swapped."""
PARCELS = (
    UUID(int=1),
    UUID(int=2**64),
    UUID(int=2**128 - 1),
    UUID(int=0xABCDEF),
)
"""UUID keys."""


def pages(bench: Bench) -> dict[str, str]:
    """Create a page for each of SLUGS; returns their texts by key."""
    texts: dict[str, str] = {}
    for slug in SLUGS:
        texts[slug] = f"body of {slug}"
        bench.create("page", slug=slug, body=texts[slug])
    return texts


def seats(bench: Bench) -> dict[tuple[str, int], str]:
    """Create a seat for each of HALLS; returns their labels by key."""
    labels: dict[tuple[str, int], str] = {}
    for hall, number in HALLS:
        labels[hall, number] = f"seat {number} of {hall}"
        bench.create("seat", hall=hall, number=number, label=labels[hall, number])
    return labels


def parcels(bench: Bench) -> dict[str, str]:
    """Create a parcel for each of PARCELS; returns their texts by key."""
    texts: dict[str, str] = {}
    for number, id in enumerate(PARCELS):
        texts[str(id)] = f"parcel {number}"
        bench.create("parcel", id=id, content=texts[str(id)])
    return texts


def labels_of(rows: Iterable[Any]) -> dict[tuple[str, int], str]:
    """The labels of these seats by key."""
    return {(row.hall, row.number): row.label for row in rows}


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
    """Text keys that look like numbers, patterns or syntax are different keys, and search gives
    the rows with exactly these keys.
    """
    index = bench.index("page")
    texts = pages(bench)
    same(bench.settled(index), texts, "the index")
    found = [row.slug for row in index.search("body", limit=50)]
    same(sorted(found), sorted(SLUGS), "keys of the rows that search gives")
    bench.update("page", "1", body="changed")
    bench.delete("page", "01")
    texts["1"] = "changed"
    del texts["01"]
    same(bench.settled(index), texts, "the index after an update and a deletion")


@scenario(Capability.COMPOSITE_KEY)
def a_composite_key_is_one_address(bench: Bench) -> None:
    """Rows with several key columns are distinguished, changed, found and removed. The order of the
    columns matters.
    """
    index = bench.index("seat")
    labels = seats(bench)
    texts = bench.settled(index)
    same(sorted(texts.values()), sorted(labels.values()), "texts in the index")
    found = index.search("seat", limit=50)
    same(len(found), len(HALLS), "number of rows that search gives")
    same(labels_of(found), labels, "rows that search gives, by key")
    bench.update("seat", ("1", 2), label="changed")
    bench.delete("seat", ("2", 1))
    labels["1", 2] = "changed"
    del labels["2", 1]
    left = bench.settled(index).values()
    same(sorted(left), sorted(labels.values()), "texts after an update and a deletion")


@scenario(Capability.COMPOSITE_KEY, Capability.KEY_CHANGE)
def a_part_of_a_composite_key_may_change(bench: Bench) -> None:
    """A row whose composite key changes in one column is one document, under its new key."""
    index = bench.index("seat")
    bench.create("seat", hall="A", number=1, label="first")
    bench.create("seat", hall="A", number=2, label="second")
    bench.settle(index)
    bench.sql("UPDATE kit_seat SET hall = 'B' WHERE number = 1")
    texts = bench.settled(index).values()
    same(sorted(texts), ["first", "second"], "texts in the index")
    found = index.search("first second")
    same(len(found), 2, "number of rows that search gives")
    wanted = {("B", 1): "first", ("A", 2): "second"}
    same(labels_of(found), wanted, "rows that search gives, by key")


@scenario(Capability.UUID_KEY)
def a_uuid_is_a_key(bench: Bench) -> None:
    """Rows whose key is a UUID are indexed under its usual text, found, changed and removed."""
    index = bench.index("parcel")
    texts = parcels(bench)
    same(bench.settled(index), texts, "the index")
    rows = index.search("parcel", limit=10)
    found = {str(UUID(str(row.id))): row.content for row in rows}
    same(found, texts, "rows that search gives, by key")
    bench.update("parcel", PARCELS[0], content="changed")
    bench.delete("parcel", PARCELS[1])
    texts[str(PARCELS[0])] = "changed"
    del texts[str(PARCELS[1])]
    same(bench.settled(index), texts, "the index after an update and a deletion")


@scenario()
def a_row_says_its_key_as_its_document_has_it(bench: Bench) -> None:
    """`key_of` of an instance is the key of its document."""
    index = bench.index()
    instance = bench.create("article", id=41, title="a", content="b")
    bench.settle(index)
    same([index.key_of(instance)], list(bench.held(index)), "key_of, and the keys in the index")
