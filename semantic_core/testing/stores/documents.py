"""What is read back: documents, chunks, lists and counts, each under its own address."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime

import numpy as np

from semantic_core.testing.check import Check, same
from semantic_core.testing.stores.samples import (
    EVERYTHING,
    SPACE,
    OpenStore,
    axis,
    exact,
    item,
    put,
    vector_of,
)
from semantic_core.testing.strategies import KEYS, NUMBERS, ODD_TEXTS, STRINGS
from semantic_core.types import Chunk, ChunkId, Document, Entry, Ref


@Check
def a_document_comes_back_as_it_was(open_store: OpenStore) -> None:
    """`get` gives exactly what was handed over: odd characters, line ends, NUL, an empty text,
    every kind of metadata.
    """
    values = [*STRINGS, *NUMBERS, True, False, [], ["a"], ["b", "a", "b", ""]]
    kinds = {f"{number} {KEYS[number % len(KEYS)]}": value for number, value in enumerate(values)}
    handed = [
        Document(Ref("odd", str(number)), text, title=text[:40])
        for number, text in enumerate(ODD_TEXTS)
    ]
    handed.append(
        Document(
            Ref("odd", "kinds"),
            "kinds",
            metadata=kinds,
            media_type="text/markdown",
            language="pt-BR",
        )
    )
    with closing(open_store(SPACE)) as store:
        store.replace([(document, []) for document in handed])
        for document in handed:
            same(exact(store.get(document.ref)), exact(document), "the document handed over")
        same(store.get(Ref("odd", "never")), None, "a document that was never there")


@Check
def chunks_come_back_as_they_were(open_store: OpenStore) -> None:
    """`fetch` gives chunks with all their fields, in the order asked,
    without those that are gone.
    """
    ref = Ref("notes", "1")
    document = Document(
        ref, "x = 1  a\x00b\r\n", title="Title", metadata={"n": 1, "f": 1.0, "b": True, "l": ["x"]}
    )
    of_code = {"language": "python", "lines": 1, "whole": True}
    chunks = [
        Chunk(ChunkId(ref, 0), "x = 1", 0, 5, "code", ("Guide", "Größe > 1"), of_code),
        Chunk(ChunkId(ref, 1), "", 6, 6, "table", ("",)),
        Chunk(ChunkId(ref, 2), "a\x00b\r\n", 7, 12, "list"),
    ]
    entries = [
        Entry(chunk, f"passage {chunk.id.position}", f"{chunk.id.position:032x}", axis(0))
        for chunk in chunks
    ]
    many = item("many", *(f"passage number{number}" for number in range(120)))
    with closing(open_store(SPACE)) as store:
        store.replace([(document, entries), many])
        missing = [ChunkId(ref, 9), ChunkId(Ref("notes", "no"), 0)]
        found = store.fetch(
            [chunks[2].id, missing[0], many.ids[11], chunks[0].id, missing[1], chunks[1].id]
        )
        wanted = [chunks[2], many.entries[11].chunk, chunks[0], chunks[1]]
        same(
            [exact(each.chunk) for each in found],
            [exact(chunk) for chunk in wanted],
            "the chunks asked for",
        )
        same(
            (found[0].title, exact(found[0].metadata)),
            ("Title", exact(document.metadata)),
            "title and metadata",
        )
        backwards = list(reversed(many.ids))
        same(
            [each.chunk.id for each in store.fetch(backwards)],
            backwards,
            "120 chunks, the last first",
        )
        same(store.fetch([]), [], "no ids")


@Check
def addresses_are_compared_exactly(open_store: OpenStore) -> None:
    """Row 5 of two collections never meet; nor do names that look alike,
    or join to the same text.
    """
    pairs = [
        ("a", "5"),
        ("b", "5"),
        ("A", "5"),
        ("a", "05"),
        ("a", "5.0"),
        ("a", "5 "),
        ("a", " 5"),
        ("a", "b/c"),
        ("a/b", "c"),
    ]
    pairs += [
        ("a", "é"),
        ("a", "e\u0301"),
        ("a", "E\u0301"),
        ("a", "%"),
        ("a", "_"),
        ("a", "x"),
        ("a", "5#0"),
        ("a", "😀"),
    ]
    items = [item(Ref(*pair), f"passage of {pair}") for pair in pairs]
    with closing(open_store(SPACE)) as store:
        same(put(store, *items), ["added"] * len(items), "outcomes")
        for number, each in enumerate(items):
            same(exact(store.get(each.ref)), exact(each.document), f"document {each.ref!r}")
            (found,) = store.fetch(each.ids)
            same(found.chunk, each.entries[0].chunk, f"chunk of {each.ref!r}")
            put(store, item(each.ref, f"update of {each.ref!r}"))
            same(store.stats().chunks, len(items) - number, "number of chunks after an update")
            same(store.remove([each.ref]), 1, f"documents removed with {each.ref!r}")
            left = [summary.ref for summary in store.documents(EVERYTHING)]
            same(
                left,
                sorted(other.ref for other in items[number + 1 :]),
                f"documents left after {each.ref!r}",
            )


@Check
def documents_are_listed_in_order(open_store: OpenStore) -> None:
    """`documents` sorts by (collection, key), by code point; offset and limit cut the list,
    the total stays the whole.
    """
    keys = ["10", "9", "Z", "z", "\uffee", "😀"]
    refs = [Ref("b", "1"), *(Ref("a", key) for key in keys), Ref("B", "1")]
    items = [
        item(
            ref,
            f"one {number}",
            f"two {number}",
            title=f"Title {number}",
            metadata={"n": number},
            vectors=number % 2 == 0,
        )
        for number, ref in enumerate(refs)
    ]
    with closing(open_store(SPACE)) as store:
        put(store, *items)
        same(
            [summary.ref for summary in store.documents(EVERYTHING)],
            sorted(refs),
            "all of them, in order",
        )
        for offset, limit in [(0, 3), (3, 3), (6, 3), (8, 3), (50, 3), (0, 0)]:
            part = store.documents(EVERYTHING, offset, limit)
            wanted = sorted(refs)[offset : offset + limit]
            same(
                ([each.ref for each in part], part.total),
                (wanted, len(refs)),
                f"offset {offset}, limit {limit}",
            )
        for number, each in enumerate(items):
            document = each.document
            (summary,) = (
                summary for summary in store.documents(EVERYTHING) if summary.ref == each.ref
            )
            told = (
                summary.title,
                summary.media_type,
                summary.language,
                exact(summary.metadata),
                summary.characters,
            )
            wanted_ones = (
                document.title,
                "text/plain",
                None,
                exact(document.metadata),
                len(document.text),
            )
            same(told, wanted_ones, f"summary of {each.ref}")
            same(
                (summary.chunks, summary.pending),
                (2, 0 if number % 2 == 0 else 2),
                f"chunks and pending ones of {each.ref}",
            )


@Check
def times_are_told(open_store: OpenStore) -> None:
    """created_at stays through updates, updated_at never goes back; both are ISO 8601."""
    with closing(open_store(SPACE)) as store:
        put(store, item("1", "first version"))
        (first,) = store.documents(EVERYTHING)
        put(store, item("1", "second version"))
        (second,) = store.documents(EVERYTHING)
        same(second.created_at, first.created_at, "created_at after an update")
        times = [
            datetime.fromisoformat(each)
            for each in (first.created_at, first.updated_at, second.updated_at)
        ]
        same(times, sorted(times), "order of created_at, updated_at and the next updated_at")


@Check
def stats_count_what_is_there(open_store: OpenStore) -> None:
    """`stats`: documents, chunks, chunks without a vector, and documents per collection."""
    with closing(open_store(SPACE)) as store:
        same(
            (store.stats().documents, store.stats().chunks, dict(store.stats().collections)),
            (0, 0, {}),
            "an empty store",
        )
        put(
            store,
            item(Ref("a", "1"), "one", "two", "three"),
            item(Ref("a", "2")),
            item(Ref("b", "1"), "four", vectors=False),
        )
        stats = store.stats()
        same(
            (stats.documents, stats.chunks, stats.pending), (3, 4, 1), "documents, chunks, pending"
        )
        same(dict(stats.collections), {"a": 2, "b": 1}, "documents per collection")
        same((stats.space, stats.multi_tenant), (SPACE, False), "space and tenancy")
        same(store.stats("").documents, 3, "documents of the one tenant of a single-tenant store")
        store.remove([Ref("b", "1")])
        same(
            (store.stats().pending, dict(store.stats().collections)),
            (0, {"a": 2}),
            "after a removal",
        )


@Check
def long_lists_are_fine(open_store: OpenStore) -> None:
    """Thousands of ids, refs or fingerprints in one call are answered like one."""
    here = item("here", "a passage")
    missing = [Ref("notes", f"missing {number}") for number in range(2_000)]
    ids = [ChunkId(ref, 0) for ref in missing]
    names = [f"{number:032x}" for number in range(40_000)]
    with closing(open_store(SPACE)) as store:
        put(store, here)
        same(
            set(store.known([*names, here.entries[0].fingerprint])),
            {here.entries[0].fingerprint},
            "known of 40,001",
        )
        same(
            [found.chunk.id for found in store.fetch([*ids, *here.ids])], here.ids, "fetch of 2,001"
        )
        similarity = store.similarity([*ids, *here.ids], vector_of("a passage"))
        same(
            (int(np.isnan(similarity).sum()), bool(similarity[-1] > 0.999)),
            (2_000, True),
            "similarity of 2,001",
        )
        same(store.remove([*missing, here.ref]), 1, "remove of 2,001")
