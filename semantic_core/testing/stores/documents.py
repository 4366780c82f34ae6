"""Checks of what is read back from a store: documents, chunks, lists and counts, each under its
own address.

Tested by tests/contracts/test_contract.py and tests/contracts/test_store_bites.py.
"""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from random import Random
from typing import Any

import attrs
import numpy as np

from semantic_core._validation import MAX_METADATA_KEY, MAX_NAME
from semantic_core.batch import Rate
from semantic_core.filters import Filter
from semantic_core.protocols import BatchQueue, Checkpoints, TextSearch, TitleSearch
from semantic_core.testing.check import Check, same, same_fields
from semantic_core.testing.stores.samples import (
    EVERYTHING,
    SPACE,
    OpenStore,
    axis,
    chunks_in,
    exact,
    exact_chunks,
    item,
    listed,
    numbered,
    put,
    refs_of,
    vector_of,
)
from semantic_core.testing.strategies import KEYS, NUMBERS, ODD_TEXTS, STRINGS
from semantic_core.types import Chunk, ChunkId, Document, Entry, Ref, Scope

ALIKE = (
    ("a", "5"),
    ("b", "5"),
    ("A", "5"),
    ("a", "05"),
    ("a", "5.0"),
    ("a", "5 "),
    ("a", " 5"),
    ("a", "b/c"),
    ("a/b", "c"),
    ("a", "é"),
    ("a", "e\u0301"),
    ("a", "E\u0301"),
    ("a", "%"),
    ("a", "_"),
    ("a", "x"),
    ("a", "5#0"),
    ("a", "😀"),
)
"""Collections and keys that look alike, or that give the same text when they are joined."""


@Check
def a_document_comes_back_as_it_was(open_store: OpenStore) -> None:
    """`get` gives exactly the document that was written: odd characters, line ends, NUL, an empty
    text, every kind of metadata.
    """
    handed: list[Document] = []
    for number, text in enumerate(ODD_TEXTS):
        handed.append(Document(Ref("odd", str(number)), text, title=text[:40]))
    kinds: dict[str, Any] = {}
    values = [*STRINGS, *NUMBERS, True, False, [], ["a"], ["b", "a", "b", ""]]
    for number, value in enumerate(values):
        kinds[f"{number} {KEYS[number % len(KEYS)]}"] = value
    ref = Ref("odd", "kinds")
    handed.append(
        Document(ref, "kinds", metadata=kinds, media_type="text/markdown", language="pt-BR")
    )
    with closing(open_store(SPACE)) as store:
        store.replace([(document, []) for document in handed])
        for document in handed:
            found = store.get(document.ref)
            same(exact(found), exact(document), f"get of the document {document.ref}")
        same(store.get(Ref("odd", "never")), None, "get of a document that was never written")


@Check
def chunks_come_back_as_they_were(open_store: OpenStore) -> None:
    """`fetch` gives chunks with all their fields, in the order of the ids; it leaves out ids of
    chunks that do not exist.
    """
    ref = Ref("notes", "1")
    metadata = {"n": 1, "f": 1.0, "b": True, "l": ["x"]}
    document = Document(ref, "x = 1  a\x00b\r\n", title="Title", metadata=metadata)
    of_code = {"language": "python", "lines": 1, "whole": True}
    chunks = [
        Chunk(ChunkId(ref, 0), "x = 1", 0, 5, "code", ("Guide", "Größe > 1"), of_code),
        Chunk(ChunkId(ref, 1), "", 6, 6, "table", ("",)),
        Chunk(ChunkId(ref, 2), "a\x00b\r\n", 7, 12, "list"),
    ]
    entries: list[Entry] = []
    for number, chunk in enumerate(chunks):
        entries.append(Entry(chunk, f"passage {number}", f"{number:032x}", axis(0)))
    many = item("many", *numbered("passage", 120))
    with closing(open_store(SPACE)) as store:
        store.replace([(document, entries), many])
        missing = [ChunkId(ref, 9), ChunkId(Ref("notes", "no"), 0)]
        asked = [chunks[2].id, missing[0], many.ids[11], chunks[0].id, missing[1], chunks[1].id]
        wanted = [chunks[2], many.chunks[11], chunks[0], chunks[1]]
        found = chunks_in(store, asked)
        same(exact_chunks(found), exact_chunks(wanted), "fetch: chunks in the order of the ids")
        (first,) = store.fetch([chunks[2].id])
        same(first.title, "Title", "fetch: title of the document")
        same(exact(first.metadata), exact(document.metadata), "fetch: metadata of the document")
        backwards = many.chunks[::-1]
        found = chunks_in(store, many.ids[::-1])
        same(found, backwards, "fetch of 120 chunks, the last first")
        same(store.fetch([]), [], "fetch without ids")


