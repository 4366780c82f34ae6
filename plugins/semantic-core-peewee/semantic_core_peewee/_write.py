"""Writing: what a batch changes is worked out first, then written,
inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from semantic_core.types import Outcome, Ref
from semantic_core_peewee._changes import Changes, Held, Row
from semantic_core_peewee._pool import View
from semantic_core_peewee._rows import Incoming, Key, Passage, address_of, key_of
from semantic_core_peewee._vector_rows import fill_waiting, known_blobs

_FIND = """select tenant, collection, key, id, stamp, created_at, updated_at, characters, title,
    media_type, language, metadata, text_hash from document where generation = ? and tenant = ?
    and collection = ? and key = ?"""
_PASSAGES = """select id, position, vector, kind, start, "end", fingerprint, headings, metadata,
    text, lead, own from chunk where document = ?"""
_BURY = """insert into removal (generation, address, stamp) values (?, ?, ?)
    on conflict do update set stamp = excluded.stamp"""
_BURIED = "select address, stamp from removal where generation = ? and address = ?"
_LEAVE_HOME = """delete from home as h where h.generation = ? and h.tenant = ? and h.collection = ?
    and not exists (select 1 from document as d where d.generation = h.generation
    and d.tenant = h.tenant and d.collection = h.collection)"""
_ANY_BURIED = "select exists (select 1 from removal)"
_DIG_UP = "delete from removal where generation = ? and address = ?"


_NOWHERE = Held(None, None)


def replace(
    view: View, dimensions: int, given: Sequence[Incoming], stamps: Mapping[Ref, int]
) -> list[tuple[Ref, Outcome]]:
    """Make each document be what was handed over; what became of each, in order."""
    waiting = {
        passage.fingerprint for one in given for passage in one.passages if passage.vector is None
    }
    known, brought = known_blobs(view, waiting), dict[str, bytes]()
    changes = Changes(view, dimensions)
    outcomes: list[tuple[Ref, Outcome]] = []
    for group in _each_named_once(given):
        there = _find(view, [one.key for one in group])
        for one in group:
            held, stamp = there.get(one.key, _NOWHERE), stamps.get(one.ref)
            if held.is_newer_than(stamp):
                outcomes.append((one.ref, "stale"))
                continue
            new = {
                passage.fingerprint: passage.vector
                for passage in one.passages
                if passage.vector is not None
            }
            brought |= new
            if waiting:
                known |= new
            outcomes.append((one.ref, _apply(view, changes, one, held, held.marked(stamp), known)))
        changes.write()
    fill_waiting(view, dimensions, brought)
    return outcomes


def _each_named_once(given: Sequence[Incoming]) -> Iterator[Sequence[Incoming]]:
    """The batch in pieces none of which names a document twice:
    a later one is compared with what the first has become.
    """
    begun, seen = 0, set[Key]()
    for place, one in enumerate(given):
        if one.key in seen:
            yield given[begun:place]
            begun = place
            seen.clear()
        seen.add(one.key)
    yield given[begun:]


def _apply(
    view: View,
    changes: Changes,
    given: Incoming,
    held: Held,
    stamp: int | None,
    known: Mapping[str, bytes],
) -> Outcome:
    if held.id is None:
        if held.stamp is not None:
            view.raw.execute(_DIG_UP, (view.generation, address_of(*given.key)))
        passages = (
            [_with(one, one.vector or known.get(one.fingerprint)) for one in given.passages]
            if known
            else given.passages
        )
        changes.add_chunks(changes.add_document(given, stamp), given.key, passages)
        return "added"
    rows = {
        row[1]: Row(row[0], row[1], row[2], row[3:])
        for row in view.raw.execute(_PASSAGES, (held.id,))
    }
    pairs = [(passage, rows.pop(passage.position, None)) for passage in given.passages]
    wanted = [(passage, row, _vector(passage, row, known)) for passage, row in pairs]
    same = all(
        row is not None and row.content == one.content and row.vector == vector
        for one, row, vector in wanted
    )
    if same and not rows and held.content == given.content:
        if stamp != held.stamp:
            changes.mark(given.key, held, stamp)
        return "unchanged"
    changes.change_document(held, given, stamp)
    for row in rows.values():
        changes.drop_chunk(row)
    anew: list[Passage] = []
    for passage, there, vector in wanted:
        # One that still waits for its vector goes to the end of the queue with its document, so it
        # is written anew.
        if there is not None and there.content == passage.content and there.vector is not None:
            if there.vector != vector:
                changes.change_vector(there.id, held.id, given.key, passage.fingerprint, vector)
            continue
        if there is not None:
            changes.drop_chunk(there)
        anew.append(_with(passage, vector))
    changes.add_chunks(held.id, given.key, anew)
    return "updated"


def _with(passage: Passage, vector: bytes | None) -> Passage:
    return passage if vector is passage.vector else passage._replace(vector=vector)


def _vector(passage: Passage, row: Row | None, known: Mapping[str, bytes]) -> bytes | None:
    """The vector a passage ends up with: its own, else the one its row has,
    else one known by its fingerprint.
    """
    if passage.vector is not None:
        return passage.vector
    held = row.vector if row is not None and row.content == passage.content else None
    return held or known.get(passage.fingerprint)


def remove(view: View, dimensions: int, refs: Iterable[Ref], stamps: Mapping[Ref, int]) -> int:
    """Remove these documents with all that belongs to them; how many were there."""
    changes, removed, left = Changes(view, dimensions), 0, set[tuple[str, str]]()
    wanted = list(dict.fromkeys(refs))
    there = _find(view, [key_of(ref) for ref in wanted])
    for ref in wanted:
        held, stamp = there.get(key_of(ref), _NOWHERE), stamps.get(ref)
        if held.is_newer_than(stamp):
            continue
        mark = held.marked(stamp)
        if mark is not None:
            view.raw.execute(_BURY, (view.generation, address_of(*key_of(ref)), mark))
        if held.id is not None:
            for row in view.raw.execute(_PASSAGES, (held.id,)):
                changes.drop_chunk(Row(row[0], row[1], row[2], row[3:]))
            changes.drop_document(held.id)
            left.add((ref.tenant, ref.collection))
            removed += 1
    changes.write()
    for tenant, collection in left:
        view.raw.execute(_LEAVE_HOME, (view.generation, tenant, collection))
    return removed


def _find(view: View, keys: Sequence[Key]) -> dict[Key, Held]:
    """Those of these documents that are there, or were removed with a stamp."""
    wanted = [(view.generation, *key) for key in keys]
    found: dict[Key, Held] = {}
    if view.raw.execute(_ANY_BURIED).get:  # most stores have no stamps at all
        named = {address_of(*key): key for key in keys}
        asked = [(view.generation, address) for address in named]
        for address, stamp in view.raw.executemany(_BURIED, asked).fetchall():
            found[named[address]] = Held(None, stamp)
    for tenant, collection, name, *about in view.raw.executemany(_FIND, wanted).fetchall():
        id, stamp, created, updated, characters, *content = about
        found[tenant, collection, name] = Held(
            id, stamp, created, updated, characters, tuple(content)
        )
    return found
