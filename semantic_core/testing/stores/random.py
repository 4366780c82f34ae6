"""Random documents and random filters: what a table of cases does not think of."""

from __future__ import annotations

from contextlib import closing
from itertools import count
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from semantic_core.testing.check import Check, examples, same
from semantic_core.testing.stores.samples import (
    SPACE,
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
    """`get` and `fetch` give back any legal document, its title, metadata and chunk,
    whatever its characters.
    """
    with closing(open_store(SPACE)) as store:

        @examples(40)
        @given(documents())
        def comes_back(document: Document) -> None:
            chunk = Chunk(
                ChunkId(document.ref, 0),
                document.text,
                0,
                len(document.text),
                headings=(document.title,),
            )
            entry = Entry(chunk, document.text, fingerprint_of(document.text), axis(0))
            store.replace([(document, [entry])])
            same(exact(store.get(document.ref)), exact(document), "the document handed over")
            (found,) = store.fetch([chunk.id])
            same(exact(found.chunk), exact(chunk), "the chunk handed over")
            same(
                (found.title, exact(found.metadata)),
                (document.title, exact(document.metadata)),
                "title and metadata",
            )

        comes_back()


@Check
def any_filter_is_data(open_store: OpenStore) -> None:
    """Random filters on random metadata, with keys and values that look like syntax,
    agree with `Filter.matches`.
    """
    numbers = count()
    with closing(open_store(SPACE)) as store:

        @examples(40)
        @given(
            st.lists(metadata(), min_size=1, max_size=5), st.lists(wheres(), min_size=1, max_size=4)
        )
        def agree(held: list[dict[str, Any]], asked: list[dict[str, Any]]) -> None:
            collection = f"example {next(numbers)}"
            items = [
                item(Ref(collection, str(number)), f"zorbak {number}", metadata=each)
                for number, each in enumerate(held)
            ]
            put(store, *items)
            for where in asked:
                finds_what_matches(store, items, where, (collection,))

        agree()
