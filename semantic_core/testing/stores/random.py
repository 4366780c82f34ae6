"""Checks with random documents and random filters: cases that no table of examples has.

Tested by tests/contracts/test_contract.py and tests/contracts/test_store_bites.py.
"""

from __future__ import annotations

from contextlib import closing
from itertools import count
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from semantic_core.testing.check import Check, examples, same
from semantic_core.testing.stores.samples import (
    SPACE,
    Item,
    OpenStore,
    axis,
    exact,
    fingerprint_of,
    item,
    put,
)
from semantic_core.testing.stores.scopes import finds_what_matches
from semantic_core.testing.strategies import documents, metadata, wheres
from semantic_core.types import Chunk, ChunkId, Document, Entry, Ref


@Check
def any_document_comes_back(open_store: OpenStore) -> None:
    """`get` and `fetch` give back any legal document with its title, metadata and chunk, whatever
    its characters.
    """
    with closing(open_store(SPACE)) as store:

        @examples(40)
        @given(documents())
        @example(Document(Ref("odd", "blanks"), " text ", title=" Title "))
        def comes_back(document: Document) -> None:
            id = ChunkId(document.ref, 0)
            text = document.text
            chunk = Chunk(id, text, 0, len(text), headings=(document.title,))
            entry = Entry(chunk, text, fingerprint_of(text), axis(0))
            store.replace([(document, [entry])])
            same(exact(store.get(document.ref)), exact(document), "get")
            (found,) = store.fetch([id])
            same(exact(found.chunk), exact(chunk), "fetch: the chunk")
            same(found.title, document.title, "fetch: title of the document")
            same(exact(found.metadata), exact(document.metadata), "fetch: metadata of the document")

        comes_back()


@Check
def any_filter_is_data(open_store: OpenStore) -> None:
    """Random filters on random metadata, with keys and values that look like syntax, agree with
    `Filter.matches`.
    """
    numbers = count()
    held = st.lists(metadata(), min_size=1, max_size=5)
    asked = st.lists(wheres(), min_size=1, max_size=4)
    with closing(open_store(SPACE)) as store:

        @examples(40)
        @given(held, asked)
        def agree(held: list[dict[str, Any]], asked: list[dict[str, Any]]) -> None:
            collection = f"example {next(numbers)}"
            items: list[Item] = []
            for number, metadata in enumerate(held):
                ref = Ref(collection, str(number))
                items.append(item(ref, f"zorbak {number}", metadata=metadata))
            put(store, *items)
            for where in asked:
                finds_what_matches(store, items, where, (collection,))

        agree()
