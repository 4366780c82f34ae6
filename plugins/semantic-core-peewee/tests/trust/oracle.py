"""What a store must answer: a dict of documents, read through for every question,
and cosines by brute force in float64.

Written from the words of the contract alone; it shares no line with a store, nor with the reference
store of the kernel.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
import numpy as np

from semantic_core import ChunkId, Document, Entry, Ref, Scope

CLOSE = 1e-5
"""How far a float32 score may be from the cosine in float64."""


def exact(metadata: Mapping[str, Any]) -> tuple[tuple[str, str, str], ...]:
    """Metadata in which ``1``, ``1.0`` and ``True`` are three values."""
    return tuple(
        sorted((key, type(value).__name__, repr(value)) for key, value in metadata.items())
    )


@attrs.frozen(eq=False)
class Row:
    """A chunk. vector: float64, or None while it waits. age: grows with every row written."""

    entry: Entry
    vector: Any
    age: int

    @property
    def content(self) -> tuple[Any, ...]:
        """All that makes two of them the same."""
        chunk = self.entry.chunk
        place = (
            chunk.id,
            chunk.start,
            chunk.end,
            chunk.kind,
            chunk.headings,
            exact(chunk.metadata),
        )
        vector = None if self.vector is None else self.vector.tobytes()
        return place, chunk.text, self.entry.passage, self.entry.fingerprint, vector


@attrs.frozen(eq=False)
class Held:
    """A document with its chunks by position."""

    document: Document
    rows: Mapping[int, Row]

    @property
    def content(self) -> tuple[Any, ...]:
        """All that makes two versions the same."""
        one = self.document
        about = (one.text, one.title, one.media_type, one.language, exact(one.metadata))
        return about, tuple(self.rows[position].content for position in sorted(self.rows))


class Oracle:
    """The whole store as two dicts. A state handed out by `state` stays as it is."""

    def __init__(self) -> None:
        self.documents: dict[Ref, Held] = {}
        self.stamps: dict[Ref, int] = {}
        self.written = 0

    def state(self) -> Oracle:
        """This moment, to be kept."""
        kept = Oracle()
        kept.documents, kept.stamps, kept.written = (
            dict(self.documents),
            dict(self.stamps),
            self.written,
        )
        return kept

    def replace(
        self, batch: Iterable[tuple[Document, Sequence[Entry]]], stamps: Mapping[Ref, int]
    ) -> list[tuple[Ref, str]]:
        vectors = {
            row.entry.fingerprint: row.vector for row in self._rows() if row.vector is not None
        }
        outcomes = []
        for document, entries in batch:
            if self._is_late(document.ref, stamps):
                outcomes.append((document.ref, "stale"))
                continue
            vectors |= {
                each.fingerprint: _kept(each.vector) for each in entries if each.vector is not None
            }
            before = self.documents.get(document.ref)
            after = Held(
                document,
                {each.chunk.id.position: self._row(each, before, vectors) for each in entries},
            )
            if before is not None and before.content == after.content:
                outcomes.append((document.ref, "unchanged"))
                continue
            self.documents[document.ref] = after
            outcomes.append((document.ref, "updated" if before else "added"))
        self.fill(vectors)
        return outcomes

    def _row(self, entry: Entry, before: Held | None, vectors: Mapping[str, Any]) -> Row:
        self.written += 1
        vector = None if entry.vector is None else _kept(entry.vector)
        row = Row(entry, vector, self.written)
        if vector is not None:
            return row
        held = before.rows.get(entry.chunk.id.position) if before else None
        if held is not None and held.vector is not None and held.content[:-1] == row.content[:-1]:
            return attrs.evolve(row, vector=held.vector)
        return attrs.evolve(row, vector=vectors.get(entry.fingerprint))

    def _is_late(self, ref: Ref, stamps: Mapping[Ref, int]) -> bool:
        stamp = stamps.get(ref)
        if stamp is None:
            return False
        if ref in self.stamps and self.stamps[ref] > stamp:
            return True
        self.stamps[ref] = stamp
        return False

    def remove(self, refs: Iterable[Ref], stamps: Mapping[Ref, int]) -> int:
        removed = 0
        for ref in refs:
            if not self._is_late(ref, stamps):
                removed += self.documents.pop(ref, None) is not None
        return removed

    def fill(self, vectors: Mapping[str, Any]) -> int:
        filled = 0
        for ref, held in list(self.documents.items()):
            takers = {
                position: attrs.evolve(row, vector=_kept(vectors[row.entry.fingerprint]))
                for position, row in held.rows.items()
                if row.vector is None and row.entry.fingerprint in vectors
            }
            if takers:
                self.documents[ref] = Held(held.document, {**held.rows, **takers})
                filled += len(takers)
        return filled

    def _rows(self) -> list[Row]:
        return [row for held in self.documents.values() for row in held.rows.values()]

    def within(self, scope: Scope) -> dict[Ref, Held]:
        """The documents in scope."""
        return {
            ref: held
            for ref, held in self.documents.items()
            if ref.tenant == scope.tenant
            and (scope.collections is None or ref.collection in scope.collections)
            and scope.filter.matches(held.document.metadata)
        }

    def cosines(self, query: Any, scope: Scope) -> dict[ChunkId, float]:
        """Of every chunk in scope that has a vector. Equal vectors give equal bits."""
        rows = [
            row
            for held in self.within(scope).values()
            for row in held.rows.values()
            if row.vector is not None
        ]
        if not rows:
            return {}
        asked = _kept(query)
        table = np.stack([row.vector for row in rows])
        scores = (
            (table * asked).sum(axis=1)
            / np.sqrt((table * table).sum(axis=1))
            / np.sqrt((asked * asked).sum())
        )
        return {row.entry.chunk.id: float(score) for row, score in zip(rows, scores, strict=True)}

    def with_words(self, words: Iterable[str], scope: Scope) -> set[ChunkId]:
        """The chunks in scope that hold any of these words."""
        wanted = set(words)
        rows = [row for held in self.within(scope).values() for row in held.rows.values()]
        return {row.entry.chunk.id for row in rows if wanted & set(row.entry.passage.split())}

    def row(self, id: ChunkId) -> Row | None:
        """The chunk of this id."""
        held = self.documents.get(id.ref)
        return held.rows.get(id.position) if held else None

    def waiting(self) -> dict[str, str]:
        """Passages without a vector by fingerprint, oldest first."""
        rows = sorted((row for row in self._rows() if row.vector is None), key=lambda row: row.age)
        found: dict[str, str] = {}
        for row in rows:
            found.setdefault(row.entry.fingerprint, row.entry.passage)
        return found

    def vectors(self) -> dict[str, Any]:
        """Every vector there is, by fingerprint."""
        return {row.entry.fingerprint: row.vector for row in self._rows() if row.vector is not None}


def _kept(vector: Any) -> Any:
    """float64 of length 1, as near to it as float32 comes."""
    given = np.asarray(vector, dtype=np.float64)
    length = np.sqrt((given * given).sum())
    unit = given if abs(length - 1.0) <= 1e-6 else given / length
    return unit.astype(np.float32).astype(np.float64)


def same_order(
    ids: Sequence[ChunkId], scores: Sequence[float], truth: Mapping[ChunkId, float], limit: int
) -> None:
    """Fail unless these are the best `limit` of the true scores: best first,
    equal ones by their ids.
    """
    assert len(ids) == len(set(ids)) == min(limit, len(truth)), (len(ids), limit, len(truth))
    assert list(scores) == sorted(scores, reverse=True)
    for id, score in zip(ids, scores, strict=True):
        assert abs(score - truth[id]) <= CLOSE, (id, score, truth[id])
    if ids:
        least, found = min(truth[id] for id in ids), set(ids)
        missed = [id for id, score in truth.items() if id not in found and score > least + CLOSE]
        assert not missed, missed
    equal: dict[float, list[ChunkId]] = {}
    for id in sorted(truth):
        equal.setdefault(truth[id], []).append(id)
    places = {id: place for place, id in enumerate(ids)}
    for group in equal.values():
        found_places = [places[id] for id in group if id in places]
        assert found_places == sorted(found_places), group
        assert all(id in places for id in group[: len(found_places)]), group
