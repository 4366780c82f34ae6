"""Ingest: document -> chunks -> passages -> vectors -> store.

One way, in batches, each of which is kept or not at all.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from time import perf_counter
from typing import TYPE_CHECKING

import attrs

from semantic_core._embedding import EmbeddingLine, PassageEmbedder
from semantic_core._interruption import let_go
from semantic_core._no_embedder import WordsOnly
from semantic_core._text import fingerprints
from semantic_core._validation import STALE, STALE_REASON, clip
from semantic_core.errors import HookFailed, InputError
from semantic_core.protocols import VectorQueue
from semantic_core.types import Chunk, Document, Entry, Failure, IngestReport, Ref

if TYPE_CHECKING:
    from semantic_core._costs import MeteredEmbedder
    from semantic_core._plugins.host import Plugins
    from semantic_core.protocols import Embedder, Store
    from semantic_core.types import Vector

GROUP_CHUNKS = 1_024
"""Chunks gathered before the store is asked what it knows and written to: one transaction."""
GROUP_CHARS = 8_000_000
"""Characters after which a group is closed early, so that memory stays bounded."""


@attrs.frozen
class IngestProgress:
    """How far a run is, after each group: documents written or left out,
    their chunks and characters.
    """

    documents: int
    chunks: int
    characters: int
    embedded: int
    reused: int
    failed: int


@attrs.define
class _Prepared:
    document: Document
    chunks: list[Chunk]
    passages: list[str]
    fingerprints: list[str]


class Ingest:
    """One run. `run` may be called once.

    metered: what an embedder that is paid is asked through. later: (collection, passages embedded
    in this run, those of the document included) -> whether those of the document are left without
    vectors.
    """

    def __init__(
        self,
        plugins: Plugins,
        store: Store,
        embedder: Embedder,
        *,
        max_chars: int,
        metered: MeteredEmbedder | None = None,
        later: Callable[[str, int], bool] = lambda collection, embedding: False,
        progress: Callable[[IngestProgress], None] | None = None,
    ) -> None:
        self._plugins = plugins
        self._store = store
        self._embedder = embedder
        self._max_chars = max_chars
        self._metered = metered
        self._later = later
        self._progress = progress
        self._passages = PassageEmbedder(metered or embedder)
        # Beside splitting goes what is mostly waiting. A metered embedder notes in the store what
        # it pays for, in this thread; and an embedder that computes in this process would only take
        # the interpreter from the rest, the store above all.
        aside = metered is None and not getattr(embedder, "is_local", False)
        self._line = EmbeddingLine(self._passages, aside=aside, most=GROUP_CHUNKS)
        self._vectors: dict[str, Vector | None] = {}
        self._waiting: dict[str, str] = {}  # fingerprint -> passage, to be embedded
        # Documents some of whose passages wait for a full batch; of these, written already.
        self._held: dict[Ref, _Prepared] = {}
        self._begun: set[Ref] = set()
        self._paid: set[str] = set()  # fingerprints of vectors the store does not have yet
        self._stamps: Mapping[Ref, int] | None = None
        self._outcomes: Counter[str] = Counter()
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._failed: list[Failure] = []
        self._documents = self._chunks = self._characters = self._reused = self._pending = 0

    def run(
        self, documents: Iterable[Document], stamps: Mapping[Ref, int] | None = None
    ) -> IngestReport:
        """Ingest all of them. stamps: per ref, the order of the change; others always apply.

        A document a splitter fails on is left as it was and reported. Raises StoreError,
        TenantRequired, TenantRefused; groups written before that stay.
        """
        self._stamps = stamps
        try:
            return self._run(documents)
        finally:
            self._line.close()
            if self._metered is not None:
                self._metered.release()

    def _run(self, documents: Iterable[Document]) -> IngestReport:
        started = perf_counter()
        try:
            for group in self._groups(documents):
                self._look_up(group)
                for prepared in group:
                    # A later version never waits behind its earlier.
                    self._held.pop(prepared.document.ref, None)
                    self._begun.discard(prepared.document.ref)
                    self._held[prepared.document.ref] = prepared
                self._embed(everything=False)
                self._write_settled()
        except BaseException as error:
            let_go(error)
            # What was split before it is kept; after Ctrl-C, as far as its vectors are there.
            self._vectors.update(self._line.finished(everything=isinstance(error, Exception)))
            self._keep_paid()
            self._write_settled()
            raise
        self._embed(everything=True)
        self._write_settled()
        return self._report(perf_counter() - started)

    def _write_settled(self) -> None:
        settled = [prepared for prepared in self._held.values() if self._settled(prepared)]
        self._write([each for each in settled if each.document.ref not in self._begun])
        self._fill()
        for prepared in settled:
            del self._held[prepared.document.ref]
            self._begun.discard(prepared.document.ref)
            self._count(prepared)
        self._forget()
        self._report_progress()

    def _keep_paid(self) -> None:
        """Have the store keep what is paid for, before more is: a document that has some of its
        vectors is written with these, and the others follow.
        """
        if not self._paid:
            return
        begun = [
            prepared
            for ref, prepared in self._held.items()
            if ref not in self._begun and not self._paid.isdisjoint(prepared.fingerprints)
        ]
        self._write(begun)
        self._begun.update(prepared.document.ref for prepared in begun)
        self._fill()
        self._paid.clear()

    def _fill(self) -> None:
        """Give what is paid for to documents that are written already."""
        given = {name: self._vectors.get(name) for name in self._paid if self._begun}
        vectors = {name: vector for name, vector in given.items() if vector is not None}
        if vectors and isinstance(self._store, VectorQueue):
            started = perf_counter()
            self._store.fill(vectors)
            self._seconds["store"] += perf_counter() - started

    def _forget(self) -> None:
        """Keep the vectors of held documents only: the store knows the others now,
        and memory stays bounded.
        """
        needed = {name for prepared in self._held.values() for name in prepared.fingerprints}
        self._vectors = {name: vector for name, vector in self._vectors.items() if name in needed}
        self._paid &= needed

    def _groups(self, documents: Iterable[Document]) -> Iterator[list[_Prepared]]:
        group: list[_Prepared] = []
        chunks = characters = 0
        for document in documents:
            if not isinstance(document, Document):
                raise InputError(
                    f"ingest takes Documents, got {type(document).__name__}: {clip(document)}."
                )
            started = perf_counter()
            prepared = self._prepare(document)
            self._seconds["split"] += perf_counter() - started
            if prepared is None:
                continue
            group.append(prepared)
            chunks += max(1, len(prepared.chunks))
            characters += len(document.text)
            if chunks >= GROUP_CHUNKS or characters >= GROUP_CHARS:
                yield group
                group = []
                chunks = 0
                characters = 0
        if group:
            yield group

    def _prepare(self, document: Document) -> _Prepared | None:
        self._documents += 1
        self._characters += len(document.text)
        try:
            described = self._plugins.describe(document)
            chunks = self._plugins.split(described, self._max_chars)
            passages = self._plugins.context(described, chunks)
        except HookFailed as error:
            self._failed.append(Failure(str(document.ref), error.code, str(error)))
            return None
        self._chunks += len(chunks)
        names = fingerprints(self._embedder.space, passages, document.ref.tenant)
        return _Prepared(described, chunks, passages, list(names))

    def _look_up(self, group: list[_Prepared]) -> None:
        started = perf_counter()
        passages: dict[str, str] = {}
        owners: dict[str, tuple[str, str]] = {}  # of those to be embedded now
        asked = self._passages.embedded + len(self._waiting) + len(self._line)
        for prepared in group:
            ref = prepared.document.ref
            later = self._later(ref.collection, asked + len(owners) + len(prepared.passages))
            for name, passage in zip(prepared.fingerprints, prepared.passages, strict=True):
                if (
                    name not in self._vectors
                    and name not in self._waiting
                    and name not in self._line
                ):
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
                self._vectors[name] = None  # a job's, or somebody else's, or nobody's yet
        self._seconds["store"] += perf_counter() - started

    def _embed(self, *, everything: bool) -> None:
        started = perf_counter()
        stored = self._seconds["store"]
        size = self._passages.batch_size
        while (
            len(self._waiting) >= size
            or (everything and self._waiting)
            or (self._passages.away and self._waiting)
        ):
            names = [name for name, _ in zip(self._waiting, range(size), strict=False)]
            self._keep_paid()
            self._line.put(
                {name: self._waiting.pop(name) for name in names},
                last=everything and not self._waiting,
            )
            if self._metered is not None:
                self._vectors.update(self._line.finished(everything=True))
                self._paid.update(name for name in names if self._vectors[name] is not None)
        self._vectors.update(self._line.finished(everything=everything))
        self._seconds["embed"] += perf_counter() - started - (self._seconds["store"] - stored)

    def _settled(self, prepared: _Prepared) -> bool:
        return all(name in self._vectors for name in prepared.fingerprints)

    def _write(self, ready: list[_Prepared]) -> None:
        if not ready:
            return
        started = perf_counter()
        batch = [(prepared.document, self._entries(prepared)) for prepared in ready]
        report = self._store.replace(batch, self._stamps)
        self._outcomes.update(outcome for _, outcome in report.outcomes)
        self._failed += [
            Failure(str(ref), STALE, STALE_REASON) for ref, what in report.outcomes if what == STALE
        ]
        self._seconds["store"] += perf_counter() - started

    def _entries(self, prepared: _Prepared) -> list[Entry]:
        return [
            Entry(chunk, passage, name, self._vectors.get(name))
            for chunk, passage, name in zip(
                prepared.chunks, prepared.passages, prepared.fingerprints, strict=True
            )
        ]

    def _count(self, prepared: _Prepared) -> None:
        """Add what a document that is written lacks to the report."""
        self._pending += sum(self._vectors[name] is None for name in prepared.fingerprints)
        for chunk, passage in zip(prepared.chunks, prepared.passages, strict=True):
            refusal = self._passages.refused.get(passage)
            if refusal is not None:
                self._failed.append(Failure(str(chunk.id), refusal.code, refusal.reason))

    def _report_progress(self) -> None:
        if self._progress is not None:
            held = sum(len(prepared.chunks) for prepared in self._held.values())
            self._progress(
                IngestProgress(
                    documents=self._documents - len(self._held),
                    chunks=self._chunks - held,
                    characters=self._characters
                    - sum(len(prepared.document.text) for prepared in self._held.values()),
                    embedded=self._passages.embedded,
                    reused=self._reused,
                    failed=len(self._failed),
                )
            )

    def _report(self, total: float) -> IngestReport:
        away = (self._passages.away,) if self._passages.away else ()
        return IngestReport(
            added=self._outcomes["added"],
            updated=self._outcomes["updated"],
            unchanged=self._outcomes["unchanged"],
            failed=(*self._failed, *away),
            chunks=self._chunks,
            embedded=self._passages.embedded,
            reused=self._reused,
            pending=self._pending,
            timings={**self._seconds, "total": total},
        )
