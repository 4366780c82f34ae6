"""Making everything derived anew from documents and chunks,
in one transaction and without asking any embedder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from semantic_core_peewee import _slots
from semantic_core_peewee._rows import metadata_of
from semantic_core_peewee._scope import attributes

if TYPE_CHECKING:
    from semantic_core_peewee._pool import View

_ADD = "insert into attribute (generation, key, kind, value, document) values (?, ?, ?, ?, ?)"


def rebuild(view: View, dimensions: int) -> None:
    """The index of words, the values for filters, and the slots of vectors;
    texts and vectors are left as they are.
    """
    view.raw.execute("insert into words (words) values ('rebuild')")
    view.raw.execute("delete from attribute")
    for id, generation, metadata in view.raw.execute(
        "select id, generation, metadata from document"
    ).fetchall():
        rows = [(generation, *attribute, id) for attribute in attributes(metadata_of(metadata))]
        view.raw.executemany(_ADD, rows)
    _slots.rebuild(view, dimensions)
