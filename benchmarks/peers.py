"""Nearest neighbours beside other libraries: the same vectors, the same queries, one thread,
one process, in turn.

``python -m benchmarks peers``. A peer that is not installed is listed with the reason; none is a
part of the product: ``pip install "semantic-core-kernel[peers]"`` brings them. Recall is against
exact float32, ties allowed: a hit counts when its true score reaches the tenth true score. An
approximate peer is given the least effort that brings its recall to ENOUGH on other queries than
are measured, or all the effort it takes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from shutil import rmtree
from statistics import fmean
from time import perf_counter, sleep
from typing import TYPE_CHECKING, Any

import attrs

from benchmarks._measure import Timing
from benchmarks._report import Figure, Report, Target, timed
from benchmarks._workbench import QUERIES, GivenVectors, Workbench, least_scores, recall
from benchmarks.corpus import clustered, queries_of
from semantic_core import Chunk, ChunkId, Document, Entry, Ref, Scope, SemanticCore, Space

if TYPE_CHECKING:
    from semantic_core.types import Vectors

CASES = ((100_000, 768, 100), (1_000_000, 256, 40))
"""Vectors, dimensions, queries of the cases with synthetic vectors;
the first case is the index of real passages.
"""
REAL = "real text, "
"""How that case is called."""
TURN = 10
"""Queries a peer answers before it is the next one's turn: as a busy process does,
whose caches hold what it needs.
"""
LIMIT, WARM, TASTE = 10, 3, 500
"""Neighbours asked for; queries not counted; vectors of a first index,
after which all that a peer imports is loaded.
"""
TUNING, ENOUGH = 50, 0.999
"""Queries to find the effort with; recall that is as good as exact."""
ROUNDS_OF_TWO = 5
"""How often every query is asked of ours and of the bare kernel alone,
without the others in between.
"""
THREADS = ("OMP", "OPENBLAS", "MKL", "RAYON", "NUMEXPR")
ALONE = {f"{library}_NUM_THREADS": "1" for library in THREADS} | {
    "LANCE_CPU_THREADS": "1",
    "LANCE_IO_THREADS": "1",
    "TOKIO_WORKER_THREADS": "1",
    "ANONYMIZED_TELEMETRY": "False",
    "HF_HUB_OFFLINE": "1",
    "LANCE_LOG": "error",
}
"""Environment of the process that measures: one thread a library, no calls home."""
OURS, BARE = "Semantic Core", "bare int8 kernel and select"
OURS_PER_DOCUMENT, OURS_AT_ONCE = 10, 1_000
TARGETS = {"sqlite-vec vec0": Target(">=", 25.0), "faiss Flat": Target(">=", 2.2)}
AHEAD = Target(">=", 1.0)
"""Of every peer that is exact, and of an approximate one at equal recall."""
NEAR_BARE = Target("<=", 1.3)


@attrs.frozen
class Adapter:
    """How to make one.

    most: numbers (vectors times dimensions) it is given at most, because building with more takes
    too long. exact: by design. efforts: what `Found.strive` may be told, least first.
    """

    make: Callable[[Vectors, Path, str], Found]
    exact: bool
    most: int = 1_000_000_000
    efforts: Sequence[int] = ()


class Found:
    """A peer that is a function. strive: sets how hard it tries, where that can be set."""

    def __init__(
        self,
        search: Callable[[Any, int], Sequence[int]],
        strive: Callable[[int], object] | None = None,
    ) -> None:
        self.search, self.strive = search, strive


def _ours(vectors: Vectors, folder: Path, store: str) -> Found:
    embedder = GivenVectors(Space("given", vectors.shape[1]), {})
    core = SemanticCore(store=store, embedder=embedder, path=folder / "index.db")
    for start in range(0, len(vectors), OURS_AT_ONCE):
        firsts = range(start, min(start + OURS_AT_ONCE, len(vectors)), OURS_PER_DOCUMENT)
        core.store.replace(
            [_document(first, vectors[first : first + OURS_PER_DOCUMENT]) for first in firsts]
        )
    nearest, scope = core.store.nearest, Scope()
    return Found(
        lambda query, limit: [
            int(id.ref.key) + id.position for id in nearest(query, limit, scope).ids
        ]
    )


def _document(first: int, vectors: Vectors) -> tuple[Document, list[Entry]]:
    """A document whose key is the row of its first vector."""
    ref = Ref("vectors", str(first))
    texts = [f"row {first + position}" for position in range(len(vectors))]
    entries, start = [], 0
    for position, (text, vector) in enumerate(zip(texts, vectors, strict=True)):
        chunk = Chunk(ChunkId(ref, position), text, start, start + len(text))
        entries.append(Entry(chunk, text, f"{first + position:032x}", vector))
        start += len(text) + 1
    return Document(ref, "\n".join(texts)), entries


def _bare(vectors: Vectors, folder: Path, store: str) -> Found:
    """No peer but a bound: one int8 scan with one scale for all,
    the best by their rough scores, no rows read.
    """
    import numpy as np
    import simsimd

    codes = np.rint(vectors * (127 / np.abs(vectors).max())).astype(np.int8)
    step = max(1, len(vectors) // 4_096)

    def search(query: Any, limit: int) -> Sequence[int]:
        coded = np.rint(query * (127 / np.abs(query).max())).astype(np.int8)[None]
        scores = np.asarray(
            simsimd.cdist(coded, codes, metric="dot", dtype="int8", out_dtype="float32")
        )[0]
        sample = scores[::step]
        wanted = min(len(sample) - 1, 8 + 3 * limit // step)
        places = np.flatnonzero(
            scores >= np.partition(sample, len(sample) - wanted)[len(sample) - wanted]
        )
        best = (
            places[np.argpartition(scores[places], -limit)[-limit:]]
            if len(places) > limit
            else places
        )
        return best[np.argsort(-scores[best])].tolist()  # type: ignore[no-any-return]

    return Found(search)


def _numpy(vectors: Vectors, folder: Path, store: str) -> Found:
    import numpy as np

    def search(query: Any, limit: int) -> Sequence[int]:
        scores = vectors @ query
        best = np.argpartition(scores, -limit)[-limit:]
        return best[np.argsort(-scores[best])].tolist()  # type: ignore[no-any-return]

    return Found(search)


def _sqlite_vec(vectors: Vectors, folder: Path, store: str) -> Found:
    import apsw
    import sqlite_vec

    connection: Any = apsw.Connection(str(folder / "vec0.db"))
    connection.enable_load_extension(True)
    connection.load_extension(sqlite_vec.loadable_path())
    connection.execute("pragma journal_mode = wal")
    connection.execute(
        f"create virtual table v using vec0(e float[{vectors.shape[1]}] distance_metric=cosine)"
    )
    with connection:
        rows = ((row, vector.tobytes()) for row, vector in enumerate(vectors))
        connection.executemany("insert into v (rowid, e) values (?, ?)", rows)

    def search(query: Any, limit: int) -> Sequence[int]:
        nearest = "select rowid from v where e match ? and k = ? order by distance"
        return [row for (row,) in connection.execute(nearest, (query.tobytes(), limit))]

    return Found(search)


def _faiss(kind: str) -> Callable[[Vectors, Path, str], Found]:
    def make(vectors: Vectors, folder: Path, store: str) -> Found:
        import faiss

        faiss.omp_set_num_threads(1)
        size = vectors.shape[1]
        strive = None
        if kind == "Flat":
            index: Any = faiss.IndexFlatIP(size)
        elif kind == "SQ8":
            index = faiss.IndexScalarQuantizer(
                size, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
            )
        elif kind == "HNSW32":
            index = faiss.IndexHNSWFlat(size, 32, faiss.METRIC_INNER_PRODUCT)
            index.hnsw.efConstruction = 100
            strive = partial(setattr, index.hnsw, "efSearch")
        else:
            lists = max(1, min(512, len(vectors) // 40))
            index = faiss.IndexIVFFlat(
                faiss.IndexFlatIP(size), size, lists, faiss.METRIC_INNER_PRODUCT
            )
            strive = partial(setattr, index, "nprobe")
        if not index.is_trained:
            index.train(vectors[:: max(1, len(vectors) // 100_000)])
        index.add(vectors)
        return Found(lambda query, limit: index.search(query[None], limit)[1][0].tolist(), strive)

    return make


def _hnswlib(vectors: Vectors, folder: Path, store: str) -> Found:
    import hnswlib

    index = hnswlib.Index(space="ip", dim=vectors.shape[1])
    index.init_index(max_elements=len(vectors), ef_construction=100, M=16)
    index.set_num_threads(1)
    index.add_items(vectors)
    return Found(lambda query, limit: index.knn_query(query, limit)[0][0].tolist(), index.set_ef)


def _chroma(vectors: Vectors, folder: Path, store: str) -> Found:
    import chromadb
    from chromadb.api.shared_system_client import SharedSystemClient

    settings = chromadb.Settings(anonymized_telemetry=False)
    client = chromadb.PersistentClient(str(folder), settings=settings)
    graph = {"space": "cosine", "num_threads": 1}
    collection = client.create_collection(
        "vectors", configuration={"hnsw": graph}, embedding_function=None
    )
    for start in range(0, len(vectors), 5_000):
        block = vectors[start : start + 5_000]
        collection.add(ids=[str(start + row) for row in range(len(block))], embeddings=block)

    def search(query: Any, limit: int) -> Sequence[int]:
        return [
            int(id)
            for id in collection.query(query_embeddings=query[None], n_results=limit, include=[])[
                "ids"
            ][0]
        ]

    def strive(effort: int) -> None:
        nonlocal collection
        collection.modify(configuration={"hnsw": {"ef_search": effort}})
        SharedSystemClient.clear_system_cache()  # an open index keeps the effort it was opened with
        collection = chromadb.PersistentClient(str(folder), settings=settings).get_collection(
            "vectors", None
        )

    return Found(search, strive)


def _lancedb(vectors: Vectors, folder: Path, store: str) -> Found:
    import lancedb
    import pyarrow as pa

    width = vectors.shape[1]
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), width)
    rows = pa.table({"row": pa.array(range(len(vectors)), pa.int64()), "vector": column})
    table = lancedb.connect(str(folder)).create_table("vectors", rows)

    def search(query: Any, limit: int) -> Sequence[int]:
        found = (
            table.search(query)
            .distance_type("cosine")
            .select(["row", "_distance"])
            .limit(limit)
            .to_arrow()
        )
        return found["row"].to_pylist()  # type: ignore[no-any-return]

    return Found(search)


def _txtai(vectors: Vectors, folder: Path, store: str) -> Found:
    from txtai.ann import ANNFactory

    index = ANNFactory.create({"backend": "faiss", "dimensions": vectors.shape[1]})
    index.index(vectors.copy())

    def strive(effort: int) -> None:
        index.config["faiss"] = {"nprobe": effort}

    return Found(
        lambda query, limit: [row for row, _ in index.search(query[None], limit)[0]], strive
    )


def _qdrant(vectors: Vectors, folder: Path, store: str) -> Found:
    from qdrant_client import QdrantClient, models

    client = QdrantClient(location=":memory:")
    size = models.VectorParams(size=vectors.shape[1], distance=models.Distance.COSINE)
    client.create_collection("vectors", vectors_config=size)
    client.upload_collection("vectors", vectors, ids=range(len(vectors)))

    def search(query: Any, limit: int) -> Sequence[int]:
        return [
            point.id
            for point in client.query_points("vectors", query=query.tolist(), limit=limit).points
        ]

    return Found(search)


SEEKDB_WAIT = 60.0
"""Seconds until what was added is found, at most: it is not at once."""


def _seekdb(vectors: Vectors, folder: Path, store: str) -> Found:
    import pyseekdb

    client = pyseekdb.Client(path=str(folder))
    graph = pyseekdb.HNSWConfiguration(dimension=vectors.shape[1], distance="cosine")
    collection = client.create_collection("vectors", configuration=graph, embedding_function=None)
    for start in range(0, len(vectors), 1_000):
        block = vectors[start : start + 1_000].tolist()
        collection.add(ids=[str(start + row) for row in range(len(block))], embeddings=block)

    def search(query: Any, limit: int) -> Sequence[int]:
        found = collection.query(query_embeddings=query.tolist(), n_results=limit)
        return [int(id) for id in found["ids"][0]]

    until = perf_counter() + SEEKDB_WAIT
    while search(vectors[-1], 1) != [len(vectors) - 1] and perf_counter() < until:
        sleep(0.1)
    return Found(search)


SLOW = 26_000_000
GRAPH = (32, 64, 128, 256, 512, 1_024, 2_048)
CELLS = (4, 8, 16, 32, 64, 128, 256, 512)
ADAPTERS: Mapping[str, Adapter] = {
    OURS: Adapter(_ours, exact=True),
    BARE: Adapter(_bare, exact=False),
    "numpy": Adapter(_numpy, exact=True),
    "sqlite-vec vec0": Adapter(_sqlite_vec, exact=True),
    "faiss Flat": Adapter(_faiss("Flat"), exact=True),
    "lancedb flat": Adapter(_lancedb, exact=True),
    "qdrant local": Adapter(_qdrant, exact=True, most=SLOW),
    "faiss SQ8": Adapter(_faiss("SQ8"), exact=False),
    "faiss IVF512": Adapter(_faiss("IVF"), exact=False, efforts=CELLS),
    "faiss HNSW32": Adapter(_faiss("HNSW32"), exact=False, most=3 * SLOW, efforts=GRAPH),
    "hnswlib M16": Adapter(_hnswlib, exact=False, most=3 * SLOW, efforts=GRAPH),
    "chroma": Adapter(_chroma, exact=False, most=SLOW, efforts=GRAPH),
    "seekdb": Adapter(_seekdb, exact=False, most=SLOW),
    "txtai (its index alone)": Adapter(_txtai, exact=False, most=SLOW, efforts=CELLS),
}


def run(bench: Workbench) -> Report:
    """Every case in a process of its own, whose libraries are told to use one thread
    before they start.
    """
    figures: list[Figure] = []
    left_out: dict[str, str] = {}
    cases = {REAL + _size(*bench.vectors.shape): _real(bench)}
    for full, dimensions, queries in CASES:
        count = bench.size(full, 500)
        cases[f"synthetic, {_size(count, dimensions)}"] = [
            str(count),
            str(dimensions),
            str(10 if bench.quick else queries),
        ]
    for case, given in cases.items():
        folder = bench.fresh("peers")
        command = [sys.executable, "-m", "benchmarks.peers", str(folder), bench.store, *given]
        root = Path(__file__).parent.parent
        done = subprocess.run(
            command, env=os.environ | ALONE, cwd=root, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{case}: {done.stderr}")
        rmtree(folder)
        answer = json.loads(done.stdout.splitlines()[-1])
        figures += _figures(case, answer)
        left_out |= answer["left_out"]
    for name, reason in left_out.items():
        print(f"left out: {name}: {reason}")
    data = {"cases": "; ".join(cases), "left_out": left_out}
    notes = (
        f"One thread each. All peers take turns of {TURN} queries.",
        (
            "Real text: the passages of the search benchmark by the default embedder, asked with "
            "headings of the corpus."
        ),
        (
            "(exact) is what a peer promises; recall is what it did. Efforts were "
            "found on other queries."
        ),
        (
            "Synthetic vectors lie in clusters that approximate indexes find at once: those are "
            "compared with on real text."
        ),
        (
            f"The bare kernel reads no rows and is not exact. {OURS} beside it alone: "
            "only these two take turns."
        ),
    )
    return Report(tuple(figures), data, notes)


def _figures(case: str, answer: Mapping[str, Any]) -> Iterator[Figure]:
    peers = answer["peers"]
    ours = Timing(tuple(peers[OURS]["seconds"]))
    for name, held in peers.items():
        timing = Timing(tuple(held["seconds"]))
        effort = f", effort {held['effort']}" if held["effort"] else ""
        label = f"{case}: {name}{' (exact)' if held['exact'] else ''}"
        yield timed(
            label,
            timing,
            note=(
                f"recall@10 {held['recall']:.4f}{effort}, built "
                f"{held['built_per_s']:,.0f} vectors/s"
            ),
        )
        if name == OURS:
            yield Figure(
                f"{case}: {name}, recall@10", held["recall"], "of 1", target=Target(">=", 0.999)
            )
        elif name != BARE:
            ahead = (
                AHEAD
                if held["exact"] or (case.startswith(REAL) and held["recall"] >= ENOUGH)
                else None
            )
            yield Figure(
                f"{label}, of {OURS}", timing.ratio(ours), "x", target=TARGETS.get(name, ahead)
            )
    if "two" in answer:
        mine, bare = (Timing(tuple(answer["two"][name])) for name in (OURS, BARE))
        yield timed(f"{case}: {OURS}, beside the bare kernel alone", mine)
        yield timed(f"{case}: {BARE}, beside {OURS} alone", bare)
        yield Figure(
            f"{case}: {OURS}, of the bare kernel beside it", mine.ratio(bare), "x", target=NEAR_BARE
        )


def _size(count: int, dimensions: int) -> str:
    return f"{count:,} x {dimensions}"


def _real(bench: Workbench) -> list[str]:
    """Files with the vectors of the index, and of the questions of `main`:
    what another process measures with.
    """
    import numpy as np

    measured = 10 if bench.quick else QUERIES
    cut = [(document, chunks) for document, chunks, _ in bench.recorded]
    with SemanticCore(store="memory", embedder=bench.embedder) as core:
        asked = np.array(
            [core.embedder.embed_query(text) for text in queries_of(cut, TUNING + measured)]
        )
    half = min(TUNING, len(asked) // 2)
    folder = bench.fresh("real")
    paths = []
    for name, held in (
        ("vectors", bench.vectors),
        ("tuning", asked[:half]),
        ("asked", asked[half:]),
    ):
        paths.append(str(folder / f"{name}.npy"))
        np.save(paths[-1], held)
    return paths


def synthetic(count: int, dimensions: int, queries: int) -> tuple[Vectors, Vectors, Vectors]:
    """(vectors, questions to find efforts with, questions to measure)."""
    everything = clustered(count + TUNING + queries, dimensions)
    return (
        everything[:count].copy(),
        everything[count : count + TUNING].copy(),
        everything[count + TUNING :].copy(),
    )


def main(
    folder: Path, store: str, vectors: Vectors, tuning: Vectors, asked: Vectors
) -> dict[str, Any]:
    """Build all peers, ask them in turn, and compare with the truth."""
    count, dimensions = vectors.shape
    peers: dict[str, Found] = {}
    built: dict[str, float] = {}
    left_out: dict[str, str] = {}
    for number, (name, adapter) in enumerate(ADAPTERS.items()):
        if count * dimensions > adapter.most:
            left_out[f"{name} at {_size(count, dimensions)}"] = (
                "takes too long to build with so many"
            )
            continue
        place = folder / f"peer-{number}"
        place.mkdir()
        (folder / f"taste-{number}").mkdir()
        try:
            adapter.make(vectors[:TASTE], folder / f"taste-{number}", store)
            started = perf_counter()
            peers[name] = adapter.make(vectors, place, store)
        except ImportError as error:
            left_out[name] = f"not installed ({error.name or error})"
            continue
        except Exception as error:
            if name == OURS:
                raise
            left_out[f"{name} at {_size(count, dimensions)}"] = (
                f"it failed: {type(error).__name__}: {error}"
            )
            continue
        built[name] = count / max(perf_counter() - started, 1e-9)
    wanted = least_scores(tuning, vectors, LIMIT)
    efforts = {
        name: _tuned(peer, ADAPTERS[name].efforts, (tuning, vectors, wanted))
        for name, peer in peers.items()
    }
    seconds, found = _in_turn(peers, asked)
    pair = {name: peers[name] for name in (OURS, BARE) if name in peers}
    two: dict[str, list[float]] = {name: [] for name in pair}
    for _ in range(ROUNDS_OF_TWO):
        for name, spent in _in_turn(pair, asked)[0].items():
            two[name] += spent
    least = least_scores(asked, vectors, LIMIT)
    return {
        "left_out": left_out,
        **({"two": two} if len(two) == 2 else {}),
        "peers": {
            name: {
                "exact": ADAPTERS[name].exact,
                "effort": efforts[name],
                "built_per_s": built[name],
                "seconds": seconds[name],
                "recall": _recall(found[name], asked, vectors, least),
            }
            for name in peers
        },
    }


def _in_turn(
    peers: Mapping[str, Found], asked: Vectors
) -> tuple[dict[str, list[float]], dict[str, list[Sequence[int]]]]:
    """(seconds, rows found) per peer and query."""
    seconds: dict[str, list[float]] = {name: [] for name in peers}
    found: dict[str, list[Sequence[int]]] = {name: [] for name in peers}
    for query in asked[:WARM]:
        for peer in peers.values():
            peer.search(query, LIMIT)
    for start in range(0, len(asked), TURN):
        names = list(peers) if start // TURN % 2 == 0 else list(peers)[::-1]
        for name in names:
            for query in asked[start : start + TURN]:
                started = perf_counter()
                rows = peers[name].search(query, LIMIT)
                seconds[name].append(perf_counter() - started)
                found[name].append(rows)
    return seconds, found


def _tuned(
    peer: Found, efforts: Sequence[int], wanted: tuple[Vectors, Vectors, Sequence[float]]
) -> int | None:
    """The least effort that finds enough, now in force; None where there is nothing to set."""
    if peer.strive is None or not efforts:
        return None
    queries, vectors, least = wanted
    for effort in efforts:
        peer.strive(effort)
        found = [peer.search(query, LIMIT) for query in queries]
        if _recall(found, queries, vectors, least) >= ENOUGH:
            break
    return effort


def _recall(
    found: Sequence[Any], asked: Vectors, vectors: Vectors, least: Sequence[float]
) -> float:
    answers = zip(found, asked, least, strict=True)
    return fmean(recall(rows, query, vectors, bound, LIMIT) for rows, query, bound in answers)


def _asked_for(arguments: Sequence[str]) -> tuple[Vectors, Vectors, Vectors]:
    """Three files, or three numbers."""
    import numpy as np

    if arguments[0].endswith(".npy"):
        vectors, tuning, asked = (np.load(path) for path in arguments)
        return vectors, tuning, asked
    return synthetic(*map(int, arguments))


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), sys.argv[2], *_asked_for(sys.argv[3:]))))
