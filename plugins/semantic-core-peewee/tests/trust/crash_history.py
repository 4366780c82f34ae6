"""A history of writes any process can replay, and what a store must hold after each step of it.

A step depends on the seed and its number alone: the writer that is killed and the test that judges
need not talk about it. Every version of a document has words, vectors and metadata no other version
has, so what is left of an older one shows.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from semantic_core_peewee.sqlite import connection

from semantic_core import Document, Ref, Space
from semantic_core.types import Chunk, ChunkId, Entry, Scope

SPACE = Space("crash-history", 12)
EVERYWHERE = "everywhere"
"""A word every passage holds."""
REMEMBERED = 30
"""Words of versions that are gone; a query looks for 32."""

Held = tuple[Document, tuple[Entry, ...]]


def chosen_seed(usual: int, soak: float) -> int:
    """The same in every plain run, another in every soak; TRUST_SEED asks for one that failed."""
    asked = os.environ.get("TRUST_SEED")
    return int(asked) if asked else usual if soak == 1 else random.SystemRandom().randrange(2**31)


@contextmanager
def folder_in_memory() -> Iterator[Path]:
    """A folder that is gone afterwards; in memory where the system has such a place,
    so that disks set no pace.
    """
    memory = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
    with tempfile.TemporaryDirectory(
        prefix="semantic-core-", dir=memory if os.access(memory, os.W_OK) else None
    ) as name:
        yield Path(name)


@contextmanager
def log_of(pages: int) -> Iterator[None]:
    """Within it, every connection that is opened empties the log after so many pages; few,
    so that it often does.
    """
    usual, connection.CHECKPOINT = connection.CHECKPOINT, pages
    try:
        yield
    finally:
        connection.CHECKPOINT = usual


@dataclass(frozen=True)
class Step:
    """One write: documents to replace, refs to remove, vectors to fill in; or, if it has none,
    all free space given back.
    """

    number: int
    batch: Sequence[Held] = ()
    removed: Sequence[Ref] = ()
    vectors: Mapping[str, Any] = field(default_factory=dict)

    def apply(self, store: Any) -> None:
        """Do it; what this returns from is acknowledged."""
        if self.batch:
            store.replace(self.batch)
        elif self.removed:
            store.remove(self.removed)
        elif self.vectors:
            store.fill(self.vectors)
        else:
            store.compact()


@dataclass(frozen=True)
class Model:
    """What a store must hold. gone: words of versions it must not find any more."""

    documents: Mapping[Ref, Held] = field(default_factory=dict)
    gone: tuple[str, ...] = ()

    def after(self, step: Step) -> Model:
        """What it must hold once the step is done."""
        documents = dict(self.documents)
        gone: list[str] = []
        for ref in [document.ref for document, _ in step.batch] + list(step.removed):
            if ref in documents:
                gone += [word_of(entry) for entry in documents.pop(ref)[1]]
        for document, entries in step.batch:
            documents[document.ref] = (document, entries)
        if step.vectors:
            documents = {
                ref: (one, _filled(entries, step.vectors))
                for ref, (one, entries) in documents.items()
            }
        here = {word_of(entry) for _, entries in documents.values() for entry in entries}
        words = [word for word in dict.fromkeys((*self.gone, *gone)) if word not in here]
        return Model(documents, tuple(words[-REMEMBERED:]))

    def joined(self, other: Model) -> Model:
        """What both say, of documents that are not the same."""
        half = REMEMBERED // 2
        return Model(
            {**self.documents, **other.documents}, (*self.gone[-half:], *other.gone[-half:])
        )

    def document(self, ref: Ref) -> Document | None:
        """The document of this ref, if there is one."""
        return self.documents[ref][0] if ref in self.documents else None

    def entries(self) -> list[Entry]:
        """All passages, in order of their ids."""
        return [entry for ref in sorted(self.documents) for entry in self.documents[ref][1]]


def step(seed: int, number: int, prefix: str = "k", keys: int = 24) -> Step:
    """The write of this number; it touches keys of this prefix only."""
    rng = random.Random(f"{seed} {prefix} {number}")
    kind = rng.random()
    names = [f"{prefix}{name}" for name in rng.sample(range(keys), rng.randint(1, 4))]
    if kind < 0.70 or number < 3:
        return Step(number, [version(seed, name, number) for name in names])
    if kind < 0.86:
        return Step(number, removed=[Ref("trial", name) for name in names])
    if kind < 0.97:
        given = {}
        for earlier in range(max(0, number - 5), number):
            for _, entries in step(seed, earlier, prefix, keys).batch:
                given.update(
                    {
                        one.fingerprint: vector(one.fingerprint)
                        for one in entries
                        if one.vector is None
                    }
                )
        return Step(number, vectors=given or {"0" * 32: vector("nowhere")})
    return Step(number)


def version(seed: int, key: str, number: int) -> Held:
    """A document as the step of this number writes it: one to three passages,
    a fifth of them without a vector yet.
    """
    rng = random.Random(f"{seed} {key} {number}")
    ref = Ref("trial", key)
    passages = [
        f"{EVERYWHERE} {key}v{number}c{place} " + "plain filler text " * rng.choice([0, 3, 20, 900])
        for place in range(rng.randint(1, 3))
    ]
    metadata = {"version": number, "even": number % 2 == 0, "tags": (f"t{number}", "all")}
    document = Document(ref, "".join(passages), title=f"Version {number}", metadata=metadata)
    entries, start = [], 0
    for place, text in enumerate(passages):
        chunk = Chunk(
            ChunkId(ref, place), text, start, start + len(text), headings=(f"Part {place}",)
        )
        fingerprint = blake2b(f"{key} {number} {place}".encode(), digest_size=16).hexdigest()
        entries.append(
            Entry(chunk, text, fingerprint, None if rng.random() < 0.2 else vector(fingerprint))
        )
        start += len(text)
    return document, tuple(entries)


def vector(name: str) -> Any:
    """The vector of a fingerprint: of length 1, like no other."""
    rng = random.Random(name)
    given = np.array([rng.gauss(0, 1) for _ in range(SPACE.dimensions)], dtype=np.float64)
    return (given / np.sqrt((given * given).sum())).astype(np.float32)


def word_of(entry: Entry) -> str:
    """The word this passage alone has."""
    return entry.passage.split(" ", 2)[1]


def _filled(entries: Sequence[Entry], vectors: Mapping[str, Any]) -> tuple[Entry, ...]:
    return tuple(
        Entry(one.chunk, one.passage, one.fingerprint, vectors[one.fingerprint])
        if one.vector is None and one.fingerprint in vectors
        else one
        for one in entries
    )


def differences(store: Any, model: Model) -> list[str]:
    """Every answer of the store that is not the one the model gives; [] if all are.

    Asks each public reading method.
    """
    with store.snapshot():
        return [*_record_differences(store, model), *_search_differences(store, model)]


def _record_differences(store: Any, model: Model) -> list[str]:
    found: list[str] = []

    def same(what: str, got: object, wanted: object) -> None:
        if got != wanted:
            found.append(f"{what}: wanted {str(wanted)[:200]}, got {str(got)[:200]}")

    entries = model.entries()
    ids = [entry.chunk.id for entry in entries]
    ready = [entry for entry in entries if entry.vector is not None]
    waiting = {entry.fingerprint: entry.passage for entry in entries if entry.vector is None}
    listed = [
        (
            ref,
            one.title,
            dict(one.metadata),
            len(one.text),
            len(held),
            sum(entry.vector is None for entry in held),
        )
        for ref, (one, held) in sorted(model.documents.items())
    ]
    page = store.documents(Scope(), 0, 10_000)
    got = [
        (it.ref, it.title, dict(it.metadata), it.characters, it.chunks, it.pending)
        for it in page.items
    ]
    same("documents", got, listed)
    same("total", page.total, len(listed))
    stats = store.stats()
    same(
        "stats",
        (stats.documents, stats.chunks, stats.pending),
        (len(listed), len(entries), len(waiting)),
    )
    for ref, (document, _) in model.documents.items():
        same(f"get {ref}", store.get(ref), document)
    same("fetch", [one.chunk for one in store.fetch(ids)], [entry.chunk for entry in entries])
    queued = {chunk.fingerprint: chunk.passage for chunk in store.pending(10_000)}
    same("pending", queued, waiting)
    known = store.known([entry.fingerprint for entry in entries])
    same("vectors", _bits(known), _bits({entry.fingerprint: entry.vector for entry in ready}))
    return found


def _search_differences(store: Any, model: Model) -> list[str]:
    found: list[str] = []
    entries = model.entries()
    ready = [entry for entry in entries if entry.vector is not None]
    query = vector("the query").astype(np.float64)
    cosines = {
        entry.chunk.id: float(np.dot(entry.vector.astype(np.float64), query)) for entry in ready
    }
    ranking = store.nearest(query, 10_000, Scope())
    if set(ranking.ids) != set(cosines) or len(ranking) != len(cosines):
        found.append(
            f"nearest: wanted {len(cosines)} chunks, got {len(ranking)}, "
            f"{len(set(ranking.ids))} of them once"
        )
    elif any(
        abs(cosines[id] - score) > 1e-5
        for id, score in zip(ranking.ids, ranking.scores, strict=True)
    ):
        found.append("nearest: a score is not that of the vector")
    elif list(ranking.scores) != sorted(ranking.scores, reverse=True):
        found.append("nearest: not in order")
    if set(store.words(EVERYWHERE, 10_000, Scope()).ids) != {entry.chunk.id for entry in entries}:
        found.append("words: not every passage is found by the word all of them hold")
    if model.gone and store.words(" ".join(model.gone), 10, Scope()).ids:
        found.append("words: a passage is found by a word of an older version")
    for start in range(0, len(entries), REMEMBERED):
        few = entries[start : start + REMEMBERED]
        hits = store.words(" ".join(map(word_of, few)), 10_000, Scope()).ids
        if sorted(hits) != [entry.chunk.id for entry in few]:
            found.append(f"words: {len(few)} passages have a word of their own, found {len(hits)}")
    return found


def _bits(vectors: Mapping[str, Any]) -> dict[str, bytes]:
    return {name: given.tobytes() for name, given in vectors.items()}


@dataclass
class Verdict:
    """How far a store is from every state it may be in. state: which one it is in,
    None if in none.
    """

    state: int | None
    lost: int = 0
    ghost: int = 0
    partial: int = 0
    details: Sequence[str] = ()


def judge(store: Any, states: Sequence[Model]) -> Verdict:
    """Compare a store with the states it may be in: the acknowledged one first,
    then those a write in flight leads to.

    lost: documents that are missing or older than acknowledged. ghost: documents that are there
    though no state has them.
    partial: anything else that is wrong, such as words without their passage, or half of a batch.
    """
    refs = {ref for state in states for ref in state.documents}
    with store.snapshot():
        held = {ref: store.get(ref) for ref in refs}
    details: list[str] = []
    for number, state in enumerate(states):
        if any(held[ref] != state.document(ref) for ref in refs):
            continue
        wrong = differences(store, state)
        if not wrong:
            return Verdict(number)
        details += [f"nearly state {number}: {line}" for line in wrong[:5]]
    verdict = Verdict(None, details=details or ["the documents are those of no state"])
    strangers = {item.ref for item in store.documents(Scope(), 0, 10_000).items} - refs
    for ref in [*refs, *strangers]:
        if ref in strangers or held[ref] not in [state.document(ref) for state in states]:
            verdict.lost += ref in states[0].documents
            verdict.ghost += ref not in states[0].documents
    verdict.partial = int(not (verdict.lost or verdict.ghost))
    return verdict
