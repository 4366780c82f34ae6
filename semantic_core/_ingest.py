"""Ingest: document -> chunks -> passages -> vectors -> store, in groups that are each one
transaction.

Tested by tests/kernel/test_ingest.py.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from time import perf_counter
from typing import TYPE_CHECKING

import attrs

from semantic_core._embedding import PassageEmbedder
from semantic_core._interruption import let_go
from semantic_core._no_embedder import WordsOnly
from semantic_core._parts import Together
from semantic_core._text import fingerprints
from semantic_core._validation import STALE, STALE_REASON, clip
from semantic_core.errors import HookFailed, InputError
from semantic_core.protocols import VectorQueue
from semantic_core.types import Chunk, Document, Entry, Failure, IngestReport, Ref

if TYPE_CHECKING:
    from semantic_core._announcer import Announcer
    from semantic_core._costs import MeteredEmbedder
    from semantic_core._plugins.host import Plugins
    from semantic_core.protocols import Embedder, Store
    from semantic_core.types import Vector

GROUP_CHUNKS = 1_024
"""Chunks of one group: known vectors are looked up, and the group is written in one transaction."""
GROUP_CHARS = 8_000_000
"""A group with this many characters ends early, so that memory stays bounded."""


@attrs.frozen
class IngestProgress:
    """The progress of a run after each group: documents written or left out, with their chunks and
    characters.
    """

    documents: int
    chunks: int
    characters: int
    embedded: int
    reused: int
    failed: int


@attrs.define(eq=False)
class _Unit:
    """What is written together. obsolete: refs to be removed when it is written."""

    obsolete: Sequence[Ref] = ()


@attrs.define
class _Prepared:
    unit: _Unit
    document: Document
    chunks: list[Chunk]
    passages: list[str]
    fingerprints: list[str]


class EmbeddingLine:
    """Batches that are being embedded, in order, one at a time.

    aside: embed in another thread, so that the run continues meanwhile; a run of a single batch
    needs none. most: `put` waits if more passages would be in the line. names: of the passages in
    the line.
    """

    def __init__(self, passages: PassageEmbedder, *, aside: bool, most: int) -> None:
        self._passages = passages
        self._aside = aside
        self._most = most
        self._thread: ThreadPoolExecutor | None = None
        self.names: set[str] = set()
        self._batches: deque[tuple[list[str], Future[list[Vector | None]]]] = deque()
        self._done: dict[str, Vector | None] = {}

    def put(self, batch: Mapping[str, str], *, last: bool = False) -> None:
        """Embed passages, given by name. last: the run has nothing else to do meanwhile, so that
        no thread is needed.
        """
        names = list(batch)
        texts = list(batch.values())
        if not self._aside or (last and not self._batches):
            self._done.update(zip(names, self._passages.embed(texts), strict=True))
            return
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "semantic-core-embed")
        while self._batches and len(self.names) + len(names) > self._most:
            self._take()
        self.names.update(names)
        self._batches.append((names, self._thread.submit(self._passages.embed, texts)))

    def finished(self, *, everything: bool) -> Mapping[str, Vector | None]:
        """The new vectors since the last call, by name. everything: wait for all in the line."""
        while self._batches and (everything or self._batches[0][1].done()):
            self._take()
        done = self._done
        self._done = {}
        return done

    def close(self) -> None:
        """Drop batches that have not begun. One that has begun ends by itself."""
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)

    def _take(self) -> None:
        names, future = self._batches.popleft()
        self._done.update(zip(names, future.result(), strict=True))
        self.names.difference_update(names)


class Ingest:
    """One run. `run` may be called once.

    metered: for a paid embedder. later: (collection, passages embedded in this run, including those
    of the document) -> whether the passages of the document are left without vectors.
    """

    def __init__(
        self,
        plugins: Plugins,
        store: Store,
        embedder: Embedder,
        announcer: Announcer,
        *,
        max_chars: int,
        metered: MeteredEmbedder | None = None,
        later: Callable[[str, int], bool] | None = None,
        progress: Callable[[IngestProgress], None] | None = None,
    ) -> None:
        self._plugins = plugins
        self._store = store
        self._embedder = embedder
        self._announcer = announcer
        self._space = embedder.space
        self._max_chars = max_chars
        self._metered = metered
        self._later = later
        self._progress = progress
        self._passages = PassageEmbedder(metered or embedder)
        # Another thread helps if the embedder mostly waits. A metered embedder stores its costs in
        # this thread; and an embedder that computes in this process would only compete with the
        # rest for the interpreter.
        aside = metered is None and not getattr(embedder, "is_local", False)
        self._line = EmbeddingLine(self._passages, aside=aside, most=GROUP_CHUNKS)
        self._vectors: dict[str, Vector | None] = {}
        self._waiting: dict[str, str] = {}  # fingerprint -> passage, to be embedded
        self._held: dict[Ref, _Prepared] = {}  # documents with passages in an unfinished batch
        self._begun: set[Ref] = set()  # those of them that are written already
        self._paid: set[str] = set()  # fingerprints of vectors the store does not have yet
        self._stamps: Mapping[Ref, int] | None = None
        self._outcomes: Counter[str] = Counter()
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._failed: list[Failure] = []
        self._documents = 0
        self._chunks = 0
        self._characters = 0
        self._reused = 0
        self._pending = 0
        self._removed = 0

    def run(
        self, documents: Iterable[Document | Together], stamps: Mapping[Ref, int] | None = None
    ) -> IngestReport:
        """Ingest documents. stamps: by ref, the order of the change; a document without one is
        always written.

        A document whose splitter fails stays as it was and is reported. Raises StoreError,
        TenantRequired, TenantRefused; groups written before that stay.
        """
        self._stamps = stamps
        try:
            return self._run(documents)
        finally:
            self._line.close()
            if self._metered is not None:
                self._metered.release()

    def _run(self, documents: Iterable[Document | Together]) -> IngestReport:
        started = perf_counter()
        try:
            for group in self._groups(documents):
                self._look_up(group)
                for prepared in group:
                    # A later version replaces an earlier one that is held.
                    self._held.pop(prepared.document.ref, None)
                    self._begun.discard(prepared.document.ref)
                    self._held[prepared.document.ref] = prepared
                self._embed(everything=False)
                self._write_settled()
        except BaseException as error:
            let_go(error)
            # Documents that were split before are written; after Ctrl-C, those with their vectors.
            self._vectors.update(self._line.finished(everything=isinstance(error, Exception)))
            self._keep_paid()
            self._write_settled()
            raise
        self._embed(everything=True)
        self._write_settled()
        return self._report(perf_counter() - started)

    def _write_settled(self) -> None:
        settled = self._settled()
        self._write([each for each in settled if each.document.ref not in self._begun])
        self._fill()
        for prepared in settled:
            del self._held[prepared.document.ref]
            self._begun.discard(prepared.document.ref)
            self._count(prepared)
        self._forget()
        self._report_progress()

    def _keep_paid(self) -> None:
        """Store vectors that are paid for before more are paid for: a document with some of its
        vectors is written with these, and the others follow.
        """
        if not self._paid:
            return
        paid = set()
        for prepared in self._held.values():
            if not self._paid.isdisjoint(prepared.fingerprints):
                paid.add(prepared.unit)
        begun = []
        for ref, prepared in self._held.items():
            if ref not in self._begun and prepared.unit in paid:
                begun.append(prepared)
        self._write(begun)
        for prepared in begun:
            self._begun.add(prepared.document.ref)
        self._fill()
        self._paid.clear()

    def _fill(self) -> None:
        """Store the vectors that are paid for with documents that are written already."""
        if not self._begun:
            return
        vectors = {}
        for name in self._paid:
            vector = self._vectors.get(name)
            if vector is not None:
                vectors[name] = vector
        if vectors and isinstance(self._store, VectorQueue):
            started = perf_counter()
            self._store.fill(vectors)
            self._seconds["store"] += perf_counter() - started

    def _forget(self) -> None:
        """Forget the vectors of documents that are not held: they are stored, and memory stays
        bounded.
        """
        needed: set[str] = set()
        for prepared in self._held.values():
            needed.update(prepared.fingerprints)
        self._vectors = {name: vector for name, vector in self._vectors.items() if name in needed}
        self._paid &= needed

    def _groups(self, documents: Iterable[Document | Together]) -> Iterator[list[_Prepared]]:
        group: list[_Prepared] = []
        chunks = 0
        characters = 0
        for item in documents:
            together = item if isinstance(item, Together) else Together([item])
            started = perf_counter()
            unit = self._prepared(together)
            self._seconds["split"] += perf_counter() - started
            for prepared in unit:
                group.append(prepared)
                chunks += max(1, len(prepared.chunks))
                characters += len(prepared.document.text)
            if chunks >= GROUP_CHUNKS or characters >= GROUP_CHARS:
                yield group
                group = []
                chunks = 0
                characters = 0
        if group:
            yield group

    def _prepared(self, together: Together) -> list[_Prepared]:
        """The documents that are written together; [] if one of them fails."""
        for document in together.documents:
            if not isinstance(document, Document):
                raise InputError(
                    f"ingest takes Documents, got {type(document).__name__}: {clip(document)}."
                )
            self._documents += 1
            self._characters += len(document.text)
        unit = _Unit(together.obsolete)
        prepared = []
        for document in together.documents:
            try:
                prepared.append(self._prepare(unit, document))
            except HookFailed as error:
                reason = str(error)
                if len(together.documents) > 1:
                    first = together.documents[0].ref
                    reason = f"{reason} No document of {first} was changed."
                self._failed.append(Failure(str(document.ref), error.code, reason))
                return []
        for each in prepared:
            self._chunks += len(each.chunks)
        return prepared

    def _prepare(self, unit: _Unit, document: Document) -> _Prepared:
        described = self._plugins.describe(document)
        chunks = self._plugins.split(described, self._max_chars)
        passages = self._plugins.context(described, chunks)
        names = fingerprints(self._space, passages, document.ref.tenant)
        return _Prepared(unit, described, chunks, passages, names)

    def _look_up(self, group: list[_Prepared]) -> None:
        started = perf_counter()
        passages: dict[str, str] = {}
        owners: dict[str, tuple[str, str]] = {}  # of those to be embedded now
        before = self._passages.embedded + len(self._waiting) + len(self._line.names)
        for prepared in group:
            ref = prepared.document.ref
            embedding = before + len(owners) + len(prepared.passages)
            later = self._later is not None and self._later(ref.collection, embedding)
            for name, passage in zip(prepared.fingerprints, prepared.passages, strict=True):
                if name in self._vectors or name in self._waiting or name in self._line.names:
                    continue
                passages[name] = passage
                if not later:
                    owners.setdefault(name, (ref.tenant, ref.collection))
        known = self._store.known(passages.keys())
        self._vectors.update(known)
        self._reused += 0 if isinstance(self._embedder, WordsOnly) else len(known)
        wanted = {name: passages[name] for name in owners if name not in known}
        held = wanted.keys() if self._metered is None else self._metered.hold(wanted, owners)
        for name, passage in passages.items():
            if name in held:
                self._waiting[name] = passage
            elif name not in known:
                self._vectors[name] = None  # embedded by a job or another run, or later
        self._seconds["store"] += perf_counter() - started

    def _embed(self, *, everything: bool) -> None:
        started = perf_counter()
        stored = self._seconds["store"]
        size = self._passages.batch_size
        while self._waiting:
            full = len(self._waiting) >= size
            if not (full or everything or self._passages.unavailable):
                break
            names = list(islice(self._waiting, size))
            self._keep_paid()
            batch = {name: self._waiting.pop(name) for name in names}
            self._line.put(batch, last=everything and not self._waiting)
            if self._metered is not None:
                self._vectors.update(self._line.finished(everything=True))
                for name in names:
                    if self._vectors[name] is not None:
                        self._paid.add(name)
        self._vectors.update(self._line.finished(everything=everything))
        self._seconds["embed"] += perf_counter() - started - (self._seconds["store"] - stored)

    def _settled(self) -> list[_Prepared]:
        """The documents that are held, and wait for no vector of themselves or of those that are
        written with them.
        """
        waiting = set()
        for prepared in self._held.values():
            if not all(name in self._vectors for name in prepared.fingerprints):
                waiting.add(prepared.unit)
        return [prepared for prepared in self._held.values() if prepared.unit not in waiting]

    def _write(self, ready: list[_Prepared]) -> None:
        if not ready:
            return
        started = perf_counter()
        # Before the documents: if this process ends in between, the next run removes the rest.
        obsolete: list[Ref] = []
        for prepared in ready:
            obsolete += prepared.unit.obsolete
            prepared.unit.obsolete = ()
        if obsolete:
            existing = self._announcer.removing(obsolete)
            self._removed += self._store.remove(obsolete)
            self._announcer.removed(existing)
        batch = [(prepared.document, self._entries(prepared)) for prepared in ready]
        report = self._store.replace(batch, self._stamps)
        for ref, outcome in report.outcomes:
            self._outcomes[outcome] += 1
            if outcome == STALE:
                self._failed.append(Failure(str(ref), STALE, STALE_REASON))
        self._seconds["store"] += perf_counter() - started
        self._announcer.written(report)

    def _entries(self, prepared: _Prepared) -> list[Entry]:
        rows = zip(prepared.chunks, prepared.passages, prepared.fingerprints, strict=True)
        vectors = self._vectors
        return [Entry(chunk, passage, name, vectors.get(name)) for chunk, passage, name in rows]

    def _count(self, prepared: _Prepared) -> None:
        """Add the missing vectors of a written document to the report."""
        self._pending += sum(self._vectors[name] is None for name in prepared.fingerprints)
        for chunk, passage in zip(prepared.chunks, prepared.passages, strict=True):
            refusal = self._passages.refused.get(passage)
            if refusal is not None:
                self._failed.append(Failure(str(chunk.id), refusal.code, refusal.reason))

    def _report_progress(self) -> None:
        if self._progress is None:
            return
        chunks = self._chunks
        characters = self._characters
        for prepared in self._held.values():
            chunks -= len(prepared.chunks)
            characters -= len(prepared.document.text)
        self._progress(
            IngestProgress(
                documents=self._documents - len(self._held),
                chunks=chunks,
                characters=characters,
                embedded=self._passages.embedded,
                reused=self._reused,
                failed=len(self._failed),
            )
        )

    def _report(self, total: float) -> IngestReport:
        failed = list(self._failed)
        if self._passages.unavailable:
            failed.append(self._passages.unavailable)
        self._announcer.failed("ingest", failed)
        self._announcer.embedded(self._passages.embedded, self._space)
        return IngestReport(
            added=self._outcomes["added"],
            updated=self._outcomes["updated"],
            unchanged=self._outcomes["unchanged"],
            removed=self._removed,
            failed=tuple(failed),
            chunks=self._chunks,
            embedded=self._passages.embedded,
            reused=self._reused,
            pending=self._pending,
            timings={**self._seconds, "total": total},
        )