@Check
def addresses_are_compared_exactly(open_store: OpenStore) -> None:
    """Equal keys in two collections are two documents. So are addresses that look alike, or that
    give the same text when collection and key are joined.
    """
    items = [item(Ref(*pair), f"passage of {pair}") for pair in ALIKE]
    refs = [each.ref for each in items]
    with closing(open_store(SPACE)) as store:
        same(put(store, *items), ["added"] * len(items), "outcomes of replace")
        for number, each in enumerate(items):
            ref = each.ref
            same(exact(store.get(ref)), exact(each.document), f"get of {ref!r}")
            same(chunks_in(store, each.ids), each.chunks, f"fetch of the chunk of {ref!r}")
            put(store, item(ref, f"update of {ref!r}"))
            chunks = store.stats().chunks
            same(chunks, len(items) - number, f"number of chunks after an update of {ref!r}")
            same(store.remove([ref]), 1, f"documents removed with {ref!r}")
            left = sorted(refs[number + 1 :])
            same(listed(store), left, f"documents left after the removal of {ref!r}")


@Check
def names_may_be_as_long_as_is_allowed(open_store: OpenStore) -> None:
    """Tenant, collection, key, title, words and metadata of the greatest length are stored and
    found, also in letters that take four bytes.
    """
    random = Random(11)

    def letters(count: int) -> str:
        return "".join(chr(random.randrange(0x20000, 0x2A000)) for _ in range(count))

    tenant = letters(MAX_NAME)
    ref = Ref(letters(MAX_NAME), letters(MAX_NAME), tenant)
    key = letters(MAX_METADATA_KEY)
    value = letters(3_000)
    metadata = {key: value, "list": [letters(1_000), letters(1_000)]}
    title = " ".join(letters(60) for _ in range(20))
    long = item(ref, f"{title} {letters(2_000)} zorbak", title=title, metadata=metadata)
    with closing(open_store(SPACE, multi_tenant=True)) as store:
        same(put(store, long), ["added"], "outcome of replace")
        same(exact(store.get(ref)), exact(long.document), "get")
        here = Scope(
            tenant, collections=(ref.collection,), keys={ref.collection: frozenset({ref.key})}
        )
        for where in ({key: value}, {key: {"gte": value}}, {"list": metadata["list"][1]}):
            same(listed(store, attrs.evolve(here, filter=Filter.parse(where))), [ref], "a filter")
        other = {key: f"{value}!"}
        same(listed(store, attrs.evolve(here, filter=Filter.parse(other))), [], "another value")
        if isinstance(store, TextSearch):
            same([id.ref for id in store.words("zorbak", 5, here).ids], [ref], "words")
        if isinstance(store, TitleSearch):
            same([id.ref for id in store.titled(title, 5, here).ids], [ref], "titled")
        if isinstance(store, Checkpoints):
            source = letters(2_000)
            store.update_checkpoint(source, lambda _: "there")
            same(store.checkpoint(source), "there", "a checkpoint of a long name")
        if isinstance(store, BatchQueue):
            rate = Rate("2026-01-01", letters(MAX_NAME), "batch", 1.0, 1, "USD")
            store.charge(rate, {(tenant, ref.collection): (1, 2)})
            store.charge(rate, {(tenant, ref.collection): (1, 2)})
            same([cost.tokens for cost in store.costs()], [4], "tokens of a cost")
        same(store.remove([ref]), 1, "documents removed")


