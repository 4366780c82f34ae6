"""What several benchmarks of one run share, made once: the corpus cut into passages,
and indexes of a known size.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import attrs

from benchmarks.corpus import Corpus, Passage, find_corpus, passages_of, queries_of
from semantic_core import Chunk, ChunkId, Document, Entry, Ref, SemanticCore, Space, hookimpl

if TYPE_CHECKING:
    from semantic_core.types import Vector, Vectors

CORPUS_BYTES = 10_000_000
INDEX_CHUNKS = 100_000
QUERIES = 200
PER_DOCUMENT = 8
"""Chunks a document of an index has."""
GROUP = 128
"""Documents written in one transaction: about as many chunks as an ingest writes at once."""
BUCKETS = 100
"""Documents fall into so many buckets in turn, so that one is 1 % of them; the same for tenants."""
ONE_PERCENT: Mapping[str, Any] = {"bucket": 7}
HALF: Mapping[str, Any] = {"even": True}


class Recorder:
    """A plugin that keeps what splitters and context make of every document, as it passes by."""

    def __init__(self) -> None:
        self.seen: list[tuple[Document, tuple[Chunk, ...], tuple[str, ...]]] = []

    @hookimpl(wrapper=True)
    def semantic_context(
        self, document: Document, chunks: Sequence[Chunk]
    ) -> Generator[None, Sequence[str], Sequence[str]]:
        """The passages as they are."""
        passages = yield
        self.seen.append((document, tuple(chunks), tuple(passages)))
        return passages


class GivenVectors:
    """An embedder that knows its vectors already: what a search costs without making one."""

    batch_size = 1_024
    max_chars = 1_000_000

    def __init__(self, space: Space, vectors: Mapping[str, Vector]) -> None:
        self.space, self._vectors = space, vectors

    def embed_query(self, text: str) -> Vector:
        """The vector given for this text."""
        return self._vectors[text]

    def embed_documents(self, passages: Sequence[str]) -> Vectors:
        """The vectors given for these texts."""
        import numpy as np

        return np.array([self._vectors[passage] for passage in passages], dtype=np.float32)


@attrs.frozen(eq=False)
class Index:
    """A store of a known size. passages, vectors: of its chunks, in order; row r is chunk r %
    PER_DOCUMENT of document r // PER_DOCUMENT, whose key is that number. path: its file. seconds:
    what writing it took, vectors given."""

    path: Path
    passages: Sequence[Passage]
    vectors: Vectors
    seconds: float

    def row(self, id: ChunkId) -> int:
        """The row a chunk is made of."""
        return int(id.ref.key) * PER_DOCUMENT + id.position


class Workbench:
    """The sizes of a run, its folder, and what its benchmarks share.

    scale: share of the full sizes. quick: as few runs as can be. store, embedder: names of
    installed ones.
    """

    def __init__(
        self,
        folder: Path,
        *,
        scale: float = 1.0,
        quick: bool = False,
        store: str = "sqlite",
        embedder: str = "wordllama",
    ) -> None:
        self.folder, self.scale, self.quick, self.store, self.embedder = (
            folder,
            scale,
            quick,
            store,
            embedder,
        )

    def size(self, full: int, least: int) -> int:
        """The full size at this scale, and never below what the benchmark needs
        to mean anything.
        """
        return max(least, int(full * self.scale))

    def rounds(self, full: int) -> int:
        """How often to measure."""
        return 1 if self.quick else full

    def fresh(self, name: str) -> Path:
        """A folder of that name that is new."""
        number = 0
        while (folder := self.folder / f"{name}-{number}").exists():
            number += 1
        folder.mkdir(parents=True)
        return folder

    def open(
        self, path: Path, *, embedder: Any = None, multi_tenant: bool | None = None
    ) -> SemanticCore:
        """A client for the store in a file. embedder: None takes the one of this run."""
        return SemanticCore(
            store=self.store,
            embedder=embedder or self.embedder,
            path=path,
            multi_tenant=multi_tenant,
        )

    @cached_property
    def corpus(self) -> Corpus:
        """Real text."""
        return find_corpus(self.size(CORPUS_BYTES, 60_000))

    @cached_property
    def recorded(self) -> list[tuple[Document, tuple[Chunk, ...], tuple[str, ...]]]:
        """The corpus as the installed splitters cut it: documents, chunks, passages."""
        return self.record(self.corpus.documents)

    def record(
        self, documents: Sequence[Document]
    ) -> list[tuple[Document, tuple[Chunk, ...], tuple[str, ...]]]:
        """The same of these documents."""
        recorder = Recorder()
        with SemanticCore(store="memory", embedder=self.embedder) as plain:
            names = [
                info.name
                for info in plain.plugins()
                if info.origin == "installed" and info.status == "ok"
            ]
        with SemanticCore(
            store="memory", embedder=self.embedder, plugins=[*names, recorder]
        ) as core:
            core.ingest(documents, mode="async")
        return recorder.seen

    @cached_property
    def queries(self) -> list[str]:
        """Headings of the corpus."""
        return queries_of(
            [(document, chunks) for document, chunks, _ in self.recorded],
            20 if self.quick else QUERIES,
        )

    @cached_property
    def passages(self) -> list[Passage]:
        """As many as a full index has."""
        count = self.size(INDEX_CHUNKS, 400) // PER_DOCUMENT * PER_DOCUMENT
        return passages_of([(document, chunks) for document, chunks, _ in self.recorded], count)

    @property
    def real_passages(self) -> int:
        """How many of `passages` are real ones, the rest being splices."""
        return min(len(self.passages), sum(len(chunks) for _, chunks, _ in self.recorded))

    @cached_property
    def vectors(self) -> Vectors:
        """Of `passages`, by the embedder in use."""
        import numpy as np

        with SemanticCore(store="memory", embedder=self.embedder) as core:
            texts = [passage.full for passage in self.passages]
            size = core.embedder.batch_size
            blocks = [
                core.embedder.embed_documents(texts[start : start + size])
                for start in range(0, len(texts), size)
            ]
        return np.concatenate(blocks)

    @cached_property
    def index(self) -> Index:
        """All passages, single-tenant."""
        return self._build("index", multi_tenant=False)

    @cached_property
    def shared_index(self) -> Index:
        """All passages, spread over BUCKETS tenants."""
        return self._build("tenants", multi_tenant=True)

    def _build(self, name: str, *, multi_tenant: bool) -> Index:
        path = self.fresh(name) / "index.db"
        batches = list(batches_of(self.passages, self.vectors, multi_tenant=multi_tenant))
        with self.open(path, multi_tenant=multi_tenant) as core:
            started = perf_counter()
            for batch in batches:
                core.store.replace(batch)
            spent = perf_counter() - started
        return Index(path, self.passages, self.vectors, spent)


def batches_of(
    passages: Sequence[Passage],
    vectors: Vectors | None,
    *,
    multi_tenant: bool = False,
    words: bool = True,
) -> Iterator[list[tuple[Document, list[Entry]]]]:
    """Documents with their entries, as a store takes them, in groups of a transaction's size.

    vectors: None leaves every entry without one. words: False gives empty passages, so that there
    is nothing to find by words and the text of the chunks alone is kept.
    """
    batch: list[tuple[Document, list[Entry]]] = []
    for number in range(len(passages) // PER_DOCUMENT):
        first = number * PER_DOCUMENT
        batch.append(
            document_of(
                number,
                passages[first : first + PER_DOCUMENT],
                None if vectors is None else vectors[first : first + PER_DOCUMENT],
                tenant=f"tenant-{number % BUCKETS}" if multi_tenant else "",
                words=words,
            )
        )
        if len(batch) == GROUP:
            yield batch
            batch = []
    if batch:
        yield batch


def document_of(
    number: int,
    passages: Sequence[Passage],
    vectors: Vectors | None,
    *,
    tenant: str = "",
    words: bool = True,
) -> tuple[Document, list[Entry]]:
    """A document with these passages, as a store takes it; see `batches_of`."""
    ref = Ref("bench", str(number), tenant)
    metadata = {"bucket": number % BUCKETS, "even": number % 2 == 0}
    document = Document(
        ref, "\n\n".join(passage.text for passage in passages), passages[0].title, metadata=metadata
    )
    entries, start = [], 0
    for position, passage in enumerate(passages):
        end = start + len(passage.text)
        chunk = Chunk(ChunkId(ref, position), passage.text, start, end, "text", passage.headings)
        full = passage.full if words else ""
        name = blake2b(f"{number}.{position} {full}".encode(), digest_size=16).hexdigest()
        entries.append(Entry(chunk, full, name, None if vectors is None else vectors[position]))
        start = end + 2
    return document, entries


def recall(
    found: Sequence[int], query: Vector, matrix: Vectors, least: float, limit: int = 10
) -> float:
    """Share of `limit` that was found, ties allowed: a hit counts when its true score reaches
    `least`, the limit-th true score. A row found twice counts once."""
    rows = list(dict.fromkeys(found))[:limit]
    if not rows:
        return 0.0
    return float((matrix[rows] @ query >= least - 1e-6).sum()) / limit


def least_scores(queries: Vectors, matrix: Vectors, limit: int = 10) -> list[float]:
    """For each query the limit-th best true score, by float32 product with everything."""
    import numpy as np

    found: list[float] = []
    step = max(1, 50_000_000 // len(matrix))
    for start in range(0, len(queries), step):
        scores = queries[start : start + step] @ matrix.T
        found += np.partition(scores, -limit, axis=1)[:, -limit].tolist()
    return found
