"""A file and its parts in a store: which documents a file had before, and that no two files write
one document.

Tested by tests/kernel/test_parts.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import attrs

from semantic_core.errors import InputError
from semantic_core.filters import Filter
from semantic_core.types import PART, PART_OF, PARTS, PATH, Document, DocumentSummary, Ref, Scope

if TYPE_CHECKING:
    from semantic_core.protocols import Store

_PAGE = 500
"""Documents read from the store at a time."""
TWO_FILES_HINT = "Ingest each into its own collection, or give one of them another name."
"""What to do about two files that would be one document."""


@attrs.frozen
class Together:
    """Documents that are written together or not at all. obsolete: refs that are removed when they
    are written.
    """

    documents: Sequence[Document]
    obsolete: Sequence[Ref] = ()


def with_obsolete(store: Store, documents: Sequence[Document]) -> Together:
    """The documents of a file, and the parts that it had before and has no longer.

    documents: as `Plugins.read` returns them. Raises InputError if one would replace a document of
    another file that still exists, or of another file's part.
    """
    first = documents[0]
    held = store.get(first.ref)
    if held is not None and PART_OF in held.metadata:
        _refuse_replacing(held, first)
    known = set()
    if len(documents) > 1 or (held is not None and PARTS in held.metadata):
        known = {summary.ref for summary in parts_of(store, first.ref)}
    for part in documents[1:]:
        other = None if part.ref in known else store.get(part.ref)
        if other is not None:
            _refuse_replacing(other, part)
    obsolete = known.difference(document.ref for document in documents)
    return Together(documents, tuple(sorted(obsolete)))


def parts_of(store: Store, ref: Ref) -> Iterator[DocumentSummary]:
    """The stored documents of the parts of a file. ref: of the file's document."""
    scope = Scope(ref.tenant, (ref.collection,), Filter.parse({PART_OF: ref.key}))
    for summary in listed(store, scope):
        if file_key(summary) != summary.ref.key:
            yield summary


def file_key(summary: DocumentSummary) -> str:
    """The key of the document of the file that this one is a part of; its own, if of none."""
    key = summary.ref.key
    of = summary.metadata.get(PART_OF)
    return of if isinstance(of, str) and key.startswith(of + PART) else key


def listed(store: Store, scope: Scope) -> Iterator[DocumentSummary]:
    """All documents in a scope, page by page."""
    offset = 0
    while True:
        page = store.documents(scope, offset, _PAGE)
        yield from page
        offset += len(page)
        if offset >= page.total or not len(page):
            return


def is_of_another_file(held: Document, path: object) -> bool:
    """Whether a stored document was read from another file than this, which still exists."""
    read_from = held.metadata.get(PATH)
    if not isinstance(read_from, str) or not isinstance(path, str | os.PathLike):
        return False
    if not os.path.isfile(read_from) or not os.path.isfile(path):
        return False
    return not os.path.samefile(read_from, path)


def _refuse_replacing(held: Document, document: Document) -> None:
    path = document.metadata.get(PATH)
    if is_of_another_file(held, path):
        raise InputError(
            f"{path!r} would replace the document {held.ref.key!r}, which was read from "
            f"{held.metadata[PATH]!r}.",
            hint=TWO_FILES_HINT,
        )