@Check
def documents_are_listed_in_order(open_store: OpenStore) -> None:
    """`documents` sorts by collection and key, by code point. offset and limit cut the list; its
    `total` counts the whole list.
    """
    refs = [Ref("b", "1")]
    for key in ("10", "9", "Z", "z", "\uffee", "😀"):
        refs.append(Ref("a", key))
    refs.append(Ref("B", "1"))
    items = []
    for number, ref in enumerate(refs):
        passages = f"one {number}", f"two {number}"
        title = f"Title {number}"
        ready = number % 2 == 0
        items.append(item(ref, *passages, title=title, metadata={"n": number}, vectors=ready))
    with closing(open_store(SPACE)) as store:
        put(store, *items)
        same(listed(store), sorted(refs), "documents, in order")
        for offset, limit in ((0, 3), (3, 3), (6, 3), (8, 3), (50, 3), (0, 0)):
            page = store.documents(EVERYTHING, offset, limit)
            what = f"documents with offset {offset} and limit {limit}"
            same([each.ref for each in page], sorted(refs)[offset : offset + limit], what)
            same(page.total, len(refs), f"{what}: total")
        summaries = {summary.ref: summary for summary in store.documents(EVERYTHING)}
        for number, each in enumerate(items):
            document = each.document
            summary = summaries[each.ref]
            same_fields(
                summary,
                f"summary of {each.ref}",
                title=document.title,
                media_type="text/plain",
                language=None,
                characters=len(document.text),
                chunks=2,
                pending=0 if number % 2 == 0 else 2,
            )
            wanted = exact(document.metadata)
            same(exact(summary.metadata), wanted, f"summary of {each.ref}: metadata")


@Check
def times_are_reported(open_store: OpenStore) -> None:
    """created_at does not change with updates, updated_at never goes back; both are ISO 8601."""
    with closing(open_store(SPACE)) as store:
        put(store, item("1", "first version"))
        (first,) = store.documents(EVERYTHING)
        put(store, item("1", "second version"))
        (second,) = store.documents(EVERYTHING)
        same(second.created_at, first.created_at, "created_at after an update")
        texts = first.created_at, first.updated_at, second.updated_at
        times = list(map(datetime.fromisoformat, texts))
        same(times, sorted(times), "order of created_at, updated_at and the next updated_at")


@Check
def stats_count_what_is_there(open_store: OpenStore) -> None:
    """`stats` counts documents, chunks, chunks without a vector, and documents per collection."""
    with closing(open_store(SPACE)) as store:
        same_fields(store.stats(), "stats of an empty store", documents=0, chunks=0)
        same(dict(store.stats().collections), {}, "collections of an empty store")
        put(
            store,
            item(Ref("a", "1"), "one", "two", "three"),
            item(Ref("a", "2")),
            item(Ref("b", "1"), "four", vectors=False),
        )
        stats = store.stats()
        same_fields(stats, "stats", documents=3, chunks=4, pending=1)
        same_fields(stats, "stats", space=SPACE, multi_tenant=False)
        same(dict(stats.collections), {"a": 2, "b": 1}, "documents per collection")
        same(store.stats("").documents, 3, "documents of the only tenant")
        store.remove([Ref("b", "1")])
        same(store.stats().pending, 0, "pending chunks after a removal")
        same(dict(store.stats().collections), {"a": 2}, "collections after a removal")


@Check
def long_lists_are_fine(open_store: OpenStore) -> None:
    """A call with thousands of ids, addresses or fingerprints is answered like a call with one."""
    here = item("here", "a passage")
    missing = refs_of("missing", 2_000)
    ids = [ChunkId(ref, 0) for ref in missing] + here.ids
    fingerprints = [f"{number:032x}" for number in range(40_000)] + here.fingerprints
    with closing(open_store(SPACE)) as store:
        put(store, here)
        same(set(store.known(fingerprints)), set(here.fingerprints), "known of 40,001 fingerprints")
        same(chunks_in(store, ids), here.chunks, "fetch of 2,001 ids")
        similarity = store.similarity(ids, vector_of("a passage"))
        same(int(np.isnan(similarity).sum()), 2_000, "similarity of 2,001 ids: number of NaN")
        same(bool(similarity[-1] > 0.999), True, "similarity of 2,001 ids: whether the last is 1")
        same(store.remove([*missing, here.ref]), 1, "documents removed of 2,001 addresses")
